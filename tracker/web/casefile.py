"""Cases: the tray of chosen sightings, notes, and bundles to give away."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import APIRouter, Form, HTTPException, Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from reid.errors import BadInputError
from tracker.casefile import cases
from tracker.casefile.bundle import Bundle, export
from tracker.casefile.cases import BUNDLES, Case
from tracker.casefile.page import instant, said, when
from tracker.web.jobs import Job, JobProgress
from tracker.web.pages import is_part, page, render
from tracker.web.site import Site, site_of

router = APIRouter()
COOKIE = "reidtrack-case"  # the folder of the case that the visitor works on
Text = Annotated[str, Form()]


@router.get("/cases")
def listed(request: Request) -> Response:
    """All cases, and a form to begin one."""
    known = cases.list_cases(site_of(request).name)
    return render(request, "casefile_list.html.j2", cases=known, current=_current(request, known), instant=instant)


@router.post("/cases")
def begin(request: Request, name: Text = "") -> Response:
    """Begin a case; what is chosen goes to it from now on."""
    return _goes_to(cases.new_case(site_of(request).name, name))


@router.get("/case/{name}")
def case(request: Request, name: str) -> Response:
    """A case's tray and notes."""
    found = _case(site_of(request), name)
    site = site_of(request)
    work = [job for job in site.jobs.current() if job.subject == _subject(found)]
    response = render(
        request,
        "casefile.html.j2",
        case=found,
        when=when,
        said=said,
        instant=instant,
        fault=cases.fault(found),
        bundles=_bundles(found),
        work=work,
        addresses={one.number: _play(site, one.row) for one in (*found.sightings, *found.removed)},
    )
    return _remember(response, found)


@router.get("/tray")
def tray(request: Request) -> Response:
    """The case that the visitor works on, in a word for the bar at the top."""
    found = _current(request, cases.list_cases(site_of(request).name))
    if not is_part(request):
        return RedirectResponse(_address(found) if found else "/cases", 303)
    return HTMLResponse(page("casefile_tray.html.j2", case=found))


@router.post("/tray")
def choose(
    request: Request,
    key: Text,
    query: Text = "",
    probability: Annotated[float | None, Form()] = None,
    begin_s: Annotated[float | None, Form()] = None,
    end_s: Annotated[float | None, Form()] = None,
    back: Text = "/cases",
) -> Response:
    """Put a sighting into the tray of the case that the visitor works on; a first case is begun where there is none."""
    site = site_of(request)
    found = _current(request, cases.list_cases(site.name)) or cases.new_case(site.name, "Case 1")
    span = None if begin_s is None or end_s is None else (begin_s, end_s)
    one = cases.add(found, site.library(), key, query=query, probability=probability, span=span)
    if is_part(request):
        response: Response = HTMLResponse(page("casefile_chosen.html.j2", case=found, one=one, csrf=site.csrf))
        response.headers["HX-Trigger"] = "tray"
        return _remember(response, found)
    return _remember(RedirectResponse(_own(back), 303), found)


@router.post("/case/{name}/{what}")
def change(
    request: Request, name: str, what: str, number: Annotated[int | None, Form()] = None, text: Text = ""
) -> Response:
    """Take a sighting out, put it back, or note something."""
    site = site_of(request)
    found = _case(site, name)
    if what == "note":
        cases.note(found, text, number)
        if is_part(request):
            content = {"case": found, "number": number, "text": text.strip(), "saved": time.strftime("%H:%M:%S")}
            return HTMLResponse(page("casefile_note.html.j2", csrf=site.csrf, **content))
    elif what in ("remove", "restore") and number is not None:
        (cases.remove if what == "remove" else cases.restore)(found, number)
    else:
        raise HTTPException(404, "There is nothing at this address.")
    return _goes_to(found)


@router.post("/cases/export")
def bundle(request: Request, name: Text, margin_s: Annotated[float, Form()] = 2.0) -> Response:
    """Begin to make a bundle of a case."""
    site = site_of(request)
    found = _case(site, name)
    if not found.sightings:
        raise BadInputError(f"{found.name}: nothing in its tray to export; add sightings first")
    out = found.folder / BUNDLES / f"{found.folder.name}-{time.strftime('%Y%m%d-%H%M%S')}.zip"

    def work(progress: JobProgress) -> Bundle:
        made = export(site.library(), found, out, progress, margin_s)
        for line in made.lacks:
            progress.note(line)
        return made

    job = Job(f"Bundle of {found.name}", subject=_subject(found), leads_to=f"{_address(found)}#bundles")
    return RedirectResponse(f"/jobs/{site.jobs.start(job, work).id}", 303)


@router.get("/case/{name}/bundle/{file}")
def download(request: Request, name: str, file: str) -> Response:
    """A bundle that was made."""
    for path, _ in _bundles(_case(site_of(request), name)):
        if path.name == file:
            return FileResponse(path, media_type="application/zip", filename=path.name)
    raise HTTPException(404, "There is no such bundle; make it again.")


@router.get("/case/{name}/picture/{number}.jpg")
def picture(request: Request, name: str, number: int) -> Response:
    """The best crop of a sighting, as it was when it was chosen."""
    found = _case(site_of(request), name)
    for one in (*found.sightings, *found.removed):
        if one.number == number and (content := found.picture(one)):
            return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})
    raise HTTPException(404, "There is no such picture.")


def _case(site: Site, name: str) -> Case:
    """A case by its folder's name, which has to be one of those that there are."""
    for found in cases.list_cases(site.name):
        if found.folder.name == name:
            return found
    raise HTTPException(404, "There is no such case.")


def _current(request: Request, known: list[Case]) -> Case | None:
    """The case that the visitor works on, else the one that was changed last."""
    wanted = unquote(request.cookies.get(COOKIE, ""))
    return next((one for one in known if one.folder.name == wanted), known[0] if known else None)


def _bundles(case: Case) -> list[tuple[Path, str]]:
    """The bundles that are still there with their seals, the latest first."""
    seals = {Path(entry["path"]).name: str(entry["seal"]) for entry in case.log if entry["kind"] == "exported"}
    folder = case.folder / BUNDLES
    there = sorted(folder.glob("*.zip"), reverse=True) if folder.is_dir() else []
    return [(path, seals[path.name]) for path in there if path.name in seals]


def _play(site: Site, row: Mapping[str, Any]) -> str:
    """The page that plays a sighting; "" where the library has it no more."""
    if site.catalogue().find(row["run"], row["recording"], row["track_id"]) is None:
        return ""
    return f"/play/{row['run']}/{quote(row['recording'])}?tracklet={row['track_id']}"


def _subject(case: Case) -> str:
    return f"case {case.folder.name}"


def _address(case: Case) -> str:
    return f"/case/{quote(case.folder.name)}"


def _goes_to(case: Case) -> Response:
    return _remember(RedirectResponse(_address(case), 303), case)


def _remember(response: Response, case: Case) -> Response:
    response.set_cookie(COOKIE, quote(case.folder.name), max_age=365 * 86400, httponly=True, samesite="strict")
    return response


def _own(address: str) -> str:
    """An address of ours; anything else leads to the cases.

    >>> _own("/identity/a/3"), _own("//elsewhere.org"), _own("https://elsewhere.org")
    ('/identity/a/3', '/cases', '/cases')
    """
    plain = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if plain else "/cases"
