"""Training augmentation of one crop.

An augmentation takes ``(image, size, rng, erase)``: an RGB crop (h, w, 3) uint8 of any size, the size (height, width)
of the result, the source of all randomness, and the probability of random erasing where the augmentation has it. It
returns an RGB crop at that size, uint8, and leaves the given one as it was. To add one, write it here and add a line to
``AUGMENTATIONS``.
"""

from collections.abc import Callable

import cv2
import numpy as np

from reid.images import Image, resize_crop

Size = tuple[int, int]

ERASE_FILL = (124, 116, 104)  # ImageNet's mean colour: zero after normalisation

# The MSML paper names its four changes without their extent; these are ours.
MSML_SHIFT = 0.06  # of the side, either way
MSML_ZOOM = 0.15  # either way
MSML_BLUR = 0.01  # of the height, the largest standard deviation: a person somewhat out of focus

TRIES = 100  # to find a rectangle that fits, as the reference implementation of random erasing


def cross_camera(image: Image, size: Size, rng: np.random.Generator, erase: float) -> Image:
    """Flip, pad-crop and erasing, with changes of colour and resolution for what differs from camera to camera."""
    if rng.random() < 0.25:
        image = lower_resolution(image, rng)
    return _taken(image, size, rng, erase, 0.7)


def cross_site(image: Image, size: Size, rng: np.random.Generator, erase: float) -> Image:
    """``cross_camera`` and more of it, for what differs from site to site: optics, compression, light."""
    if rng.random() < 0.3:
        image = lower_resolution(image, rng)
    if rng.random() < 0.15:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5)), np.uint8)
    if rng.random() < 0.3:
        image = compressed(image, rng)
    if rng.random() < 0.4:
        image = gamma(image, rng)
    return _taken(image, size, rng, erase, 0.8, 0.5, 0.15)


def msml(image: Image, size: Size, rng: np.random.Generator, erase: float) -> Image:
    """Flip, shift, zoom and blur, as the MSML paper (Xiao et al., arXiv:1710.00478); ``erase`` has no part in it."""
    image = resize_crop(image, size)
    height, width = size
    zoom = 1 + rng.uniform(-MSML_ZOOM, MSML_ZOOM)
    along = zoom if rng.random() < 0.5 else -zoom  # negative mirrors
    dy, dx = rng.uniform(-MSML_SHIFT, MSML_SHIFT, 2) * size
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    matrix = np.array([[along, 0, middle_x * (1 - along) + dx], [0, zoom, middle_y * (1 - zoom) + dy]])
    moved = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.5:
        moved = cv2.GaussianBlur(moved, (0, 0), max(rng.uniform(0, MSML_BLUR * height), 0.1))
    return np.asarray(moved, np.uint8)


def bag_of_tricks(image: Image, size: Size, rng: np.random.Generator, erase: float) -> Image:
    """Flip, pad-crop and erasing, as the bag of tricks (Luo et al., arXiv:1903.07071).

    Its 10 pixels of padding are for 256x128 and scale with the height. Its authors fill the erased rectangle with the
    mean's numbers after normalisation, a lighter grey; here it is the mean colour itself.
    """
    image = resize_crop(image, size)
    if rng.random() < 0.5:
        image = image[:, ::-1]
    image = shift(image, max(round(size[0] * 10 / 256), 1), rng)
    if rng.random() < erase:
        image = random_erasing(image, rng)
    return np.ascontiguousarray(image)


def none(image: Image, size: Size, rng: np.random.Generator, erase: float) -> Image:
    """Resize only."""
    return resize_crop(image, size)


AUGMENTATIONS: dict[str, Callable[[Image, Size, np.random.Generator, float], Image]] = {
    "cross_camera": cross_camera,
    "cross_site": cross_site,
    "msml": msml,
    "bag_of_tricks": bag_of_tricks,
    "none": none,
}


