"""Does a search find people? From a picture of each in one camera, all sightings by the others, against the truth.

python tests/benchmarks/search_precision.py RUN --truth FOLDER [--min-area 1500] [--pictures 3] [--track] [--rerank]
                                            [--json]

RUN is a finished run, FOLDER its truth as `reidtrack evaluate` takes it; `tests/benchmarks/labels` has some. The run is
indexed in a library that lives as long as the benchmark, its tracklets are named as `reidtrack evaluate` names them,
and for every person and camera that saw the person the best crop of the longest tracklet is looked for in all other
cameras, as `reidtrack search LIBRARY --image CROP --camera OTHERS` does. With --pictures, more crops of the person in
that camera go along: the best of its other tracklets, then others of the longest. With --track the tracklet itself is
looked for. People whom no other camera tracked are not looked for.

The sightings are ranked as the search lists them: identities, and within one its tracklets, likeliest first. Tracklets
that show nobody labelled are strangers; those that the truth says nothing of do not count. R is how many of the other
cameras' tracklets show the person.

P@k        of the first k sightings, or the first R where that is fewer, those that show the person
AP         average precision by steps
strangers  sightings of other people above the last true one
missed     passages (the truth's boxes of the person in one recording, up to 4 s apart) that are not among what the
           search shows by default, 10 identities; "at 0.5": not with --min-probability 0.5;
           "untracked": of which the run has no tracklet, so that no search could find them
right      of the sightings that --min-probability 0.5 shows, those that show the person

The second table is about probabilities: in bands, how probable sightings and identities were said to be, and how many
were the person. One sighting is in it once for every picture that was looked for; nothing is fitted.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reid.datasets.types import DISTRACTOR, JUNK
from reid.errors import ReidTrackError
from tracker.detect import YoloDetector
from tracker.library.examples import embedder_for, library_mean, picture_example, track_example
from tracker.library.filters import Filters
from tracker.library.indexing import index
from tracker.library.reranking import search_reranked
from tracker.library.searching import Hit, search
from tracker.library.store import Library
from tracker.scoring.found import read_tracklet_table, recordings_of
from tracker.scoring.job import score_run
from tracker.scoring.retrieval import choose_queries
from tracker.scoring.truth import find_truth, read_truth
from tracker.store import Run

HALF = 0.5  # the least probability that is tried beside the default of none
SHOWN = 10  # identities, as `reidtrack search` shows by default
GAP_S = 4.0  # between a person's boxes from which on they are two passages
BANDS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
KS = (1, 3, 5)
EVERYBODY = 1_000_000  # identities: all


@dataclass(frozen=True)
class Known:
    """A run and who is on it.

    Attributes:
        keys: (n) "recording/number" of its tracklets.
        camera: (n) of each.
        person: (n) the truth's id; None for a stranger, "junk" for what does not count.
        frames: (n) first and last frame of each.
        queries: places of the tracklets that pictures are taken from.
        boxes: (n) scored boxes of each.
        passages: (person, recording, camera, first frame, last frame, first second, last second) each.
    """

    keys: list
    camera: list
    person: list
    frames: list
    queries: list
    boxes: list
    passages: list


def known(run: Run, folder: Path, min_area: float) -> Known:
    """Name a run's tracklets by the truth."""
    labels = score_run(run, folder, lambda line: print(line, file=sys.stderr), min_area=min_area).labels
    table = read_tracklet_table(run)
    names = {DISTRACTOR: None, JUNK: "junk"}
    person = [names[pid] if pid in names else int(labels.people[pid - 1]) for pid in labels.pid.tolist()]
    cameras = np.unique(np.array(table.camera), return_inverse=True)[1]
    found = []
    paths = find_truth(folder)
    for recording, entry in zip(recordings_of(run), run.manifest["recordings"], strict=True):
        path = paths.get(recording.name, paths.get(recording.camera))
        if path is not None:
            people = read_truth(path).people
            large = people.take(people.area >= min_area)
            rate = entry["video"]["rate"]
            found += [
                (who, recording.name, recording.camera, first, last, (first - 1) / rate, (last - 1) / rate)
                for who, first, last in passages(large.id.tolist(), large.frame.tolist(), GAP_S * rate)
            ]
    return Known(
        [str(key) for key in table.keys], list(table.camera), person,
        list(zip(table.first_frame.tolist(), table.last_frame.tolist(), strict=True)),
        choose_queries(labels, cameras).tolist(), labels.boxes.tolist(), found,
    )  # fmt: skip


