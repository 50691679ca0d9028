"""The loss table: one backbone, one recipe, one data set, the same seeds, and every loss of the literature in turn."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from reid.datasets import Split
from reid.errors import BadInputError, DataError
from reid.evaluation import evaluate_split
from reid.network import Network
from reid.objective import parse_losses
from reid.recipe import Recipe
from reid.train import train

Report = Callable[[str], None]


@dataclass(frozen=True)
class Entry:
    """A row of the table before it is measured.

    Attributes:
        objective: as ``--loss`` takes it; every metric loss is joined with cls, as in the papers.
        published: mAP and rank 1 in percent on Market-1501 with ResNet50 by the paper named, where there are any. The
            papers' recipes differ from each other's and from the one measured here.
        source: of the published figures.
    """

    objective: str
    published: tuple[float, float] | None = None
    source: str = ""

    @property
    def published_shares(self) -> tuple[float, float] | None:
        """The published figures as shares, 0..1."""
        return (self.published[0] / 100, self.published[1] / 100) if self.published else None


_MSML = "MSML paper, table 1"
_PYRAMID = "Pyramid paper"

ENTRIES: dict[str, Entry] = {
    "cls": Entry("cls:1", (41.3, 65.8), _MSML),
    "contrastive": Entry("cls:1,contrastive:1"),
    "triplet": Entry("cls:1,triplet:1", (54.8, 75.9), _MSML),
    "improved triplet": Entry("cls:1,improved_triplet:1"),
    "quadruplet": Entry("cls:1,quadruplet:1", (61.1, 80.0), _MSML),
    "TriHard": Entry("cls:1,trihard:1", (68.0, 83.8), _MSML),
    "soft TriHard": Entry("cls:1,soft_trihard:1"),
    "MSML": Entry("cls:1,msml:1", (69.6, 85.2), _MSML),
    "angular": Entry("cls:1,angular:1", (69.73, 85.53), f"{_PYRAMID}, GoogLeNet"),
    "pyramid": Entry("cls:1,pyramid:1", (70.83, 86.26), _PYRAMID),
    "pyramid, detached": Entry("cls:1,pyramid:1,detach_base=1"),  # without its second term's pull of negatives
    "Pyramid'": Entry("cls:1,pyramid_msml:1", (71.01, 86.32), _PYRAMID),
    "HAP2S-E": Entry("cls:1,hap2s:1"),
    "HAP2S-P": Entry("cls:1,hap2s:1,form=polynomial"),
    "circle": Entry("cls:1,circle:1"),
}


@dataclass(frozen=True)
class Row:
    """A measured row: scores 0..1 of every seed, in the seeds' order."""

    name: str
    entry: Entry
    mean_ap: tuple[float, ...]
    rank1: tuple[float, ...]


def bench_losses(
    recipe: Recipe,
    split: Split,
    out: Path,
    names: Sequence[str],
    seeds: Sequence[int],
    report: Report,
    device: str = "cpu",
) -> list[Row]:
    """Train and score every loss with every seed; what is done already in ``out`` is not repeated.

    Args:
        recipe: all but losses and seed.
        split: a set with train, query and gallery.
        out: folder; a sub-folder each training, with its checkpoint, log and ``result.json``.
        names: keys of ``ENTRIES``.
        seeds: of the trainings.
        report: called with lines of progress.
        device: a torch device.

    Returns:
        A row for each name that is measured in ``out`` with at least one of the seeds, in the order of ``ENTRIES``.

    Raises:
        BadInputError: an unknown name, or ``out`` was measured with another recipe.
        DataError: the data set has no query and gallery.
    """
    unknown = [name for name in names if name not in ENTRIES]
    if unknown:
        raise BadInputError(f"{unknown[0]!r} is not in the loss table; choose from {', '.join(ENTRIES)}")
    if split.query is None or split.gallery is None:
        raise DataError("the loss table needs a data set with query and gallery")
    _same_recipe(out / "recipe.json", recipe, len(split.train))
    for seed in seeds:  # a whole table of one seed before the next
        for name in names:
            folder = _folder(out, name, seed)
            if (folder / "result.json").exists():
                continue
            report(f"{name}, seed {seed}")
            one = replace(recipe, losses=parse_losses(ENTRIES[name].objective), seed=seed)
            checkpoint = train(one, split.train.images(), folder, report, device)
            scores = evaluate_split(split, Network(checkpoint, device), report)
            result = {"name": name, "seed": seed, "mean_ap": scores.mean_ap, "rank1": scores.rank(1)}
            partial = folder / "result.partial"
            partial.write_text(json.dumps(result) + "\n")
            partial.replace(folder / "result.json")
            report(f"{name}, seed {seed}: mAP {scores.mean_ap:.2%}, R1 {scores.rank(1):.2%}")
    return read_rows(out, seeds)


def read_rows(out: Path, seeds: Sequence[int]) -> list[Row]:
    """The rows that ``out`` holds results for, so far."""
    rows = []
    for name, entry in ENTRIES.items():
        files = [_folder(out, name, seed) / "result.json" for seed in seeds]
        results = [json.loads(file.read_text()) for file in files if file.exists()]
        if results:
            scores = np.array([(result["mean_ap"], result["rank1"]) for result in results])
            rows.append(Row(name, entry, tuple(scores[:, 0].tolist()), tuple(scores[:, 1].tolist())))
    return rows


def _folder(out: Path, name: str, seed: int) -> Path:
    words = name.lower().replace("'", " prime")
    return out / f"{re.sub('[^a-z0-9-]+', '_', words)}-{seed}"


def _same_recipe(path: Path, recipe: Recipe, images: int) -> None:
    """Refuse to mix rows of different recipes in one table."""
    fields = asdict(recipe) | {"images": images}
    for own in ("losses", "seed", "workers"):
        del fields[own]
    text = json.dumps(fields, default=str, indent=1, sort_keys=True)
    if path.exists() and path.read_text() != text:
        raise BadInputError(f"{path}: this table was begun with another recipe or data; choose another --out")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
