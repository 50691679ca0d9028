"""A run's rows in a library: adding a run, adding it again, removing it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from reid.calibration import Curve
from reid.centre import camera_means
from reid.errors import BadInputError
from tracker.embed import decode_crop
from tracker.errors import RunError
from tracker.files import digest
from tracker.library.prototypes import prototypes
from tracker.library.schema import FILTERED, TRACKLETS_SCHEMA, OldLibraryError, RunEntry, vectors_schema
from tracker.library.store import Library, Note, writer
from tracker.library.words import clothing
from tracker.material import Material, gather, works_of
from tracker.progress import Progress
from tracker.site import in_force
from tracker.store import Run, crop_name
from tracker.types import Floats, Recording, Tracklet


@dataclass(frozen=True)
class Rows:
    """What a library takes from a run."""

    entry: RunEntry
    tracklets: pa.Table
    vectors: pa.Table
    model_id: str
    dim: int


def index(name: str, runs: Sequence[Path], note: Note, progress: Progress | None = None) -> None:
    """Add finished runs to a library, which is made where there is none.

    A run that is there already stays as it is; one that was linked again, or has grown in its folder, is replaced
    whole. All runs are added, or none.

    Args:
        name: path or URL.
        runs: run directories.
        note: told what was done with each.
        progress: shows the reading of their crops; None for none.

    Raises:
        RunError: one is no finished run.
        BadInputError: one is of another embedder than the library.
        DataError: the library cannot be written.
    """
    made = [rows_of(Run.open(run), progress) for run in runs]
    for rows in made[1:]:
        _check_model(made[0].entry.path, made[0].model_id, made[0].dim, rows)
    with writer(name) as library:
        if library.meta is not None:
            for rows in made:
                _check_model(name, library.meta.model_id, library.meta.dim, rows)
        known = dict(library.begin(made[0].model_id, made[0].dim).runs)
        for rows in made:
            entry = rows.entry
            there = known.get(entry.id)
            if there is not None and there.content == entry.content:
                note(f"{entry.path}: in the library already, as {entry.id}")
                continue
            old = [one.id for one in known.values() if one.id == entry.id or one.path == entry.path]
            for run in old:
                library.remove(run)
                del known[run]
            library.add(rows.tracklets, rows.vectors)
            known[entry.id] = entry
            note(f"{entry.path}: {'replaced' if old else 'added'} as {entry.id}, {entry.tracklets} tracklets")
        if known != library.begin(made[0].model_id, made[0].dim).runs:
            library.commit(known, note)


def update(name: str, note: Note) -> None:
    """Bring a library of an earlier version up to date; one of today's stays as it is.

    Raises:
        DataError: there is no such library, it is of a newer version, or it cannot be written.
    """
    try:
        Library.open(name)
    except OldLibraryError:
        with writer(name):
            note(f"{name}: brought up to date; add its runs again for what it did not hold before")


def remove(name: str, runs: Sequence[str], note: Note) -> None:
    """Take runs out of a library, each by its id, the id's beginning, its folder, or the folder's name.

    Raises:
        BadInputError: there is no such run, or several.
        DataError: there is no such library, or it cannot be written.
    """
    Library.open(name)  # a library that is not there is not to be made
    with writer(name) as library:
        assert library.meta is not None, "it has just been opened"
        known = dict(library.meta.runs)
        for run in runs:
            entry = find_run(library.meta.runs, run, name)
            if known.pop(entry.id, None):
                library.remove(entry.id)
                note(f"{entry.path}: removed")
        library.commit(known, note)


def find_run(runs: Mapping[str, RunEntry], text: str, name: str) -> RunEntry:
    """The one run that is meant: by id, the id's beginning, folder, or the folder's name.

    Raises:
        BadInputError: there is none, or there are several.
    """
    path = str(Path(text).resolve())
    found = [one for one in runs.values() if text == one.id or path == one.path or text == Path(one.path).name]
    if not found and len(text) >= 4:
        found = [one for one in runs.values() if one.id.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(sorted(one.id for one in found))
        raise BadInputError(f"{text}: {len(found)} runs of {name} are called so; give one of {ids}")
    some = ", ".join(sorted(Path(one.path).name for one in runs.values())[:5]) or "none at all"
    raise BadInputError(f"{text}: no such run in {name}; it holds {some}{', ...' if len(runs) > 5 else ''}")


def run_id(recordings: Sequence[Mapping[str, Any]]) -> str:
    """16 hexadecimal digits of what a run's recordings contain and how they were worked on, in any order."""
    facts = sorted((entry["sha256"], *sorted(entry["stages"].items())) for entry in recordings if "stages" in entry)
    return digest(*facts)


