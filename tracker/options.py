"""What a run is asked to do."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reid.embed import DEFAULT_EMBEDDER
from reid.errors import BadInputError
from tracker.associate import DEFAULT_TRACKER, TRACKERS
from tracker.detect import DEFAULT_DETECTOR
from tracker.linking.homography import Homographies
from tracker.recordings import names_for

DEFAULT_OUT = Path("reidtrack-out")


@dataclass(frozen=True)
class RunOptions:
    """What the user asked for; the command line's options, one to one.

    Attributes:
        videos: files, one recording each.
        images: folders of photos, one recording each.
        out: the run directory.
        detector: see ``tracker.detect.find_weights``.
        tracker: a name in ``TRACKERS``.
        embedder: a shipped name or an ONNX file made by ``reidtrack export``.
        device: "auto", "cpu" or "cuda:N".
        fps: frames a second to look at; None takes every frame.
        cameras: names, one per recording, videos first; empty takes the files' and folders' names.
        starts: seconds added to each recording's clock; empty adds none.
        absolute: whether times are then seconds since the epoch.
        render: also write a video per recording, or its photos, with boxes and identities, now and whenever the run is
            linked again.
        min_probability: that two groups of tracklets are one person, where they join; None for the run's own, 0.5 in a
            new one.
        disjoint: cameras that see no place in common, so that nobody is in two of them at once; ("all",) for all.
        calibration: homographies from picture to ground, by camera, of cameras that see one place.
    """

    videos: tuple[Path, ...] = ()
    images: tuple[Path, ...] = ()
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
    min_probability: float | None = None
    disjoint: tuple[str, ...] = ()
    calibration: Homographies = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.videos and not self.images:
            raise BadInputError(
                "no recordings; give --videos files, folders or patterns, or --images folders of photos"
            )
        if self.tracker not in TRACKERS:
            raise BadInputError(f"--tracker: {self.tracker!r} is unknown; choose one of {', '.join(TRACKERS)}")
        count = len(self.videos) + len(self.images)
        if self.cameras and len(self.cameras) != count:
            raise BadInputError(
                f"--cameras: {len(self.cameras)} names for {count} recordings; give one each, in their order"
            )
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise BadInputError(f"--fps: {self.fps:g} is no frame rate; give a number above 0, or native")
        if self.min_probability is not None:
            check_probability(self.min_probability)
        cameras = self.cameras or names_for([*self.videos, *self.images])
        unknown = sorted(set(self.calibration) - set(cameras))
        if unknown:
            raise BadInputError(f"--calibration: no camera {unknown[0]!r}; there are {', '.join(sorted(set(cameras)))}")
        if len(self.calibration) == 1:
            raise BadInputError(f"--calibration: {next(iter(self.calibration))} alone; it takes two cameras or more")


def check_probability(value: float) -> None:
    """Raise BadInputError unless ``--min-probability`` is one."""
    if not 0 <= value <= 1:
        raise BadInputError(f"--min-probability: {value:g} is no probability; give a number from 0 to 1")


def check_disjoint(names: Sequence[str], cameras: Sequence[str]) -> None:
    """Raise BadInputError unless ``--disjoint`` names several of the run's cameras, or all by "all"."""
    unknown = [name for name in names if name not in cameras]
    if list(names) == ["all"] or not names:
        return
    if unknown:
        raise BadInputError(
            f"--disjoint: no camera {unknown[0]!r}; name some of {', '.join(sorted(set(cameras)))}, or all"
        )
    if len(set(names)) < 2:
        raise BadInputError(
            f"--disjoint: {names[0]} alone shares no place with itself; name two cameras or more, or all"
        )
