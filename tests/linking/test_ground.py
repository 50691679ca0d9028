"""Cameras over one ground: two synthetic, tilted ones whose homographies are known, and people who walk below them."""

import itertools
import json
import math
from dataclasses import asdict, dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reid.calibration import Curve
from reid.errors import BadInputError, DataError
from tests.clips import empty_room
from tests.helpers import colour_embedder, tracklet
from tracker.cli import main
from tracker.linking import Known, link
from tracker.linking import ground as module
from tracker.linking.agglomeration import Group, Merge, probability_of
from tracker.linking.evidence import Appearance
from tracker.linking.gates import never_at_once
from tracker.linking.ground import ALWAYS_HIDDEN, FEET, GAP, HIDDEN, SIGMA, STEP, TOGETHER, Ground, evidence_of
from tracker.linking.homography import on_ground, read_homographies
from tracker.options import RunOptions

CURVE = Curve(10.0, -5.0)
TALL = 1.7
LEAST, MOST = math.log(ALWAYS_HIDDEN), -math.log(TOGETHER)


@dataclass(frozen=True)
class Camera:
    """A pinhole at ``place`` (metres, height last) that looks at ``target`` on the ground; y points down."""

    place: tuple[float, float, float]
    target: tuple[float, float]
    focal: float = 800.0

    def project(self, points):
        """(n, 3) metres to (n, 2) pixels."""
        ahead = np.array([*self.target, 0]) - self.place
        ahead /= np.linalg.norm(ahead)
        right = np.cross(ahead, [0, 0, 1])
        right /= np.linalg.norm(right)
        seen = (np.asarray(points, float) - self.place) @ np.stack([right, np.cross(ahead, right), ahead], 1)
        return seen[:, :2] / seen[:, 2:] * self.focal + (640, 360)

    def homography(self):
        """From picture to ground, of four points on the ground, by the direct linear equations."""
        ground = np.array([[-3, -2], [4, -3], [3, 4], [-2, 3]], float) + self.target
        rows = []
        for (x, y), (there_x, there_y) in zip(self.project(np.c_[ground, np.zeros(4)]), ground, strict=True):
            rows += [[x, y, 1, 0, 0, 0, -there_x * x, -there_x * y, -there_x]]
            rows += [[0, 0, 0, x, y, 1, -there_y * x, -there_y * y, -there_y]]
        return np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3)


EAST, SOUTH = Camera((18.0, 1.0, 5.0), (0.0, 0.0)), Camera((-2.0, -16.0, 4.0), (1.0, 0.0), 700.0)
CAMERAS = {"east": EAST, "south": SOUTH}
GROUND = {name: camera.homography().tolist() for name, camera in CAMERAS.items()}


def walk(key, path, start=0.0, seconds=8.0, rate=10.0, noise=0.0, hidden=0.0, shift=(0.0, 0.0)):
    """A tracklet of somebody who goes from ``path[0]`` to ``path[1]`` in 8 s, in camera ``key[0]``.

    ``noise`` is of the lower edge, as a share of the height; ``hidden`` the share of frames, at the end, whose lower
    half is hidden; ``shift`` moves the feet, in metres.
    """
    rng = np.random.default_rng(key[1])
    frames = round(seconds * rate) + 1
    time_s = start + np.arange(frames) / rate
    begin, end = np.array(path, float)
    feet = begin + (time_s / 8)[:, None] * (end - begin) + shift
    low = CAMERAS[key[0]].project(np.c_[feet, np.zeros(frames)])
    high = CAMERAS[key[0]].project(np.c_[feet, np.full(frames, TALL)])
    height = low[:, 1] - high[:, 1]
    bottom = low[:, 1] + rng.normal(0, noise, frames) * height if noise else low[:, 1].copy()
    bottom[frames - round(hidden * frames) :] -= height[frames - round(hidden * frames) :] / 2
    left = low[:, 0] - height / 5
    xyxy = np.stack([left, high[:, 1], left + 2 * height / 5, bottom], 1).astype(np.float32)
    made = tracklet(key, boxes=frames)
    return replace(made, index=np.arange(1, frames + 1), time_s=time_s, xyxy=xyxy)


PATH, FAR = [(-3, -2), (4, 3)], [(4, -3), (-3, 2.5)]  # they cross


def evidence(a, b, homographies=None):
    return Ground([a, b], GROUND if homographies is None else homographies).evidence(0, 1)


# ---- where feet are


