"""Finding a person: by a visitor's pictures, by sightings, by a click in a frame; results grouped by identity."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import cv2
import numpy as np
from fastapi import APIRouter, Depends, File, Form, HTTPException, Query, Request, UploadFile
from starlette.responses import RedirectResponse, Response

from reid.errors import BadInputError, ReidTrackError
from reid.images import read_image
from tracker.library.described import Dressed, by_words
from tracker.library.examples import Example, track_example
from tracker.library.searching import Hit, check_not_empty
from tracker.library.searching import search as find_people
from tracker.types import Image
from tracker.web import decoding, queries, uploads
from tracker.web.asked import Asked, choices
from tracker.web.jobs import Job
from tracker.web.media import framed
from tracker.web.pages import render, status_of
from tracker.web.site import Site, site_of

router = APIRouter()
Keys = Annotated[list[str], Query(default_factory=list)]
Files = Annotated[list[UploadFile], File(default_factory=list)]
TOPS = (10, 20, 50, 100)
EVEN = 0.5  # from here on it is more likely the person than not
THUMBNAIL = 240  # pixels high


@router.get("/find")
def find(
    request: Request, asked: Annotated[Asked, Depends()], like: Keys, unlike: Keys, top: int = TOPS[0]
) -> Response:
    """The form; with sightings in the address, who they may be."""
    return _page(request, asked, None, like, unlike, top)


@router.get("/find/{name}")
def found(
    request: Request, name: str, asked: Annotated[Asked, Depends()], like: Keys, unlike: Keys, top: int = TOPS[0]
) -> Response:
    """A search by pictures: how far it is, who is to be chosen, or who it may be."""
    site = site_of(request)
    query = _query(site, name)
    if query.job is not None and not query.job.over:
        return render(request, "job.html.j2", job=query.job)
    if query.job is not None and query.job.state == "failed":
        return _form(request, asked, 409, trouble=query.job.error)
    picture = query.undecided()
    if picture is not None:
        return render(request, "choose.html.j2", query=query, picture=picture, number=query.pictures.index(picture))
    if query.model_id != site.library().meta.model_id:
        return _form(request, asked, 409, trouble="The library is of another embedder now; give the picture again.")
    return _page(request, asked, query, like, unlike, top)


@router.post("/find")
def start(
    request: Request,
    asked: Annotated[Asked, Depends()],
    picture: Files,
    other: Files,
    frame_run: Annotated[str, Form()] = "",
    frame_recording: Annotated[str, Form()] = "",
    frame_number: Annotated[int, Form()] = 0,
    frame_box: Annotated[str, Form()] = "",
) -> Response:
    """Take pictures, or a box in a frame, and begin to search."""
    site = site_of(request)
    check_not_empty(site.library())
    given = [(one, against) for against, files in ((False, picture), (True, other)) for one in files if one.filename]
    data = [(one.filename or "", one.file.read(uploads.MAX_BYTES + 1), against) for one, against in given]
    if frame_box:
        image = _boxed(site, frame_run, frame_recording, frame_number, frame_box)
        data.append((f"{frame_recording}, frame {frame_number}", decoding.png(image), False))
    if not any(not against for _, _, against in data):
        return _form(request, asked, 400, trouble="Give a picture of the person who is looked for.")
    if len(data) > uploads.MAX_PICTURES:
        return _form(request, asked, 400, trouble=f"Give at most {uploads.MAX_PICTURES} pictures at once.")
    try:
        for name, content, _ in data:
            uploads.checked(content, name)
    except ReidTrackError as error:
        return _form(request, asked, status_of(error), trouble=str(error))
    query = queries.Query([])
    paths = uploads.keep(site.scratch, query.id, [content for _, content, _ in data])
    query.pictures = [
        queries.Picture(path, name[-80:], against) for path, (name, _, against) in zip(paths, data, strict=True)
    ]
    if frame_box:
        query.pictures[-1].person = 0
    site.queries.add(query)
    return _worked_on(site, query)


@router.post("/find/{name}")
def choose(request: Request, name: str, number: Annotated[int, Form()], person: Annotated[int, Form()]) -> Response:
    """Say who is meant on a picture of several people."""
    site = site_of(request)
    query = _query(site, name)
    queries.choose(query, number, person)
    return _worked_on(site, query)


@router.get("/find/{name}/{number}.jpg")
def shown(request: Request, name: str, number: int, person: int = 0) -> Response:
    """A search's picture, small; or one of the people on it."""
    pictures = _query(site_of(request), name).pictures
    if not 0 <= number < len(pictures):
        raise HTTPException(404, "The search has no such picture.")
    image = read_image(pictures[number].path)
    person = person or pictures[number].person
    boxes = pictures[number].found
    if person and boxes is not None and person <= len(boxes):
        left, top, right, bottom = np.clip(boxes[person - 1].round().astype(int), 0, None)
        image = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    scale = min(THUMBNAIL / image.shape[0], 1.0)
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    small = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    return Response(decoding.jpeg(np.asarray(small, np.uint8)), media_type="image/jpeg")


