"""The page in a real browser: looking, finding by a picture, exact frames, correcting, giving a case away."""

import json
import re

import cv2
import numpy as np
import pytest

from tests.browser.conftest import BITS, CELL, LONG_MS
from tracker.casefile.bundle import export
from tracker.casefile.cases import add, find_case, new_case
from tracker.casefile.checking import check
from tracker.cli import main
from tracker.library.store import Library
from tracker.progress import Progress
from tracker.store import Run

expect = pytest.importorskip("playwright.sync_api", reason="pip install 'reidtrack[test]' brings playwright").expect
READ = f"""video => {{
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth || video.naturalWidth, video.videoHeight || video.naturalHeight];
  const ink = canvas.getContext("2d");
  ink.drawImage(video, 0, 0);
  let number = 0;
  for (let bit = 0; bit < {BITS}; bit += 1) {{
    const pixel = ink.getImageData(bit * {CELL} + {CELL} / 2, {CELL} / 2, 1, 1).data;
    if (pixel[0] + pixel[1] + pixel[2] > 382) number += 2 ** bit;
  }}
  return number;
}}"""


def rows_of(served):
    library = Library.open(str(served.folder / "lib"))
    return sorted(library.tracklets.to_arrow().to_pylist(), key=lambda row: row["key"])


def identity_of(served, row):
    return f"/identity/{row['run']}/{row['identity']}"


def is_shown(page, frame):
    """Wait for a frame; what the picture itself says has to agree."""
    expect(page.locator("#player")).to_have_attribute("data-shown", str(frame))
    assert page.locator("#video").evaluate(READ) == frame


def play(page, row):
    page.goto(f"/play/{row['run']}/{row['recording']}?tracklet={row['track_id']}")
    is_shown(page, row["first_frame"])


def number_on(screenshot, width):
    """A frame's number from a picture of the element that shows it; scripts cannot read what comes from files."""
    image = cv2.imdecode(np.frombuffer(screenshot, np.uint8), cv2.IMREAD_GRAYSCALE)
    cell = CELL * image.shape[1] / width
    return sum(int(image[round(cell / 2), round((bit + 0.5) * cell)] > 127) << bit for bit in range(BITS))


# ---- looking


def test_the_wall_shows_everybody_with_cameras_and_times(visitor, served):
    identities = Run.open(served.folder / "monday").identities()
    visitor.goto("/")
    cards = visitor.locator("a.card")
    expect(cards).to_have_count(len(identities))
    for one in identities:
        card = visitor.locator(f"a.card[href$='/{one['identity']}']")
        for camera in one["cameras"]:
            expect(card).to_contain_text(camera)
    for number in range(len(identities)):
        picture = cards.nth(number).locator("img")
        picture.scroll_into_view_if_needed()
        visitor.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture.element_handle())


def until(page, expression):
    """Wait for it to be true; the page's own policy forbids playwright's waiting, which evaluates text in the page."""
    for _ in range(300):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"not within 30 s: {expression}")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 2560), ("light", 420)])
def test_pages_fit_the_window_and_can_be_read(visitor, served, scheme, width):
    row = rows_of(served)[0]
    visitor.emulate_media(color_scheme=scheme)
    visitor.set_viewport_size({"width": width, "height": 900})
    for address in (
        "/",
        identity_of(served, row),
        f"/play/{row['run']}/{row['recording']}?tracklet={row['track_id']}",
        "/find",
        f"/find?like={row['key']}",
        "/recordings",
        "/cases",
    ):
        visitor.goto(address)
        assert visitor.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, address
        ink, ground = visitor.evaluate(
            "(() => { const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]; })()"
        )
        light = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ink, ground)]
        assert (light[0] < light[1]) == (scheme == "light"), address


def test_the_wall_is_walked_by_keys(visitor, served):
    visitor.goto("/")
    visitor.keyboard.press("ArrowRight")
    cards = visitor.locator("a.card")
    expect(cards.first).to_be_focused()
    visitor.keyboard.press("ArrowRight")
    expect(cards.nth(1)).to_be_focused()
    visitor.keyboard.press("ArrowLeft")
    visitor.keyboard.press("?")
    expect(visitor.locator("#keys")).to_be_visible()
    visitor.keyboard.press("Escape")
    address = cards.first.get_attribute("href")
    cards.first.focus()
    visitor.keyboard.press("Enter")
    expect(visitor).to_have_url(re.compile(re.escape(address) + "$"))
    visitor.wait_for_load_state()  # keys before that are lost
    visitor.keyboard.press("g")
    visitor.keyboard.press("f")
    expect(visitor).to_have_url(re.compile("/find$"))
    visitor.wait_for_load_state()
    visitor.keyboard.press("g")
    visitor.keyboard.press("s")
    expect(visitor).to_have_url(re.compile("/cases$"))


