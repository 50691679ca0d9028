"""A run's rows in a library: adding a run, adding it again, removing it.

A tracklet's vectors are those that linking compares: without what all people look like to its camera (``reid.centre``).
Most tracklets have one, pooled over all their pictures. Where the curve finds some of the best pictures more likely two
people than one, by average linkage, each group of them has its own, four at most. Splitting earlier costs:
Market-1501, 200 test people, 900 query pictures against 935 tracklets of the embedder ``standard``, by the best match:

==============================  ==================  ======  ======
distance from which one splits  vectors a tracklet  mAP     R1
==============================  ==================  ======  ======
0.3                             1.69                0.8647  0.9328
0.5                             1.15                0.8760  0.9395
the curve's, 0.67               1.02                0.8807  0.9418
never                           1.00                0.8802  0.9418
==============================  ==================  ======  ======
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from reid.calibration import Curve
from reid.centre import camera_means, centred
from reid.errors import BadInputError
from tracker.errors import RunError
from tracker.files import digest
from tracker.library.schema import FILTERED, TRACKLETS_SCHEMA, RunEntry, vectors_schema
from tracker.library.store import Library, Note, writer
from tracker.linking.evidence import reliability
from tracker.material import Material, gather, works_of
from tracker.site import in_force
from tracker.store import Run, crop_name
from tracker.types import Floats, Integers, Recording, Tracklet

PROTOTYPES = 4


@dataclass(frozen=True)
class Rows:
    """What a library takes from a run."""

    entry: RunEntry
    tracklets: pa.Table
    vectors: pa.Table
    model_id: str
    dim: int


def index(name: str, runs: Sequence[Path], note: Note) -> None:
    """Add finished runs to a library, which is made where there is none.

    A run that is there already stays as it is; one that was linked again, or has grown in its folder, is replaced
    whole. All runs are added, or none.

    Args:
        name: path or URL.
        runs: run directories.
        note: told what was done with each.

    Raises:
        RunError: one is no finished run.
        BadInputError: one is of another embedder than the library.
        DataError: the library cannot be written.
    """
    made = [rows_of(Run.open(run)) for run in runs]
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
            library.commit(known)


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
        library.commit(known)


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


def rows_of(run: Run) -> Rows:
    """All that a library takes from a run.

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
        for one in material.tracklets
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


def prototypes(material: Material) -> list[Floats]:
    """(n) of each tracklet one to four unit vectors, (k, d) float32."""
    whole = material.centred()
    camera = np.array([tracklet.camera for tracklet in material.tracklets], np.str_)
    means = camera_means(material.vectors, camera)
    made = []
    for row, tracklet in enumerate(material.tracklets):
        pictures = material.pictures[row].astype(np.float32)
        pictures = pictures if tracklet.photo else np.asarray(centred(pictures, means[row]), np.float32)
        groups = grouped(pictures, material.curve, float(reliability([tracklet.quality])[0]))
        made.append(_means(pictures, groups) if groups.max() > 0 else whole[row : row + 1])
    return made


def grouped(pictures: Floats, curve: Curve, reliable: float = 1.0) -> Integers:
    """(k,) of each picture its group, from 0: groups that are more likely two people than one stay apart.

    Args:
        pictures: (k, d) unit vectors.
        curve: what similarities mean.
        reliable: from ``reliability``; poor pictures of one person resemble each other less.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(pictures) == 1:
        return np.zeros(1, np.int64)
    apart = np.clip(1 - pictures.astype(np.float64) @ pictures.T.astype(np.float64), 0, 2)
    np.fill_diagonal(apart, 0)
    tree = linkage(squareform((apart + apart.T) / 2, checks=False), "average")
    groups = fcluster(tree, 1 + reliable**2 * curve.intercept / curve.slope, "distance")
    if groups.max() > PROTOTYPES:
        groups = fcluster(tree, PROTOTYPES, "maxclust")
    return np.asarray(groups - 1, np.int64)


def _means(pictures: Floats, groups: Integers) -> Floats:
    means = np.stack([pictures[groups == group].mean(0) for group in np.unique(groups)])
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    return np.asarray(means / np.maximum(norms, 1e-6), np.float32)


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
    columns = {name: [line[name] for line in repeated] for name in (*FILTERED, "quality")}
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
