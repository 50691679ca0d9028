"""A site's curve without labels: what is taken from the pairs, what is not, and the command that keeps it."""

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.calibration import Calibration, Curve, OperatingPoint
from reid.errors import BadInputError
from reid.figures import site_curve
from tests.clips import empty_room
from tests.helpers import CARD, colour_embedder, tracklet
from tracker import site
from tracker.cli import main
from tracker.errors import RunError
from tracker.manifest import FORMAT, read_manifest, write_manifest
from tracker.material import Curves, gather, works_of
from tracker.stages import STAGES, TrackingFacts, TrackletWriter, write_embeddings
from tracker.types import Crop
from tracker.unlabelled import MOST_PAIRS, Pairs, collect, halves, simultaneous

MEAN, WIDTH = 0.8, 0.2  # of one person's similarities, and of both kinds'
POINTS = tuple(
    OperatingPoint(rate, WIDTH * z, found) for rate, z, found in ((0.1, 1.2816, 0.996), (0.01, 2.3263, 0.953))
)


def curve_of(mean, width):
    """Of two normal distributions, about 0 and about ``mean``."""
    return Curve(mean / width**2, -(mean**2) / (2 * width**2))


SHIPPED = replace(curve_of(MEAN, WIDTH), points=POINTS)


def pairs(two=(), one=(), tracklets=10**6, telling=None):
    one = np.asarray(one, np.float32)
    telling = np.ones_like(one) if telling is None else np.asarray(telling, np.float32)
    return Pairs(np.asarray(two, np.float32), tracklets, one, telling)


def strangers(count, width, mean=0.0, seed=0):
    """Similarities of exactly this mean and standard deviation."""
    values = np.random.default_rng(seed).normal(size=count)
    return mean + width * (values - values.mean()) / values.std()


