"""A folder of photos as a recording: what is read, who is found, who can be one person, what a user is told."""

import contextlib
import csv
import io
import json
import random
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reid.calibration import Curve
from reid.centre import camera_means, centred
from tests.clips import empty_room, photograph
from tests.helpers import colour_embedder, tracklet
from tests.test_report import Page
from tracker import album
from tracker.album import MIN_SCORE, open_album, people, read_photo, read_photos
from tracker.cli import main
from tracker.cli.show import identity_table
from tracker.detect import YoloDetector
from tracker.errors import VideoError
from tracker.linking import Known, link
from tracker.material import Material
from tracker.recordings import albums, names_for, natural_order
from tracker.report import write_report
from tracker.scoring.job import score_run
from tracker.stages import TrackingFacts, TrackletWriter, tracking_facts
from tracker.store import Run, sightings
from tracker.types import Crop, Detections, Frame, Identity, Link, Recording, Tracklet, TrackletKey

CURVE = Curve(16.0, -7.0)


def write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def picture(height=40, width=60, shade=120):
    return np.full((height, width, 3), shade, np.uint8)


# ---- a folder


@given(st.lists(st.text("ab019.", min_size=1, max_size=6)), st.integers())
def test_natural_order_does_not_depend_on_the_order_given(names, seed):
    shuffled = random.Random(seed).sample(names, len(names))
    assert natural_order(shuffled) == natural_order(names)


@given(st.lists(st.integers(0, 10**9), unique=True))
def test_natural_order_is_that_of_the_numbers(numbers):
    names = [f"IMG_{number}.jpg" for number in numbers]
    assert natural_order(names) == [f"IMG_{number}.jpg" for number in sorted(numbers)]


def test_an_album_is_its_photos_and_nothing_else(tmp_path):
    for name in ("b10.jpg", "b9.JPG", "a.png", "c.webp", "d.bmp", "e.tif", "f.tiff", "g.jpeg"):
        write(tmp_path / name, picture())
    for name in ("notes.txt", "._b9.jpg", "clip.mp4"):
        (tmp_path / name).write_bytes(b"x")
    write(tmp_path / "below" / "z.jpg", picture())
    expected = ("a.png", "b9.JPG", "b10.jpg", "c.webp", "d.bmp", "e.tif", "f.tiff", "g.jpeg")
    assert open_album(tmp_path).photos == expected
    assert [frame.index for frame in read_photos(tmp_path, expected)] == list(range(1, 9))


def test_content_is_that_of_names_and_pictures_wherever_the_folder_is(tmp_path):
    for name in ("a.png", "b.png"):
        write(tmp_path / "one" / name, picture(shade=ord(name[0])))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first = open_album(tmp_path / "one").content
    assert len(first) == 64
    assert open_album(tmp_path / "two").content == first
    contents = {first}
    (tmp_path / "two/b.png").rename(tmp_path / "two/c.png")
    contents.add(open_album(tmp_path / "two").content)
    write(tmp_path / "two/c.png", picture(shade=1))
    contents.add(open_album(tmp_path / "two").content)
    write(tmp_path / "two/d.png", picture(shade=2))
    contents.add(open_album(tmp_path / "two").content)
    assert len(contents) == 4


def test_a_folder_that_lost_its_photos(tmp_path):
    with pytest.raises(VideoError, match="no photos in this folder"):
        open_album(tmp_path)


# ---- a photo

SCENE = np.dstack([np.add.outer(np.arange(0, 120, 3), np.arange(0, 120, 2))] * 3).astype(np.uint8)  # (40, 60, 3)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_photos_stand_upright(tmp_path, suffix, orientation, turns):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(SCENE).save(tmp_path / f"a.{suffix}", exif=exif)
    expected = np.rot90(SCENE, turns)
    read = read_photo(tmp_path / f"a.{suffix}")
    assert read.shape == expected.shape
    assert np.abs(read.astype(int) - expected).mean() < 5  # JPEG and WebP lose a little