def passages(ids: list, frames: list, gap: float) -> list:
    """(id, first frame, last frame) of each id's frames that are at most ``gap`` apart.

    >>> passages([1, 1, 2, 1], [10, 20, 20, 99], 50)
    [(1, 10, 20), (1, 99, 99), (2, 20, 20)]
    """
    found = []
    for one in sorted(set(ids)):
        own = sorted(frame for frame, who in zip(frames, ids, strict=True) if who == one)
        cuts = [place for place in range(1, len(own)) if own[place] - own[place - 1] > gap]
        found += [(one, own[a], own[b - 1]) for a, b in zip([0, *cuts], [*cuts, len(own)], strict=True)]
    return found


def precision(true: list, k: int) -> float:
    """Of the first k results, or as many as there are true ones, those that are true.

    >>> precision([True, False, True], 1), precision([True, False, True], 5)
    (1.0, 0.5)
    """
    k = min(k, sum(true))
    return sum(true[:k]) / k


def average_precision(true: list) -> float:
    """By steps: the mean, over the true results, of the precision down to each.

    >>> round(average_precision([True, False, True]), 4)
    0.8333
    """
    places = np.flatnonzero(true)
    return float(np.mean(np.arange(1, len(places) + 1) / (places + 1)))


def strangers_above(true: list) -> int:
    """False results above the last true one.

    >>> strangers_above([False, True, True, False, True, False])
    2
    """
    last = max(np.flatnonzero(true))
    return int(last + 1 - sum(true))


def bands(said: list) -> list:
    """By probability: from, to, how many, their mean probability, and how many of them are the person.

    Args:
        said: (probability, whether it is the person) each.
    """
    probability, right = (np.array([one[column] for one in said], float) for column in (0, 1))
    place = np.clip(np.searchsorted(BANDS, probability, "right") - 1, 0, len(BANDS) - 2)
    return [
        [BANDS[band], BANDS[band + 1], int(own.sum()), float(probability[own].mean()), int(right[own].sum())]
        for band in range(len(BANDS) - 1)
        if (own := place == band).any()
    ]


class Searching:
    """A run in a library of its own, searched as the command does."""

    def __init__(self, run: Run, folder: Path) -> None:
        index(str(folder), [run.path], lambda line: print(line, file=sys.stderr))
        self.library, self.run = Library.open(str(folder)), run
        self.crops = {one["tracklet"]: one["crops"] for entry in run.identities() for one in entry["tracklets"]}
        rows = self.library.snapshot.rows(np.arange(len(self.library.snapshot)), ["key", "crop"])
        self.best = {row["key"].partition("/")[2]: row["crop"] for row in rows}
        self.embedder = embedder_for(self.library, None, "auto")
        self.mean = library_mean(self.library.meta.runs, self.library.meta.dim)

    def example(self, crop: str):
        """One of the run's crops as an example."""
        return picture_example(self.run.path / crop, self.embedder, self.mean, YoloDetector, crop=True)

    def pictures(self, keys: list, count: int) -> list:
        """The best crop of each tracklet, then other crops of the first."""
        best = [self.best[key] for key in keys]
        others = [crop for crop in self.crops[keys[0]] if crop not in best]
        return [*best, *others][:count]

    def track(self, key: str):
        """A tracklet as an example."""
        return track_example(self.library, f"{next(iter(self.library.meta.runs))}/{key}")

    def find(self, examples: list, cameras: list, rerank: bool) -> list[Hit]:
        """Everybody in some cameras, likeliest first."""
        filters = Filters(cameras=cameras)
        if rerank:
            return search_reranked(self.library, examples, filters, EVERYBODY)
        return search(self.library, examples, (), filters, EVERYBODY)


