"""HOTA, IDF1 and MOTA of one recording or of several as one.

HOTA (Luiten et al., IJCV 2021) and MOTA (Bernardin and Stiefelhagen, 2008) are by TrackEval, the reference
implementation; IDF1 (Ristani et al., 2016) is ``identity.assign``'s, the same in less memory.

Several cameras are one sequence: their frames follow each other in order of the cameras' names, an id being the same
person in all. That is the multi-camera IDF1 of the DukeMTMC devkit. The AI City Challenge takes the same after leaving
out every identity that was found in only one camera (its truth holds only people seen by several).

An identity that is twice in a frame counts once, by the box on its own person or else the one that overlaps anybody
most; the other is a box on nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from reid.evaluation.search import overlap
from tracker.scoring.identity import assign
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
        numbers: (n,) id of each of the run's tracklets.
    """
    from trackeval.metrics import CLEAR, HOTA

    people = np.unique(np.concatenate([scene.people.id for scene in scenes]))
    identity = assign(scenes, people, numbers)
    data = _trackeval_data(scenes, people, numbers, identity.person)
    hota = HOTA().eval_sequence(data)
    clear = CLEAR({"THRESHOLD": scenes[0].iou, "PRINT_CONFIG": False}).eval_sequence(data)
    return TrackingScores(
        hota=float(np.mean(hota["HOTA"])),
        det_a=float(np.mean(hota["DetA"])),
        ass_a=float(np.mean(hota["AssA"])),
        idf1=identity.idf1,
        idp=identity.idp,
        idr=identity.idr,
        mota=float(clear["MOTA"]),
        switches=int(clear["IDSW"]),
        false=int(clear["CLR_FP"]),
        missed=int(clear["CLR_FN"]),
        people=len(people),
        boxes=identity.people,
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
    return assign(kept, np.unique(np.concatenate([scene.people.id for scene in kept])), numbers).idf1


def _trackeval_data(scenes: Sequence[Scene], people: Integers, numbers: Integers, person: Integers) -> dict[str, Any]:
    """What TrackEval's metrics take: by frame, ids from 0 without gaps, none twice, and the overlaps."""
    identities = np.unique(np.concatenate([numbers[scene.found.id] for scene in scenes]))
    true_ids, found_ids, overlaps, most = [], [], [], 0
    for scene in scenes:
        true = np.searchsorted(people, scene.people.id)
        found = np.searchsorted(identities, numbers[scene.found.id])
        for in_true, in_found in zip(scene.people.rows(scene.frames), scene.found.rows(scene.frames), strict=True):
            values = overlap(scene.people.xyxy[in_true], scene.found.xyxy[in_found])
            own = true[in_true][:, None] == person[scene.found.id[in_found]][None, :]
            ids, again = found[in_found].copy(), _again(found[in_found], values + (own & (values >= scene.iou)))
            values[:, again] = 0
            ids[again] = len(identities) + np.arange(len(again))
            most = max(most, len(again))
            true_ids.append(true[in_true])
            found_ids.append(ids)
            overlaps.append(values)
    return {
        "gt_ids": true_ids,
        "tracker_ids": found_ids,
        "similarity_scores": overlaps,
        "num_timesteps": len(overlaps),
        "num_gt_ids": len(people),
        "num_tracker_ids": len(identities) + most,
        "num_gt_dets": sum(map(len, true_ids)),
        "num_tracker_dets": sum(map(len, found_ids)),
    }


def _again(ids: Integers, worth: npt.NDArray[np.float64]) -> Integers:
    """Which of m boxes of a frame have an id that another has, whose greatest (p, m) worth to anybody is greater."""
    best = np.argsort(-worth.max(0, initial=0), kind="stable")
    return np.setdiff1d(np.arange(len(ids)), best[np.unique(ids[best], return_index=True)[1]])
