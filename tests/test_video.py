"""Reading and writing video: every clip is made here, and every picture carries its number."""

import itertools
import struct
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clips import silence
from tracker.encode import VideoWriter
from tracker.errors import RunError, VideoError
from tracker.types import Frame
from tracker.video import VideoReader, _Clock, read_ahead

WIDTH, HEIGHT = 64, 48
BLOCK = (24, 16)  # eight of them hold a number's bits
TENTHS = [number / 10 for number in range(30)]


def picture(number, noise=0):
    """(48, 64, 3): bits of ``number`` as black and white blocks, most significant first."""
    bits = np.array([number >> bit & 1 for bit in range(7, -1, -1)], np.uint8).reshape(2, 4)
    grey = 40 + 175 * np.kron(bits, np.ones(BLOCK, np.uint8)).astype(np.int64)
    grain = np.random.default_rng(number).integers(-noise, noise + 1, (HEIGHT, WIDTH, 3))
    return (grey[..., None] + grain).clip(0, 255).astype(np.uint8)


def number_of(image):
    """The number in a picture that stands upright."""
    assert image.shape == (HEIGHT, WIDTH, 3)
    levels = image.mean(2).reshape(2, BLOCK[0], 4, BLOCK[1]).mean((1, 3)).ravel()
    return sum(1 << bit for bit, level in zip(range(7, -1, -1), levels, strict=True) if level > 127)


def film(path, times, codec="libx264", audio_s=0.0, turn=0, noise=0, options=None, container_options=None):
    """Write pictures 0, 1, ... shown at ``times``, stored turned by ``turn`` quarters against the clock."""
    with av.open(str(path), "w", container_options=container_options) as file:
        stream = file.add_stream(codec, rate=10, options={"g": "10"} | (options or {}))
        stream.width, stream.height = (HEIGHT, WIDTH) if turn % 2 else (WIDTH, HEIGHT)
        stream.pix_fmt = "yuv420p"
        if codec == "mpeg4":
            stream.bit_rate = 10_000_000  # enough for pictures that are all alike in size
        ticks = 90_000 if codec == "libx264" else 10  # MPEG-4 and AVI count in frames
        stream.codec_context.time_base = Fraction(1, ticks)
        if audio_s:
            sound(file, audio_s)
        for number, time_s in enumerate(times):
            image = np.ascontiguousarray(np.rot90(picture(number, noise), turn))
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.time_base, frame.pts = Fraction(1, ticks), round(time_s * ticks)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def sound(file, seconds):
    stream = file.add_stream("aac", rate=16_000)
    for number in range(round(seconds * 16_000 / 1024)):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, number * 1024, Fraction(1, 16_000)
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def read(path, **options):
    """(numbers seen, Frame.index, times, the reader) of a whole file."""
    with VideoReader(path, **options) as video:
        frames = list(video)
    return [number_of(frame.image) for frame in frames], [f.index for f in frames], [f.time_s for f in frames], video


def overwrite(path, start, content):
    data = bytearray(path.read_bytes())
    data[start : start + len(content)] = content
    path.write_bytes(data)
    return path


# ---- time


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4"), ("a.ts", "libx264")]
)
def test_every_frame_in_order_with_its_number_and_time(tmp_path, name, codec):
    numbers, indices, times, video = read(film(tmp_path / name, TENTHS, codec))
    assert numbers == list(range(30))
    assert indices == list(range(1, 31))
    assert times == pytest.approx(TENTHS, abs=1e-3)
    assert (video.decoded, video.lost) == (30, 0)
    assert (video.info.width, video.info.height) == (WIDTH, HEIGHT)
    assert video.info.frames == 30
    assert video.info.rate == pytest.approx(10)
    assert video.info.duration_s == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_variable_frame_rate_keeps_the_true_times(tmp_path, name):
    true = [0, 0.04, 0.1, 0.3, 0.333, 1.0, 1.017, 5.0]
    numbers, _, times, _ = read(film(tmp_path / name, true))
    assert numbers == list(range(8))
    assert times == pytest.approx(true, abs=1e-3)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_picture_that_starts_after_the_sound_keeps_its_delay(tmp_path, name):
    late = [0.5 + time_s for time_s in TENTHS]
    _, _, times, _ = read(film(tmp_path / name, late, audio_s=3))
    assert times == pytest.approx(late, abs=1e-3)


