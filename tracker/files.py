"""Files and folders: the user's cache, content hashes, files that appear whole or not at all."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from tracker.errors import RunError


def cache_folder(*parts: str) -> Path:
    """A folder below the user's cache (``REIDTRACK_CACHE`` moves it), created where absent.

    Raises:
        RunError: it cannot be created.
    """
    root = os.environ.get("REIDTRACK_CACHE") or platformdirs.user_cache_dir("reidtrack", appauthor=False)
    folder = Path(root, *parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot be created ({error.strerror}); set REIDTRACK_CACHE to a folder") from None
    return folder


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(*parts: object) -> str:
    """A short name for a combination of inputs: 16 hexadecimal digits of their representation's SHA-256."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; moved there on success, removed on any error.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            partial.replace(path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while writing ``path`` into one clear line.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror or error}); {remedy(path)}") from None


def remedy(path: Path) -> str:
    """What to do where ``path`` cannot be written."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(path.parent).free < 50_000_000:
            return "free some disk space and run the same command again: what is done is kept"
    return "choose a folder that you may write to"
