"""A bundle's page: what was chosen, what it rests on, and how to verify it. One file without scripts.

The best crops are in the page itself, so that it says something without its folder; clips and stills lie beside it.
"""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tracker.casefile.cases import Case, Sighting
from tracker.casefile.log import Entry
from tracker.casefile.sources import Facts
from tracker.files import sha256, whole_file
from tracker.report import sureness
from tracker.timeline import duration


def write_page(path: Path, content: Facts, case: Case, folder: Path) -> None:
    """Write ``index.html``.

    Args:
        path: of the file, made whole or not at all.
        content: the manifest's, but for the files.
        case: the same case.
        folder: of the bundle, with its clips and pictures.

    Raises:
        RunError: it cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("tracker"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"sureness": sureness, "instant": instant, "clock": duration, "plain": _plain}
    pictures = {one.number: base64.b64encode(case.picture(one)).decode() for one in case.sightings}
    hashes = {name: sha256(folder / name) for one in content["sightings"] for name in one["files"].values()}
    text = environment.get_template("bundle.html.j2").render(
        bundle=content,
        pictures=pictures,
        hashes=hashes,
        log=[(entry["number"], instant(entry["when"]), said(entry)) for entry in case.log],
        recordings={one["sha256"]: one for one in content["recordings"]},
        runs={one["run"]: one for one in content["runs"]},
        when={one.number: when(one) for one in case.sightings},
    )
    with whole_file(path) as partial:
        partial.write_bytes(text.encode("utf-8", "replace"))


def when(sighting: Sighting) -> str:
    """When a sighting was, on the recordings' clock.

    A photo has no time.
    """
    row = sighting.row
    if row["photo"]:
        return str(row["photo"])
    shift = float(row["start_s"]) - float(row["file_start_s"])
    return " to ".join(
        _moment(seconds + shift, absolute=bool(row["absolute"])) for seconds in (sighting.begin_s, sighting.end_s)
    )


def _moment(seconds: float, *, absolute: bool) -> str:
    if not absolute:
        return duration(seconds)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-5] + " UTC"


def instant(text: str) -> str:
    """A moment of the log for people.

    >>> instant("2026-03-01T22:05:30+00:00")
    '2026-03-01 22:05:30 UTC'
    """
    return text[:19].replace("T", " ") + " UTC"


def said(entry: Entry) -> str:
    """An entry of a case's log in words.

    >>> said({"kind": "removed", "sighting": 3})
    'sighting 3 taken out'
    """
    kind, number = entry["kind"], entry.get("sighting")
    if kind == "opened":
        return f"case {entry['name']} begun"
    if kind == "added":
        row = entry["row"]
        looked = f", found by {entry['query']}" if entry["query"] else ""
        sure = f" at {sureness(entry['probability'])}" if entry["probability"] is not None else ""
        return f"sighting {number} chosen: {row['recording']}/{row['track_id']}, camera {row['camera']}{looked}{sure}"
    if kind == "noted":
        whose = "the case" if number is None else f"sighting {number}"
        return f"note on {whose}: {entry['text']}" if entry["text"] else f"note on {whose} removed"
    if kind == "exported":
        return f"exported to {entry['path']}, seal {entry['seal']}"
    words = {"removed": "taken out", "restored": "put back"}
    return f"sighting {number} {words.get(kind, kind)}"


def _plain(content: Any) -> str:
    """Options and the like as text."""
    return json.dumps(content, indent=1, ensure_ascii=False)