def rows_of(run: Run, progress: Progress | None = None) -> Rows:
    """All that a library takes from a run.

    Args:
        run: finished.
        progress: as for ``index``.

    Raises:
        RunError: its files are damaged, or of an older version.
    """
    manifest = dict(run.manifest)
    material = gather(works_of(run.path, manifest), manifest["embedder"], in_force(run.path, manifest))
    numbers = {
        one["tracklet"]: (entry["identity"], entry["probability"])
        for entry in run.identities()
        for one in entry["tracklets"]
    }
    material = material.without([one.key for one in material.tracklets if str(one.key) not in numbers])
    if len(material.tracklets) != len(numbers):
        raise RunError(f"{run.path}: its files disagree; link it again with `reidtrack link {run.path}`")
    name = run_id(manifest["recordings"])
    dim = material.vectors.shape[1]
    recordings = {recording.name: recording for recording in material.recordings}
    lines = [
        _line(name, one, recordings[one.key.recording])
        | dict(zip(("identity", "probability"), numbers[str(one.key)], strict=True))
        | {"absolute": bool(manifest["options"]["absolute"]), "model_id": material.model_id}
        | colours
        for one, colours in zip(material.tracklets, _colours(run, material.tracklets, progress), strict=True)
    ]
    tracklets = pa.Table.from_pylist(lines, TRACKLETS_SCHEMA)
    vectors = _vector_rows(lines, prototypes(material), dim)
    cameras, mean = _mean(material)
    curve = material.curve
    content = _content(tracklets, vectors, curve)
    embedder = str(manifest["options"]["embedder"])
    if Path(embedder).is_file():
        embedder = str(Path(embedder).resolve())
    path = str(run.path.resolve())
    entry = RunEntry(name, path, content, len(lines), curve.slope, curve.intercept, embedder, cameras, mean)
    return Rows(entry, tracklets, vectors, material.model_id, dim)


def _colours(run: Run, tracklets: Sequence[Tracklet], progress: Progress | None) -> list[dict[str, float | None]]:
    """What the clothes on each tracklet's best crops are called."""
    shown = progress or Progress(quiet=True)
    found = []
    with shown.stage(f"colours of {run.path.name}", len(tracklets), "tracklets") as advance:
        for tracklet in tracklets:
            found.append(clothing([decode_crop(crop) for crop in tracklet.crops]))
            advance(1)
    return found


def _mean(material: Material) -> tuple[int, list[float]]:
    """How many cameras filmed, and the mean of their mean vectors."""
    rows = [row for row, tracklet in enumerate(material.tracklets) if not tracklet.photo]
    camera = np.array([material.tracklets[row].camera for row in rows], np.str_)
    if not rows:
        return 0, [0.0] * material.vectors.shape[1]
    means = camera_means(material.vectors[rows], camera)
    names, first = np.unique(camera, return_index=True)
    return len(names), np.asarray(means[first].mean(0), np.float64).tolist()


def _line(run: str, tracklet: Tracklet, recording: Recording) -> dict[str, Any]:
    best = max(tracklet.crops, key=lambda crop: crop.quality)
    return {
        "key": f"{run}/{tracklet.key}",
        "run": run,
        "recording": recording.name,
        "camera": tracklet.camera,
        "start_s": tracklet.start_s,
        "end_s": tracklet.end_s,
        "length_s": tracklet.end_s - tracklet.start_s,
        "track_id": tracklet.key.track_id,
        "path": str(recording.path),
        "sha256": recording.content,
        "photo": tracklet.photo,
        "file_start_s": tracklet.start_s - recording.start_s,
        "first_frame": int(tracklet.index[0]),
        "last_frame": int(tracklet.index[-1]),
        "boxes": len(tracklet.index),
        "quality": tracklet.quality,
        "crop": crop_name(tracklet, best.index),
        "jpeg": best.jpeg,
    }


def _vector_rows(lines: Sequence[Mapping[str, Any]], vectors: Sequence[Floats], dim: int) -> pa.Table:
    repeated = [line for line, own in zip(lines, vectors, strict=True) for _ in own]
    stacked = np.concatenate([np.zeros((0, dim), np.float32), *vectors]).astype(np.float32)
    columns = {name: [line.get(name) for line in repeated] for name in (*FILTERED, "quality")}
    column = pa.FixedSizeListArray.from_arrays(pa.array(stacked.ravel(), pa.float32()), dim)
    return pa.table({**columns, "vector": column}, schema=vectors_schema(dim))


def _content(tracklets: pa.Table, vectors: pa.Table, curve: Curve) -> str:
    """Digest of all that a run's rows say, but where its recordings lie."""
    content = hashlib.sha256(repr((curve.slope, curve.intercept)).encode())
    for name in (*FILTERED, "quality", "file_start_s", "probability", "photo", "crop"):
        content.update(repr(tracklets[name].to_pylist()).encode())
    content.update(np.asarray(vectors["vector"].combine_chunks().flatten()).tobytes())
    return content.hexdigest()


def _check_model(name: str, model_id: str, dim: int, rows: Rows) -> None:
    if (model_id, dim) != (rows.model_id, rows.dim):
        raise BadInputError(
            f"{rows.entry.path}: of embedder {rows.model_id} ({rows.dim} numbers), {name} of {model_id} ({dim}); run it"
            " again with that --embedder, or index it in another library"
        )
