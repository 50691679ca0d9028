"""What the resemblance of tracklets says: log-likelihood ratios of one person against two.

Poor pictures of one person resemble each other less than good ones, so what speaks against shrinks with the tracklets'
quality. The evidence for two groups is the mean over all pairs, weighted by quality. As the evidence for a pair is
bilinear in what is known of either side, that mean is the evidence between the groups' mean vectors: no table of pairs
is ever held. (Agglomeration of likelihood ratios, as in speaker diarisation: Sell and Garcia-Romero, SLT 2014.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from reid.calibration import Curve
from tracker.types import Floats, Integers, expect_shape

FULL_QUALITY = 0.45  # a tracklet's, from which on its pictures are as telling as those that curves are fitted to
RELIABILITY_POWER = 0.3
MOST_NEIGHBOURS = 2048  # pairs kept of one tracklet, strongest first: only vectors that tell nobody apart have more
_BLOCK = 1024


def reliability(quality: npt.ArrayLike) -> Floats:
    """How much of its person a tracklet's vector shows: (n,) above 0 to 1, of (n,) qualities 0..1."""
    shares = np.clip(np.asarray(quality, np.float64) / FULL_QUALITY, 1e-3, 1)
    return np.asarray(shares**RELIABILITY_POWER, np.float32)


@dataclass
class Appearance:
    """What groups of tracklets look like; at first every tracklet is a group.

    The curve is that of two normal distributions of equal width, the one of strangers about 0. Where pictures show a
    share r of the person, one person's similarities are about r_i r_j of what good pictures give; so is the constant.

    Attributes:
        mean: (n, d) float32 mean vectors, weighted by reliability.
        share: (n,) float32 mean reliability, weighted likewise.
        weight: (n,) float32 total reliability.
        curve: of good tracklets.
    """

    mean: Floats
    share: Floats
    weight: Floats
    curve: Curve

    @classmethod
    def of(cls, vectors: Floats, reliable: Floats, curve: Curve) -> Self:
        """One group a tracklet, of (n, d) unit vectors, centred, and (n,) from ``reliability``."""
        expect_shape("vectors", vectors, (None, None))
        expect_shape("reliable", reliable, (len(vectors),))
        return cls(vectors.astype(np.float32), reliable.astype(np.float32), reliable.astype(np.float32), curve)

    def of_rows(self, rows: Integers) -> Self:
        """A part of the groups, their own copy."""
        return replace(self, mean=self.mean[rows], share=self.share[rows], weight=self.weight[rows])

    def of_groups(self, groups: Sequence[Sequence[int]]) -> Self:
        """Every group of rows made one."""
        weight = np.array([self.weight[rows].sum() for rows in groups], np.float32)
        parts = [self.weight[rows] / whole for rows, whole in zip(groups, weight, strict=True)]
        mean = [part @ self.mean[rows] for part, rows in zip(parts, groups, strict=True)]
        share = [part @ self.share[rows] for part, rows in zip(parts, groups, strict=True)]
        shape = (len(groups), self.mean.shape[1])
        return replace(
            self, mean=np.array(mean, np.float32).reshape(shape), share=np.array(share, np.float32), weight=weight
        )

    def __len__(self) -> int:
        return len(self.mean)

    def between(self, row: int, rows: Integers) -> Floats:
        """(k,) evidence between one group and (k,) others."""
        alike = self.mean[rows] @ self.mean[row]
        return np.asarray(self.curve.slope * alike + self.curve.intercept * self.share[row] * self.share[rows])

    def join(self, row: int, other: int) -> None:
        """Make group ``row`` the union of both."""
        total = self.weight[row] + self.weight[other]
        part = self.weight[other] / total
        self.mean[row] += part * (self.mean[other] - self.mean[row])
        self.share[row] += part * (self.share[other] - self.share[row])
        self.weight[row] = total

    def blocks(self, *, later: bool = False) -> Iterator[tuple[int, Floats]]:
        """The evidence between all groups, some rows at a time: the first row, and (b, n) evidence.

        Args:
            later: leave out the columns before the first row, (b, n - first).
        """
        known = np.hstack([self.mean, self.share[:, None]])
        scale = np.array([*[self.curve.slope] * self.mean.shape[1], self.curve.intercept], np.float32)
        for start in range(0, len(self), _BLOCK):
            yield start, (known[start : start + _BLOCK] * scale) @ known[start if later else 0 :].T

    def neighbours(self, least: float) -> list[Integers]:
        """For every group, the others with at least this much evidence; computed block by block."""
        lefts, rights = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
        count = len(self)
        for start, found in self.blocks(later=True):
            own = len(found)
            found[:, :own][np.tri(own, dtype=np.bool_)] = -np.inf  # itself, and pairs met already
            enough = found >= max(least, float(np.finfo(np.float32).min))
            if count > MOST_NEIGHBOURS:
                _keep_strongest(found, enough)
            rows, columns = np.nonzero(enough)
            lefts.append((rows + start).astype(np.int32))
            rights.append((columns + start).astype(np.int32))
        left, right = np.concatenate(lefts), np.concatenate(rights)
        ends, others = np.concatenate([left, right]), np.concatenate([right, left])
        order = np.argsort(ends, kind="stable")
        return np.split(others[order], np.cumsum(np.bincount(ends, minlength=count))[:-1]) if count else []


def _keep_strongest(found: Floats, enough: npt.NDArray[np.bool_]) -> None:
    """Of rows with more than ``MOST_NEIGHBOURS`` pairs leave the strongest, in ``enough``, in place."""
    for row in np.flatnonzero(enough.sum(1) > MOST_NEIGHBOURS):
        weaker = np.argpartition(-found[row], MOST_NEIGHBOURS)[MOST_NEIGHBOURS:]
        enough[row, weaker] = False
