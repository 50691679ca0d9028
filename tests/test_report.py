"""The page of a run: what is on it, that nothing is loaded or smuggled in, that it stays small."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from tracker.errors import RunError
from tracker.report import sureness, write_report
from tracker.timeline import duration
from tracker.types import Crop, Identity, Link, Recording, Rival, Tracklet, TrackletKey

VOID = {"meta", "img", "input", "br", "link"}


class Page(HTMLParser):
    """Every element with its attributes and text; complains about tags that do not match."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements = []
        self._open = []
        self.feed(self.source)
        assert not self._open

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, "text": "", **dict(attributes)}
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self._open[4:] or self._open:  # below html, body, main and ol, whose text nobody asks for
            element["text"] += data

    def all(self, tag, **wanted):
        return [e for e in self.elements if e["tag"] == tag and all(e.get(k) == v for k, v in wanted.items())]

    def person(self, number):
        (row,) = self.all("li", id=f"person-{number}")
        return " ".join(row["text"].split())


def jpeg(shade, size=(240, 100)):
    return cv2.imencode(".jpg", np.full((*size, 3), shade, np.uint8))[1].tobytes()


def tracklet(recording, number, start, camera=None, crops=2, length=4.0, size=(240, 100)):
    count = 20
    kept = tuple(
        Crop(3 + row, 0.5 + row / 20, jpeg((10 * number + row + 100 * (recording == "hall")) % 256, size))
        for row in range(crops)
    )
    return Tracklet(
        key=TrackletKey(recording, number),
        camera=camera or recording,
        index=np.arange(1, count + 1),
        time_s=start + np.linspace(0, length, count),
        xyxy=np.zeros((count, 4), np.float32),
        score=np.ones(count, np.float32),
        crops=kept,
    )


def recording(name, camera=None, path="clip.mp4", start=0.0):
    return Recording(name, camera or name, Path(path), "00", start)


def run(start=0.0):
    """Person 1 on one camera, person 2 on two by a link of 0.934, person 3 on two by links of 0.9999 and 0.62."""
    first, second, third = tracklet("door", 1, start), tracklet("door", 2, start + 5), tracklet("hall", 1, start + 15)
    fourth, fifth, sixth = (
        tracklet("hall", 2, start + 20), tracklet("door", 3, start + 30), tracklet("hall", 3, start + 62),
    )  # fmt: skip
    identities = [
        Identity(1, (first.key,), ()),
        Identity(2, (second.key, third.key), (Link(second.key, third.key, 0.2, 0.125, 0.934),)),
        Identity(
            3,
            (fourth.key, fifth.key, sixth.key),
            (Link(fourth.key, fifth.key, 0.05, 0.05, 0.9999), Link(fifth.key, sixth.key, 0.4567, 0.321, 0.62)),
        ),
    ]
    return [recording("door", start=start), recording("hall", start=start)], [
        first, second, third, fourth, fifth, sixth,
    ], identities  # fmt: skip


def page(folder, recordings, tracklets, identities, facts=None, title="Night", **options):
    path = folder / "report.html"
    write_report(path, title, recordings, tracklets, identities, facts or {"Detector": "none"}, **options)
    made = Page(path)
    names = [e["id"] for e in made.elements if "id" in e]
    assert len(names) == len(set(names)), "ids are unique"
    assert {e["href"][1:] for e in made.elements if "href" in e} <= set(names), "links lead somewhere on the page"
    assert not re.findall(r"https?:|url\(|@import|fetch\(", made.source)
    assert all(e["src"].startswith("data:image/jpeg;base64,") for e in made.elements if "src" in e)
    assert not [e for e in made.elements if e["tag"] in {"link", "iframe", "object", "embed", "base"}]
    assert len(made.all("script")) == 1
    return made


def test_one_row_per_identity_those_across_cameras_first(tmp_path):
    made = page(tmp_path, *run())
    assert [row["data-id"] for row in made.all("li", **{"class": "person"})] == ["2", "3", "1"]
    counts = [cell["text"] for cell in made.all("dd")[:5]]
    assert counts == ["2", "2", "6", "3", "2"]  # recordings, cameras, tracklets, people, people across cameras
    assert "Detector" in made.source


