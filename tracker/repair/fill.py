"""Filling: a fragment that lies in the gap of another track of the same person goes into it.

Where somebody passes in front of a person, a tracker may take what emerges for somebody new for a few frames, and then
find the first track again. Left alone, the fragment would keep its person's tracklets apart: it was there while they
were. It is weighed as a continuation is (``join``): it has to look like the track, and to go on both where the track
stops and to where it is found again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from reid.calibration import Curve
from tracker.linking.evidence import reliability
from tracker.repair.join import LONGEST_S, Scene, union
from tracker.repair.vectors import centred_pooled, expect_same, looks, sure, with_vectors
from tracker.types import Embeddings, Tracklet


def fill(
    tracklets: Sequence[Tracklet], embeddings: Embeddings, curve: Curve, seconds: float
) -> tuple[list[Tracklet], Embeddings]:
    """Put one recording's fragments into the gaps that they fill; the track keeps its number.

    Args:
        tracklets: n, all that the recording has.
        embeddings: theirs.
        curve: of the embedder's tracklets.
        seconds: of the recording; not used.

    Returns:
        At most n tracklets, in their order, and their embeddings.
    """
    expect_same(tracklets, embeddings)
    pairs = list(gaps(tracklets))
    if not pairs:
        return list(tracklets), embeddings
    whole, each = list(tracklets), list(embeddings.each())
    vectors, scene = centred_pooled(tracklets, embeddings), Scene.of(tracklets)
    share = reliability([tracklet.quality for tracklet in tracklets])
    rivals = np.bincount([row for row, _ in pairs], minlength=len(tracklets))
    found = []
    for row, host in pairs:
        alike = float(looks(vectors[row] @ vectors[host], share[row] * share[host], curve))
        before, after = _sides(tracklets[host], tracklets[row])
        place = scene.going_on(before, tracklets[row]) + scene.going_on(tracklets[row], after)
        evidence = alike + place - float(np.log(rivals[row]))
        if alike >= 0 and evidence > sure():
            found.append((-evidence, row, host))
    gone: set[int] = set()
    for _, row, host in sorted(found):
        if row in gone or host in gone or not _in_gap(whole[host], whole[row]):
            continue
        whole[host], each[host] = union(whole[host], each[host], whole[row], each[row])
        gone.add(row)
    rest = [row for row in range(len(whole)) if row not in gone]
    kept = [whole[row] for row in rest]
    return kept, with_vectors(embeddings, kept, (each[row] for row in rest))


def gaps(tracklets: Sequence[Tracklet]) -> Iterator[tuple[int, int]]:
    """Rows of pairs of which the first lies between two neighbouring boxes of the second."""
    start = np.array([tracklet.start_s for tracklet in tracklets])
    order = np.argsort(start, kind="stable")
    for host, tracklet in enumerate(tracklets):
        low = np.searchsorted(start, tracklet.time_s[:-1], "right", sorter=order)
        high = np.searchsorted(start, tracklet.time_s[1:], "left", sorter=order)
        for place in np.flatnonzero((low < high) & (np.diff(tracklet.time_s) <= LONGEST_S)).tolist():
            for row in order[low[place] : high[place]].tolist():
                if _in_gap(tracklet, tracklets[row]):
                    yield row, host


def _in_gap(host: Tracklet, fragment: Tracklet) -> bool:
    """Whether a fragment begins after a box of the host and ends before the next."""
    first, last = np.searchsorted(host.index, fragment.index[[0, -1]], "left")
    return bool(first == last and 0 < first < len(host.index) and host.index[first] > fragment.index[-1])


def _sides(host: Tracklet, fragment: Tracklet) -> tuple[Tracklet, Tracklet]:
    """What the host has before the fragment, and after."""
    cut = int(np.searchsorted(host.index, fragment.index[0]))
    return _boxes(host, slice(None, cut)), _boxes(host, slice(cut, None))


def _boxes(tracklet: Tracklet, part: slice) -> Tracklet:
    return replace(
        tracklet,
        index=tracklet.index[part],
        time_s=tracklet.time_s[part],
        xyxy=tracklet.xyxy[part],
        score=tracklet.score[part],
    )
