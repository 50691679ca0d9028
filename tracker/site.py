"""What similarities mean at a run's own site, fitted without labels (``tracker.unlabelled``).

An embedder's curve was fitted where people are known. It stands for two normal distributions of equal width s, two
people's about 0 and one person's about m: slope = m / s^2, intercept = -m^2 / (2 s^2). Two things are well known of a
site without labels, and only these are taken from it:

- How far the similarities of two people spread, from tracklets that are in one frame. Half of s^2 is theirs and
  follows the site; the other half is one person's and stays. The spread is about the pairs' own mean, which is not
  used: centring (``reid.centre``) puts it at 0 between cameras, and people who share a moment's light are a little
  more alike.
- How alike one person is at most: two halves of a tracklet resemble each other more than tracklets of two cameras do,
  so that their mean is a bound to m, nothing more.

Fitting slope and intercept freely to halves and simultaneous pairs would take the likeness within a tracklet for that
between cameras. Expected calibration error on pairs of two cameras, where labels were hidden from the fit; sites are
parts of Market-1501's test set as tracklets of one sequence, with the curve of the first shipped MobileNetV2 (fitted on
the same people, but up to 8 pictures of all sequences a tracklet):

======================================================  ==========  ========  ==========
site                                                    embedder's  free fit  this
======================================================  ==========  ========  ==========
250 people, 6 cameras                                   0.027       0.087     0.026
60 people, 2 cameras (mean of 3)                        0.045       0.069     0.044
40 people who look alike (mean of 5)                    0.063       0.108     0.053
94 people, pictures of 16x32 pixels                     0.056       0.172     0.055
94 people, dark and noisy pictures                      0.109       0.152     0.089
NLPR, 14 people in 3 rooms, real tracklets              0.234       0.254     0.218
the same with the embedder ``standard``                 0.201       0.214     0.197
======================================================  ==========  ========  ==========

Every quantity is averaged with the embedder's own, which weighs as much as ``PRIOR`` observations. A tracklet is in
several pairs, so pairs count as no more than the tracklets in them.
"""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

from reid.calibration import Calibration, Curve, OperatingPoint
from reid.errors import BadInputError
from tracker.errors import RunError
from tracker.files import whole_file, writing
from tracker.manifest import Manifest, now, write_manifest
from tracker.material import Curves, curve_of
from tracker.unlabelled import Pairs

CALIBRATION, PICTURE = "calibration.json", "calibration.png"
FORMAT = 1
PRIOR = 20  # observations
LEAST_PAIRS = 20  # of two people: fewer do not tell a spread
LEAST_ALIKE = 0.1  # one person's halves; a model that finds them less alike has no curve
EMBEDDERS_OWN = "embedder_calibration"  # in run.json


def fit(shipped: Curve, pairs: Pairs) -> Curve:
    """The site's curve, with thresholds at the rates at which the embedder's are known.

    Args:
        shipped: the embedder's own, of tracklets.
        pairs: of the site.

    Raises:
        RunError: there are fewer than 20 pairs of two people.
    """
    if len(pairs.two) < LEAST_PAIRS:
        raise RunError(
            f"{len(pairs.two)} pairs of two people in one frame, and calibration needs {LEAST_PAIRS}: name recordings"
            " in which people are in sight together; until then the embedder's own curve is used"
        )
    stretch, move = _stretch(shipped, pairs), _move(shipped, pairs)
    mean, variance = _normals(shipped)
    mean, variance = mean + move, variance * (1 + stretch**2) / 2
    points = tuple(
        OperatingPoint(rate, similarity * stretch, _found(shipped, similarity * stretch - move))
        for rate, similarity, _ in shipped.points
        if similarity * stretch <= 1
    )
    return Curve(mean / variance, -(mean**2) / (2 * variance), points, pairs=(len(pairs.one), len(pairs.two)))


def usual_spread(shipped: Curve) -> float:
    """Of two people's similarities where the embedder's curve was fitted: from its threshold at the highest rate."""
    if shipped.points:
        rate, similarity, _ = shipped.points[0]
        return similarity / -float(ndtri(rate))
    return math.sqrt(_normals(shipped)[1])


def threshold(curve: Curve, rate: float) -> float:
    """The similarity that this share of pairs of two people reaches, between the points as a normal distribution's.

    Raises:
        BadInputError: a rate above 0.5, or below all that were measured.
    """
    least = curve.points[-1].false_match_rate if curve.points else 1e-4
    if not least <= rate <= 0.5:
        raise BadInputError(f"--false-match-rate {rate:g} cannot be told; give a share from {least:g} to 0.5")
    if not curve.points:
        return min(1.0, -float(ndtri(rate)) * math.sqrt(_normals(curve)[1]))
    deviations = -ndtri([0.5, *(point.false_match_rate for point in curve.points)])
    return float(np.interp(-ndtri(rate), deviations, [0, *(point.similarity for point in curve.points)]))