def ask(searching: Searching, truth: Known, place: int, args: argparse.Namespace) -> dict | None:
    """Look for who is on one tracklet in the other cameras; None where nobody could be found there."""
    person, camera = truth.person[place], truth.camera[place]
    wanted = [row for row, who in enumerate(truth.person) if who == person and truth.camera[row] != camera]
    if not wanted:
        return None
    own = [row for row, who in enumerate(truth.person) if who == person and truth.camera[row] == camera]
    own.sort(key=lambda row: (row != place, -truth.boxes[row]))
    keys = [truth.keys[row] for row in own]
    crops = [] if args.track else searching.pictures(keys, args.pictures)
    examples = [searching.example(crop) for crop in crops] or [searching.track(key) for key in keys[: args.pictures]]
    hits = searching.find(examples, sorted(set(truth.camera) - {camera}), args.rerank)
    return {"person": person, "camera": camera, "tracklet": truth.keys[place], "crops": crops} | judged(
        hits, truth, person, camera
    )


def judged(hits: list, truth: Known, person: int, camera: str) -> dict:
    """What a search for a person found, by the truth.

    Args:
        hits: everybody in the other cameras, in order.
        truth: of the run.
        person: who was looked for.
        camera: that the picture was of.
    """
    who = dict(zip(truth.keys, truth.person, strict=True))
    listed = [
        (one.row["key"].partition("/")[2], one.probability, rank, hit.probability)
        for rank, hit in enumerate(hits)
        for one in hit.tracklets
    ]
    counted = [line for line in listed if who[line[0]] != "junk"]
    true = [who[key] == person for key, *_ in counted]
    at_half = [
        one.row["key"].partition("/")[2] for hit in hits[:SHOWN] if hit.probability >= HALF for one in hit.tracklets
    ]
    groups = [[who[one.row["key"].partition("/")[2]] for one in hit.tracklets] for hit in hits]
    groups = [[one for one in group if one != "junk"] for group in groups]
    return {
        "sightings": sum(true),
        "precision": {str(k): precision(true, k) for k in KS} | {"R": precision(true, len(true))},
        "ap": average_precision(true),
        "strangers": strangers_above(true),
        "passages": [
            dict(zip(("recording", "first_s", "last_s"), (passage[1], *passage[5:]), strict=True))
            | _fate(passage, listed, at_half, truth, person)
            for passage in truth.passages
            if passage[0] == person and passage[2] != camera
        ],
        "at_half": [who[key] == person for key in at_half if who[key] != "junk"],
        "said_sightings": [(line[1], right) for line, right in zip(counted, true, strict=True)],
        "said_identities": [
            (hit.probability, 2 * group.count(person) > len(group))
            for hit, group in zip(hits, groups, strict=True)
            if group
        ],
        "first": [
            {
                "tracklet": key,
                "person": who[key],
                "probability": round(alone, 3),
                "identity_probability": round(whole, 3),
            }
            for key, alone, _, whole in counted[:5]
        ],
    }


def _fate(passage: tuple, listed: list, at_half: list, truth: Known, person: int) -> dict:
    """Whether and how a passage was found: the best place of its tracklets' identities, and their probabilities."""
    _, recording, _, first, last, *_ = passage
    own = {
        key
        for key, who, span in zip(truth.keys, truth.person, truth.frames, strict=True)
        if who == person and key.rpartition("/")[0] == recording and span[0] <= last and first <= span[1]
    }
    found = [line for line in listed if line[0] in own]
    if not found:
        return {"fate": "untracked"}
    _, alone, ranks, whole = zip(*found, strict=True)
    rank = min(ranks)
    fate = "missed" if rank >= SHOWN else "shown" if own & set(at_half) else "below"
    return {"fate": fate, "place": rank + 1, "identity_probability": max(whole), "probability": max(alone)}


