"""One writer at a time: a lock on a folder, which the system frees when its owner ends, however that happens."""

import contextlib
import errno
import getpass
import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from reid.errors import DataError
from tracker.manifest import now

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}  # of file systems, such as some network ones


@contextlib.contextmanager
def only_writer(folder: Path, name: str | os.PathLike[str]) -> Iterator[None]:
    """Be the only one who writes into a folder, which is there or is made; where locks exist.

    Args:
        folder: gets the lock; other machines that see the folder see it too.
        name: of what is written, in messages.

    Raises:
        DataError: somebody else is writing, whom the message names; or the folder cannot be written.
    """
    owner = folder / ".writer.json"
    lock = FileLock(folder / ".writer.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise DataError(f"{name}: {_owner(owner)} is writing to it; wait until that has ended") from None
    except NotImplementedError:
        pass
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise DataError(
                f"{name}: cannot be written ({error.strerror or error}); choose a folder that you may write to"
            ) from None
    try:
        with contextlib.suppress(OSError):  # a full disk is told of by what is written next
            who = {"user": _user(), "host": platform.node(), "pid": os.getpid(), "since": now()}
            owner.write_text(json.dumps(who), encoding="utf-8")
        yield
    finally:
        with contextlib.suppress(OSError):
            owner.unlink(missing_ok=True)
        lock.release()


def _owner(path: Path) -> str:
    try:
        who = json.loads(path.read_text(encoding="utf-8"))
        return f"{who['user']}@{who['host']}, process {who['pid']}, since {who['since']},"
    except (OSError, ValueError, KeyError):
        return "another process"


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"
