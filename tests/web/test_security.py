"""Who may see and change what: tokens, other sites, other names, paths, bodies, headers."""

import asyncio
import html
import threading
from dataclasses import replace
from urllib.parse import quote

import pyarrow as pa
import pytest
from fastapi import HTTPException

from tests.library.conftest import add, made_up
from tests.web.conftest import HERE, rows, run_of, secret, visiting
from tests.web.test_pages import Page
from tracker.casefile.cases import list_cases
from tracker.web import security
from tracker.web.app import ROUTERS
from tracker.web.security import HEADERS, MAX_BODY

TOKEN = "a token that is long"


@pytest.fixture
def small(tmp_path):
    add(tmp_path / "lib", made_up("aaaa", 8))
    return tmp_path / "lib"


# ---- the token


def test_without_the_token_nothing_is_seen(small):
    with visiting(small, TOKEN) as client:
        key = rows(client)[0]["key"]
        for address in ("/", "/find", f"/crop/{key}.jpg", "/recordings", "/video/aaaa/gate", "/jobs/x", "/nothing"):
            answer = client.get(address)
            assert answer.status_code == 401, address
            assert "aaaa" not in answer.text
        assert client.post("/correct", data={"kind": "nobody", "run": "aaaa"}).status_code == 401
        assert client.get("/static/page.css").status_code == 200


def test_the_token_in_the_address_lets_in_once_and_vanishes_from_it(small):
    with visiting(small, TOKEN) as client:
        answer = client.get("/", params={"token": TOKEN, "sort": "last"})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/?sort=last"
        cookie = answer.headers["set-cookie"]
        assert TOKEN not in cookie
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert client.get("/").status_code == 200


@pytest.mark.parametrize("given", ["", "a", TOKEN + "x", TOKEN[:-1], "ä"])
def test_another_token_does_not_let_in(small, monkeypatch, given):
    monkeypatch.setattr("tracker.web.entrance.PAUSE_S", 0)
    with visiting(small, TOKEN) as client:
        assert client.get("/", params={"token": given}).status_code == 401
        assert client.post("/login", data={"token": given}).status_code == 401
        assert client.get("/", headers={"cookie": f"reidtrack={given.encode().hex()}"}).status_code == 401
        assert client.get("/").status_code == 401


def test_the_entrance_page_takes_the_token(small):
    with visiting(small, TOKEN) as client:
        assert client.post("/login", data={"token": TOKEN}).headers["location"] == "/"
        assert client.get("/").status_code == 200


def test_the_token_never_sends_anybody_to_another_site(small):
    with visiting(small, TOKEN) as client:
        for path in ("//elsewhere.example/", "/%2F/elsewhere.example", "/\\elsewhere.example"):
            client.cookies.clear()
            answer = client.get(f"{HERE}{path}", params={"token": TOKEN})
            assert not answer.headers["location"].startswith(("//", "/\\", "http")), path


# ---- other sites


def posts():
    """Every address that takes something, filled with anything."""
    routes = [route for router in ROUTERS for route in router.routes if set(route.methods) - {"GET", "HEAD"}]
    return [(route.path.replace("{", "").replace("}", ""), sorted(route.methods)) for route in routes]


def test_what_changes_something_takes_our_own_forms_only(client):
    addresses = posts()
    assert {"/correct", "/find", "/reindex"} <= {address for address, _ in addresses}
    for address, methods in addresses:
        assert methods == ["POST"]
        if address == "/login":
            continue
        for data in ({}, {"csrf": ""}, {"csrf": "x" * 43}):
            answer = client.post(address, data={"kind": "nobody", "run": "x", "name": "x", **data})
            assert answer.status_code in (400, 403), (address, data)
            assert answer.status_code == 403 or "is not understood" not in answer.text
        answer = client.post(address, json={"csrf": secret(client)})
        assert answer.status_code in (400, 403), address