def test_a_broadcast_clock_counts_from_its_first_moment(tmp_path):
    path = film(tmp_path / "a.ts", [1000 + time_s for time_s in TENTHS])
    with av.open(str(path)) as file:
        assert file.start_time > 900 * av.time_base
    _, _, times, _ = read(path)
    assert times == pytest.approx(TENTHS, abs=1e-3)


def test_a_start_is_added_to_every_time(tmp_path):
    _, _, times, _ = read(film(tmp_path / "a.mp4", TENTHS), start_s=1.7e9)
    assert times == pytest.approx([1.7e9 + time_s for time_s in TENTHS], abs=1e-3)


def test_a_stream_without_a_clock_goes_by_its_rate(tmp_path):
    numbers, _, times, _ = read(film(tmp_path / "a.h264", TENTHS))
    assert numbers == list(range(30))
    assert np.allclose(np.diff(times), times[1])
    assert times[0] == 0
    assert times[1] > 0


def test_joined_recordings_run_on(tmp_path):
    one = film(tmp_path / "one.ts", TENTHS)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one.read_bytes() * 2)
    numbers, _, times, _ = read(joined)
    assert numbers[:30] == list(range(30))
    assert numbers[-10:] == list(range(20, 30))
    assert times == sorted(set(times))
    assert np.diff(times)[-5:] == pytest.approx(0.1, abs=1e-3)


class TestClock:
    def test_late_pictures_have_no_time_and_do_not_move_the_others(self):
        clock = _Clock(0.0, 0.1)
        stamps = [0.0, 0.1, 1.2, 0.2, 1.3, 0.3, 1.4]
        assert [clock.read(stamp) for stamp in stamps] == [0.0, 0.1, 1.2, None, 1.3, None, 1.4]

    def test_a_clock_that_begins_anew_goes_on_where_it_was(self):
        clock = _Clock(0.0, 0.1)
        assert clock.read(50.0) == 50.0
        times = [clock.read(number / 10) for number in range(40)]
        assert times[:16] == [None] * 16
        assert times[16:] == pytest.approx([50.1 + number / 10 for number in range(24)])

    def test_a_clock_that_stands_still_goes_by_the_rate(self):
        clock = _Clock(0.0, 0.1)
        assert [clock.read(3.0) for _ in range(4)] == pytest.approx([3.0, 3.1, 3.2, 3.3])

    @given(st.lists(st.none() | st.floats(-1e6, 1e6), max_size=80))
    def test_times_only_grow_whatever_the_stamps(self, stamps):
        clock = _Clock(0.0, 0.04)
        times = [time_s for time_s in map(clock.read, stamps) if time_s is not None]
        assert all(a < b for a, b in itertools.pairwise(times))

    @given(st.sets(st.integers(0, 10**9), min_size=1), st.floats(-1e3, 1e3))
    def test_stamps_that_grow_are_the_times(self, stamps, shift):
        clock = _Clock(shift, 0.04)
        true = [stamp / 1000 for stamp in sorted(stamps)]
        assert [clock.read(stamp) for stamp in true] == pytest.approx([stamp + shift for stamp in true])


# ---- upright pictures

ONE = 1 << 16
MATRICES = {  # turned clockwise when shown
    90: (0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30),
    180: (-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30),
    270: (0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30),
}


