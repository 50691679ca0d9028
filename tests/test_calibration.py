import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text

from reid import calibrate as measuring
from reid.calibrate import EDGES, STEPS, calibrate, count_pairs, measure, operating_points, tracklet_rows
from reid.calibration import (
    Calibration,
    Curve,
    OperatingPoint,
    expected_calibration_error,
    fit_curve,
    reliability,
)
from reid.datasets import ImageSet, Split
from reid.errors import BadInputError, DataError
from reid.figures import reliability_diagram
from reid.images import read_image

POINTS = (OperatingPoint(0.1, 0.25, 0.99), OperatingPoint(0.01, 0.5, 0.875))
MEASURED = Curve(16.5, -7.25, POINTS, 0.0125, {"market1501": 0.0125, "my site": 0.5}, 750, (6186, 4_611_433))


def pairs(seed=0, positives=300, negatives=3000, gap=0.5):
    """Similarities of pairs of one person, then of two people."""
    rng = np.random.default_rng(seed)
    similarity = np.concatenate([rng.normal(0.2 + gap, 0.15, positives), rng.normal(0.2, 0.15, negatives)])
    return similarity, np.arange(len(similarity)) < positives


class TestFit:
    def test_two_normal_classes_give_the_known_curve(self):
        # Two normals of one deviation s: the log odds are linear, slope (m1 - m0) / s^2, even between the means.
        fitted = fit_curve(*pairs(positives=40_000, negatives=40_000))
        assert fitted.slope == pytest.approx(0.5 / 0.15**2, rel=0.05)
        assert -fitted.intercept / fitted.slope == pytest.approx(0.45, abs=0.01)

    def test_it_is_a_stationary_point_of_the_balanced_likelihood(self):
        similarity, same = pairs()
        fitted = fit_curve(similarity, same)
        weights = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
        residual = weights * (fitted.probability(similarity) - same)
        assert residual.sum() == pytest.approx(0, abs=1e-4)
        assert residual @ similarity == pytest.approx(0, abs=1e-4)

    def test_the_number_of_negatives_does_not_move_the_curve(self):
        similarity, same = pairs()
        more = np.concatenate([similarity, *[similarity[~same]] * 9])
        tenfold, once = fit_curve(more, np.arange(len(more)) < same.sum()), fit_curve(similarity, same)
        assert (tenfold.slope, tenfold.intercept) == pytest.approx((once.slope, once.intercept), rel=1e-5)

    def test_a_weight_is_a_repetition(self):
        similarity, same = pairs(positives=30, negatives=50)
        times = np.arange(80) % 3
        repeated, weighted = fit_curve(similarity.repeat(times), same.repeat(times)), fit_curve(similarity, same, times)
        assert (weighted.slope, weighted.intercept) == pytest.approx((repeated.slope, repeated.intercept), rel=1e-6)

    def test_separable_pairs_stay_finite(self):
        fitted = fit_curve([0.9, 0.8, 0.1, 0.0], [True, True, False, False])
        assert 0.1 < -fitted.intercept / fitted.slope < 0.8
        assert fitted.probability(0.9) > 0.99
        assert fitted.probability(0.0) < 0.01

    def test_pairs_that_cannot_be_fitted(self):
        with pytest.raises(DataError, match="0 of 2 pairs"):
            fit_curve([0.1, 0.2], [False, False])
        with pytest.raises(DataError, match="no higher for the same person"):
            fit_curve([0.1, 0.9], [True, False])
        with pytest.raises(ValueError, match=r"got \(2,\), \(1,\) and \(2,\)"):
            fit_curve([0.1, 0.9], [True])
        with pytest.raises(ValueError, match="1 of 2 values are not finite"):
            fit_curve([0.1, np.nan], [True, False])


