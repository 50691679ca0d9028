"""What a long job tells while it works: rate and time left, on stderr, for people and for log files alike."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

Advance = Callable[[int], None]


class Progress:
    """Progress on stderr: a live bar on a terminal, a line every ``every_s`` seconds elsewhere.

    Args:
        quiet: print notes only.
        every_s: between lines where stderr is no terminal.
    """

    def __init__(self, *, quiet: bool = False, every_s: float = 10.0) -> None:
        self.quiet, self.every_s = quiet, every_s
        self._live = sys.stderr.isatty() and not quiet

    def note(self, line: str) -> None:
        """A line that stays."""
        print(line, file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def stage(self, name: str, total: int, unit: str) -> Iterator[Advance]:
        """Show ``name`` while the block runs; call what it yields with the units just done.

        Args:
            name: of the stage.
            total: units expected; 0 where unknown.
            unit: plural noun.
        """
        if self._live:
            with _bar(name, total, unit) as advance:
                yield advance
        else:
            lines = _Lines(name, total, unit, float("inf") if self.quiet else self.every_s)
            yield lines.advance
            if not self.quiet:
                lines.finish()


class Timings:
    """Seconds that each part of a run took, in order."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Measure the block as ``part``."""
        began = time.monotonic()
        yield
        self.seconds[part] = round(time.monotonic() - began, 3)


@contextlib.contextmanager
def _bar(name: str, total: int, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.finished_speed or task.speed or 0:.1f} {unit}/s")

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Bar(*columns, Rate(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=total or None)
        yield lambda count: bar.advance(task, count)


class _Lines:
    def __init__(self, name: str, total: int, unit: str, every_s: float) -> None:
        self.name, self.total, self.unit, self.every_s = name, total, unit, every_s
        self.done = 0
        self.began = self.spoke = time.monotonic()

    def advance(self, count: int) -> None:
        self.done += count
        if time.monotonic() - self.spoke >= self.every_s:
            self.spoke = time.monotonic()
            rate = self.done / max(self.spoke - self.began, 1e-9)
            left = f", {clock((self.total - self.done) / rate)} left" if self.total > self.done and rate else ""
            of = f" of {self.total}" if self.total else ""
            print(f"{self.name}: {self.done}{of} {self.unit}, {rate:.1f} a second{left}", file=sys.stderr, flush=True)

    def finish(self) -> None:
        seconds = max(time.monotonic() - self.began, 1e-9)
        if self.done:
            print(
                f"{self.name}: {self.done} {self.unit} in {clock(seconds)}, {self.done / seconds:.1f} a second",
                file=sys.stderr,
                flush=True,
            )


def clock(seconds: float) -> str:
    """A duration for people.

    >>> clock(4.2), clock(75), clock(7384)
    ('4 s', '1 min 15 s', '2 h 03 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
