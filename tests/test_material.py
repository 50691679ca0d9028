"""What linking works on: repaired tracklets with their best pictures, and who inherits an earlier linking's numbers."""

import itertools
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reid.calibration import Curve
from tests.repair.people import CURVE, embeddings, person, walk
from tests.repair.test_repair import crossing
from tracker.material import PICTURES, Curves, Work, gather
from tracker.relinking.earlier import earlier
from tracker.repair import repair
from tracker.stages import TrackingFacts, TrackletWriter, write_embeddings
from tracker.types import Crop, Recording, TrackletKey

ODD = Curve(1.0, -1e-3)  # looks say next to nothing
SECONDS = 10.0


def work_of(folder, tracklets, vectors):
    """The files of a recording of 10 seconds."""
    with TrackletWriter(folder / "t.parquet") as file:
        file.add(tracklets)
        file.finish(TrackingFacts(101, 101, 0, len(tracklets), 800, 600, 10.0, "h264", 0.0, SECONDS, 1.0))
    write_embeddings(folder / "e.parquet", [one.key.track_id for one in tracklets], vectors.each(), 256)
    recording = Recording("gate", "gate", Path("gate.mp4"), "0" * 64)
    return Work(recording, folder / "d.arrow", folder / "t.parquet", folder / "e.parquet")


def pictured(tracklets):
    """Every crop with a picture of its own; their frames and qualities may be the same."""
    number = itertools.count()
    return [
        replace(one, crops=tuple(replace(crop, jpeg=b"%04d" % next(number)) for crop in one.crops)) for one in tracklets
    ]


def test_repaired_tracklets_get_their_own_pictures(tmp_path):
    """Divided and joined, of the same frames and of one quality."""
    tracklets, vectors = crossing()
    tracklets = pictured(tracklets)
    material = gather([work_of(tmp_path, tracklets, vectors)], "m", Curves(CURVE, CURVE))
    expected, kept = repair(tracklets, vectors, CURVE, SECONDS)
    assert len(tracklets) == len(expected) == 3
    assert [one.key for one in expected] != [one.key for one in tracklets]
    names = [[(crop.index, crop.jpeg) for crop in one.crops] for one in material.tracklets]
    assert names == [[(crop.index, crop.jpeg) for crop in one.best(PICTURES).crops] for one in expected]
    for one, whole, shown, each in zip(material.tracklets, expected, material.pictures, kept.each(), strict=True):
        assert len(shown) == len(one.crops)
        rows = [[kept.index for kept in whole.crops].index(crop.index) for crop in one.crops]
        np.testing.assert_allclose(shown, each[rows], atol=1e-3)


def test_no_more_pictures_are_in_memory_than_results_show(tmp_path):
    size, count, crops = 5000, 100, 32
    rng = np.random.default_rng(0)
    tracklets = [
        replace(one, crops=tuple(Crop(crop.index, float(rng.random()), rng.bytes(size)) for crop in one.crops))
        for one in (walk(number, 0, 4, at=(50.0 * number, 50), crops=crops) for number in range(1, count + 1))
    ]
    vectors = embeddings(tracklets, range(count))
    work = work_of(tmp_path, tracklets, vectors)
    shown = count * PICTURES * size
    every = count * crops * size
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    material = gather([work], "m", Curves(CURVE, CURVE))
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(material.tracklets) == count
    assert after - before > shown
    assert peak - before < every


@pytest.mark.parametrize("linking", [CURVE, ODD])
def test_tracklets_are_the_same_whatever_is_learnt_about_the_site(tmp_path, linking):
    tracklets, vectors = crossing()
    work = work_of(tmp_path, tracklets, vectors)
    material = gather([work], "m", Curves(CURVE, linking))
    assert [one.key.track_id for one in material.tracklets] == [1, 10, 9]
    assert material.curve == linking
    assert [one.key.track_id for one in gather([work], "m", Curves(ODD, linking)).tracklets] == [1, 2, 9]


def test_whoever_is_still_and_alone_in_a_part_of_a_recording_is_somebody(tmp_path):
    alone = [walk(1, 0, 40, crops=8)]
    work = work_of(tmp_path, alone, embeddings(alone, person(3, 8, spread=0.02)))
    assert len(gather([work], "m", Curves(CURVE, CURVE)).tracklets) == 0
    with TrackletWriter(work.tracklets) as file:
        file.add(alone)
        file.finish(TrackingFacts(2001, 2001, 0, 1, 800, 600, 10.0, "h264", 0.0, 200.0, 1.0))
    assert len(gather([work], "m", Curves(CURVE, CURVE)).tracklets) == 1


@pytest.mark.parametrize(
    ("stages", "inherited"),
    [
        ({}, True),
        ({"embeddings": "another-embedders.parquet"}, False),
        ({"tracklets": "another-trackers.parquet"}, False),
    ],
)
def test_numbers_are_inherited_from_the_same_tracker_and_embedder_alone(tmp_path, stages, inherited):
    work = work_of(tmp_path, *crossing())
    material = gather([work], "m", Curves(CURVE, CURVE))
    entry = {"name": "gate", "camera": "gate", "start_s": 0.0}
    entry["stages"] = {"tracklets": "t.parquet", "embeddings": "e.parquet"} | stages
    past = {"recordings": [entry], "options": {}, "identities": {"5": ["gate/1", "gate/9"], "7": ["gate/10"]}}
    numbers = {TrackletKey("gate", track_id): 7 if track_id == 10 else 5 for track_id in (1, 9, 10)}
    found = earlier(past, [work], material, {})
    assert found.numbers == (numbers if inherited else {})
    assert not found.stays