class TestProbability:
    @given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.floats(1e-9, 1 - 1e-9))
    def test_it_never_falls_and_stays_within_bounds(self, low, high, prior):
        low, high = sorted((low, high))
        p = Curve(25.0, -10.0).probability([low, high], prior)
        assert 0 <= p[0] <= p[1] <= 1

    def test_it_keeps_the_shape(self):
        assert Curve(25.0, -10.0).probability(0.5).shape == ()
        assert Curve(25.0, -10.0).probability(np.zeros((2, 3), np.float32)).shape == (2, 3)

    @given(st.floats(-1, 1), st.floats(0.001, 0.999))
    def test_another_prior_multiplies_the_odds(self, similarity, prior):
        even = float(Curve(8.0, -3.0).probability(similarity))
        expected = even * prior / (even * prior + (1 - even) * (1 - prior))  # Bayes
        assert float(Curve(8.0, -3.0).probability(similarity, prior)) == pytest.approx(expected)

    @pytest.mark.parametrize("prior", [0, 1, -0.1, float("nan")])
    def test_a_prior_that_is_no_share_between(self, prior):
        with pytest.raises(ValueError, match="prior: expected a share above 0 and below 1"):
            Curve(8.0, -3.0).probability(0.5, prior)

    def test_thresholds_by_false_match_rate(self):
        assert (MEASURED.similarity_at(0.1), MEASURED.similarity_at(1e-2)) == (0.25, 0.5)
        with pytest.raises(BadInputError, match=r"false-match rate of 0\.001; known: 0\.1, 0\.01$"):
            MEASURED.similarity_at(0.001)
        with pytest.raises(BadInputError, match="known: none"):
            Curve(1.0, 0.0).similarity_at(0.1)


class TestJson:
    @given(
        st.floats(1e-6, 1e6),
        st.floats(-1e6, 1e6),
        st.dictionaries(st.text(), st.floats(0, 1)),
        st.lists(st.floats(1e-6, 0.99), unique=True, max_size=4),
    )
    def test_round_trip(self, slope, intercept, errors, rates):
        points = tuple(OperatingPoint(rate, 0.25, 0.5) for rate in sorted(rates, reverse=True))
        curve = Curve(slope, intercept, points, 0.25, errors, 3, (4, 5))
        calibration = Calibration(curve, Curve(1.0, 0.0))
        assert Calibration.from_json(calibration.to_json()) == calibration
        assert "\n" not in calibration.to_json()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "not JSON"),
            ("{", "not JSON"),
            ("3", "expected tracklets, crops, got 3"),
            ("{}", "got nothing"),
            ('{"slope": 1.0, "intercept": 2}', "got slope, intercept"),
        ],
    )
    def test_other_text(self, text, message):
        with pytest.raises(ValueError, match=f"^calibration: .*{message}"):
            Calibration.from_json(text)

    @pytest.mark.parametrize(
        ("way", "value", "message"),
        [
            (("crops",), None, "expected slope"),
            (("crops", "slope"), "1", 'slope cannot be "1"'),
            (("crops", "slope"), 0, "positive slope"),
            (("crops", "points"), [[0.1, 0.2]], "points cannot be"),
            (("crops", "points"), [[0.1, 0.2, 1.2]], "within bounds"),
            (("crops", "points"), [[0.1, 0.2, 0.3], [0.2, 0.1, 0.4]], "rates that fall"),
            (("crops", "error"), -0.1, "errors within"),
            (("crops", "error_by_site"), {"x": "y"}, "error_by_site cannot be"),
            (("crops", "error_by_site"), [], "error_by_site cannot be"),
            (("crops", "identities"), 1.5, "identities cannot be 1.5"),
            (("crops", "pairs"), [1], "pairs cannot be"),
            (("crops", "pairs"), [1, -1], "counts from 0"),
            (("crops", "colour"), 1, "got slope.*colour"),
        ],
    )
    def test_values_that_are_no_calibration(self, way, value, message):
        record = json.loads(Calibration(MEASURED, MEASURED).to_json())
        inner = record
        for key in way[:-1]:
            inner = inner[key]
        inner[way[-1]] = value
        with pytest.raises(ValueError, match=f"^calibration: .*{message}"):
            Calibration.from_json(json.dumps(record))

    @pytest.mark.parametrize("values", [(0, 0), (-1, 0), (np.nan, 0), (1, np.inf)])
    def test_parameters_that_are_no_curve(self, values):
        with pytest.raises(ValueError, match="calibration: expected a finite curve of positive slope"):
            Curve(*values)


def naive_error(probability, same, weights, bins):
    error = 0.0
    for number in range(bins):
        inside = [
            i for i, p in enumerate(probability)
            if number <= p * bins < number + 1 or (number == bins - 1 and p == 1)
        ]  # fmt: skip
        weight = sum(weights[i] for i in inside)
        if weight:
            predicted = sum(weights[i] * probability[i] for i in inside) / weight
            observed = sum(weights[i] * same[i] for i in inside) / weight
            error += weight / sum(weights) * abs(predicted - observed)
    return error