class TestFit:
    @pytest.mark.parametrize("width", [0.1, 0.2, 0.3])
    @pytest.mark.parametrize("alike", [0.5, 0.7])
    def test_recovers_a_world_of_two_normal_distributions(self, width, alike):
        """Half the variance is the strangers', half stays."""
        fitted = site.fit(SHIPPED, pairs(strangers(20_000, width), strangers(20_000, 0.05, alike)))
        expected = curve_of(alike, math.sqrt((width**2 + WIDTH**2) / 2))
        assert fitted.slope == pytest.approx(expected.slope, rel=0.01)
        assert fitted.intercept == pytest.approx(expected.intercept, rel=0.01)

    def test_a_site_like_the_embedders_changes_nothing(self):
        fitted = site.fit(SHIPPED, pairs(strangers(5000, WIDTH), strangers(5000, 0.05, MEAN)))
        assert (fitted.slope, fitted.intercept) == pytest.approx((SHIPPED.slope, SHIPPED.intercept), rel=1e-3)
        np.testing.assert_allclose(np.array(fitted.points), np.array(SHIPPED.points), rtol=1e-3)

    def test_likeness_within_a_tracklet_makes_nothing_surer(self):
        """Halves that are more alike than one person is between cameras are no news."""
        base = site.fit(SHIPPED, pairs(strangers(5000, WIDTH)))
        fitted = site.fit(SHIPPED, pairs(strangers(5000, WIDTH), strangers(5000, 0.01, 0.97)))
        assert fitted.slope == base.slope
        assert fitted.intercept == base.intercept

    def test_light_that_people_share_moves_nothing(self):
        apart, together = (site.fit(SHIPPED, pairs(strangers(500, 0.25, mean))) for mean in (0, 0.2))
        assert together.slope == pytest.approx(apart.slope, rel=1e-5)
        assert together.intercept == pytest.approx(apart.intercept, rel=1e-5)

    def test_poor_pictures_are_not_taken_for_unlike_people(self):
        fitted = site.fit(SHIPPED, pairs(strangers(500, WIDTH), [0.4] * 500, telling=[0.5] * 500))
        assert fitted.intercept == pytest.approx(SHIPPED.intercept, rel=1e-3)

    @given(st.integers(20, 5000), st.integers(0, 500), st.floats(0.05, 0.6), st.floats(-0.5, 1))
    def test_more_pairs_move_further_and_never_past_the_site(self, count, halved, width, alike):
        few, all_ = (
            site.fit(SHIPPED, pairs(strangers(n, width), [alike] * m))
            for n, m in ((count, halved), (100 * count, 100 * halved + 10**4 * bool(halved)))
        )
        width_of = [math.sqrt(-2 * c.intercept) / c.slope for c in (SHIPPED, few, all_)]
        mean_of = [-2 * c.intercept / c.slope for c in (SHIPPED, few, all_)]
        for start, middle, end in (width_of, mean_of):
            assert min(start, end) - 1e-4 <= middle <= max(start, end) + 1e-4
        assert few.slope > 0

    def test_the_embedders_weigh_as_much_as_20_pairs(self):
        fitted = site.fit(SHIPPED, pairs(strangers(20, 2 * WIDTH)))
        assert fitted.points[0].similarity == pytest.approx(POINTS[0].similarity * math.sqrt((1 + 4) / 2), rel=1e-3)

    def test_pairs_count_as_no_more_than_their_tracklets(self):
        many = site.fit(SHIPPED, pairs(strangers(5000, 0.3), tracklets=20))
        alone = site.fit(SHIPPED, pairs(strangers(20, 0.3)))
        assert many.slope == pytest.approx(alone.slope, rel=1e-6)

    def test_thresholds_follow_the_strangers(self):
        fitted = site.fit(SHIPPED, pairs(strangers(10**5, 0.3), strangers(10**5, 0.01, 0.7)))
        for rate, similarity, found in fitted.points:
            assert (strangers(10**6, 0.3, seed=1) >= similarity).mean() == pytest.approx(rate, rel=0.05)
            assert 0 <= found <= 1
        assert fitted.points[1].true_match_rate < POINTS[1].true_match_rate

    def test_a_threshold_above_all_similarities_is_none(self):
        fitted = site.fit(SHIPPED, pairs(strangers(10**5, 0.5)))
        assert [point.false_match_rate for point in fitted.points] == [0.1]

    def test_too_few_are_refused_and_the_curve_stays(self):
        with pytest.raises(RunError, match=r"^19 pairs of two people in one frame, and calibration needs 20: "):
            site.fit(SHIPPED, pairs(strangers(19, WIDTH)))

    def test_halves_that_are_not_alike_at_all_leave_a_curve(self):
        assert site.fit(SHIPPED, pairs(strangers(100, WIDTH), [-0.3] * 10**5)).slope > 0


class TestThreshold:
    def test_it_is_the_measured_one_where_that_is_known(self):
        for rate, similarity, _ in POINTS:
            assert site.threshold(SHIPPED, rate) == pytest.approx(similarity)

    def test_in_between_it_is_a_normal_distributions(self):
        assert site.threshold(SHIPPED, 0.05) == pytest.approx(1.6449 * WIDTH, abs=1e-3)
        assert site.threshold(SHIPPED, 0.5) == 0

    def test_a_curve_without_thresholds_stands_for_its_normal_distributions(self):
        assert site.threshold(replace(SHIPPED, points=()), 0.05) == pytest.approx(1.6449 * WIDTH, abs=1e-3)
        assert site.usual_spread(replace(SHIPPED, points=())) == pytest.approx(WIDTH)

    @pytest.mark.parametrize("rate", [0, 0.005, 0.6, -1, float("nan")])
    def test_what_was_not_measured_is_refused(self, rate):
        with pytest.raises(BadInputError, match=r"--false-match-rate .* give a share from 0\.01 to 0\.5"):
            site.threshold(SHIPPED, rate)


# ---- pairs


def walk(number, first, last, left=0.0, recording="gate", crops=8, rate=10.0):
    """Somebody in every frame from ``first`` to ``last``, 10 x 20 pixels from ``left`` on."""
    index = np.arange(first, last + 1)
    whole = tracklet((recording, number), boxes=len(index))
    at = np.linspace(first, last, crops).astype(int)
    return replace(
        whole,
        index=index,
        time_s=index / rate,
        xyxy=np.tile(np.array([left, 0, left + 10, 20], np.float32), (len(index), 1)),
        crops=tuple(Crop(int(frame), 0.8, picture()) for frame in at),
    )


