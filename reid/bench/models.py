"""Embedders side by side, ours and other people's: size, speed and scores, measured in one run."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from reid.bench.speed import Speed, measure_speed
from reid.datasets import DATASETS, Split, load_dataset
from reid.datasets.splits import Part, choose_part
from reid.embed import Embedder
from reid.errors import BadInputError, DataError, ModelError
from reid.evaluation import evaluate_dataset
from reid.evaluation.embedding import Embed, Floats
from reid.foreign import ForeignEmbedder, parse_declaration
from reid.images import Image

Report = Callable[[str], None]
Stage = Callable[[str, int, str], AbstractContextManager[Callable[[int], None]]]
Cache = dict[str, dict[str, tuple[float, float]]]

_NAMED = re.compile(r"(?:(?P<name>[^=,/\\]+)=)?(?P<model>.+)", re.DOTALL)


@dataclass(frozen=True)
class Model:
    """An embedder to measure.

    Attributes:
        embed: RGB uint8 crops to unit vectors.
        parameters: of the network.
        size_bytes: of all its files.
        dim: length of its vectors.
        input: (height, width) that it works at.
        digest: changes with whatever changes the vectors.
        own: whether reidtrack made it.
    """

    embed: Embed
    parameters: int
    size_bytes: int
    dim: int
    input: tuple[int, int]
    digest: str
    own: bool


class Score(NamedTuple):
    """mAP and rank 1 as shares."""

    mean_ap: float
    rank1: float


@dataclass(frozen=True)
class Row:
    """A row of the table: a model by its name, and its scores by data set."""

    name: str
    model: Model
    speed: Speed
    scores: Mapping[str, Score] = field(default_factory=dict)


def open_models(texts: Sequence[str], device: str = "cpu", threads: int = 1) -> dict[str, Model]:
    """Open embedders by their descriptions.

    Args:
        texts: each a shipped name, a file that ``reidtrack export`` made, a training's last.pt, or somebody else's
            file with its preprocessing, as for ``parse_declaration``; any of them may be named: ``NAME=...``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: of the CPU; 0 for one per core.

    Returns:
        By name: the one given, else the file's without its ending.

    Raises:
        BadInputError: an option is malformed, or two models have one name.
        ModelError: a file is absent or is no model.
    """
    models: dict[str, Model] = {}
    for text in texts:
        match = _NAMED.fullmatch(text)
        if match is None:
            raise BadInputError("a model without a name or file; leave it out")
        name, model = _open(match["model"], device, threads)
        name = match["name"] or name
        if name in models:
            raise BadInputError(f"two models are called {name}; name one of them: NAME={match['model']}")
        models[name] = model
    return models


def _open(text: str, device: str, threads: int) -> tuple[str, Model]:
    """A model and what to call it."""
    declared = parse_declaration(text)
    if declared is not None:
        other = ForeignEmbedder(*declared, device, threads)
        size = sum(file.stat().st_size for file in other.files)
        return other.path.stem, Model(other, other.parameters, size, other.dim, other.size, other.digest, False)
    if text.endswith(".pt"):
        return _open_checkpoint(Path(text), device, threads)
    if text.endswith(".xml"):
        raise BadInputError(f"{text}: say how it wants its crops, such as {text},like=openvino")
    try:
        own = Embedder(text, device, threads)
    except ModelError as error:
        hint = f", or, if somebody else made it, say how it wants its crops: {text},like=torchreid"
        raise ModelError(f"{error}{hint if Path(text).is_file() else ''}") from None
    parameters, size = own.card.parameters, own.path.stat().st_size
    return own.path.stem, Model(own, parameters, size, own.dim, own.size, _sha256(own.path), True)


def _open_checkpoint(path: Path, device: str, threads: int) -> tuple[str, Model]:
    import torch

    from reid.network import Network
    from reid.runtime import resolve_device

    network = Network(path, resolve_device(device))
    if threads:
        torch.set_num_threads(threads)
    parameters = sum(one.numel() for one in network.model.parameters())
    name = path.absolute().parent.name if path.stem == "last" else path.stem
    return name, Model(network, parameters, path.stat().st_size, network.dim, network.size, _sha256(path), True)


def bench_models(
    models: Mapping[str, Model],
    data: Mapping[str, Path],
    rounds: int,
    out: Path | None,
    report: Report,
    stage: Stage,
    part: Part = "test",
    held_out: int = 0,
) -> list[Row]:
    """Measure the speed of all models and score each on every data set by the set's own protocol.

    Args:
        models: by name, at least one.
        data: folders by names of ``DATASETS``; may be empty.
        rounds: of the measurement of speed.
        out: folder of scores.json, which keeps the scores by model and data set: they are not computed again.
        report: called with lines of progress.
        stage: called with a stage's name, the crops expected (0 where unknown) and "crops"; called within the context
            that it gives with the crops just embedded.
        part, held_out: which identities of the data sets, as for ``choose_part``.

    Raises:
        BadInputError: an unknown data set, fewer than one round, or ``part`` does not fit a set's protocol.
        DataError: a data set is absent or malformed, has nothing to score on, or scores.json is none.
    """
    if rounds < 1:
        raise BadInputError(f"--rounds {rounds}: at least 1")
    splits = {name: choose_part(name, load_dataset(name, folder), part, held_out) for name, folder in data.items()}
    sets = {name: f"{name} {part} {_fingerprint(split)}" for name, split in splits.items()}
    cache = read_scores(out)
    speeds = measure_speed({name: model.embed for name, model in models.items()}, rounds, report)
    todo = [(m, d) for m in models for d in data if sets[d] not in cache.get(models[m].digest, {})]
    for number, (name, dataset) in enumerate(todo):
        left_s = sum(_crops(d, splits[d]) * speeds[m].batched for m, d in todo[number:]) / 1000
        report(f"{name} on {dataset}: {number + 1} of {len(todo)}, about {left_s / 60:.0f} min left in all")
        with stage(f"{name} on {dataset}", _crops(dataset, splits[dataset]), "crops") as advance:
            embed = partial(_counted, models[name].embed, advance)
            result = evaluate_dataset(dataset, data[dataset], embed, _quiet, part=part, held_out=held_out)
        figures = next(iter(result.scores.values())).figures()
        score = Score(figures["mAP"], figures["R1" if "R1" in figures else "top-1"])  # person search says top-1
        report(f"{name} on {dataset}: mAP {score.mean_ap:.2%}, R1 {score.rank1:.2%}")
        cache.setdefault(models[name].digest, {})[sets[dataset]] = score
        if out is not None:
            _write_scores(out, cache)
    return [
        Row(name, model, speeds[name], {d: Score(*cache[model.digest][sets[d]]) for d in data})
        for name, model in models.items()
    ]


def read_scores(out: Path | None) -> Cache:
    """The scores kept in a folder, by the model's digest and the data set; none where there is no folder.

    Raises:
        DataError: its scores.json is another program's.
    """
    path = None if out is None else out / "scores.json"
    if path is None or not path.exists():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {
            model: {name: (float(mean_ap), float(rank1)) for name, (mean_ap, rank1) in scores.items()}
            for model, scores in record.items()
        }
    except (ValueError, TypeError, AttributeError):
        raise DataError(f"{path}: not the scores of `reidtrack bench models`; choose another --out") from None


def _write_scores(out: Path, cache: Cache) -> None:
    out.mkdir(parents=True, exist_ok=True)
    unfinished = out / "scores.partial"
    unfinished.write_text(json.dumps(cache, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(out / "scores.json")


def _counted(embed: Embed, advance: Callable[[int], None], crops: Sequence[Image]) -> Floats:
    vectors = embed(crops)
    advance(len(crops))
    return vectors


def _quiet(line: str) -> None:
    """The stage tells how far it is."""


def _crops(name: str, split: Split) -> int:
    """Crops that the protocol embeds; 0 where that is not known before."""
    if DATASETS[name].protocol == "search" or split.query is None or split.gallery is None:
        return 0
    query, gallery = len(split.query.images()), len(split.gallery.images())
    if DATASETS[name].protocol == "mars":  # the queries are in the gallery
        return gallery
    return (query + gallery) * DATASETS[name].splits


def _fingerprint(split: Split) -> str:
    """Tells one folder's queries and gallery from another's: 12 hexadecimal digits."""
    total = hashlib.sha256()
    for labelled in (split.query, split.gallery):
        if labelled is not None:
            images = labelled.images()
            total.update("\n".join("/".join(path.parts[-2:]) for path in images.paths).encode())
            total.update(images.pid.tobytes() + images.camera.tobytes())
    if split.search is not None:
        total.update("\n".join(path.name for path in split.search.frames).encode())
    return total.hexdigest()[:12]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
