"""``run.json``: what a run directory holds, and whether a new run may use it."""

import json
import platform
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from reid.errors import BadInputError
from tracker.errors import RunError
from tracker.files import whole_file
from tracker.lock import LOCK, OWNER
from tracker.types import Recording

MANIFEST = "run.json"
FORMAT = 1
PACKAGES = (
    "reidtrack",
    "ultralytics",
    "torch",
    "onnxruntime-gpu",
    "onnxruntime",
    "av",
    "opencv-python",
    "lancedb",
    "numpy",
)

Manifest = dict[str, Any]


def read_manifest(folder: Path) -> Manifest | None:
    """The content of a run directory's ``run.json``; None where there is none.

    Raises:
        RunError: the file is damaged, or of a format this version does not know.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest: Manifest = json.loads(path.read_text(encoding="utf-8"))
        known = int(manifest["format"])
    except (ValueError, KeyError, TypeError, OSError):
        raise RunError(f"{path}: damaged or not written by reidtrack; remove it or choose another --out") from None
    if known != FORMAT:
        raise RunError(f"{path}: run format {known}, this version reads {FORMAT}; choose another --out")
    return manifest


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``run.json``, whole or not at all."""
    with whole_file(folder / MANIFEST) as partial:
        partial.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def recording_of(entry: Mapping[str, Any]) -> Recording:
    """A recording as the manifest lists it."""
    photos = tuple(entry.get("photos", ()))
    return Recording(entry["name"], entry["camera"], Path(entry["path"]), entry["sha256"], entry["start_s"], photos)


def check_claim(folder: Path, contents: Sequence[str], albums: Collection[str] = ()) -> None:
    """See that ``folder`` is new, empty, or holds a run of these recordings or of some of them.

    Args:
        folder: the run directory asked for.
        contents: SHA-256 of each recording of the new run.
        albums: their albums' absolute paths; one that was there before may have other photos now.

    Raises:
        BadInputError: it holds something else.
        RunError: it is a file, or its ``run.json`` is damaged.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; give --out a folder")
    manifest = read_manifest(folder)
    if manifest is None:
        if folder.is_dir() and any(path.name not in (LOCK, OWNER) for path in folder.iterdir()):
            raise BadInputError(f"{folder}: not empty and no run directory; give --out a new or empty folder")
        return
    missing = [
        entry["path"]
        for entry in manifest["recordings"]
        if entry["sha256"] not in contents and not ("photos" in entry and entry["path"] in albums)
    ]
    if missing:
        raise BadInputError(
            f"{folder}: holds another run (of {', '.join(Path(path).name for path in missing)}); choose another --out,"
            " or name its recordings too"
        )


def known_contents(folder: Path) -> dict[tuple[str, int, int], str]:
    """SHA-256 by (path, size, modification time) of the recordings that an earlier run read."""
    manifest = read_manifest(folder)
    entries: Sequence[Mapping[str, Any]] = manifest["recordings"] if manifest else ()
    return {(entry["path"], entry["bytes"], entry["modified_ns"]): entry["sha256"] for entry in entries}


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except ModuleNotFoundError:
            continue
    return versions


def now() -> str:
    """The present moment, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
