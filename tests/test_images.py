import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.errors import DataError
from reid.images import crop_quality, read_image, resize_crop, sharpness
from tests.helpers import write_image


def test_read_image_is_rgb(tmp_path):
    write_image(tmp_path / "red.png", (230, 30, 30), size=(20, 10))
    image = read_image(tmp_path / "red.png")
    assert image.shape == (20, 10, 3)
    assert image.dtype == np.uint8
    assert image[..., 0].mean() > 200
    assert image[..., 2].mean() < 60


def test_an_unreadable_image_is_one_clear_line(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"not an image")
    (tmp_path / "b.jpg").touch()
    for name in ("a.jpg", "b.jpg"):
        with pytest.raises(DataError, match=f"{name}: not an image"):
            read_image(tmp_path / name)
    with pytest.raises(DataError, match=r"absent.jpg: cannot be read"):
        read_image(tmp_path / "absent.jpg")


@pytest.mark.parametrize("size", [(64, 32), (300, 10), (7, 5), (1, 1)])
def test_resize_crop(size):
    image = np.full((64, 32, 3), (10, 20, 30), np.uint8)
    resized = resize_crop(image, size)
    assert resized.shape == (*size, 3)
    assert (resized == image[0, 0]).all()


# ---- how well a crop shows


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@given(st.integers(1, 200), st.integers(1, 80), st.integers(0, 99))
def test_sharpness_is_a_share(height, width, seed):
    assert 0 <= sharpness(noise(height, width, seed=seed)) < 1


@pytest.mark.parametrize("height", [40, 96, 300])
def test_blur_lowers_sharpness(height):
    picture = noise(height, height // 2)
    blurred = [cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (1, 2, 4)]
    values = [sharpness(image) for image in (picture, *blurred)]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 4


def test_a_flat_picture_has_none():
    assert sharpness(np.full((50, 20), 80, np.uint8)) == 0


@pytest.mark.parametrize(("height", "share"), [(32, 0.25), (64, 0.5), (128, 1), (200, 1)])
def test_the_quality_of_a_crop_is_sharpness_times_size_up_to_128_pixels(height, share):
    crop = noise(height, 30, 3)
    assert crop_quality(crop) == pytest.approx(share * sharpness(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)))
