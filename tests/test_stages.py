"""Files between stages: what is written comes back, and what is damaged counts as not made."""

import json
from dataclasses import asdict, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import same_tracklet, tracklet
from tracker.errors import RunError
from tracker.stages import (
    _ROW_GROUP,
    DetectionLog,
    TrackingFacts,
    TrackletWriter,
    read_embeddings,
    read_jpegs,
    read_tracklets,
    tracking_facts,
    write_embeddings,
)
from tracker.types import Detections

FACTS = TrackingFacts(100, 50, 3, 0, 640, 480, 25.0, "h264", 0.04, 4.0, 1.5)


def some(count):
    return [
        tracklet(("gate", number), number, number + 2, "north", boxes=3 + number % 5, crops=1 + number % 4, seed=number)
        for number in range(1, count + 1)
    ]


def write(path, tracklets, at_once=7):
    with TrackletWriter(path) as writer:
        for start in range(0, len(tracklets), at_once):
            writer.add(tracklets[start : start + at_once])
        writer.finish(replace(FACTS, tracklets=writer.count))
    return path


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)
    return path


# ---- tracklets


@pytest.mark.parametrize("count", [0, 1, _ROW_GROUP - 1, _ROW_GROUP, 3 * _ROW_GROUP + 5])
@pytest.mark.parametrize("at_once", [1, 100])
def test_tracklets_come_back_as_they_were(tmp_path, count, at_once):
    given = some(count)
    path = write(tmp_path / "stages" / "a.parquet", given, at_once)
    read = list(read_tracklets(path, "gate", "north"))
    assert len(read) == count
    assert all(map(same_tracklet, given, read))
    assert tracking_facts(path) == replace(FACTS, tracklets=count)
    assert [file.name for file in path.parent.iterdir()] == ["a.parquet"]


def test_names_and_clocks_are_applied_when_reading(tmp_path):
    (read,) = read_tracklets(write(tmp_path / "a.parquet", some(1)), "other", "south", offset_s=1000)
    assert read.key == ("other", 1)
    assert read.camera == "south"
    assert (read.start_s, read.end_s) == (1001, 1003)


@pytest.mark.parametrize("count", [0, 3, 2 * _ROW_GROUP + 5])
def test_tracklets_are_read_without_their_jpegs(tmp_path, count):
    given = some(count)
    read = list(read_tracklets(write(tmp_path / "a.parquet", given), "gate", "north", jpegs=False))
    for was, one in zip(given, read, strict=True):
        assert {crop.jpeg for crop in one.crops} == {b""}
        assert same_tracklet(replace(was, crops=tuple(replace(crop, jpeg=b"") for crop in was.crops)), one)


@given(data=st.data())
def test_jpegs_are_read_by_their_places_in_the_file(tmp_path_factory, data):
    given = some(2 * _ROW_GROUP + 5)
    path = tmp_path_factory.getbasetemp() / "many.parquet"
    if not path.exists():
        write(path, given)
    every = [crop.jpeg for one in given for crop in one.crops]
    places = data.draw(st.sets(st.integers(0, len(every) - 1), max_size=20))
    assert read_jpegs(path, places) == {place: every[place] for place in places}


def test_jpegs_of_a_damaged_file_are_one_clear_line(tmp_path):
    with pytest.raises(RunError, match=r"a\.parquet: absent or damaged; remove it"):
        read_jpegs(half(write(tmp_path / "a.parquet", some(3))), {0})


def test_any_reader_of_parquet_opens_them(tmp_path):
    path = write(tmp_path / "a.parquet", some(3))
    table = pq.read_table(path)
    assert table["track_id"].to_pylist() == [1, 2, 3]
    assert json.loads(pq.read_metadata(path).metadata[b"reidtrack"]) == asdict(FACTS) | {"tracklets": 3, "damaged": []}


def write_then_fail(path, count):
    with TrackletWriter(path) as writer:
        writer.add(some(count))
        raise ZeroDivisionError


@pytest.mark.parametrize("count", [0, 3, 2 * _ROW_GROUP])
def test_an_error_leaves_no_tracklets_file(tmp_path, count):
    with pytest.raises(ZeroDivisionError):
        write_then_fail(tmp_path / "a.parquet", count)
    assert list(tmp_path.iterdir()) == []


