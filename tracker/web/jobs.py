"""Long work: what runs beside the pages, how far it is, and what came of it.

Work that writes runs one after the other, so that no run and no library is written to twice at once; what only reads
does not wait for it.
"""

import contextlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from reid.errors import ReidTrackError
from tracker.progress import Advance, Progress, clock

KEPT = 200
READERS = 2


@dataclass
class Job:
    """A piece of work.

    Attributes:
        title: what it does.
        subject: what it is about, such as a run's id.
        stage, done, total, unit: how far it is; ``total`` is 0 where unknown.
        notes: lines that it told.
        state: "waiting", "running", "done" or "failed".
        error: what went wrong, one line.
        result: what came of it.
        leads_to: the page that shows it.
    """

    title: str
    subject: str = ""
    leads_to: str = ""
    id: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    stage: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    notes: list[str] = field(default_factory=list)
    state: str = "waiting"
    error: str = ""
    result: Any = None
    began: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self.state in ("done", "failed")

    @property
    def told(self) -> str:
        """How far it is, in words."""
        if self.state == "waiting":
            return "waiting for other work to end"
        seconds = max(time.monotonic() - self.began, 1e-3)
        if not self.done:
            return f"{self.stage or 'working'}, for {clock(seconds)}"
        rate = self.done / seconds
        left = f", {clock((self.total - self.done) / rate)} left" if self.total > self.done else ""
        of = f" of {self.total}" if self.total else ""
        return f"{self.stage}: {self.done}{of} {self.unit}, {rate:.1f} a second{left}"


class JobProgress(Progress):
    """Progress that a job shows instead of the terminal."""

    def __init__(self, job: Job) -> None:
        super().__init__(quiet=True)
        self.job = job

    def note(self, line: str) -> None:
        """A line that stays."""
        self.job.notes.append(line)

    @contextlib.contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        """See ``Progress.stage``."""
        self.job.stage, self.job.total, self.job.unit, self.job.done = name, total, unit, 0
        self.job.began = time.monotonic()

        def advance(count: int) -> None:
            self.job.done += count

        yield advance


class Jobs:
    """All work of a site; the last ``KEPT`` pieces are remembered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._writing = ThreadPoolExecutor(1, "writing")
        self._reading = ThreadPoolExecutor(READERS, "reading")

    def get(self, name: str) -> Job | None:
        """A job by its id; None where it is not known any more."""
        return self._jobs.get(name)

    def current(self) -> list[Job]:
        """Those that have not ended."""
        with self._lock:
            return [job for job in self._jobs.values() if not job.over]

    def start(self, job: Job, work: Callable[[JobProgress], Any], *, writes: bool = False) -> Job:
        """Do some work beside the pages; its return value is the job's ``result``."""
        with self._lock:
            self._jobs[job.id] = job
            while len(self._jobs) > KEPT and next(iter(self._jobs.values())).over:
                self._jobs.popitem(last=False)
        (self._writing if writes else self._reading).submit(_run, job, work)
        return job

    def once(self, job: Job, work: Callable[[JobProgress], Any]) -> Job:
        """Start a job, or take the one of the same title and subject that was started before and has not failed."""
        with self._lock:
            same = (one for one in self._jobs.values() if (one.title, one.subject) == (job.title, job.subject))
            known = next((one for one in same if one.state != "failed"), None)
        return known or self.start(job, work)

    def close(self) -> None:
        """Wait until what is running has ended; what is waiting is not begun."""
        for pool in (self._reading, self._writing):
            pool.shutdown(wait=True, cancel_futures=True)


def _run(job: Job, work: Callable[[JobProgress], Any]) -> None:
    job.state, job.began = "running", time.monotonic()
    try:
        job.result = work(JobProgress(job))
        job.state = "done"
    except ReidTrackError as error:
        job.error, job.state = str(error), "failed"
    except Exception as error:  # a thread's own end would be told to nobody
        text = (str(error) or type(error).__name__).splitlines()[0]
        job.error, job.state = f"unexpected {type(error).__name__}: {text}; please report it", "failed"
