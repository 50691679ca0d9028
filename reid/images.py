"""Reading and resizing person crops: the one place that training, evaluation and the running application share.

Colour order is RGB everywhere in ``reid``.
"""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from reid.errors import DataError

Image = npt.NDArray[np.uint8]

FULL_HEIGHT = 128.0  # pixels; from here on size adds nothing to a crop's quality
SHARP = 150.0  # variance of the Laplacian at which sharpness counts half


def read_image(path: Path) -> Image:
    """Decode one image file.

    Returns:
        RGB image, (h, w, 3) uint8.

    Raises:
        DataError: the file is absent or is not an image.
    """
    try:
        data = np.fromfile(path, np.uint8)  # cv2.imread cannot open non-ASCII paths on Windows
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    image = decode_image(data)
    if image is None:
        raise DataError(f"{path}: not an image that can be decoded; remove it or fetch the file again")
    return image


def decode_image(data: npt.NDArray[np.uint8]) -> Image | None:
    """Decode an encoded image's bytes, (n,) uint8, to RGB (h, w, 3) uint8; None where they are no image."""
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    return None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def resize_crop(image: Image, size: tuple[int, int]) -> Image:
    """Resize to ``size`` = (height, width), stretching, as the ReID literature does.

    Area averaging when the crop shrinks, so that a large crop does not alias; bilinear when it grows.
    """
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    shrinks = image.shape[0] > height and image.shape[1] > width
    resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def sharpness(grey: Image) -> float:
    """0..1: the Laplacian's variance of a grey picture, (h, w) uint8, at a fixed height so that size does not count."""
    scale = 96 / grey.shape[0]
    if scale < 1:
        grey = np.asarray(
            cv2.resize(grey, (max(round(grey.shape[1] * scale), 1), 96), interpolation=cv2.INTER_AREA), np.uint8
        )
    variance = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    return variance / (variance + SHARP)


def crop_quality(image: Image) -> float:
    """0..1: size times sharpness of an RGB crop (h, w, 3), all that a crop without its detection tells of its worth."""
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    return float(min(image.shape[0] / FULL_HEIGHT, 1.0)) * sharpness(grey)