def test_an_error_keeps_an_earlier_tracklets_file(tmp_path):
    write(tmp_path / "a.parquet", some(2))
    with pytest.raises(ZeroDivisionError):
        write_then_fail(tmp_path / "a.parquet", 5)
    assert len(list(read_tracklets(tmp_path / "a.parquet", "gate", "north"))) == 2


def test_there_are_no_facts_without_a_whole_file(tmp_path):
    assert tracking_facts(tmp_path / "absent.parquet") is None
    assert tracking_facts(half(write(tmp_path / "a.parquet", some(20)))) is None
    (tmp_path / "text.parquet").write_text("hello")
    assert tracking_facts(tmp_path / "text.parquet") is None
    pq.write_table(pa.table({"a": [1]}), tmp_path / "foreign.parquet")
    assert tracking_facts(tmp_path / "foreign.parquet") is None
    with TrackletWriter(tmp_path / "unfinished.parquet"):
        pass
    assert tracking_facts(tmp_path / "unfinished.parquet") is None


def inside(path, count):
    """Places between the first bytes and the footer, which carries no checksum."""
    content = path.read_bytes()
    return np.linspace(4, len(content) - 9 - int.from_bytes(content[-8:-4], "little"), count).astype(int)


def test_damage_inside_a_tracklets_file_is_an_error_not_a_wrong_tracklet(tmp_path):
    """Whichever bit flips, what is read is what was written, or reading says so."""
    given = some(10)
    path = write(tmp_path / "a.parquet", given)
    content = path.read_bytes()
    found = 0
    for at in inside(path, 60):
        path.write_bytes(content)
        flip(path, at)
        try:
            read = list(read_tracklets(path, "gate", "north"))
        except RunError:
            found += 1
            assert tracking_facts(path) is None  # so that the stage is made again
        else:
            assert len(read) == len(given)
            assert all(map(same_tracklet, given, read))
    assert found > 50


def test_absent_tracklets_are_one_clear_line(tmp_path):
    with pytest.raises(RunError, match=r"a\.parquet: absent or damaged; remove it"):
        next(read_tracklets(tmp_path / "a.parquet", "gate", "north"))


# ---- embeddings


def unit(count, dim=8):
    """Exact in half precision: that is how vectors are stored."""
    vectors = np.zeros((count, dim), np.float32)
    vectors[np.arange(count), np.arange(count) % dim] = 1
    return vectors


def crops_of(tracklets, most=3):
    """1 to ``most`` crops of each."""
    return [unit(1 + number % most) for number in range(tracklets)]


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_embeddings_come_back_as_they_were(tmp_path, count):
    ids = list(range(2 * count - 1, 0, -2))  # in the order in which tracklets closed
    write_embeddings(tmp_path / "a.parquet", ids, crops_of(count), 8)
    read = read_embeddings(tmp_path / "a.parquet", "gate", "model")
    assert read.keys == tuple(("gate", number) for number in ids)
    assert read.vectors.dtype == np.float32
    assert [len(crops) for crops in read.each()] == read.counts.tolist()
    assert all(map(np.array_equal, read.each(), crops_of(count)))
    assert read.model_id == "model"