def test_rivals_are_told_with_what_speaks_against_them(tmp_path):
    recordings, tracklets, (one, two, three) = run()
    second, fourth = tracklets[1].key, tracklets[3].key
    two = replace(two, rivals=(Rival(3, 0.417, second, fourth, "both were seen at one moment"),))
    three = replace(three, rivals=(Rival(2, 0.012, fourth, second),))
    made = page(tmp_path, recordings, tracklets, [one, two, three])
    rows = [row["aria-label"] for row in made.all("div", **{"class": "scroll"}) if "might be" in row["aria-label"]]
    assert rows == ["Who else person 2 might be", "Who else person 3 might be"]
    text = " ".join(made.source.split())
    assert "looks like person 3 too, 42%" in text
    assert "looks like person 2 too" not in text  # not likely enough for the headline
    for words in ("both were seen at one moment", "they do not look alike enough", "41.7%", "1.2%"):
        assert f"{words}<" in text


def test_links_say_how_long_is_between_and_what_was_given(tmp_path):
    recordings, tracklets, (one, two, three) = run()
    two = replace(two, links=(replace(two.links[0], given=True, usual_s=(4.0, 61.0)),))
    made = page(tmp_path, recordings, tracklets, [one, two, three])
    assert made.source.count("known beforehand") == 1
    assert made.source.count("usually 0:04.0 to 1:01.0") == 1
    first, last = sorted(tracklets[1:3], key=lambda side: side.start_s)
    assert f">{duration(last.start_s - first.end_s)} apart<" in made.source


def test_the_file_is_replaced_as_a_whole(tmp_path):
    page(tmp_path, [], [], [])
    page(tmp_path, *run())
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"report\.html"):
        write_report(tmp_path / "file" / "report.html", "Night", *run(), {})


def test_every_crop_is_embedded_once_and_small(tmp_path):
    made = page(tmp_path, *run())
    pictures = [image["src"].partition(",")[2] for image in made.all("img")]
    assert len(pictures) == 11  # six tracklets with two crops, less the fourth best of person 3's hall
    assert len(set(pictures)) == len(pictures)
    for picture in pictures:
        shape = cv2.imdecode(np.frombuffer(base64.b64decode(picture), np.uint8), cv2.IMREAD_COLOR).shape
        assert shape == (160, 67, 3)
    assert {image["alt"] for image in made.all("img")} >= {"Person 1, door, 0:00.4", "Person 1, door, 0:00.6"}
    assert all(image["loading"] == "lazy" for image in made.all("img"))
    assert made.all("a", **{"class": "copy"}), "the links' pictures are those of the row"


def test_best_crops_first_and_fairly_shared_between_cameras(tmp_path):
    names = [f"cam{number}" for number in range(8)]
    seen = [tracklet(name, number, 10 * number, crops=5) for number, name in enumerate(names, 1)]
    made = page(tmp_path, [recording(name) for name in names], seen, [Identity(1, tuple(t.key for t in seen), ())])
    taken = [image["alt"] for image in made.all("img")]
    assert len(taken) == 12
    assert all(sum(name in alt for alt in taken) == (2 if number < 4 else 1) for number, name in enumerate(names))
    assert taken[0] == "Person 1, cam0, 0:11.3", "the last crop has the best quality"
    assert "cam0 +3" in made.person(1)


def test_probabilities_and_why(tmp_path):
    made = page(tmp_path, *run())
    assert "one tracklet, nothing linked" in made.person(1)
    assert "%" not in made.person(1)
    assert "93%" in made.person(2)
    assert "Why: 1 link, the weakest 93%" in made.person(2)
    assert "93.4% 0.200 0.125" in made.person(2)
    assert "62% sure it is one person" in made.person(3)
    assert "62.0% 0.457 0.321" in made.person(3)
    assert ">99.9% 0.050 0.050" in made.person(3)
    assert made.person(3).index("62.0%") < made.person(3).index(">99.9%"), "the weakest first"
    assert "calibrated probability that the weakest link joins the same person" in made.source


def test_timelines_share_an_axis(tmp_path):
    made = page(tmp_path, *run())
    titles = [title["text"] for title in made.all("title")[1:]]
    assert len(titles) == 12  # each tracklet in the overview and in its row
    assert titles.count("Person 2: hall, 0:15.0 to 0:19.0 (hall/1)") == 2
    assert {(bar["x"], bar["width"]) for bar in made.all("rect")} >= {("0.00%", "6.06%"), ("93.94%", "6.06%")}
    assert "1:00" in {text["text"] for text in made.all("text")}


def test_people_at_once_in_one_camera_are_drawn_below_each_other(tmp_path):
    seen = [tracklet("door", 1, 0), tracklet("door", 2, 1), tracklet("door", 3, 6)]
    made = page(tmp_path, [recording("door")], seen, [Identity(n, (t.key,), ()) for n, t in enumerate(seen, 1)])
    assert [bar["y"] for bar in made.all("rect")[:3]] == ["1", "17", "1"]


