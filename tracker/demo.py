"""Two short clips with known people, drawn by code from photographs that the ultralytics package carries.

Each person is cut out of a photograph along a hand-set outline and walks across two drawn scenes, which differ in
background, light, scale and order of appearance; in each, people pass in front of each other or behind the scenery.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from tracker.demo_scenes import CAMERAS, CUTOUTS, Camera, Cutout, Screen, Walk
from tracker.encode import VideoWriter
from tracker.errors import RunError
from tracker.types import Floats, Image, Integers

MIN_VISIBLE = 0.25  # of a person's pixels; with fewer in sight the person has no true box in that frame
_STEPS_PER_S = 1.9
_BOB = 0.012  # of the height, up at every step
_HIP = 0.55  # of the height, from the top; below it the legs swing
_SHADOW = 0.45  # of the light, taken away right under the feet
_OPAQUE = 0.5  # alpha from which a pixel counts as the person's
_SOFT_EDGE = 1.5  # standard deviation in the photograph's pixels
_MEND_RADIUS = 5  # in the photograph's pixels
_STAIN = 16  # width in pixels of the backgrounds' irregularities
_GRAINS = 8  # fields of sensor noise, drawn from at random
_SEED = 7


@dataclass(frozen=True)
class TruthBoxes:
    """Where the people of one clip truly are, row by row.

    Attributes:
        frame: (n,) int64, 1-based, ascending.
        person: (n,) int64, from 1, the same for the same person in every clip.
        xyxy: (n, 4) float32 pixels within the picture; a box leaves out what is hidden by the scenery, but not what is
            hidden by another person.
        visible: (n,) float32 in 0.25..1, the part of the person's pixels that shows.
    """

    frame: Integers
    person: Integers
    xyxy: Floats
    visible: Floats


@dataclass(frozen=True)
class DemoScene:
    """What was rendered.

    Attributes:
        videos: one clip a camera; the file's stem is the camera's name.
        truth: MOT-Challenge text files of the true boxes, in the order of ``videos``.
        boxes: what ``truth`` holds.
        people: how many different persons there are.
    """

    videos: tuple[Path, ...]
    truth: tuple[Path, ...]
    boxes: tuple[TruthBoxes, ...]
    people: int


def render_demo(folder: Path) -> DemoScene:
    """Render each camera's clip to ``folder`` and its true boxes to ``folder/truth``; every call renders the same.

    Raises:
        RunError: a photograph is missing from the ultralytics package, or a file cannot be written.
    """
    sprites = {person: _cut_out(cutout) for person, cutout in CUTOUTS.items()}
    videos = tuple(folder / f"{camera.name}.mp4" for camera in CAMERAS)
    truth = tuple(folder / "truth" / f"{camera.name}.txt" for camera in CAMERAS)
    try:
        (folder / "truth").mkdir(parents=True, exist_ok=True)
        boxes = tuple(_film(camera, sprites, path) for camera, path in zip(CAMERAS, videos, strict=True))
        for path, rows in zip(truth, boxes, strict=True):
            path.write_text(_mot_text(rows), encoding="ascii")
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from None
    return DemoScene(videos, truth, boxes, len(CUTOUTS))


def _photograph(name: str) -> Image:
    """Read a picture from the installed ultralytics package without importing it; (h, w, 3) uint8 BGR."""
    package = find_spec("ultralytics")
    if package is None or package.origin is None:
        raise RunError("the package ultralytics, whose photographs the demo uses, is not installed; install it")
    path = Path(package.origin).parent / "assets" / name
    image = cv2.imread(str(path)) if path.is_file() else None
    if image is None:
        raise RunError(f"{path}: the demo's photograph is missing or broken; install ultralytics again")
    return cast(Image, image)


def _polygon(text: str) -> Integers:
    """Parse "x,y x,y ..." to (n, 2)."""
    return np.array([[int(number) for number in point.split(",")] for point in text.split()], np.int64)


def _cut_out(cutout: Cutout) -> Floats:
    """The person alone, (h, w, 4) float32: BGR 0..255 times alpha, alpha 0..1 with soft edges."""
    image, outline = _photograph(cutout.photograph), _polygon(cutout.outline)
    if cutout.mend:
        hole = cv2.fillPoly(np.zeros(image.shape[:2], np.uint8), [_polygon(cutout.mend).astype(np.int32)], 1)
        image = cast(Image, cv2.inpaint(image, hole, _MEND_RADIUS, cv2.INPAINT_TELEA))
    solid = cv2.fillPoly(np.zeros(image.shape[:2], np.float32), [outline.astype(np.int32)], 1)
    alpha = (2 * cv2.GaussianBlur(solid, (0, 0), _SOFT_EDGE) - 1).clip(0, 1)[..., None]  # the inner half of the edge
    sprite = np.concatenate([image * alpha, alpha], axis=2).astype(np.float32)
    (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0) + 1
    sprite = sprite[top:bottom, left:right]
    return np.concatenate([sprite, sprite[:, ::-1]], axis=1) if cutout.halved else sprite


def _film(camera: Camera, cutouts: dict[int, Floats], path: Path) -> TruthBoxes:
    """Write one camera's clip and return where its people are."""
    random = np.random.default_rng(_SEED)
    width, height = camera.size
    background = _textured(camera.background(width, height), random)
    grains = random.normal(0, camera.noise, (_GRAINS, height, width, 1)).round().astype(np.int8).repeat(3, axis=3)
    levels = (np.arange(256.0)[:, None] * camera.gain - 128) * camera.contrast + 128 + camera.brightness
    light = levels.round().clip(0, 255).astype(np.uint8)[None]
    sprites = {walk.person: _shrunk(cutouts[walk.person], walk.height * max(1, walk.growth)) for walk in camera.walks}
    rows: list[tuple[float, ...]] = []
    with VideoWriter(path, width, height, camera.rate) as writer:
        for index in range(round(camera.seconds * camera.rate)):
            image, seen = _picture(camera, background, sprites, index / camera.rate)
            rows += [(index + 1, *row) for row in seen]
            lit = cv2.add(cv2.LUT(image, light), grains[random.integers(_GRAINS)], dtype=cv2.CV_8U)
            writer.write(cast(Image, lit), index / camera.rate)
    table = np.array(rows)
    frame, person = table[:, :2].astype(np.int64).T
    return TruthBoxes(frame, person, table[:, 2:6].astype(np.float32), table[:, 6].astype(np.float32))


