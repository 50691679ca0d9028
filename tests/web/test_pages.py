"""Every page: it renders, loads nothing from elsewhere, runs nothing inline, and says who is where."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.library.conftest import add, made_up
from tests.web.conftest import rows, run_of, visiting
from tracker.library.indexing import remove
from tracker.store import Run

STATIC = Path(__file__).parents[2] / "tracker/web/static"
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Page(HTMLParser):
    """What a page holds: elements with their attributes, and whether all are closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.script = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{tag} closed out of turn"

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            self.script += data.strip()


def addresses(page):
    return [
        (tag, value)
        for tag, attrs in page.elements
        for name, value in attrs.items()
        if name in ("href", "src", "action", "hx-get", "hx-post", "poster", "data", "srcset") and value
    ]


def pages(client):
    """The addresses of one of each kind of page."""
    monday = run_of(client, "monday")
    one, other = [row for row in rows(client) if row["run"] == monday][:2]
    keys = [f"{row['run']}/{row['recording']}/{row['track_id']}" for row in (one, other)]
    photo = next(row for row in rows(client) if row["photo"])
    return [
        "/",
        f"/?camera={one['camera']}&sort=last&from=0&min_length=0.1",
        f"/identity/{monday}/{one['identity']}",
        f"/identity/{photo['run']}/{photo['identity']}",
        f"/play/{monday}/{one['recording']}?tracklet={one['track_id']}",
        f"/play/{monday}/{one['recording']}",
        f"/play/{photo['run']}/{photo['recording']}?tracklet={photo['track_id']}",
        "/find",
        f"/find?like={keys[0]}&unlike={keys[1]}&top=20",
        "/find?words=black+top",
        f"/compare?a={keys[0]}&b={keys[1]}",
        f"/compare?a={keys[0]}&b={photo['key']}",
        "/recordings",
        "/corrections",
    ]


def test_every_page_renders_and_stands_alone(client):
    for address in pages(client):
        answer = client.get(address)
        assert answer.status_code == 200, (address, answer.text)
        page = Page(answer.text)
        assert page.open == [], address
        assert page.script == "", address
        for _, attrs in page.elements:
            assert not [name for name in attrs if name.startswith("on") or name == "style"], address
        for tag, value in addresses(page):
            parts = urlsplit(value)
            assert not parts.netloc, (address, tag, value)
            assert not parts.scheme, (address, tag, value)


def test_pages_can_be_read_without_eyes_and_hands(client):
    for address in pages(client):
        page = Page(client.get(address).text)
        assert [attrs for tag, attrs in page.elements if tag == "html"] == [{"lang": "en"}]
        assert len([tag for tag, _ in page.elements if tag == "h1"]) == 1, address
        assert all("alt" in attrs for tag, attrs in page.elements if tag == "img"), address