@pytest.mark.parametrize("degrees", MATRICES)
def test_pictures_are_turned_as_the_display_matrix_says(tmp_path, degrees):
    path = film(tmp_path / "a.mp4", TENTHS[:5], turn=degrees // 90)
    header = path.read_bytes().index(b"tkhd")
    numbers, _, _, video = read(overwrite(path, header + 44, struct.pack(">9i", *MATRICES[degrees])))
    assert numbers == list(range(5))
    stored = (WIDTH, HEIGHT) if degrees == 180 else (HEIGHT, WIDTH)
    assert (video.info.width, video.info.height) == stored


# ---- files that are no recordings


def text(path):
    path.write_text("not a video " * 100)


UNREADABLE = {
    "missing": (lambda path: None, "no such file; check the path"),
    "empty": (lambda path: path.write_bytes(b""), "the file is empty; copy it again"),
    "text": (text, "not a video that can be read; check"),
    "folder": (lambda path: path.mkdir(), "cannot be opened .*; check the file"),
    "sound": (silence, r"no video in it \(it holds audio\); give a file with a video stream"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_is_no_video_says_so_when_opened(tmp_path, kind):
    make, words = UNREADABLE[kind]
    make(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match=rf"a\.mp4: {words}"):
        VideoReader(tmp_path / "a.mp4")


def test_an_unknown_codec(tmp_path):
    path = film(tmp_path / "a.mp4", TENTHS)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(VideoError, match="codec is not known here; convert"):
        VideoReader(path)


def test_a_file_in_which_nothing_decodes(tmp_path):
    path = film(tmp_path / "a.mp4", TENTHS, container_options={"movflags": "faststart"})
    start = path.read_bytes().index(b"mdat") + 4
    overwrite(path, start, bytes(path.stat().st_size - start))
    with pytest.raises(VideoError, match=r"no frame can be decoded \(h264\); copy the file again"):
        read(path)


# ---- damage


def faststart(path, codec="libx264", count=60):
    """An MP4 with its index at the front and pictures in the order in which they are stored."""
    times = [number / 10 for number in range(count)]
    plain = {"bf": "0"} if codec == "libx264" else {}
    return film(path, times, codec, noise=60, options=plain, container_options={"movflags": "faststart"})


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_an_mp4_cut_off_yields_all_that_is_there_and_counts_the_rest(tmp_path, share):
    path = faststart(tmp_path / "a.mp4")
    kept = round(path.stat().st_size * share)
    with av.open(str(path)) as file:
        whole = sum(entry.pos + entry.size <= kept for entry in file.streams.video[0].index_entries)
    path.write_bytes(path.read_bytes()[:kept])
    numbers, _, times, video = read(path)
    assert numbers[:whole] == list(range(whole))
    assert whole <= len(numbers) <= whole + 1  # half a picture may decode, too
    assert times == pytest.approx([number / 10 for number in range(len(numbers))], abs=1e-3)
    assert video.decoded == len(numbers)
    assert video.lost == 60 - len(numbers)


def test_an_mp4_cut_off_before_its_index_names_the_index(tmp_path):
    path = film(tmp_path / "a.mp4", TENTHS, noise=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError, match=r"without its index.*copy it again"):
        VideoReader(path)


@pytest.mark.parametrize("content", ["noise", "zeros"])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_damage_in_the_middle_costs_only_what_is_damaged(tmp_path, codec, content):
    path = faststart(tmp_path / "a.mp4", codec)
    length = 3000
    junk = np.random.default_rng(0).bytes(length) if content == "noise" else bytes(length)
    _, _, times, video = read(overwrite(path, path.stat().st_size // 2, junk))
    assert video.decoded + video.lost == 60
    assert 40 <= video.decoded == len(times)
    assert times == sorted(set(times))
    tenths = np.array(times) * 10
    assert np.allclose(tenths, tenths.round(), atol=0.01)  # what is left keeps its true time
    assert times[:20] == pytest.approx([number / 10 for number in range(20)], abs=1e-3)
    assert times[-1] == pytest.approx(5.9, abs=1e-3)


def test_a_damaged_transport_stream_goes_on_after_the_damage(tmp_path):
    path = film(tmp_path / "a.ts", TENTHS, noise=60)
    numbers, _, times, _ = read(overwrite(path, path.stat().st_size // 2, bytes(5000)))
    assert numbers[:8] == list(range(8))
    assert times == sorted(set(times))
    assert 15 <= len(numbers) < 30
    assert times[-1] == pytest.approx(2.9, abs=1e-3)


@pytest.mark.parametrize("share", [0.4, 0.5, 0.7])
def test_pictures_that_come_too_late_after_damage_do_not_move_the_others(tmp_path, share):
    """The decoder brings 3.9, 2.9, 4.0, ...: the old one has missed its time, the rest keeps its own."""
    path = film(tmp_path / "a.mp4", [number / 10 for number in range(60)], noise=60, options={"g": "12"})
    _, _, times, video = read(overwrite(path, round(path.stat().st_size * share), bytes(8000)))
    assert times == sorted(set(times))
    tenths = np.array(times) * 10
    assert np.allclose(tenths, tenths.round(), atol=0.01)
    assert times[-1] == pytest.approx(5.9, abs=1e-3)
    assert video.decoded + video.lost == 60


def test_frames_that_an_edit_list_hides_are_not_lost(tmp_path):
    """As a telephone trims a recording: the samples before the new beginning stay in the file."""
    path = film(tmp_path / "a.mp4", TENTHS)
    entry = path.read_bytes().index(b"elst") + 12
    duration, start = struct.unpack_from(">Ii", path.read_bytes(), entry)
    numbers, _, times, video = read(
        overwrite(path, entry, struct.pack(">Ii", duration // 2, start + round(1.5 * 90_000)))
    )
    assert set(numbers) <= set(range(15, 30))
    assert len(numbers) >= 15
    assert times == pytest.approx(TENTHS[: len(times)], abs=1e-3)
    assert video.lost == 0


def test_an_avi_that_leaves_out_frames_has_lost_none(tmp_path):
    true = [number / 10 for number in range(30) if number % 10 not in (3, 4, 5)]
    numbers, _, times, video = read(film(tmp_path / "a.avi", true, "mpeg4"))
    assert numbers == list(range(21))
    assert times == pytest.approx(true, abs=1e-3)
    assert video.lost == 0


def test_an_avi_cut_off_counts_what_its_header_announces(tmp_path):
    path = film(tmp_path / "a.avi", TENTHS, "mpeg4", noise=60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    numbers, _, _, video = read(path)
    assert 5 < len(numbers) < 25
    assert numbers[:-1] == list(range(len(numbers) - 1))  # of the last one, a part
    assert video.lost == 30 - len(numbers)


def test_a_video_of_one_frame(tmp_path):
    assert read(film(tmp_path / "a.mp4", [0.0]))[:3] == ([0], [1], [0.0])


# ---- sampling


def on_the_grid(times, fps):
    """The first frame at or after each instant of a grid that starts at the first frame."""
    chosen = []
    for step in range(1000):
        at_or_after = [number for number, time_s in enumerate(times) if time_s >= times[0] + step / fps - 1e-3]
        if at_or_after and at_or_after[0] not in chosen:
            chosen.append(at_or_after[0])
    return chosen


@pytest.mark.parametrize("fps", [0.5, 1, 3, 4, 5, 7.5, 10, 25])
def test_sampling_takes_frames_on_the_time_grid(tmp_path, fps):
    path = film(tmp_path / "a.mp4", TENTHS)
    numbers, indices, times, video = read(path, fps=fps)
    assert numbers == on_the_grid(TENTHS, fps)
    assert indices == [number + 1 for number in numbers]  # the source's own
    assert times == pytest.approx([TENTHS[number] for number in numbers], abs=1e-3)
    assert video.decoded == 30


def test_sampling_goes_by_time_not_by_count(tmp_path):
    true = [0.5, 0.54, 0.58, 0.6, 2.0, 2.01, 2.02, 2.6, 9.0, 9.4, 9.5]
    numbers, _, _, _ = read(film(tmp_path / "a.mp4", true), fps=2)
    assert numbers == on_the_grid(true, 2) == [0, 4, 7, 8, 10]


@pytest.mark.parametrize(("fps", "step"), [(30, 1), (15, 2), (10, 3)])
def test_a_clock_of_milliseconds_does_not_upset_sampling(tmp_path, fps, step):
    path = film(tmp_path / "a.mkv", [number / 30 for number in range(40)])
    assert read(path, fps=fps)[0] == list(range(0, 40, step))


# ---- reading ahead


def frames(count):
    for number in range(count):
        yield Frame(number, number / 10, np.zeros((1, 1, 3), np.uint8))


def decoding_threads():
    return [thread for thread in threading.enumerate() if thread.name == "decode"]


@pytest.mark.parametrize("depth", [1, 2, 7, 100])
def test_read_ahead_keeps_the_order(depth):
    assert [frame.index for frame in read_ahead(frames(50), depth)] == list(range(50))
    assert decoding_threads() == []


def test_read_ahead_hands_on_an_error_in_its_place():
    def failing():
        yield from frames(5)
        raise VideoError("a.mp4: broken")

    seen = []
    with pytest.raises(VideoError, match="broken"):
        seen.extend(frame.index for frame in read_ahead(failing(), 2))
    assert seen == list(range(5))
    assert decoding_threads() == []


def test_read_ahead_stops_when_closed_early():
    made = []

    def endless():
        for frame in frames(10**9):
            made.append(frame)
            yield frame

    ahead = read_ahead(endless(), 4)
    assert [next(ahead).index for _ in range(3)] == [0, 1, 2]
    assert len(decoding_threads()) == 1
    ahead.close()
    assert decoding_threads() == []
    assert len(made) <= 3 + 4


@pytest.mark.parametrize("depth", [1, 3])
def test_read_ahead_is_ahead_by_its_depth_and_no_more(depth):
    asked = 0
    full = threading.Event()

    def counted():
        for made, frame in enumerate(frames(30), 1):
            assert made - asked <= depth
            if made - asked == depth or made == 30:
                full.set()
            yield frame

    ahead = read_ahead(counted(), depth)
    for number in range(30):
        full.clear()
        asked += 1
        assert next(ahead).index == number
        assert number + depth >= 30 or full.wait(20)
    ahead.close()


# ---- writing


def test_what_is_written_is_read_back(tmp_path):
    true = [0, 0.04, 0.1, 0.3, 0.333, 1.0, 1.017, 5.0]
    with VideoWriter(tmp_path / "a.mp4", WIDTH, HEIGHT, 25) as writer:
        for number, time_s in enumerate(true):
            writer.write(picture(number), time_s)
        assert not (tmp_path / "a.mp4").exists()
    numbers, _, times, video = read(tmp_path / "a.mp4")
    assert numbers == list(range(8))
    assert times == pytest.approx(true, abs=1e-3)
    assert video.info.codec == "h264"
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(("width", "height"), [(63, 47), (64, 47), (63, 48), (1, 1)])
def test_odd_sizes_are_padded_by_a_pixel(tmp_path, width, height):
    grey = np.full((height, width, 3), 200, np.uint8)
    with VideoWriter(tmp_path / "a.mp4", width, height, 10) as writer:
        writer.write(grey, 0.0)
    with VideoReader(tmp_path / "a.mp4") as video:
        (frame,) = video
    assert frame.image.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(frame.image.astype(int) - 200).max() < 10


def test_times_that_do_not_grow_are_moved_on(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", WIDTH, HEIGHT, 10) as writer:
        for number, time_s in enumerate([0.0, 0.5, 0.5, 0.4]):
            writer.write(picture(number), time_s)
    numbers, _, times, _ = read(tmp_path / "a.mp4")
    assert numbers == [0, 1, 2, 3]
    assert times == pytest.approx([0, 0.5, 0.5, 0.5], abs=1e-3)


def write_some(path, count, noise=0, then=None):
    with VideoWriter(path, WIDTH, HEIGHT, 10) as writer:
        for number in range(count):
            writer.write(picture(number, noise), number / 10)
        if then:
            raise then


@pytest.mark.parametrize("count", [0, 1, 20])
def test_an_error_in_the_block_leaves_nothing(tmp_path, count):
    with pytest.raises(ZeroDivisionError):
        write_some(tmp_path / "a.mp4", count, then=ZeroDivisionError)
    assert list(tmp_path.iterdir()) == []


def test_an_error_in_the_block_keeps_an_earlier_file(tmp_path):
    film(tmp_path / "a.mp4", TENTHS)
    before = (tmp_path / "a.mp4").read_bytes()
    with pytest.raises(ZeroDivisionError):
        write_some(tmp_path / "a.mp4", 3, then=ZeroDivisionError)
    assert (tmp_path / "a.mp4").read_bytes() == before


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in ("absent", "file"):
        with pytest.raises(RunError, match=r"a\.mp4: cannot be written \(.+\); choose another --out"):
            VideoWriter(tmp_path / folder / "a.mp4", WIDTH, HEIGHT, 10)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("count", [1, 200])  # told with the last bytes, or while pictures come
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, count):
    (tmp_path / "a.partial").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"a\.mp4: cannot be written \(No space left.*free some disk space"):
        write_some(tmp_path / "a.mp4", count, noise=60)
    assert list(tmp_path.iterdir()) == []
