"""The sides of a comparison: pictures, their vectors, and one vector of all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reid.calibration import Curve
from reid.centre import camera_means, centred
from reid.embed import Embedder
from reid.images import crop_quality, read_image
from tracker.embed import decode_crop
from tracker.errors import RunError
from tracker.linking.evidence import Appearance, reliability
from tracker.material import Material, gather, works_of
from tracker.repair.vectors import pool
from tracker.side_by_side.faults import at_the_edge, faults
from tracker.side_by_side.subjects import Members, Pictures, has_stages
from tracker.site import in_force
from tracker.types import Floats, Image, Tracklet


@dataclass(frozen=True)
class Picture:
    """One picture of a side: its file or tracklet and frame, RGB pixels, quality 0..1, and what is wrong with it."""

    name: str
    image: Image
    quality: float
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Side:
    """One side of a comparison, in vectors.

    Attributes:
        name: as the user wrote it.
        pictures: k, at least one.
        each: (k, d) float32 unit vectors of the pictures, centred on their camera where it is known.
        vector: (d,) float32, pooled by quality, of unit norm; of an identity the mean of its tracklets', as in linking.
        share: how much of its person the vector shows, above 0 to 1, as in linking; 1 for image files.
        centred: whether the cameras' means were taken away, of all of it.
        tracklets: behind it; none for image files.
        run: their run's folder, resolved; None for image files.
        curve: of that run's tracklets; None for image files and single pictures, and where they were embedded again.
    """

    name: str
    pictures: tuple[Picture, ...]
    each: Floats
    vector: Floats
    share: float = 1.0
    centred: bool = False
    tracklets: tuple[Tracklet, ...] = ()
    run: Path | None = None
    curve: Curve | None = None

    @property
    def cameras(self) -> tuple[str, ...]:
        """In order of time; none for image files."""
        return tuple(dict.fromkeys(tracklet.camera for tracklet in self.tracklets))


def materials(subjects: Sequence[Pictures | Members]) -> dict[Path, Material]:
    """What the runs of all subjects are made of, by their folders; each is read once.

    Raises:
        RunError: a run's stages are gone or damaged.
    """
    found: dict[Path, Material] = {}
    for subject in subjects:
        if isinstance(subject, Members) and subject.run.path not in found:
            folder, manifest = subject.run.path, dict(subject.run.manifest)
            if not has_stages(subject.run):
                raise RunError(
                    f"{folder}: what its stages made is gone; give its `reidtrack run` command again, or compare"
                    f" pictures in {folder / 'crops'}"
                )
            found[folder] = gather(works_of(folder, manifest), manifest["embedder"], in_force(folder, manifest))
    return found


def as_of_today(subject: Pictures | Members, materials: Mapping[Path, Material]) -> Pictures | Members:
    """A picture whose tracklet has been made another by now is a file like any other; all else stays as it is."""
    if isinstance(subject, Pictures) or not subject.frame:
        return subject
    for tracklet in materials[subject.run.path].tracklets:
        if tracklet.key in subject.keys and subject.frame in [crop.index for crop in tracklet.crops]:
            return subject
    return Pictures(subject.name, (Path(subject.name),))


def side(subject: Pictures | Members, materials: Mapping[Path, Material], embedder: Embedder | None) -> Side:
    """Pictures and vectors of a subject.

    Args:
        subject: from ``tracker.side_by_side.subjects.find``, as of today.
        materials: of its run, from ``materials``.
        embedder: embeds image files, and tracklets whose run has another model; None where nothing is to be embedded.

    Raises:
        DataError: a file is no picture.
        RunError: a tracklet's files are damaged, or it is there no longer.
        ValueError: image files and no embedder.
    """
    if isinstance(subject, Pictures):
        if embedder is None:
            raise ValueError("image files: expected an embedder, got None")
        return _of_files(subject, embedder)
    material = materials[subject.run.path]
    kept = embedder is None or embedder.model_id == material.model_id
    whole = _of_tracklets(subject, material) if embedder is None or kept else _again(subject, material, embedder)
    return _one_picture(whole, subject.frame) if subject.frame else whole


def _of_files(subject: Pictures, embedder: Embedder) -> Side:
    images = [read_image(file) for file in subject.files]
    pictures = tuple(
        Picture(str(file), image, crop_quality(image), faults(image))
        for file, image in zip(subject.files, images, strict=True)
    )
    vectors = embedder(images)
    return Side(subject.name, pictures, vectors, pool(vectors, _weights(pictures)))


def _of_tracklets(subject: Members, material: Material) -> Side:
    rows = _rows(subject, material)
    tracklets = tuple(material.tracklets[row] for row in rows)
    filmed = np.array([not tracklet.photo for tracklet in tracklets])
    cameras = np.array([tracklet.camera for tracklet in material.tracklets], np.str_)
    means = camera_means(material.vectors, cameras)[rows] * filmed[:, None]  # photos stay as they are
    each = [centred(material.pictures[row].astype(np.float32), mean) for row, mean in zip(rows, means, strict=True)]
    vector, share = _joined(tracklets, material.centred()[rows])
    return Side(
        subject.name,
        tuple(picture for tracklet in tracklets for picture in _pictures(tracklet, material)),
        np.concatenate(each).astype(np.float32),
        vector,
        share,
        bool(filmed.all()),
        tracklets,
        subject.run.path.resolve(),
        material.curve,
    )


def _again(subject: Members, material: Material, embedder: Embedder) -> Side:
    tracklets = tuple(material.tracklets[row] for row in _rows(subject, material))
    pictures = [_pictures(tracklet, material) for tracklet in tracklets]
    each = [embedder([picture.image for picture in some]) for some in pictures]
    whole = np.stack([pool(vectors, _weights(some)) for vectors, some in zip(each, pictures, strict=True)])
    vector, share = _joined(tracklets, whole)
    shown = tuple(picture for some in pictures for picture in some)
    run = subject.run.path.resolve()
    return Side(subject.name, shown, np.concatenate(each), vector, share, tracklets=tracklets, run=run)


def _one_picture(whole: Side, frame: int) -> Side:
    """The side that one of its tracklet's pictures makes."""
    row = [crop.index for crop in whole.tracklets[0].crops].index(frame)
    picture, each = whole.pictures[row], whole.each[[row]]
    share = float(reliability([picture.quality])[0])
    return replace(whole, pictures=(picture,), each=each, vector=each[0], share=share, curve=None)


