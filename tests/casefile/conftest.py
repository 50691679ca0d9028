"""A library of two small real runs, as `reidtrack index` makes it, and a case with two of its sightings."""

import shutil

import pytest

from tests.library.conftest import demo, made, moved  # noqa: F401
from tracker.casefile.cases import add, find_case, new_case, note
from tracker.library.indexing import index
from tracker.library.store import Library


@pytest.fixture
def desk(made, tmp_path, monkeypatch):  # noqa: F811
    """The runs and their recordings to change, and the folder to work in."""
    folder = tmp_path / "desk"
    shutil.copytree(made, folder)
    moved(folder, made)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def library(desk):
    index("lib", [desk / "monday", desk / "tuesday"], lambda line: None)
    return Library.open("lib")


@pytest.fixture
def case(library):
    """One sighting of monday with a query, one of tuesday, whose clock is known."""
    rows = library.tracklets.to_arrow().sort_by("key").to_pylist()
    monday = next(row for row in rows if not row["absolute"])
    tuesday = next(row for row in rows if row["absolute"])
    begun = new_case("lib", "Stolen bicycle")
    first = add(begun, library, monday["key"], query="person.jpg", probability=0.93)
    add(begun, library, tuesday["key"])
    note(begun, "red jacket\n<b>not</b> bold", first.number)
    note(begun, "seen twice")
    return find_case("lib", "Stolen bicycle")
