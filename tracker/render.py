"""Drawing boxes and identities into a recording's own frames: a video that a browser plays, or the photos."""

import colorsys
import contextlib
import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2

from tracker.album import read_photos
from tracker.encode import VideoWriter
from tracker.files import whole_file
from tracker.progress import Advance
from tracker.types import Floats, Image, Recording, Tracklet, TrackletKey
from tracker.video import VideoReader, read_ahead

Colour = tuple[int, int, int]


def identity_colour(identity: int) -> Colour:
    """A colour that differs from its neighbours' as much as it can: hues a golden angle apart. BGR, 0..255."""
    red, green, blue = colorsys.hsv_to_rgb(identity * 0.618034 % 1, 0.75, 0.95)
    return round(blue * 255), round(green * 255), round(red * 255)


def draw(image: Image, boxes: Sequence[tuple[int, Floats]], caption: str) -> Image:
    """A copy of a BGR picture with labelled boxes.

    Args:
        image: (h, w, 3) uint8.
        boxes: (identity, (4,) xyxy pixels) each.
        caption: written in the top left corner.
    """
    picture = image.copy()
    scale = max(picture.shape[0] / 900, 0.4)
    thickness = max(round(scale * 2), 1)
    for identity, box in boxes:
        left, top, right, bottom = (int(value) for value in box.round())
        cv2.rectangle(picture, (left, top), (right, bottom), identity_colour(identity), thickness)
        _label(picture, str(identity), (left, top), scale, identity_colour(identity))
    _label(picture, caption, (0, picture.shape[0]), scale, (40, 40, 40))
    return picture


def _label(picture: Image, text: str, corner: tuple[int, int], scale: float, colour: Colour) -> None:
    """Text on a filled strip whose lower left corner is ``corner``, moved to stay inside the picture."""
    thickness = max(round(scale * 1.5), 1)
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
    left = max(min(corner[0], picture.shape[1] - width - 4), 0)
    bottom = max(corner[1], height + below + 4)
    cv2.rectangle(picture, (left, bottom - height - below - 4), (left + width + 4, bottom), colour, -1)
    white = sum(colour) < 380
    place = (left + 2, bottom - below - 2)
    ink = (255, 255, 255) if white else (0, 0, 0)
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thickness, cv2.LINE_AA)


def render_recording(
    recording: Recording,
    tracklets: Sequence[Tracklet],
    identity: Mapping[TrackletKey, int],
    path: Path,
    advance: Advance,
) -> None:
    """Write one recording with its boxes and identities as H.264.

    Every source frame is written at its own time; frames that were not looked at carry no boxes.

    Args:
        recording: the source.
        tracklets: of that recording.
        identity: of each tracklet.
        path: of the MP4, made whole or not at all.
        advance: called with the number of frames just written.
    """
    boxes = _by_frame(tracklets, identity)
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoReader(recording.path) as video, contextlib.closing(read_ahead(iter(video))) as frames:
        first = next(frames)
        height, width = first.image.shape[:2]
        with VideoWriter(path, width, height, video.info.rate) as writer:
            for frame in itertools.chain([first], frames):
                caption = f"{recording.camera}  {frame.time_s:.2f} s  frame {frame.index}"
                writer.write(draw(frame.image, boxes.get(frame.index, []), caption), frame.time_s - first.time_s)
                advance(1)


def render_album(
    recording: Recording,
    tracklets: Sequence[Tracklet],
    identity: Mapping[TrackletKey, int],
    folder: Path,
    advance: Advance,
) -> None:
    """Write an album's photos with boxes and identities under their own names and in their own formats.

    Args:
        recording: the source; photos that cannot be decoded are left out.
        tracklets: of that recording.
        identity: of each tracklet.
        folder: for the photos, made.
        advance: called with the number of photos just written.
    """
    boxes = _by_frame(tracklets, identity)
    for frame in read_photos(recording.path, recording.photos):
        name = recording.photos[frame.index - 1]
        picture = draw(frame.image, boxes.get(frame.index, []), f"{recording.camera}  {name}")
        with whole_file(folder / name) as partial:
            partial.write_bytes(cv2.imencode(Path(name).suffix.lower(), picture)[1].tobytes())
        advance(1)


def _by_frame(
    tracklets: Sequence[Tracklet], identity: Mapping[TrackletKey, int]
) -> dict[int, list[tuple[int, Floats]]]:
    boxes: dict[int, list[tuple[int, Floats]]] = defaultdict(list)
    for tracklet in tracklets:
        for index, box in zip(tracklet.index.tolist(), tracklet.xyxy, strict=True):
            boxes[index].append((identity[tracklet.key], box))
    return boxes