def _normals(curve: Curve) -> tuple[float, float]:
    """Mean of one person's similarities, and the variance of either kind's, that a curve stands for."""
    mean = -2 * curve.intercept / curve.slope
    return mean, mean / curve.slope


def _stretch(shipped: Curve, pairs: Pairs) -> float:
    """How far two people's similarities spread at the site, as a multiple of what is usual."""
    count = min(len(pairs.two), pairs.tracklets)
    ratio = (pairs.spread / usual_spread(shipped)) ** 2
    return math.sqrt((PRIOR + count * ratio) / (PRIOR + count))


def _move(shipped: Curve, pairs: Pairs) -> float:
    """What is to be added to one person's mean similarity; never above 0."""
    if not len(pairs.one):
        return 0.0
    excess = max(pairs.alike, LEAST_ALIKE) - _normals(shipped)[0]
    return min(excess, 0.0) * len(pairs.one) / (PRIOR + len(pairs.one))


def _found(shipped: Curve, similarity: float) -> float:
    """The share of one person's pairs from a similarity on, as far as the embedder's thresholds tell."""
    known = [(-1.0, 1.0), *((point.similarity, point.true_match_rate) for point in shipped.points), (1.0, 0.0)]
    return float(np.interp(similarity, *np.transpose(known)))


def write(out: Path, model_id: str, calibration: Calibration, site: Curve, pairs: Pairs) -> None:
    """Keep the site's curve in the run; later linking uses it.

    Args:
        out: the run directory.
        model_id: of the embedder.
        calibration: its own.
        site: from ``fit``.
        pairs: that it was fitted to.
    """
    record = {
        "format": FORMAT,
        "model_id": model_id,
        "made": now(),
        "spread": {"site": pairs.spread, "usual": usual_spread(calibration.tracklets), "tracklets": pairs.tracklets},
        "alike": pairs.alike if len(pairs.one) else None,
        "site": json.loads(replace(calibration, tracklets=site).to_json()),
        "embedder": json.loads(calibration.to_json()),
    }
    with whole_file(out / CALIBRATION) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read(out: Path, model_id: str) -> Curve | None:
    """The site's curve of a run; None where there is none, or one of another embedder.

    Raises:
        RunError: the file is damaged.
    """
    record = _record(out)
    return _curve(out, record, "site") if record and record["model_id"] == model_id else None


def told(curve: Curve) -> Manifest:
    """What ``run.json`` says of the embedder's own curve."""
    return {EMBEDDERS_OWN: {"slope": curve.slope, "intercept": curve.intercept}}


def in_force(out: Path, manifest: Manifest) -> Curves:
    """The curves for linking a finished run again: the site's where it has one, and the embedder's own.

    Raises:
        RunError: the site's file is damaged.
    """
    site, own = read(out, manifest["embedder"]), manifest.get(EMBEDDERS_OWN)
    if own:
        embedders = Curve(own["slope"], own["intercept"])
    elif site and (record := _record(out)):  # a run of an earlier version, whose run.json may tell the site's alone
        embedders = _curve(out, record, "embedder")
    else:
        embedders = curve_of(manifest)
    return Curves(embedders, site or embedders)


def remove(out: Path, manifest: Manifest) -> bool:
    """Take the site's curve away, of a run that is not finished, too; ``run.json`` keeps the embedder's own.

    Returns:
        Whether there was one.

    Raises:
        RunError: the disk cannot be written; or the file is damaged, and nothing else holds the embedder's own curve,
            which ``link`` needs: so it may be in runs of earlier versions.
    """
    if "calibration" in manifest and EMBEDDERS_OWN not in manifest:
        record = _record(out)
        if record and record["model_id"] == manifest["embedder"]:
            write_manifest(out, manifest | told(_curve(out, record, "embedder")))
    there = (out / CALIBRATION).is_file()
    with writing(out / CALIBRATION):
        (out / CALIBRATION).unlink(missing_ok=True)
        (out / PICTURE).unlink(missing_ok=True)
    return there


def _record(out: Path) -> dict[str, Any] | None:
    path = out / CALIBRATION
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = record["format"] == FORMAT and isinstance(record["model_id"], str)
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise _damaged(path)
    return record


def _curve(out: Path, record: dict[str, Any], name: str) -> Curve:
    try:
        return Calibration.from_json(json.dumps(record[name])).tracklets
    except (ValueError, KeyError):
        raise _damaged(out / CALIBRATION) from None


def _damaged(path: Path) -> RunError:
    return RunError(
        f"{path}: damaged, or of another version; `reidtrack calibrate {path.parent}` makes it again, and with --reset"
        " it is removed"
    )