# ---- playing


def test_the_player_opens_at_the_sightings_first_frame_and_steps_by_one(visitor, served):
    for row in rows_of(served)[:4]:
        play(visitor, row)
        frame = row["first_frame"]
        for key, by in ((".", 1), (".", 1), (".", 1), (",", -1), (",", -1)):
            visitor.keyboard.press(key)
            frame += by
            is_shown(visitor, frame)


def test_any_frame_is_shown_exactly_also_as_a_picture(visitor, served):
    row = rows_of(served)[0]
    for frame in (1, 57, 200):
        visitor.goto(f"/play/{row['run']}/{row['recording']}?frame={frame}")
        is_shown(visitor, frame)
        picture = visitor.context.new_page()
        picture.goto(f"/frame/{row['run']}/{row['recording']}/{frame}.jpg")
        assert picture.locator("img").evaluate(READ) == frame
        picture.close()


def test_it_plays_and_stops_by_the_space_bar(visitor, served):
    row = rows_of(served)[0]
    play(visitor, row)
    visitor.keyboard.press(" ")
    until(visitor, f"document.getElementById('player').dataset.shown > {row['first_frame'] + 5}")
    visitor.keyboard.press(" ")
    until(visitor, "document.getElementById('video').paused")
    until(
        visitor,
        f"({READ})(document.getElementById('video')) === Number(document.getElementById('player').dataset.shown)",
    )


def test_the_next_sighting_is_the_persons_next_camera(visitor, served):
    person = next(one for one in Run.open(served.folder / "monday").identities() if len(one["cameras"]) > 1)
    rows = sorted(
        (row for row in rows_of(served) if row["identity"] == person["identity"]), key=lambda row: row["start_s"]
    )
    play(visitor, rows[0])
    visitor.keyboard.press("n")
    expect(visitor).to_have_url(re.compile(f"tracklet={rows[1]['track_id']}"))
    is_shown(visitor, rows[1]["first_frame"])
    visitor.keyboard.press("p")
    is_shown(visitor, rows[0]["first_frame"])
    visitor.keyboard.press("n")
    is_shown(visitor, rows[1]["first_frame"])
    visitor.keyboard.press("g")
    visitor.keyboard.press("p")
    expect(visitor).to_have_url(f"{served.address}/")


def test_a_person_in_a_frame_is_clicked_and_named(visitor, served):
    row = max(rows_of(served), key=lambda row: row["boxes"])
    play(visitor, row)
    found = visitor.request.get(
        f"/moments/{row['run']}/{row['recording']}.json?first={row['first_frame']}&count=1"
    ).json()
    box = next(one for one in found["boxes"] if one[6] == row["track_id"])
    stage = visitor.locator("#video").bounding_box()
    size = visitor.locator("#video").evaluate("video => [video.videoWidth, video.videoHeight]")
    scale = min(stage["width"] / size[0], stage["height"] / size[1])  # the picture is in the middle of the element
    left, top = (
        stage["x"] + (stage["width"] - size[0] * scale) / 2,
        stage["y"] + (stage["height"] - size[1] * scale) / 2,
    )
    visitor.mouse.click(left + (box[1] + box[3] / 2) * scale, top + (box[2] + box[4] / 2) * scale)
    expect(visitor.locator("#menu")).to_contain_text(f"Person #{row['identity']}")
    expect(visitor.locator("#menu")).to_contain_text("Find everywhere")


# ---- finding


def test_an_uploaded_picture_finds_the_right_person_in_both_cameras(visitor, served):
    visitor.goto("/")
    visitor.locator("#quick-file").set_input_files(served.picture)
    first = visitor.locator("li.hit").first
    expect(first).to_be_visible(timeout=LONG_MS)
    expect(first.locator(".title")).to_have_text(f"monday #{served.identities[1]}")
    cameras = next(
        one["cameras"]
        for one in Run.open(served.folder / "monday").identities()
        if one["identity"] == served.identities[1]
    )
    assert len(cameras) == 2
    for camera in cameras:
        expect(first.locator(".where-list")).to_contain_text(camera)
    meters = [
        float(value)
        for value in visitor.locator("li.hit > div > p > meter").evaluate_all("all => all.map(one => one.value)")
    ]
    assert meters == sorted(meters, reverse=True)
    assert meters[0] > 0.5


