"""Pictures, frames and recordings: exactly what was asked for, in ranges, converted where a browser needs it."""

import io
import itertools
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from tests.clips import empty_room
from tests.web.conftest import rows, run_of, visiting
from tracker.encode import VideoWriter
from tracker.errors import VideoError
from tracker.store import Run
from tracker.types import Recording
from tracker.video import VideoReader
from tracker.web import clock, decoding, transcoding

BITS, CELL = 6, 16
TIMES = np.cumsum([0.0, *itertools.islice(itertools.cycle([0.04, 0.04, 0.12, 0.033]), 39)])


def counter(number):
    """A picture with a number in squares: white is 1, the lowest bit first."""
    image = np.full((64, BITS * CELL, 3), 90, np.uint8)
    for bit in range(BITS):
        image[:CELL, bit * CELL : (bit + 1) * CELL] = 255 * (number >> bit & 1)
    return image


def read(image):
    """The number in a picture."""
    return sum((image[4:12, bit * CELL + 4 : (bit + 1) * CELL - 4].mean() > 128) << bit for bit in range(BITS))


def written(path, codec="libx264", late_s=0.0):
    """Forty counted frames at uneven times; with H.264 of all kinds of frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = BITS * CELL, 64, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size = 12
        for number, time_s in enumerate(TIMES, 1):
            picture = av.VideoFrame.from_ndarray(counter(number), format="bgr24")
            picture.time_base, picture.pts = stream.codec_context.time_base, round((time_s + late_s) * 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return Recording(path.stem, path.stem, path, f"{path.name}{late_s}".encode().hex().ljust(64, "0"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    kinds = [
        ("plain.mp4", "libx264", 0),
        ("late.mp4", "libx264", 2.0),
        ("old.mkv", "mpeg4", 0),
        ("cast.ts", "libx264", 7),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REIDTRACK_CACHE", str(folder / "cache"))
        yield {name: written(folder / name, codec, late) for name, codec, late in kinds}


NAMES = ["plain.mp4", "late.mp4", "old.mkv", "cast.ts"]


# ---- which frame is when


@pytest.mark.parametrize("name", NAMES)
def test_times_without_decoding_are_those_of_decoding(clips, name):
    expected = [frame.time_s for frame in VideoReader(clips[name].path)]
    assert len(expected) == len(TIMES)
    assert np.allclose(clock.packet_times(clips[name].path), expected, atol=1e-9)


def test_times_that_disagree_with_the_run_are_decoded(clips, monkeypatch):
    recording = clips["plain.mp4"]
    monkeypatch.setattr(clock, "packet_times", lambda path: np.zeros(3))
    monkeypatch.setattr(clock, "_cached", lambda content: None)
    monkeypatch.setattr(clock, "_keep", lambda content, times: None)
    times = clock.Clocks().times(recording, {5: float(TIMES[4])})
    assert np.allclose(times, TIMES, atol=1e-4)


def test_times_are_kept(clips, monkeypatch):
    recording = clips["plain.mp4"]
    first = clock.Clocks().times(recording, {})
    monkeypatch.setattr(clock, "packet_times", lambda path: pytest.fail("read again"))
    assert np.array_equal(clock.Clocks().times(recording, {}), first)


# ---- a frame


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_is_the_one_that_was_asked_for(clips, name):
    times = clock.packet_times(clips[name].path)
    for number in (1, 2, 11, 12, 13, 14, 25, 39, 40):
        image = decoding.frame(clips[name], number, times)
        assert read(image) == number
        assert image.shape == (64, BITS * CELL, 3)
    for number in (0, 41, -1):
        assert decoding.frame(clips[name], number, times) is None


def test_a_frame_of_a_recording_that_is_none(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    with pytest.raises(VideoError, match="not a video"):
        decoding.frame(Recording("a", "a", tmp_path / "a.mp4", ""), 1, np.zeros(1))


# ---- converting


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("first", [1, 14, 40])
def test_a_converted_recording_begins_with_the_frame_asked_for_and_keeps_true_times(clips, name, first):
    times = clock.packet_times(clips[name].path)
    data = b"".join(transcoding.transcoded(clips[name], times, first))
    with av.open(io.BytesIO(data)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        frames = list(container.decode(video=0))
    assert [read(frame.to_ndarray(format="bgr24")) for frame in frames] == list(range(first, 41))
    assert np.allclose([frame.time for frame in frames], times[first - 1 :] - times[first - 1], atol=1e-4)


def test_a_converted_recording_comes_while_it_is_made(clips):
    parts = transcoding.transcoded(clips["plain.mp4"], clock.packet_times(clips["plain.mp4"].path), 1)
    assert b"ftyp" in next(parts)
    parts.close()


def test_what_browsers_play_as_it_is(clips, tmp_path):
    assert [transcoding.played_as(clips[name].path) for name in NAMES] == ["video/mp4", "video/mp4", None, None]
    with av.open(str(tmp_path / "a.webm"), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=10, options={"cpu-used": "8", "deadline": "realtime"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="bgr24")))
        container.mux(stream.encode(None))
    assert transcoding.played_as(tmp_path / "a.webm") == "video/webm"


# ---- over the wire


def test_a_sightings_picture_is_the_librarys(client):
    for row in rows(client):
        answer = client.get(f"/crop/{row['key']}.jpg")
        assert answer.content == row["jpeg"]
        assert answer.headers["content-type"] == "image/jpeg"


def test_a_recording_is_sent_in_ranges(client):
    monday = run_of(client, "monday")
    whole = client.site.recording(monday, "a").path.read_bytes()
    answer = client.get(f"/video/{monday}/a")
    assert answer.content == whole
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-type"] == "video/mp4"
    part = client.get(f"/video/{monday}/a", headers={"range": "bytes=100-299"})
    assert part.status_code == 206
    assert part.headers["content-range"] == f"bytes 100-299/{len(whole)}"
    assert part.content == whole[100:300]
    assert client.get(f"/video/{monday}/a", headers={"range": f"bytes={len(whole)}-"}).status_code == 416


def test_frames_come_as_pictures(client):
    monday = run_of(client, "monday")
    for frame in itertools.islice(VideoReader(client.site.recording(monday, "a").path), 0, 24, 8):
        answer = client.get(f"/frame/{monday}/a/{frame.index}.jpg")
        image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
        assert np.abs(image.astype(int) - frame.image).mean() < 4
    assert client.get(f"/frame/{monday}/a/9999.jpg").status_code == 404


def test_an_albums_photos_are_frames(client):
    photos = run_of(client, "photos")
    recording = client.site.recording(photos, "album")
    answer = client.get(f"/frame/{photos}/album/2.jpg")
    image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == cv2.imread(str(recording.path / "2.jpg")).shape
    for address in (f"/frame/{photos}/album/3.jpg", f"/stream/{photos}/album.mp4"):
        assert client.get(address).status_code == 404
    assert client.get(f"/video/{photos}/album").status_code == 415


def test_moments_say_when_frames_are_and_who_is_where(client):
    monday = run_of(client, "monday")
    run = Run.open(client.site.entry(monday).path)
    told = client.get(f"/moments/{monday}/a.json?count=2000").json()
    frames = list(VideoReader(client.site.recording(monday, "a").path))
    assert told["frames"] == len(frames)
    assert np.allclose(told["times"], [frame.time_s for frame in frames], atol=1e-6)
    lines = np.loadtxt(run.path / "tracks/a.txt", delimiter=",")
    assert len(told["boxes"]) == len(lines)
    identities = {
        row["track_id"]: row["identity"] for row in rows(client) if row["run"] == monday and row["recording"] == "a"
    }
    for box, line in zip(told["boxes"], lines, strict=True):
        assert box[0] == line[0]
        assert np.allclose(box[1:5], line[2:6], atol=0.06)
        assert box[5] == line[1] == identities[box[6]]
    part = client.get(f"/moments/{monday}/a.json?first=5&count=3").json()
    assert part["times"] == told["times"][4:7]
    assert part["boxes"] == [box for box in told["boxes"] if 5 <= box[0] < 8]


def test_a_converted_recording_is_sent_and_only_so_many_at_once(client):
    monday = run_of(client, "monday")
    answer = client.get(f"/stream/{monday}/a.mp4?frame=20")
    with av.open(io.BytesIO(answer.content)) as container:
        assert len(list(container.decode(video=0))) == client.get(f"/moments/{monday}/a.json").json()["frames"] - 19
    for _ in range(transcoding.AT_ONCE):
        assert transcoding.room()
    try:
        refused = client.get(f"/stream/{monday}/a.mp4")
        assert refused.status_code == 503
    finally:
        for _ in range(transcoding.AT_ONCE):
            transcoding.leave()
    assert client.get(f"/stream/{monday}/a.mp4?frame=25").status_code == 200


def test_a_recording_that_has_gone_is_one_line(changeable, tmp_path):
    with visiting(changeable / "lib") as client:
        run = run_of(client, "monday")
        (changeable / "a.mp4").unlink()
        for address in (f"/video/{run}/a", f"/frame/{run}/a/1.jpg", f"/moments/{run}/a.json"):
            answer = client.get(address)
            assert answer.status_code == 409
            assert "the recording is gone; put it back to see it" in answer.text
        page = client.get(f"/play/{run}/a")
        assert page.status_code == 200
        assert "the recording is gone" in page.text
        empty_room(changeable / "a.mp4")
        assert "is not the file any more that the run saw" in client.get(f"/frame/{run}/a/1.jpg").text


def test_a_writer_of_ours_makes_what_browsers_play(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 64, 64, 10) as writer:
        writer.write(np.zeros((64, 64, 3), np.uint8), 0)
    assert transcoding.played_as(tmp_path / "a.mp4") == "video/mp4"
