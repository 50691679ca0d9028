"""Writing a run's results, all at once: what the README lists under "The run directory"."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tracker.errors import VideoError
from tracker.material import Material
from tracker.progress import Progress, clock
from tracker.render import render_album, render_recording
from tracker.report import write_report
from tracker.stages import TrackingFacts
from tracker.store import (
    by_recording,
    identities_json,
    sightings,
    tracks_name,
    write_crops,
    write_csv,
    write_json,
    write_mot,
    write_photo_numbers,
    write_table,
)
from tracker.types import Floats, Identity, Recording, Tracklet, TrackletKey


@dataclass(frozen=True)
class Found:
    """All that a run found: n tracklets, their (n, d) unit vectors row by row, and who they are."""

    recordings: Sequence[Recording]
    tracklets: Sequence[Tracklet]
    vectors: Floats
    identities: Sequence[Identity]
    model_id: str
    identity: Mapping[TrackletKey, int] = field(init=False)

    @classmethod
    def of(cls, material: Material, identities: Sequence[Identity]) -> Self:
        """What linking made of ``material``."""
        return cls(material.recordings, material.tracklets, material.vectors, identities, material.model_id)

    def __post_init__(self) -> None:
        numbers = {key: identity.id for identity in self.identities for key in identity.members}
        object.__setattr__(self, "identity", numbers)


def write_results(out: Path, found: Found) -> None:
    """Write tracks, crops, tables and lists, replacing an earlier run's."""
    for folder in ("tracks", "crops", "rendered"):
        shutil.rmtree(out / folder, ignore_errors=True)
    groups = by_recording(found.tracklets)
    for recording in found.recordings:
        path = out / tracks_name(recording, found.recordings)
        write_mot(path, groups.get(recording.name, []), found.identity)
        if recording.photos:
            write_photo_numbers(path.with_suffix(".csv"), recording.photos)
    write_crops(out, found.tracklets)
    write_table(out, found.tracklets, found.vectors, found.identity, found.model_id)
    tracklets = {tracklet.key: tracklet for tracklet in found.tracklets}
    write_csv(out / "identities.csv", sightings(found.identities, tracklets))
    write_json(out / "identities.json", identities_json(found.identities, tracklets))


def render(out: Path, found: Found, facts: Sequence[TrackingFacts], progress: Progress) -> list[str]:
    """Write ``rendered/<camera>.mp4`` for every recording, ``rendered/<camera>/`` for an album.

    Returns:
        One message for each recording that cannot be read any more, and is left out.
    """
    groups, unread = by_recording(found.tracklets), []
    for recording, fact in zip(found.recordings, facts, strict=True):
        path = out / "rendered" / Path(tracks_name(recording, found.recordings)).stem
        own = groups.get(recording.name, [])
        try:
            with progress.stage(f"rendering {recording.name}", fact.frames, "frames") as advance:
                if recording.photos:
                    render_album(recording, own, found.identity, path, advance)
                else:
                    render_recording(recording, own, found.identity, path.with_name(f"{path.name}.mp4"), advance)
        except VideoError as error:
            unread.append(f"{error}; it is not rendered")
    return unread


def write_page(out: Path, found: Found, manifest: Mapping[str, Any]) -> None:
    """Write ``report.html``."""
    options = manifest["options"]
    frames = sum(entry["video"]["sampled"] for entry in manifest["recordings"])
    facts = {
        "Detector": manifest["detector"],
        "Tracker": options["tracker"],
        "Embedder": manifest["embedder"],
        "Linked from": f"probability {options['min_probability']:.2f}",
        "Frames": f"{frames} looked at",
        "Device": manifest["device"],
        "Took": clock(sum(manifest["timings_s"].values())),
        "Finished": manifest["finished"],
        "Version": f"reidtrack {manifest['versions'].get('reidtrack', '')}".strip(),
    }
    write_report(
        out / "report.html",
        title=_title([recording.camera for recording in found.recordings]),
        recordings=found.recordings,
        tracklets=found.tracklets,
        identities=found.identities,
        facts=facts,
        warnings=[*manifest["failed"], *manifest["warnings"]],
        absolute=options["absolute"],
    )


def _title(cameras: Sequence[str]) -> str:
    names = list(dict.fromkeys(cameras))
    return ", ".join(names) if len(names) <= 4 else f"{len(cameras)} recordings of {len(names)} cameras"
