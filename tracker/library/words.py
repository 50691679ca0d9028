"""The colours of clothes in words: which of eleven a tracklet's upper and lower clothing show, from its crops' pixels.

The vocabulary is that of Berlin and Kay (Basic Color Terms, 1969). A crop is parsed by bands of a standing person's
height; within a band pixels count by how near they are to the middle of the crop, and less where they look like the
crop's own left and right edge, which is mostly background. A pixel is named in CIELAB: dark ones black, those of little
chroma grey or white, all others by their hue angle, with lightness and chroma telling brown, pink and purple from the
hues they share. The bounds were set by hand.

On 170 tracklets of four sites, looked at and named by a person who allowed whatever names one could give them (95
filmed indoors and on a car park, 75 of Market-1501; half of them served to set the bounds, the other half is counted
here): the most frequent name was right 72 times of 83 for the upper and 58 of 68 for the lower clothing; of names that
had ``ENOUGH`` 75 % were right, and 93 % of the clothes had a right one. What did not help: cutting the person out by
GrabCut, and correcting each camera's light by the mean colour of its crops (as many right on the whole, more under
yellow lamps, fewer elsewhere).

What it cannot do: colours in dark rooms (nearly all is black) and under coloured light; patterns and prints (each
colour has its share); who carries a bag, hides behind a desk or another person, or is cut off by the edge of the
picture; skirts and shorts beside bare legs (skin is named brown, pink or orange); long hair over a jacket (black); a
person who is not upright. Dark blue is often called black, and white in the shade grey.
"""

import re
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from reid.errors import BadInputError
from reid.images import resize_crop
from tracker.types import Floats, Image

VOCABULARY = ("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
REGIONS = {"upper": (0.20, 0.48), "lower": (0.52, 0.72)}  # shares of a standing person's height, from the top
COLUMNS = tuple(f"{region}_{name}" for region in REGIONS for name in VOCABULARY)
ENOUGH = 0.25  # share of a region's pixels from which on a name counts
STANDING = 1.7  # height over width from which on a crop is taken to show a person down to the legs

_SIZE = (64, 32)  # that crops are named at
_MIDDLE = 0.16  # deviation of the weights across a crop, of its width
_EDGE = 3  # columns on either side
_APART = 40.0  # distance in CIELAB from the edge's colour at which a pixel counts wholly
_AT_LEAST = 0.3  # weight of a pixel of the edge's colour, against others of its column

_UPPER = ("top", "shirt", "jacket", "coat", "sweater", "t-shirt", "hoodie", "blouse", "jumper", "pullover", "upper")
_LOWER = ("trousers", "jeans", "skirt", "shorts", "pants", "leggings", "lower")


def clothing(crops: Sequence[Image]) -> dict[str, float | None]:
    """What the clothes on a tracklet's crops are called.

    Args:
        crops: RGB (h, w, 3) uint8, any sizes, at least one.

    Returns:
        The share, 0..1, of each name in either region, by ``COLUMNS``: the mean over the crops. Those of a region that
        no crop shows are None; those of any other sum to 1.
    """
    found: dict[str, float | None] = dict.fromkeys(COLUMNS)
    for region in REGIONS:
        shown = [crop for crop in crops if region == "upper" or crop.shape[0] >= STANDING * crop.shape[1]]
        if shown:
            means = np.mean([_shares(crop, region) for crop in shown], axis=0)
            found |= {f"{region}_{name}": float(share) for name, share in zip(VOCABULARY, means, strict=True)}
    return found


def _shares(crop: Image, region: str) -> Floats:
    """(11,) of each name its part of a region."""
    small = resize_crop(crop, _SIZE).astype(np.float32) / 255
    lab = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), np.float32)
    begin, end = (round(bound * _SIZE[0]) for bound in REGIONS[region])
    band = lab[begin:end]
    weights = _weights(band)
    counted = np.bincount(named(band).ravel(), weights.ravel(), minlength=len(VOCABULARY))
    return np.asarray(counted / counted.sum(), np.float32)