def _query(site: Site, name: str) -> queries.Query:
    query = site.queries.get(name)
    if query is None:
        raise HTTPException(404, "This search is not known any more; give the picture again.")
    return query


def _worked_on(site: Site, query: queries.Query) -> Response:
    library = site.library()
    query.job = Job("Searching", leads_to=f"/find/{query.id}")
    site.jobs.start(query.job, lambda progress: queries.work_out(query, library, site.models, progress))
    return RedirectResponse(f"/find/{query.id}", 303)


def _boxed(site: Site, run: str, recording: str, number: int, text: str) -> Image:
    """What is in a box of a frame, (h, w, 3) uint8 BGR."""
    image = decoding.frame(*framed(site, run, recording, number))
    if image is None:
        raise HTTPException(404, "The recording has no such frame, or it cannot be decoded.")
    try:
        left, top, right, bottom = (int(part) for part in text.split(","))
    except ValueError:
        raise BadInputError(f"{text!r} is no box; draw one in the player") from None
    cut = image[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if min(cut.shape[:2]) < 4:
        raise BadInputError("the box is too small to hold a person; draw it around the whole person")
    return cut


def _form(request: Request, asked: Asked, status: int = 200, trouble: str = "") -> Response:
    site = site_of(request)
    return render(
        request,
        "find.html.j2",
        status,
        asked=asked,
        query=None,
        hits=None,
        likely=True,
        trouble=trouble,
        like=[],
        unlike=[],
        examples={},
        top=TOPS[0],
        tops=TOPS,
        **choices(site, site.catalogue()),
    )


def _page(
    request: Request,
    asked: Asked,
    query: queries.Query | None,
    like: Sequence[str],
    unlike: Sequence[str],
    top: int,
) -> Response:
    """The form with what was found below it."""
    if query is None and not like and not asked.words.strip():
        return _form(request, asked)
    site = site_of(request)
    library, catalogue = site.library(), site.catalogue()
    wanted, others = _examples(site, query, like, against=False), _examples(site, query, unlike, against=True)
    top = top if top in TOPS else TOPS[0]
    trouble, hits = "", list[dict[str, Any]]()
    try:
        if wanted:
            hits = [_told(hit) for hit in find_people(library, wanted, others, asked.filters(), top)]
        else:
            hits = [_dressed(one) for one in by_words(library, asked.filters(), top)]
    except BadInputError as error:
        trouble = str(error)
    rows = {text: _row(site, text) for text in (*like, *unlike)}
    searched = catalogue.counted(catalogue.passing(asked.filters()))
    return render(
        request,
        "find.html.j2",
        asked=asked,
        query=query,
        hits=hits,
        likely=bool(wanted),
        searched=searched,
        even=EVEN,
        trouble=trouble,
        like=list(like),
        unlike=list(unlike),
        examples=rows,
        top=top,
        tops=TOPS,
        here=[*asked.pairs(), ("top", top), *(("like", key) for key in like), *(("unlike", key) for key in unlike)],
        **choices(site, catalogue),
    )


def _examples(site: Site, query: queries.Query | None, keys: Sequence[str], *, against: bool) -> list[Example]:
    own = query.examples(against=against) if query else []
    return [*own, *(track_example(site.library(), key, "sighting") for key in keys)]


def _row(site: Site, text: str) -> dict[str, Any]:
    run, _, rest = text.partition("/")
    recording, _, number = rest.rpartition("/")
    return site.tracklet(run, recording, int(number) if number.isdecimal() else -1)


def _told(hit: Hit) -> dict[str, Any]:
    """An identity that was found by likeness, with the probabilities of its sightings."""
    made = _grouped(hit.run, hit.identity, hit.probability, [(one.row, one.probability) for one in hit.tracklets])
    for one in made["sightings"]:
        one["probability"] = one["value"]
    return made


def _dressed(one: Dressed) -> dict[str, Any]:
    """An identity that was found by words, with the shares of its sightings' pixels."""
    return _grouped(one.run, one.identity, one.share, [(own.row, own.share) for own in one.tracklets])


def _grouped(run: str, identity: int, value: float, found: Sequence[tuple[Mapping[str, Any], float]]) -> dict[str, Any]:
    sightings: list[dict[str, Any]] = [{"row": row, "value": own} for row, own in found]
    best = max(sightings, key=lambda one: float(one["value"]), default=None)
    return {"run": run, "identity": identity, "value": value, "sightings": sightings, "best": best}
