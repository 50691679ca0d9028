"""Finding a person on the page: pictures, several people, sightings, frames, words; and pictures that are refused."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.library.test_search import FakeDetector, scene
from tests.web.conftest import finished, rows, run_of, secret, visiting
from tracker.library.examples import track_example
from tracker.library.searching import search
from tracker.video import VideoReader
from tracker.web import uploads


@pytest.fixture
def finder(client, monkeypatch):
    monkeypatch.setattr(client.site.models, "_detector", FakeDetector())
    return client


def posted(client, *pictures, **data):
    files = [("picture", (f"{number}.png", content, "image/png")) for number, content in enumerate(pictures)]
    return client.post("/find", data={"csrf": secret(client), **data}, files=files)


def drawn(tmp_path, *lefts):
    scene(tmp_path / "scene.png", *lefts)
    return (tmp_path / "scene.png").read_bytes()


def order(text):
    """The identities that a page of results names, best first."""
    return [part.split('"')[0] for part in text.split('<p class="title"><a href="/identity/')[1:]]


def test_a_sightings_own_picture_finds_its_identity(finder):
    row = max(rows(finder), key=lambda row: row["quality"])
    answer = posted(finder, row["jpeg"])
    job = finished(finder, answer)
    assert job.state == "done", job.error
    page = finder.get(answer.headers["location"])
    assert f"{row['run']}/{row['identity']}" in order(page.text)
    assert "the person</p>" in page.text
    narrowed = finder.get(f"{answer.headers['location']}?recording={row['recording']}")
    assert order(narrowed.text)[0] == f"{row['run']}/{row['identity']}"
    assert set(order(narrowed.text)) < set(order(page.text))


def test_what_is_polled_leads_to_the_result(finder):
    answer = posted(finder, rows(finder)[0]["jpeg"])
    job = finished(finder, answer)
    polled = finder.get(f"/jobs/{job.id}", headers={"hx-request": "true"})
    assert polled.headers["hx-redirect"] == answer.headers["location"]


def test_of_several_people_one_is_chosen(finder, tmp_path):
    answer = posted(finder, drawn(tmp_path, 10, 100, 200))
    finished(finder, answer)
    address = answer.headers["location"]
    page = finder.get(address).text
    assert "shows 3 people" in page
    sizes = []
    for number in (1, 2, 3):
        picture = finder.get(f"{address}/0.jpg?person={number}")
        image = cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR)
        assert image.mean((0, 1)).argmax() == 3 - number  # red, green, blue, in the order of BGR
        sizes.append(image.shape)
    assert sizes == [(80, 30, 3)] * 3
    refused = finder.post(address, data={"csrf": secret(finder), "number": 0, "person": 4})
    assert refused.status_code == 400
    chosen = finder.post(address, data={"csrf": secret(finder), "number": 0, "person": 2})
    finished(finder, chosen)
    by_two = finder.get(address).text
    alone = posted(finder, drawn(tmp_path, 100))
    finished(finder, alone)
    assert "the person</p>" in by_two
    finished(finder, finder.post(address, data={"csrf": secret(finder), "number": 0, "person": 1}))
    assert finder.get(address).text != by_two


def test_a_picture_without_anybody_is_one_line(finder, tmp_path):
    answer = posted(finder, drawn(tmp_path))
    job = finished(finder, answer)
    assert job.state == "failed"
    page = finder.get(answer.headers["location"])
    assert page.status_code == 409
    assert "0.png: nobody is found on it" in page.text
    assert str(finder.site.scratch) not in page.text


def test_sightings_find_what_search_finds(client):
    one, other = rows(client)[:2]
    page = client.get(f"/find?like={one['key']}&unlike={other['key']}").text
    library = client.site.library()
    hits = search(library, [track_example(library, one["key"])], [track_example(library, other["key"])])
    assert order(page) == [f"{hit.run}/{hit.identity}" for hit in hits]
    assert client.get(f"/find?like={one['run']}/{one['recording']}/999").status_code in (400, 404)


def test_a_box_in_a_frame_finds_who_is_in_it(finder, monkeypatch):
    monday = run_of(finder, "monday")
    box = next(box for box in finder.get(f"/moments/{monday}/a.json").json()["boxes"])
    frame = next(one for one in VideoReader(finder.site.recording(monday, "a").path) if one.index == box[0])
    left, top, right, bottom = (round(value) for value in (box[1], box[2], box[1] + box[3], box[2] + box[4]))
    data = {"frame_run": monday, "frame_recording": "a", "frame_number": str(box[0])}
    answer = posted(finder, **data, frame_box=f"{left},{top},{right},{bottom}")
    finished(finder, answer)
    query = finder.site.queries.get(answer.headers["location"].rpartition("/")[2])
    kept = cv2.imread(str(query.pictures[0].path))
    cut = frame.image[max(top, 0) : bottom, max(left, 0) : right]
    assert np.array_equal(kept, cut)
    for wrong in ("", "1,2", "5,5,5,5", "9999,9999,10000,10000"):
        assert posted(finder, **data, frame_box=wrong).status_code == 400


def test_words_find_by_what_is_worn(client):
    page = client.get("/find?words=black+or+blue+or+grey+or+red+or+green+or+white+or+brown+top")
    assert page.status_code == 200
    assert "of the clothes in such colours" in page.text or "nothing passes" in page.text


# ---- what is refused


def bomb(width, height):
    """A PNG that says it is large, in a few bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def encoded(kind):
    stream = io.BytesIO()
    Image.new("RGB", (40, 80), (200, 40, 40)).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Give a picture"),
        (b"not a picture at all", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (encoded("PNG")[:60], "decoded"),
        (bomb(30_000, 30_000), "pixels"),
        (bomb(10_000, 9_000), "pixels"),
        (bomb(100, 100), "decoded"),
        (b"\x89PNG" + b"x" * uploads.MAX_BYTES, "at most 20 MB"),
    ],
)  # fmt: skip
def test_what_is_no_fit_picture_is_refused_in_words(client, content, said, monkeypatch):
    before = list(client.site.scratch.iterdir())
    decoded = []
    monkeypatch.setattr(uploads, "decode_image", lambda data: decoded.append(1) or None)
    files = [("picture", ("a.png", content, "image/png"))] if content else []
    answer = client.post("/find", data={"csrf": secret(client)}, files=files)
    assert answer.status_code in (400, 409)
    assert said in answer.text
    assert list(client.site.scratch.iterdir()) == before
    assert not decoded or said == "decoded"  # nothing large is ever decoded


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_pictures_of_all_usual_kinds_are_taken(kind):
    assert uploads.checked(encoded(kind), "a").shape == (80, 40, 3)