def test_a_picture_is_dropped_anywhere(visitor, served):
    visitor.goto("/corrections")
    files = visitor.evaluate_handle(
        """bytes => {
          const files = new DataTransfer();
          files.items.add(new File([new Uint8Array(bytes)], "person.jpg", { type: "image/jpeg" }));
          return files;
        }""",
        list(served.picture.read_bytes()),
    )
    visitor.dispatch_event("main", "dragover", {"dataTransfer": files})
    expect(visitor.locator("#drop")).to_be_visible()
    visitor.dispatch_event("main", "drop", {"dataTransfer": files})
    expect(visitor.locator("figure.example figcaption")).to_have_text("person.jpg", timeout=LONG_MS)


def test_a_sightings_person_is_found_in_the_other_camera(visitor, served):
    row = next(row for row in rows_of(served) if row["identity"] == served.identities[1])
    visitor.goto(identity_of(served, row))
    visitor.keyboard.press("f")
    expect(visitor.locator("li.hit .title").first).to_have_text(f"monday #{served.identities[1]}")
    expect(visitor.locator(".tell")).to_contain_text(f"Looked through {len(people_of(served))} people")


# ---- correcting


def corrected(page, button):
    """Press it and wait until the run is linked again and the library has followed."""
    button.click()
    expect(page).to_have_url(re.compile("/jobs/|/identity/|/$"))
    expect(page).not_to_have_url(re.compile("/jobs/"), timeout=LONG_MS)


def people_of(served):
    """Members by identity, as the run says."""
    return {
        one["identity"]: {member["tracklet"] for member in one["tracklets"]}
        for one in Run.open(served.folder / "monday").identities()
    }


def undo_all(page):
    page.goto("/corrections")
    while page.get_by_role("button", name="Undo").count():
        corrected(page, page.get_by_role("button", name="Undo").first)
        page.goto("/corrections")


def test_corrections_change_the_page_and_the_run_and_can_be_undone(visitor, served):
    before = people_of(served)
    mine = served.identities[1]
    rows = {f"{row['recording']}/{row['track_id']}": row for row in rows_of(served)}
    left, right = sorted(before[mine])

    visitor.goto(identity_of(served, rows[left]))
    corrected(visitor, visitor.get_by_role("button", name="Different people").first)
    apart = people_of(served)
    assert {left} in apart.values()
    assert {right} in apart.values()
    visitor.goto("/")
    expect(visitor.locator("a.card")).to_have_count(len(before) + 1)

    lone = next(names for number, names in apart.items() if len(names) == 1 and not names & {left, right})
    (poster,) = lone
    visitor.goto(f"/identity/{rows[poster]['run']}/{rows[poster]['identity']}")
    corrected(visitor, visitor.get_by_role("button", name="Not a person").first)
    assert lone not in people_of(served).values()
    visitor.goto("/")
    expect(visitor.locator("a.card")).to_have_count(len(before))

    visitor.goto("/corrections")
    expect(visitor.locator("tbody tr")).to_have_count(2)
    expect(visitor.locator("tbody")).to_contain_text(f"{poster} is nobody")
    undo_all(visitor)
    assert people_of(served) == before
    visitor.goto("/")
    expect(visitor.locator("a.card")).to_have_count(len(before))


def test_two_sightings_are_compared_and_said_to_be_one_person(visitor, served):
    before = people_of(served)
    rows = {f"{row['recording']}/{row['track_id']}": row for row in rows_of(served)}
    lone = next(number for number, names in before.items() if len(names) == 1)
    (alone,) = before[lone]
    other = next(
        name
        for number, names in before.items()
        for name in sorted(names)
        if len(names) > 1 and rows[name]["recording"] != rows[alone]["recording"]
        and not any(overlapping(rows[one], rows[alone]) for one in names)
    )  # fmt: skip
    visitor.goto(f"/compare?a={rows[alone]['key']}&b={rows[other]['key']}")
    expect(visitor.locator(".verdict strong")).to_be_visible(timeout=LONG_MS)
    corrected(visitor, visitor.get_by_role("button", name="Same person"))
    joined = next(names for names in people_of(served).values() if alone in names)
    assert other in joined
    expect(visitor.locator("h1")).to_contain_text("monday #")
    expect(visitor.locator("article.sighting")).to_have_count(len(joined))
    undo_all(visitor)
    assert people_of(served) == before