def test_every_link_of_a_page_leads_somewhere(client):
    seen = set()
    for address in pages(client):
        for tag, value in addresses(Page(client.get(address).text)):
            if tag in ("a", "img", "link", "script") and not value.startswith("#"):
                seen.add(value)
    shorter = sorted(seen)[:: max(len(seen) // 60, 1)]
    assert len(shorter) > 30
    for value in shorter:
        assert client.get(value).status_code in (200, 303), value


def test_our_own_files_name_no_other_host():
    for path in STATIC.iterdir():
        if path.name not in ("htmx.min.js", "htmx.LICENSE.txt"):
            names = re.findall(r"https?://[^\s\"')]*", path.read_text(encoding="utf-8"))
            assert set(names) <= {"http://www.w3.org/2000/svg"}, path


def test_the_wall_shows_everybody_in_the_order_asked_for(client):
    expected = {(row["run"], row["identity"]) for row in rows(client)}
    text = client.get("/").text
    assert f"<h1>{len(expected)} people</h1>" in text
    cards = [attrs["href"] for tag, attrs in Page(text).elements if tag == "a" and attrs.get("class") == "card"]
    assert {f"/identity/{run}/{identity}" for run, identity in expected} == set(cards)
    seconds = {}
    for row in rows(client):
        seconds[row["run"], row["identity"]] = seconds.get((row["run"], row["identity"]), 0) + row["length_s"]
    listed = [seconds[part.split("/")[2], int(part.split("/")[3])] for part in cards]
    assert listed == sorted(listed, reverse=True)


def test_a_wall_of_many_comes_in_pages_that_follow_each_other(tmp_path):
    add(tmp_path / "lib", made_up("aaaa", 400), made_up("bbbb", 300, seed=1))
    with visiting(tmp_path / "lib") as client:
        found, address, part = [], "/?sort=last", {}
        while address:
            page = Page(client.get(address, headers=part).text)
            cards = [a["href"] for tag, a in page.elements if tag == "a" and a.get("class") == "card"]
            assert len(cards) <= 60
            found += cards
            part = {"hx-request": "true"}
            address = next((a["href"] for tag, a in page.elements if "more" in a.get("class", "").split()), None)
        expected = {f"/identity/{row['run']}/{row['identity']}" for row in rows(client)}
        assert len(found) == len(set(found))
        assert set(found) == expected
        assert len(found) > 120


def test_a_part_is_only_what_is_put_into_the_page(client):
    assert "<html" not in client.get("/", headers={"hx-request": "true"}).text


def test_an_identity_says_when_where_why_and_who_else(client):
    monday = run_of(client, "monday")
    folder = client.site.library().meta.runs[monday].path
    for one in Run.open(folder).identities():
        text = client.get(f"/identity/{monday}/{one['identity']}").text
        for member in one["tracklets"]:
            assert member["tracklet"] in text
            assert f"/crop/{monday}/{member['tracklet']}.jpg" in text
        assert text.count('class="seen"') == len(one["tracklets"])
        assert ("Why they are one person" in text) == bool(one["links"])
        assert text.count(">Different people<") == len(one["links"])
        assert text.count(">Same person<") == len(one["rivals"])


def test_an_empty_library_says_how_to_fill_it(tmp_path):
    add(tmp_path / "lib", made_up("aaaa", 4))
    remove(str(tmp_path / "lib"), ["aaaa"], print)
    with visiting(tmp_path / "lib") as client:
        assert "reidtrack index" in client.get("/").text
        assert client.get("/recordings").status_code == 200
        assert "reidtrack index" in client.get("/find?words=red+top").text


def test_a_run_whose_folder_has_gone_still_shows_the_librarys_own_pictures(tmp_path):
    add(tmp_path / "lib", made_up("aaaa", 8))
    with visiting(tmp_path / "lib") as client:
        row = rows(client)[0]
        text = client.get(f"/identity/aaaa/{row['identity']}").text
        assert "/runs/aaaa: the run&#39;s folder is gone" in text
        assert "folder is gone" in client.get("/recordings").text
        answer = client.get(f"/play/aaaa/{row['recording']}?tracklet={row['track_id']}")
        assert answer.status_code == 409
        assert "folder is gone" in answer.text


def test_of_a_long_recording_those_near_the_frame_are_listed(client, monkeypatch):
    monkeypatch.setattr("tracker.web.player.LISTED", 1)
    monday = run_of(client, "monday")
    own = sorted(
        (row["first_frame"], row["key"]) for row in rows(client) if (row["run"], row["recording"]) == (monday, "a")
    )
    assert len(own) > 1
    text = client.get(f"/play/{monday}/a?frame={own[-1][0]}").text
    assert f"{len(own)} sightings; the 1 nearest to frame {own[-1][0]}" in text
    chips = [a["href"] for tag, a in Page(text).elements if tag == "a" and a.get("class") == "chip"]
    assert len(chips) == 1
    assert chips[0].startswith(f"/play/{monday}/a?tracklet=")


def test_what_changes_in_the_library_shows_without_a_restart(tmp_path):
    add(tmp_path / "lib", made_up("aaaa", 8))
    with visiting(tmp_path / "lib") as client:
        before = client.get("/").text
        add(tmp_path / "lib", made_up("bbbb", 8))
        client.site.library(fresh=True)
        assert "in 2 runs" in client.get("/").text
        assert "in 1 run" in before


@pytest.mark.parametrize(
    "address",
    [
        "/nothing", "/identity/x/1", "/identity/x/y", "/find/x", "/jobs/x", "/play/x/y", "/compare?a=x&b=y", "/compare",
        "/play/x/y?frame=-1", "/moments/x/y.json?first=0", "/?after=nonsense&sort=nonsense&camera=nobody",
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_so_in_words(client, address):
    answer = client.get(address)
    assert answer.status_code == (200 if address.startswith("/?") else 404)
    assert "Traceback" not in answer.text
    assert "<h1>" in answer.text


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/?from=noon", "neither a clock time"),
        ("/?from=9&to=8", "later than"),
        ("/?min_length=long", "no number of seconds"),
        ("/?min_length=-1", "is no length"),
        ("/find?words=shiny", "is not understood"),
    ],
)
def test_filters_that_make_no_sense_are_said_so(client, address, said):
    answer = client.get(address)
    assert said in answer.text
