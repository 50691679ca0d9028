"""What the gate compares, what it allows, and what it found."""

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from reid.calibrate import Measured
from reid.errors import ModelError
from reid.images import Image

Floats = npt.NDArray[np.float32]
Report = Callable[[str], None]

Shares = Mapping[str, tuple[float, float]]
"""(mAP, R1) as shares, by data set."""

Reference = Callable[[Sequence[Image]], Floats]
"""n RGB uint8 crops (h, w, 3) of any sizes to (n, d) unit vectors, computed in float32: what an artifact must equal."""

Prepare = Callable[[Sequence[Image]], npt.NDArray[Any]]
"""RGB uint8 crops of one size to what a file takes for them."""

Layers = Callable[[Sequence[Image]], Sequence[tuple[str, Floats]]]
"""Crops of one size to what the reference's layers give for them, in the order of computation, by their names."""


class Limits(NamedTuple):
    """What a precision may cost.

    Attributes:
        cosine: lowest cosine similarity of a vector to the reference's.
        points: largest change of mAP and of rank-1, in percentage points.
    """

    cosine: float
    points: float


LIMITS: dict[str, Limits] = {
    "fp32": Limits(0.9999, 0.1),
    "fp16": Limits(0.999, 0.3),
    "int8": Limits(0.99, 1.0),
}
THRESHOLD_DRIFT = 0.01  # of a similarity threshold; from here on the artifact gets a table of its own


@dataclass(frozen=True)
class Candidate:
    """An artifact that is to be let through, or not.

    Attributes:
        path: the file.
        runs: by the name of the runtime, the file's own call: crops of any sizes to vectors, as a ``Reference``. Crops
            of one size have to go through the network in one batch where the file's batch is free. The first one's
            scores, and its thresholds where they are measured anew, are the file's.
        prepare: crops to what the file takes, to look into an ONNX file that fails.
        batch: crops that it takes at a time; 0 for any number.
        name: what messages call it, where that is not its path: it may lie elsewhere until it has passed.
        imitations: those of ``runs`` that nobody runs a file on; data sets are not scored on them.
    """

    path: Path
    runs: Mapping[str, Reference]
    prepare: Prepare = np.stack
    batch: int = 0
    name: str = ""
    imitations: Collection[str] = ()

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError(f"{self.path}: expected at least one runtime to try it on, got none")
        if not self.name:
            object.__setattr__(self, "name", str(self.path))

    @property
    def scored(self) -> Mapping[str, Reference]:
        """The runs that data sets are scored on, the first one always among them."""
        first = next(iter(self.runs))
        return {name: run for name, run in self.runs.items() if name == first or name not in self.imitations}


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        name: what was compared, such as ``batch of 7`` or ``market1501 mAP``.
        provider: the runtime that it was compared on.
        measured: a cosine similarity, or a difference: what ``at_least`` says.
        limit: what is allowed.
        at_least: whether ``measured`` has to reach ``limit`` (a similarity) or to stay within it (a difference).
    """

    name: str
    provider: str
    measured: float
    limit: float
    at_least: bool = True

    @property
    def passed(self) -> bool:
        """NaN does not pass."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


@dataclass(frozen=True)
class GateReport:
    """All checks of one artifact.

    Attributes:
        name: the candidate's.
        precision: a name in ``LIMITS``.
        checks: in the order in which they were made.
        scores: runtime -> data set -> (mAP, R1) of the artifact as shares; the runtime first that the file's are of.
        drift: runtime -> kind of pair (``tracklets``, ``crops``) -> how far its threshold at ``false_match`` moved from
            the reference's; empty where none was measured.
        false_match: the false-match rate of those thresholds.
        measured: the calibration that belongs into the file, with its pairs; None where none was measured.
        recalibrated: whether that is the artifact's own, on the first runtime, because a threshold moved too far there.
        notes: what a reader of the figures has to know, in words.
    """

    name: str
    precision: str
    checks: tuple[Check, ...]
    scores: Mapping[str, Shares] = field(default_factory=dict)
    drift: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    false_match: float = 1e-3
    measured: Measured | None = None
    recalibrated: bool = False
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every check did."""
        return all(check.passed for check in self.checks)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def file_scores(self) -> Shares:
        """Data set -> (mAP, R1) on the first runtime, which travel in the file; empty where none were measured."""
        return next(iter(self.scores.values()), {})

    @property
    def cosine(self) -> float:
        """The lowest of all checks of cosine similarity; NaN counts as lowest."""
        found = [check.measured for check in self.checks if check.at_least]
        return math.nan if any(map(math.isnan, found)) else min(found)

    def to_json(self, sha256: str) -> str:
        """For the file beside the artifact, whose digest ties them; figures that are not finite become null."""
        limits = LIMITS[self.precision]
        record = {
            "file": Path(self.name).name,
            "sha256": sha256,
            "precision": self.precision,
            "passed": self.passed,
            "limits": {**limits._asdict(), "threshold_drift": THRESHOLD_DRIFT},
            "cosine": _finite(self.cosine),
            "checks": [
                {**asdict(check), "measured": _finite(check.measured), "passed": check.passed} for check in self.checks
            ],
            "scores": {
                provider: {name: list(values) for name, values in shares.items()}
                for provider, shares in self.scores.items()
            },
            "thresholds": {
                "false_match": self.false_match,
                "drift": {provider: dict(moved) for provider, moved in self.drift.items()},
                "recalibrated": self.recalibrated,
            },
            "notes": list(self.notes),
        }
        return json.dumps(record, indent=1, allow_nan=False) + "\n"


class GateError(ModelError):
    """An artifact that did not pass: which check, on which runtime, which layer, and what to try."""


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
