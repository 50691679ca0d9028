"""Following people from frame to frame within one camera.

The algorithms are ultralytics' own, fed with our detections. One instance follows one recording and shares nothing
with others. To add a tracker, write a factory taking frames per second and add a line to ``TRACKERS``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np

from tracker.detect import import_ultralytics
from tracker.types import Detections, Image, Tracks

DEFAULT_TRACKER = "tracktrack"
REMEMBER_S = 1.5  # how long a person who is not seen keeps a track; longer breaks are joined by appearance


class Tracker(Protocol):
    """What the pipeline asks of a tracker."""

    def update(self, detections: Detections, image: Image) -> Tracks:
        """Take the next frame's detections; return those that belong to a confirmed track, with its number."""
        ...


class UltralyticsTracker:
    """One of ultralytics' trackers, with its published settings but for two, for a camera that does not move.

    Args:
        name: its configuration's name.
        rate: frames a second that it will see; its memory is set in seconds by it.
        published: with all its published settings: a memory in frames, and the camera's motion where it has that.
    """

    def __init__(self, name: str, rate: float, *, published: bool = False) -> None:
        import_ultralytics()
        from ultralytics.engine.results import Boxes
        from ultralytics.trackers.track import TRACKER_MAP
        from ultralytics.utils import YAML, IterableSimpleNamespace
        from ultralytics.utils.checks import check_yaml

        settings = YAML.load(check_yaml(f"{name}.yaml"))  # type: ignore[no-untyped-call]
        if not published:
            settings["track_buffer"] = max(round(REMEMBER_S * rate), 2)
            if "gmc_method" in settings:
                settings["gmc_method"] = "none"
        self._boxes: Callable[..., Any] = Boxes
        self._tracker: Any = TRACKER_MAP[name](IterableSimpleNamespace(**settings))

    def update(self, detections: Detections, image: Image) -> Tracks:
        """See ``Tracker``. The boxes returned are the detector's own, not the motion model's."""
        columns = (detections.xyxy, detections.score[:, None], np.zeros((len(detections), 1), np.float32))
        rows = self._tracker.update(self._boxes(np.hstack(columns), image.shape[:2]), image)
        rows = np.asarray(rows, np.float32).reshape(-1, 8)
        chosen = rows[:, 7].astype(np.int64)
        kept = Detections(detections.xyxy[chosen], detections.score[chosen])
        return Tracks(rows[:, 4].astype(np.int64), kept)


TRACKERS: dict[str, Callable[[float], Tracker]] = {
    name: partial(UltralyticsTracker, name)
    for name in ("tracktrack", "bytetrack", "botsort", "ocsort", "deepocsort", "fasttrack")
}
