"""The crops that every artifact is tried on, always the same: batches, odd sizes, corrupted and black ones."""

from collections.abc import Iterator

import cv2
import numpy as np

from reid.images import Image, decode_image

BATCHES = (1, 2, 7, 32)
ODD_SIZES = ((1, 1), (37, 19), (97, 41), (301, 149))  # smaller than any model, odd, and larger
_BLOCK = 8  # pixels of a corrupted block
_MCU = 16  # pixels of what JPEG decodes at a time
_COLOURS = ((0, 0, 0), (255, 255, 255), (114, 114, 114), (255, 0, 0))


def gate_batches(size: tuple[int, int]) -> Iterator[tuple[str, list[Image]]]:
    """Batches to compare: a name and crops of one size each.

    Args:
        size: (height, width) of the model.
    """
    rng = np.random.default_rng(0)
    for n in BATCHES:
        yield f"batch of {n}", [figure(rng, size) for _ in range(n)]
    yield "noise", [_noise(rng, size) for _ in range(2)]
    for odd in ODD_SIZES:
        yield f"size {odd[0]}x{odd[1]}", [figure(rng, odd), _noise(rng, odd), _ramp(odd)]
    yield "noise blocks", [_noise_blocks(rng, figure(rng, size)) for _ in range(2)]
    yield "half grey", [_half_grey(figure(rng, size)) for _ in range(2)]
    yield "truncated JPEG", [_truncated_jpeg(figure(rng, size)) for _ in range(2)]
    yield "black and other constant colours", [np.full((*size, 3), rgb, np.uint8) for rgb in _COLOURS]


def figure(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """Something of a person: a background, legs, a coat and a head of random colours, shaded, with grain."""
    height, width = size
    y, x = np.linspace(0, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    image = np.ones((height, width, 3)) * rng.uniform(40, 220, 3)
    legs = (y > 0.5) & (abs(abs(x) - 0.3) < 0.2)
    coat = (y > 0.18) & (y < 0.6) & (abs(x) < 0.6)
    head = ((y - 0.1) / 0.1) ** 2 + (x / 0.3) ** 2 < 1
    for part in (legs, coat, head):
        image[part] = rng.uniform(10, 245, 3)
    light = 1 + rng.uniform(-0.4, 0.4) * (y - 0.5) + rng.uniform(-0.4, 0.4) * x
    grained = image * light[..., None] + rng.normal(0, 8, image.shape)
    return np.clip(grained, 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    return rng.integers(0, 256, (*size, 3), np.uint8)


def _ramp(size: tuple[int, int]) -> Image:
    return np.linspace(0, 255, size[0] * size[1] * 3).reshape(*size, 3).astype(np.uint8)


def _noise_blocks(rng: np.random.Generator, image: Image) -> Image:
    """As after a transmission error: about one block in five is noise."""
    for top in range(0, image.shape[0], _BLOCK):
        for left in range(0, image.shape[1], _BLOCK):
            if rng.random() < 0.2:
                block = image[top : top + _BLOCK, left : left + _BLOCK]
                block[:] = rng.integers(0, 256, block.shape, np.uint8)
    return image


def _half_grey(image: Image) -> Image:
    image[image.shape[0] // 2 :] = 128
    return image


def _truncated_jpeg(image: Image) -> Image:
    """What a decoder makes of a file that ends early: blocks up to there, grey from there on (done by hand, because
    libjpeg complains on stderr of a real one).
    """
    _, encoded = cv2.imencode(".jpg", image[..., ::-1])
    decoded = decode_image(np.asarray(encoded).ravel())
    assert decoded is not None
    top = decoded.shape[0] // 2 // _MCU * _MCU
    decoded[top + _MCU :] = 128
    decoded[top : top + _MCU, decoded.shape[1] // 3 :] = 128
    return decoded
