"""What is looked for: pictures of a person, and tracklets of the library, as vectors.

A picture in the folder of crops of a run of the library is a crop. Others are taken for crops where one detected person
covers half of them. Where one is upright like a standing person, a quarter is enough, and so is nobody at all:
detectors miss people who fill small pictures. (Of 120 query pictures of Market-1501, nobody was found on 53, and 119
are taken for crops.) Any other picture is a scene: one person on it is cut out, of several one has to be chosen.

A picture's camera is unknown, and with it what all people look like to that camera. The mean of all the library's
cameras' means is taken away instead. Market-1501, 200 test people, 900 query pictures against 935 tracklets of the
embedder ``standard``, with the expected calibration error of its two curves on pairs of even prior (the curves were
fitted to pictures of the same people, among others):

=====================  ======  ======  ================  ============
taken from the query   mAP     R1      tracklets' curve  crops' curve
=====================  ======  ======  ================  ============
nothing                0.8787  0.9384  0.0130            0.0187
the library's mean     0.8802  0.9418  0.0124            0.0189
its own camera's mean  0.8805  0.9373  0.0120            0.0191
=====================  ======  ======  ================  ============

So a picture against a tracklet is read by the tracklets' curve.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reid.centre import centred
from reid.embed import EMBEDDERS, Embedder
from reid.errors import BadInputError, DataError
from reid.images import crop_quality, read_image
from tracker.detect import Detector
from tracker.library.indexing import find_run
from tracker.library.schema import RunEntry
from tracker.library.store import Library, reading
from tracker.types import Detections, Floats, Image

SEEN = 0.4  # confidence from which on a detection is a person
COVERS = 0.5  # share of a picture that a crop's person covers
UPRIGHT = 1.5  # height over width
COVERS_UPRIGHT = 0.25


@dataclass(frozen=True)
class Example:
    """A person who is looked for, or who is not.

    Attributes:
        name: what the user called it.
        vectors: (k, d) unit vectors, centred.
        quality: 0..1, as a tracklet's.
        key: of a tracklet of the library; "" for a picture.
    """

    name: str
    vectors: Floats
    quality: float
    key: str = ""


class SeveralPeopleError(BadInputError):
    """A scene of which one person has to be chosen; ``found`` are they, from left to right."""

    def __init__(self, path: Path, found: Detections) -> None:
        super().__init__(f"{path}: shows {len(found)} people; say which one by --person NUMBER")
        self.path, self.found = path, found


def picture_example(
    path: Path,
    embedder: Embedder,
    mean: Floats,
    detector: Callable[[], Detector],
    choose: Callable[[], int | None] = lambda: None,
    *,
    crop: bool = False,
) -> Example:
    """A picture as an example.

    Args:
        path: of the file.
        embedder: the library's.
        mean: (d,) from ``library_mean``.
        detector: called for the detector of people.
        choose: called where there are several people: the number of the one that is meant, from 1, left to right.
        crop: it is known to show one person, so that nobody has to be found on it.

    Raises:
        DataError: there is no such picture, or nobody on it.
        SeveralPeopleError: nobody was chosen.
        BadInputError: the number of somebody who is not there.
    """
    cut = read_image(path)
    if not crop:
        found = people(cut, detector())
        cut = cut if is_crop(cut, found) else _chosen(path, cut, found, choose)
    vector = np.asarray(centred(embedder([cut]), mean), np.float32)
    return Example(str(path), vector, crop_quality(cut))


def own_crop(runs: Mapping[str, RunEntry], path: Path) -> bool:
    """Whether a picture is one of the crops in the folder of some run of a library."""
    return any(path.resolve().is_relative_to(Path(entry.path, "crops")) for entry in runs.values())


def people(image: Image, detector: Detector) -> Detections:
    """Who is on a picture, (h, w, 3) uint8 RGB, from left to right."""
    (found,) = detector([np.ascontiguousarray(image[:, :, ::-1])])
    sure = np.flatnonzero(found.score >= SEEN)
    order = sure[np.argsort(found.xyxy[sure, 0], kind="stable")]
    return Detections(found.xyxy[order], found.score[order])


def is_crop(image: Image, found: Detections) -> bool:
    """Whether a picture shows one person and hardly anything else."""
    height, width = image.shape[:2]
    upright = bool(height >= UPRIGHT * width)
    if not len(found):
        return upright
    largest = float((found.xyxy[:, 2:] - found.xyxy[:, :2]).prod(1).max())
    return largest >= float((COVERS_UPRIGHT if upright else COVERS) * height * width)


def _chosen(path: Path, image: Image, found: Detections, choose: Callable[[], int | None]) -> Image:
    if not len(found):
        raise DataError(f"{path}: nobody is found on it; cut the person out and give the cut, higher than wide")
    number = 1 if len(found) == 1 else choose()
    if number is None:
        raise SeveralPeopleError(path, found)
    if not 1 <= number <= len(found):
        raise BadInputError(f"--person {number}: {path} shows {len(found)} people; give a number from 1 on")
    left, top, right, bottom = np.clip(found.xyxy[number - 1].round().astype(int), 0, None)
    return image[top : max(bottom, top + 1), left : max(right, left + 1)]


def track_example(library: Library, text: str, option: str = "--track") -> Example:
    """A tracklet as an example.

    Args:
        library: that holds it.
        text: RUN/RECORDING/NUMBER, the run as in ``find_run``.
        option: that names it, for messages.

    Raises:
        BadInputError: there is no such tracklet.
    """
    run, slash, rest = text.rpartition("/")[0].rpartition("/")
    number = text.rpartition("/")[2]
    if not (run and slash and rest and number.isdecimal()):
        raise BadInputError(f"{option} {text}: names no tracklet; write RUN/RECORDING/NUMBER, such as monday/gate/12")
    entry = find_run(library.meta.runs, run, library.name)
    key = f"{entry.id}/{rest}/{int(number)}"
    snapshot = library.snapshot
    place = snapshot.find(key)
    if place is None:
        raise BadInputError(f"{option} {text}: the run has no such tracklet; its report and identities.json name them")
    with reading(library.name):
        vectors = snapshot.vectors_of(np.array([place]))[0]
    return Example(text, vectors, float(snapshot.quality[place]), key)


def library_mean(runs: Mapping[str, RunEntry], dim: int) -> Floats:
    """(dim,) the mean of all cameras' mean vectors, in whatever order runs were added."""
    ordered = [runs[name] for name in sorted(runs)]
    cameras = sum(entry.cameras for entry in ordered)
    total = sum((entry.cameras * np.asarray(entry.mean) for entry in ordered), np.zeros(dim))
    return np.asarray(total / max(cameras, 1), np.float32)


def embedder_for(library: Library, asked: str | None, device: str) -> Embedder:
    """The embedder that made a library's vectors.

    Args:
        library: whose.
        asked: file or name; None looks where the runs found it, and among the shipped ones.
        device: see ``Embedder``.

    Raises:
        BadInputError: it is another, or it is not found.
        ModelError: it is none.
    """
    wanted = library.meta.model_id
    if asked is not None:
        embedder = Embedder(asked, device)
        if embedder.model_id == wanted:
            return embedder
        raise BadInputError(f"--embedder {asked}: is {embedder.model_id}, {library.name} is of {wanted}; give that one")
    for name in _places(library.meta.runs):
        if name in EMBEDDERS or Path(name).is_file():
            embedder = Embedder(name, device)
            if embedder.model_id == wanted:
                return embedder
    raise BadInputError(f"{library.name}: its embedder {wanted} is not where it was; name its file by --embedder")


def _places(runs: Mapping[str, RunEntry]) -> Sequence[str]:
    return list(dict.fromkeys([*(runs[name].embedder for name in sorted(runs)), *EMBEDDERS]))
