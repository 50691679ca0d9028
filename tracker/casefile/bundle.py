"""A case as a bundle: a folder or a .zip of a page, clips and pictures, and ``manifest.json``, by which it is verified.

The manifest holds the SHA-256 of every other file, of the recordings and models, and how the runs came to their
results. Its own SHA-256, the seal, is what one tells the receiver by another way: whoever changes anything and the
manifest with it has another seal.
"""

import contextlib
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from reid.errors import BadInputError, DataError, ReidTrackError
from tracker.casefile.cases import LOG, Case, Sighting, exported, fault
from tracker.casefile.moments import write_moment
from tracker.casefile.page import write_page
from tracker.casefile.sources import WHOLE, Facts, library_facts, recording_facts, run_facts
from tracker.files import sha256, writing
from tracker.library.store import Library
from tracker.manifest import now
from tracker.progress import Progress
from tracker.recordings import safe_name
from tracker.store import write_json
from tracker.timeline import duration

MANIFEST, PAGE, FORMAT = "manifest.json", "index.html", 1
MARGIN_S = 2.0


@dataclass(frozen=True)
class Bundle:
    """What was exported: where, its seal, and what it lacks, in words."""

    path: Path
    seal: str
    lacks: tuple[str, ...]


def export(library: Library, case: Case, out: Path, progress: Progress, margin_s: float = MARGIN_S) -> Bundle:
    """Write a case's bundle; it appears whole or not at all.

    A recording or run that is gone or was changed is said in the bundle, which then lacks its clip.

    Args:
        library: of the case.
        case: with at least one sighting.
        out: a new folder, or a new file that ends in .zip.
        progress: told each sighting.
        margin_s: that clips begin before and end after.

    Raises:
        BadInputError: nothing is in the tray, or ``out`` is there already.
        DataError: the case's log was changed by hand, so that no bundle of it would verify.
        RunError: it cannot be written.
    """
    if why := fault(case):
        raise DataError(f"{why}; put the file back as it was before exporting")
    if not case.sightings:
        raise BadInputError(f"{case.name}: nothing in its tray to export; add sightings first")
    if out.exists():
        raise BadInputError(f"{out}: is there already; give another name or remove it")
    if not 0 <= margin_s <= 60:
        raise BadInputError(f"a margin of {margin_s:g} s: give 0 to 60 seconds")
    with _partial(out) as folder:
        manifest = _fill(library, case, folder, progress, margin_s)
        write_json(folder / MANIFEST, manifest)
        seal = sha256(folder / MANIFEST)
        _finish(folder, out)
    exported(case, out.resolve(), seal)
    lacks = [f"sighting {one['number']}: {text}" for one in manifest["sightings"] for text in one["lacks"]]
    gone = [run["why"] for run in manifest["runs"] if run["state"] != WHOLE]
    return Bundle(out, seal, (*lacks, *gone))


def _fill(library: Library, case: Case, folder: Path, progress: Progress, margin_s: float) -> Facts:
    """Everything but the manifest, which is returned."""
    recordings: dict[str, Facts] = {}
    sightings = []
    with progress.stage("bundle", len(case.sightings), "sightings") as advance:
        for sighting in case.sightings:
            row = sighting.row
            source = f"{row['sha256']} {row['path']}"
            if source not in recordings:
                recordings[source] = recording_facts(row)
            sightings.append(_sighting(case, sighting, recordings[source], folder, margin_s))
            advance(1)
    runs = {one.row["run"]: Path(one.row["folder"]) for one in case.sightings}
    known = library.meta.runs
    content: Facts = {
        "format": FORMAT,
        "made_by": f"reidtrack {version('reidtrack')}",
        "made": now(),
        "case": {"name": case.name, "note": case.note},
        "margin_s": margin_s,
        "library": library_facts(library),
        "runs": [run_facts(run, path, known[run].embedder if run in known else "") for run, path in runs.items()],
        "recordings": list(recordings.values()),
        "sightings": sightings,
    }
    with writing(folder / LOG):
        shutil.copyfile(case.folder / LOG, folder / LOG)
    write_page(folder / PAGE, content, case, folder)
    return content | {"files": _hashes(folder)}


def _sighting(case: Case, sighting: Sighting, recording: Mapping[str, Any], folder: Path, margin_s: float) -> Facts:
    row = dict(sighting.row)
    name = file_name(sighting)
    files: dict[str, str] = {}
    lacks = []
    if crop := case.picture(sighting):
        files["crop"] = f"crops/{name}.jpg"
        with writing(folder / files["crop"]):
            (folder / "crops").mkdir(exist_ok=True)
            (folder / files["crop"]).write_bytes(crop)
    if recording["state"] == WHOLE:
        clip, still = folder / "clips" / f"{name}.mp4", folder / "stills" / f"{name}.jpg"
        for path in (clip, still):
            path.parent.mkdir(exist_ok=True)
        try:
            lacks += write_moment(sighting, clip, still, margin_s)
        except ReidTrackError as error:
            lacks.append(str(error))
        files |= {kind: str(path.relative_to(folder).as_posix()) for kind, path in (("clip", clip), ("still", still))
                  if path.is_file()}  # fmt: skip
    else:
        lacks.append(f"{recording['path']}: {_WHY[recording['state']]}")
    said = {"query": sighting.query, "probability": sighting.probability, "note": sighting.note}
    span = {"begin_s": sighting.begin_s, "end_s": sighting.end_s}
    return {
        "number": sighting.number,
        "added": sighting.added,
        **said,
        **span,
        "files": files,
        "lacks": lacks,
        "tracklet": row,
    }


_WHY = {
    "missing": "the recording is not there any more, so that there is no clip",
    "changed": "the file is not the recording that was worked on, so that there is no clip",
}


def file_name(sighting: Sighting) -> str:
    """What a sighting's files are called, such as ``03_gate_1-05``: number, camera, moment on the file's time line."""
    at = duration(sighting.begin_s, decimals=0).replace(":", "-")
    return f"{sighting.number:02d}_{safe_name(sighting.row['camera'])}_{at}"


def _hashes(folder: Path) -> dict[str, Facts]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"sha256": sha256(path), "bytes": path.stat().st_size} for path in files
    }


@contextlib.contextmanager
def _partial(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` to fill, gone afterwards."""
    folder = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        with writing(out):
            folder.mkdir(parents=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _finish(folder: Path, out: Path) -> None:
    with writing(out):
        if out.suffix.lower() != ".zip":
            folder.rename(out)
            return
        packed = folder / "packed.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            for path in sorted(path for path in folder.rglob("*") if path.is_file() and path != packed):
                squeezed = path.suffix in (".html", ".json", ".jsonl")
                kind = zipfile.ZIP_DEFLATED if squeezed else zipfile.ZIP_STORED
                archive.write(path, f"{out.stem}/{path.relative_to(folder).as_posix()}", kind)
        packed.rename(out)
