"""Two sightings side by side: all their pictures, how probably they are one person, and why they were linked."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from reid.errors import ReidTrackError
from tracker.side_by_side import Answer, ask
from tracker.web.jobs import Job
from tracker.web.pages import render
from tracker.web.site import Site, site_of

router = APIRouter()
Row = dict[str, Any]


@router.get("/compare")
def compare(request: Request, a: str, b: str) -> Response:
    """Both sightings' pictures, and what is known about them."""
    site = site_of(request)
    sides = [_row(site, text) for text in (a, b)]
    known = [_known(site, row) for row in sides]
    one_run = sides[0]["run"] == sides[1]["run"]
    linked = one_run and sides[0]["identity"] == sides[1]["identity"]
    names = {f"{row['recording']}/{row['track_id']}" for row in sides}
    links = known[0]["links"] if linked and known[0] else []
    return render(
        request,
        "compare.html.j2",
        sides=sides,
        pictures=[_pictures(row, one) for row, one in zip(sides, known, strict=True)],
        one_run=one_run,
        linked=linked,
        link=next((link for link in links if set(link["tracklets"]) == names), None),
        keys=(a, b),
    )


@router.get("/compare/verdict")
def verdict(request: Request, a: str, b: str) -> Response:
    """How probably both are one person; htmx asks again until it is known."""
    site = site_of(request)
    rows = [_row(site, text) for text in (a, b)]
    names = [f"{site.run(row['run']).path}/{row['recording']}/{row['track_id']}" for row in rows]
    subject = f"{a} {b} {[site.entry(row['run']).content for row in rows]}"
    job = site.jobs.once(Job("Comparing", subject), lambda _: ask(names[0], names[1]))
    answer: Answer | None = job.result
    return render(request, "verdict.html.j2", job=job, answer=answer, keys=(a, b))


def _row(site: Site, text: str) -> Row:
    run, _, rest = text.partition("/")
    recording, _, number = rest.rpartition("/")
    if not (number.isascii() and number.isdecimal()):
        raise HTTPException(404, "That names no sighting.")
    return site.tracklet(run, recording, int(number))


def _known(site: Site, row: Row) -> Row | None:
    """A sighting's identity as its run knows it; None where the run is gone or was linked again."""
    try:
        identities = site.run(row["run"]).identities()
    except (ReidTrackError, OSError, ValueError):
        return None
    name = f"{row['recording']}/{row['track_id']}"
    return next((one for one in identities if name in (own["tracklet"] for own in one["tracklets"])), None)


def _pictures(row: Row, identity: Mapping[str, Any] | None) -> list[int]:
    """The frames of which the run has pictures."""
    name = f"{row['recording']}/{row['track_id']}"
    own = next((one for one in identity["tracklets"] if one["tracklet"] == name), None) if identity else None
    return [int(crop.rpartition("_")[2].removesuffix(".jpg")) for crop in own["crops"]] if own else []
