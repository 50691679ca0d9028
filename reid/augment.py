"""Training augmentation of one crop: flip, pad-crop, colour, resolution, erasing.

Flip, pad-crop and erasing follow the bag of tricks (Luo et al., arXiv:1903.07071) and Random Erasing (Zhong et al.,
arXiv:1708.04896). Colour and resolution changes stand in for what differs from camera to camera.
"""

import cv2
import numpy as np

from reid.images import Image, resize_crop

ERASE_FILL = (124, 116, 104)  # ImageNet's mean colour: zero after normalisation


def augment(image: Image, size: tuple[int, int], rng: np.random.Generator, erase: float = 0.4) -> Image:
    """A random variant of an RGB crop at ``size`` = (height, width), uint8.

    Args:
        image: (h, w, 3) RGB uint8.
        size: of the result.
        rng: source of all randomness.
        erase: probability of random erasing.
    """
    if rng.random() < 0.25:
        image = lower_resolution(image, rng)
    image = resize_crop(image, size)
    if rng.random() < 0.5:
        image = image[:, ::-1]
    image = shift(image, max(size[0] // 16, 1), rng)
    if rng.random() < 0.7:
        image = colour(image, rng)
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
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    return padded[dy : dy + height, dx : dx + width]


def colour(image: Image, rng: np.random.Generator) -> Image:
    """Change brightness, contrast, saturation and white balance, each by up to about a third."""
    pixels = image.astype(np.float32)
    grey = pixels.mean(2, keepdims=True)
    pixels = grey + (pixels - grey) * rng.uniform(0.7, 1.3)
    pixels = (pixels - 128) * rng.uniform(0.7, 1.3) + 128
    pixels *= rng.uniform(0.7, 1.3) * rng.uniform(0.92, 1.08, 3).astype(np.float32)
    return np.asarray(np.clip(pixels, 0, 255), np.uint8)


def erased(image: Image, rng: np.random.Generator) -> Image:
    """Cover one rectangle of 2 to 33 % of the area, aspect 0.3 to 3.3, with the mean colour."""
    height, width = image.shape[:2]
    area = rng.uniform(0.02, 0.33) * height * width
    aspect = np.exp(rng.uniform(np.log(0.3), np.log(3.33)))
    h, w = int(np.sqrt(area * aspect)), int(np.sqrt(area / aspect))
    h, w = min(max(h, 1), height - 1), min(max(w, 1), width - 1)
    top, left = int(rng.integers(0, height - h)), int(rng.integers(0, width - w))
    out = image.copy()
    cv2.rectangle(out, (left, top), (left + w - 1, top + h - 1), ERASE_FILL, -1)
    return out
