import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.calibration import Calibration, fit_calibration
from reid.errors import DataError


def pairs(seed=0, positives=300, negatives=3000, gap=0.5):
    """Similarities of pairs of one person, then of two people."""
    rng = np.random.default_rng(seed)
    similarity = np.concatenate([rng.normal(0.2 + gap, 0.15, positives), rng.normal(0.2, 0.15, negatives)])
    return similarity, np.arange(len(similarity)) < positives


def test_two_normal_classes_give_the_known_curve():
    # Two normals of one deviation s: the log odds are linear, slope (m1 - m0) / s^2, even half way between the means.
    similarity, same = pairs(positives=40_000, negatives=40_000)
    fitted = fit_calibration(similarity, same)
    assert fitted.slope == pytest.approx(0.5 / 0.15**2, rel=0.05)
    assert fitted.threshold == pytest.approx(1 - 0.45, abs=0.01)
    assert fitted.probability(1 - fitted.threshold) == pytest.approx(0.5)


def test_the_fit_is_a_stationary_point_of_the_balanced_likelihood():
    similarity, same = pairs()
    fitted = fit_calibration(similarity, same)
    weights = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    residual = weights * (fitted.probability(similarity) - same)
    assert residual.sum() == pytest.approx(0, abs=1e-4)
    assert residual @ similarity == pytest.approx(0, abs=1e-4)


def test_the_number_of_negatives_does_not_move_the_curve():
    similarity, same = pairs()
    more = np.concatenate([similarity, *[similarity[~same]] * 9])
    tenfold = fit_calibration(more, np.arange(len(more)) < same.sum())
    once = fit_calibration(similarity, same)
    assert (tenfold.slope, tenfold.intercept) == pytest.approx((once.slope, once.intercept), rel=1e-5)


def test_separable_pairs_stay_finite():
    fitted = fit_calibration(np.array([0.9, 0.8, 0.1, 0.0]), np.array([True, True, False, False]))
    assert 0.1 < 1 - fitted.threshold < 0.8
    assert fitted.probability(0.9) > 0.99
    assert fitted.probability(0.0) < 0.01


def test_a_given_threshold_is_kept():
    assert fit_calibration(*pairs(), threshold=0.31).threshold == 0.31


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_probability_is_monotonic_and_within_bounds(low, high):
    low, high = sorted((low, high))
    p = Calibration(25.0, -10.0, 0.6).probability([low, high])
    assert 0 <= p[0] <= p[1] <= 1


def test_probability_keeps_the_shape():
    calibration = Calibration(25.0, -10.0, 0.6)
    assert calibration.probability(0.5).shape == ()
    assert calibration.probability(np.zeros((2, 3), np.float32)).shape == (2, 3)


def test_json_round_trip():
    calibration = Calibration(25.123456789, -10.0, 0.6)
    assert Calibration.from_json(calibration.to_json()) == calibration
    text = '{"slope": 1.0, "intercept": 2, "threshold": 0.5}'
    assert Calibration.from_json(text) == Calibration(1.0, 2.0, 0.5)


@pytest.mark.parametrize("text", ["", "{}", "[1, 2, 3]", '{"slope": 1, "intercept": null, "threshold": 1}', "3"])
def test_json_that_is_no_calibration(text):
    with pytest.raises(ValueError, match=r"calibration|Expecting"):
        Calibration.from_json(text)


@pytest.mark.parametrize("values", [(0, 0, 0.5), (-1, 0, 0.5), (np.nan, 0, 0.5), (1, np.inf, 0.5), (1, 0, 2.5)])
def test_values_that_are_no_calibration(values):
    with pytest.raises(ValueError, match="calibration: expected"):
        Calibration(*values)


def test_pairs_that_cannot_be_fitted():
    with pytest.raises(DataError, match="0 of 2 pairs"):
        fit_calibration(np.array([0.1, 0.2]), np.array([False, False]))
    with pytest.raises(DataError, match="no higher for the same person"):
        fit_calibration(np.array([0.1, 0.9]), np.array([True, False]))
    with pytest.raises(ValueError, match=r"got \(2,\) and \(1,\)"):
        fit_calibration(np.array([0.1, 0.9]), np.array([True]))
    with pytest.raises(ValueError, match="1 of 2 values are not finite"):
        fit_calibration(np.array([0.1, np.nan]), np.array([True, False]))
