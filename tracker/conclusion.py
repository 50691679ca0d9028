"""The end of the job: who is who, written down. ``run`` comes here with new material, ``link`` with an old run's."""

from collections.abc import Sequence
from pathlib import Path

from tracker import outputs
from tracker.linking import Known, link
from tracker.manifest import Manifest, now, write_manifest
from tracker.material import Material
from tracker.progress import Progress, Timings
from tracker.store import Sighting, sightings


def conclude(out: Path, material: Material, manifest: Manifest, known: Known, progress: Progress) -> list[Sighting]:
    """Link, write every result and the finished manifest.

    Args:
        out: the run directory.
        material: what to link.
        manifest: of the run, completed here; while results are being written it says that they are not whole.
        known: what is known beforehand about who is who.
        progress: told of long work.

    Returns:
        One line per identity.
    """
    options, timings = manifest["options"], Timings()
    manifest["status"] = "incomplete"
    write_manifest(out, manifest)
    with timings.measure("linking"):
        identities = link(material.tracklets, material.centred(), material.curve, options["min_probability"], known)
        found = outputs.Found.of(material, identities)
    with timings.measure("writing"):
        outputs.write_results(out, found)
    if options["render"]:
        with timings.measure("rendering"):
            outputs.render(out, found, material.facts, progress)
    manifest |= {
        "status": "complete",
        "finished": now(),
        "embedder": material.model_id,
        "calibration": {"slope": material.curve.slope, "intercept": material.curve.intercept},
        "timings_s": manifest["timings_s"] | timings.seconds,
        "warnings": _warnings(material),
    }
    outputs.write_page(out, found, manifest)
    write_manifest(out, manifest)
    return sightings(identities, {tracklet.key: tracklet for tracklet in material.tracklets})


def _warnings(material: Material) -> Sequence[str]:
    return [
        f"{recording.path}: damaged; {facts.lost} of {facts.frames + facts.lost} frames are lost, the rest was used"
        for recording, facts in zip(material.recordings, material.facts, strict=True)
        if facts.lost
    ]
