"""Colours in words: what is called what, whose clothes are meant, and libraries from before there were any."""

import json

import cv2
import lancedb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reid.errors import BadInputError, DataError
from tests.library.conftest import add, made_up
from tracker.cli import main
from tracker.library.described import by_words, colourless, shares_of
from tracker.library.filters import Filters
from tracker.library.indexing import update
from tracker.library.schema import META, OldLibraryError
from tracker.library.store import Library, writer
from tracker.library.words import COLUMNS, ENOUGH, VOCABULARY, clothing, named, parse_words

PLAIN = {
    "black": [(15, 15, 15), (30, 28, 32), (25, 20, 18)],
    "white": [(250, 250, 250), (225, 228, 232)],
    "grey": [(128, 128, 128), (150, 148, 145), (95, 98, 100)],
    "red": [(200, 20, 30), (255, 0, 0), (120, 15, 20)],
    "orange": [(245, 125, 25), (255, 140, 0)],
    "yellow": [(240, 220, 40), (255, 255, 0), (230, 200, 60)],
    "green": [(30, 140, 50), (0, 255, 0), (140, 200, 60), (20, 70, 30)],
    "blue": [(30, 60, 180), (0, 0, 255), (130, 180, 220), (25, 40, 90)],
    "purple": [(120, 40, 150), (90, 20, 110), (150, 100, 200)],
    "pink": [(245, 150, 180), (255, 105, 180), (240, 190, 190)],
    "brown": [(100, 60, 30), (139, 90, 43), (70, 45, 30)],
}


def person(upper, lower, background, height=128, width=56):
    """A standing figure: head, top and trousers, before a plain wall."""
    crop = np.empty((height, width, 3), np.uint8)
    crop[:] = background
    left, right = round(0.22 * width), round(0.78 * width)
    crop[round(0.03 * height) : round(0.17 * height), round(0.4 * width) : round(0.6 * width)] = (190, 140, 120)
    crop[round(0.17 * height) : round(0.5 * height), left:right] = upper
    crop[round(0.5 * height) : round(0.96 * height), left:right] = lower
    return crop


# ---- what is called what


@pytest.mark.parametrize(("name", "rgb"), [(name, rgb) for name, colours in PLAIN.items() for rgb in colours])
def test_plain_colours_have_the_names_that_people_give_them(name, rgb):
    pixel = np.array([[rgb]], np.float32) / 255
    assert VOCABULARY[int(named(cv2.cvtColor(pixel, cv2.COLOR_RGB2LAB))[0, 0])] == name


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_every_colour_has_exactly_one_name(red, green, blue):
    pixel = np.array([[(red, green, blue)]], np.float32) / 255
    assert 0 <= int(named(cv2.cvtColor(pixel, cv2.COLOR_RGB2LAB))[0, 0]) < len(VOCABULARY)


@given(st.sampled_from(VOCABULARY), st.sampled_from(VOCABULARY), st.sampled_from(VOCABULARY))
def test_a_figures_clothes_are_named_before_any_wall(upper, lower, wall):
    found = clothing([person(PLAIN[upper][0], PLAIN[lower][0], PLAIN[wall][0])])
    for region, name in (("upper", upper), ("lower", lower)):
        shares = {other: found[f"{region}_{other}"] for other in VOCABULARY}
        assert max(shares, key=shares.get) == name
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)


def naive(crop, begin, end):
    """Shares of a band of a crop of 64 x 32 pixels, pixel by pixel."""
    lab = cv2.cvtColor(crop.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    said = dict.fromkeys(VOCABULARY, 0.0)
    for y in range(begin, end):
        edge = np.median(np.concatenate([lab[y, :3], lab[y, -3:]]), axis=0)
        for x in range(32):
            middle = np.exp(-0.5 * (((x + 0.5) / 32 - 0.5) / 0.16) ** 2)
            apart = min(float(np.linalg.norm(lab[y, x] - edge)) / 40, 1)
            said[VOCABULARY[int(named(lab[y, x]))]] += middle * (0.3 + 0.7 * apart)
    return {name: value / sum(said.values()) for name, value in said.items()}


def test_shares_are_those_of_naive_loops():
    crop = np.random.default_rng(3).integers(0, 256, (64, 32, 3)).astype(np.uint8)
    found = clothing([crop])
    for region, begin, end in (("upper", 13, 31), ("lower", 33, 46)):
        expected = naive(crop, begin, end)
        assert {name: found[f"{region}_{name}"] for name in VOCABULARY} == pytest.approx(expected, abs=1e-4)


def test_several_crops_are_averaged():
    red, blue = person((200, 20, 30), (0, 0, 0), (128, 128, 128)), person((30, 60, 180), (0, 0, 0), (128, 128, 128))
    both, one, other = clothing([red, blue]), clothing([red]), clothing([blue])
    assert both == {name: pytest.approx((one[name] + other[name]) / 2, abs=1e-6) for name in COLUMNS}


def test_a_crop_that_is_no_standing_person_says_nothing_of_the_legs():
    bust = person((200, 20, 30), (30, 60, 180), (128, 128, 128), height=80, width=60)
    found = clothing([bust])
    assert found["upper_red"] is not None
    assert {found[f"lower_{name}"] for name in VOCABULARY} == {None}
    whole = person((200, 20, 30), (30, 60, 180), (128, 128, 128))
    assert clothing([bust, whole])["lower_blue"] == clothing([whole])["lower_blue"]


# ---- words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("red top", (["red"], [])),
        ("Red or orange top, blue trousers", (["red", "orange"], ["blue"])),
        ("a gray shirt and black jeans", (["grey"], ["black"])),
        ("black skirt with white blouse", (["white"], ["black"])),
    ],
)
def test_a_description_is_read(text, expected):
    assert parse_words(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing is said"),
        ("red", "'red' is not understood"),
        ("top", "'top' is not understood"),
        ("red hat", "'red hat' is not understood; write colours and what is worn"),
        ("crimson top", "--words crimson: no colour that is known; use black, white, grey"),
    ],
)
def test_what_is_not_understood_is_said(text, said):
    with pytest.raises(BadInputError, match=said):
        parse_words(text)


