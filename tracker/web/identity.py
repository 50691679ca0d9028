"""One identity: all its sightings on a timeline across cameras, why they were linked, and who else it might be."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from reid.errors import ReidTrackError
from tracker.relinking.corrections import parse_key
from tracker.timeline import BAR_PX, GAP_PX, Axis
from tracker.web.pages import render, when
from tracker.web.site import Site, site_of

router = APIRouter()
Row = dict[str, Any]
LEAST_PERCENT = 0.6  # a moment in a day must still be seen and hit with a pointer


@dataclass(frozen=True)
class Bar:
    """A sighting on the timeline: ``x`` and ``width`` in percent, ``y`` in pixels."""

    row: Row
    x: float
    width: float
    y: int


@dataclass(frozen=True)
class Lane:
    """A camera on the timeline; pixels."""

    camera: str
    top: int
    height: int
    bars: Sequence[Bar]


@router.get("/identity/{run}/{number}")
def identity(request: Request, run: str, number: int) -> Response:
    """Everything about one identity."""
    site = site_of(request)
    entry = site.entry(run)
    rows = site.catalogue().members(run, number)
    if not rows:
        raise HTTPException(404, "The library has nobody of this number; the run may have been linked again.")
    known, trouble = _why(site, run, number)
    by_key = {f"{row['recording']}/{row['track_id']}": row for row in rows}
    stale = known is not None and {one["tracklet"] for one in known["tracklets"]} != set(by_key)
    filmed = [row for row in rows if not row["photo"]]
    axis = axis_of(filmed) if filmed else None
    return render(
        request,
        "identity.html.j2",
        entry=entry,
        number=number,
        rows=rows,
        axis=axis,
        lanes=lanes(axis, filmed) if axis else [],
        links=_sides(site, run, known["links"]) if known else [],
        rivals=_sides(site, run, known["rivals"]) if known else [],
        trouble=trouble,
        stale=stale,
        bar=BAR_PX,
    )


def axis_of(rows: Sequence[Row]) -> Axis:
    """The time axis of some sightings on video."""
    first, last = min(row["start_s"] for row in rows), max(row["end_s"] for row in rows)
    return Axis(first, max(last, first + 1), bool(rows[0]["absolute"]))


def lanes(axis: Axis, rows: Sequence[Row]) -> list[Lane]:
    """One lane for each camera, in order of first sight; sightings that would overlap are put below each other."""
    made, top = [], 0
    for camera in dict.fromkeys(row["camera"] for row in rows):
        ends: list[float] = []  # where the last bar of each line ends, percent
        bars = []
        for row in (row for row in rows if row["camera"] == camera):
            x = axis.percent(row["start_s"])
            width = max(axis.percent(row["end_s"]) - x, LEAST_PERCENT)
            x = min(x, 100 - width)
            line = next((line for line, end in enumerate(ends) if end <= x), len(ends))
            ends[line : line + 1] = [x + width]
            bars.append(Bar(row, x, width, top + line * BAR_PX))
        height = len(ends) * BAR_PX + GAP_PX
        made.append(Lane(camera, top, height, bars))
        top += height
    return made


def _why(site: Site, run: str, number: int) -> tuple[Row | None, str]:
    """An identity as its run has it now, or what is in the way of knowing."""
    try:
        identities = site.run(run).identities()
    except (ReidTrackError, OSError, json.JSONDecodeError) as error:
        return None, str(error)
    return next((one for one in identities if one["identity"] == number), None), ""


def _sides(site: Site, run: str, entries: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Links or rivals with the rows of their two tracklets; those that the library does not have are left out."""
    catalogue, found = site.catalogue(), []
    for entry in entries:
        keys = [parse_key(name) for name in entry["tracklets"]]
        places = [catalogue.find(run, key.recording, key.track_id) for key in keys]
        if None not in places:
            found.append({**entry, "sides": catalogue.rows([place for place in places if place is not None])})
    return sorted(found, key=lambda one: one["probability"])


def told(row: Row) -> str:
    """A sighting in a line, for those who cannot see its picture."""
    return f"{row['camera']}, {when(row)}"