def _taken(
    image: Image,
    size: Size,
    rng: np.random.Generator,
    erase: float,
    coloured: float,
    extent: float = 0.3,
    cast: float = 0.08,
) -> Image:
    """Resized, flipped, shifted, with probability ``coloured`` in other colours, with ``erase`` partly covered."""
    image = resize_crop(image, size)
    if rng.random() < 0.5:
        image = image[:, ::-1]
    image = shift(image, max(size[0] // 16, 1), rng)
    if rng.random() < coloured:
        image = colour(image, rng, extent, cast)
    if rng.random() < erase:
        image = erased(image, rng)
    return np.ascontiguousarray(image)


def lower_resolution(image: Image, rng: np.random.Generator) -> Image:
    """Shrink by up to 3, as a person farther from the camera; the later resize brings the size back, not the detail."""
    factor = rng.uniform(0.33, 1)
    height, width = image.shape[:2]
    small = resize_crop(image, (max(int(height * factor), 8), max(int(width * factor), 8)))
    return resize_crop(small, (height, width))


def shift(image: Image, pad: int, rng: np.random.Generator) -> Image:
    """Pad with black by ``pad`` pixels and crop the original size at a random place."""
    height, width = image.shape[:2]
    dy, dx = rng.integers(0, 2 * pad + 1, 2)
    padded = np.zeros((height + 2 * pad, width + 2 * pad, 3), np.uint8)
    padded[pad : pad + height, pad : pad + width] = image
    return padded[dy : dy + height, dx : dx + width]


def colour(image: Image, rng: np.random.Generator, extent: float = 0.3, cast: float = 0.08) -> Image:
    """Change saturation, contrast and brightness, each by up to ``extent``, and white balance by up to ``cast``."""
    saturation, contrast, brightness = rng.uniform(1 - extent, 1 + extent, 3)
    gain = brightness * rng.uniform(1 - cast, 1 + cast, 3)
    mixed = saturation * np.eye(3) + (1 - saturation) / 3  # about the grey of each pixel
    matrix = np.column_stack([contrast * mixed, np.full(3, 128 * (1 - contrast))]) * gain[:, None]
    return np.asarray(cv2.transform(image, matrix), np.uint8)


def compressed(image: Image, rng: np.random.Generator) -> Image:
    """JPEG at a quality of 15 to 75 and back."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 76))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def gamma(image: Image, rng: np.random.Generator) -> Image:
    """Brighten or darken the middle tones, by an exponent of 0.67 to 1.5."""
    exponent = np.exp(rng.uniform(-0.4, 0.4))
    return np.asarray(cv2.LUT(image, (255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)), np.uint8)


def erased(image: Image, rng: np.random.Generator) -> Image:
    """Cover one rectangle of 2 to 33 % of the area, aspect 0.3 to 3.3, with the mean colour; trimmed to fit."""
    height, width = image.shape[:2]
    area = rng.uniform(0.02, 0.33) * height * width
    aspect = np.exp(rng.uniform(np.log(0.3), np.log(3.33)))
    h, w = int(np.sqrt(area * aspect)), int(np.sqrt(area / aspect))
    h, w = min(max(h, 1), height - 1), min(max(w, 1), width - 1)
    return _covered(image, int(rng.integers(0, height - h)), int(rng.integers(0, width - w)), h, w)


def random_erasing(image: Image, rng: np.random.Generator) -> Image:
    """Random erasing (Zhong et al., arXiv:1708.04896): 2 to 40 % of the area, drawn until it fits."""
    height, width = image.shape[:2]
    for _ in range(TRIES):
        area = rng.uniform(0.02, 0.4) * height * width
        aspect = rng.uniform(0.3, 1 / 0.3)
        h, w = round(float(np.sqrt(area * aspect))), round(float(np.sqrt(area / aspect)))
        if h < height and w < width:
            return _covered(image, int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w)
    return image


def _covered(image: Image, top: int, left: int, height: int, width: int) -> Image:
    out = image.copy()
    out[top : top + height, left : left + width] = ERASE_FILL
    return out
