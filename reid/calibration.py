"""From cosine similarity to the probability that two tracklets show one person."""

import json
import math
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from reid.errors import DataError

Floats = npt.NDArray[np.floating]

RIDGE = 1e-6  # keeps the slope finite where similarity separates the pairs perfectly
_STEPS = 100


@dataclass(frozen=True)
class Calibration:
    """A logistic curve over the cosine similarity of pooled tracklets, for an even prior.

    Attributes:
        slope, intercept: probability = 1 / (1 + exp(-(slope * similarity + intercept))); the slope is positive.
        threshold: cosine distance (1 - similarity, 0..2) up to which average linkage merges by default.
    """

    slope: float
    intercept: float
    threshold: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.slope, self.intercept, self.threshold))) or self.slope <= 0:
            raise ValueError(f"calibration: expected finite numbers and a positive slope, got {self}")
        if not 0 <= self.threshold <= 2:
            raise ValueError(f"calibration: expected a threshold within 0..2, got {self.threshold}")

    def probability(self, similarity: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Probability, 0..1, that each pair is one person.

        Args:
            similarity: any shape, -1..1.

        Returns:
            The same shape, float64.

        >>> Calibration(20.0, -10.0, 0.5).probability([0.0, 0.5, 1.0]).round(4).tolist()
        [0.0, 0.5, 1.0]
        """
        return _logistic(self.slope * np.asarray(similarity, np.float64) + self.intercept)

    def to_json(self) -> str:
        """One line of JSON: slope, intercept, threshold."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Calibration":
        """Read what ``to_json`` wrote.

        Raises:
            ValueError: not JSON, not these three numbers, or values that are no calibration.
        """
        try:
            record = json.loads(text)
            return Calibration(*(float(record[name]) for name in ("slope", "intercept", "threshold")))
        except (KeyError, TypeError) as error:
            raise ValueError(f"calibration: expected slope, intercept and threshold, got {text!r}") from error


def fit_calibration(similarity: Floats, same: npt.NDArray[np.bool_], threshold: float | None = None) -> Calibration:
    """Fit by logistic regression (Newton's method with halved steps).

    Either class weighs one half in all, however many pairs it has: the probability is for an even prior. Whoever
    compares one tracklet to thousands, few of which are its match, has to weigh it accordingly.

    Args:
        similarity: (n,) cosine similarities of pairs of pooled tracklets.
        same: (n,) True where the pair is one person.
        threshold: of the result; None takes the distance at which the probability is one half.

    Raises:
        ValueError: the shapes differ or a similarity is not finite.
        DataError: pairs of one kind are missing, or similarity is no higher for the same person.
    """
    x = np.asarray(similarity, np.float64)
    y = np.asarray(same, np.bool_)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"expected similarity (n,) and same (n,), got {x.shape} and {y.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"similarity: {(~np.isfinite(x)).sum()} of {len(x)} values are not finite")
    positives = int(y.sum())
    if positives in (0, len(y)):
        raise DataError(
            f"calibration: {positives} of {len(y)} pairs are one person; give data with both kinds of pairs"
        )
    weights = np.where(y, 0.5 / positives, 0.5 / (len(y) - positives))
    slope, intercept = _newton(x, np.where(y, 1.0, -1.0), weights)
    if slope <= 0:
        raise DataError("calibration: similarity is no higher for the same person; check the labels or the model")
    if threshold is None:
        threshold = float(np.clip(1 + intercept / slope, 0, 2))
    return Calibration(slope, intercept, threshold)


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
