"""The end of the job: who is who, written down. ``run`` comes here with new material, ``link`` with an old run's."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tracker import outputs
from tracker.linking import Known, link
from tracker.manifest import Manifest, now, write_manifest
from tracker.material import Material
from tracker.progress import Progress, Timings
from tracker.store import Sighting, sightings
from tracker.types import Identity, Link


def conclude(out: Path, material: Material, manifest: Manifest, known: Known, progress: Progress) -> list[Sighting]:
    """Link, write every result and the finished manifest, then render where the run asks for it.

    A run is complete before it is rendered: a recording that can no longer be read costs its picture and no result.

    Args:
        out: the run directory.
        material: what to link.
        manifest: of the run, completed here; while results are being written it says that they are not whole, and what
            the linking before this one was (``former``).
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
        identities = with_pictures(identities, material)
        found = outputs.Found.of(material, identities)
    with timings.measure("writing"):
        outputs.write_results(out, found)
    manifest |= {
        "status": "complete",
        "finished": now(),
        "embedder": material.model_id,
        "calibration": {"slope": material.curve.slope, "intercept": material.curve.intercept},
        "timings_s": manifest["timings_s"] | timings.seconds,
        "warnings": _warnings(material),
    }
    manifest.pop("former", None)
    outputs.write_page(out, found, manifest)
    write_manifest(out, manifest)
    if options["render"]:
        with timings.measure("rendering"):
            manifest["warnings"] += outputs.render(out, found, material.facts, progress)
        manifest |= {"finished": now(), "timings_s": manifest["timings_s"] | timings.seconds}
        outputs.write_page(out, found, manifest)
        write_manifest(out, manifest)
    return sightings(identities, {tracklet.key: tracklet for tracklet in material.tracklets})


def with_pictures(identities: Sequence[Identity], material: Material) -> list[Identity]:
    """The same with every link's most telling pictures: of its two tracklets the pair of crops most alike."""
    rows = {tracklet.key: row for row, tracklet in enumerate(material.tracklets)}

    def pictured(link: Link) -> Link:
        left, right = rows[link.left], rows[link.right]
        alike = material.pictures[left].astype(np.float32) @ material.pictures[right].astype(np.float32).T
        a, b = divmod(int(alike.argmax()), alike.shape[1])
        crops = [material.tracklets[row].crops for row in (left, right)]
        return replace(link, pictures=(crops[0][a].index, crops[1][b].index))

    return [replace(one, links=tuple(pictured(link) for link in one.links)) for one in identities]


def _warnings(material: Material) -> list[str]:
    return [
        f"{recording.path}: damaged; {facts.lost} of {facts.frames + facts.lost} frames are lost, the rest was used"
        for recording, facts in zip(material.recordings, material.facts, strict=True)
        if facts.lost and not facts.damaged
    ]