@given(st.floats(-4, 4), st.floats(-4, 4), st.sampled_from(sorted(CAMERAS)), st.sampled_from([1, -1, 1e-4]))
def test_a_picture_of_the_ground_leads_back_to_the_ground(x, y, name, factor):
    pixel = CAMERAS[name].project([[x, y, 0]])
    place, jacobian, sound = on_ground(np.array(GROUND[name]) * factor, pixel)
    assert sound.all()
    assert place[0] == pytest.approx([x, y], abs=1e-6)
    step = 1e-3
    for axis in (0, 1):
        moved, _, _ = on_ground(np.array(GROUND[name]), pixel + step * np.eye(2)[axis])
        assert (moved - place)[0] / step == pytest.approx(jacobian[0, :, axis], rel=1e-2, abs=1e-5)


def test_what_a_pixel_is_worth_grows_away_from_the_camera():
    pixels = EAST.project([[5, 0, 0], [-5, 0, 0], [-30, 0, 0]])
    _, jacobian, _ = on_ground(np.array(GROUND["east"]), pixels)
    near, far, farther = np.linalg.det(jacobian)
    assert 0 < abs(near) < abs(far) < abs(farther)


def test_above_the_horizon_there_is_no_ground():
    pixels = np.array([[640.0, 600.0], [500.0, 500.0], [640.0, -300.0]])
    assert on_ground(np.array(GROUND["east"]), pixels)[2].tolist() == [True, True, False]


# ---- the evidence


def naive_evidence(one, other, area):
    """By the definition, moment by moment, for boxes at every ``STEP``."""
    total = 0.0
    for i, j in itertools.product(range(len(one.time_s)), range(len(other.time_s))):
        if one.time_s[i] != other.time_s[j]:
            continue
        places, spread = [], SIGMA**2 * np.eye(2)
        for who, row in ((one, i), (other, j)):
            x1, y1, x2, y2 = map(float, who.xyxy[row])
            h = np.array(GROUND[who.camera])
            x, y, depth = h @ [(x1 + x2) / 2, y2, 1]
            places.append(np.array([x, y]) / depth)
            jacobian = np.array([[h[r, c] / depth - (x, y)[r] * h[2, c] / depth**2 for c in (0, 1)] for r in (0, 1)])
            spread = spread + (FEET * (y2 - y1)) ** 2 * jacobian @ jacobian.T
        apart = places[0] - places[1]
        density = math.exp(-apart @ np.linalg.inv(spread) @ apart / 2)
        gain = 1 + area / (2 * math.pi * math.sqrt(np.linalg.det(spread)))
        total += STEP * math.log((1 - HIDDEN) * gain * density + HIDDEN)
    one_person = (1 - ALWAYS_HIDDEN) * math.exp(total) + ALWAYS_HIDDEN
    return math.log(one_person / (1 - TOGETHER + TOGETHER * math.exp(total)))


@settings(max_examples=30)
@given(st.floats(0, 2), st.floats(-1, 1), st.integers(0, 12))
def test_evidence_is_as_defined(away, aside, later):
    one = walk(("east", 1), PATH, rate=1 / STEP)
    other = walk(("south", 2), PATH, start=later * STEP, rate=1 / STEP, noise=0.03, shift=(away, aside))
    ground = Ground([one, other], GROUND)
    (area,) = ground.areas.values()
    assert ground.evidence(0, 1) == pytest.approx(naive_evidence(one, other, area), abs=1e-6)


def test_worked_example():
    """A second at one spot, no error but SIGMA, over 50 square metres: 1 + 50 / (2 pi 0.25) = 32.83 to 1."""
    found = evidence_of(np.zeros((4, 2)), np.zeros((4, 2, 2)), 50.0)
    ratio = 0.9 * 32.831 + 0.1
    assert found == pytest.approx(math.log((0.995 * ratio + 0.005) / (0.98 + 0.02 * ratio)), abs=1e-4)
    assert found == pytest.approx(2.931, abs=1e-3)


@given(st.integers(0, 60), st.floats(0, 100), st.floats(0, 100), st.floats(10, 1e4), st.integers(0, 99))
def test_evidence_is_bounded_and_none_without_moments(count, size, vague, area, seed):
    rng = np.random.default_rng(seed)
    error = rng.normal(0, vague, (count, 2, 2))
    found = evidence_of(rng.normal(0, size, (count, 2)), error @ error.transpose(0, 2, 1), area)
    assert LEAST - 0.1 <= found <= MOST + 0.1
    assert count or found == 0


