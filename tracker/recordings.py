"""From what the user names on the command line to recordings: files, folders, globs, camera names, clocks."""

import contextlib
import glob
import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from reid.errors import BadInputError

VIDEO_SUFFIXES = {
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp",
    ".asf", ".vob", ".ogv", ".mxf", ".dav", ".264", ".h264", ".265", ".h265", ".hevc",
}  # fmt: skip
PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


def expand(sources: Sequence[str]) -> list[Path]:
    """Files from files, folders and glob patterns, in the order given; a folder's or pattern's own sorted by name.

    A file that a folder or pattern brings a second time is taken once.

    Raises:
        BadInputError: a source matches nothing, or a file is named twice.
    """
    named: dict[Path, Path] = {}
    found: dict[Path, Path] = {}
    for source in sources:
        path = Path(source).expanduser()
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file())
            if not files:
                raise BadInputError(
                    f"{source}: no videos in this folder; give a folder of recordings or name the files"
                )
        elif not path.exists() and glob.has_magic(source):
            files = [Path(match) for match in sorted(glob.glob(str(path), recursive=True)) if Path(match).is_file()]  # noqa: PTH207
            if not files:
                raise BadInputError(f"{source}: no file matches this pattern; check it against the folder")
        else:
            if path.resolve() in named:
                raise BadInputError(f"{source}: given twice; a recording counts once, name each file one time")
            named[path.resolve()] = path
            files = [path]
        for file in files:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def albums(sources: Sequence[str]) -> list[Path]:
    """Folders of photos, in the order given.

    Raises:
        BadInputError: a source is no folder, holds no photo, or is given twice.
    """
    named: dict[Path, Path] = {}
    for source in sources:
        folder = Path(source).expanduser()
        if not folder.is_dir():
            what = "is a file" if folder.exists() else "no such folder"
            raise BadInputError(f"{source}: {what}; give --images a folder of photos")
        if folder.resolve() in named:
            raise BadInputError(f"{source}: given twice; an album counts once, name each folder one time")
        names = [path.name for path in folder.iterdir() if path.is_file()]
        if not any(map(is_photo, names)):
            if any(map(is_heic, names)):
                raise BadInputError(f"{source}: HEIC pictures only, which cannot be read here; convert them to JPEG")
            raise BadInputError(
                f"{source}: no photos in this folder (those in folders below it do not count); give a folder of JPEG,"
                " PNG, WebP, BMP or TIFF files"
            )
        named[folder.resolve()] = folder
    return list(named.values())


def is_photo(name: str) -> bool:
    """Whether a file's name is a photo's; hidden ones are other systems' notes about photos."""
    return Path(name).suffix.lower() in PHOTO_SUFFIXES and not name.startswith(".")


def is_heic(name: str) -> bool:
    """Whether a file's name is that of a HEIC picture, a format that OpenCV does not read."""
    return Path(name).suffix.lower() in {".heic", ".heif"} and not name.startswith(".")


def natural_order(names: Iterable[str]) -> list[str]:
    """Sort names as people count, whatever their case.

    >>> natural_order(["IMG_10.jpg", "img_9.jpg", "cover.png"])
    ['cover.png', 'img_9.jpg', 'IMG_10.jpg']
    """

    def key(name: str) -> tuple[list[str | int], str]:
        parts = re.split(r"(\d+)", name.casefold())  # numbers are at odd places
        return [int(part) if place % 2 else part for place, part in enumerate(parts)], name

    return sorted(names, key=key)


def names_for(paths: Sequence[Path]) -> list[str]:
    """Distinct names: the file's stem or the folder's name, with its own folder's in front where they repeat, then a
    number.
    """
    stems = [path.resolve().name if path.is_dir() else path.stem for path in paths]
    names = [
        f"{path.resolve().parent.name}_{stem}" if stems.count(stem) > 1 else stem
        for path, stem in zip(paths, stems, strict=True)
    ]
    distinct: list[str] = []
    for name in map(safe_name, names):
        number, candidate = 2, name
        while candidate.casefold() in {taken.casefold() for taken in distinct}:
            candidate, number = f"{name}_{number}", number + 1
        distinct.append(candidate)
    return distinct


def safe_name(name: str) -> str:
    """A name that can be a file's on every system: other characters than letters, digits and ._+- become _.

    >>> safe_name("Gate 3: east/west")
    'Gate_3_east_west'
    """
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "recording"


def parse_start(text: str) -> tuple[float, bool]:
    """A recording's start: a clock time, or seconds to shift its own time line.

    Args:
        text: ISO 8601 such as ``2026-03-01T22:15:00`` (UTC unless it carries an offset), or a number of seconds.

    Returns:
        Seconds, and whether they are since the epoch.

    Raises:
        BadInputError: neither form.

    >>> parse_start("12.5")
    (12.5, False)
    >>> parse_start("1970-01-01T00:01:00")
    (60.0, True)
    >>> parse_start("1970-01-01T01:01:00+01:00")
    (60.0, True)
    """
    with contextlib.suppress(ValueError):
        if math.isfinite(seconds := float(text)):
            return seconds, False
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadInputError(
            f"--start-times: {text!r} is neither a clock time (2026-03-01T22:15:00) nor a number of seconds"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp(), True


def parse_starts(texts: Sequence[str], count: int) -> tuple[list[float], bool]:
    """Starts of all videos; none given means that all start at 0 on their own time line.

    Returns:
        (count seconds, whether they are since the epoch).

    Raises:
        BadInputError: not one per recording, or clock times mixed with seconds.
    """
    if not texts:
        return [0.0] * count, False
    if len(texts) != count:
        raise BadInputError(f"--start-times: {len(texts)} given for {count} videos; give one each, in their order")
    starts = [parse_start(text) for text in texts]
    if len({absolute for _, absolute in starts}) > 1:
        raise BadInputError("--start-times: clock times and seconds are mixed; use one form for all recordings")
    return [seconds for seconds, _ in starts], starts[0][1]
