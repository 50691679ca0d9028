import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reid.augment import (
    AUGMENTATIONS,
    ERASE_FILL,
    bag_of_tricks,
    colour,
    compressed,
    cross_camera,
    erased,
    gamma,
    lower_resolution,
    msml,
    none,
    random_erasing,
    shift,
)
from reid.images import resize_crop

SIZE = (128, 64)


def generator(seed=0):
    return np.random.default_rng(seed)


def person(seed=0, size=SIZE):
    """Smooth, so that moving it is not far from moving its pixels; and not symmetric."""
    rough = np.random.default_rng(seed).integers(40, 200, (8, 4, 3)).astype(np.uint8)
    return cv2.resize(rough, size[::-1], interpolation=cv2.INTER_CUBIC)


def variants(augment, image, erase=0.0, number=60, size=SIZE):
    return np.stack([augment(image, size, generator(seed), erase) for seed in range(number)])


@pytest.mark.parametrize("augment", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
@given(data=st.data())
def test_contract(augment, data):
    height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
    size = data.draw(st.integers(8, 40)), data.draw(st.integers(4, 40))
    image = data.draw(arrays(np.uint8, (height, width, 3)))
    before = image.copy()
    seed, erase = data.draw(st.integers(0, 999)), data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    once = augment(image, size, generator(seed), erase)
    assert once.shape == (*size, 3)
    assert once.dtype == np.uint8
    assert once.flags.c_contiguous
    assert np.array_equal(image, before)  # the given crop stays as it was
    assert np.array_equal(once, augment(image, size, generator(seed), erase))  # the generator decides


@pytest.mark.parametrize("name", ["cross_camera", "cross_site", "msml", "bag_of_tricks"])
def test_no_two_variants_are_alike(name):
    made = variants(AUGMENTATIONS[name], person(), erase=0.5)
    assert len({variant.tobytes() for variant in made}) > 50


@pytest.mark.parametrize("name", ["cross_camera", "msml", "bag_of_tricks"])
def test_about_half_are_mirrored(name):
    image = person(1)
    made = variants(AUGMENTATIONS[name], image, number=200).astype(float)
    distance = [((made - like) ** 2).mean((1, 2, 3)) for like in (image.astype(float), image[:, ::-1].astype(float))]
    mirrored = (distance[1] < distance[0]).mean()
    assert 0.38 < mirrored < 0.62


@pytest.mark.parametrize(
    ("name", "erases"), [("cross_camera", 1), ("cross_site", 1), ("bag_of_tricks", 1), ("msml", 0), ("none", 0)]
)
def test_erasing_has_its_probability_where_it_belongs(name, erases):
    flat = np.full((*SIZE, 3), (10, 200, 90), np.uint8)

    def share(erase):
        made = variants(AUGMENTATIONS[name], flat, erase, 200)
        return (made == ERASE_FILL).all(-1).any((1, 2)).mean()

    assert share(0.0) == 0
    assert share(1.0) == erases
    assert 0.38 * erases <= share(0.5) <= 0.62 * erases


def test_none_is_the_resize_of_evaluation():
    for size in ((128, 64), (50, 20), (200, 90)):
        assert np.array_equal(none(person(), size, generator(), 1.0), resize_crop(person(), size))


def test_bag_of_tricks_pads_and_crops():
    """Without erasing it is the crop or its mirror image, moved by at most 10 pixels at 256x128, black around it."""
    image = person(2, (256, 128))
    both = [cv2.copyMakeBorder(i, 10, 10, 10, 10, cv2.BORDER_CONSTANT) for i in (image, image[:, ::-1])]
    places = set()
    for variant in variants(bag_of_tricks, image, number=40, size=(256, 128)):
        found = [
            (flip, dy, dx)
            for flip, padded in enumerate(both)
            for dy in range(21)
            for dx in range(21)
            if np.array_equal(padded[dy : dy + 256 : 37, dx : dx + 128 : 17], variant[::37, ::17])
            and np.array_equal(padded[dy : dy + 256, dx : dx + 128], variant)
        ]
        assert len(found) == 1
        places |= set(found)
    assert len(places) > 30
    assert {flip for flip, _, _ in places} == {0, 1}


def test_bag_of_tricks_pads_in_proportion():
    flat = np.full((*SIZE, 3), 200, np.uint8)
    black = (variants(bag_of_tricks, flat, number=200) == 0).all(-1)
    assert black.any(2).sum(1).max() == 128  # a black column
    rows, columns = black.all(2).sum(1), black.all(1).sum(1)
    assert rows.max() == columns.max() == 5  # half of 10 at half the size


def rectangle(image, marked):
    """Top, left, height, width of the marked pixels, which must be one full rectangle."""
    rows, columns = np.flatnonzero(marked.any(1)), np.flatnonzero(marked.any(0))
    top, left, height, width = rows[0], columns[0], np.ptp(rows) + 1, np.ptp(columns) + 1
    assert marked.sum() == height * width
    assert np.array_equal(image[~marked], np.broadcast_to(image[~marked][:1], image[~marked].shape))
    return int(top), int(left), int(height), int(width)


@pytest.mark.parametrize(("erase", "largest"), [(erased, 0.33), (random_erasing, 0.4)])
def test_erasing_covers_one_rectangle_of_the_mean_colour(erase, largest):
    image = np.full((*SIZE, 3), (10, 200, 90), np.uint8)
    areas, places = [], set()
    for seed in range(300):
        covered = erase(image, generator(seed))
        top, left, height, width = rectangle(covered, (covered == ERASE_FILL).all(-1))
        areas.append(height * width / (128 * 64))
        places.add((top, left))
        assert height < 128
        assert width < 64
    assert 0.015 < min(areas) < 0.06
    assert largest - 0.06 < max(areas) < largest + 0.02  # whole pixels
    assert len(places) > 250


def test_random_erasing_s_aspect():
    image = np.zeros((100, 100, 3), np.uint8)
    aspects = []
    for seed in range(200):
        covered = random_erasing(image, generator(seed))
        _, _, height, width = rectangle(covered, (covered == ERASE_FILL).all(-1))
        aspects.append(height / width)
    assert 0.28 < min(aspects) < 0.5
    assert 2.9 < max(aspects) < 3.5


def test_random_erasing_gives_up_where_nothing_fits():
    image = np.zeros((1, 1, 3), np.uint8)
    assert np.array_equal(random_erasing(image, generator()), image)


def test_shift_moves_whole_pixels_over_black():
    image = person(3)
    padded = np.pad(image, ((8, 8), (8, 8), (0, 0)))
    for seed in range(20):
        dy, dx = generator(seed).integers(0, 17, 2)
        assert np.array_equal(shift(image, 8, generator(seed)), padded[dy : dy + 128, dx : dx + 64])


def naive_colour(image, rng):
    """Saturation about each pixel's grey, contrast about 128, then the gains."""
    saturation, contrast, brightness = (rng.uniform(0.7, 1.3) for _ in range(3))
    gains = brightness * rng.uniform(0.92, 1.08, 3)
    out = np.empty(image.shape)
    for at in np.ndindex(image.shape[:2]):
        pixel = image[at].astype(float)
        grey = pixel.mean()
        out[at] = ((grey + (pixel - grey) * saturation - 128) * contrast + 128) * gains
    return np.clip(out, 0, 255)


@pytest.mark.parametrize("seed", range(5))
def test_colour(seed):
    image = np.random.default_rng(seed).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    assert abs(colour(image, generator(seed)) - naive_colour(image, generator(seed))).max() < 1  # fixed point


def test_lower_resolution_loses_detail_and_keeps_the_rest():
    checks = (np.indices(SIZE).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    for seed in range(5):
        lowered = lower_resolution(checks, generator(seed))
        assert lowered.shape == checks.shape
        assert lowered.std() < checks.std()
        assert abs(lowered.mean() - checks.mean()) < 4


def test_cross_camera_reaches_all_its_changes():
    image = person(4)
    made = variants(cross_camera, image, number=100)
    assert made.mean((1, 2)).std(0).min() > 5  # colours wander
    assert (made == 0).all(-1).any()  # black from the shift


def test_msml_moves_zooms_and_blurs():
    """A white square on grey: its place, its size and the sharpness of its edge vary; the border is continued."""
    image = np.full((*SIZE, 3), 60, np.uint8)
    image[40:88, 20:44] = 255
    made = variants(msml, image, number=200)[..., 0].astype(float)
    white = np.clip((made - 60) / 195, 0, 1)
    area = white.sum((1, 2)) / (48 * 24)
    assert 0.7 < area.min() < 0.8  # 0.85 squared
    assert 1.2 < area.max() < 1.35  # 1.15 squared
    centre = (white.sum(2) * np.arange(128)).sum(1) / white.sum((1, 2))
    assert 0.04 * 128 < abs(centre - 63.5).max() < 0.07 * 128
    steepest = abs(np.diff(made, axis=1)).max((1, 2))
    assert steepest.max() > 150  # some are sharp
    assert steepest.min() < 100  # some are not
    assert made.min() >= 59  # nothing black comes in


def test_compression_leaves_blocks_and_gamma_leaves_black_and_white():
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (32, 16, 3)).astype(np.uint8)
    squeezed = compressed(noise, generator())
    assert squeezed.shape == noise.shape
    assert 5 < np.abs(squeezed.astype(int) - noise).mean() < 80
    steps = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, 2)
    for seed in range(20):
        curved = gamma(steps, generator(seed))[:, 0, 0].astype(int)
        assert (curved[0], curved[-1]) == (0, 255)
        assert (np.diff(curved) >= 0).all()
        assert 85 <= curved[128] <= 170
