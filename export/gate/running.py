"""The gate itself: all checks in order, and one line about what does not pass."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from export.gate.accuracy import Remembered, drift, score_checks, scores, told, told_beside, too_far
from export.gate.batches import gate_batches
from export.gate.layers import PREPROCESSING, first_to_differ
from export.gate.types import (
    LIMITS,
    Candidate,
    Check,
    Floats,
    GateError,
    GateReport,
    Layers,
    Reference,
    Report,
    Shares,
)
from reid.calibrate import calibrate
from reid.datasets import Split
from reid.images import Image

_log = logging.getLogger(__name__)

_TOGETHER = "batch of 7"  # whose crops are also tried one at a time
_LOOKED_INTO = 8  # crops of a failing batch, at most: what all layers give has to fit into memory
_TRY = {
    "fp32": "try --full-weights or another --opset",
    "fp16": "try --precision fp32",
    "int8": "try --calibrate-on with more crops of your own cameras, or --precision fp16",
}


def run_gate(
    candidate: Candidate,
    reference: Reference,
    size: tuple[int, int],
    precision: str,
    splits: Mapping[str, Split] = {},
    false_match: float = 1e-3,
    report: Report = _log.info,
    *,
    sites: Mapping[str, Split] = {},
    layers: Layers | None = None,
) -> GateReport:
    """Compare an artifact with what it was made from, on every runtime; return only if all of it passes.

    Batches of 1, 2, 7 and 32 crops, one crop at a time, odd sizes, corrupted and black crops, each of unit norm and
    with the precision's cosine similarity to the reference's vectors; then mAP and rank-1 on data sets within the
    precision's points; then the thresholds, where a drift does not fail but brings a table of the artifact's own, or,
    on another runtime than the first, a note. Each runtime embeds a data set's crops once.

    Args:
        candidate: the artifact.
        reference: what it must equal.
        size: (height, width) of the network.
        precision: a name in ``LIMITS``.
        splits: by name, data sets with query and gallery to score on, by Market-1501's rule.
        false_match: the false-match rate whose thresholds are compared, one of ``reid.calibrate.RATES``.
        report: called with lines of progress.
        sites: by name, data sets with a gallery to calibrate on.
        layers: of the reference, to name the layer at fault.

    Raises:
        GateError: a check failed (NaN fails), naming it, the runtime, the layer and what to try.
        DataError: as ``evaluate_split`` and ``calibrate``.
    """
    if precision not in LIMITS:
        raise ValueError(f"precision: expected one of {', '.join(LIMITS)}, got {precision!r}")
    checks: list[Check] = []
    for name, crops in gate_batches(size):
        for check in _compare_all(candidate, name, crops, reference(crops), LIMITS[precision].cosine):
            if not check.passed:
                raise GateError(_explain(candidate, check, precision, layers, crops))
            checks.append(check)
    result = GateReport(candidate.name, precision, tuple(checks), false_match=false_match)
    report(f"{candidate.name}: lowest cosine to its reference {result.cosine:.7f} in {len(checks)} checks")
    expected = Remembered(reference, size)
    found = {provider: Remembered(run, size) for provider, run in candidate.scored.items()}
    if splits:
        result = _score(result, splits, expected, found, report)
    return _calibrate(result, sites, expected, found, report) if sites else result


def _compare_all(
    candidate: Candidate, name: str, crops: Sequence[Image], expected: Floats, limit: float
) -> Iterator[Check]:
    """One batch on every runtime; one of the batches also crop by crop."""
    for provider, run in candidate.runs.items():
        yield _compare(candidate, Check(name, provider, np.nan, limit), run, crops, expected)
        if name == _TOGETHER:
            alone = Check(f"{name}, one at a time", provider, np.nan, limit)
            yield _compare(candidate, alone, _one_at_a_time(run), crops, expected)


def _one_at_a_time(run: Reference) -> Reference:
    return lambda crops: np.concatenate([run([crop]) for crop in crops])


def _compare(candidate: Candidate, check: Check, call: Reference, crops: Sequence[Image], expected: Floats) -> Check:
    """The lowest cosine similarity, as 1 - |a - b|^2 / 2: that of unit vectors, and lower where norms differ."""
    try:
        vectors = call(crops)
    except Exception as error:  # every runtime has types of its own
        reason = str(error).strip().partition("\n")[0]
        raise GateError(
            f"{candidate.name}: check {check.name!r} does not run on {check.provider} ({reason}); try another --opset, "
            "or leave that runtime out with --runtimes"
        ) from None
    if vectors.shape != expected.shape:
        raise GateError(
            f"{candidate.name}: check {check.name!r} failed on {check.provider}: vectors {vectors.shape} where "
            f"{expected.shape} is needed; export again from the model that is meant"
        )
    difference = vectors.astype(np.float64) - expected
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity are what this looks for
        return replace(check, measured=float(1 - np.square(difference).sum(1).max() / 2))


def _score(
    result: GateReport,
    splits: Mapping[str, Split],
    expected: Reference,
    found: Mapping[str, Reference],
    report: Report,
) -> GateReport:
    """Take mAP and R1 on every runtime, each within its points of the reference's."""
    theirs = scores(splits, expected, _said_by("reference", report))
    ours: dict[str, Shares] = {}
    checks = list(result.checks)
    for provider, embed in found.items():
        ours[provider] = scores(splits, embed, _said_by(provider, report))
        for name, (mean_ap, rank1) in ours[provider].items():
            others = "{:.2%}, {:.2%}".format(*theirs[name])
            report(f"{name} on {provider}: mAP {mean_ap:.2%}, R1 {rank1:.2%}; its reference {others}")
        for check in score_checks(theirs, ours[provider], LIMITS[result.precision].points, provider):
            if not check.passed:
                raise GateError(
                    f"{result.name}: check {check.name!r} failed on {provider}: it moved by "
                    f"{check.measured:.2f} points where {check.limit:g} are allowed; "
                    f"{_remedy(result.precision, provider, found)}"
                )
            checks.append(check)
    return replace(result, checks=tuple(checks), scores=ours)