class TestExpectedCalibrationError:
    @given(
        st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.floats(0.01, 10)), min_size=1, max_size=40),
        st.integers(1, 20),
    )
    def test_it_is_the_loop_over_bins(self, rows, bins):
        probability, same, weights = map(list, zip(*rows, strict=True))
        expected = naive_error(probability, same, weights, bins)
        assert expected_calibration_error(probability, same, weights, bins) == pytest.approx(expected, abs=1e-12)

    def test_worked(self):
        # bins of 0.5: (0.2, 0.4) predicted 0.3, observed 0.5; (0.9, 1.0) predicted 0.95, observed 1: 0.1 + 0.025
        assert expected_calibration_error([0.2, 0.4, 0.9, 1.0], [0, 1, 1, 1], bins=2) == pytest.approx(0.125)

    def test_perfect_probabilities_have_almost_none_and_overconfident_ones_much(self):
        rng = np.random.default_rng(0)
        p = rng.random(200_000)
        same = rng.random(len(p)) < p
        assert expected_calibration_error(p, same) < 0.01
        sharper = p**4 / (p**4 + (1 - p) ** 4)
        assert expected_calibration_error(sharper, same) > 0.1

    def test_empty_bins_are_nan_in_the_diagram_and_nothing_in_the_error(self):
        weight, predicted, observed = reliability([0.1, 0.1], [True, False], bins=4)
        assert weight.tolist() == [1, 0, 0, 0]
        assert (predicted[0], observed[0]) == (0.1, 0.5)
        assert np.isnan(predicted[1:]).all()
        assert np.isnan(observed[1:]).all()

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (([0.5], [True, False]), r"got \(1,\), \(2,\) and \(1,\)"),
            (([0.5], [True], [1, 2]), r"and \(2,\)"),
            (([1.5], [True]), "within 0..1"),
            (([np.nan], [True]), "within 0..1"),
            (([0.5], [True], [-1]), "not below 0"),
            (([0.5], [True], [0]), "one of them above"),
            (([], []), "one of them above"),
        ],
    )
    def test_refuses(self, values, message):
        with pytest.raises(ValueError, match=message):
            expected_calibration_error(*values)


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def crowd(identities=40, cameras=3, images=4, noise=0.5, seed=0, dim=16):
    """Vectors, identities and cameras of people whose pictures are noisy copies of their own direction."""
    rng = np.random.default_rng(seed)
    pid = np.repeat(np.arange(1, identities + 1), cameras * images)
    camera = np.tile(np.repeat(np.arange(1, cameras + 1), images), identities)
    people = rng.normal(size=(identities + 1, dim))
    return unit(people[pid] + noise * rng.normal(size=(len(pid), dim))), pid, camera


def split_of(pid, camera, name="x"):
    return Split(*[ImageSet(tuple(Path(f"{name}/{i}") for i in range(len(pid))), pid, camera)] * 3)


@pytest.fixture
def known(monkeypatch):
    """Sites whose images are rows of vectors: site -> (n, d). Nothing is read."""
    vectors = {}

    def look_up(images, embed, name, report):
        return np.stack([vectors[str(path.parent)][int(path.name)] for path in images.paths])

    monkeypatch.setattr(measuring, "embed_images", look_up)
    return vectors


@pytest.fixture
def uncentred(monkeypatch):
    """Similarities as they are, so that a test can count them itself."""
    monkeypatch.setattr(measuring, "camera_means", lambda vectors, camera: np.zeros_like(vectors))