def test_half_precision_costs_embeddings_next_to_nothing(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(50, 256)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    write_embeddings(tmp_path / "a.parquet", [1], [vectors], 256)
    read = read_embeddings(tmp_path / "a.parquet", "gate", "model").vectors
    assert np.abs(read @ read.T - vectors @ vectors.T).max() < 5e-4


def test_there_are_no_embeddings_without_a_whole_file(tmp_path):
    path = tmp_path / "a.parquet"
    assert read_embeddings(path, "gate", "model") is None
    write_embeddings(path, range(1000), crops_of(1000), 8)
    assert read_embeddings(half(path), "gate", "model") is None
    path.write_text("hello")
    assert read_embeddings(path, "gate", "model") is None
    pq.write_table(pa.table({"track_id": [1]}), path)
    assert read_embeddings(path, "gate", "model") is None
    pq.write_table(pa.table({"track_id": [1], "vector": [2]}), path)
    assert read_embeddings(path, "gate", "model") is None
    write_embeddings(path, [1], [np.full((1, 8), 5, np.float32)], 8)  # no unit vectors
    assert read_embeddings(path, "gate", "model") is None


def test_damaged_embeddings_are_absent_or_unchanged(tmp_path):
    path = tmp_path / "a.parquet"
    write_embeddings(path, range(50), crops_of(50), 8)
    content = path.read_bytes()
    absent = 0
    for at in inside(path, 80):
        path.write_bytes(content)
        read = read_embeddings(flip(path, at), "gate", "model")
        absent += read is None
        assert read is None or (all(map(np.array_equal, read.each(), crops_of(50))) and len(read.keys) == 50)
    assert absent > 60


# ---- detections


def detections(number):
    rng = np.random.default_rng(number)
    count = number % 4
    return Detections(rng.random((count, 4)).astype(np.float32), rng.random(count).astype(np.float32))


def equal(a, b):
    return np.array_equal(a.xyxy, b.xyxy) and np.array_equal(a.score, b.score)


def log_batches(path, batches):
    with DetectionLog(path) as log:
        for batch in batches:
            log.append(batch, [detections(number) for number in batch])


def known(path, count):
    """Frames that the log knows; what it says of them must be right."""
    found = []
    with DetectionLog(path) as log:
        for number in range(count):
            one = log.get(number)
            if one is not None:
                assert equal(one, detections(number))
                assert (one.xyxy.dtype, one.score.dtype) == (np.float32, np.float32)
                found.append(number)
    return found


BATCHES = [list(range(start, start + 5)) for start in range(0, 40, 5)]


def test_detections_are_found_again(tmp_path):
    path = tmp_path / "stages" / "a.arrow"
    log_batches(path, BATCHES)
    assert known(path, 50) == list(range(40))
    assert known(path, 50) == list(range(40))  # opening keeps them
    assert [file.name for file in path.parent.iterdir()] == ["a.arrow"]
    log_batches(path, [[41]])
    assert known(path, 50) == [*range(40), 41]
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.1.arrow", "a.arrow"]


def test_each_can_be_taken_once(tmp_path):
    log_batches(tmp_path / "a.arrow", BATCHES)
    with DetectionLog(tmp_path / "a.arrow") as log:
        assert log.get(3) is not None
        assert log.get(3) is None


def test_a_frame_without_people_is_known_to_have_none(tmp_path):
    log_batches(tmp_path / "a.arrow", [[4]])
    with DetectionLog(tmp_path / "a.arrow") as log:
        assert len(log.get(4)) == 0
        assert log.get(5) is None


def test_what_is_appended_is_on_the_disk_at_once(tmp_path):
    """As if the process were killed: the file is copied while the log is open."""
    path = tmp_path / "a.arrow"
    with DetectionLog(path) as log:
        for done, batch in enumerate(BATCHES, 1):
            log.append(batch, [detections(number) for number in batch])
            (tmp_path / "copy.arrow").write_bytes(path.read_bytes())
            assert known(tmp_path / "copy.arrow", 50) == list(range(5 * done))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "a.arrow"
    log_batches(path, BATCHES)
    return path.read_bytes()


def resumes(folder, content):
    """Open a log of this content, add what it lacks, and see that all is there; returns what it knew."""
    path = folder / "a.arrow"
    path.with_suffix(".1.arrow").unlink(missing_ok=True)
    path.write_bytes(content)
    before = known(path, 50)
    assert before == list(range(len(before)))
    assert len(before) % 5 == 0
    log_batches(path, BATCHES[len(before) // 5 :])
    assert known(path, 50) == list(range(40))
    return before


@given(data=st.data())
def test_a_log_cut_anywhere_resumes_with_what_was_whole(tmp_path_factory, written, data):
    cut = data.draw(st.integers(0, len(written)))
    before = resumes(tmp_path_factory.getbasetemp(), written[:cut])
    per_batch = len(written) / len(BATCHES)
    assert len(before) >= 5 * (int(cut / per_batch) - 2)  # no more is given up than the batch cut through


def test_a_log_that_is_no_log_begins_anew(tmp_path, written):
    for content in (b"", b"hello", bytes(1000)):
        assert resumes(tmp_path, content) == []


def test_a_log_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with DetectionLog(tmp_path / "file" / "a.arrow") as log, pytest.raises(RunError, match=r"a\.arrow: cannot be"):
        log.append([1], [detections(1)])