def test_a_form_without_its_secret_is_refused_before_anything_is_done(client):
    run = run_of(client, "monday")
    answer = client.post("/correct", data={"kind": "nobody", "run": run, "tracklet": "a/1", "csrf": "x"})
    assert answer.status_code == 403
    assert client.site.jobs.current() == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),
        ({"origin": HERE}, 404),
        ({"origin": HERE, "sec-fetch-site": "same-origin"}, 404),
        ({"origin": "http://elsewhere.example"}, 403),
        ({"origin": "http://localhost.elsewhere.example"}, 403),
        ({"origin": "http://localhost:81"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
    ],
)
def test_other_sites_cannot_send_anything_even_with_the_secret(client, headers, status):
    data = {"run": "nobody", "csrf": secret(client)}
    assert client.post("/reindex", data=data, headers=headers).status_code == status


# ---- other names


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST"])
def test_this_machines_own_names_are_answered(client, host):
    assert client.get("/recordings", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["elsewhere.example", "elsewhere.example:8000", "localhost.elsewhere.example", ""])
def test_a_name_of_another_site_is_not_answered(client, host):
    answer = client.get("/recordings", headers={"host": host})
    assert answer.status_code == 421
    assert "monday" not in answer.text


def test_with_a_token_any_name_will_do(small):
    with visiting(small, TOKEN, base_url="http://gate.example") as client:
        assert client.get("/", params={"token": TOKEN}).status_code == 303
        assert client.get("/").status_code == 200


# ---- headers


def test_every_answer_is_locked_down(client):
    row = rows(client)[0]
    addresses = ["/", "/nothing", f"/crop/{row['key']}.jpg", "/static/page.js", "/find?words=x"]
    answers = [client.get(address) for address in addresses]
    answers += [client.post("/find"), client.get("/", headers={"host": "elsewhere.example"})]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert answer.headers["cache-control"]
    assert "default-src 'self'" in HEADERS["Content-Security-Policy"]
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert client.get("/").headers["cache-control"] == "no-store"


def test_nothing_describes_the_interface_from_elsewhere(client):
    for address in ("/docs", "/redoc", "/openapi.json"):
        assert client.get(address).status_code == 404


# ---- bodies