class TestPairs:
    @pytest.mark.parametrize("block", [1, 100, 4_000_000])
    def test_counts_are_those_of_a_loop(self, block, monkeypatch):
        monkeypatch.setattr(measuring, "_BLOCK", block)
        vectors, pid, camera = crowd(5, 2, 2)
        half = pid % 2
        expected = np.zeros((3, 2, STEPS), np.int64)
        similarities = []
        for i, j in itertools.combinations(range(len(pid)), 2):
            if camera[i] != camera[j]:
                similarity = float(vectors[i] @ vectors[j])
                similarities.append(similarity)
                part = half[i] if half[i] == half[j] else 2
                expected[part, int(pid[i] == pid[j]), int((similarity + 1) * STEPS / 2)] += 1
        counts = count_pairs(vectors, pid, camera, half)
        assert (counts.sum(2) == expected.sum(2)).all()
        moved = np.abs(counts.cumsum(2) - expected.cumsum(2)).max()  # rounding may carry a pair over an edge
        assert moved <= 1
        assert counts.sum() == len(similarities)

    def test_the_ends_of_the_scale_are_counted(self):
        vectors = np.array([[1, 0], [1, 0], [-1, 0]], np.float32)
        counts = count_pairs(vectors, np.array([1, 1, 2]), np.array([1, 2, 3]), np.zeros(3, np.int64))
        assert (counts[0, 1, -1], counts[0, 0, 0], counts.sum()) == (1, 2, 3)

    @pytest.mark.parametrize("seed", range(5))
    def test_operating_points_are_those_of_sorting(self, seed):
        rng = np.random.default_rng(seed)
        steps = np.clip(rng.normal(0.5, 0.1, 2000), 0, 0.999), np.clip(rng.normal(0.7, 0.1, 300), 0, 0.999)
        rows = [(values * STEPS).astype(np.int64) for values in steps]
        two, one = (np.bincount(row, minlength=STEPS) for row in rows)
        points = operating_points([two], one / len(rows[1]))
        assert [point.false_match_rate for point in points] == [0.1, 0.01]  # 2 of 2000 are too few to tell 0.001
        for rate, similarity, found in points:
            falling = np.sort(rows[0])[::-1]
            allowed = round(rate * 2000)
            lowest = falling[allowed] + 1  # just above the first that would be one too many
            assert similarity == EDGES[lowest]
            assert (rows[0] >= lowest).sum() <= allowed < (rows[0] >= lowest - 1).sum()
            assert found == pytest.approx((rows[1] >= lowest).mean())

    @pytest.mark.parametrize(("count", "rates"), [(99, []), (100, [0.1]), (1000, [0.1, 0.01]), (100_000, 4)])
    def test_a_rate_needs_ten_pairs_above_it(self, count, rates):
        counts = np.bincount(np.arange(count) * 7 % STEPS, minlength=STEPS)
        found = [point.false_match_rate for point in operating_points([counts], np.full(STEPS, 1 / STEPS))]
        assert found == (rates if isinstance(rates, list) else list(measuring.RATES))

    def test_a_rate_holds_in_every_data_set_that_can_tell_it(self):
        easy, hard = np.zeros(STEPS, np.int64), np.zeros(STEPS, np.int64)
        easy[: STEPS // 2] = 100  # a million pairs, evenly from -1 to 0
        hard[:] = 1  # 20,000 from -1 to 1: too few for the smallest rate
        points = operating_points([easy, hard], np.full(STEPS, 1 / STEPS))
        assert [point.false_match_rate for point in points] == list(measuring.RATES)
        assert [round(point.similarity, 3) for point in points[:3]] == [0.8, 0.98, 0.998]  # the hard one's
        assert points[3].similarity == pytest.approx(-0.0001)  # the easy one's alone

    def test_no_threshold_where_even_the_highest_step_holds_too_many(self):
        counts = np.zeros(STEPS, np.int64)
        counts[-1] = 10**6
        assert operating_points([counts], counts / 10**6) == ()


class TestCalibrate:
    def test_what_is_found_on_a_crowd(self, known):
        vectors, pid, camera = crowd(60)
        known["x"] = vectors
        lines = []
        found = calibrate({"site": split_of(pid, camera)}, None, lines.append)
        tracklets, crops = found.calibration.tracklets, found.calibration.crops
        assert tracklets.identities == crops.identities == 60
        assert tracklets.pairs == (60 * 3, 60 * 59 * 3)  # 3 pairs of cameras, both ways round for two people
        assert crops.pairs == (60 * 3 * 4, 60 * 59 * 3 * 4)  # 2 crops of either
        assert crops.error < 0.05
        assert tracklets.error_by_site == {"site": pytest.approx(tracklets.error)}
        assert tracklets.similarity_at(0.01) < 0.9
        assert tracklets.points[1].true_match_rate > crops.points[1].true_match_rate  # pooling helps
        assert found.tracklets.two.sum() == pytest.approx(1)
        assert found.tracklets.one.sum() == pytest.approx(1)
        assert "tracklets: 180 pairs of one person and 10620 of two, of 60 identities" in lines[0]
        assert "at 0.1 false matches similarity" in lines[1]

    def test_the_error_is_of_the_half_that_was_not_fitted(self, known, uncentred):
        vectors, pid, camera = crowd(60)
        known["x"] = vectors
        found = calibrate({"site": split_of(pid, camera)}, None, lambda line: None)
        single = [rows[[0, -1]] for rows in tracklet_rows("x", split_of(pid, camera)).values()]
        rows = np.concatenate(single)
        half = (pid[rows] - 1) % 2  # all are in 3 cameras: they take turns
        i, j = np.triu_indices(len(rows), 1)
        apart = camera[rows[i]] != camera[rows[j]]
        i, j = i[apart], j[apart]
        similarity, same = (vectors[rows[i]] * vectors[rows[j]]).sum(1), pid[rows[i]] == pid[rows[j]]
        errors = []
        for fitted, tested in ((0, 1), (1, 0)):
            curve, test = (
                fit_curve(similarity[(half[i] == fitted) & (half[j] == fitted)],
                          same[(half[i] == fitted) & (half[j] == fitted)]),
                (half[i] == tested) & (half[j] == tested),
            )  # fmt: skip
            weights = np.where(same[test], 0.5 / same[test].sum(), 0.5 / (~same[test]).sum())
            errors.append(expected_calibration_error(curve.probability(similarity[test]), same[test], weights))
        assert found.calibration.crops.error == pytest.approx(np.mean(errors), abs=2e-3)

    def test_what_a_camera_adds_to_everyone_is_not_measured(self, known):
        vectors, pid, camera = crowd(60)
        shifts = 2 * unit(np.random.default_rng(5).normal(size=(4, 16)))
        known |= {"plain": vectors, "shifted": unit(vectors + shifts[camera])}
        plain, shifted = (
            calibrate({name: split_of(pid, camera, name)}, None, lambda line: None).calibration.tracklets
            for name in ("plain", "shifted")
        )
        for rate in (0.1, 0.01):
            assert shifted.similarity_at(rate) == pytest.approx(plain.similarity_at(rate), abs=0.1)
            assert shifted.points[0].true_match_rate > 0.95

    def test_sites_weigh_the_same_whatever_their_size(self, known, uncentred):
        small, large = crowd(10, noise=0.3), crowd(40, noise=0.9, seed=1)
        twice = [np.concatenate([part, part]) for part in large]
        twice[1] = np.concatenate([large[1], large[1] + 100])  # the same people again, as others
        known |= {"small": small[0], "large": large[0], "twice": twice[0]}
        splits = {name: split_of(*labels[1:], name) for name, labels in (("small", small), ("large", large))}
        once = calibrate(splits, None, lambda line: None)
        doubled = calibrate({**splits, "large": split_of(*twice[1:], "twice")}, None, lambda line: None)
        alone = {name: calibrate({name: split}, None, lambda line: None) for name, split in splits.items()}
        for kind in ("tracklets", "crops"):
            parts = [getattr(alone[name], kind) for name in splits]
            both = getattr(once, kind)
            assert both.one == pytest.approx((parts[0].one + parts[1].one) / 2)
            assert both.two == pytest.approx((parts[0].two + parts[1].two) / 2)
            assert getattr(doubled, kind).one == pytest.approx(both.one)
            assert set(both.curve.error_by_site) == {"small", "large"}
            assert both.curve.identities == 50
            assert max(both.curve.error_by_site.values()) > both.curve.error

    def test_pairs_of_two_sites_are_not_compared(self, known):
        known |= {"a": crowd(8)[0], "b": crowd(8, seed=2)[0]}
        labels = crowd(8)[1:]
        found = calibrate({name: split_of(*labels, name) for name in "ab"}, None, lambda line: None)
        assert found.calibration.tracklets.pairs == (2 * 8 * 3, 2 * 8 * 7 * 3)

    def test_a_tracklet_is_up_to_8_images_spread_over_it(self):
        pid, camera = np.repeat([1, 2, 3, 4], 40), np.tile([1, 2], 80)
        rows = tracklet_rows("x", split_of(pid, camera))
        assert list(rows) == [(person, number) for person in (1, 2, 3, 4) for number in (1, 2)]
        assert rows[1, 1].tolist() == [0, 6, 10, 16, 22, 28, 32, 38]
        assert all(len(part) == 8 for part in rows.values())

    def test_junk_and_distractors_are_left_out(self):
        pid = np.array([-1, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5])
        rows = tracklet_rows("x", split_of(pid, np.arange(len(pid)) % 2))
        assert sorted({person for person, _ in rows}) == [1, 2, 3, 4, 5]

    def test_one_image_is_a_tracklet_and_its_crop(self, known):
        vectors, pid, camera = crowd(12, 2, 1, noise=0.2)
        known["x"] = vectors
        found = calibrate({"x": split_of(pid, camera)}, None, lambda line: None).calibration
        assert found.tracklets.pairs == found.crops.pairs == (12, 132)
        assert found.tracklets == found.crops

    def test_data_that_do_not_do(self, known):
        pid, camera = np.array([1, 1, 2, 2, 3, 3, 4]), np.array([1, 2, 1, 2, 1, 2, 1])
        with pytest.raises(DataError, match=r"my site: .* 4 identities that are seen by 2 cameras, and .* has 3"):
            calibrate({"my site": split_of(pid, camera)}, None, lambda line: None)
        empty = replace(split_of(pid, camera), query=None, gallery=None)
        with pytest.raises(DataError, match=r"my site: .* no gallery"):
            calibrate({"my site": empty}, None, lambda line: None)
        with pytest.raises(DataError, match="needs a data set"):
            calibrate({}, None, lambda line: None)
        known["x"] = unit(np.random.default_rng(0).normal(size=(48, 3)))
        known["x"][::2] *= -1  # of every person, one camera shows the opposite of the other
        known["x"][1::2] = -known["x"][::2]
        with pytest.raises(DataError, match="no higher for the same person"):
            calibrate({"x": split_of(np.arange(48) // 2, np.arange(48) % 2)}, None, lambda line: None)

    def test_a_split_needs_no_query(self, known):
        vectors, pid, camera = crowd(8)
        known["x"] = vectors
        without = replace(split_of(pid, camera), query=None)
        assert calibrate({"x": without}, None, lambda line: None).calibration.tracklets.identities == 8


@pytest.fixture(scope="module")
def samples():
    vectors, pid, camera = crowd(60)
    sample = measure({"site": count_pairs(vectors, pid, camera, pid % 2)}, 60)
    return {"tracklets": sample, "single crops": sample}


class TestPicture:
    def test_one_png_and_equal_data_make_equal_bytes(self, tmp_path, samples):
        first = reliability_diagram(tmp_path / "new" / "a.png", samples)
        assert [file.name for file in first.parent.iterdir()] == ["a.png"]
        assert first.read_bytes() == reliability_diagram(tmp_path / "b.png", samples).read_bytes()
        image = read_image(first)
        assert 1500 < image.shape[1] < 1800
        assert (image == 255).all(2).mean() > 0.5

    def test_it_shows_halves_error_histograms_and_thresholds(self, tmp_path, samples, monkeypatch):
        drawn = []
        monkeypatch.setattr(Figure, "savefig", lambda figure, name, **how: (drawn.append(figure), name.touch()))
        sample = samples["tracklets"]
        reliability_diagram(tmp_path / "a.png", {"my kind": sample})
        upper, lower = drawn[0].findobj(lambda one: hasattr(one, "get_xlabel"))
        words = " ".join(text.get_text() for text in drawn[0].findobj(Text))
        for expected in ("my kind", f"error {sample.curve.error:.4f}", "60 identities", "one half", "other half"):
            assert expected in words
        lines = [line for line in upper.lines if line.get_label() in ("one half", "other half")]
        for line, (weight, predicted, observed) in zip(lines, sample.halves, strict=True):
            assert line.get_xdata().tolist() == predicted[weight > 0].tolist()
            assert line.get_ydata().tolist() == observed[weight > 0].tolist()
        marks = [line.get_xdata()[0] for line in lower.lines]
        assert marks == [point.similarity for point in sample.curve.points]
        labels = {text.get_text() for text in lower.texts}
        assert labels == {f"{point.false_match_rate:g}" for point in sample.curve.points}
        for patch in lower.patches:
            values, edges, _ = patch.get_data()
            assert values @ np.diff(edges) == pytest.approx(1)

    def test_refuses_nothing(self, tmp_path):
        with pytest.raises(ValueError, match="at least one kind"):
            reliability_diagram(tmp_path / "a.png", {})
