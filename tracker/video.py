"""Reading video with PyAV: true timestamps, upright pictures, bounded memory, damage survived."""

import contextlib
import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from tracker.errors import VideoError
from tracker.types import Frame, Image

# Formats whose clock starts anywhere (broadcast time); the others' time lines start at their own zero.
_BROADCAST_FORMATS = {"mpegts", "mpeg", "mpegtsraw"}
_REORDERED = 16  # pictures that H.264 and HEVC may hold back, at most
_TICK_S = 0.001  # of the coarsest clocks, Matroska's and Flash's: no time is truer than that


@dataclass(frozen=True)
class VideoInfo:
    """What a file says of itself before decoding.

    Attributes:
        codec: of the video stream, as FFmpeg names it.
        width, height: of the picture as it is stored, in pixels; whether it has to be turned to stand upright is known
            only with the first frame.
        frames: as declared, or estimated from duration and rate; 0 where neither is known.
        rate: average frames per second; 0 where unknown.
        duration_s: 0 where unknown.
    """

    codec: str
    width: int
    height: int
    frames: int
    rate: float
    duration_s: float


class VideoReader:
    """Frames of one file in order, by their true timestamps.

    Times are the file's own presentation times (variable frame rate and a video stream that starts late are kept)
    plus ``start_s``. MPEG transport and program streams, whose clocks start anywhere, count from their first moment.
    What cannot be decoded is skipped and counted in ``lost``.

    Args:
        path: the file.
        start_s: added to every time.
        fps: sample at most this many frames a second, on a grid that starts at the first frame; None takes all.

    Attributes:
        decoded: frames so far, those that sampling passes over included.
        lost: frames so far that were announced but cannot be had.

    Raises:
        VideoError: the file is absent, empty, not a video, or has no video stream.
    """

    def __init__(self, path: Path, start_s: float = 0.0, fps: float | None = None) -> None:
        self.path = path
        self.start_s = start_s
        self.fps = fps
        self.decoded = 0
        self.lost = 0
        self._container = _open(path)
        self._stream = self._video_stream()
        self.info = self._describe()
        self._announced = self._count_announced()
        self._trimmed = 0  # frames that an edit list hides

    def _video_stream(self) -> VideoStream:
        for stream in self._container.streams.video:
            if not stream.disposition & av.stream.Disposition.attached_pic:
                if stream.codec_context is None:
                    self._container.close()
                    raise VideoError(f"{self.path}: its codec is not known here; convert it to H.264")
                stream.thread_type = "AUTO"
                return stream
        held = ", ".join(sorted({stream.type for stream in self._container.streams})) or "nothing"
        self._container.close()
        raise VideoError(f"{self.path}: no video in it (it holds {held}); give a file with a video stream")

    def _describe(self) -> VideoInfo:
        stream, container = self._stream, self._container
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        duration = 0.0
        if stream.duration and stream.time_base:
            duration = float(stream.duration * stream.time_base)
        elif container.duration:
            duration = container.duration / av.time_base
        frames = stream.frames or round(duration * rate)
        return VideoInfo(stream.codec_context.name, stream.width, stream.height, frames, rate, duration)

    def __iter__(self) -> Iterator[Frame]:
        """Decode from the beginning; one pass per reader.

        Raises:
            VideoError: not one frame could be decoded.
        """
        origin = 0.0
        if self._container.format.name in _BROADCAST_FORMATS and self._container.start_time is not None:
            origin = self._container.start_time / av.time_base
        clock = _Clock(-origin, 1 / self.info.rate if self.info.rate else 0.04)
        grid = _Grid(1 / self.fps) if self.fps else None
        for picture in self._pictures():
            time_s = clock.read(picture.time)
            if time_s is None:
                self.lost += 1
                continue
            self.decoded += 1
            if grid is None or grid.takes(time_s):
                yield Frame(self.decoded + self.lost, time_s + self.start_s, upright(picture))
        self.close()
        if not self.decoded:
            raise VideoError(f"{self.path}: no frame can be decoded ({self.info.codec}); copy the file again")
        self.lost = max(self.lost, self._announced - self._trimmed - self.decoded)

    def _count_announced(self) -> int:
        """Frames that the file's index lists, whether or not they are there; 0 where it does not list them.

        Without its index, an AVI still tells the length in its header, in units of frames.
        """
        listed = len(self._stream.index_entries)
        return listed if self._stream.frames and listed > 1 else self._stream.frames

    def _pictures(self) -> Iterator[VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError):  # the container ends in rubble
                packet = None
            if packet is not None and packet.is_discard:
                self._trimmed += 1
            try:
                pictures = self._stream.codec_context.decode(packet)
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                self.lost += 1
                continue
            yield from pictures
            if packet is None:
                return

    def close(self) -> None:
        """Release the file; iterating to the end does it too."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(path: Path) -> InputContainer:
    try:
        if path.stat().st_size == 0:
            raise VideoError(f"{path}: the file is empty; copy it again")
        container = av.open(str(path), metadata_errors="replace")
    except FileNotFoundError:
        raise VideoError(f"{path}: no such file; check the path") from None
    except av.error.InvalidDataError:
        with contextlib.suppress(OSError), path.open("rb") as file:
            if file.read(12)[4:8] == b"ftyp":
                raise VideoError(
                    f"{path}: an MP4 without its index (moov), cut off while it was written or copied; copy it again"
                    " or rebuild the index with a repair tool"
                ) from None
        raise VideoError(f"{path}: not a video that can be read; check that it is the right file") from None
    except (av.error.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: cannot be opened ({error.strerror}); check the file and its permissions") from None
    return container


@dataclass
class _Clock:
    """A file's timestamps made into times that only grow.

    After damage a decoder hands out a few pictures that come too late; they have no place any more. A clock that stays
    behind for longer, or stands still, is broken or begins anew, as in joined recordings: it goes on where it was.
    """

    shift_s: float
    step_s: float
    last_s: float | None = None
    stamp_s: float | None = None
    late: int = 0

    def read(self, stamp_s: float | None) -> float | None:
        """The time of the next picture; None where it comes too late to have one."""
        if self.last_s is None:
            time_s = 0.0 if stamp_s is None else stamp_s + self.shift_s
        elif stamp_s is None:
            time_s = self.last_s + self.step_s
        else:
            time_s = stamp_s + self.shift_s
            if time_s <= self.last_s:
                self.late += 1
                if self.late <= _REORDERED and stamp_s != self.stamp_s:
                    return None
                time_s = self.last_s + self.step_s
                self.shift_s = time_s - stamp_s
        self.late, self.last_s, self.stamp_s = 0, time_s, stamp_s
        return time_s


@dataclass
class _Grid:
    """Sampling instants ``period_s`` apart, the first at the first frame; each takes the first frame not before it."""

    period_s: float
    due_s: float | None = None

    def takes(self, time_s: float) -> bool:
        """Whether the frame at ``time_s`` is taken."""
        if self.due_s is None:
            self.due_s = time_s
        ahead_s = time_s - self.due_s + min(_TICK_S, self.period_s / 4)
        if ahead_s < 0:
            return False
        self.due_s += self.period_s * (int(ahead_s / self.period_s) + 1)
        return True


def upright(picture: VideoFrame) -> Image:
    """Convert to (h, w, 3) BGR, turned as the file's display matrix says."""
    image = picture.to_ndarray(format="bgr24")
    turns = round(picture.rotation / 90) % 4
    return cast(Image, np.ascontiguousarray(np.rot90(image, turns)) if turns else image)


def read_ahead(frames: Iterator[Frame], depth: int = 32) -> Generator[Frame]:
    """Run ``frames`` in a thread, at most ``depth`` frames ahead of their use; errors arrive in order.

    Closing the returned generator stops the thread.
    """
    buffer: queue.SimpleQueue[Frame | BaseException | None] = queue.SimpleQueue()
    room = threading.Semaphore(depth)
    stopped = threading.Event()

    def fill() -> None:
        try:
            while room.acquire() and not stopped.is_set():
                frame = next(frames, None)
                buffer.put(frame)
                if frame is None:
                    return
        except BaseException as error:  # handed to the reading thread, which raises it
            buffer.put(error)

    thread = threading.Thread(target=fill, name="decode", daemon=True)
    thread.start()
    try:
        while (item := buffer.get()) is not None:
            room.release()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        room.release()
        thread.join()
