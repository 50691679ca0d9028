"""The benchmark of search: what it counts, on results made by hand and on a small run; and the labels it can use."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks import search_precision as benchmark
from tracker.cli import main
from tracker.scoring.truth import find_truth, read_truth

LABELS = Path(benchmark.__file__).parent / "labels"


def sighting(key, probability):
    return SimpleNamespace(row={"key": f"r/{key}"}, probability=probability)


def hit(probability, *tracklets):
    return benchmark.Hit("r", 1, probability, 0.0, [sighting(*one) for one in tracklets])


def truth(people, passages=()):
    keys = list(people)
    return benchmark.Known(
        keys, [key[0] for key in keys], list(people.values()), [(10, 20)] * len(keys), [], [1] * len(keys), passages
    )


# ---- what is counted


@given(st.lists(st.booleans(), min_size=1, max_size=30).filter(any), st.integers(1, 10))
def test_figures_of_a_ranking_are_those_of_naive_loops(true, k):
    found, precisions = 0, []
    for seen, right in enumerate(true, 1):
        if right:
            found += 1
            precisions.append(found / seen)
            last = seen
    k = min(k, found)
    assert benchmark.precision(true, k) == sum(1 for right in true[:k] if right) / k
    assert benchmark.average_precision(true) == pytest.approx(sum(precisions) / found)
    assert benchmark.strangers_above(true) == sum(1 for right in true[:last] if not right)


def test_the_person_strangers_and_what_does_not_count_are_told_apart():
    known = truth({"b/1": 7, "b/2": None, "b/3": "junk", "b/4": 8, "c/5": 7})
    hits = [hit(0.9, ("b/3", 0.99), ("b/2", 0.9)), hit(0.4, ("b/1", 0.8), ("b/4", 0.1)), hit(0.1, ("c/5", 0.1))]
    found = benchmark.judged(hits, known, 7, "a")
    assert found["sightings"] == 2
    assert found["precision"] == {"1": 0.0, "3": 0.5, "5": 0.5, "R": 0.5}
    assert found["ap"] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert found["strangers"] == 2
    assert found["at_half"] == [False]  # of the first identity; junk does not count
    assert found["said_sightings"] == [(0.9, False), (0.8, True), (0.1, False), (0.1, True)]
    assert found["said_identities"] == [(0.9, False), (0.4, False), (0.1, True)]  # half is not most


def test_a_passage_is_shown_or_less_probable_or_missed_or_never_tracked():
    span = {"low": (10, 20), "outside": (21, 30)}
    known = truth(
        {"b/1": 7, "c/2": 7, "d/3": 7, "e/4": 8},
        [(7, name, name, *span["outside" if name == "x" else "low"], 0.4, 0.8) for name in "bcdea"]
        + [(7, "b", "b", *span["outside"], 0.9, 1.2), (8, "b", "b", *span["low"], 0.4, 0.8)],
    )
    strangers = [hit(0.3, (f"s/{number}", 0.3)) for number in range(benchmark.SHOWN)]
    known.keys.extend(f"s/{number}" for number in range(benchmark.SHOWN))
    for part, value in ((known.camera, "s"), (known.person, None), (known.frames, (10, 20)), (known.boxes, 1)):
        part.extend([value] * benchmark.SHOWN)
    hits = [hit(0.6, ("b/1", 0.6)), hit(0.35, ("c/2", 0.2), ("e/4", 0.4)), *strangers, hit(0.1, ("d/3", 0.1))]
    found = benchmark.judged(hits, known, 7, "a")["passages"]
    fates = [(one["recording"], one["fate"]) for one in found]  # none in a, which the picture is of, and none of 8
    assert fates == [("b", "shown"), ("c", "below"), ("d", "missed"), ("e", "untracked"), ("b", "untracked")]
    assert (found[1]["place"], found[1]["identity_probability"], found[1]["probability"]) == (2, 0.35, 0.2)


def test_bands_hold_every_probability_once_and_say_how_many_came_true():
    said = [(0.0, False), (0.05, True), (0.1, False), (0.95, True), (1.0, False)]
    assert benchmark.bands(said) == [
        [0.0, 0.1, 2, pytest.approx(0.025), 1],
        [0.1, 0.3, 1, pytest.approx(0.1), 0],
        [0.9, 1.0, 2, pytest.approx(0.975), 1],
    ]


# ---- a run


def write_truth(folder, person=lambda recording, identity: identity):
    """The run's own identities as the truth, or others."""
    folder.mkdir()
    for name in "ab":
        lines = [line.split(",") for line in Path(f"monday/tracks/{name}.txt").read_text().splitlines()]
        named = [[line[0], str(person(name, int(line[1]))), *line[2:]] for line in lines]
        (folder / f"{name}.txt").write_text("".join(f"{','.join(line)}\n" for line in named))
    return folder


