"""Corrections: same, different, not a person, and taking them back; the run is linked again, the library follows."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request
from starlette.responses import RedirectResponse, Response

from reid.errors import BadInputError, ReidTrackError
from tracker.library.indexing import index
from tracker.relinking import relink
from tracker.relinking.asked import Asked
from tracker.relinking.corrections import parse_key, phrase, read_corrections
from tracker.types import TrackletKey
from tracker.web.jobs import Job, JobProgress
from tracker.web.pages import folder, render
from tracker.web.site import Site, site_of

router = APIRouter()
NAMES = {"same": 2, "different": 2, "nobody": 1}  # tracklets of each


@router.get("/corrections")
def listed(request: Request) -> Response:
    """All corrections of all runs, latest first."""
    site = site_of(request)
    runs = []
    for entry in sorted(site.library().meta.runs.values(), key=lambda entry: entry.path):
        notes: list[str] = []
        try:
            kept = read_corrections(site.run(entry.id).path, notes.append)
        except (ReidTrackError, OSError) as error:
            runs.append({"entry": entry, "lines": [], "trouble": str(error)})
            continue
        by = {one.undoes: one.number for one in kept if one.undoes}
        lines = [{"one": one, "what": phrase(one), "by": by.get(one.number)} for one in reversed(kept)]
        if lines or notes:
            runs.append({"entry": entry, "lines": lines, "trouble": " ".join(notes)})
    return render(request, "corrections.html.j2", runs=runs)


@router.post("/correct")
def correct(
    request: Request,
    kind: Annotated[str, Form()],
    run: Annotated[str, Form()],
    tracklet: Annotated[list[str], Form(default_factory=list)],
    number: Annotated[int, Form()] = 0,
) -> Response:
    """Write a correction, or take one back."""
    site = site_of(request)
    entry = site.entry(run)
    site.run(run)  # says where it is gone
    asked, words = _asked(kind, tracklet, number)
    keys = [parse_key(name) for name in tracklet]

    def work(progress: JobProgress) -> dict[str, Any] | None:
        before = {one.number for one in read_corrections(Path(entry.path), progress.note)}
        with progress.stage(f"linking {folder(entry.path)} again", 0, ""):
            done = relink(Path(entry.path), asked, progress)
        _follow(site, Path(entry.path), progress)
        job.notes = [*done.changes] or ["no identity changed"]
        made = {one.number for one in read_corrections(Path(entry.path), progress.note)} - before
        job.leads_to = _where(site, run, keys)
        return {"run": run, "undo": max(made)} if made and kind != "undo" else None

    job = Job(words, run)
    return _begun(site, job, work)


@router.post("/reindex")
def reindex(request: Request, run: Annotated[str, Form()]) -> Response:
    """Bring the library up to date with a run."""
    site = site_of(request)
    entry = site.entry(run)
    job = Job(f"Bringing the library up to date with {folder(entry.path)}", run, leads_to="/")
    return _begun(site, job, lambda progress: _follow(site, Path(entry.path), progress))


def _begun(site: Site, job: Job, work: Callable[[JobProgress], Any]) -> Response:
    site.jobs.start(job, work, writes=True)
    return RedirectResponse(f"/jobs/{job.id}", 303)


def _asked(kind: str, tracklets: list[str], number: int) -> tuple[Asked, str]:
    """What linking is asked, and in words."""
    if kind == "undo" and number > 0:
        return Asked(undo=[number]), f"Taking correction {number} back"
    if NAMES.get(kind) != len(tracklets):
        raise HTTPException(400, "That correction is not understood.")
    try:
        keys: list[TrackletKey] = [parse_key(name) for name in tracklets]
    except ValueError as error:
        raise BadInputError(str(error)) from None
    if kind == "nobody":
        return Asked(nobody=keys), f"{keys[0]} is not a person"
    pair = (keys[0], keys[1])
    if kind == "same":
        return Asked(same=[pair]), f"{pair[0]} and {pair[1]} are the same person"
    return Asked(different=[pair]), f"{pair[0]} and {pair[1]} are different people"


def _follow(site: Site, run: Path, progress: JobProgress) -> None:
    """Put what the run says now into the library."""
    with progress.stage("bringing the library up to date", 0, ""):
        index(site.name, [run], progress.note)
    site.library(fresh=True)


def _where(site: Site, run: str, keys: list[TrackletKey]) -> str:
    """The page of whom a correction was about; the wall where they are gone."""
    catalogue = site.catalogue()
    for key in keys:
        row = catalogue.row(run, key.recording, key.track_id)
        if row is not None:
            return f"/identity/{run}/{row['identity']}"
    return "/"