def _weights(band: Floats) -> Floats:
    """(h, w) how much each pixel of a band, (h, w, 3) in CIELAB, says of the person's clothes."""
    across = (np.arange(band.shape[1]) + 0.5) / band.shape[1] - 0.5
    middle = np.exp(-0.5 * (across / _MIDDLE) ** 2)
    edge = np.median(np.concatenate([band[:, :_EDGE], band[:, -_EDGE:]], axis=1), axis=1, keepdims=True)
    apart = np.clip(np.linalg.norm(band - edge, axis=2) / _APART, 0, 1)
    return np.asarray(middle * (_AT_LEAST + (1 - _AT_LEAST) * apart), np.float32)


def named(lab: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Colours' places in ``VOCABULARY``.

    Args:
        lab: (..., 3) CIELAB under D65: lightness 0..100, a, b.

    >>> [VOCABULARY[place] for place in named(np.float32([[53, 80, 67], [95, 0, 0], [30, 3, -9]]))]
    ['red', 'white', 'blue']
    """
    light, a, b = np.moveaxis(np.asarray(lab, np.float32), -1, 0)
    chroma, hue = np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360
    coloured = chroma >= np.select([(hue >= 190) & (hue < 345), (hue >= 20) & (hue < 108)], [6, 12], 8)
    dark = (light < 14) | ((light < 24) & (chroma < 14 * np.clip(light / 24, 0.5, 1)))
    name = np.select(
        [dark, ~coloured & (light > 68), ~coloured, *_hues(light, chroma, hue)],
        [VOCABULARY.index(name) for name in ("black", "white", "grey", *_HUES)],
    )
    return np.asarray(name, np.int64)


# In order: the first that holds names the colour.
_HUES = ("red", "pink", "brown", "pink", "red", "pink", "brown", "orange", "brown", "yellow", "green", "blue", "purple",
         "purple", "pink")  # fmt: skip


def _hues(light: Floats, chroma: Floats, hue: Floats) -> list[npt.NDArray[np.bool_]]:
    """Where each of ``_HUES`` holds."""
    # CIELAB's lines of constant blue bend towards purple as chroma grows (Hung and Berns, Color Research and
    # Application 1995).
    purple = 298 + chroma / 12
    return [
        (hue < 20) & (light <= 42),
        hue < 20,
        (hue < 45) & (light < 40) & (chroma < 40),
        (hue < 45) & (light > 62) & (chroma < 50),
        hue < 45,
        (hue < 80) & (light > 75) & (chroma < 30),
        (hue < 72) & ((light < 55) | (chroma < 45)),
        hue < 72,
        (hue < 102) & ((light < 50) | (chroma < 30)),
        hue < 108,
        hue < 190,
        hue < purple,
        hue < 340,
        light < 35,
        np.ones_like(hue, np.bool_),
    ]


def check_names(option: str, names: Sequence[str]) -> None:
    """See that all are names of the vocabulary.

    Raises:
        BadInputError: one is not.
    """
    for name in names:
        if name not in VOCABULARY:
            raise BadInputError(f"{option} {name}: no colour that is known; use {', '.join(VOCABULARY)}")


def parse_words(text: str) -> tuple[list[str], list[str]]:
    """A short description as colours of the upper and the lower clothing.

    Args:
        text: parts such as "red or orange top", joined by commas or "and"; a part ends in what is worn.

    Raises:
        BadInputError: a word that is not known, a part without a colour or without a garment, or no part at all.

    >>> parse_words("red or orange top, blue trousers")
    (['red', 'orange'], ['blue'])
    """
    found: dict[str, list[str]] = {"upper": [], "lower": []}
    parts = [part.split() for part in re.split(r",|\band\b|\bwith\b", text.lower().replace("gray", "grey"))]
    for part in filter(None, parts):
        *colours, garment = part
        region = "upper" if garment in _UPPER else "lower" if garment in _LOWER else ""
        colours = [word for word in colours if word not in ("or", "a")]
        if not region or not colours:
            raise BadInputError(
                f"--words: {' '.join(part)!r} is not understood; write colours and what is worn, such as 'red top, blue"
                f" trousers' ({', '.join(_UPPER[:6])}, ...; {', '.join(_LOWER[:5])}, ...)"
            )
        check_names("--words", colours)
        found[region] += colours
    if not any(parts):
        raise BadInputError("--words: nothing is said; write such as 'red top, blue trousers'")
    return found["upper"], found["lower"]
