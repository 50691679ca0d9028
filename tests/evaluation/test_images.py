from functools import partial
from pathlib import Path

import numpy as np
import pytest

from reid.datasets import ImageSet, Split, TrackletSet, load_dataset
from reid.errors import BadInputError, DataError
from reid.evaluation import (
    Collector,
    embed_images,
    embed_tracklets,
    evaluate_features,
    evaluate_reranked,
    evaluate_split,
    multi_query_features,
    pool_queries,
    score_ranking,
)
from tests.evaluation.loops import labels, unit_rows
from tests.helpers import COLOURS, market_folder, write_image
from tests.losses.worked import WORKED


def mean_colour(images):
    return np.stack([image.mean((0, 1)) for image in images])


def silent(line):
    pass


def test_evaluates_a_folder(tmp_path):
    split = load_dataset("market1501", market_folder(tmp_path))
    lines, sizes = [], []

    def embed(images):
        sizes.append(len(images))
        return mean_colour(images)

    collector = Collector()
    scores = evaluate_split(split, embed, lines.append, batch=3, collector=collector)
    assert (scores.queries, scores.valid, scores.mean_ap, scores.rank(1)) == (4, 4, 1.0, 1.0)
    assert sizes == [3, 1, 3, 3]
    assert lines[-1] == "gallery: 6 of 6 images"
    nearest = collector.details().nearest[:, 0]
    assert split.gallery.pid[nearest].tolist() == split.query.pid.tolist()
    with pytest.raises(DataError, match="no query and gallery"):
        evaluate_split(Split(train=split.train), embed, lines.append)


def test_an_empty_set_is_named():
    nobody = ImageSet((), np.empty(0, np.int64), np.empty(0, np.int64))
    with pytest.raises(DataError, match="the gallery set has no image"):
        embed_images(nobody, mean_colour, "gallery", silent)


def frames_as(features):
    """A tracklet set of three tracklets and an embedder that gives these rows."""
    lengths = (3, 1, len(features) - 4)
    names = iter(range(len(features)))
    frames = tuple(tuple(Path(str(next(names))) for _ in range(length)) for length in lengths)
    at = iter(np.split(features, len(features)))

    def embed(images):
        return np.concatenate([next(at) for _ in images])

    return TrackletSet(frames, np.arange(1, 4), np.ones(3, np.int64)), embed


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 64])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_tracklets_are_pooled_however_batches_cut_them(pooling, normalize, batch, monkeypatch):
    monkeypatch.setattr(ImageSet, "read", lambda self, index: None)
    features = np.random.default_rng(0).normal(size=(11, 5)).astype(np.float32)
    tracklets, embed = frames_as(features)
    found = embed_tracklets(tracklets, embed, "gallery", silent, batch, pooling, normalize)
    rows = unit_rows(features) if normalize else features
    reduce = {"mean": np.mean, "max": np.max}[pooling]
    expected = unit_rows(np.stack([reduce(rows[a:b], axis=0) for a, b in ((0, 3), (3, 4), (4, 11))]))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.dtype == np.float32


def test_worked_pooling(monkeypatch):
    monkeypatch.setattr(ImageSet, "read", lambda self, index: None)
    worked = WORKED["pool"]
    frames = np.array([*worked["frames"], [1, 0, 0], [0, 1, 0]])
    for name, pooling, normalize in (
        ("avg_post", "mean", False),
        ("max_post", "max", False),
        ("avg_pre_post", "mean", True),
    ):
        tracklets, embed = frames_as(frames)
        found = embed_tracklets(tracklets, embed, "gallery", silent, 64, pooling, normalize)
        assert found[0] == pytest.approx(worked[name], abs=1e-6)


def test_an_unknown_pooling_is_bad_input():
    tracklets, embed = frames_as(np.ones((5, 2)))
    with pytest.raises(BadInputError, match="'median' is unknown; choose mean or max"):
        embed_tracklets(tracklets, embed, "gallery", silent, pooling="median")
    with pytest.raises(BadInputError, match="'median' is unknown"):
        pool_queries(np.ones((1, 2)), *[np.ones(1, int)] * 4, "median")


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_multi_query_pools_the_querys_identity_in_its_camera(pooling):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(50, 6))
    pid, camera = rng.integers(1, 4, 50), rng.integers(1, 3, 50)
    query_pid, query_camera = np.repeat([1, 2, 3], 2), np.tile([1, 2], 3)
    found = pool_queries(features, pid, camera, query_pid, query_camera, pooling)
    for row, p, c in zip(found, query_pid, query_camera, strict=True):
        own = features[[i for i in range(50) if pid[i] == p and camera[i] == c]]
        pooled = own.mean(0) if pooling == "mean" else own.max(0)
        np.testing.assert_allclose(row, pooled / np.linalg.norm(pooled), atol=1e-6)


def test_multi_query_of_a_folder(tmp_path):
    market_folder(tmp_path)
    for person, colour in enumerate(COLOURS, 1):
        for number in (1, 2):
            write_image(tmp_path / "gt_bbox" / f"{person:04}_c1s1_{number:06}_00.jpg", colour, seed=70 + number)
    write_image(tmp_path / "gt_bbox" / "0001_c2s1_000001_00.jpg", COLOURS[2])  # of no query's camera
    split = load_dataset("market1501", tmp_path)
    read = []

    def features(images, part):
        read.append((part, len(images)))
        return embed_images(images, mean_colour, part, silent)

    pooled = multi_query_features(split, features)
    assert read == [("multi query", 8)]
    assert list(pooled) == ["mean", "max"]
    gallery = embed_images(split.gallery, mean_colour, "gallery", silent)
    for queries in pooled.values():
        scores = evaluate_features(
            queries, split.query.pid, split.query.camera, gallery, split.gallery.pid, split.gallery.camera
        )
        assert (scores.valid, scores.mean_ap) == (4, 1.0)


def test_multi_query_needs_an_image_of_every_query():
    one, two = np.array([1]), np.array([2])
    with pytest.raises(DataError, match=r"1 of 1 queries have no image, the first of identity 2 in camera 1; fetch"):
        pool_queries(np.ones((1, 3)), one, one, two, one)
    images = ImageSet((Path("a"),), one, one)
    with pytest.raises(DataError, match="no multi-query images"):
        multi_query_features(Split(images, images, images), partial(embed_images, embed=mean_colour))


def test_reranking_sees_distractors_and_no_junk():
    rng = np.random.default_rng(0)
    query, gallery, drawn = rng.normal(size=(9, 4)), rng.normal(size=(40, 4)), labels(rng, 9, 40)
    seen = []

    def reranker(q, g):
        seen.append((len(q), len(g)))
        assert np.linalg.norm(np.concatenate([q, g]), axis=1) == pytest.approx(1)
        return iter(np.split((q @ g.T) ** 2, [2, 5]))

    scores = evaluate_reranked(reranker, query, *drawn[:2], gallery, *drawn[2:])
    assert seen == [(9, int((drawn[2] != -1).sum()))]
    assert scores == score_ranking((unit_rows(query) @ unit_rows(gallery).T) ** 2, *drawn)
