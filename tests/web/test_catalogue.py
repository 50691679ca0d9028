"""The catalogue says what the library's table says: filtered, ordered, paged, by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.library.conftest import add, made_up
from tracker.library.filters import Filters
from tracker.library.store import Library
from tracker.web.catalogue import ORDERS, Catalogue


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalogue") / "lib"
    add(folder, made_up("aaaa", 120), made_up("bbbb", 80, seed=1))
    return Library.open(str(folder))


@pytest.fixture(scope="module")
def catalogue(library):
    return Catalogue(library)


FILTERS = [
    Filters(),
    Filters(cameras=["g"]),
    Filters(cameras=["g", "h"], min_length_s=4),
    Filters(recordings=["o'clock"], begin=(30.0, True)),
    Filters(begin=(20.0, False), end=(60.0, False)),
    Filters(upper=["red", "blue"], lower=["black"]),
    Filters(cameras=["h"], upper=["green"]),
]


@pytest.mark.parametrize("filters", FILTERS)
def test_what_passes_is_what_the_table_says(library, catalogue, filters):
    query = library.tracklets.search().select(["key"]).limit(1000)
    expected = query.where(filters.where()).to_arrow() if filters.where() else query.to_arrow()
    found = [row["key"] for row in catalogue.rows(np.flatnonzero(catalogue.passing(filters)))]
    assert sorted(found) == sorted(expected["key"].to_pylist())


def naive(library, mask_keys, order):
    people = {}
    for row in library.tracklets.to_arrow().to_pylist():
        if row["key"] in mask_keys:
            people.setdefault((row["run"], row["identity"]), []).append(row)
    key = {
        "seen": lambda own: -sum(row["length_s"] for row in own),
        "last": lambda own: -max(row["end_s"] for row in own),
        "first": lambda own: min(row["start_s"] for row in own),
        "cameras": lambda own: -len({row["camera"] for row in own}),
        "unsure": lambda own: own[0]["probability"],
    }[order]
    return sorted(people, key=lambda name: (round(key(people[name]), 9), name)), people


@pytest.mark.parametrize("order", list(ORDERS))
@pytest.mark.parametrize("filters", FILTERS[:3])
def test_pages_follow_each_other_in_the_order_asked_for(library, catalogue, order, filters):
    mask = catalogue.passing(filters)
    keys = {row["key"] for row in catalogue.rows(np.flatnonzero(mask))}
    expected, people = naive(library, keys, order)
    found, after = [], None
    while True:
        total, page = catalogue.page(mask, order, 7, after)
        assert total == len(expected)
        if not page:
            break
        found += page
        after = page[-1].place
    assert [(one.run, one.identity) for one in found] == expected
    for one in found:
        own = people[one.run, one.identity]
        assert one.sightings == len(own)
        assert one.first_s == min(row["start_s"] for row in own)
        assert one.last_s == max(row["end_s"] for row in own)
        assert one.seconds == pytest.approx(sum(row["length_s"] for row in own))
        in_time = sorted(own, key=lambda row: row["start_s"])
        assert list(one.cameras) == list(dict.fromkeys(row["camera"] for row in in_time))
        assert one.best["quality"] == max(row["quality"] for row in own)


def test_every_tracklet_is_found_by_its_name(library, catalogue):
    for row in library.tracklets.to_arrow().to_pylist():
        place = catalogue.find(row["run"], row["recording"], row["track_id"])
        (found,) = catalogue.rows([place])
        assert {name: found[name] for name in found if name in row} == {
            name: row[name] for name in found if name in row
        }
        assert catalogue.jpeg(place) == row["jpeg"]
        members = catalogue.members(row["run"], row["identity"])
        assert row["key"] in [one["key"] for one in members]
        assert row["key"] in [one["key"] for one in catalogue.on(row["run"], row["recording"])]


@given(st.sampled_from(["aaaa", "bbbb", "c", ""]), st.sampled_from(["gate", "hall", "x", ""]), st.integers(-3, 2**40))
def test_a_name_that_there_is_not_is_nobodys(library, catalogue, run, recording, number):
    keys = set(library.tracklets.to_arrow()["key"].to_pylist())
    expected = f"{run}/{recording}/{number}" in keys
    assert (catalogue.find(run, recording, number) is not None) == expected
    assert catalogue.members(run, -abs(number)) == []


def test_an_identitys_tracklets_are_all_there_in_order_of_time(library, catalogue):
    rows = library.tracklets.to_arrow().to_pylist()
    for run, identity in {(row["run"], row["identity"]) for row in rows}:
        own = sorted((row["start_s"], row["key"]) for row in rows if (row["run"], row["identity"]) == (run, identity))
        assert [(one["start_s"], one["key"]) for one in catalogue.members(run, identity)] == own
    assert sum(catalogue.counts.values()) == len(rows)