def picture():
    return cv2.imencode(".jpg", np.full((20, 10, 3), 90, np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ("other", "two"),
    [
        (walk(2, 5, 30, left=50), True),
        (walk(2, 10, 30, left=50), True),
        (walk(2, 11, 30, left=50), False),
        (walk(2, 5, 30, left=2), False),  # one person, detected twice
        (walk(2, 5, 30, left=6), True),
        (walk(2, 5, 30, left=50, recording="hall"), False),
        (replace(walk(2, 5, 30, left=50), photo="IMG_1.jpg"), False),
    ],
)
def test_two_people_share_a_frame_and_no_box(other, two):
    assert simultaneous([walk(1, 1, 10), other]).tolist() == ([[0, 1]] if two else [])


def test_tracklets_that_never_share_a_frame_are_no_pair():
    """Their times overlap, their frames do not."""
    one = walk(1, 1, 20)
    odd, even = one.index % 2 == 1, one.index % 2 == 0
    parts = [
        replace(one, index=one.index[kept], time_s=one.time_s[kept], xyxy=one.xyxy[kept], score=one.score[kept])
        for kept in (odd, even)
    ]
    assert len(simultaneous(parts)) == 0


def test_crowds_are_sampled():
    count = 1 + int(math.sqrt(2 * MOST_PAIRS))
    found = simultaneous([walk(number, 1, 3, left=20.0 * number, crops=2) for number in range(count)])
    assert len(found) == len({tuple(pair) for pair in found.tolist()}) == MOST_PAIRS < count * (count - 1) / 2


def test_halves_are_of_different_times():
    one = walk(1, 1, 50, crops=4)
    vectors = np.array([[1, 0], [1, 0], [0.6, 0.8], [0.6, 0.8]], np.float32)
    ((similarity, shown),) = halves(one, vectors, np.zeros(2, np.float32))
    assert similarity == pytest.approx(0.6)
    assert shown == 1
    assert halves(one, vectors[:3], np.zeros(2, np.float32)) == []
    assert halves(replace(one, time_s=one.time_s / 10), vectors, np.zeros(2, np.float32)) == []


def test_halves_of_poor_pictures_show_less():
    poor = walk(1, 1, 50, crops=4)
    poor = replace(poor, crops=tuple(replace(crop, quality=0.1) for crop in poor.crops))
    ((_, shown),) = halves(poor, np.tile(np.array([[1, 0]], np.float32), (4, 1)), np.zeros(2, np.float32))
    assert 0 < shown < 0.9


# ---- the picture


@pytest.mark.parametrize(("one", "threshold"), [([0.7, 0.8], 0.5), ([], 0.9)])
def test_the_picture_holds_both_curves_and_the_threshold(one, threshold, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("reid.figures.site.save", lambda figure, path: drawn.append(figure) or path)
    site_curve(tmp_path / "a.png", one, [0.1, -0.1, 0.3], SHIPPED, curve_of(0.7, 0.3), threshold, 0.01)
    upper, lower = drawn[0].axes
    before, after, _ = upper.lines
    for line, curve in ((before, SHIPPED), (after, curve_of(0.7, 0.3))):
        np.testing.assert_allclose(line.get_ydata(), curve.probability(line.get_xdata()))
    assert all(axes.lines[-1].get_xdata()[0] == threshold for axes in (upper, lower))
    names = [text.get_text() for text in lower.get_legend().get_texts()]
    assert names == [*["one person: halves of a tracklet, 2 pairs"] * bool(one), "two people: in one frame, 3 pairs"]
    assert f"threshold {threshold:.3f},\n0.01 false matches" in [text.get_text() for text in lower.texts]


@pytest.mark.parametrize(("one", "two"), [([0.5], []), ([[0.5]], [0.1]), ([float("nan")], [0.1])])
def test_the_picture_refuses(one, two, tmp_path):
    with pytest.raises(ValueError, match="expected finite similarities"):
        site_curve(tmp_path / "a.png", one, two, SHIPPED, SHIPPED, 0.5, 0.01)


# ---- the command


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A finished run of eight people who walk side by side in one room, embedded by colours."""
    monkeypatch.chdir(tmp_path)
    return make_run(tmp_path, people=8)


def make_run(folder, people, more=(), faces=None):
    """``more`` are tracklets beside those of the people; ``faces`` say of every tracklet whose it is."""
    from reid.embed import Embedder

    model = folder / "colour.onnx"
    if not model.exists():
        calibration = Calibration(SHIPPED, SHIPPED)
        colour_embedder(model, replace(CARD, calibration=calibration))
    out, stages = folder / "run", folder / "run" / STAGES
    stages.mkdir(parents=True)
    walks = [*(walk(number + 1, 1, 60, left=20.0 * number) for number in range(people)), *more]
    rng = np.random.default_rng(0)
    whose = np.arange(len(walks)) if faces is None else faces
    faces = rng.normal(size=(len(walks), 1, 3))[whose] + 0.1 * rng.normal(size=(len(walks), 8, 3))
    vectors = (faces / np.linalg.norm(faces, axis=2, keepdims=True)).astype(np.float32)
    with TrackletWriter(stages / "t.parquet") as file:
        file.add(walks)
        file.finish(TrackingFacts(60, 60, 0, len(walks), 320, 240, 10.0, "h264", 0.1, 6.0, 1.0))
    write_embeddings(stages / "e.parquet", [one.key.track_id for one in walks], list(vectors), 3)
    entry = {"name": "gate", "camera": "gate", "path": "gate.mp4", "sha256": "0" * 64, "start_s": 0.0}
    files = {"detections": "d.arrow", "tracklets": "t.parquet", "embeddings": "e.parquet"}
    used = {"slope": SHIPPED.slope, "intercept": SHIPPED.intercept}
    facts = {"embedder": Embedder(model).model_id, "options": {"embedder": str(model)}, "calibration": used}
    facts |= site.told(SHIPPED)
    recordings = [entry | {"stages": files, "video": {"lost": 0}}]
    write_manifest(out, {"format": FORMAT, "status": "complete", "recordings": recordings} | facts)
    return out


def test_the_site_is_kept_told_and_drawn(run, capsys):
    assert main(["calibrate", str(run)]) == 0
    shown = capsys.readouterr().out
    manifest = read_manifest(run)
    kept = site.read(run, manifest["embedder"])
    assert kept.pairs == (8, 28)
    assert kept.slope != SHIPPED.slope
    assert "28 pairs in one frame, of 8 tracklets" in shown
    assert "8 tracklets in halves" in shown
    assert f"after   {kept.slope:.2f}" in shown
    assert f"{site.threshold(kept, 0.01):.3f}" in shown
    assert f"`reidtrack link {run}` applies this" in shown
    image = cv2.imread(str(run / "calibration.png"))
    assert image is not None
    assert not list(run.rglob("*.partial"))


def test_the_same_again_gives_the_same(run):
    """Also after the run was linked by the site's curve: its pairs are measured under the embedder's own."""
    assert main(["calibrate", str(run)]) == 0
    first = json.loads((run / "calibration.json").read_text())
    manifest = read_manifest(run)
    write_manifest(run, manifest | {"calibration": {"slope": 1.0, "intercept": -1.0}})
    assert main(["calibrate", str(run), "--false-match-rate", "0.1"]) == 0
    again = json.loads((run / "calibration.json").read_text())
    assert {**again, "made": ""} == {**first, "made": ""}


def test_linking_again_takes_the_sites_and_after_a_reset_the_embedders(run, capsys):
    def in_force():
        return site.in_force(run, read_manifest(run)).linking

    assert in_force().slope == SHIPPED.slope
    assert main(["calibrate", str(run)]) == 0
    fitted = in_force()
    assert fitted.slope != SHIPPED.slope
    used = {"slope": fitted.slope, "intercept": fitted.intercept}
    write_manifest(run, read_manifest(run) | {"calibration": used})  # as linking does
    assert main(["calibrate", str(run), "--reset"]) == 0
    assert in_force().slope == pytest.approx(SHIPPED.slope)
    assert not [path.name for path in run.iterdir() if path.name.startswith("calibration")]
    assert "link" in capsys.readouterr().out
    assert main(["calibrate", str(run), "--reset"]) == 0
    assert "the embedder's own already" in capsys.readouterr().out


def test_what_repair_dropped_tells_nothing(tmp_path, monkeypatch):
    """Somebody whom the detector hardly believed in for half a second."""
    monkeypatch.chdir(tmp_path)
    noise = walk(9, 1, 5, left=300.0)
    out = make_run(tmp_path, people=8, more=[replace(noise, score=np.full(5, 0.3, np.float32))])
    assert main(["calibrate", str(out)]) == 0
    assert site.read(out, read_manifest(out)["embedder"]).pairs == (8, 28)


def test_fragments_that_repair_joined_are_not_halved(tmp_path, monkeypatch):
    """Two of one person, in one place, a moment apart: the later one's number is gone."""
    monkeypatch.chdir(tmp_path)
    fragments = [walk(9, 1, 28, left=300.0), walk(10, 31, 60, left=300.0)]
    out = make_run(tmp_path, people=8, more=fragments, faces=[*range(9), 8])
    works = works_of(out, manifest := read_manifest(out))
    material = gather(works, manifest["embedder"], Curves(SHIPPED, SHIPPED))
    assert [one.key.track_id for one in material.tracklets] == list(range(1, 10))
    found = collect(works, material)
    assert (len(found.one), len(found.two)) == (8, 36)


@pytest.mark.parametrize("status", ["complete", "incomplete"])
def test_a_damaged_file_does_not_lose_the_embedders_own(run, status, capsys):
    assert main(["calibrate", str(run)]) == 0
    fitted = site.in_force(run, manifest := read_manifest(run)).linking
    used = {"slope": fitted.slope, "intercept": fitted.intercept}
    write_manifest(run, manifest | {"calibration": used, "status": status})
    (run / "calibration.json").write_text("{")
    assert main(["calibrate", str(run), "--reset"]) == 0
    assert ("link" in capsys.readouterr().out.splitlines()[-1]) == (status == "complete")
    assert site.in_force(run, read_manifest(run)) == Curves(*[replace(SHIPPED, points=())] * 2)


def test_a_reset_that_would_lose_the_embedders_own_is_refused(run, monkeypatch, capsys):
    """In a run of an earlier version only the site's file holds it, once the run was linked by the site's."""
    assert main(["calibrate", str(run)]) == 0
    manifest = read_manifest(run)
    del manifest[site.EMBEDDERS_OWN]
    write_manifest(run, manifest | {"calibration": {"slope": 1.0, "intercept": -1.0}})
    with monkeypatch.context() as patch:

        def full(*args):
            raise RunError("run.json: cannot be written (No space left on device)")

        patch.setattr(site, "write_manifest", full)
        assert main(["calibrate", str(run), "--reset"]) == 1
    kept = (run / "calibration.json").read_text()
    (run / "calibration.json").write_text("{")
    assert main(["calibrate", str(run), "--reset"]) == 1
    assert "makes it again" in capsys.readouterr().err
    (run / "calibration.json").write_text(kept)
    assert main(["calibrate", str(run), "--reset"]) == 0
    assert site.in_force(run, read_manifest(run)).linking.slope == pytest.approx(SHIPPED.slope)


def test_a_damaged_file_does_not_stop_a_run_half_way(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    empty_room(tmp_path / "gate.mp4", frames=4)
    colour_embedder(tmp_path / "colour.onnx")
    command = ["run", "--videos", "gate.mp4", "--embedder", "colour.onnx", "--out", "out"]
    assert main(command) == 0
    before = read_manifest(tmp_path / "out")
    (tmp_path / "out/calibration.json").write_text("{")
    assert main(command) == 1
    assert "calibration.json: damaged" in capsys.readouterr().err
    assert read_manifest(tmp_path / "out") == before
    unfinished = {name: value for name, value in before.items() if name not in ("calibration", "embedder")}
    write_manifest(tmp_path / "out", unfinished | {"status": "incomplete"})
    assert main(["calibrate", "out", "--reset"]) == 0
    assert main(command) == 0


def test_a_reset_of_what_is_no_run_is_refused(tmp_path, capsys):
    assert main(["calibrate", str(tmp_path), "--reset"]) == 1
    assert "not a run directory" in capsys.readouterr().err


@pytest.mark.parametrize("told", [True, False])  # earlier versions did not
def test_whatever_is_fitted_tracklets_are_repaired_by_the_embedders(run, told):
    """So that they and their numbers stay."""

    def embedders():
        return site.in_force(run, read_manifest(run)).embedders.slope

    manifest = read_manifest(run)
    own = manifest.pop(site.EMBEDDERS_OWN)
    write_manifest(run, manifest | ({site.EMBEDDERS_OWN: own} if told else {}))
    assert embedders() == SHIPPED.slope
    assert main(["calibrate", str(run)]) == 0
    assert embedders() == pytest.approx(SHIPPED.slope)
    write_manifest(run, read_manifest(run) | {"calibration": {"slope": 1.0, "intercept": -1.0}})  # as linking does
    assert embedders() == pytest.approx(SHIPPED.slope)
    assert main(["calibrate", str(run), "--reset"]) == 0
    assert embedders() == pytest.approx(SHIPPED.slope)


def test_a_run_uses_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    empty_room(tmp_path / "gate.mp4", frames=4)
    calibration = Calibration(SHIPPED, SHIPPED)
    colour_embedder(tmp_path / "colour.onnx", replace(CARD, calibration=calibration))
    command = ["run", "--videos", "gate.mp4", "--embedder", "colour.onnx", "--out", "out"]
    assert main(command) == 0
    manifest = read_manifest(tmp_path / "out")
    assert manifest["calibration"]["slope"] == SHIPPED.slope
    fitted = site.fit(SHIPPED, some := pairs(strangers(50, 0.3)))
    site.write(tmp_path / "out", manifest["embedder"], calibration, fitted, some)
    assert main(command) == 0
    manifest = read_manifest(tmp_path / "out")
    assert manifest["calibration"]["slope"] == pytest.approx(fitted.slope)
    curves = site.in_force(tmp_path / "out", manifest)
    assert curves.linking.slope == pytest.approx(fitted.slope)
    assert (curves.embedders.slope, curves.embedders.intercept) == (SHIPPED.slope, SHIPPED.intercept)


def test_another_embedders_is_passed_over(run):
    assert main(["calibrate", str(run)]) == 0
    assert site.read(run, "another-0123456789ab") is None


def test_too_few_pairs_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    out = make_run(tmp_path, people=6)
    assert main(["calibrate", str(out)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "15 pairs of two people" in error
    assert not (out / "calibration.json").exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', '{"format": 9, "model_id": "m"}'])
def test_a_damaged_file_is_told(run, text, capsys):
    (run / "calibration.json").write_text(text)
    with pytest.raises(RunError, match=r"calibration\.json: damaged.*`reidtrack calibrate .*` makes it again"):
        site.read(run, "m")
    assert main(["calibrate", str(run)]) == 0
    (run / "calibration.json").write_text(text)
    assert main(["calibrate", str(run), "--reset"]) == 0


def test_an_embedder_that_is_another_now_is_refused(run, capsys):
    colour_embedder(run.parent / "colour.onnx")
    assert main(["calibrate", str(run)]) == 1
    assert "and the run was made with" in capsys.readouterr().err


def test_a_rate_that_cannot_be_told_is_refused_before_the_work(run, capsys):
    assert main(["calibrate", str(run), "--false-match-rate", "0.00001"]) == 2
    assert "give a share from 0.01 to 0.5" in capsys.readouterr().err