# ---- in a library


@pytest.fixture(scope="module")
def rows():
    return [made_up("one", seed=1), made_up("two", seed=2, count=30)]


@pytest.fixture(scope="module")
def library(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("words") / "lib"
    add(folder, *rows)
    return Library.open(str(folder))


def share(row, filters):
    """Of a row, by loops; None where it does not pass."""
    regions = []
    for region, names in (("upper", filters.upper), ("lower", filters.lower)):
        values = [row[f"{region}_{name}"] for name in names]
        if values and not any(value is not None and value >= ENOUGH for value in values):
            return None
        regions += [max(values)] if values else []
    return min(regions)


@pytest.mark.parametrize(
    "filters",
    [
        Filters(upper=["red"]),
        Filters(upper=["red", "blue"]),
        Filters(upper=["black"], lower=["black", "green"]),
        Filters(lower=["white"], cameras=["g"]),
    ],
)
def test_identities_are_ordered_by_how_much_they_wear(library, rows, filters):
    members = {}
    for run in rows:
        for row in run.tracklets.to_pylist():
            worn = share(row, filters)
            if worn is not None and row["camera"] in (filters.cameras or row["camera"]):
                members.setdefault((row["run"], row["identity"]), []).append((row["key"], row["quality"], worn))
    found = by_words(library, filters, top=1000)
    assert members
    assert {(one.run, one.identity) for one in found} == set(members)
    for one in found:
        own = members[one.run, one.identity]
        weights = [min(max(quality / 0.45, 1e-3), 1) ** 0.3 for _, quality, _ in own]
        assert one.share == pytest.approx(np.average([worn for *_, worn in own], weights=weights), abs=1e-6)
        assert {each.row["key"]: each.share for each in one.tracklets} == {key: worn for key, _, worn in own}
        starts = [each.row["start_s"] for each in one.tracklets]
        assert starts == sorted(starts)
    assert [one.share for one in found] == sorted((one.share for one in found), reverse=True)
    assert by_words(library, filters, top=2) == found[:2]
    keys = [each.row["key"] for one in found for each in one.tracklets]
    assert shares_of(library, keys, filters) == {key: worn for own in members.values() for key, _, worn in own}


def test_what_was_indexed_before_there_were_colours_is_counted(tmp_path):
    old = made_up("old")
    blank = old.tracklets
    for name in COLUMNS:
        blank = blank.set_column(blank.column_names.index(name), name, pa.nulls(len(blank), pa.float32()))
    add(tmp_path / "lib", old.__class__(**{**vars(old), "tracklets": blank}), made_up("new"))
    library = Library.open(str(tmp_path / "lib"))
    rows = blank.to_pylist()
    assert colourless(library, Filters(upper=["red"])) == len(rows)
    assert colourless(library, Filters(upper=["red"], cameras=["g"])) == sum(row["camera"] == "g" for row in rows)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"upper": ["crimson"]}, "--upper crimson: no colour"), ({"lower": ["denim"]}, "--lower denim: no colour")],
)
def test_an_unknown_colour_is_refused(options, said):
    with pytest.raises(BadInputError, match=said):
        Filters(**options)


def test_nothing_described_or_no_count_is_refused(library):
    with pytest.raises(BadInputError, match="nothing is described"):
        by_words(library, Filters())
    with pytest.raises(BadInputError, match="--top 0"):
        by_words(library, Filters(upper=["red"]), top=0)


# ---- libraries of the first version


def aged(name):
    """Make a library what the first version wrote."""
    with writer(name) as writing:
        opened = {table: writing.connection.open_table(table) for table in ("tracklets", "vectors")}
        for table in opened.values():
            table.drop_columns(list(COLUMNS))
        row = writing.connection.open_table(META).to_arrow().to_pylist()[0]
        runs = [entry | {"content": "of rows without colours"} for entry in json.loads(row["runs"])]
        row |= {"version": 1, "runs": json.dumps(runs), **{table: opened[table].version for table in opened}}
        writing.connection.create_table(META, pa.Table.from_pylist([row]), mode="overwrite")


