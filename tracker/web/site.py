"""What all pages share: the library as it is now, its runs, the models, and the work in progress."""

import functools
import secrets
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from fastapi import HTTPException, Request

from tracker.errors import RunError
from tracker.library.schema import RunEntry
from tracker.library.store import Library
from tracker.manifest import recording_of
from tracker.store import Run
from tracker.types import Recording, Times
from tracker.web.catalogue import Catalogue
from tracker.web.clock import Clocks
from tracker.web.jobs import Jobs
from tracker.web.models import Models
from tracker.web.queries import Queries

CHECKED_S = 2.0  # how often it is seen whether somebody has changed the library


class Site:
    """A served library.

    Args:
        name: path or URL of the library.
        token: that visitors have to show; None where the machine's own users may all come.
        device: for models, as in ``Embedder``.
        embedder: file or name, where it is no longer where the runs found it.

    Attributes:
        csrf: what every form has to bring back.
        scratch: a folder for visitors' pictures, removed at the end.
        jobs: long work.
        queries: visitors' searches by pictures.
        models: what turns pictures into vectors.

    Raises:
        DataError: the library is absent, damaged, or of another version.
    """

    def __init__(self, name: str, token: str | None, device: str = "auto", embedder: str | None = None) -> None:
        self.name, self.token = name, token
        self.csrf = secrets.token_urlsafe(32)
        self.jobs = Jobs()
        self.queries = Queries()
        self.models = Models(device, embedder)
        self._clocks = Clocks()
        self._lock = threading.Lock()
        self._library = Library.open(name)
        self._scratch = tempfile.TemporaryDirectory(prefix="reidtrack-", ignore_cleanup_errors=True)
        self.scratch = Path(self._scratch.name)
        self._checked = time.monotonic()
        self._catalogue: Catalogue | None = None

    def close(self) -> None:
        """Wait for what is being written, and remove visitors' pictures."""
        self.jobs.close()
        self._scratch.cleanup()

    def library(self, *, fresh: bool = False) -> Library:
        """The library, opened anew where somebody has changed it.

        Args:
            fresh: look now, however recently it was done.

        Raises:
            DataError: it cannot be read.
        """
        with self._lock:
            if fresh or time.monotonic() - self._checked > CHECKED_S:
                found = Library.open(self.name)
                self._checked = time.monotonic()
                if found.meta != self._library.meta:
                    self._library, self._catalogue = found, None
            return self._library

    def catalogue(self) -> Catalogue:
        """The library's tracklets.

        Raises:
            DataError: it cannot be read.
        """
        library = self.library()
        with self._lock:
            if self._catalogue is None or self._library is not library:
                self._catalogue = Catalogue(self._library)
            return self._catalogue

    def entry(self, run: str) -> RunEntry:
        """A run of the library by its whole id; otherwise status 404."""
        entry = self.library().meta.runs.get(run)
        if entry is None:
            raise HTTPException(404, "The library holds no such run.")
        return entry

    def run(self, run: str) -> Run:
        """A run of the library, opened; status 404 where the library holds none.

        Raises:
            RunError: its folder is gone or damaged.
        """
        entry = self.entry(run)
        return _opened(entry.path, _stamp(entry.path))

    def recording(self, run: str, name: str) -> Recording:
        """A recording of a run; status 404 where there is none.

        Raises:
            RunError: the run's folder is gone or damaged.
        """
        return recording_of(self.recorded(run, name))

    def recorded(self, run: str, name: str) -> dict[str, Any]:
        """A recording as ``run.json`` lists it, likewise."""
        for entry in self.run(run).manifest["recordings"]:
            if entry["name"] == name and "video" in entry:
                return dict(entry)
        raise HTTPException(404, "The run has no such recording.")

    def times(self, run: str, recording: Recording) -> Times:
        """(n,) seconds of every frame of a video on its own time line; see ``Clocks``.

        Raises:
            VideoError: the file is absent or no video.
        """
        rows = self.catalogue().on(run, recording.name)
        return self._clocks.times(recording, {row["first_frame"]: row["file_start_s"] for row in rows})

    def tracklet(self, run: str, recording: str, number: int) -> dict[str, Any]:
        """A tracklet's row; status 404 where there is none."""
        row = self.catalogue().row(run, recording, number)
        if row is None:
            raise HTTPException(404, "The library has no such sighting; its run may have been linked again.")
        return row


@functools.lru_cache(maxsize=32)
def _opened(path: str, stamp: int) -> Run:
    return Run.open(path)


def _stamp(path: str) -> int:
    try:
        return (Path(path) / "run.json").stat().st_mtime_ns
    except OSError:
        raise RunError(
            f"{path}: the run's folder is gone, so that only the library's own pictures can be shown"
        ) from None


def site_of(request: Request) -> Site:
    """The site that a request is to."""
    site: Site = request.app.state.site
    return site
