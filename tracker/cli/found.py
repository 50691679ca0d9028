"""How ``reidtrack search`` shows what it found: as a table, as JSON, as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tracker.library.described import Dressed, Wearing
    from tracker.library.montage import Band
    from tracker.library.searching import Found, Hit
    from tracker.library.store import Library


def content(
    library: "Library", results: "Sequence[Hit | Dressed]", shares: Mapping[str, float]
) -> list[dict[str, Any]]:
    """For programs; ``shares`` of colours by tracklet, where some were asked for."""
    return [
        {
            "run": hit.run,
            "folder": library.meta.runs[hit.run].path,
            "identity": hit.identity,
            **_numbers(hit),
            "cameras": list(dict.fromkeys(one.row["camera"] for one in hit.tracklets)),
            "identity_probability": round(hit.tracklets[0].row["probability"], 4),
            "sightings": [_sighting(library, one, shares) for one in hit.tracklets],
        }
        for hit in results
    ]


def _numbers(hit: "Hit | Dressed") -> dict[str, float]:
    from tracker.library.described import Dressed

    if isinstance(hit, Dressed):
        return {"colour_share": round(hit.share, 4)}
    return {"probability": round(hit.probability, 4), "evidence": round(hit.evidence, 4)}


def _sighting(library: "Library", one: "Found | Wearing", shares: Mapping[str, float]) -> dict[str, Any]:
    from tracker.library.searching import Found, play_command

    row = one.row
    return {
        "tracklet": row["key"],
        **({"probability": round(one.probability, 4)} if isinstance(one, Found) else {}),
        **({"colour_share": round(shares[row["key"]], 4)} if shares else {}),
        **{name: row[name] for name in ("camera", "recording", "first_frame", "last_frame")},
        **{name: round(row[name], 3) for name in ("start_s", "end_s", "file_start_s")},
        "absolute": row["absolute"],
        "path": row["path"],
        **({"photo": row["photo"]} if row["photo"] else {}),
        "crop": str(Path(library.meta.runs[row["run"]].path, row["crop"])),
        "play": play_command(row),
    }


def lines(library: "Library", results: "Sequence[Hit | Dressed]", shares: Mapping[str, float]) -> str:
    """For people; a line a sighting."""
    from tracker.cli.show import table
    from tracker.library.searching import Found, play_command

    recognised = bool(results) and isinstance(results[0].tracklets[0], Found)
    rows = []
    for hit in results:
        name = Path(library.meta.runs[hit.run].path).name
        own: Sequence[Found | Wearing] = hit.tracklets
        for place, one in enumerate(own):
            rows.append(
                [
                    *([said(hit), f"{name} {hit.identity}"] if place == 0 else ["", ""]),
                    *([said(one)] if recognised else []),
                    *([f"{shares[one.row['key']]:.2f}"] if shares else []),
                    one.row["camera"],
                    *_times(one.row),
                    f"{name}/{one.row['recording']}/{one.row['track_id']}",
                    str(Path(library.meta.runs[hit.run].path, one.row["crop"])),
                    play_command(one.row),
                ]
            )
    header = ["person" if recognised else "colour", "identity", *(["alone"] if recognised else [])]
    header += ["colour" if recognised else "alone"] if shares else []
    return table([*header, "camera", "first", "last", "tracklet", "best crop", "play"], rows)


def said(one: "Hit | Found | Dressed | Wearing") -> str:
    """The probability, or the share of a colour."""
    from tracker.library.searching import Found, Hit

    return f"{one.probability if isinstance(one, Hit | Found) else one.share:.2f}"


def _times(row: Mapping[str, Any]) -> list[str]:
    from tracker.cli.show import moment

    if row["photo"]:
        return [row["photo"], row["photo"]]
    return [moment(row[end], absolute=row["absolute"]) for end in ("start_s", "end_s")]


def draw(
    library: "Library",
    results: "Sequence[Hit | Dressed]",
    images: Sequence[str],
    tracks: Mapping[str, str],
    words: str,
    path: Path,
) -> list[Path]:
    """Write the montage.

    Args:
        library: searched.
        results: found in it.
        images: files of pictures that were looked for.
        tracks: tracklets that were: their keys by what the user called them.
        words: the colours asked for; "" for none.
        path: of the PNG.

    Raises:
        DataError: a picture cannot be read.
        RunError: it cannot be written.
    """
    from reid.images import read_image
    from tracker.files import writing
    from tracker.library.montage import Band, Cell, montage
    from tracker.progress import Progress

    keys = [one.row["key"] for hit in results for one in hit.tracklets]
    crops = _crops(library, [*keys, *tracks.values()])
    wanted = [Cell(read_image(Path(name)), [Path(name).name]) for name in images]
    wanted += [Cell(crops[key], [name]) for name, key in tracks.items()]
    title = f"looked for   {words}" if words else "looked for"
    bands = [_band(library, number, hit, crops) for number, hit in enumerate(results, 1)]
    with writing(path):
        return montage(path, f"reidtrack search {library.name}", Band(title, wanted), bands, Progress())


def _band(library: "Library", number: int, hit: "Hit | Dressed", crops: Mapping[str, np.ndarray]) -> "Band":
    from tracker.library.montage import Band, Cell
    from tracker.library.searching import Hit

    name = Path(library.meta.runs[hit.run].path).name
    how = f"{_sure(hit)}{' the person' if isinstance(hit, Hit) else ''}"
    cameras = ", ".join(dict.fromkeys(one.row["camera"] for one in hit.tracklets))
    cells: list[Cell] = [
        Cell(crops[one.row["key"]], [_sure(one), one.row["camera"], *_split(_times(one.row)[0])])
        for one in hit.tracklets
    ]
    return Band(f"{number}   {how}   {name} {hit.identity}   {cameras}", cells)


def _sure(one: "Hit | Found | Dressed | Wearing") -> str:
    from tracker.library.searching import Found, Hit
    from tracker.report import sureness

    return sureness(one.probability) if isinstance(one, Hit | Found) else f"colour {one.share:.2f}"


def _split(moment: str) -> list[str]:
    """A time above its date; anything else as it is.

    >>> _split("2026-03-03 22:00:05"), _split("1:15.2")
    (['22:00:05', '2026-03-03'], ['1:15.2'])
    """
    date, blank, time = moment.partition(" ")
    return [time, date] if blank and date.count("-") == 2 else [moment]


def _crops(library: "Library", keys: Sequence[str]) -> dict[str, Any]:
    """Best crops of tracklets, RGB; grey where the library's is damaged."""
    from reid.images import decode_image
    from tracker.library.store import reading

    if not keys:
        return {}
    with reading(library.name):
        rows = library.snapshot.rows(library.snapshot.find_all(list(dict.fromkeys(keys))), ["key", "jpeg"])
    blank = np.full((128, 64, 3), 200, np.uint8)
    decoded = {row["key"]: decode_image(np.frombuffer(row["jpeg"] or b"", np.uint8)) for row in rows}
    return {key: blank if image is None else image for key, image in decoded.items()}
