"""Which frame of a recording is when, without decoding it: the times that ``tracker.video`` gives its frames.

A file's packets carry the times of its frames; sorted, the n-th is frame n's. Where a file is damaged that may be
wrong, so it is compared with what the run saw; where they disagree the whole file is decoded once. What was found is
kept in the cache.
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np

from tracker.errors import VideoError
from tracker.files import cache_folder, whole_file
from tracker.types import Floats, Recording, Times
from tracker.video import VideoReader
from tracker.web.containers import opened

KEPT = 16  # recordings in memory; an hour at 25 frames a second is 0.7 MB
EXACT_S = 0.0015  # a run's own times are those of its container, as fine as a millisecond


class Clocks:
    """The times of recordings' frames, on the files' own time lines; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Times] = OrderedDict()

    def times(self, recording: Recording, seen: Mapping[int, float]) -> Times:
        """(n,) seconds of every frame, frame 1 first; NaN for one that cannot be decoded.

        Args:
            recording: a video.
            seen: some frames' times as the run knows them, on the file's own time line.

        Raises:
            VideoError: the file is absent or no video.
        """
        with self._lock:
            if recording.content in self._known:
                self._known.move_to_end(recording.content)
                return self._known[recording.content]
            times = _cached(recording.content)
            if times is None:
                times = packet_times(recording.path)
                if not agree(times, seen):
                    times = decoded_times(recording.path)
                _keep(recording.content, times)
            self._known[recording.content] = times
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
            return times


def frame_at(times: Times, time_s: float) -> int:
    """The number, from 1, of the frame that is shown at a moment; the first before there is any."""
    whole = np.where(np.isnan(times), -np.inf, times)
    shown = np.flatnonzero(whole <= time_s + EXACT_S)
    return int(shown[-1]) + 1 if len(shown) else 1


def agree(times: Times, seen: Mapping[int, float]) -> bool:
    """Whether the times of frames are those that a run saw.

    >>> times = np.array([0.0, 0.04, 0.08])
    >>> agree(times, {2: 0.04}), agree(times, {2: 0.08}), agree(times, {4: 0.12})
    (True, False, False)
    """
    return all(0 < frame <= len(times) and abs(times[frame - 1] - time_s) <= EXACT_S for frame, time_s in seen.items())


def packet_times(path: Path) -> Times:
    """(n,) what the file's packets say, sorted, without those that an edit list hides.

    Raises:
        VideoError: the file is absent or no video.
    """
    stamps = []
    with opened(path) as file, contextlib.suppress(av.error.FFmpegError, OSError):  # rubble; the run knows better
        for packet in file.container.demux(file.stream):
            if packet.pts is not None and not packet.is_discard:
                stamps.append(float(packet.pts * packet.time_base) - file.origin_s)  # noqa: PERF401 - until it breaks
    return np.array(sorted(stamps), np.float64)


def decoded_times(path: Path) -> Times:
    """(n,) what decoding the whole file says; NaN for frames that are lost."""
    found: dict[int, float] = {}
    with VideoReader(path) as video:
        for frame in video:
            found[frame.index] = frame.time_s
    if not found:
        raise VideoError(f"{path}: no frame can be decoded; copy the file again")
    times = np.full(max(found), np.nan)
    times[np.array(list(found)) - 1] = list(found.values())
    return times


def _cached(content: str) -> Times | None:
    path = _path(content)
    try:
        times: Floats = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return np.asarray(times, np.float64) if times.ndim == 1 and len(times) else None


def _keep(content: str, times: Times) -> None:
    with whole_file(_path(content)) as partial, partial.open("wb") as file:
        np.save(file, times)


def _path(content: str) -> Path:
    return cache_folder("clocks") / f"{content[:32]}.npy"