def _calibrate(
    result: GateReport,
    sites: Mapping[str, Split],
    expected: Reference,
    found: Mapping[str, Reference],
    report: Report,
) -> GateReport:
    """Thresholds on every runtime; the table is the reference's, or the first runtime's own where its are too far."""
    theirs = calibrate(sites, expected, _said_by("reference", report))
    table, own = theirs, False
    moved: dict[str, Mapping[str, float]] = {}
    notes = list(result.notes)
    for provider, embed in found.items():
        ours = calibrate(sites, embed, _said_by(provider, report))
        first = not moved
        moved[provider] = drift(theirs.calibration, ours.calibration, result.false_match)
        if first:
            own = too_far(moved[provider])
            table = ours if own or not moved[provider] else theirs
            notes.append(told(moved[provider], result.false_match, provider))
        else:
            beside = drift(table.calibration, ours.calibration, result.false_match)
            notes.append(told_beside(beside, result.false_match, provider))
        report(notes[-1])
    return replace(result, drift=moved, measured=table, recalibrated=own, notes=tuple(notes))


def _said_by(name: str, report: Report) -> Report:
    return lambda line: report(f"{name}: {line}")


def _remedy(precision: str, provider: str, scored: Collection[str]) -> str:
    """What to try; where another runtime came before it, and so passed, it may also be left out."""
    first = next(iter(scored))
    if provider == first or provider not in scored:
        return _TRY[precision]
    return f"{first} passes: leave {provider} out with --runtimes, or {_TRY[precision]}"


def _explain(candidate: Candidate, check: Check, precision: str, layers: Layers | None, crops: Sequence[Image]) -> str:
    layer = None
    if layers is not None:
        count = candidate.batch or min(len(crops), _LOOKED_INTO)
        some = [crops[at % len(crops)] for at in range(count)]
        layer = first_to_differ(layers, candidate.path, some, candidate.prepare)
    if layer == PREPROCESSING:
        remedy = "crops reach the network in another way than in training: compare colour order, resize, mean and std"
    else:
        remedy = _remedy(precision, check.provider, candidate.scored)
    where = f"; the first layer that differs is {layer}" if layer else ""
    return (
        f"{candidate.name}: check {check.name!r} failed on {check.provider}: cosine {check.measured:.6f} to what "
        f"it was made from where {check.limit:g} is needed{where}; {remedy}"
    )