def test_the_farther_apart_the_less():
    found = [evidence(walk(("east", 1), PATH), walk(("south", 2), PATH, shift=(d, 0))) for d in np.arange(0, 8, 0.5)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 3 > 0 > -4 > found[-1]


def test_seconds_count_and_frames_do_not():
    short = evidence(walk(("east", 1), PATH, seconds=1), walk(("south", 2), PATH, seconds=1))
    dense = evidence(walk(("east", 1), PATH, seconds=1, rate=60), walk(("south", 2), PATH, seconds=1, rate=50))
    assert short == pytest.approx(dense, abs=0.05)
    assert short < evidence(walk(("east", 1), PATH, seconds=3), walk(("south", 2), PATH, seconds=3))


def test_recordings_of_different_rates_are_compared_between_their_frames():
    slow = walk(("south", 2), PATH, start=0.13, seconds=7, rate=1)
    assert evidence(walk(("east", 1), PATH), slow) == pytest.approx(MOST, abs=0.1)


def test_where_a_tracklet_was_lost_for_long_it_has_no_place():
    whole = walk(("east", 1), PATH)
    rows = np.flatnonzero((whole.time_s < 1) | (whole.time_s > 1 + GAP + 0.5))
    kept = replace(whole, **{name: getattr(whole, name)[rows] for name in ("index", "time_s", "xyxy", "score")})
    within = walk(("south", 2), PATH, start=1.3, seconds=1.2)
    assert evidence(kept, within) == 0
    assert evidence(whole, within) > 1


@given(st.floats(0, 6), st.floats(0, 0.1), st.integers(0, 9))
@settings(max_examples=30)
def test_it_does_not_matter_which_camera_comes_first(away, noise, seed):
    a, b = walk(("east", seed), PATH, noise=noise), walk(("south", seed + 10), PATH, noise=noise, shift=(away, 0))
    assert Ground([a, b], GROUND).evidence(0, 1) == Ground([b, a], GROUND).evidence(1, 0)


@pytest.mark.parametrize(
    ("other", "homographies"),
    [
        (walk(("south", 2), PATH, start=8.5), GROUND),  # no shared moment
        (walk(("south", 2), PATH), {"east": GROUND["east"]}),  # not calibrated
        (walk(("south", 2), PATH), {}),
        (replace(walk(("south", 2), PATH), camera="east"), GROUND),  # the same camera
        (walk(("south", 2), PATH, start=0.05, seconds=0.1), GROUND),  # between two moments
        (replace(walk(("south", 2), PATH), photo="2.jpg"), GROUND),  # photos have no clock
    ],
)
def test_no_opinion(other, homographies):
    ground = Ground([walk(("east", 1), PATH), other], homographies)
    assert (ground.evidence(0, 1), ground.gate([0], [1])) == (0, 0)


def test_feet_that_are_hidden_for_a_while_do_not_decide():
    one = walk(("east", 1), PATH)
    assert evidence(one, walk(("south", 2), PATH, hidden=0.25, noise=0.03)) > 2
    assert LEAST - 0.1 < evidence(one, walk(("south", 2), PATH, hidden=1.0)) < 0


def test_far_from_the_cameras_some_metres_speak_against_nobody():
    """The same 3 m apart, where a pixel is worth little and where it is worth metres."""
    here, there = [(0, 0), (1, 0)], [(-200, 0), (-201, 0)]
    far = {name: Camera((x, y, 5.0), (-200.0, 0.0)) for name, (x, y) in {"east": (18, 1), "south": (-2, -16)}.items()}
    matrices = {name: camera.homography().tolist() for name, camera in far.items()}
    near = evidence(walk(("east", 1), here), walk(("south", 2), here, shift=(3, 0)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.CAMERAS", far)
        vague = evidence(walk(("east", 1), there), walk(("south", 2), there, shift=(3, 0)), matrices)
    assert near < -4 < -0.5 < vague < 2


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(-400, 400))
def test_boxes_anywhere_in_the_picture_have_bounded_evidence(seed, horizon):
    """The horizon included, where metres a pixel know no bounds."""
    rng = np.random.default_rng(seed)
    level = 1 / np.array(GROUND["east"])[2, 1] * -np.array(GROUND["east"])[2, 2]
    people = []
    for name in CAMERAS:
        low = rng.uniform([0, -200], [1280, 720], (81, 2))
        low[:20, 1] = level + horizon * rng.choice([0, 1e-12, 1e-9, 1e-6, 1e-3, 1], 20)
        left_top, right = np.array([20, 100]), np.array([20, 0])
        boxes = np.hstack([low - left_top, low + right]).astype(np.float32)
        people.append(replace(walk((name, 1), PATH), xyxy=boxes))
    assert LEAST - 0.1 <= Ground(people, GROUND).evidence(0, 1) <= MOST + 0.1


def test_a_gate_is_never_above_its_parts():
    people = [
        walk((name, 1 + row), path, shift=(row / 2, 0)) for row, path in enumerate((PATH, FAR)) for name in CAMERAS
    ]
    ground = Ground(people, GROUND)
    for left in ([0], [1], [0, 1]):
        for right in ([2], [3], [2, 3]):
            parts = [ground.gate([a], [b]) for a in left for b in right]
            assert ground.gate(left, right) == min(parts) <= 0
            assert ground.gate(left, right) == ground.gate(right, left)


# ---- linking


def unit(rows):
    vectors = np.array(rows, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def members(people, vectors, ground=GROUND, **known):
    found = link(people, unit(vectors), CURVE, 0.5, Known(ground=ground, **known))
    return {frozenset(map(str, identity.members)) for identity in found}


CROSSING = [walk(("east", 1), PATH), walk(("east", 2), FAR), walk(("south", 3), PATH), walk(("south", 4), FAR)]
# Looks are half-hearted, and for the wrong pairs at that.
CONFUSED = [[1, 0, 0.1], [0, 1, 0.1], [1, 1.1, 0], [1.1, 1, 0]]


def test_whom_places_tell_apart_looks_do_not_join():
    right = {frozenset({"east/1", "south/3"}), frozenset({"east/2", "south/4"})}
    assert members(CROSSING, CONFUSED) == right
    assert members(CROSSING, CONFUSED, {}) == {frozenset({"east/1", "south/4"}), frozenset({"east/2", "south/3"})}
    assert members(CROSSING, CONFUSED, {"east": GROUND["east"]}) == members(CROSSING, CONFUSED, {})


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_noise_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    people = [
        walk((name, 100 * (seed % 997) + number), path, noise=0.04, shift=rng.normal(0, 0.15, 2))
        for number, (name, path) in enumerate(itertools.product(CAMERAS, (PATH, FAR)))
    ]
    keys = [str(person.key) for person in people]
    assert members(people, CONFUSED) == {frozenset({keys[0], keys[2]}), frozenset({keys[1], keys[3]})}


def test_places_alone_are_not_enough():
    """Two people who walk together, each in sight of one camera, look like two people."""
    assert len(members(CROSSING[::2], [[1, 0], [-1, 0]])) == 2


def test_looks_alone_do_not_join_whom_places_part():
    assert len(members([CROSSING[0], CROSSING[3]], [[1, 0.2], [1, 0]])) == 2
    assert len(members([CROSSING[0], CROSSING[3]], [[1, 0.2], [1, 0]], {})) == 1


def test_in_every_camera_once_at_a_time():
    """Two walk side by side: each is at the other's place, and the better pairs come first."""
    beside = [(-3, -1.8), (4, 3.2)]
    people = [walk(("east", 1), PATH), walk(("south", 2), PATH), walk(("south", 3), beside)]
    assert members(people, [[1, 0.3], [1, 0.5], [1, 0]]) == {frozenset({"east/1", "south/2"}), frozenset({"south/3"})}
    assert members(people, [[1, 0.3], [0.3, 1], [1, 0.3]]) == {frozenset({"east/1", "south/3"}), frozenset({"south/2"})}


def test_one_track_here_is_several_there():
    parts = [walk(("south", 2), PATH, seconds=3), walk(("south", 3), PATH, start=4, seconds=4)]
    whole = walk(("east", 1), PATH)
    assert len(members([whole, *parts], [[1, 0.2, 0], [0.55, 0.8, 0], [0.55, 0, 0.8]])) == 1


def test_what_is_known_otherwise_is_not_overruled():
    first, third = CROSSING[0].key, CROSSING[2].key
    vectors = [[1, 0], [0, 1], [1, 0], [0, 1]]
    assert frozenset({"east/1", "south/3"}) in members(CROSSING, vectors)
    assert frozenset({"east/1", "south/3"}) not in members(CROSSING, vectors, different=[(first, third)])
    assert all(len(group) == 1 for group in members(CROSSING, vectors, disjoint=[CAMERAS]))
    told = [(first, CROSSING[3].key)]
    assert frozenset({"east/1", "south/4"}) in members(CROSSING, vectors, same=told)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_order_of_tracklets_does_not_matter(order):
    shuffled = [CROSSING[row] for row in order]
    assert members(shuffled, [CONFUSED[row] for row in order]) == members(CROSSING, CONFUSED)


def test_links_say_how_sure_places_and_looks_together_are():
    a, b = CROSSING[::2]
    (identity,) = link([a, b], unit([[1, 0.4], [0.4, 1]]), CURVE, 0.5, Known(ground=GROUND))
    (made,) = identity.links
    assert not made.given
    appearance = Appearance.of(unit([[1, 0.4], [0.4, 1]]), np.ones(2, np.float32), CURVE)
    looks = float(appearance.between(0, np.array([1]))[0])
    assert made.probability > probability_of(looks, 2)
    assert made.probability > 0.9


def test_weighing_leaves_what_was_told_given():
    ground = Ground(CROSSING, GROUND)
    groups = [Group([0, 2], [Merge([0], [2], -1.0, 2, True)]), Group([1, 3], [Merge([1], [3], -1.0, 2, True)])]
    ground.weigh(groups, [(1, 3)])
    told, met = (group.merges[0] for group in groups)
    assert (told.given, met.given) == (True, False)
    assert told.evidence == pytest.approx(-1 + ground.evidence(0, 2))
    assert met.probability == pytest.approx(probability_of(-1 + ground.evidence(1, 3), 2))


def test_meetings_join_no_two_of_one_moment():
    people = [walk(("east", 1), PATH), *(walk(("south", 2 + row), PATH, noise=0.01) for row in range(4))]
    ground = Ground(people, GROUND)
    appearance = Appearance.of(unit([[1, 0]] * 5), np.ones(5, np.float32), CURVE)
    assert len(ground.meetings(appearance, [never_at_once(people), ground.gate], [], 0.5)) == 1


def test_meetings_reckon_with_no_more_people_than_other_joins(monkeypatch):
    people = [*CROSSING[::2], *(walk(("east", 10 + row), FAR) for row in range(6))]
    ground = Ground(people, GROUND)
    appearance = Appearance.of(unit([[1, 0.4], [0.4, 1], *[[-1, 0]] * 6]), np.ones(8, np.float32), CURVE)
    evidence = ground.evidence(0, 1) + float(appearance.between(0, np.array([1]))[0])
    probability = 1 / (1 + math.exp(1 - evidence))  # enough among 2 people, not among 8
    assert ground.meetings(appearance, [], [], probability) == []
    monkeypatch.setattr(module, "CROWD", 2)
    assert ground.meetings(appearance, [], [], probability) == [(0, 1)]


# ---- the file


def calibration(tmp_path, entry, name="east"):
    path = tmp_path / "site.json"
    path.write_text(json.dumps({"cameras": {name: entry}}), encoding="utf-8")
    return path


PLACES = [(-3, -2), (4, -3), (3, 4), (-2, 3), (0, 0)]


def measured(places, name="east"):
    pixels = CAMERAS[name].project([[x, y, 0] for x, y in places])
    return {"points": np.hstack([pixels, np.array(places, float)]).tolist()}


def test_a_matrix_is_read_as_it_is(tmp_path):
    path = calibration(tmp_path, {"homography": GROUND["east"]})
    assert read_homographies(path) == {"east": GROUND["east"]}


@pytest.mark.parametrize("count", [4, 5])
@pytest.mark.parametrize("offset", [0.0, 5e6])
def test_points_give_the_homography(tmp_path, count, offset):
    """Also where metres count from far away, as in a national grid."""
    entry = measured(PLACES[:count])
    entry["points"] = [[x, y, east + offset, north + offset] for x, y, east, north in entry["points"]]
    found = np.array(read_homographies(calibration(tmp_path, entry))["east"])
    place, _, sound = on_ground(found, EAST.project([[1, 2, 0], [-1, 1, 0]]))
    assert sound.all()
    assert place - offset == pytest.approx(np.array([[1, 2], [-1, 1]]), abs=1e-3)


BAD = {
    "no entry": ({}, "needs either"),
    "both": ({"homography": GROUND["east"], "points": []}, "needs either"),
    "misspelt": ({"homograpy": GROUND["east"]}, "needs either"),
    "no table": (5, "needs either"),
    "2x3": ({"homography": [[1, 0, 0], [0, 1, 0]]}, "3 rows of 3"),
    "ragged": ({"homography": [[1, 0, 0], [0, 1], [0, 0, 1]]}, "3 rows of 3"),
    "words": ({"homography": [["a", 0, 0], [0, 1, 0], [0, 0, 1]]}, "3 rows of 3"),
    "infinite": ({"homography": [[1, 0, 0], [0, 1, 0], [0, 0, math.inf]]}, "3 rows of 3"),
    "null": ({"homography": [[1, 0, 0], [0, 1, 0], [0, 0, None]]}, "3 rows of 3"),
    "singular": ({"homography": [[1, 2, 3], [2, 4, 6], [0, 0, 1]]}, "singular"),
    "nothing": ({"homography": [[0, 0, 0]] * 3}, "singular"),
    "no points": ({"points": []}, "rows of four"),
    "pairs": ({"points": [[1, 2]] * 5}, "rows of four"),
    "three": (measured(PLACES[:3]), "3 points"),
    "line": (measured([(row, 2 * row) for row in range(6)]), "line"),
    "line but one": (measured([(0, 0), (1, 1), (2, 2), (3, 3), (0, 4)]), "line"),
    "one place": ({"points": [[row, row**2, 1, 1] for row in range(5)]}, "line"),
    "mixed up": (
        {"points": [[0, 0, 0, 0], [100, 0, 5, 0], [100, 100, 0, 5], [0, 100, 5, 5], [50, 50, 9, 9]]},
        "beside its own",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_entry_is_one_clear_line(tmp_path, kind):
    entry, words = BAD[kind]
    with pytest.raises(DataError, match=words) as caught:
        read_homographies(calibration(tmp_path, entry))
    assert "site.json" in str(caught.value)
    assert "east" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cameras": []}', '{"cameras": {}}', '"x"', "\u00e4"])
def test_a_file_of_another_kind(tmp_path, text):
    path = tmp_path / "site.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(DataError, match=r"site\.json: not a calibration"):
        read_homographies(path)


def test_an_absent_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_homographies(tmp_path / "none.json")


def test_cameras_are_the_runs(tmp_path):
    videos = (tmp_path / "east.mp4", tmp_path / "south.mp4")
    assert RunOptions(videos=videos, calibration=GROUND).calibration == GROUND
    with pytest.raises(BadInputError, match="--calibration: no camera 'east'; there are a, south"):
        RunOptions(videos=videos, cameras=("a", "south"), calibration=GROUND)
    with pytest.raises(BadInputError, match="--calibration: east alone"):
        RunOptions(videos=videos, calibration={"east": GROUND["east"]})


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder to work in: two recordings and an embedder."""
    monkeypatch.chdir(tmp_path)
    colour_embedder(tmp_path / "colour.onnx")
    for number, name in enumerate(CAMERAS, 4):
        empty_room(tmp_path / f"{name}.mp4", frames=number)
    return tmp_path


def run(*args):
    return main(["run", "--videos", "east.mp4", "south.mp4", "--embedder", "colour.onnx", "--out", "out", *args])


def test_a_run_is_told_what_the_file_says(desk, monkeypatch):
    asked = []
    monkeypatch.setattr("tracker.pipeline.run", lambda options, progress: asked.append(options))
    (desk / "site.json").write_text(json.dumps({"cameras": {name: measured(PLACES, name) for name in CAMERAS}}))
    run("--calibration", "site.json")
    kept = json.loads(json.dumps(asdict(asked[0])["calibration"]))  # as the manifest does
    assert sorted(kept) == sorted(CAMERAS)
    place, _, _ = on_ground(np.array(kept["south"]), SOUTH.project([[1, 2, 0]]))
    assert place[0] == pytest.approx([1, 2], abs=1e-6)


@pytest.mark.parametrize(
    ("cameras", "code", "words"),
    [({"gate": GROUND["east"]}, 2, "no camera 'gate'; there are east, south"), ({"east": [[1]]}, 1, "3 rows of 3")],
)
def test_a_run_refuses_in_one_line(desk, capsys, cameras, code, words):
    entries = {name: {"homography": matrix} for name, matrix in cameras.items()}
    (desk / "site.json").write_text(json.dumps({"cameras": entries}))
    assert run("--calibration", "site.json") == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") == 1
    assert not (desk / "out").exists()
