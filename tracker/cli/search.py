"""``reidtrack search``: a person found in a library."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reid.errors import BadInputError
from tracker.cli import EMBEDDERS_DEVICE, ManyValues

if TYPE_CHECKING:
    from tracker.detect import Detector
    from tracker.library.described import Dressed
    from tracker.library.examples import Example, SeveralPeopleError
    from tracker.library.filters import Filters, Moment
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
@click.option("--upper", multiple=True, metavar="COLOUR...", help="Whose upper clothing is of any of these colours.")
@click.option("--lower", multiple=True, metavar="COLOUR...", help="Whose lower clothing is.")
@click.option("--words", metavar="TEXT", help="The same in words: 'red or orange top, blue trousers'.")
@click.option("--top", type=int, default=10, show_default=True, help="Show so many identities at most.")
@click.option(
    "--min-probability",
    type=float,
    default=0.0,
    show_default=True,
    help="Show who it is at least this probably, 0 to 1.",
)
@click.option("--rerank", is_flag=True, help="Order anew by whose neighbours are the person's, too.")
@click.option("--montage", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw what was found.")
@click.option("--clip", type=click.Path(path_type=Path), metavar="FOLDER", help="Cut every sighting out as an MP4.")
@click.option(
    "--clip-margin", type=float, default=2.0, show_default=True, metavar="S", help="Shown before and after each."
)
@click.option("--embedder", help="The library's embedder, where it is no longer where its runs found it.")
@click.option("--device", default="auto", show_default=True, help=EMBEDDERS_DEVICE)
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
    upper: tuple[str, ...],
    lower: tuple[str, ...],
    words: str | None,
    top: int,
    min_probability: float,
    rerank: bool,
    montage: Path | None,
    clip: Path | None,
    clip_margin: float,
    embedder: str | None,
    device: str,
    as_json: bool,
) -> int:
    """Find a person in LIBRARY, made by `reidtrack index`.

    \b
    reidtrack search weeks --image person.jpg
    reidtrack search weeks --image person.jpg more.jpg --not other.jpg --camera gate hall
    reidtrack search weeks --track monday/gate/17 --from 2026-03-01T22:00 --to 2026-03-02T06:00
    reidtrack search weeks --words "red top, blue trousers" --montage found.png --clip clips

    Every identity and every sighting by itself has the probability that it is the person, among as many people as are
    searched; the likeliest come first. Where the two differ much, sightings of several people may have been linked. On
    a picture that shows several people, one is chosen by --person; without, they are listed.

    Colours are black, white, grey, red, orange, yellow, green, blue, purple, pink and brown. Beside pictures they leave
    out whose clothes have less than a quarter of them; alone they list who has most, and recognise nobody. They are
    those of the pixels: they fail in dark rooms and under coloured light, on patterns, under bags and long hair, behind
    desks, and take bare legs for brown or pink; dark blue is often black.

    --rerank finds more sightings of people who change their looks from camera to camera; probabilities stay what they
    are, so that they no longer fall from one line to the next.
    """
    from tracker.library.examples import SeveralPeopleError, track_example
    from tracker.library.filters import Filters
    from tracker.library.searching import check_not_empty
    from tracker.library.store import Library
    from tracker.library.words import parse_words

    top_words, bottom_words = parse_words(words) if words is not None else ([], [])
    filters = Filters(
        cameras, recordings, _moment("--from", begin), _moment("--to", end), min_length,
        [*upper, *top_words], [*lower, *bottom_words],
    )  # fmt: skip
    _check_outputs(montage, clip, clip_margin)
    _check_question(bool(images or tracks), filters, others=others, rerank=rerank, min_probability=min_probability)
    opened = Library.open(library)
    check_not_empty(opened)
    try:
        pictures = _pictures(opened, [*images, *others], person, embedder, device)
    except SeveralPeopleError as error:
        _offer(error, as_json)
        raise
    tracked = [track_example(opened, text) for text in tracks]
    examples = [*pictures[: len(images)], *tracked]
    results = _find(opened, examples, pictures[len(images) :], filters, top, min_probability, rerank)
    _tell(opened, results, filters, as_json)
    if montage is not None:
        _draw(opened, results, images, {one.name: one.key for one in tracked}, filters, montage)
    return 0 if clip is None else _cut(opened, results, clip, clip_margin)


def _check_outputs(montage: Path | None, clip: Path | None, margin_s: float) -> None:
    """See that what is to be written can be, before anything is looked for."""
    if montage is not None and montage.suffix.lower() != ".png":
        raise BadInputError(f"--montage {montage}: it is written as PNG; give a name that ends in .png")
    if clip is not None:
        from tracker.library.clips import check_folder, check_margin

        check_folder(clip)
        check_margin(margin_s)


def _check_question(
    pictured: bool, filters: "Filters", *, others: Sequence[str], rerank: bool, min_probability: float
) -> None:
    """See that somebody is looked for, and that what is said of it goes together."""
    if not pictured and not (filters.upper or filters.lower):
        raise BadInputError("nobody to look for; give pictures by --image, tracklets by --track, or colours by --words")
    alone = [name for name, given in (("--not", others), ("--rerank", rerank), ("--min-probability", min_probability))
             if given and not pictured]  # fmt: skip
    if alone:
        raise BadInputError(f"{alone[0]}: colours recognise nobody; use it with --image or --track")
    if rerank and others:
        raise BadInputError("--rerank and --not: the order of re-ranking knows no counter-examples; leave one out")


def _find(
    library: "Library",
    examples: "Sequence[Example]",
    others: "Sequence[Example]",
    filters: "Filters",
    top: int,
    min_probability: float,
    rerank: bool,
) -> "Sequence[Hit | Dressed]":
    from tracker.library.described import by_words, colourless
    from tracker.library.reranking import search_reranked
    from tracker.library.searching import search as find
    from tracker.progress import Progress

    if filters.upper or filters.lower:
        unknown = colourless(library, filters)
        if unknown:
            Progress().note(
                f"warning: the colours of {unknown} tracklets are not known, which are left out; add their runs again"
                f" with `reidtrack index {library.name} RUN`"
            )
    if not examples:
        return by_words(library, filters, top)
    if rerank:
        return search_reranked(library, examples, filters, top, min_probability)
    return find(library, examples, others, filters, top, min_probability)


def _tell(library: "Library", results: "Sequence[Hit | Dressed]", filters: "Filters", as_json: bool) -> None:
    from tracker.cli.found import content, lines
    from tracker.library.described import shares_of

    keys = [one.row["key"] for hit in results for one in hit.tracklets]
    shares = shares_of(library, keys, filters) if filters.upper or filters.lower else {}
    if as_json:
        click.echo(json.dumps(content(library, results, shares), indent=2, ensure_ascii=False))
    elif results:
        click.echo(lines(library, results, shares))
    else:
        click.echo("nobody is this probable; lower --min-probability shows more")


def _draw(
    library: "Library",
    results: "Sequence[Hit | Dressed]",
    images: Sequence[str],
    tracks: dict[str, str],
    filters: "Filters",
    path: Path,
) -> None:
    from tracker.cli.found import draw
    from tracker.progress import Progress

    asked = [f"{region} {' or '.join(getattr(filters, region))}" for region in ("upper", "lower")
             if getattr(filters, region)]  # fmt: skip
    for written in draw(library, results, images, tracks, ", ".join(asked), path):
        Progress().note(f"{written}: written")


def _cut(library: "Library", results: "Sequence[Hit | Dressed]", folder: Path, margin_s: float) -> int:
    from tracker.library.clips import cut
    from tracker.progress import Progress

    rows = [one.row for hit in results for one in hit.tracklets]
    folders = {name: entry.path for name, entry in library.meta.runs.items()}
    return 1 if cut(folder, rows, folders, margin_s, Progress()) else 0


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
    from tracker.library.examples import embedder_for, library_mean, own_crop, picture_example

    if paths:
        _check_files(paths)
        model = embedder_for(library, embedder, device)
        mean = library_mean(library.meta.runs, library.meta.dim)
    numbers = iter(person)
    detector = functools.cache(lambda: _detector(device))
    made = [
        picture_example(
            path, model, mean, detector, lambda: next(numbers, None), crop=own_crop(library.meta.runs, path)
        )
        for path in map(Path, paths)
    ]
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
