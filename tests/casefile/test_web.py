"""Cases on the page: choosing, noting, taking out, exporting; and what is refused."""

import io
import re
import time
import zipfile

import pytest

from tests.web.conftest import visiting
from tracker.casefile.cases import find_case, list_cases, new_case
from tracker.casefile.checking import check
from tracker.progress import Progress


@pytest.fixture
def client(library):
    with visiting("lib") as client:
        client.csrf = client.site.csrf
        yield client


def send(client, path, headers=None, **fields):
    return client.post(path, data={"csrf": client.csrf, **fields}, headers=headers or {})


def keys_of(library):
    return sorted(library.tracklets.to_arrow()["key"].to_pylist())


def test_the_first_sighting_begins_a_case_and_the_others_follow_it(client, library):
    first, second, *_ = keys_of(library)
    answer = send(client, "/tray", key=first, query="person.jpg", probability="0.5", back="/identity/x/1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/identity/x/1")
    send(client, "/tray", key=second)
    (case,) = list_cases("lib")
    assert [one.row["key"] for one in case.sightings] == [first, second]
    assert (case.sightings[0].query, case.sightings[0].probability) == ("person.jpg", 0.5)
    text = client.get("/case/case_1").text
    assert "2 sightings in the tray" in text
    assert "looked for: person.jpg" in text
    assert client.get("/case/case_1/picture/1.jpg").content == case.picture(case.sightings[0])


def test_what_is_chosen_goes_to_the_case_that_was_opened_last(client, library):
    for name in ("one", "two"):
        assert send(client, "/cases", name=name).headers["location"] == f"/case/{name}"
    client.get("/case/one")
    answer = send(client, "/tray", {"HX-Request": "true"}, key=keys_of(library)[0])
    assert "In the tray of" in answer.text
    assert answer.headers["hx-trigger"] == "tray"
    assert len(find_case("lib", "one").sightings) == 1
    assert "Tray: one (1)" in client.get("/tray", headers={"HX-Request": "true"}).text
    assert client.get("/tray").headers["location"] == "/case/one"


def test_notes_are_kept_and_shown_as_text(client, case):
    text = "<script>alert(1)</script> & more"
    answer = send(client, "/case/stolen_bicycle/note", {"HX-Request": "true"}, number="1", text=text)
    assert "kept" in answer.text
    send(client, "/case/stolen_bicycle/note", text="all of it")
    found = find_case("lib", case.name)
    assert (found.sightings[0].note, found.note) == (text, "all of it")
    page = client.get("/case/stolen_bicycle").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page


def test_sightings_are_taken_out_and_put_back(client, case):
    send(client, "/case/stolen_bicycle/remove", number="1")
    assert [one.number for one in find_case("lib", case.name).sightings] == [2]
    assert "1 sighting taken out" in client.get("/case/stolen_bicycle").text
    send(client, "/case/stolen_bicycle/restore", number="1")
    assert [one.number for one in find_case("lib", case.name).sightings] == [1, 2]


def test_a_bundle_is_made_beside_the_pages_and_verifies(client, case, tmp_path):
    answer = send(client, "/cases/export", name="stolen_bicycle", margin_s="0.2")
    job = answer.headers["location"]
    assert job.startswith("/jobs/")
    deadline = time.monotonic() + 120
    while client.get(job).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert client.get(job).headers["location"] == "/case/stolen_bicycle#bundles"
    page = client.get("/case/stolen_bicycle").text
    (link,) = re.findall(r'href="(/case/stolen_bicycle/bundle/[^"]+)"', page)
    content = client.get(link)
    assert content.headers["content-disposition"].startswith("attachment")
    path = tmp_path / "it.zip"
    path.write_bytes(content.content)
    verdict = check(path, None, Progress(quiet=True))
    assert verdict.faults == ()
    assert verdict.seal in page
    with zipfile.ZipFile(io.BytesIO(content.content)) as archive:
        assert sum(name.endswith(".mp4") for name in archive.namelist()) == 2


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/tray", {"key": "no/such/1"}, 400),
        ("/cases", {"name": ""}, 400),
        ("/cases", {"name": "Stolen bicycle"}, 400),
        ("/case/stolen_bicycle/note", {"text": "x" * 20_001}, 400),
        ("/case/stolen_bicycle/remove", {"number": "99"}, 400),
        ("/case/stolen_bicycle/burn", {"number": "1"}, 404),
        ("/case/other/note", {"text": "x"}, 404),
        ("/case/..%2Flib/note", {"text": "x"}, 404),
        ("/cases/export", {"name": "other"}, 404),
        ("/cases/export", {"name": "stolen_bicycle", "margin_s": "nan"}, 303),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(client, case, path, fields, status):
    before = find_case("lib", case.name)
    assert send(client, path, **fields).status_code == status
    assert find_case("lib", case.name) == before
    assert len(list_cases("lib")) == 1


def test_an_empty_tray_is_not_exported(client):
    new_case("lib", "empty")
    answer = send(client, "/cases/export", name="empty")
    assert answer.status_code == 400
    assert "nothing in its tray" in answer.text


def test_forms_of_other_sites_are_refused(client, case):
    for path in ("/tray", "/cases", "/cases/export", "/case/stolen_bicycle/note", "/case/stolen_bicycle/remove"):
        assert client.post(path, data={"name": "x", "key": "k", "number": "1"}).status_code == 403
    assert find_case("lib", case.name) == case


@pytest.mark.parametrize("back", ["//elsewhere.org/", "https://elsewhere.org", "/\\elsewhere.org", "javascript:1"])
def test_one_is_never_sent_elsewhere(client, library, back):
    assert send(client, "/tray", key=keys_of(library)[0], back=back).headers["location"] == "/cases"


@pytest.mark.parametrize(
    "path",
    [
        "/case/%2e%2e",
        "/case/stolen_bicycle/bundle/..%2Flog.jsonl",
        "/case/stolen_bicycle/bundle/log.jsonl",
        "/case/stolen_bicycle/picture/99.jpg",
        "/case/stolen_bicycle/picture/..%2f..%2flog.jpg",
    ],
)
def test_no_other_file_is_reachable(client, case, path):
    assert client.get(path).status_code == 404
