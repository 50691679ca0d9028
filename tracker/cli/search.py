"""``reidtrack search``: a person found in a library."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reid.errors import BadInputError
from tracker.cli import ManyValues

if TYPE_CHECKING:
    from tracker.detect import Detector
    from tracker.library.examples import Example, SeveralPeopleError
    from tracker.library.filters import Moment
    from tracker.library.searching import Hit
    from tracker.library.store import Library


@click.command(cls=ManyValues)
@click.argument("library")
@click.option("--image", "images", multiple=True, metavar="FILE...", help="Pictures of the person: cuts or scenes.")
@click.option("--track", "tracks", multiple=True, metavar="RUN/RECORDING/NUMBER...", help="Tracklets of the person.")
@click.option("--not", "others", multiple=True, metavar="FILE...", help="Pictures of others, who are not meant.")
@click.option(
    "--person",
    type=int,
    multiple=True,
    metavar="NUMBER...",
    help="Who is meant where a picture shows several, one number for each such picture.",
)
@click.option("--camera", "cameras", multiple=True, metavar="NAME...", help="Search these cameras only.")
@click.option("--recording", "recordings", multiple=True, metavar="NAME...", help="Search these recordings only.")
@click.option(
    "--from", "begin", metavar="TIME", help="From this moment on: a clock time or seconds, as runs have them."
)
@click.option("--to", "end", metavar="TIME", help="Up to this moment.")
@click.option("--min-length", type=float, default=0.0, metavar="S", help="Leave out who is in view for less.")
@click.option("--top", type=int, default=10, show_default=True, help="Show so many identities at most.")
@click.option(
    "--min-probability",
    type=float,
    default=0.0,
    show_default=True,
    help="Show who it is at least this probably, 0 to 1.",
)
@click.option("--embedder", help="The library's embedder, where it is no longer where its runs found it.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda:N.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def search(
    library: str,
    images: tuple[str, ...],
    tracks: tuple[str, ...],
    others: tuple[str, ...],
    person: tuple[int, ...],
    cameras: tuple[str, ...],
    recordings: tuple[str, ...],
    begin: str | None,
    end: str | None,
    min_length: float,
    top: int,
    min_probability: float,
    embedder: str | None,
    device: str,
    as_json: bool,
) -> int:
    """Find a person in LIBRARY, made by `reidtrack index`.

    \b
    reidtrack search weeks --image person.jpg
    reidtrack search weeks --image person.jpg more.jpg --not other.jpg --camera gate hall
    reidtrack search weeks --track monday/gate/17 --from 2026-03-01T22:00 --to 2026-03-02T06:00

    Every sighting has the probability that it is the person, among as many people as are searched. On a picture that
    shows several people, one is chosen by --person; without, they are listed.
    """
    from tracker.library.examples import SeveralPeopleError, track_example
    from tracker.library.filters import Filters
    from tracker.library.searching import check_not_empty
    from tracker.library.searching import search as find
    from tracker.library.store import Library

    if not images and not tracks:
        raise BadInputError("nobody to look for; give pictures by --image, or tracklets by --track")
    filters = Filters(cameras, recordings, _moment("--from", begin), _moment("--to", end), min_length)
    opened = Library.open(library)
    check_not_empty(opened)
    try:
        pictures = _pictures(opened, [*images, *others], person, embedder, device)
    except SeveralPeopleError as error:
        _offer(error, as_json)
        raise
    examples = [*pictures[: len(images)], *(track_example(opened, text) for text in tracks)]
    hits = find(opened, examples, pictures[len(images) :], filters, top, min_probability)
    click.echo(json.dumps(_content(opened, hits), indent=2, ensure_ascii=False) if as_json else _table(opened, hits))
    return 0


def _moment(option: str, text: str | None) -> "Moment | None":
    from tracker.recordings import parse_start

    try:
        return None if text is None else parse_start(text)
    except BadInputError:
        raise BadInputError(
            f"{option}: {text!r} is neither a clock time (2026-03-01T22:15:00) nor a number of seconds"
        ) from None


def _pictures(
    library: "Library", paths: Sequence[str], person: Sequence[int], embedder: str | None, device: str
) -> "list[Example]":
    """All pictures as examples; numbers are used up by those that show several people, in order."""
    from tracker.library.examples import embedder_for, library_mean, picture_example

    if paths:
        _check_files(paths)
        model = embedder_for(library, embedder, device)
        mean = library_mean(library.meta.runs, library.meta.dim)
    numbers = iter(person)
    detector = functools.cache(lambda: _detector(device))
    made = [picture_example(Path(path), model, mean, detector, lambda: next(numbers, None)) for path in paths]
    if left := list(numbers):
        raise BadInputError(f"--person {left[0]}: no picture shows several people whom it could choose from")
    return made


def _check_files(paths: Sequence[str]) -> None:
    """See that there are pictures before models are loaded."""
    from reid.images import read_image

    for path in paths:
        read_image(Path(path))


def _detector(device: str) -> "Detector":
    from reid.runtime import resolve_device
    from tracker.detect import YoloDetector

    return YoloDetector(device=resolve_device(device))


def _offer(error: "SeveralPeopleError", as_json: bool) -> None:
    """Print who is on a picture."""
    from tracker.cli.show import table

    boxes = [[round(float(value)) for value in box] for box in error.found.xyxy]
    if as_json:
        people = [{"person": number, "left_top_right_bottom": box} for number, box in enumerate(boxes, 1)]
        click.echo(json.dumps({"picture": str(error.path), "people": people}, indent=2, ensure_ascii=False))
        return
    rows = [
        [str(number), f"{left},{top}", f"{right - left}x{bottom - top}"]
        for number, (left, top, right, bottom) in enumerate(boxes, 1)
    ]
    click.echo(table(["person", "left,top", "size"], rows))


def _content(library: "Library", hits: "Sequence[Hit]") -> list[dict[str, Any]]:
    from tracker.library.searching import play_command

    return [
        {
            "run": hit.run,
            "folder": library.meta.runs[hit.run].path,
            "identity": hit.identity,
            "probability": round(hit.probability, 4),
            "evidence": round(hit.evidence, 4),
            "cameras": list(dict.fromkeys(one.row["camera"] for one in hit.tracklets)),
            "identity_probability": round(hit.tracklets[0].row["probability"], 4),
            "sightings": [
                {
                    "tracklet": one.row["key"],
                    "probability": round(one.probability, 4),
                    **{name: one.row[name] for name in ("camera", "recording", "first_frame", "last_frame")},
                    **{name: round(one.row[name], 3) for name in ("start_s", "end_s", "file_start_s")},
                    "absolute": one.row["absolute"],
                    "path": one.row["path"],
                    **({"photo": one.row["photo"]} if one.row["photo"] else {}),
                    "crop": str(Path(library.meta.runs[hit.run].path, one.row["crop"])),
                    "play": play_command(one.row),
                }
                for one in hit.tracklets
            ],
        }
        for hit in hits
    ]


def _table(library: "Library", hits: "Sequence[Hit]") -> str:
    from tracker.cli.show import moment, table
    from tracker.library.searching import play_command

    if not hits:
        return "nobody is this probable; lower --min-probability shows more"
    rows = []
    for hit in hits:
        name = Path(library.meta.runs[hit.run].path).name
        for place, one in enumerate(hit.tracklets):
            whose = [f"{hit.probability:.2f}", f"{name} {hit.identity}"] if place == 0 else ["", ""]
            times = [moment(one.row[end], absolute=one.row["absolute"]) for end in ("start_s", "end_s")]
            if one.row["photo"]:
                times = [one.row["photo"], one.row["photo"]]
            tracklet = f"{name}/{one.row['recording']}/{one.row['track_id']}"
            crop = str(Path(library.meta.runs[hit.run].path, one.row["crop"]))
            rows.append(
                [*whose, f"{one.probability:.2f}", one.row["camera"], *times, tracklet, crop, play_command(one.row)]
            )
    header = ["person", "identity", "alone", "camera", "first", "last", "tracklet", "best crop", "play"]
    return table(header, rows)