def measured(run: Run, args: argparse.Namespace) -> dict:
    """All searches, and totals."""
    truth = known(run, args.truth, args.min_area)
    with tempfile.TemporaryDirectory() as folder:
        searching = Searching(run, Path(folder) / "library")
        asked = [ask(searching, truth, place, args) for place in truth.queries]
    done = [one for one in asked if one is not None]
    if not done:
        sys.exit(f"{args.truth}: nobody was tracked by two cameras, so that nobody can be looked for")
    bands_of = {name: bands([pair for one in done for pair in one[name]])
                for name in ("said_sightings", "said_identities")}  # fmt: skip
    for one in done:
        del one["said_sightings"], one["said_identities"]
    return {"run": str(run.path), "searches": done, "not_asked": len(asked) - len(done), "all": total(done)} | bands_of


def total(searches: list) -> dict:
    """Means, and passages in all."""
    fates = [passage["fate"] for one in searches for passage in one["passages"]]
    at = {k: round(float(np.mean([one["precision"][k] for one in searches])), 4) for k in searches[0]["precision"]}
    return {
        "searches": len(searches),
        "sightings": sum(one["sightings"] for one in searches),
        "precision": at,
        "map": round(float(np.mean([one["ap"] for one in searches])), 4),
        "strangers": round(float(np.mean([one["strangers"] for one in searches])), 2),
        "passages": len(fates),
        "missed": fates.count("missed"),
        "missed_at_half": fates.count("missed") + fates.count("below"),
        "untracked": fates.count("untracked"),
        "shown_at_half": sum(len(one["at_half"]) for one in searches),
        "right_at_half": sum(sum(one["at_half"]) for one in searches),
    }


def page(found: dict) -> str:
    """For people."""
    header = f"{'person':>8} {'searches':>8} {'true':>5} {'P@1':>6} {'P@3':>6} {'P@5':>6} {'P@R':>6} {'AP':>6}"
    lines = [header + f" {'strangers':>9} {'passages':>8} {'missed':>6} {'at 0.5':>6} {'untracked':>9} {'right':>9}"]
    people = sorted({one["person"] for one in found["searches"]})
    rows = [(person, total([one for one in found["searches"] if one["person"] == person])) for person in people]
    for name, row in [*rows, ("all", found["all"])]:
        at = " ".join(f"{value:6.3f}" for value in [*row["precision"].values(), row["map"]])
        lines.append(
            f"{name:>8} {row['searches']:8} {row['sightings']:5} {at} {row['strangers']:9.2f} {row['passages']:8}"
            f" {row['missed']:6} {row['missed_at_half']:6} {row['untracked']:9}"
            f" {row['right_at_half']:4}/{row['shown_at_half']:<4}"
        )
    for name in ("sightings", "identities"):
        lines += ["", f"{name:12} {'probability':>11} {'number':>7} {'said':>6} {'right':>6}"]
        for low, high, number, said, right in found[f"said_{name}"]:
            lines.append(f"{'':12} {low:4.1f} to {high:3.1f} {number:7} {said:6.3f} {right / number:6.3f}")
    lines += ["", "missed, and where they stood:"]
    for one in found["searches"]:
        for passage in one["passages"]:
            if passage["fate"] in ("missed", "below"):
                lines.append(
                    f"  {one['person']} from {one['camera']}: {passage['recording']} {passage['first_s']:.1f} to"
                    f" {passage['last_s']:.1f} s, identity {passage['place']} with"
                    f" {passage['identity_probability']:.2f}, by itself {passage['probability']:.2f}"
                )
    return "\n".join(lines)


def main(argv: list | None = None) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--min-area", type=float, default=0.0)
    parser.add_argument("--pictures", type=int, default=1)
    parser.add_argument("--track", action="store_true")
    parser.add_argument("--rerank", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    try:
        found = measured(Run.open(args.run), args)
    except ReidTrackError as error:
        sys.exit(f"error: {error}")
    print(json.dumps(found, indent=2) if args.json else page(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
