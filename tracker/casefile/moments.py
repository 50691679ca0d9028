"""A sighting's moment, cut out of its recording: a clip by true timestamps, a still picture, the person's box drawn.

Frames are counted from the beginning of a file. To begin late in a long one, decoding starts at a key frame, and the
tracklet's first frame, of which number and moment are known, tells the number of all others. Where no frame is at that
moment (the file's clock is broken), everything is decoded from the beginning.
"""

import bisect
import contextlib
import itertools
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer

from reid.errors import ReidTrackError
from tracker.album import read_photo
from tracker.casefile.cases import Sighting
from tracker.encode import VideoWriter
from tracker.errors import RunError, VideoError
from tracker.files import whole_file
from tracker.manifest import recording_of
from tracker.relinking.corrections import parse_key
from tracker.render import draw
from tracker.scoring.boxes import read_mot_lines
from tracker.store import Run, tracks_name
from tracker.types import Floats, Frame, Image
from tracker.video import VideoReader, upright

NEAR_S = 60.0  # up to here decoding everything is quick enough
GAP_S = 1.0  # between two boxes, at most, for the box to be drawn in between
_SAME_S = 1e-3  # moments that differ by less are one
_SEEK_S = 2.0  # how much earlier than wanted decoding begins, for what key frames promise and do not keep
_JPEG_QUALITY = 88


@dataclass(frozen=True)
class Trail:
    """Where a person is in the frames of a recording.

    Attributes:
        frames: ascending, those that were looked at.
        boxes: (n, 4) xyxy pixels.
    """

    frames: Sequence[int] = ()
    boxes: Floats = field(default_factory=lambda: np.zeros((0, 4), np.float32))

    def at(self, frame: int, rate: float) -> Floats | None:
        """(4,) the box in a frame; between two frames that were looked at, in between; None where nobody is."""
        right = bisect.bisect_left(self.frames, frame)
        if right < len(self.frames) and self.frames[right] == frame:
            return np.asarray(self.boxes[right], np.float32)
        if not 0 < right < len(self.frames):
            return None
        before, after = self.frames[right - 1], self.frames[right]
        if (after - before) > GAP_S * (rate or 25):
            return None
        share = (frame - before) / (after - before)
        return np.asarray((1 - share) * self.boxes[right - 1] + share * self.boxes[right], np.float32)


def trail_of(sighting: Sighting) -> Trail:
    """Where a sighting's person is, by the run's files as they are now.

    Raises:
        ReidTrackError: the run is not there or has no such tracklet any more.
    """
    row = sighting.row
    run = Run.open(row["folder"])
    name = f"{row['recording']}/{row['track_id']}"
    number = next(
        (one["identity"] for one in run.identities() if name in {member["tracklet"] for member in one["tracklets"]}),
        None,
    )
    if number is None:
        raise RunError(f"{run.path}: has no tracklet {name} any more, so that no box is drawn")
    recordings = [recording_of(entry) for entry in run.manifest["recordings"]]
    (own,) = [one for one in recordings if one.name == parse_key(name).recording]
    boxes = read_mot_lines(run.path / tracks_name(own, recordings), once=False).boxes
    rows = (boxes.id == number) & (boxes.frame >= row["first_frame"]) & (boxes.frame <= row["last_frame"])
    frames, first = np.unique(boxes.frame[rows], return_index=True)
    return Trail(frames.tolist(), boxes.xyxy[rows][first].astype(np.float32))


def passage(path: Path, begin_s: float, end_s: float, known: tuple[int, float]) -> Generator[Frame]:
    """The frames of a video between two moments, with their true numbers.

    Args:
        path: the file.
        begin_s, end_s: on the file's own time line, both included.
        known: number and moment of one frame.

    Raises:
        VideoError: it cannot be read, or nothing can be decoded.
    """
    first = _number_of_first(path, begin_s, known) if begin_s > NEAR_S else None
    if first is None:
        with VideoReader(path) as video:
            for frame in video:
                if frame.time_s > end_s + _SAME_S:
                    return
                if frame.time_s >= begin_s - _SAME_S:
                    yield frame
        return
    with _opened(path) as container:
        pictures = ((time_s, picture) for time_s, picture in _from(container, begin_s) if time_s >= begin_s - _SAME_S)
        for number, (time_s, picture) in enumerate(pictures, first):
            if time_s > end_s + _SAME_S:
                return
            yield Frame(number, time_s, upright(picture))


