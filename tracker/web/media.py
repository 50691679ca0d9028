"""Pictures, frames and recordings of the library's runs, named by run, recording and number and never by a path."""

import itertools
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import FileResponse, Response, StreamingResponse

from tracker.errors import VideoError
from tracker.types import Recording, Times
from tracker.web import decoding, transcoding
from tracker.web.boxes import boxes_of, named
from tracker.web.site import Site, site_of

router = APIRouter()
KEEP = {"Cache-Control": "private, max-age=300"}
MOST_FRAMES = 2000  # told of at once


@router.get("/crop/{run}/{recording}/{number}.jpg")
def crop(request: Request, run: str, recording: str, number: int) -> Response:
    """A sighting's best picture."""
    catalogue = site_of(request).catalogue()
    place = catalogue.find(run, recording, number)
    if place is None:
        raise HTTPException(404, "The library has no such sighting.")
    return Response(catalogue.jpeg(place), media_type="image/jpeg", headers=KEEP)


@router.get("/crop/{run}/{recording}/{number}/{frame}.jpg")
def crop_at(request: Request, run: str, recording: str, number: int, frame: int) -> Response:
    """Another picture of a sighting, of the frame of that number, from the run's folder."""
    site = site_of(request)
    site.tracklet(run, recording, number)
    folder = site.run(run).path.resolve()
    path = folder / "crops" / recording / f"{number:05d}_{frame:07d}.jpg"
    try:
        if not path.resolve().is_relative_to(folder):
            raise HTTPException(404, "There is no such picture.")
        return Response(path.read_bytes(), media_type="image/jpeg", headers=KEEP)
    except OSError:
        raise HTTPException(404, "There is no such picture.") from None


@router.get("/frame/{run}/{recording}/{number}.jpg")
def frame(request: Request, run: str, recording: str, number: int) -> Response:
    """A frame as it was filmed, decoded exactly."""
    site = site_of(request)
    image = decoding.frame(*framed(site, run, recording, number))
    if image is None:
        raise HTTPException(404, "The recording has no such frame, or it cannot be decoded.")
    return Response(decoding.jpeg(image), media_type="image/jpeg", headers=KEEP)


def framed(site: Site, run: str, name: str, number: int) -> tuple[Recording, int, Times | None]:
    """What ``decoding.frame`` takes, for a frame that is named by its number."""
    recording = checked(site, run, name)
    return recording, number, None if recording.photos else site.times(run, recording)


def checked(site: Site, run: str, name: str) -> Recording:
    """A recording whose file is still the one that the run saw; status 404 where the run has none.

    Raises:
        VideoError: it is gone, or another.
    """
    entry, recording = site.recorded(run, name), site.recording(run, name)
    if recording.photos:
        return recording
    try:
        size = recording.path.stat().st_size
    except OSError:
        raise VideoError(f"{recording.path}: the recording is gone; put it back to see it") from None
    if size != entry["bytes"]:
        raise VideoError(f"{recording.path}: is not the file any more that the run saw; put that one back to see it")
    return recording


@router.get("/video/{run}/{recording}")
def video(request: Request, run: str, recording: str) -> Response:
    """A recording as it is, in ranges; only of a kind that browsers play."""
    found = checked(site_of(request), run, recording)
    kind = None if found.photos else transcoding.played_as(found.path)
    if kind is None:
        raise HTTPException(415, "Browsers do not play this recording as it is.")
    return FileResponse(found.path, media_type=kind, headers={"Cache-Control": "private, no-cache"})


@router.get("/stream/{run}/{recording}.mp4")
def stream(request: Request, run: str, recording: str, frame: Annotated[int, Query(ge=1)] = 1) -> Response:
    """A recording as H.264, made while it is sent; its time line begins with ``frame``."""
    site = site_of(request)
    found = checked(site, run, recording)
    if found.photos:
        raise HTTPException(404, "An album is no video.")
    times = site.times(run, found)
    if frame > len(times):
        raise HTTPException(404, "The recording has no such frame.")
    if not transcoding.room():
        raise HTTPException(503, "As many recordings are being converted as this machine can; try again in a while.")
    parts = _leaving(transcoding.transcoded(found, times, frame))
    begun = next(parts, b"")  # what is wrong shows before an answer has begun; and what has begun is always ended
    return StreamingResponse(itertools.chain([begun], parts), media_type="video/mp4")


def _leaving(parts: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from parts
    finally:
        transcoding.leave()


@router.get("/moments/{run}/{recording}.json")
def moments(
    request: Request,
    run: str,
    recording: str,
    first: Annotated[int, Query(ge=1)] = 1,
    count: Annotated[int, Query(ge=1, le=MOST_FRAMES)] = 500,
) -> dict[str, object]:
    """When some frames are, on the file's own time line, and who is where in them."""
    site = site_of(request)
    found = checked(site, run, recording)
    total = len(found.photos) if found.photos else len(site.times(run, found))
    last = min(first + count - 1, total)
    stamps = [] if found.photos else site.times(run, found)[first - 1 : last].round(6).tolist()
    boxes = boxes_of(site.run(run), recording)
    return {
        "frames": total,
        "first": first,
        "times": [None if time_s != time_s else time_s for time_s in stamps],
        "boxes": named(boxes, boxes.between(first, last), site.catalogue().on(run, recording)),
    }
