"""Detecting and embedding the people of a person-search set's frames, each frame once, and scoring the queries."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reid.datasets.types import SearchSet
from reid.errors import BadInputError, DataError
from reid.evaluation.embedding import Embed, Report, unit
from reid.evaluation.search import TOP, SearchScores, matched, score_detections, score_search
from reid.images import Image, read_image

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]
Detect = Callable[[Image], tuple[Floats, Floats]]  # frame to (m, 4) boxes and (m,) scores

GALLERY_SIZE = 100
FRAMES = 8  # read, and their crops embedded, at a time


@dataclass(frozen=True)
class People:
    """Everyone found in some frames, in the order of the frames.

    Attributes:
        frame: (n,) int64 index of the set's frame.
        boxes: (n, 4) left, top, right, bottom in pixels.
        score: (n,) of the detector.
        right: (n,) bool, whether it is an annotated person.
        features: (n, d) float32 unit vectors.
        sought: (q, d) float32 unit vectors of the queries.
    """

    frame: Integers
    boxes: Floats
    score: Floats
    right: npt.NDArray[np.bool_]
    features: Floats
    sought: Floats


def evaluate_search(
    search: SearchSet,
    embed: Embed,
    report: Report,
    detect: Detect | None = None,
    gallery_size: int = GALLERY_SIZE,
    min_score: float = 0.5,
) -> SearchScores:
    """Detect, embed and score a person-search set.

    Args:
        search: frames, queries and galleries.
        embed: RGB uint8 crops to (n, d) vectors; any norm but 0.
        report: called with a line of progress about ten times.
        detect: RGB uint8 frame to (m, 4) boxes left, top, right, bottom in pixels and (m,) scores; None takes the
            annotated boxes, which tells what recognition alone is worth.
        gallery_size: frames in each query's gallery; papers compare at 100.
        min_score: detections below it do not count.

    Raises:
        BadInputError: the set has no galleries of that size.
        DataError: a frame cannot be read, or a query's gallery does not show the person.
    """
    if gallery_size not in search.galleries:
        sizes = ", ".join(map(str, sorted(search.galleries)))
        raise BadInputError(f"there are no galleries of {gallery_size} frames; choose one of {sizes}")
    own = search.query_frame
    galleries = [gallery[gallery != own[i]] for i, gallery in enumerate(search.galleries[gallery_size])]
    truths = _truths(search, galleries)
    frames = np.unique(np.concatenate([own, *galleries]))
    people = find_people(search, frames, embed, report, detect, min_score)
    starts = np.searchsorted(people.frame, np.arange(len(search.frames) + 1))
    scores = []
    for i, gallery in enumerate(galleries):
        rows = np.concatenate([np.arange(starts[f], starts[f + 1]) for f in np.unique(gallery)])
        similarity = people.features[rows] @ people.sought[i]
        scores.append(score_search(similarity, people.boxes[rows], people.frame[rows], truths[i]))
    ap, first = np.array(scores).T
    recall, detection_ap = score_detections(people.right, people.score, sum(len(search.boxes[f]) for f in frames))
    top = tuple(float(((first > 0) & (first <= k)).mean()) for k in TOP)
    return SearchScores(float(ap.mean()), top, recall, detection_ap, len(scores), gallery_size)


def find_people(
    search: SearchSet, frames: Integers, embed: Embed, report: Report, detect: Detect | None, min_score: float
) -> People:
    """Read each of ``frames``, (m,) ascending indices, once: detect, crop and embed, the queries' own boxes too."""
    found: list[tuple[Integers, Floats, Floats, npt.NDArray[np.bool_]]] = []
    features: list[Floats] = []
    sought: dict[int, Floats] = {}
    spoken = 0
    for start in range(0, len(frames), FRAMES):
        crops: list[Image] = []
        query_crops: dict[int, Image] = {}
        for frame in frames[start : start + FRAMES].tolist():
            image = read_image(search.frames[frame])
            boxes, score = detect(image) if detect else (search.boxes[frame], np.ones(len(search.boxes[frame])))
            inside = np.array([_crop(image, box).size > 0 for box in boxes], np.bool_)
            kept = np.flatnonzero((score >= min_score) & inside)
            boxes, score = boxes[kept], score[kept]
            found.append((np.full(len(kept), frame), boxes, score, matched(search.boxes[frame], boxes)))
            crops += [_crop(image, box) for box in boxes]
            for i in np.flatnonzero(search.query_frame == frame).tolist():
                query_crops[i] = _crop(image, search.query_box[i])
                if not query_crops[i].size:
                    raise DataError(f"{search.frames[frame]}: the box of query {i} lies outside it; fetch both again")
        if crops or query_crops:
            vectors = unit(embed([*crops, *query_crops.values()]))
            features.append(vectors[: len(crops)])
            sought |= dict(zip(query_crops, vectors[len(crops) :], strict=True))
        done = min(start + FRAMES, len(frames))
        if done * 10 // len(frames) > spoken:
            spoken = done * 10 // len(frames)
            report(f"search: {done} of {len(frames)} frames")
    frame, boxes, score, right = (np.concatenate(part) for part in zip(*found, strict=True))
    order = [sought[i] for i in range(len(search.query_frame))]
    return People(frame, boxes, score, right, np.concatenate(features), np.stack(order))


def _crop(image: Image, box: Floats | Integers) -> Image:
    """The pixels inside a box, which may reach beyond the image; empty where it is outside."""
    left, top, right, bottom = (max(int(edge), 0) for edge in np.round(box))
    return np.ascontiguousarray(image[top:bottom, left:right])


def _truths(search: SearchSet, galleries: list[Integers]) -> list[dict[int, Integers]]:
    """For each query, gallery frame to the box of the person sought, or DataError where no frame shows them."""
    places: dict[int, dict[int, Integers]] = {}
    for frame, (boxes, pids) in enumerate(zip(search.boxes, search.pids, strict=True)):
        for box, pid in zip(boxes, pids.tolist(), strict=True):
            places.setdefault(pid, {}).setdefault(frame, box)
    truths = []
    for i, pid in enumerate(search.query_pid.tolist()):
        shown = places.get(pid, {})
        truths.append({frame: shown[frame] for frame in galleries[i].tolist() if frame in shown})
        if not truths[i]:
            raise DataError(f"query {i}: no frame of its gallery shows identity {pid}; fetch the annotations again")
    return truths