def _textured(image: Image, random: np.random.Generator) -> Image:
    """Add stains and a fine roughness, so that no surface is flat."""
    height, width = image.shape[:2]
    stains = cv2.resize(
        random.normal(0, 2.5, (height // _STAIN, width // _STAIN)), (width, height), interpolation=cv2.INTER_CUBIC
    )
    rough = stains + random.normal(0, 2, (height, width))
    return (image + rough[..., None]).round().clip(0, 255).astype(np.uint8)


def _shrunk(sprite: Floats, height: float) -> Floats:
    """The cutout at ``height`` pixels, averaged, so that later sampling shows no jaggies."""
    scale = height / len(sprite)
    return cast(Floats, cv2.resize(sprite, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def _picture(
    camera: Camera, background: Image, sprites: dict[int, Floats], time_s: float
) -> tuple[Image, list[tuple[float, ...]]]:
    """Paint one moment, back to front: (h, w, 3) uint8 BGR, and (person, x1, y1, x2, y2, visible) for all in sight."""
    image = background.copy()
    owner = np.zeros(image.shape[:2], np.uint8)  # whose pixel it is: a person's number, or 0 for the scenery
    pasted: list[tuple[int, npt.NDArray[np.bool_], int]] = []
    walks = [walk for walk in camera.walks if walk.start_s <= time_s <= walk.end_s]
    items: list[Walk | Screen] = [*walks, *camera.screens]
    for item in sorted(items, key=lambda item: item.foot_y):
        if isinstance(item, Screen):
            region = np.s_[item.top : item.bottom, item.left : item.right]
            image[region], owner[region] = background[region], 0
            for _, mask, _ in pasted:
                mask[region] = False
        else:
            patch, left, top = _posed(item, sprites[item.person], time_s)
            mask = _paste(image, patch, left, top)
            owner[mask] = item.person
            pasted.append((item.person, mask, int(np.count_nonzero(patch[..., 3] > _OPAQUE))))
    rows: list[tuple[float, ...]] = []
    for person, mask, pixels in pasted:
        visible = np.count_nonzero(owner == person) / pixels
        if visible >= MIN_VISIBLE:
            left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
            rows.append((person, left, top, left + width, top + height, visible))
    return image, rows


def _posed(walk: Walk, sprite: Floats, time_s: float) -> tuple[Floats, int, int]:
    """The cutout at its size and step of the moment, (h, w, 4) as ``_cut_out`` has it, and its left and top pixel."""
    done = (time_s - walk.start_s) / (walk.end_s - walk.start_s)
    swing = np.pi * _STEPS_PER_S * (time_s - walk.start_s)
    height = walk.height * (1 + (walk.growth - 1) * done)
    x = walk.from_x + (walk.to_x - walk.from_x) * done
    y = walk.foot_y - _BOB * height * abs(np.sin(swing))
    narrow, wide = CUTOUTS[walk.person].stance
    spread = narrow + (wide - narrow) * abs(np.cos(swing))
    scale, (rows, columns) = height / len(sprite), sprite.shape[:2]
    half = scale * columns * max(1.0, spread) / 2
    left, top = int(x - half) - 1, int(y - height) - 1
    to_y, to_x = np.mgrid[top : int(y) + 2, left : int(x + half) + 2].astype(np.float32)
    from_y = (to_y - y) / scale + rows - 1
    legs = 1 + (spread - 1) * ((from_y / rows - _HIP) / (1 - _HIP)).clip(0, 1)
    from_x = (to_x - x) / scale / legs * (-1 if walk.mirrored else 1) + (columns - 1) / 2
    patch = cv2.remap(sprite, from_x.astype(np.float32), from_y.astype(np.float32), cv2.INTER_LINEAR)
    return cast(Floats, patch), left, top


def _paste(image: Image, patch: Floats, left: int, top: int) -> npt.NDArray[np.bool_]:
    """Blend a cutout and its shadow on the floor into ``image``; returns (h, w) bool, its pixels within the picture."""
    height, width = image.shape[:2]
    rows, columns = patch.shape[:2]
    _cast_shadow(image, left + columns / 2, top + rows - 3, rows)
    y1, y2, x1, x2 = max(top, 0), min(top + rows, height), max(left, 0), min(left + columns, width)
    mask = np.zeros((height, width), np.bool_)
    if y1 < y2 and x1 < x2:
        part = patch[y1 - top : y2 - top, x1 - left : x2 - left]
        blend = image[y1:y2, x1:x2] * (1 - part[..., 3:]) + part[..., :3]
        image[y1:y2, x1:x2] = blend.round().clip(0, 255).astype(np.uint8)
        mask[y1:y2, x1:x2] = part[..., 3] > _OPAQUE
    return mask


def _cast_shadow(image: Image, x: float, y: float, height: int) -> None:
    """Darken the floor around the feet at (x, y) of somebody ``height`` pixels tall, in place."""
    radius_x, radius_y = 0.16 * height, 0.025 * height
    top, left = max(0, int(y - 3 * radius_y)), max(0, int(x - 3 * radius_x))
    part = image[top : max(0, int(y + 3 * radius_y)), left : max(0, int(x + 3 * radius_x))]
    to_y, to_x = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
    shadow = np.exp(-(((to_x - x) / radius_x) ** 2 + ((to_y - y) / radius_y) ** 2))
    part[:] = (part * (1 - _SHADOW * shadow[..., None])).astype(np.uint8)


def _mot_text(boxes: TruthBoxes) -> str:
    """Rows "frame,id,left,top,width,height,1,-1,-1,-1" of the MOT-Challenge format."""
    sizes = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
    rows = zip(boxes.frame, boxes.person, boxes.xyxy, sizes, strict=True)
    return "".join(f"{f},{p},{b[0]:.0f},{b[1]:.0f},{s[0]:.0f},{s[1]:.0f},1,-1,-1,-1\n" for f, p, b, s in rows)
