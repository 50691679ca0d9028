"""HOTA, IDF1 and MOTA of one recording or of several as one, by TrackEval, the reference implementation.

HOTA: Luiten et al., IJCV 2021. IDF1: Ristani et al., 2016. MOTA: Bernardin and Stiefelhagen, 2008.

Several cameras are one sequence: their frames follow each other in order of the cameras' names, an id being the same
person in all. That is the multi-camera IDF1 of the DukeMTMC devkit. The AI City Challenge takes the same after leaving
out every identity that was found in only one camera (its truth holds only people seen by several).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reid.evaluation.search import overlap
from tracker.scoring.scene import Scene
from tracker.types import Integers


@dataclass(frozen=True)
class TrackingScores:
    """How well people were found and kept apart.

    Attributes:
        hota, det_a, ass_a: HOTA and its parts, detection and association accuracy, means over overlaps .05 to .95.
        idf1, idp, idr: share of boxes under the right identity, identities and people matched one to one for the best
            result: F1, of what was found, of what there is.
        mota: 1 - (missed + false + switches) / boxes; below 0 where more is wrong than there are people.
        switches: a person's identity differs from the one before.
        false, missed: found boxes on nobody, and people's boxes that were not found.
        people, boxes: in the truth.

    With no person in the truth all scores are 0, as TrackEval has it.
    """

    hota: float
    det_a: float
    ass_a: float
    idf1: float
    idp: float
    idr: float
    mota: float
    switches: int
    false: int
    missed: int
    people: int
    boxes: int


def score_tracking(scenes: Sequence[Scene], numbers: Integers) -> TrackingScores:
    """Scores of recordings as one sequence, in the order given.

    Args:
        scenes: at least one.
        numbers: (n,) id of each of the run's tracklets; two with the same id never share a frame of a recording.
    """
    from trackeval.metrics import CLEAR, HOTA

    data = _trackeval_data(scenes, numbers)
    identity, hota = _identity(data, scenes[0].iou), HOTA().eval_sequence(data)
    clear = CLEAR({"THRESHOLD": scenes[0].iou, "PRINT_CONFIG": False}).eval_sequence(data)
    return TrackingScores(
        hota=float(np.mean(hota["HOTA"])),
        det_a=float(np.mean(hota["DetA"])),
        ass_a=float(np.mean(hota["AssA"])),
        idf1=float(identity["IDF1"]),
        idp=float(identity["IDP"]),
        idr=float(identity["IDR"]),
        mota=float(clear["MOTA"]),
        switches=int(clear["IDSW"]),
        false=int(clear["CLR_FP"]),
        missed=int(clear["CLR_FN"]),
        people=data["num_gt_ids"],
        boxes=data["num_gt_dets"],
    )


def idf1_of_several_cameras(scenes: Sequence[Scene], numbers: Integers, cameras: Sequence[str]) -> float | None:
    """IDF1 as the AI City Challenge takes it: without the identities that were found in only one camera.

    Args:
        scenes, numbers: as for ``score_tracking``.
        cameras: of each scene.

    Returns:
        None where there is only one camera.
    """
    if len(set(cameras)) < 2:
        return None
    seen: dict[int, set[str]] = {}
    for scene, camera in zip(scenes, cameras, strict=True):
        for identity in np.unique(numbers[scene.found.id]).tolist():
            seen.setdefault(identity, set()).add(camera)
    several = np.array(sorted(identity for identity, where in seen.items() if len(where) > 1), np.int64)
    kept = [replace(scene, found=scene.found.take(np.isin(numbers[scene.found.id], several))) for scene in scenes]
    return float(_identity(_trackeval_data(kept, numbers), scenes[0].iou)["IDF1"])


def _identity(data: dict[str, Any], iou: float) -> dict[str, float]:
    from trackeval.metrics import Identity

    scores: dict[str, float] = Identity({"THRESHOLD": iou, "PRINT_CONFIG": False}).eval_sequence(data)
    return scores


def _trackeval_data(scenes: Sequence[Scene], numbers: Integers) -> dict[str, Any]:
    """What TrackEval's metrics take: by frame, ids from 0 without gaps and the overlaps."""
    people = np.unique(np.concatenate([scene.people.id for scene in scenes]))
    identities = np.unique(np.concatenate([numbers[scene.found.id] for scene in scenes]))
    true_ids, found_ids, overlaps = [], [], []
    for scene in scenes:
        true = np.searchsorted(people, scene.people.id)
        found = np.searchsorted(identities, numbers[scene.found.id])
        for in_true, in_found in zip(scene.people.rows(scene.frames), scene.found.rows(scene.frames), strict=True):
            true_ids.append(true[in_true])
            found_ids.append(found[in_found])
            overlaps.append(overlap(scene.people.xyxy[in_true], scene.found.xyxy[in_found]))
    return {
        "gt_ids": true_ids,
        "tracker_ids": found_ids,
        "similarity_scores": overlaps,
        "num_timesteps": len(overlaps),
        "num_gt_ids": len(people),
        "num_tracker_ids": len(identities),
        "num_gt_dets": sum(map(len, true_ids)),
        "num_tracker_dets": sum(map(len, found_ids)),
    }
