"""What a run is asked to do."""

from dataclasses import dataclass
from pathlib import Path

from reid.embed import DEFAULT_EMBEDDER
from reid.errors import BadInputError
from tracker.associate import DEFAULT_TRACKER, TRACKERS
from tracker.detect import DEFAULT_DETECTOR
from tracker.linking.agglomeration import MIN_PROBABILITY

DEFAULT_OUT = Path("reidtrack-out")


@dataclass(frozen=True)
class RunOptions:
    """What the user asked for; the command line's options, one to one.

    Attributes:
        videos: files, one recording each.
        out: the run directory.
        detector: see ``tracker.detect.find_weights``.
        tracker: a name in ``TRACKERS``.
        embedder: a shipped name or an ONNX file made by ``reidtrack export``.
        device: "auto", "cpu" or "cuda:N".
        fps: frames a second to look at; None takes every frame.
        cameras: names, one per video; empty takes the files' names.
        starts: seconds added to each recording's clock; empty adds none.
        absolute: whether times are then seconds since the epoch.
        render: also write a video per recording with boxes and identities.
        min_probability: that two groups of tracklets are one person, where they join.
    """

    videos: tuple[Path, ...]
    out: Path = DEFAULT_OUT
    detector: str = DEFAULT_DETECTOR
    tracker: str = DEFAULT_TRACKER
    embedder: str = DEFAULT_EMBEDDER
    device: str = "auto"
    fps: float | None = None
    cameras: tuple[str, ...] = ()
    starts: tuple[float, ...] = ()
    absolute: bool = False
    render: bool = False
    min_probability: float = MIN_PROBABILITY

    def __post_init__(self) -> None:
        if not self.videos:
            raise BadInputError("no videos; give --videos files, folders or patterns")
        if self.tracker not in TRACKERS:
            raise BadInputError(f"--tracker: {self.tracker!r} is unknown; choose one of {', '.join(TRACKERS)}")
        if self.cameras and len(self.cameras) != len(self.videos):
            raise BadInputError(
                f"--cameras: {len(self.cameras)} names for {len(self.videos)} recordings; give one each, in their order"
            )
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise BadInputError(f"--fps: {self.fps:g} is no frame rate; give a number above 0, or native")
        if not 0 <= self.min_probability <= 1:
            raise BadInputError(
                f"--min-probability: {self.min_probability:g} is no probability; give a number from 0 to 1"
            )