def test_an_old_library_is_brought_up_to_date_once_and_keeps_all(tmp_path):
    name = str(tmp_path / "lib")
    add(name, made_up("one"))
    keys = sorted(Library.open(name).tracklets.to_arrow()["key"].to_pylist())
    aged(name)
    with pytest.raises(OldLibraryError, match=r"library version 1 of 2; run `reidtrack index .*` to update it"):
        Library.open(name)
    notes = []
    update(name, notes.append)
    update(name, notes.append)
    assert len(notes) == 1
    library = Library.open(name)
    assert sorted(library.tracklets.to_arrow()["key"].to_pylist()) == keys
    assert colourless(library, Filters()) == len(keys)
    add(name, made_up("two"))
    assert colourless(Library.open(name), Filters()) == len(keys)


def test_an_update_that_is_interrupted_can_be_done_again(tmp_path, monkeypatch):
    name = str(tmp_path / "lib")
    add(name, made_up("one"))
    aged(name)

    def full(*args, **kwargs):
        raise OSError("full")

    with monkeypatch.context() as patch:
        patch.setattr(lancedb.db.LanceDBConnection, "create_table", full)
        with pytest.raises(DataError, match=r"cannot be written \(full\)"):
            update(name, print)
    with pytest.raises(OldLibraryError):
        Library.open(name)
    update(name, print)
    assert Library.open(name).tracklets.count_rows() == 40


# ---- the command


@pytest.fixture
def indexed(desk):
    assert main(["index", "lib", "monday"]) == 0
    return desk


def told(capsys, *args, code=0):
    capsys.readouterr()
    assert main(["search", "lib", *args]) == code
    return capsys.readouterr()


def a_colour():
    """A name that an upper clothing of the library shows, and whose."""
    row = Library.open("lib").tracklets.to_arrow().to_pylist()[0]
    return max(VOCABULARY, key=lambda name: row[f"upper_{name}"]), row


def test_words_alone_list_who_wears_it(indexed, capsys):
    name, row = a_colour()
    found = json.loads(told(capsys, "--upper", name, "--json").out)
    assert found == json.loads(told(capsys, "--words", f"{name} top", "--json").out)
    assert "probability" not in found[0]
    mine = [one for hit in found for one in hit["sightings"] if one["tracklet"] == row["key"]]
    assert mine[0]["colour_share"] == pytest.approx(row[f"upper_{name}"], abs=1e-4)
    table = told(capsys, "--upper", name).out.splitlines()
    assert table[0].split()[:3] == ["colour", "identity", "alone"]


def test_words_beside_a_tracklet_leave_out_and_are_shown(indexed, capsys):
    _, row = a_colour()
    track = f"monday/{row['recording']}/{row['track_id']}"
    others = [one for one in Library.open("lib").tracklets.to_arrow().to_pylist() if one["key"] != row["key"]]
    worn = {colour for one in others for colour in VOCABULARY if one[f"upper_{colour}"] >= ENOUGH}
    for colour in sorted(worn):
        found = json.loads(told(capsys, "--track", track, "--upper", colour, "--json").out)
        keys = {one["tracklet"] for hit in found for one in hit["sightings"]}
        assert keys == {one["key"] for one in others if one[f"upper_{colour}"] >= ENOUGH}
        assert all(one["colour_share"] >= ENOUGH and "probability" in one for hit in found for one in hit["sightings"])
    assert "colour" in told(capsys, "--track", track, "--upper", sorted(worn)[0]).out.splitlines()[0].split()


def test_an_old_library_says_that_it_knows_no_colours_until_runs_are_added_again(indexed, capsys):
    name, row = a_colour()
    aged("lib")
    said = told(capsys, "--upper", name, code=1).err
    assert "run `reidtrack index lib` to update it" in said
    assert main(["index", "lib"]) == 0
    assert "brought up to date; add its runs again" in capsys.readouterr().err
    warning, error = told(capsys, "--upper", name, code=2).err.splitlines()
    assert warning.startswith("warning: the colours of ")
    assert "nothing passes" in error
    assert main(["index", "lib", "monday"]) == 0
    assert "replaced" in capsys.readouterr().err
    assert row["key"] in told(capsys, "--upper", name, "--json").out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--upper", "crimson"], "--upper crimson: no colour that is known"),
        (["--words", "nice hat"], "'nice hat' is not understood"),
        (["--upper", "red", "--not", "x.jpg"], "--not: colours recognise nobody"),
        (["--upper", "red", "--rerank"], "--rerank: colours recognise nobody"),
        (["--upper", "red", "--min-probability", "0.5"], "--min-probability: colours recognise nobody"),
        (["--track", "monday/a/1", "--not", "x.jpg", "--rerank"], "--rerank and --not"),
    ],
)
def test_what_cannot_be_asked_of_words_is_one_line(indexed, capsys, args, said):
    (line,) = told(capsys, *args, code=2).err.splitlines()
    assert said in line