def test_absolute_times_are_utc(tmp_path):
    made = page(tmp_path, *run(start=1714701000.0), absolute=True)  # 2024-05-03 01:50:00
    assert "Times are UTC, 2024-05-03." in made.source
    assert "01:50:05.0 to 01:50:19.0" in made.person(2)
    assert "01:50:30" in {text["text"] for text in made.all("text")}


def test_absolute_times_over_midnight_show_their_day(tmp_path):
    made = page(tmp_path, *run(start=1714694395.0), absolute=True)
    assert "Times are UTC, 2024-05-02 to 2024-05-03." in made.source
    assert "2024-05-03 00:00:00.0 to 2024-05-03 00:00:14.0" in made.person(2)


def test_input_is_escaped(tmp_path):
    evil = "<script>alert('x')</script>\" onload=\"alert(1)"
    seen = [tracklet("a" + evil, 1, 0, camera=evil), tracklet("b", 1, 9)]
    link = Link(seen[0].key, seen[1].key, 0.1, 0.1, 0.9)
    made = page(
        tmp_path,
        [recording("a" + evil, camera=evil, path=f"/videos/{evil}.mp4"), recording("b")],
        seen,
        [Identity(1, tuple(t.key for t in seen), (link,))],
        facts={evil: evil},
        title=evil,
        warnings=[evil],
    )
    assert made.source.count("<script") == 1
    assert not [element for element in made.elements if "onload" in element]
    assert made.all("h1")[0]["text"] == evil
    assert evil in made.person(1)


def test_path_that_is_no_text(tmp_path):
    assert "/videos/b?d.mp4" in page(tmp_path, [recording("a", path="/videos/b\udcffd.mp4")], [], []).source


def test_warnings_come_first(tmp_path):
    made = page(tmp_path, *run(), warnings=["hall.mp4: ends early"])
    assert made.source.index("hall.mp4: ends early") < made.source.index("recordings</dt>")
    assert 'class="warnings"' not in page(tmp_path, *run()).source


@pytest.mark.parametrize("recordings", [[], [recording("door")]])
def test_nobody(tmp_path, recordings):
    made = page(tmp_path, recordings, [], [])
    assert "No people were found." in made.source
    assert not made.all("form")


def test_many_people_stay_small_and_have_no_overview(tmp_path):
    seen = [tracklet("door", n, n, crops=3, size=(384, 160)) for n in range(1, 501)]
    seen += [tracklet("hall", n, n + 30, crops=3, size=(384, 160)) for n in range(1, 501)]
    pairs = list(zip(seen[:500], seen[500:], strict=True))
    people = [Identity(n, (a.key, b.key), (Link(a.key, b.key, 0.1, 0.1, 0.9),)) for n, (a, b) in enumerate(pairs, 1)]
    made = page(tmp_path, [recording("door"), recording("hall")], seen, people)
    assert len(made.all("li", **{"class": "person"})) == 500
    assert len(made.all("img")) == 3000
    assert 'id="overview"' not in made.source
    without_pictures = len(made.source) - sum(len(image["src"]) for image in made.all("img"))
    assert without_pictures < 500 * 6_000


def test_overview_of_those_across_cameras_where_people_are_many(tmp_path):
    recordings, seen, identities = run()
    alone = [tracklet("door", n, n) for n in range(10, 60)]
    identities += [Identity(n, (t.key,), ()) for n, t in enumerate(alone, 4)]
    made = page(tmp_path, recordings, seen + alone, identities)
    assert "Only the 2 people seen by several cameras, of 53." in made.source
    assert {a["data-person"] for a in made.all("a") if "data-person" in a} == {"2", "3"}


def test_crop_that_is_no_picture(tmp_path):
    whole = tracklet("door", 1, 0)
    broken = Tracklet(**{**vars(whole), "crops": (Crop(3, 0.5, b""), Crop(4, 0.5, b"nothing"))})
    assert len(page(tmp_path, [recording("door")], [broken], [Identity(1, (broken.key,), ())]).all("img")) == 2


def test_unknown_tracklet_is_named(tmp_path):
    with pytest.raises(ValueError, match="identity 7 names tracklets that were not given: hall/9"):
        page(tmp_path, [], [], [Identity(7, (TrackletKey("hall", 9),), ())])


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00.0"), (59.96, "1:00.0"), (3599.97, "1:00:00.0"), (-1.5, "-0:01.5")]
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("probability", "text"), [(0, "0%"), (0.003, "<1%"), (0.5, "50%"), (0.994, "99%"), (0.996, ">99%"), (1, "100%")]
)
def test_sureness_never_rounds_to_certainty(probability, text):
    assert sureness(probability) == text