def test_a_body_that_is_too_long_is_refused_whatever_it_says_of_its_length(client, monkeypatch):
    assert client.post("/find", headers={"content-length": str(MAX_BODY + 1)}).status_code == 413
    assert client.post("/find", headers={"content-length": "-1"}).status_code == 413

    def endless():
        for _ in range(MAX_BODY // 1_000_000 + 2):
            yield b"x" * 1_000_000

    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = client.post("/find", content=endless(), headers=kind)
    assert answer.status_code == 413


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(security, "PATIENCE_S", 0.2)
    sent, first = [], threading.Event()

    async def receive():
        if not first.is_set():
            first.set()
            return {"type": "http.request", "body": b"x" * 100, "more_body": True}
        return await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    async def app(scope, receive, send):
        while (await receive()).get("more_body"):
            pass

    scope = {"type": "http", "method": "POST", "path": "/find", "query_string": b"", "headers": []}
    with pytest.raises(HTTPException) as refused:
        asyncio.run(asyncio.wait_for(security.Guard(app, None)(scope, receive, send), 30))
    assert refused.value.status_code == 408
    assert "too slowly" in refused.value.detail


def test_a_file_is_not_asked_for_in_a_thousand_parts(client):
    address = f"/video/{run_of(client, 'monday')}/a"
    many = ",".join(f"{at}-{at}" for at in range(0, 2000, 2))
    assert client.get(address, headers={"range": f"bytes={many}"}).status_code == 416
    assert client.get(address, headers={"range": "bytes=0-9,20-29"}).status_code == 206


# ---- names

HOSTILE = """"><script>pwned()</script><img src=x onerror=pwned()>' & #?%41{{7*7}}"""


def test_names_of_others_are_shown_as_text_and_nothing_else(tmp_path):
    made = made_up("aaaa", 8)
    texts = {"recording": HOSTILE.replace("/", "|"), "camera": HOSTILE}
    lines = [
        row | texts | {"key": f"aaaa/{texts['recording']}/{row['track_id']}"} for row in made.tracklets.to_pylist()
    ]
    vectors = made.vectors.set_column(
        made.vectors.schema.get_field_index("key"),
        "key",
        [[f"aaaa/{texts['recording']}/{key.rpartition('/')[2]}" for key in made.vectors["key"].to_pylist()]],
    )
    entry = replace(made.entry, path=f"/runs/{HOSTILE.replace('/', '|')}")
    add(
        tmp_path / "lib",
        replace(made, entry=entry, tracklets=pa.Table.from_pylist(lines, made.tracklets.schema), vectors=vectors),
    )
    with visiting(tmp_path / "lib") as client:
        row, csrf = rows(client)[0], secret(client)
        key = row["key"]
        client.post("/cases", data={"csrf": csrf, "name": HOSTILE[:60]})
        client.post("/tray", data={"csrf": csrf, "key": key, "query": HOSTILE, "probability": "0.5"})
        (case,) = list_cases(str(tmp_path / "lib"))
        for number in ("1", ""):
            client.post(f"/case/{case.folder.name}/note", data={"csrf": csrf, "number": number, "text": HOSTILE})
        quoted = quote(key, safe="")
        for address in (
            "/", f"/?camera={quote(HOSTILE)}", f"/?from={quote(HOSTILE)}", f"/identity/aaaa/{row['identity']}",
            f"/find?like={quoted}", f"/find?words={quote(HOSTILE)}", f"/compare?a={quoted}&b={quoted}", "/cases",
            f"/play/aaaa/{quote(row['recording'], safe='')}?tracklet={row['track_id']}",
            f"/case/{case.folder.name}", "/recordings", "/corrections", f"/jobs/{quote(HOSTILE, safe='')}",
        ):  # fmt: skip
            page = Page(client.get(address).text)
            assert page.script == "", address
            assert page.open == [], address
            for tag, attrs in page.elements:
                assert not [name for name in attrs if name.startswith("on")], (address, attrs)
                assert tag != "img" or attrs["src"].startswith("/"), (address, attrs)
        assert page_shows(client, "/", HOSTILE)
        assert page_shows(client, f"/case/{case.folder.name}", HOSTILE)


def page_shows(client, address, text):
    """Whether a page's text, as a reader sees it, holds something."""
    return text in html.unescape(client.get(address).text)


# ---- paths

CLIMBS = ["%2e%2e", "%2e%2e%2f", "..%2f..%2f", "%252e%252e", "....", "..%5c", "%2fetc%2fpasswd", "/etc/passwd", "a%00b"]


@pytest.mark.parametrize("climb", CLIMBS)
@pytest.mark.parametrize(
    "address",
    [
        "/static/{}/app.py", "/static/{}", "/crop/{}/a/1.jpg", "/crop/RUN/{}/1.jpg", "/crop/RUN/{}/1/1.jpg",
        "/frame/RUN/{}/1.jpg", "/video/RUN/{}", "/video/{}/a", "/stream/RUN/{}.mp4", "/moments/RUN/{}.json",
        "/play/RUN/{}", "/find/x/{}.jpg", "/identity/{}/1",
    ],
)  # fmt: skip
def test_no_address_climbs_out_of_the_library(client, address, climb):
    answer = client.get(HERE + address.replace("RUN", run_of(client, "monday")).format(climb))
    assert answer.status_code in (400, 404)
    assert "root:" not in answer.text
    assert "import" not in answer.text


def test_a_link_out_of_a_run_is_not_followed(changeable):
    with visiting(changeable / "lib") as client:
        (changeable / "secret").write_text("a secret of this machine")
        run = run_of(client, "monday")
        row = next(row for row in rows(client) if row["run"] == run)
        crop = changeable / "monday" / row["crop"]
        address = f"/crop/{row['run']}/{row['recording']}/{row['track_id']}/{int(crop.stem.split('_')[1])}.jpg"
        assert client.get(address).content == crop.read_bytes()
        crop.unlink()
        crop.symlink_to(changeable / "secret")
        answer = client.get(address)
        assert answer.status_code == 404
        assert "secret of" not in answer.text


def test_a_file_in_a_recordings_place_is_not_sent(changeable):
    with visiting(changeable / "lib") as client:
        run = run_of(client, "monday")
        size = (changeable / "a.mp4").stat().st_size
        for content in (b"a secret", b"a secret".ljust(size)):
            (changeable / "a.mp4").write_bytes(content)
            for address in (f"/video/{run}/a", f"/stream/{run}/a.mp4", f"/frame/{run}/a/1.jpg"):
                answer = client.get(address)
                assert answer.status_code == 409, (address, answer.text)
                assert b"secret" not in answer.content
