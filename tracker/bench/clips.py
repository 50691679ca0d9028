"""What trackers are measured on: a clip's pictures, its truth, and detections that are made once.

A clip is a folder of MOT-Challenge's layout (``img1/``, ``gt/gt.txt``, and ``seqinfo.ini``, which tells the frame rate,
where there is one), or a video with its truth in a file of its own.
"""

import configparser
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path

import cv2

from reid.errors import BadInputError, DataError
from tracker.detect import Detector
from tracker.files import sha256
from tracker.progress import Advance
from tracker.recordings import natural_order
from tracker.scoring.truth import Truth, read_truth
from tracker.stages import DetectionLog, detections_path
from tracker.track import batches
from tracker.track import detections_of as detect_or_recall
from tracker.types import Detections, Frame, Image
from tracker.video import VideoReader

Stage = Callable[[str, int, str], AbstractContextManager[Advance]]

RATE = 25.0  # frames a second of a folder that does not tell
PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Clip:
    """A clip with known people.

    Attributes:
        name: of the folder or the video.
        path: a folder of pictures or a video.
        truth: who is where.
        rate: frames a second.
        retimed: the frames come at this rate, whatever times the video tells.
        content: hash of the pictures.
        length: frames expected; 0 where unknown.
    """

    name: str
    path: Path
    truth: Truth
    rate: float
    content: str
    length: int
    retimed: bool = False

    def frames(self) -> Iterator[Frame]:
        """Its pictures in order, from frame 1.

        Raises:
            DataError: a picture cannot be read.
            VideoError: the video cannot be read.
        """
        if not self.path.is_dir():
            with VideoReader(self.path) as video:
                for frame in video:
                    yield replace(frame, time_s=(frame.index - 1) / self.rate) if self.retimed else frame
            return
        for number, path in enumerate(_pictures(self.path), 1):
            image: Image | None = cv2.imread(str(path))  # type: ignore[assignment]
            if image is None:
                raise DataError(f"{path}: not a picture that can be read; copy it again")
            yield Frame(number, (number - 1) / self.rate, image)


def open_clip(text: str) -> Clip:
    """Open a clip by its description: ``FOLDER[,rate=14]`` or ``VIDEO,truth=FILE[,rate=10]``.

    Args:
        text: the rate is that of the file where it is not given, 25 for a folder that does not tell; where it is
            given, frames come at it, also those of a video.

    Raises:
        BadInputError: an unknown or malformed option, a video without truth, or a folder with it.
        DataError: the folder has no pictures, or the truth is absent, malformed or empty.
        VideoError: the video cannot be read.
    """
    path, options = _parse(text)
    if path.is_dir():
        if "truth" in options:
            raise BadInputError(f"--data {text}: a folder has its truth in gt/gt.txt; leave truth= out")
        pictures = _pictures(path / "img1")
        content = hashlib.sha256("".join(map(sha256, pictures)).encode()).hexdigest()
        rate, length = _folder_rate(path), len(pictures)
        truth_path, source = path / "gt" / "gt.txt", path / "img1"
    else:
        if "truth" not in options:
            raise BadInputError(f"--data {text}: no such folder; a video needs its people: {path},truth=FILE")
        with VideoReader(path) as video:
            rate, length = video.info.rate or RATE, video.info.frames
        truth_path, source, content = Path(options["truth"]), path, sha256(path)
    truth = read_truth(truth_path)
    if truth.frames is None or not len(truth.people):
        raise DataError(f"{truth_path}: nobody is in it; give a MOT-Challenge file of known people")
    name = path.absolute().name if path.is_dir() else path.stem
    return Clip(name, source, truth, float(options.get("rate", rate)), content, length, "rate" in options)


def _parse(text: str) -> tuple[Path, dict[str, str]]:
    match = re.fullmatch(r"(.+?)((?:,(?:truth|rate)=[^,]+)*)", text)
    if match is None:
        raise BadInputError("--data: an empty name; give FOLDER[,rate=N] or VIDEO,truth=FILE")
    options = dict(part.split("=", 1) for part in match[2].split(",")[1:])
    rate = options.get("rate", "1")
    if not re.fullmatch(r"\d+(\.\d+)?", rate) or not float(rate) > 0:
        raise BadInputError(f"--data {text}: rate={rate} is no frame rate; give frames a second, such as rate=14")
    return Path(match[1]), options


def _pictures(folder: Path) -> list[Path]:
    names = natural_order(path.name for path in folder.glob("*") if path.suffix.lower() in PICTURES)
    if not names:
        raise DataError(f"{folder}: no pictures in it; give a folder of MOT-Challenge's layout, with img1 and gt in it")
    return [folder / name for name in names]


def _folder_rate(folder: Path) -> float:
    path = folder / "seqinfo.ini"
    if not path.is_file():
        return RATE
    parser = configparser.ConfigParser()
    try:
        parser.read(path, encoding="utf-8")
        rate = parser.getfloat("Sequence", "frameRate")
        if rate <= 0:
            raise ValueError
    except (configparser.Error, ValueError, UnicodeDecodeError):
        raise DataError(f"{path}: has no frameRate under [Sequence]; correct it, or remove it and give rate=") from None
    return rate


def detect_clip(clip: Clip, detector: Detector, out: Path, stage: Stage) -> Iterator[tuple[Frame, Detections]]:
    """Every frame with its people; what the folder ``out`` keeps from before is not detected again.

    Args:
        clip: to look at.
        detector: that finds people.
        out: folder whose ``stages`` hold the detections.
        stage: called with a stage's name, the frames expected and "frames"; called within the context that it gives
            with the frames just done.
    """
    path = detections_path(out, clip.content, detector.model_id)
    name, frames = f"following {clip.name}", clip.frames()
    with stage(name, clip.length, "frames") as advance, DetectionLog(path) as log, closing(frames):  # type: ignore[type-var]
        for batch in batches(frames, detector.batch):
            yield from zip(batch, detect_or_recall(batch, log, detector), strict=True)
            advance(len(batch))
