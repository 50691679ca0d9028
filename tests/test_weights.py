"""The shipped embedders: each opens, is calibrated, tells people apart, and has a model card."""

import numpy as np
import pytest

from reid.embed import DEFAULT_EMBEDDER, EMBEDDERS, Embedder
from tests.clips import photograph

PEOPLE = [(48, 398, 246, 902), (223, 405, 345, 860), (669, 392, 809, 877)]  # xyxy in bus.jpg


@pytest.fixture(params=EMBEDDERS)
def embedder(request):
    return Embedder(request.param, "cpu")


def test_the_default_is_shipped():
    assert DEFAULT_EMBEDDER in EMBEDDERS


def test_a_model_card_stands_beside_each_file(embedder):
    card = embedder.path.with_suffix(".md").read_text(encoding="utf-8")
    for words in ("trained on", "licence of the data", "Recipe", "Scores", "mAP", "Known failures"):
        assert words in card


def test_the_card_states_the_calibration_that_is_in_the_file(embedder):
    card = embedder.path.with_suffix(".md").read_text(encoding="utf-8")
    calibration = embedder.calibration
    for curve in (calibration.tracklets, calibration.crops):
        one, two = curve.pairs
        assert f"| {curve.slope:.2f} | {curve.intercept:.2f} | {curve.error:.4f} | {one:,} | {two:,} |" in card
        for values in ([f"{p.similarity:.4f}" for p in curve.points], [f"{p[2] * 100:.1f} %" for p in curve.points]):
            assert f"| {' | '.join(values)} |" in card


def test_its_probabilities_come_true(embedder):
    for curve in (embedder.calibration.tracklets, embedder.calibration.crops):
        assert curve.error <= 0.03
        assert [point.false_match_rate for point in curve.points] == [0.1, 0.01, 0.001, 0.0001]


def test_the_card_states_the_parameters_and_scores_that_are_in_the_file(embedder):
    card = embedder.path.with_suffix(".md").read_text(encoding="utf-8")
    assert f"{embedder.card.parameters / 1e6:.1f} million" in card
    assert "research" in embedder.card.licence
    for m_ap, r1 in embedder.card.scores.values():
        assert f"{m_ap * 100:.2f} %" in card
        assert f"{r1 * 100:.2f} %" in card
    assert embedder.card.scores


def test_it_is_small(embedder):
    assert embedder.path.stat().st_size < 5_000_000


def test_one_person_in_other_light_is_nearer_than_another_person(embedder):
    picture = photograph("bus.jpg")[:, :, ::-1]
    crops = [np.ascontiguousarray(picture[y1:y2, x1:x2]) for x1, y1, x2, y2 in PEOPLE]
    darker = [np.ascontiguousarray((crop[:, ::-1] * 0.6).astype(np.uint8)) for crop in crops]
    similarity = embedder(crops) @ embedder(darker).T
    assert (similarity.argmax(1) == np.arange(3)).all()
    assert np.diag(similarity).min() > similarity[~np.eye(3, dtype=bool)].max()
