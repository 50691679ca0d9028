import numpy as np
import pytest

from reid.errors import DataError
from reid.images import read_image, resize_crop
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
