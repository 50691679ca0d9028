"""What a sighting rests on: the recording it is cut from, and how its run came to it."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reid.embed import EMBEDDERS
from reid.errors import ReidTrackError
from tracker.album import open_album
from tracker.detect import DEFAULT_DETECTOR, default_weights
from tracker.files import sha256
from tracker.library.indexing import run_id
from tracker.library.store import Library
from tracker.manifest import MANIFEST, read_manifest
from tracker.relinking.corrections import CORRECTIONS, in_force, phrase, read_corrections

WHOLE, CHANGED, MISSING = "verified", "changed", "missing"
_TAKEN = ("versions", "options", "detector", "embedder", "device", "calibration", "linking", "started", "finished")
Facts = dict[str, Any]


def recording_facts(row: Mapping[str, Any]) -> Facts:
    """A sighting's recording, and whether the file at its path is still the one that was worked on.

    ``state`` is "verified" (the file's SHA-256 was taken now and is the run's), "changed" or "missing".
    """
    path = Path(row["path"])
    facts = {"name": row["recording"], "camera": row["camera"], "path": str(path), "sha256": row["sha256"]}
    if row["photo"]:
        facts["kind"] = "photos"
    try:
        found = content_of(path)
    except OSError:
        return facts | {"state": MISSING}
    size = path.stat().st_size if path.is_file() else 0
    if found != row["sha256"]:
        return facts | {"state": CHANGED, "found_sha256": found}
    return facts | ({"bytes": size} if size else {}) | {"state": WHOLE}


def content_of(path: Path) -> str:
    """SHA-256 of a recording's file, or of an album's names and contents, hexadecimal.

    Raises:
        OSError: it is not there or cannot be read.
    """
    if path.is_dir():
        try:
            return open_album(path).content
        except ReidTrackError as error:
            raise OSError(str(error)) from None
    return sha256(path)


def run_facts(run: str, folder: Path, embedder: str = "") -> Facts:
    """How a run came to its results: versions, options, models, corrections in force, and hashes of its files.

    Args:
        run: its id in the library.
        folder: where it lay when it was indexed.
        embedder: file or name of its embedder, as the library knows it.
    """
    facts: Facts = {"run": run, "name": folder.name, "folder": str(folder)}
    try:
        manifest = read_manifest(folder)
    except ReidTrackError as error:
        return facts | {"state": CHANGED, "why": str(error)}
    if manifest is None:
        return facts | {"state": MISSING, "why": f"{folder}: no run there any more"}
    if run_id(manifest["recordings"]) != run:
        return facts | {"state": CHANGED, "why": f"{folder}: holds another run than the one that was indexed"}
    notes: list[str] = []
    corrections = in_force(read_corrections(folder, notes.append))
    said = [{"number": one.number, "when": one.when, "says": phrase(one)} for one in corrections]
    hashes = {
        name: sha256(folder / name) for name in (MANIFEST, "identities.json", CORRECTIONS) if (folder / name).is_file()
    }
    taken = {name: manifest[name] for name in _TAKEN if name in manifest}
    weights = _weights(manifest, embedder)
    return facts | {"state": WHOLE} | taken | weights | {"corrections": said, "files": hashes} | _told(notes)


def _told(notes: Sequence[str]) -> Facts:
    return {"notes": list(notes)} if notes else {}


def _weights(manifest: Mapping[str, Any], embedder: str) -> Facts:
    """SHA-256 of the models' files, where they are still those that the run used: their ids begin with it."""
    found: Facts = {}
    with contextlib.suppress(ReidTrackError, OSError):
        name = str(manifest["options"]["detector"])
        content = sha256(default_weights() if name == DEFAULT_DETECTOR else Path(name))  # nothing is fetched for it
        if f"-{content[:12]}-" in manifest["detector"]:
            found["detector_sha256"] = content
    with contextlib.suppress(OSError):
        name = embedder or str(manifest["options"]["embedder"])
        content = sha256(EMBEDDERS.get(name, Path(name)))
        if str(manifest["embedder"]).endswith(content[:12]):
            found["embedder_sha256"] = content
    return found


def library_facts(library: Library) -> Facts:
    """A library: its name, the versions of its tables that count, and the runs it holds."""
    meta = library.meta
    return {
        "name": library.name,
        "version": meta.version,
        "tables": {"tracklets": meta.tracklets, "vectors": meta.vectors},
        "embedder": meta.model_id,
        "runs": [{"run": one.id, "folder": one.path, "content": one.content} for one in meta.runs.values()],
    }
