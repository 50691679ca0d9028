"""One writer at a time: a lock on a folder, which the system frees when its owner ends, however that happens."""

import contextlib
import errno
import getpass
import json
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from reid.errors import ReidTrackError
from tracker.errors import RunError
from tracker.files import remedy

LOCK, OWNER = ".writer.lock", ".writer.json"
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}  # of file systems, such as some network ones


@contextlib.contextmanager
def only_writer(folder: Path, name: str | os.PathLike[str], refusal: type[ReidTrackError] = RunError) -> Iterator[None]:
    """Be the only one who writes into a folder, which is there or is made; where locks exist.

    Args:
        folder: gets the lock; other machines that see the folder see it too.
        name: of what is written, in messages.
        refusal: what is raised.

    Raises:
        ReidTrackError: ``refusal``: somebody else is writing, whom the message names; or the folder cannot be written.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _try(folder)
    except Timeout:
        raise refusal(f"{name}: {_owner(folder)} is writing to it; wait until that has ended") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            what = f"{folder}: cannot be written ({error.strerror or error}); {remedy(folder)}"
            raise refusal(what) from None
        lock = None
    try:
        with contextlib.suppress(OSError):  # a full disk is told of by what is written next
            since = datetime.now(UTC).isoformat(timespec="seconds")
            who = {"user": _user(), "host": platform.node(), "pid": os.getpid(), "since": since}
            (folder / OWNER).write_text(json.dumps(who), encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / OWNER).unlink(missing_ok=True)
        if lock is not None:
            lock.release()
        if made:
            _leave(folder)


def writer_of(folder: Path) -> str | None:
    """Who is writing into a folder now, in words; None where nobody is."""
    if not (folder / LOCK).exists():
        return None
    try:
        _try(folder).release()
    except Timeout:
        return _owner(folder)
    except OSError:
        pass
    return None


def _try(folder: Path) -> FileLock:
    lock = FileLock(folder / LOCK, fallback_to_soft=False)
    lock.acquire(timeout=0)
    return lock


def _leave(folder: Path) -> None:
    """Take away a folder that was made for the lock, where nothing else was written."""
    with contextlib.suppress(OSError):
        if all(path.name == LOCK for path in folder.iterdir()):
            (folder / LOCK).unlink(missing_ok=True)
            folder.rmdir()


def _owner(folder: Path) -> str:
    try:
        who = json.loads((folder / OWNER).read_text(encoding="utf-8"))
        return f"{who['user']}@{who['host']}, process {who['pid']}, since {who['since']},"
    except (OSError, ValueError, KeyError):
        return "another process"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody"
