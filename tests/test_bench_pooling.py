"""Poolings side by side, on a miniature of coloured people."""

import json

import numpy as np
import pytest

from reid.bench.pooling import (
    DAMAGED,
    SHORT,
    TRACKLETS,
    bench_pooling,
    blurred,
    damaged_frames,
    embed_kinds,
    occluded,
    rows_of,
    spread,
)
from reid.datasets import load_dataset
from reid.errors import DataError
from reid.images import sharpness
from reid.pool import POOLINGS
from tests.helpers import CARD, COLOURS, colour_embedder, market_folder, write_image
from tracker.cli import main


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """Four people to learn from and four to find, each a colour, in 6 frames of either camera."""
    folder = tmp_path_factory.mktemp("market")
    for part, first in (("bounding_box_train", 1), ("bounding_box_test", 11)):
        for person, colour in enumerate(COLOURS, first):
            for camera in (1, 2):
                for frame in range(6):
                    name = f"{person:04}_c{camera}s1_{frame:06}_00.png"
                    write_image(folder / part / name, colour, seed=100 * camera + frame)
    write_image(folder / "bounding_box_test" / "0000_c1s1_000000_00.png", (90, 90, 90))
    return folder


@pytest.fixture(scope="module")
def split(market):
    return load_dataset("market1501_tracklets", market)


class Colour:
    """Mean colours as vectors; remembers how many images it saw."""

    def __init__(self):
        self.seen = 0

    def __call__(self, crops):
        self.seen += len(crops)
        vectors = np.array([crop.reshape(-1, 3).mean(0) - 80 for crop in crops])
        return vectors.astype(np.float32)


def test_every_pooling_is_scored_on_every_kind_of_tracklet(split):
    embed, lines = Colour(), []
    rows = bench_pooling(split, embed, lines.append)
    assert [(row.tracklets, row.pooling) for row in rows] == [
        (kind, pooling) for kind in TRACKLETS for pooling in (*POOLINGS, "attention")
    ]
    assert all(row.scores.queries == row.scores.valid == 8 for row in rows)
    assert all(row.scores.mean_ap == 1 for row in rows if row.tracklets in ("whole", f"at most {SHORT}"))
    damaged = round(8 * 6 * DAMAGED)
    assert 48 + 49 + 2 * (damaged - 4) <= embed.seen <= 48 + 49 + 2 * (damaged + 4)  # every image once
    assert any("test: " in line for line in lines)


def test_it_is_repeatable(split):
    first, again = (bench_pooling(split, Colour(), lambda line: None, seed=4) for _ in range(2))
    assert first == again


def test_damaged_tracklets_differ_from_whole_ones_in_their_damaged_frames_alone(split):
    gallery = split.gallery
    images, whole = gallery.images(), rows_of(gallery)
    frames, kinds = embed_kinds(gallery, Colour(), lambda line: None, seed=0)
    assert list(kinds) == list(TRACKLETS)
    assert len(frames.vectors) == len(frames.quality)
    hit = damaged_frames(whole, np.random.default_rng(0))
    for kind in ("another person", "occluded", "blurred"):
        before, after = np.concatenate(whole), np.concatenate(kinds[kind])
        assert before[before != after].tolist() == hit.tolist()
    for owner, (own, changed) in enumerate(zip(whole, kinds["another person"], strict=True)):
        for row in changed[own != changed]:
            assert images.pid[row] != gallery.pid[owner]
            assert images.camera[row] == gallery.camera[owner]
    for kind, lower in (("occluded", 0.99), ("blurred", 1.1)):
        extra = np.concatenate(kinds[kind])[np.isin(np.concatenate(whole), hit)]
        assert (extra >= len(images)).all()
        likeness = (frames.vectors[extra] * frames.vectors[hit]).sum(1)
        assert (likeness < lower).all()
    blurs = np.concatenate(kinds["blurred"])[np.isin(np.concatenate(whole), hit)]
    assert (frames.quality[blurs] < frames.quality[hit]).all()


def test_rows_are_the_tracklets_frames(split):
    paths = split.gallery.images().paths
    assert [tuple(paths[row] for row in own) for own in rows_of(split.gallery)] == list(split.gallery.frames)


@pytest.mark.parametrize(
    ("length", "kept"), [(1, [0]), (2, [0, 1]), (4, [0, 1, 2, 3]), (5, [0, 1, 3, 4]), (10, [0, 3, 6, 9])]
)
def test_short_tracklets_are_spread_from_first_to_last(length, kept):
    assert spread(np.arange(length) + 7).tolist() == [row + 7 for row in kept]


def test_a_quarter_of_the_frames_is_damaged_and_never_all():
    lengths = np.array([1, 2, 3, 4, 8, 9] * 200)
    rows = np.split(np.arange(lengths.sum()), np.cumsum(lengths)[:-1])
    hit = damaged_frames(rows, np.random.default_rng(0))
    count = np.array([np.isin(own, hit).sum() for own in rows])
    assert (count < lengths).all()
    for length in (2, 3, 4, 8, 9):
        assert count[lengths == length].mean() == pytest.approx(length * DAMAGED, abs=0.15)
        assert np.ptp(count[lengths == length]) <= 1


def test_an_occluded_picture_shows_the_other_on_its_left():
    image, other = np.full((20, 10, 3), 10, np.uint8), np.full((40, 30, 3), 200, np.uint8)
    covered = occluded(image, other)
    assert (covered[:, :6] == 200).all()
    assert (covered[:, 6:] == 10).all()
    assert (image == 10).all()


@pytest.mark.parametrize("shape", [(128, 64, 3), (3, 2, 3)])
def test_a_blurred_picture_keeps_its_shape(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    softer = blurred(image)
    assert (softer.shape, softer.dtype) == (shape, np.uint8)
    assert sharpness(softer[..., 0]) < sharpness(image[..., 0])


def test_images_are_refused(tmp_path):
    with pytest.raises(DataError, match="scored on tracklets"):
        bench_pooling(load_dataset("market1501", market_folder(tmp_path)), Colour(), lambda line: None)


def test_on_the_command_line(market, tmp_path, capsys):
    model, out = colour_embedder(tmp_path / "colour.onnx", CARD), tmp_path / "out"
    arguments = ["--data", f"market1501_tracklets={market}", "--embedder", str(model), "--out", str(out)]
    assert main(["bench", "pooling", *arguments]) == 0, capsys.readouterr().err
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[1].split() == ["tracklets", "pooling", "mAP", "R1", "R5", "mINP"]
    assert lines[2].split()[:3] == ["whole", "quality", "100.00%"]
    assert lines[-1].startswith("blurred: 25% of the frames")
    assert "test: 49 of 49 images" in said.err
    scores = json.loads((out / "scores.json").read_text())
    assert len(scores["scores"]) == len(TRACKLETS) * (len(POOLINGS) + 1)
    assert scores["scores"][0]["mAP"] == 1
    assert (out / "pooling.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("market1501=nowhere", "market1501 is not scored as MARS; choose from market1501_tracklets, mars"),
        ("market1501_tracklets=nowhere", "nowhere"),
        ("cifar=nowhere", "'cifar' is unknown"),
        ("market1501_tracklets", "NAME=FOLDER"),
    ],
)
def test_mistakes_end_in_one_line(data, said, tmp_path, capsys):
    model = colour_embedder(tmp_path / "colour.onnx")
    assert main(["bench", "pooling", "--data", data, "--embedder", str(model)]) in (1, 2)
    error = capsys.readouterr().err.strip()
    assert said in error
    assert error.count("\n") == 0
