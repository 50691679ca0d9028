"""Average precision, CMC and inverse negative penalty, from the ranks of each query's matches.

The step average precision is torchreid's, fast-reid's and scikit-learn's; the trapezoid that of the official MATLAB
code of Market-1501 and MARS; the inverse negative penalty that of Ye et al. (arXiv:2001.04193).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reid.errors import DataError

Integers = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]

MAX_RANK = 50


@dataclass(frozen=True)
class RetrievalScores:
    """How well queries find their matches; all scores 0..1.

    Attributes:
        mean_ap: mean average precision over valid queries, AP as the mean of k / r_k over the ranks r_k of the
            matches. The figure of papers since about 2018, and the one to report.
        mean_ap_trapezoid: the same by the trapezoids of the official MATLAB code; never higher, up to 2 points lower.
        mean_inp: mean inverse negative penalty, matches / rank of the last match.
        cmc: share of queries whose first match has rank r or better at [r - 1], r up to 50. Over ALL queries, as the
            official code; ``cmc_valid`` is over the valid ones.
        queries: number of queries, over all splits.
        valid: queries that have a match in the gallery.
        runs: splits or random galleries that these scores are the mean of.
        mean_ap_deviation: standard deviation of ``mean_ap`` over the runs (n - 1 in the denominator); 0 for one run.
        cmc_deviation: the same of ``cmc``; empty for one run.
    """

    mean_ap: float
    mean_ap_trapezoid: float
    mean_inp: float
    cmc: tuple[float, ...]
    queries: int
    valid: int
    runs: int = 1
    mean_ap_deviation: float = 0.0
    cmc_deviation: tuple[float, ...] = ()

    def rank(self, r: int) -> float:
        """CMC at rank r, 1..50."""
        return self.cmc[r - 1]

    @property
    def cmc_valid(self) -> tuple[float, ...]:
        """CMC over the valid queries, as torchreid and fast-reid print it."""
        return tuple(share * self.queries / self.valid for share in self.cmc)

    @property
    def mean_ap_all(self) -> float:
        """Mean average precision over all queries, those without a match counting 0."""
        return self.mean_ap * self.valid / self.queries

    def figures(self) -> dict[str, float]:
        """The figures that papers print, by their usual names."""
        return {
            "mAP": self.mean_ap,
            "mAP (trapezoid)": self.mean_ap_trapezoid,
            "mINP": self.mean_inp,
            **{f"R{r}": self.rank(r) for r in (1, 5, 10)},
        }


def score_ranks(ranks: Integers) -> tuple[float, float, float, float]:
    """Step AP, trapezoid AP, inverse negative penalty and first rank of one query.

    Args:
        ranks: (n,) ranks of its matches, from 1, ascending; n at least 1. Junk has no rank and takes none.

    >>> [round(score, 6) for score in score_ranks(np.array([3, 4]))]
    [0.416667, 0.291667, 0.5, 3.0]
    """
    found = np.arange(1, len(ranks) + 1)
    precision = found / ranks
    before = np.where(ranks == 1, 1.0, (found - 1) / np.maximum(ranks - 1, 1))  # the MATLAB code starts from 1
    trapezoid = (precision + before) / 2
    return float(precision.mean()), float(trapezoid.mean()), len(ranks) / float(ranks[-1]), float(ranks[0])


def summarise(rows: Doubles) -> RetrievalScores:
    """Means over queries.

    Args:
        rows: (q, 4), a row of ``score_ranks`` for each query; NaN throughout for one without a match.

    Raises:
        DataError: no query has a match.
    """
    valid = rows[~np.isnan(rows[:, 3])]
    if not len(valid):
        raise DataError(
            f"none of {len(rows)} queries has a match in the gallery from another camera; check identities and cameras"
        )
    means = valid[:, :3].mean(0)
    cmc = np.searchsorted(np.sort(valid[:, 3]), np.arange(1, MAX_RANK + 1), side="right") / len(rows)
    return RetrievalScores(
        mean_ap=float(means[0]),
        mean_ap_trapezoid=float(means[1]),
        mean_inp=float(means[2]),
        cmc=tuple(cmc.tolist()),
        queries=len(rows),
        valid=len(valid),
    )


def average(runs: Sequence[RetrievalScores]) -> RetrievalScores:
    """Mean and standard deviation over runs, at least 1, every run counting the same; queries are added up."""
    cmc = np.array([run.cmc for run in runs])
    means = np.array([(run.mean_ap, run.mean_ap_trapezoid, run.mean_inp) for run in runs])
    several = len(runs) > 1
    return RetrievalScores(
        mean_ap=float(means[:, 0].mean()),
        mean_ap_trapezoid=float(means[:, 1].mean()),
        mean_inp=float(means[:, 2].mean()),
        cmc=tuple(cmc.mean(0).tolist()),
        queries=sum(run.queries for run in runs),
        valid=sum(run.valid for run in runs),
        runs=len(runs),
        mean_ap_deviation=float(means[:, 0].std(ddof=1)) if several else 0.0,
        cmc_deviation=tuple(cmc.std(0, ddof=1).tolist()) if several else (),
    )
