"""Two short clips with known people, drawn by code from photographs that the ultralytics package carries.

Each person is cut out of a photograph along a hand-set outline and walks across two drawn scenes, which differ in
background, light, scale and order of appearance; in each, people pass in front of each other or behind the scenery.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

from tracker.errors import RunError
from tracker.types import Floats, Image, Integers
from tracker.video import VideoWriter

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


class _Cutout(NamedTuple):
    """One person in a photograph.

    ``outline`` and ``mend`` are polygons, "x,y" in the photograph's pixels; ``mend`` is painted over with what
    surrounds it. ``stance`` is the legs' narrowest and widest spread in walking, relative to the photograph.
    ``halved``: the photograph's right edge cuts the person in half; the mirror image completes it.
    """

    photograph: str
    outline: str
    stance: tuple[float, float] = (1.0, 1.0)
    halved: bool = False
    mend: str = ""


_CUTOUTS = {
    1: _Cutout(  # light fleece coat
        "bus.jpg",
        "122,402 140,402 151,407 156,415 156,443 148,466 178,502 184,525 197,550 199,564 198,579 193,590 181,598"
        " 189,631 192,686 184,691 178,691 178,704 198,820 201,853 230,872 243,878 241,882 184,896 177,895 179,861"
        " 152,770 135,723 126,707 120,703 106,770 97,781 88,827 86,848 104,877 106,892 102,897 88,896 68,891 51,880"
        " 59,850 60,820 78,791 78,773 72,739 75,698 62,697 60,685 65,585 60,556 63,539 62,516 65,497 69,487 98,465"
        " 102,454 99,448 103,443 103,414 109,405",
        stance=(0.7, 1.0),
    ),
    2: _Cutout(  # dark coat over a red shirt, jeans
        "bus.jpg",
        "284,408 297,411 303,420 304,435 307,441 299,473 303,478 327,492 333,504 340,550 337,562 325,568 331,631"
        " 337,666 338,712 331,728 315,742 282,777 287,793 297,810 295,817 280,813 279,823 286,843 292,850 291,855"
        " 276,855 261,852 256,845 257,833 261,827 260,820 254,816 246,754 243,702 225,698 240,604 235,581 238,539"
        " 237,523 240,510 258,495 262,486 273,477 275,468 267,454 264,443 263,420 271,412",
        stance=(0.85, 1.1),
    ),
    3: _Cutout(  # all dark
        "bus.jpg",
        "810,394 803,395 797,401 792,409 789,430 796,467 778,502 770,547 760,549 749,548 742,557 741,572 745,586"
        " 756,595 763,607 757,657 750,678 750,686 760,688 760,699 745,734 742,753 716,822 708,829 685,824 674,826"
        " 671,832 680,847 692,860 727,878 738,877 745,826 757,807 782,749 795,726 810,708",
        stance=(0.35, 0.65),
        halved=True,
    ),
    4: _Cutout(  # grey hair, suit; only the upper body, so the scenes put something in front
        "zidane.jpg",
        "960,48 1000,44 1035,58 1052,80 1062,105 1066,130 1051,170 1047,200 1036,240 1020,283 1022,300 1048,345"
        " 1070,410 1080,450 1092,719 777,719 777,640 757,560 754,480 757,400 777,352 812,302 852,272 895,248 903,228"
        " 898,200 897,160 905,100 925,70",
        mend="908,440 995,425 1003,402 1030,398 1110,395 1110,505 1000,488 972,508 925,516",
    ),
}


class _Walk(NamedTuple):
    """One person's way through a picture at an even pace, in pixels.

    ``foot_y`` is where the cutout ends below; who is lower is nearer. ``growth``: size at the end over the beginning.
    """

    person: int
    start_s: float
    end_s: float
    from_x: float
    to_x: float
    foot_y: float
    height: float
    growth: float
    mirrored: bool = False


class _Screen(NamedTuple):
    """A rectangle of the background, in pixels, that hides people whose feet are above ``foot_y``."""

    left: int
    top: int
    right: int
    bottom: int
    foot_y: float


class _Camera(NamedTuple):
    """A scene, who crosses it, and its light: ``gain`` of blue, green and red, the others in grey levels 0..255."""

    name: str
    size: tuple[int, int]  # width, height
    rate: float  # frames a second
    seconds: float
    background: Callable[[int, int], Image]
    screens: tuple[_Screen, ...]
    walks: tuple[_Walk, ...]
    gain: tuple[float, float, float]
    contrast: float  # times the distance from middle grey
    brightness: float
    noise: float


_Colour = tuple[int, int, int]  # blue, green, red


def _box(image: Image, corners: tuple[int, int, int, int], colour: _Colour) -> None:
    """Fill the rectangle (left, top, right, bottom), right and bottom excluded."""
    left, top, right, bottom = corners
    image[top:bottom, left:right] = colour


def _shade(width: int, height: int, top: _Colour, bottom: _Colour) -> Image:
    """A vertical gradient; (height, width, 3) uint8 BGR."""
    column = np.linspace(top, bottom, height).round().astype(np.uint8)
    return np.repeat(column[:, None], width, axis=1)


def _round(width: int, height: int, edge: _Colour, middle: _Colour) -> Image:
    """A lit upright cylinder; (height, width, 3) uint8 BGR."""
    bulge = np.sin(np.linspace(0, np.pi, width))[:, None]
    row = (np.array(edge) * (1 - bulge) + np.array(middle) * bulge).round().astype(np.uint8)
    return np.repeat(row[None], height, axis=0)


def _lobby(width: int, height: int) -> Image:
    """Wall panels, a tiled floor in perspective, a reception desk and a pillar; (height, width, 3) uint8 BGR."""
    wall, vanish_y = 320, 150
    image = _shade(width, height, (122, 134, 142), (172, 184, 190))
    for x in range(-1600, 2400, 160):
        cv2.line(image, (width // 2, vanish_y), (x, height), (110, 122, 130), 1, cv2.LINE_AA)
    for y in (332, 350, 376, 414, 466):
        cv2.line(image, (0, y), (width, y), (110, 122, 130), 1)
    image[:wall] = _shade(width, wall, (180, 192, 202), (152, 168, 184))
    _box(image, (0, 0, width, 44), (206, 213, 217))
    for x in range(40, width, 150):  # lamps in the ceiling
        _box(image, (x, 14, x + 80, 26), (236, 247, 250))
    for x in range(0, width, 107):  # joints of the panels
        cv2.line(image, (x, 44), (x, wall), (138, 152, 166), 2)
    _box(image, (395, 95, 500, 185), (96, 110, 122))  # a painting
    _box(image, (401, 101, 494, 140), (160, 140, 90))
    _box(image, (401, 140, 494, 179), (92, 132, 150))
    _box(image, (548, 88, 632, wall), (96, 114, 132))  # a door
    _box(image, (555, 95, 625, wall), (128, 150, 172))
    _box(image, (0, wall - 8, width, wall), (110, 122, 134))
    for x in range(0, 300, 50):  # the desk's front
        _box(image, (x, 236, x + 49, 372), (62 + x % 100 // 10, 88, 122))
    _box(image, (0, 226, 300, 238), (168, 180, 190))
    image[52:384, 300:352] = _round(52, 332, (150, 156, 160), (214, 220, 224))
    _box(image, (296, 372, 356, 384), (120, 126, 130))
    return image


def _street(width: int, height: int) -> Image:
    """A facade with windows and a shop, pavement, a low wall and a poster column; (height, width, 3) uint8 BGR."""
    ground, kerb = 335, 404
    image = _shade(width, height, (150, 158, 168), (138, 146, 152))
    for y in range(20, ground, 14):  # courses of the facade
        cv2.line(image, (0, y), (width, y), (138, 146, 158), 1)
    for x in range(30, 460, 120):  # windows of the upper floor
        _box(image, (x, 18, x + 74, 112), (196, 200, 204))
        image[24:106, x + 6 : x + 68] = _shade(62, 82, (150, 120, 92), (92, 76, 62))
        cv2.line(image, (x + 37, 24), (x + 37, 106), (196, 200, 204), 3)
    _box(image, (0, 138, width, 150), (178, 182, 186))
    _box(image, (585, 40, 750, 66), (84, 116, 48))  # the shop: sign, pane, door
    image[72:ground, 590:690] = _shade(100, ground - 72, (120, 104, 84), (74, 70, 66))
    _box(image, (700, 72, 748, ground), (70, 92, 60))
    image[ground:kerb] = _shade(width, kerb - ground, (156, 158, 160), (182, 184, 186))
    for x in range(-1400, 2200, 110):  # slabs
        start = width // 2 + (x - width // 2) * (ground - 188) // (kerb - 188)
        cv2.line(image, (start, ground), (x, kerb), (140, 142, 144), 1, cv2.LINE_AA)
    cv2.line(image, (0, 362), (width, 362), (140, 142, 144), 1)
    _box(image, (0, kerb, width, kerb + 5), (206, 208, 210))
    image[kerb + 5 :] = _shade(width, height - kerb - 5, (92, 90, 88), (72, 70, 70))
    _box(image, (0, 244, 480, 350), (116, 136, 150))  # the low wall
    for y in range(264, 350, 16):
        cv2.line(image, (0, y), (480, y), (100, 118, 132), 1)
    _box(image, (0, 238, 480, 248), (176, 184, 188))
    image[108:366, 470:562] = _round(92, 258, (52, 76, 58), (112, 146, 120))  # the poster column
    for y, paint in ((140, (60, 150, 200)), (246, (190, 170, 90))):
        _box(image, (484, y, 548, y + 84), (206, 210, 212))
        _box(image, (490, y + 6, 542, y + 50), paint)
    cv2.ellipse(image, (516, 108), (54, 26), 0, 180, 360, (60, 84, 66), -1, cv2.LINE_AA)
    _box(image, (464, 104, 568, 112), (44, 62, 48))
    return image


_CAMERAS = (
    _Camera(
        name="lobby",
        size=(640, 480),
        rate=20,
        seconds=12,
        background=_lobby,
        screens=(_Screen(0, 226, 300, 372, 372), _Screen(296, 52, 356, 384, 384)),
        walks=(
            _Walk(1, 0.2, 7.2, -70, 710, 442, 292, 1.04),
            _Walk(2, 2.0, 9.0, 700, -60, 418, 266, 0.97, mirrored=True),
            _Walk(3, 5.4, 11.9, -60, 700, 400, 248, 0.96),
            _Walk(4, 8.7, 11.9, -45, 325, 235, 92, 1.03),
        ),
        gain=(0.84, 0.97, 1.07),
        contrast=0.86,
        brightness=4,
        noise=2.5,
    ),
    _Camera(
        name="street",
        size=(768, 432),
        rate=15,
        seconds=14,
        background=_street,
        screens=(_Screen(0, 238, 480, 350, 350), _Screen(470, 82, 562, 366, 366)),
        walks=(
            _Walk(3, 0.2, 8.2, 815, -50, 361, 172, 1.03),
            _Walk(4, 1.6, 6.8, 516, -40, 248, 72, 1.05, mirrored=True),
            _Walk(2, 6.2, 13.2, -50, 815, 376, 186, 1.03),
            _Walk(1, 7.4, 13.9, 820, -55, 390, 200, 0.98, mirrored=True),
        ),
        gain=(1.1, 1.03, 0.95),
        contrast=1.12,
        brightness=10,
        noise=4.0,
    ),
)


def render_demo(folder: Path) -> DemoScene:
    """Render each camera's clip to ``folder`` and its true boxes to ``folder/truth``; every call renders the same.

    Raises:
        RunError: a photograph is missing from the ultralytics package, or a file cannot be written.
    """
    sprites = {person: _cut_out(cutout) for person, cutout in _CUTOUTS.items()}
    videos = tuple(folder / f"{camera.name}.mp4" for camera in _CAMERAS)
    truth = tuple(folder / "truth" / f"{camera.name}.txt" for camera in _CAMERAS)
    try:
        (folder / "truth").mkdir(parents=True, exist_ok=True)
        boxes = tuple(_film(camera, sprites, path) for camera, path in zip(_CAMERAS, videos, strict=True))
        for path, rows in zip(truth, boxes, strict=True):
            path.write_text(_mot_text(rows), encoding="ascii")
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error.strerror}); choose another folder") from None
    return DemoScene(videos, truth, boxes, len(_CUTOUTS))


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


def _cut_out(cutout: _Cutout) -> Floats:
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


def _film(camera: _Camera, cutouts: dict[int, Floats], path: Path) -> TruthBoxes:
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
    camera: _Camera, background: Image, sprites: dict[int, Floats], time_s: float
) -> tuple[Image, list[tuple[float, ...]]]:
    """Paint one moment, back to front: (h, w, 3) uint8 BGR, and (person, x1, y1, x2, y2, visible) for all in sight."""
    image = background.copy()
    owner = np.zeros(image.shape[:2], np.uint8)  # whose pixel it is: a person's number, or 0 for the scenery
    pasted: list[tuple[int, npt.NDArray[np.bool_], int]] = []
    walks = [walk for walk in camera.walks if walk.start_s <= time_s <= walk.end_s]
    items: list[_Walk | _Screen] = [*walks, *camera.screens]
    for item in sorted(items, key=lambda item: item.foot_y):
        if isinstance(item, _Screen):
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


def _posed(walk: _Walk, sprite: Floats, time_s: float) -> tuple[Floats, int, int]:
    """The cutout at its size and step of the moment, (h, w, 4) as ``_cut_out`` has it, and its left and top pixel."""
    done = (time_s - walk.start_s) / (walk.end_s - walk.start_s)
    swing = np.pi * _STEPS_PER_S * (time_s - walk.start_s)
    height = walk.height * (1 + (walk.growth - 1) * done)
    x = walk.from_x + (walk.to_x - walk.from_x) * done
    y = walk.foot_y - _BOB * height * abs(np.sin(swing))
    narrow, wide = _CUTOUTS[walk.person].stance
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
