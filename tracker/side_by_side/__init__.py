"""Are these two the same person? One probability, and what it rests on.

A side of several pictures is pooled into one vector. A pair is read by the crops' curve where both sides are one
picture, else by the tracklets': for a crop against a tracklet that one is off by 0.004, the crops' by 0.027 (240 of
Market-1501's test people, pairs of different cameras, the shipped embedder).

Image files are not centred on a camera. On Market-1501 that costs little: 0.015 instead of 0.011 for crops, 0.016
instead of 0.014 for folders, 0.004 either way for a crop and a tracklet. At a site that the embedder never saw
(NLPR_MCT, three cameras, 60 tracklets, strangers being those that linking kept apart) it does not: the mean probability
of two strangers' crops is 0.33 instead of 0.11 between cameras, 0.59 instead of 0.14 within one; of a crop that is not
centred and a tracklet that is, 0.10 and 0.18.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reid.calibration import Calibration, Curve, OperatingPoint
from reid.embed import DEFAULT_EMBEDDER, Embedder, calibration_of
from reid.errors import BadInputError, ModelError
from tracker.linking.gates import never_at_once
from tracker.side_by_side.sides import Picture, Side, as_of_today, materials, side
from tracker.side_by_side.subjects import Members, Pictures, find

SURE = 1e-9  # nobody is surer than that
UNCENTRED = (
    "no camera's light and place is taken away from these pictures: at sites unlike those that the embedder learned"
    " from, strangers look more alike than this probability says, most of all in one camera; tracklets of a run are"
    " compared more exactly"
)


@dataclass(frozen=True)
class Answer:
    """What a comparison found.

    Attributes:
        probability: that both sides are one person, above 0, below 1.
        prior: before looking.
        similarity: cosine of the sides' vectors, -1..1.
        sides: A and B.
        best: rows of the pair of pictures that look most alike, one of either side.
        best_similarity: theirs.
        curve: that the similarity was read by.
        read_as: whose it is, in words.
        points: similarities by false-match rate, of such pairs; empty where none are known.
        model_id: of the embedder.
        notes: what the user should know, a sentence each.
    """

    probability: float
    prior: float
    similarity: float
    sides: tuple[Side, Side]
    best: tuple[int, int]
    best_similarity: float
    curve: Curve
    read_as: str
    points: tuple[OperatingPoint, ...]
    model_id: str
    notes: tuple[str, ...]

    @property
    def pictures(self) -> tuple[Picture, Picture]:
        """The pair that looks most alike."""
        (a, b), (one, other) = self.sides, self.best
        return a.pictures[one], b.pictures[other]


def ask(a: str, b: str, prior: float = 0.5, model: str | None = None, device: str = "auto") -> Answer:
    """Compare what two names mean; see ``tracker.side_by_side.subjects.find``.

    Args:
        a, b: names.
        prior: probability before looking, above 0 and below 1.
        model: embedder; None takes that of the runs concerned, or the default.
        device: as for ``Embedder``.

    Raises:
        BadInputError, DataError, ModelError, RunError: as the functions that it calls, one line each.
    """
    if not 0 < prior < 1:
        raise BadInputError(f"{prior:g} is no prior; give --prior above 0 and below 1")
    found = (find(a), find(b))
    known = materials(found)
    subjects = [as_of_today(subject, known) for subject in found]
    embedder = choose_embedder(subjects, model, device)
    one, other = (side(subject, known, embedder) for subject in subjects)
    model_id = embedder.model_id if embedder else next(iter(known.values())).model_id
    return compared(one, other, embedder.calibration if embedder else None, prior, model_id)


def choose_embedder(subjects: Sequence[Pictures | Members], model: str | None, device: str) -> Embedder | None:
    """The embedder that all vectors are of; None where the runs' own is gone and nothing is to be embedded.

    Raises:
        BadInputError: runs of different models.
        ModelError: no such embedder, one that was never calibrated, or a run's is gone and image files need it.
    """
    runs = [subject.run for subject in subjects if isinstance(subject, Members)]
    if model is not None or not runs:
        embedder = Embedder(model or DEFAULT_EMBEDDER, device)
        calibration_of(embedder)
        return embedder
    ids = [str(run.manifest["embedder"]) for run in runs]
    if len(set(ids)) > 1:
        raise BadInputError(
            f"{runs[0].path} is of {ids[0]}, {runs[1].path} of {ids[1]}: vectors of two models do not compare; give"
            f" --embedder, such as {DEFAULT_EMBEDDER}, to embed the pictures of both again"
        )
    asked = str(runs[0].manifest["options"]["embedder"])
    try:
        own = Embedder(asked, device)
    except ModelError:
        own = None
    if own is not None and own.model_id == ids[0] and own.calibration is not None:
        return own
    if len(runs) < len(subjects):
        raise ModelError(
            f"{runs[0].path}: its embedder {ids[0]} is not at {asked}; give that file as --embedder, or another"
            " embedder, to embed the tracklet's pictures again"
        )
    return None


def compared(one: Side, other: Side, calibration: Calibration | None, prior: float, model_id: str) -> Answer:
    """The answer for two sides.

    Args:
        one, other: of the same embedder.
        calibration: its own; None where the runs' curve is all that is known.
        prior: before looking, above 0 and below 1.
        model_id: of the embedder.

    Raises:
        BadInputError: two runs with different curves, and no embedder that has one of its own.
    """
    curve, read_as = choose_curve(one, other, calibration)
    similarity = float(np.clip(one.vector.astype(np.float64) @ other.vector, -1, 1))
    table = one.each.astype(np.float64) @ other.each.T
    left, right = np.unravel_index(int(table.argmax()), table.shape)
    known = () if calibration is None else (calibration.crops if _single(one, other) else calibration.tracklets).points
    return Answer(
        _probability(curve, similarity, one.share * other.share, prior),
        prior,
        similarity,
        (one, other),
        (int(left), int(right)),
        float(np.clip(table.max(), -1, 1)),
        curve,
        read_as,
        known,
        model_id,
        tuple(notes(one, other)),
    )


def choose_curve(one: Side, other: Side, calibration: Calibration | None) -> tuple[Curve, str]:
    """Curve and whose it is: the runs' where both sides have the same, else the embedder's for crops or tracklets."""
    if one.curve is not None and other.curve is not None and one.curve == other.curve:
        return one.curve, "the run's, as in linking"
    if calibration is None:
        raise BadInputError(
            f"{one.name} and {other.name}: no curve is known that reads both; give the embedder's file as --embedder"
        )
    if _single(one, other):
        return calibration.crops, "the embedder's for single crops"
    return calibration.tracklets, "the embedder's for tracklets"


def _single(one: Side, other: Side) -> bool:
    return len(one.pictures) == len(other.pictures) == 1


def _probability(curve: Curve, similarity: float, share: float, prior: float) -> float:
    """As linking weighs two tracklets (``tracker.linking.evidence``), with a prior; never quite 0 or 1."""
    evidence = curve.slope * similarity + curve.intercept * share + math.log(prior) - math.log1p(-prior)
    return float(np.clip(0.5 * (1 + math.tanh(0.5 * evidence)), SURE, 1 - SURE))


def notes(one: Side, other: Side) -> list[str]:
    """What else the user should know of a pair of sides, a sentence each."""
    said = [*_shared(one, other), *_same_camera(one, other)]
    loose = [letter for letter, each in (("A", one), ("B", other)) if not each.centred]
    if len(loose) == 2:
        said.append(UNCENTRED)
    elif loose:
        said.append(f"no camera is taken away from {loose[0]}: a little less exact than between two tracklets of a run")
    for letter, each in (("A", one.pictures), ("B", other.pictures)):
        counts = Counter(fault for picture in each for fault in picture.faults)
        said += [f"{letter}: {fault}: {count} of {len(each)} pictures" for fault, count in counts.items()]
    return said


def _shared(one: Side, other: Side) -> list[str]:
    """Whether anything is on both sides."""
    ours, theirs = ({_pixels(picture) for picture in side.pictures} for side in (one, other))
    common = len(ours & theirs)
    if one.run is not None and one.run == other.run:
        keys = {tracklet.key for tracklet in one.tracklets} & {tracklet.key for tracklet in other.tracklets}
        if keys and not common:
            return [f"both are of {min(keys)}, which was followed as one person"]
        if keys and len(ours | theirs) > 1:
            return [f"on both sides: {', '.join(map(str, sorted(keys)))}; what is compared with itself says nothing"]
    if not common:
        return []
    if len(ours) == len(theirs) == common == 1:
        return ["both sides are the same picture: compared with itself it says nothing"]
    some = "1 picture is" if common == 1 else f"{common} pictures are"
    return [f"{some} on both sides: what is compared with itself says nothing"]


def _pixels(picture: Picture) -> tuple[tuple[int, ...], str]:
    return picture.image.shape, hashlib.sha256(picture.image.tobytes()).hexdigest()


def _same_camera(one: Side, other: Side) -> list[str]:
    if one.run is None or one.run != other.run:
        return []
    said = []
    keys = [[tracklet.key for tracklet in side.tracklets] for side in (one, other)]
    disjoint = not set(keys[0]) & set(keys[1])
    rows = range(len(one.tracklets)), range(len(one.tracklets), len(one.tracklets) + len(other.tracklets))
    if disjoint and never_at_once([*one.tracklets, *other.tracklets])(*rows):
        where = "on one photo" if one.tracklets[0].photo else "in one camera at one moment"
        said.append(f"both are {where}: two people, whatever they look like, or one who was detected twice")
    ours, theirs = ({tracklet.camera: 0 for tracklet in side.tracklets if not tracklet.photo} for side in (one, other))
    same = [camera for camera in ours if camera in theirs]
    if same:
        said.append(
            f"both are of camera {', '.join(same)}: probabilities are calibrated between cameras, and within one even"
            " strangers look more alike"
        )
    return said