def _number_of_first(path: Path, begin_s: float, known: tuple[int, float]) -> int | None:
    """Number of the first frame from ``begin_s`` on, counted from the known one; None where that is not found."""
    number, moment = known
    early, late = min(begin_s, moment), max(begin_s, moment)
    with _opened(path) as container:
        times = []
        for time_s, _ in _from(container, early):
            if time_s > late + _SAME_S:
                break
            times.append(time_s)
    if times != sorted(times) or not times:
        return None
    place = min(range(len(times)), key=lambda at: abs(times[at] - moment))
    if abs(times[place] - moment) > _SAME_S:
        return None
    return number + bisect.bisect_left(times, begin_s - _SAME_S) - place


def _from(container: InputContainer, begin_s: float) -> Iterator[tuple[float, "av.VideoFrame"]]:
    """Decoded pictures with their moments, from a key frame before ``begin_s`` on."""
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    base = stream.time_base
    if base is None:
        raise VideoError(f"{container.name}: its video has no clock; convert it to MP4")
    container.seek(max(int((begin_s - _SEEK_S) / base), 0), stream=stream, backward=True)
    for picture in container.decode(stream):
        if picture.time is not None:
            yield picture.time, picture


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    with VideoReader(path):  # says in one line what is wrong with a file
        pass
    with av.open(str(path), metadata_errors="replace") as container:
        yield container


def write_moment(sighting: Sighting, clip: Path, still: Path, margin_s: float) -> list[str]:
    """Write a sighting's clip and still picture; of one on a photo, the photo alone.

    Args:
        sighting: which; its recording is there and unchanged.
        clip, still: files to make, whole or not at all.
        margin_s: shown before it and after it.

    Returns:
        What could not be done, in words.

    Raises:
        VideoError: the recording cannot be read.
        RunError: a file cannot be written.
    """
    notes = []
    try:
        trail = trail_of(sighting)
    except ReidTrackError as error:
        trail = Trail()
        notes.append(str(error))
    row = sighting.row
    if row["photo"]:
        _write_photo(sighting, trail, still)
        return notes
    begin_s, end_s = sighting.begin_s - margin_s, sighting.end_s + margin_s
    frames = passage(Path(row["path"]), begin_s, end_s, (row["first_frame"], row["file_start_s"]))
    with VideoReader(Path(row["path"])) as video:
        rate = video.info.rate
    with contextlib.closing(frames):
        if not _write_clip(sighting, frames, trail, rate, clip, still):
            raise VideoError(f"{row['path']}: nothing can be decoded from {begin_s:.1f} to {end_s:.1f} s")
    return notes


def _write_clip(
    sighting: Sighting, frames: Iterator[Frame], trail: Trail, rate: float, clip: Path, still: Path
) -> bool:
    row, best, shown = sighting.row, _best_frame(sighting), None
    first = next(frames, None)
    if first is None:
        return False
    with VideoWriter(clip, first.image.shape[1], first.image.shape[0], rate) as writer:
        for frame in itertools.chain([first], frames):
            box = trail.at(frame.index, rate)
            caption = f"{row['camera']}  {row['recording']}  {frame.time_s:.2f} s  frame {frame.index}"
            picture = draw(frame.image, [] if box is None else [(row["identity"], box)], caption)
            writer.write(picture, frame.time_s - first.time_s)
            if shown is None or frame.index == best or frame.time_s <= sighting.begin_s:
                shown = picture
    assert shown is not None, "there is a first frame"
    _write_jpeg(still, shown)
    return True


def _best_frame(sighting: Sighting) -> int:
    """Number of the frame to show: that of the best crop, else the first."""
    tail = Path(sighting.row["crop"]).stem.rpartition("_")[2]
    return int(tail) if tail.isdecimal() else int(sighting.row["first_frame"])


def _write_photo(sighting: Sighting, trail: Trail, still: Path) -> None:
    path = Path(sighting.row["path"], sighting.row["photo"])
    image = read_photo(path)
    if image is None:
        raise VideoError(f"{path}: not a picture that can be decoded")
    box = trail.at(int(sighting.row["first_frame"]), 0)
    row = sighting.row
    _write_jpeg(still, draw(image, [] if box is None else [(row["identity"], box)], f"{row['camera']}  {row['photo']}"))


def _write_jpeg(path: Path, picture: Image) -> None:
    with whole_file(path) as partial:
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
        partial.write_bytes(data.tobytes())