def test_photos_of_any_kind_become_colour_pictures(tmp_path):
    kinds = {
        "grey.png": SCENE[..., 0],
        "alpha.png": np.dstack([SCENE, SCENE[..., 0]]),
        "deep.png": SCENE.astype(np.uint16) * 257,
        "grey.jpg": SCENE[..., 0],
    }
    for name, image in kinds.items():
        read = read_photo(write(tmp_path / name, image))
        assert (read.shape, read.dtype) == (SCENE.shape, np.uint8)
        assert np.abs(read.astype(int) - SCENE).mean() < 5


def test_what_is_no_picture_is_none(tmp_path):
    whole = write(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 255, (50, 50, 3), np.uint8)).read_bytes()
    for name, data in {"half.png": whole[: len(whole) // 2], "text.jpg": b"a letter", "empty.jpg": b""}.items():
        (tmp_path / name).write_bytes(data)
        assert read_photo(tmp_path / name) is None
    assert read_photo(tmp_path / "absent.jpg") is None
    assert [frame.index for frame in read_photos(tmp_path, ["text.jpg", "whole.png", "absent.jpg"])] == [2]


# ---- its people


def test_everybody_whom_the_detector_is_sure_of_is_a_tracklet_of_one_box():
    boxes = np.array([[10, 10, 50, 130], [100, 10, 140, 130], [200, 10, 240, 130]], np.float32)
    scores = np.array([0.9, MIN_SCORE, MIN_SCORE - 0.01], np.float32)
    image = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)
    found = people(Frame(7, 7.0, image), Detections(boxes, scores), "album", before=4)
    assert [one.key for one in found] == [("album", 5), ("album", 6)]
    for one, box in zip(found, boxes, strict=False):
        assert (one.index.tolist(), one.time_s.tolist(), len(one.crops), one.crops[0].index) == ([7], [7.0], 1, 7)
        assert np.array_equal(one.xyxy, box[None])
        crop = cv2.imdecode(np.frombuffer(one.crops[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert crop.shape == (120, 40, 3)


def test_a_large_photo_leaves_small_crops():
    image = np.random.default_rng(0).integers(0, 255, (2000, 900, 3), np.uint8)
    (one,) = people(
        Frame(1, 1.0, image), Detections(np.array([[0, 0, 800, 1900]], np.float32), np.ones(1, np.float32)), "album", 0
    )
    assert cv2.imdecode(np.frombuffer(one.crops[0].jpeg, np.uint8), cv2.IMREAD_COLOR).shape[0] == 256


# ---- who can be one person


def photographed(number, photo, album="album", start_s=0.0, camera=""):
    return Tracklet(
        TrackletKey(album, number),
        camera or album,
        np.array([photo]),
        np.array([photo + start_s]),
        np.array([[0, 0, 10, 20]], np.float32),
        np.ones(1, np.float32),
        (Crop(photo, 0.9, b""),),
        photo=f"{photo}.jpg",
    )


def grouped(tracklets, vectors=None, **options):
    """Sets of (recording, number)."""
    vectors = np.tile(np.eye(1, 4, dtype=np.float32), (len(tracklets), 1)) if vectors is None else vectors
    return [set(one.members) for one in link(tracklets, vectors, CURVE, **options)]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=14), st.sampled_from([0.0, 1772402400.0]), st.randoms())
def test_two_people_in_one_photo_are_two_people_however_alike(photos, start_s, rng):
    seen = [photographed(number, photo, start_s=start_s) for number, photo in enumerate(photos, 1)]
    rng.shuffle(seen)
    photo_of = {one.key: one.photo for one in seen}
    for members in grouped(seen, min_probability=0):
        assert len({photo_of[key] for key in members}) == len(members)


@given(st.integers(1, 20))
def test_one_person_in_many_photos_is_one_identity(count):
    assert len(grouped([photographed(number, number) for number in range(1, count + 1)])) == 1


@pytest.mark.parametrize("camera", ["", "home"])
def test_photos_share_no_moment_with_other_recordings(camera):
    """Even where cameras are one, or see no place in common: a photo's number is no time."""
    one = photographed(1, 3, camera=camera)
    other = photographed(1, 3, album="party", camera=camera)
    filmed = tracklet(("gate", 1), 0.0, 10.0, camera=camera)
    known = Known(disjoint=[("album", "party", "gate")])
    assert len(grouped([one, other, filmed], known=known)) == 1


def test_photos_are_not_centred_and_video_is():
    """The mean of an album of one person is that person."""
    vectors = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    seen = [photographed(number, number) for number in (1, 2, 3)] + [tracklet(("gate", n)) for n in (1, 2, 3, 4)]
    made = Material((), (), seen, vectors, "model", CURVE, ()).centred()
    assert np.allclose(made[:3], vectors[:3], atol=1e-6)
    assert np.allclose(made[3:], centred(vectors[3:], camera_means(vectors[3:], np.zeros(4))), atol=1e-6)
    assert not np.allclose(made[3:], vectors[3:], atol=1e-3)


def test_facts_of_an_album_say_what_was_damaged(tmp_path):
    facts = TrackingFacts(2, 2, 1, 0, 0, 0, 0.0, "photos", 1.0, 3.0, 0.1, damaged=("b.jpg",))
    with TrackletWriter(tmp_path / "a.parquet") as writer:
        writer.finish(facts)
    assert tracking_facts(tmp_path / "a.parquet") == facts


def test_who_is_on_video_and_in_photos_has_times_and_photos(tmp_path):
    filmed, alone, party = tracklet(("gate", 1), 3.0, 10.5), photographed(1, 4), photographed(2, 5)
    recordings = [
        Recording("gate", "gate", Path("gate.mp4"), "0"),
        Recording("album", "album", Path("album"), "1", 0.0, ("1.jpg",) * 5),
    ]
    identities = [
        Identity(1, (filmed.key, alone.key), (Link(filmed.key, alone.key, 0.2, 0.2, 0.9),)),
        Identity(2, (party.key,), ()),
    ]
    lines = sightings(identities, {one.key: one for one in (filmed, alone, party)})
    assert (lines[0].first_s, lines[0].last_s, lines[0].photos) == (3.0, 10.5, ("4.jpg",))
    assert [row.split()[4:] for row in identity_table(lines, absolute=False).splitlines()[1:3]] == [
        ["0:03.0", "0:10.5", "7.5", "s,", "1", "photo", "0.90"],
        ["5.jpg", "1", "photo", "-"],
    ]
    write_report(tmp_path / "r.html", "Night", recordings, [filmed, alone, party], identities, {})
    page = Page(tmp_path / "r.html")
    assert "0:07.5 on camera 0:03.0 to 0:10.5" in page.person(1)
    assert "gate0:03.0 to 0:10.5gate/1" in page.person(1)
    assert "album4.jpgalbum/1" in page.person(1)
    assert "1 camera, 1 tracklet 1 photo" in page.person(2)
    assert "on camera" not in page.person(2).partition("When")[0]
    charts = [chart["aria-label"] for chart in page.all("svg") if "aria-label" in chart]
    assert charts == ["Person 1 was seen by gate, album; the times are listed below"]


# ---- the whole job


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An album of four people of one street in four photos, two others in one, one without people, and rubbish."""
    folder = tmp_path_factory.mktemp("home")
    street = photograph("bus.jpg")
    write(folder / "album/IMG_1.jpg", street)
    write(folder / "album/IMG_2.JPG", (street[100:] * 0.8 + 10).astype(np.uint8))
    write(folder / "album/IMG_3.webp", picture(100, 200))
    write(folder / "album/IMG_10.png", photograph("zidane.jpg"))
    write(folder / "album/IMG_11.bmp", street[380:900, :420])
    write(folder / "album/IMG_12.tif", street[:, ::-1])
    (folder / "album/broken.jpg").write_text("a letter")
    (folder / "album/live.heic").write_bytes(b"x")
    return folder


def call(folder, *args):
    """Run the command line in a folder: (exit code, stdout, stderr)."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(args))
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def shown(home):
    """What `reidtrack run --images album --render` said: (exit code, stdout, stderr)."""
    return call(home, "run", "--images", "album", "--render", "--out", "out")


@pytest.fixture(scope="module")
def listed(home, shown):
    return json.loads((home / "out/identities.json").read_text(encoding="utf-8"))


def test_the_same_people_are_found_in_several_photos(listed):
    photos = [{member["photo"] for member in person["tracklets"]} for person in listed]
    street = {"IMG_1.jpg", "IMG_2.JPG", "IMG_11.bmp", "IMG_12.tif"}
    several = [found for found in photos if len(found) > 1]
    assert len(several) >= 3
    assert all(found <= street for found in several)
    assert sum(found == {"IMG_10.png"} for found in photos) == 2
    for person in listed:
        assert len({member["photo"] for member in person["tracklets"]}) == len(person["tracklets"])


def test_files_of_an_album(home, listed):
    out = home / "out"
    rows = list(csv.DictReader((out / "tracks/album.csv").read_text().splitlines()))
    names = {int(row["frame"]): row["photo"] for row in rows}
    expected = ["broken.jpg", "IMG_1.jpg", "IMG_2.JPG", "IMG_3.webp", "IMG_10.png", "IMG_11.bmp", "IMG_12.tif"]
    assert names == dict(enumerate(expected, 1))
    lines = [line.split(",") for line in (out / "tracks/album.txt").read_text().splitlines()]
    members = {(member["photo"], person["identity"]) for person in listed for member in person["tracklets"]}
    assert {(names[int(line[0])], int(line[1])) for line in lines} == members
    crops = {crop for person in listed for member in person["tracklets"] for crop in member["crops"]}
    assert crops == {path.relative_to(out).as_posix() for path in (out / "crops").rglob("*.jpg")}
    assert len(crops) == len(lines)


def test_rendered_photos_keep_names_sizes_and_formats(home, listed):
    made = {path.name: cv2.imread(str(path)) for path in (home / "out/rendered/album").iterdir()}
    assert set(made) == {"IMG_1.jpg", "IMG_2.JPG", "IMG_3.webp", "IMG_10.png", "IMG_11.bmp", "IMG_12.tif"}
    for name, image in made.items():
        assert image.shape == cv2.imread(str(home / "album" / name)).shape
    assert (home / "out/rendered/album/IMG_10.png").read_bytes()[1:4] == b"PNG"
    assert not np.array_equal(made["IMG_10.png"], photograph("zidane.jpg"))


def test_report_and_table_name_photos_instead_of_times(home, shown, listed):
    page = Page(home / "out/report.html").source
    assert "<svg" not in page
    assert "on camera<br>" not in page
    for person in listed:
        for member in person["tracklets"]:
            assert f"Person {person['identity']}, album, {member['photo']}" in page
        assert all(link["between_s"] is None for link in person["links"])
    assert "0:0" not in shown[1]
    assert "1 photo " in shown[1]


def test_what_cannot_be_read_is_told_and_the_rest_is_done(home, shown):
    code, _, err = shown
    assert code == 1
    assert "error: album: HEIC pictures cannot be read (live.heic); convert them to JPEG" in err
    assert f"error: {'album'}/broken.jpg: not a picture that can be decoded" in err.replace("\\", "/")
    assert "some recordings or photos could not be read; the others are done" in err
    run = Run.open(home / "out")
    assert len(run.manifest["failed"]) == 2
    assert run.manifest["warnings"] == []
    assert "broken.jpg: not a picture" in (home / "out/report.html").read_text(encoding="utf-8")


@pytest.fixture
def looked_at(monkeypatch):
    """Counts the pictures that the detector is given."""
    seen = []
    original = YoloDetector.__call__

    def counting(self, images):
        seen.extend(images)
        return original(self, images)

    monkeypatch.setattr(YoloDetector, "__call__", counting)
    return seen


def test_the_same_command_again_detects_nothing_and_says_the_same(home, shown, looked_at):
    first = (home / "out/identities.json").read_text()
    code, out, err = call(home, "run", "--images", "album", "--tracker", "ocsort", "--fps", "2", "--out", "out")
    assert (code, out) == shown[:2]
    assert (home / "out/identities.json").read_text() == first
    assert "broken.jpg: not a picture that can be decoded" in err
    assert looked_at == []


def test_an_album_can_be_scored_like_a_recording(home, listed):
    """Against what it found itself, which is then all right."""
    (home / "truth").mkdir(exist_ok=True)
    shutil.copy(home / "out/tracks/album.txt", home / "truth/album.txt")
    notes = []
    scores = score_run(Run.open(home / "out"), home / "truth", notes.append, frames=range(1, 8))
    assert scores.identities["album"].idf1 == pytest.approx(1)


def test_an_interrupted_album_goes_on_and_a_grown_one_is_the_same_run(home, tmp_path, looked_at, monkeypatch):
    write(tmp_path / "album/1.jpg", photograph("bus.jpg"))
    write(tmp_path / "album/2.jpg", photograph("zidane.jpg"))
    colour_embedder(tmp_path / "colour.onnx")
    empty_room(tmp_path / "gate.mp4", frames=2)
    args = ["run", "--images", "album", "--embedder", "colour.onnx", "--out", "out"]
    original = YoloDetector.__call__

    def interrupted(self, images):
        if len(looked_at) == 1:
            raise KeyboardInterrupt
        return original(self, images)

    with monkeypatch.context() as patch:
        patch.setattr(YoloDetector, "__call__", interrupted)
        assert call(tmp_path, *args)[0] == 1
    assert call(tmp_path, *args)[0] == 0
    assert len(looked_at) == 2

    write(tmp_path / "album/0.jpg", picture(80, 80))
    code, out, _ = call(tmp_path, *args, "--videos", "gate.mp4", "--cameras", "gate", "mine")
    assert code == 0
    entries = Run.open(tmp_path / "out").manifest["recordings"]
    assert [(entry["camera"], entry.get("photos")) for entry in entries] == [
        ("gate", None),
        ("mine", ["0.jpg", "1.jpg", "2.jpg"]),
    ]
    assert (tmp_path / "out/tracks/mine.csv").is_file()
    assert "mine" in out


# ---- what a user can do wrong


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    colour_embedder(tmp_path / "colour.onnx")
    write(tmp_path / "album/a.jpg", picture())
    return tmp_path


def run(*args):
    return main(["run", *args, "--embedder", "colour.onnx", "--out", "out"])


@pytest.mark.parametrize(
    ("given_images", "words"),
    [
        (["absent"], "absent: no such folder"),
        (["album/a.jpg"], "is a file; give --images a folder"),
        (["empty"], "no photos in this folder"),
        (["phone"], "HEIC pictures only"),
        (["album", "./album"], "given twice"),
        (["album", "copy"], "are the same recording"),
    ],
)
def test_a_folder_that_is_no_album(desk, capsys, given_images, words):
    (desk / "empty").mkdir()
    (desk / "empty/notes.txt").write_text("x")
    (desk / "phone").mkdir()
    (desk / "phone/IMG_1.HEIC").write_text("x")
    shutil.copytree(desk / "album", desk / "copy")
    assert run("--images", *given_images) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line
    assert not (desk / "out").exists()


def test_an_album_without_one_picture_in_it(desk, capsys):
    (desk / "album/a.jpg").write_text("a letter")
    assert run("--images", "album") == 1
    err = capsys.readouterr().err
    assert err.splitlines()[-1] == "error: album: none of its 1 photos can be decoded; copy them again"
    assert "Traceback" not in err


def test_an_album_without_people(desk, capsys):
    assert run("--images", "album") == 0
    assert "no people found" in capsys.readouterr().out
    assert "No people" in (desk / "out/report.html").read_text(encoding="utf-8")


def test_a_photo_that_may_not_be_read(desk, monkeypatch):
    original = album.sha256

    def refusing(path):
        if path.name == "b.jpg":
            raise PermissionError(13, "Permission denied")
        return original(path)

    write(desk / "album/b.jpg", picture())
    monkeypatch.setattr(album, "sha256", refusing)
    assert album.open_album(desk / "album").photos == ("a.jpg",)
    assert "b.jpg: cannot be read (Permission denied)" in album.open_album(desk / "album").failed[0]


def test_names_of_recordings_count_albums_too(desk, capsys):
    empty_room(desk / "gate.mp4")
    assert run("--videos", "gate.mp4", "--images", "album", "--cameras", "one") == 2
    assert "1 names for 2 recordings" in capsys.readouterr().err


def test_nothing_to_look_at(capsys):
    assert main(["run", "--out", "x"]) == 2
    assert "give --videos, --images or both" in capsys.readouterr().err


def test_an_album_is_named_like_its_folder(tmp_path, monkeypatch):
    write(tmp_path / "2024.05 sea/a.jpg", picture())
    monkeypatch.chdir(tmp_path / "2024.05 sea")
    assert names_for(albums(["."])) == ["2024.05_sea"]
