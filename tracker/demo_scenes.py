"""The demo's people and places: outlines in photographs, drawn backgrounds, who walks where and when.

Everything here is data and drawing; ``tracker.demo`` makes it move.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from tracker.types import Image


class Cutout(NamedTuple):
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


CUTOUTS = {
    1: Cutout(  # light fleece coat
        "bus.jpg",
        "122,402 140,402 151,407 156,415 156,443 148,466 178,502 184,525 197,550 199,564 198,579 193,590 181,598"
        " 189,631 192,686 184,691 178,691 178,704 198,820 201,853 230,872 243,878 241,882 184,896 177,895 179,861"
        " 152,770 135,723 126,707 120,703 106,770 97,781 88,827 86,848 104,877 106,892 102,897 88,896 68,891 51,880"
        " 59,850 60,820 78,791 78,773 72,739 75,698 62,697 60,685 65,585 60,556 63,539 62,516 65,497 69,487 98,465"
        " 102,454 99,448 103,443 103,414 109,405",
        stance=(0.7, 1.0),
    ),
    2: Cutout(  # dark coat over a red shirt, jeans
        "bus.jpg",
        "284,408 297,411 303,420 304,435 307,441 299,473 303,478 327,492 333,504 340,550 337,562 325,568 331,631"
        " 337,666 338,712 331,728 315,742 282,777 287,793 297,810 295,817 280,813 279,823 286,843 292,850 291,855"
        " 276,855 261,852 256,845 257,833 261,827 260,820 254,816 246,754 243,702 225,698 240,604 235,581 238,539"
        " 237,523 240,510 258,495 262,486 273,477 275,468 267,454 264,443 263,420 271,412",
        stance=(0.85, 1.1),
    ),
    3: Cutout(  # all dark
        "bus.jpg",
        "810,394 803,395 797,401 792,409 789,430 796,467 778,502 770,547 760,549 749,548 742,557 741,572 745,586"
        " 756,595 763,607 757,657 750,678 750,686 760,688 760,699 745,734 742,753 716,822 708,829 685,824 674,826"
        " 671,832 680,847 692,860 727,878 738,877 745,826 757,807 782,749 795,726 810,708",
        stance=(0.35, 0.65),
        halved=True,
        mend="802,430 810,430 810,462 802,462",
    ),
    4: Cutout(  # grey hair, suit; only the upper body, so the scenes put something in front
        "zidane.jpg",
        "960,48 1000,44 1035,58 1052,80 1062,105 1066,130 1051,170 1047,200 1036,240 1020,283 1022,300 1048,345"
        " 1070,410 1080,450 1092,719 777,719 777,640 757,560 754,480 757,400 777,352 812,302 852,272 895,248 903,228"
        " 898,200 897,160 905,100 925,70",
        mend="908,440 995,425 1003,402 1030,398 1110,395 1110,505 1000,488 972,508 925,516",
    ),
}


class Walk(NamedTuple):
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


class Screen(NamedTuple):
    """A rectangle of the background, in pixels, that hides people whose feet are above ``foot_y``."""

    left: int
    top: int
    right: int
    bottom: int
    foot_y: float


class Camera(NamedTuple):
    """A scene, who crosses it, and its light: ``gain`` of blue, green and red, the others in grey levels 0..255."""

    name: str
    size: tuple[int, int]  # width, height
    rate: float  # frames a second
    seconds: float
    background: Callable[[int, int], Image]
    screens: tuple[Screen, ...]
    walks: tuple[Walk, ...]
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
    _box(image, (0, 226, 300, 238), (92, 116, 146))
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


CAMERAS = (
    Camera(
        name="lobby",
        size=(640, 480),
        rate=20,
        seconds=12,
        background=_lobby,
        screens=(Screen(0, 226, 300, 372, 372), Screen(296, 52, 356, 384, 384)),
        walks=(
            Walk(1, 0.2, 7.2, -70, 710, 442, 292, 1.04),
            Walk(2, 2.0, 9.0, 700, -60, 418, 266, 0.97, mirrored=True),
            Walk(3, 5.4, 11.9, -60, 700, 400, 248, 0.96),
            Walk(4, 8.7, 11.9, -45, 325, 235, 92, 1.03),
        ),
        gain=(0.84, 0.97, 1.07),
        contrast=0.86,
        brightness=4,
        noise=2.5,
    ),
    Camera(
        name="street",
        size=(768, 432),
        rate=15,
        seconds=14,
        background=_street,
        screens=(Screen(0, 238, 480, 350, 350), Screen(470, 82, 562, 366, 366)),
        walks=(
            Walk(3, 0.2, 8.2, 815, -50, 361, 172, 1.03),
            Walk(4, 1.6, 6.8, 516, -40, 248, 72, 1.05, mirrored=True),
            Walk(2, 6.2, 13.2, -50, 815, 376, 186, 1.03),
            Walk(1, 7.4, 13.9, 820, -55, 390, 200, 0.98, mirrored=True),
        ),
        gain=(1.1, 1.03, 0.95),
        contrast=1.12,
        brightness=10,
        noise=4.0,
    ),
)