def test_too_many_pictures_are_refused(client):
    answer = posted(client, *[encoded("PNG")] * (uploads.MAX_PICTURES + 1))
    assert answer.status_code == 400
    assert "at most 10 pictures" in answer.text


def test_names_of_pictures_are_only_shown(finder):
    files = [("picture", ("../../<script>x</script>.png", encoded("PNG"), "image/png"))]
    answer = finder.post("/find", data={"csrf": secret(finder)}, files=files)
    finished(finder, answer)
    assert "<script>x" not in finder.get(answer.headers["location"]).text
    query = finder.site.queries.get(answer.headers["location"].rpartition("/")[2])
    assert query.pictures[0].path.resolve().is_relative_to(finder.site.scratch.resolve())


def test_old_searches_pictures_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "KEPT", 3)
    kept = [uploads.keep(tmp_path, str(number), [b"x"])[0] for number in range(6)]
    assert [path.exists() for path in kept] == [False] * 3 + [True] * 3


def test_visitors_pictures_go_with_the_server(stocked):
    with visiting(stocked / "lib") as client:
        client.site.models._detector = FakeDetector()
        finished(client, posted(client, encoded("PNG")))
        scratch = Path(client.site.scratch)
        assert list(scratch.iterdir())
    assert not scratch.exists()
