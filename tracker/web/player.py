"""The player: a recording at an exact frame, with everybody's boxes, and the way to the next sighting."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tracker.errors import VideoError
from tracker.web import media, transcoding
from tracker.web.pages import render
from tracker.web.site import Site, site_of

router = APIRouter()
Row = dict[str, Any]
LISTED = 200  # sightings below the player; a day of a busy camera has thousands


@router.get("/play/{run}/{recording}")
def play(
    request: Request,
    run: str,
    recording: str,
    tracklet: int = 0,
    frame: Annotated[int, Query(ge=0)] = 0,
    follow: bool = False,
) -> Response:
    """A recording, opened at a sighting's first frame, or at any frame."""
    site = site_of(request)
    entry = site.recorded(run, recording)
    shown = site.tracklet(run, recording, tracklet) if tracklet else None
    sightings = site.catalogue().members(run, shown["identity"]) if shown else []
    before, after = _neighbours(sightings, shown)
    kind, trouble = _kind(site, run, recording)
    frame = frame or (shown["first_frame"] if shown else 1)
    everybody = site.catalogue().on(run, recording)
    return render(
        request,
        "player.html.j2",
        run=run,
        entry=site.entry(run),
        recording=entry,
        absolute=bool(site.run(run).manifest["options"]["absolute"]),
        shown=shown,
        sightings=sightings,
        others=_around(frame, everybody),
        total=len(everybody),
        before=before,
        after=after,
        kind=kind,
        trouble=trouble,
        frame=frame,
        follow=follow,
    )


def _around(frame: int, rows: Sequence[Row]) -> list[Row]:
    """The ``LISTED`` of a recording's tracklets that begin nearest to a frame, in order of time."""
    near = sorted(rows, key=lambda row: abs(row["first_frame"] - frame))[:LISTED]
    return sorted(near, key=lambda row: (row["first_frame"], row["track_id"]))


def _neighbours(sightings: Sequence[Row], shown: Row | None) -> tuple[Row | None, Row | None]:
    """The sightings before and after one."""
    places = [place for place, row in enumerate(sightings) if shown and row["key"] == shown["key"]]
    if not places:
        return None, None
    place = places[0]
    return (
        sightings[place - 1] if place else None,
        sightings[place + 1] if place + 1 < len(sightings) else None,
    )


def _kind(site: Site, run: str, recording: str) -> tuple[str, str]:
    """How a recording is shown: "video" as it is, "stream" converted, "photos", or "" and why not at all."""
    try:
        found = media.checked(site, run, recording)
        if found.photos:
            return "photos", ""
        return ("video" if transcoding.played_as(found.path) else "stream"), ""
    except VideoError as error:
        return "", str(error)