def _joined(tracklets: Sequence[Tracklet], vectors: Floats) -> tuple[Floats, float]:
    """Mean vector and mean reliability of (n, d) tracklets' vectors, as linking makes a group's of them."""
    reliable = reliability([tracklet.quality for tracklet in tracklets])
    group = Appearance.of(vectors, reliable, Curve(1.0, 0.0)).of_groups([range(len(tracklets))])
    return group.mean[0], float(group.share[0])


def _rows(subject: Members, material: Material) -> list[int]:
    row = {tracklet.key: number for number, tracklet in enumerate(material.tracklets)}
    gone = [str(key) for key in subject.keys if key not in row]
    if gone:
        raise RunError(
            f"{subject.name}: the run's stages do not have {', '.join(gone)} any more;"
            f" give `reidtrack link {subject.run.path}`, and see its report for today's numbers"
        )
    return [row[key] for key in subject.keys]


def _pictures(tracklet: Tracklet, material: Material) -> list[Picture]:
    """The kept pictures of a tracklet, in order of time."""
    place = [recording.name for recording in material.recordings].index(tracklet.key.recording)
    fact = material.facts[place]
    made = []
    for crop in tracklet.crops:
        image = decode_crop(crop)
        box = tracklet.xyxy[min(int(np.searchsorted(tracklet.index, crop.index)), len(tracklet.index) - 1)]
        cut = bool(fact.width) and at_the_edge(box, fact.width, fact.height)
        at = tracklet.photo or f"frame {crop.index}"
        made.append(Picture(f"{tracklet.key} {at}", image, crop.quality, faults(image, cut=cut)))
    return made


def _weights(pictures: Sequence[Picture]) -> Floats:
    return np.array([picture.quality for picture in pictures], np.float32)
