"""From cosine similarity to the probability that two crops, or two tracklets, show one person.

A logistic curve (Platt scaling, in Advances in Large Margin Classifiers, 1999) over the similarity of a pair. On
Market-1501's test identities beta calibration (Kull et al., AISTATS 2017), with a parameter more, was no closer for
tracklets and hardly for crops. ``reid.calibrate`` measures one.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from reid.errors import BadInputError, DataError

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]

BINS = 15  # of the expected calibration error, as in Guo et al.
RIDGE = 1e-6  # keeps the slope finite where similarity separates the pairs perfectly
_STEPS = 100
_Record = TypeVar("_Record")


class OperatingPoint(NamedTuple):
    """What is right and what is wrong where all pairs from a similarity on count as one person.

    Attributes:
        false_match_rate: share of the pairs of two people that do, at most, in each of the data sets that are large
            enough to tell; above 0, below 1.
        similarity: the least, -1..1.
        true_match_rate: share of the pairs of one person that do, 0..1.
    """

    false_match_rate: float
    similarity: float
    true_match_rate: float


@dataclass(frozen=True)
class Curve:
    """What the similarities of one kind of pair mean, for an even prior.

    Attributes:
        slope, intercept: probability = 1 / (1 + exp(-(slope * similarity + intercept))); the slope is positive.
        points: thresholds by false-match rate, the rates falling, as far as the sample reached.
        error: expected calibration error on identities that the curve was not fitted on, 0..1; None: not measured.
        error_by_site: the same of each data set's pairs alone.
        identities: that it was measured on.
        pairs: how many of one person and of two.
    """

    slope: float
    intercept: float
    points: tuple[OperatingPoint, ...] = ()
    error: float | None = None
    error_by_site: Mapping[str, float] = field(default_factory=dict)
    identities: int = 0
    pairs: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope > 0):
            raise ValueError(f"calibration: expected a finite curve of positive slope, got {self}")
        errors = [*self.error_by_site.values(), *([] if self.error is None else [self.error])]
        if not all(0 <= error <= 1 for error in errors) or min(self.identities, *self.pairs) < 0:
            raise ValueError(f"calibration: expected errors within 0..1 and counts from 0 on, got {self}")
        rates = [point.false_match_rate for point in self.points]
        if rates != sorted(set(rates), reverse=True) or not all(
            0 < rate < 1 and -1 <= similarity <= 1 and 0 <= found <= 1 for rate, similarity, found in self.points
        ):
            raise ValueError(f"calibration: expected rates that fall and values within bounds, got {self.points}")

    def probability(self, similarity: npt.ArrayLike, prior: float = 0.5) -> npt.NDArray[np.float64]:
        """Probability, 0..1, that each pair is one person.

        Args:
            similarity: any shape, -1..1.
            prior: share of pairs that are one person before looking at any, above 0 and below 1. Whoever searches
                a thousand tracklets for the one that matches has a prior of 0.001.

        Returns:
            The same shape, float64.

        >>> Curve(20.0, -10.0).probability([0.0, 0.5, 1.0]).round(4).tolist()
        [0.0, 0.5, 1.0]
        >>> float(Curve(20.0, -10.0).probability(0.5, prior=0.001).round(4))
        0.001
        """
        if not 0 < prior < 1:
            raise ValueError(f"prior: expected a share above 0 and below 1, got {prior}")
        odds = math.log(prior) - math.log1p(-prior)
        return _logistic(self.slope * np.asarray(similarity, np.float64) + self.intercept + odds)

    def similarity_at(self, false_match_rate: float) -> float:
        """The least similarity, -1..1, at which at most this share of pairs of two people counts as one person.

        Raises:
            BadInputError: it was not measured at this rate; those that were are named.
        """
        for point in self.points:
            if math.isclose(point.false_match_rate, false_match_rate):
                return point.similarity
        known = ", ".join(f"{point.false_match_rate:g}" for point in self.points) or "none"
        raise BadInputError(f"no threshold is known for a false-match rate of {false_match_rate:g}; known: {known}")


@dataclass(frozen=True)
class Calibration:
    """How to read an embedder's similarities, of vectors that are centred on their cameras (``reid.centre``).

    Attributes:
        tracklets: of pooled tracklets, which is what the application compares.
        crops: of single crops.
    """

    tracklets: Curve
    crops: Curve

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), allow_nan=False)

    @staticmethod
    def from_json(text: str) -> "Calibration":
        """Read what ``to_json`` wrote.

        Raises:
            ValueError: not JSON, entries that are missing or unknown, or values that are no calibration.
        """
        try:
            record = json.loads(text)
        except ValueError:
            raise ValueError(f"calibration: not JSON: {text[:40]!r}") from None
        return _read(Calibration, record, tracklets=_read_curve, crops=_read_curve)


def _read_curve(record: Any) -> Curve:
    return _read(
        Curve,
        record,
        slope=_number,
        intercept=_number,
        points=lambda points: tuple(OperatingPoint(*map(_number, point)) for point in points),
        error=lambda error: None if error is None else _number(error),
        error_by_site=lambda errors: {str(site): _number(error) for site, error in errors.items()},
        identities=_count,
        pairs=lambda pairs: (_count(pairs[0]), _count(pairs[1])),
    )


def _read(kind: type[_Record], record: Any, **readers: Any) -> _Record:
    """A dataclass of a JSON object that has exactly its fields."""
    names = [one.name for one in fields(kind)]  # type: ignore[arg-type]
    if not isinstance(record, dict) or set(record) != set(names):
        found = ", ".join(record) if isinstance(record, dict) else repr(record)
        raise ValueError(f"calibration: expected {', '.join(names)}, got {found or 'nothing'}")
    values = {}
    for name in names:
        try:
            values[name] = readers[name](record[name])
        except (TypeError, AttributeError, IndexError):
            raise ValueError(f"calibration: {name} cannot be {json.dumps(record[name])[:60]}") from None
    return kind(**values)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def expected_calibration_error(
    probability: npt.ArrayLike, same: npt.ArrayLike, weights: npt.ArrayLike | None = None, bins: int = BINS
) -> float:
    """Mean distance between what was predicted and what came true, over equal bins of the predicted probability.

    Naeini et al. (AAAI 2015), and Guo et al. (ICML 2017), equation 3, with the probability of one class in place of the
    confidence in the predicted one. A bin counts by its weight; one that is empty counts nothing. The last one holds 1.

    Args:
        probability: (n,) 0..1.
        same: (n,) True where the pair is one person.
        weights: (n,) not negative; None weighs all alike.
        bins: how many.

    Returns:
        0 (perfect) to 1.

    Raises:
        ValueError: shapes that do not fit, probabilities outside 0..1, or no weight above 0.
    """
    total, predicted, observed = reliability(probability, same, weights, bins)
    filled = total > 0
    return float(total[filled] @ np.abs(predicted - observed)[filled])


def reliability(
    probability: npt.ArrayLike, same: npt.ArrayLike, weights: npt.ArrayLike | None = None, bins: int = BINS
) -> tuple[Doubles, Doubles, Doubles]:
    """What ``expected_calibration_error`` sums; arguments and errors as there.

    Returns:
        Of each bin: its share of the weight, the mean probability, the share that is one person; NaN where empty.
    """
    p, y = np.asarray(probability, np.float64), np.asarray(same, np.bool_)
    w = np.ones(p.shape) if weights is None else np.asarray(weights, np.float64)
    if p.ndim != 1 or p.shape != y.shape or p.shape != w.shape:
        raise ValueError(f"expected probability, same and weights (n,), got {p.shape}, {y.shape} and {w.shape}")
    if not (((p >= 0) & (p <= 1)).all() and (w >= 0).all() and 0 < w.sum() < np.inf):
        raise ValueError("expected probabilities within 0..1 and weights not below 0, one of them above")
    row = np.minimum((p * bins).astype(np.int64), bins - 1)
    total = np.bincount(row, w, bins)
    safe = np.where(total > 0, total, np.nan)
    return total / w.sum(), np.bincount(row, w * p, bins) / safe, np.bincount(row, w * y, bins) / safe


def fit_curve(similarity: npt.ArrayLike, same: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> Curve:
    """Fit by logistic regression (Newton's method with halved steps).

    Either class weighs one half in all, however many pairs it has: the probability is for an even prior.

    Args:
        similarity: (n,) cosine similarities of pairs.
        same: (n,) True where the pair is one person.
        weights: (n,) of the pairs within their class, not negative; None weighs all alike.

    Raises:
        ValueError: the shapes differ or a similarity is not finite.
        DataError: pairs of one kind are missing, or similarity is no higher for the same person.
    """
    x, y = np.asarray(similarity, np.float64), np.asarray(same, np.bool_)
    w = np.ones(x.shape) if weights is None else np.asarray(weights, np.float64)
    if x.ndim != 1 or x.shape != y.shape or x.shape != w.shape:
        raise ValueError(f"expected similarity, same and weights (n,), got {x.shape}, {y.shape} and {w.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"similarity: {(~np.isfinite(x)).sum()} of {len(x)} values are not finite")
    one, two = w[y].sum(), w[~y].sum()
    if not one or not two:
        raise DataError(f"calibration: {y.sum()} of {len(y)} pairs are one person; give data with both kinds of pairs")
    slope, intercept = _newton(x, np.where(y, 1.0, -1.0), w * np.where(y, 0.5 / one, 0.5 / two))
    if slope <= 0:
        raise DataError("calibration: similarity is no higher for the same person; check the labels or the model")
    return Curve(slope, intercept)


def _newton(x: Floats, sign: Floats, weights: Floats) -> tuple[float, float]:
    """Minimise sum w log(1 + exp(-sign (a x + b))) + RIDGE / 2 (a^2 + b^2); (a, b)."""
    design = np.stack([x, np.ones_like(x)], 1)

    def objective(values: Floats) -> float:
        return float(weights @ np.logaddexp(0, -sign * (design @ values)) + RIDGE / 2 * (values @ values))

    parameters = np.zeros(2)
    current = objective(parameters)
    for _ in range(_STEPS):
        p = _logistic(design @ parameters)
        gradient = design.T @ (weights * (p - (sign > 0))) + RIDGE * parameters
        hessian = design.T @ (design * (weights * p * (1 - p))[:, None]) + RIDGE * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        while (reached := objective(parameters - step)) > current and np.abs(step).max() > 1e-12:
            step = step / 2
        parameters = parameters - step
        if np.abs(step).max() <= 1e-9 * (1 + np.abs(parameters).max()):
            break
        current = reached
    return float(parameters[0]), float(parameters[1])


def _logistic(z: Floats) -> npt.NDArray[np.float64]:
    """1 / (1 + exp(-z)) that overflows nowhere."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * z)), np.float64)
