"""A file appears whole or not at all, and what stands in its way is told in one line."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from reid.errors import BadInputError


@contextlib.contextmanager
def placed(out: Path) -> Iterator[Path]:
    """Yield a path beside ``out`` to write to; it becomes ``out`` where the block ends well, else it is removed.

    It keeps the ending of ``out``, by which some libraries choose what they write.

    Raises:
        BadInputError: ``out`` is a folder or cannot be written.
    """
    if out.is_dir():
        raise BadInputError(f"{out}: is a folder; give the path of the file to write")
    partial = out.with_name(f".partial.{out.name}")
    try:
        with writing(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            partial.touch()  # fails now, not after the work
        yield partial
        with writing(out):
            partial.replace(out)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def check_target(out: Path, ending: str, source: str | Path = "") -> None:
    """Refuse a path that nothing should be written to, before any work.

    Args:
        out: what is to be written.
        ending: that it needs, because other commands choose by it how to read a file; empty for any.
        source: what it is made of, which it must not replace.

    Raises:
        BadInputError: naming what to give instead.
    """
    if out.is_dir():
        raise BadInputError(f"{out}: is a folder; give the path of the file to write")
    if ending and out.suffix != ending:
        raise BadInputError(f"{out}: what is written here ends in {ending}; give a name such as {out.stem}{ending}")
    if source and out.exists() and Path(source).exists() and out.samefile(source):
        raise BadInputError(f"{out}: is what it would be made of, and would be lost; give another path")


@contextlib.contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn whatever the system says while ``out`` is written into one line.

    Raises:
        BadInputError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise BadInputError(f"{out}: cannot be written ({error.strerror or error}); choose another path") from None