def overlapping(one, other):
    """Whether two sightings of one camera share a moment."""
    return one["camera"] == other["camera"] and one["start_s"] <= other["end_s"] and other["start_s"] <= one["end_s"]


# ---- a case


def test_chosen_sightings_are_noted_exported_and_verified(visitor, served, tmp_path, capsys):
    first, second, *_ = rows_of(served)
    visitor.goto("/cases")
    visitor.get_by_label("Name").fill("Stolen bicycle")
    visitor.get_by_role("button", name="Begin").click()
    for row in (first, second):
        visitor.goto(identity_of(served, row))
        key = f"form:has(input[value='{row['key']}'])"
        visitor.locator(key).get_by_role("button", name="Into the tray").first.click()
        expect(visitor.get_by_text("In the tray of")).to_be_visible()
    expect(visitor.locator("a.tray")).to_contain_text("Stolen bicycle (2)")
    visitor.locator("a.tray").click()
    visitor.get_by_label("Note on sighting 1").fill("red <jacket>")
    visitor.get_by_label("Note on the case").fill("seen twice")
    visitor.get_by_role("heading", name="Stolen bicycle").click()
    expect(visitor.get_by_text("kept,")).to_have_count(2)
    visitor.reload()
    expect(visitor.get_by_label("Note on sighting 1")).to_have_value("red <jacket>")

    visitor.get_by_role("button", name="Export").click()
    expect(visitor).to_have_url(re.compile("/case/stolen_bicycle"), timeout=LONG_MS)
    with visitor.expect_download() as download:
        visitor.locator(".bundles a").first.click()
    path = tmp_path / "bundle.zip"
    download.value.save_as(path)
    seal = visitor.locator(".bundles code").first.text_content()
    assert main(["verify", str(path), "--seal", seal]) == 0
    assert check(path, None, Progress(quiet=True)).seal == seal


def test_a_part_of_a_sighting_is_marked_and_chosen_by_keys(visitor, served):
    library = Library.open(str(served.folder / "lib"))
    new_case(library.name, "Parts")
    row = max(rows_of(served), key=lambda row: row["boxes"])
    play(visitor, row)
    for key in (*"..", "i", *"....", "o"):
        visitor.keyboard.press(key)
        if key in ".":
            visitor.wait_for_timeout(300)
    first, last = row["first_frame"] + 2, row["first_frame"] + 6
    expect(visitor.locator("#part-told")).to_contain_text(f"frames {first} to {last}")
    visitor.keyboard.press("t")
    expect(visitor.locator("#kept")).to_contain_text("In the tray of Parts, 1")
    visitor.get_by_role("button", name="The whole sighting").click()
    visitor.keyboard.press("t")
    expect(visitor.locator("#kept")).to_contain_text("In the tray of Parts, 2")
    part, whole = find_case(library.name, "Parts").sightings
    begin = whole.begin_s
    moments = visitor.request.get(f"/moments/{row['run']}/{row['recording']}.json?first={first}&count=5").json()[
        "times"
    ]
    assert (part.begin_s, part.end_s) == pytest.approx((moments[0], moments[-1]), abs=1e-6)
    assert whole.end_s - begin == pytest.approx(row["length_s"])


def test_an_exported_page_shows_its_clips_without_the_server(chromium, served, tmp_path):
    library = Library.open(str(served.folder / "lib"))
    case = new_case(library.name, "Offline")
    row = rows_of(served)[0]
    add(case, library, row["key"])
    made = export(library, find_case(library.name, "Offline"), tmp_path / "out", Progress(quiet=True), 0.5)
    with chromium.new_context(offline=True) as context:
        page = context.new_page()
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((made.path / "index.html").as_uri())
        video = page.locator("video").first
        page.wait_for_function("video => video.readyState >= 2", arg=video.element_handle())
        rate = 20 if row["recording"] == "lobby" else 15
        size = video.evaluate("video => video.videoWidth")
        assert number_on(video.screenshot(), size) == max(row["first_frame"] - round(0.5 * rate), 1)
        assert all(url.startswith(("file:", "data:")) for url in asked)
        facts = json.loads((made.path / "manifest.json").read_text())
        expect(page.get_by_text(facts["recordings"][0]["sha256"]).first).to_be_visible()
