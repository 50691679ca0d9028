"""The wall: everybody whom the library knows, a card each."""

import contextlib
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from tracker.web.asked import Asked, choices
from tracker.web.catalogue import ORDERS, Place
from tracker.web.pages import render
from tracker.web.site import site_of

router = APIRouter()
PAGE = 60


@router.get("/")
def wall(request: Request, asked: Annotated[Asked, Depends()], sort: str = "seen", after: str = "") -> Response:
    """People who pass the filters, a page at a time."""
    site = site_of(request)
    catalogue = site.catalogue()
    sort = sort if sort in ORDERS else "seen"
    total, people = catalogue.page(catalogue.passing(asked.filters(), asked.run), sort, PAGE, _place(after))
    more = ""
    if len(people) == PAGE:
        last = people[-1].place
        more = f"{last.value!r}:{last.run}:{last.identity}"
    return render(
        request,
        "wall.html.j2",
        people=people,
        total=total,
        catalogue=catalogue,
        asked=asked,
        sort=sort,
        orders=ORDERS,
        more=more,
        here=[*asked.pairs(), ("sort", sort)],
        **choices(site, catalogue),
    )


def _place(text: str) -> Place | None:
    with contextlib.suppress(ValueError):
        value, run, identity = text.split(":")
        return Place(float(value), run, int(identity))
    return None
