"""Templates to pages, and errors to pages that say what to do."""

import functools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from reid.errors import ReidTrackError
from tracker.report import sureness
from tracker.timeline import duration
from tracker.web.site import site_of


@functools.cache
def environment() -> Environment:
    """The templates, with the filters that they use."""
    made = Environment(
        loader=PackageLoader("tracker.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        sureness=sureness,
        duration=duration,
        when=when,
        clock=clock,
        folder=folder,
        key_path=key_path,
        query=urlencode,
        without=without,
    )
    made.globals["plural"] = plural
    return made


def page(template: str, **content: Any) -> str:
    """A template's text."""
    return environment().get_template(template).render(**content)


def render(request: Request, template: str, status: int = 200, **content: Any) -> HTMLResponse:
    """A page, or the part of one where htmx asks for a part.

    Templates know ``site``, ``csrf``, ``path``, ``part`` (whether only a part is asked for) and ``told`` (the job that
    has just ended, named in the address) besides ``content``.
    """
    site = site_of(request)
    known = {"site": site, "csrf": site.csrf, "path": request.url.path, "part": is_part(request)}
    known["told"] = site.jobs.get(request.query_params.get("told", ""))
    return HTMLResponse(page(template, **known | content), status)


def is_part(request: Request) -> bool:
    """Whether htmx asks, for something to put into a page."""
    return request.headers.get("hx-request") == "true"


def failed(request: Request, status: int, message: str) -> Response:
    """The page of an error."""
    title = "Not found" if status == 404 else "That did not work"
    return render(request, "error.html.j2", status, title=title, message=message, bare=False)


def status_of(error: ReidTrackError) -> int:
    """The HTTP status that an error of ours comes to: what was asked makes no sense, or could not be done."""
    return 400 if error.exit_code == 2 else 409


# ---- filters


def clock(seconds: float, absolute: bool) -> str:
    """A moment, for people.

    >>> clock(75.25, False), clock(60, True)
    ('1:15.2', '1970-01-01 00:01:00')
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S") if absolute else duration(seconds)


def when(row: Mapping[str, Any]) -> str:
    """When a tracklet begins and ends, or which photo it is on.

    >>> when({"photo": "", "start_s": 61.0, "end_s": 75.25, "absolute": False})
    '1:01.0 to 1:15.2'
    """
    if row["photo"]:
        return str(row["photo"])
    first, last = (clock(row[end], row["absolute"]) for end in ("start_s", "end_s"))
    return f"{first} to {last[11:] if row['absolute'] and last[:10] == first[:10] else last}"


def folder(path: str) -> str:
    """The last part of a path, which is what a run is called."""
    return Path(path).name or path


def key_path(row: Mapping[str, Any]) -> str:
    """A tracklet as part of an address.

    >>> key_path({"run": "a1", "recording": "Büro", "track_id": 3})
    'a1/B%C3%BCro/3'
    """
    return f"{row['run']}/{quote(row['recording'])}/{row['track_id']}"


def without(pairs: Sequence[tuple[str, str]], value: str) -> list[tuple[str, str]]:
    """An address's pairs but those of one value.

    >>> without([("like", "a"), ("top", "10")], "a")
    [('top', '10')]
    """
    return [pair for pair in pairs if pair[1] != value]


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its noun.

    >>> plural(1, "camera"), plural(2, "identity", "identities")
    ('1 camera', '2 identities')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}".replace(",", " ")