def measured(capsys, folder, *options):
    capsys.readouterr()
    assert benchmark.main(["monday", "--truth", str(folder), *options, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def listed(capsys, one, options):
    """Who the command finds first in the other camera, as tracklets and identities."""
    asked = [f"monday/{crop}" for crop in one["crops"]]
    asked = ["--image", *asked] if asked else ["--track", f"monday/{one['tracklet']}"]
    rerank = ["--rerank"] if "--rerank" in options else []
    capsys.readouterr()
    assert main(["search", "lib", *asked, "--camera", "b" if one["camera"] == "a" else "a", *rerank, "--json"]) == 0
    return [
        (each["tracklet"].partition("/")[2], hit["identity"])
        for hit in json.loads(capsys.readouterr().out)
        for each in hit["sightings"]
    ]


@pytest.mark.parametrize("options", [[], ["--rerank"], ["--pictures", "3"], ["--track"]])
def test_it_counts_what_the_command_lists(desk, tmp_path, capsys, options):
    identities = json.loads(Path("monday/identities.json").read_text())
    both = [one["identity"] for one in identities if len(one["cameras"]) == 2]
    found = measured(capsys, write_truth(tmp_path / "truth"), *options)
    assert sorted((one["person"], one["camera"]) for one in found["searches"]) == [(p, c) for p in both for c in "ab"]
    assert main(["index", "lib", "monday"]) == 0
    for one in found["searches"]:
        lines = listed(capsys, one, options)
        assert [(each["tracklet"], each["person"]) for each in one["first"]] == lines[:5]
        assert one["precision"]["1"] == (lines[0][1] == one["person"])
        assert one["sightings"] == sum(identity == one["person"] for _, identity in lines)
    assert found["all"]["missed"] == 0
    pictures = {len(one["crops"]) for one in found["searches"]}
    assert pictures == ({0} if "--track" in options else {3} if "--pictures" in options else {1})


def test_the_page_has_a_line_for_everybody_and_one_for_all(desk, tmp_path, capsys):
    assert benchmark.main(["monday", "--truth", str(write_truth(tmp_path / "truth"))]) == 0
    text = capsys.readouterr().out
    assert "P@1" in text
    assert "\n     all " in text
    assert "identities   probability" in text


def test_where_nobody_was_in_two_cameras_it_says_so(desk, tmp_path):
    folder = write_truth(tmp_path / "truth", lambda name, one: one + 1000 * (name == "b"))
    with pytest.raises(SystemExit, match="nobody was tracked by two cameras"):
        benchmark.main(["monday", "--truth", str(folder)])


# ---- labels


@pytest.mark.parametrize(("folder", "people", "size"), [("vut", {1, 2, 3}, (576, 320))])
def test_labels_can_be_read_and_lie_on_their_pictures(folder, people, size):
    for path in find_truth(LABELS / folder).values():
        known = read_truth(path)
        assert set(known.people.id.tolist()) == people
        assert known.frames.step == 10
        for boxes in (known.people, known.ignored):
            assert (boxes.xyxy >= 0).all()
            assert (boxes.xyxy <= np.tile(size, 2) + 0.1).all()
            assert (boxes.area > 0).all()
