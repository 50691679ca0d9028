"""A small library of real runs, served to a client without a browser."""

import contextlib
import re
import shutil
import warnings
from pathlib import Path

import cv2
import pytest

from tests.clips import photograph
from tests.library.conftest import demo, made, moved  # noqa: F401 - fixtures
from tracker.cli import main
from tracker.library.store import Library
from tracker.web.app import create_app

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it asks for a successor of httpx
    from starlette.testclient import TestClient

HERE = "http://localhost"


@pytest.fixture(scope="session")
def stocked(shared, made):  # noqa: F811
    """A folder with the library ``lib`` of the runs ``monday`` and ``tuesday``, and of the album ``photos``."""

    def make(folder):
        shutil.copytree(made, folder, dirs_exist_ok=True)
        moved(folder, made)
        (folder / "album").mkdir()
        for number in (1, 2):
            assert cv2.imwrite(str(folder / f"album/{number}.jpg"), photograph("bus.jpg"))
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            assert main(["run", "--images", "album", "--embedder", "colour.onnx", "--out", "photos"]) == 0
            assert main(["index", "lib", "monday", "tuesday", "photos"]) == 0

    return shared("stocked", make)


@pytest.fixture
def changeable(stocked, tmp_path, monkeypatch):
    """A copy that a test may change."""
    folder = tmp_path / "desk"
    shutil.copytree(stocked, folder, ignore=shutil.ignore_patterns("lib"))
    moved(folder, stocked)
    monkeypatch.chdir(folder)
    assert main(["index", "lib", "monday", "tuesday"]) == 0
    return folder


@contextlib.contextmanager
def visiting(library, token=None, **options):
    """A client of a library's pages; of other sites' requests nothing is made up."""
    app = create_app(str(library), token, "cpu")
    with TestClient(app, base_url=options.pop("base_url", HERE), follow_redirects=False, **options) as client:
        client.site = app.state.site
        yield client


@pytest.fixture(scope="session")
def client(stocked):
    """Visits the library; changes nothing."""
    with visiting(stocked / "lib") as client:
        yield client


def rows(client):
    """All sightings of a client's library."""
    return Library.open(client.site.name).tracklets.to_arrow().to_pylist()


def run_of(client, name):
    """The id of the run whose folder has a name."""
    (found,) = [one.id for one in client.site.library().meta.runs.values() if Path(one.path).name == name]
    return found


def secret(client):
    """What our own forms bring back."""
    return re.search(r'name="csrf" value="([^"]+)"', client.get("/find").text)[1]


def finished(client, response):
    """Follow a redirect to some work until it has ended: the job."""
    assert response.status_code == 303, response.text
    name = response.headers["location"].rpartition("/")[2]
    job = client.site.jobs.get(name) or client.site.queries.get(name).job
    while not job.over:
        client.get(f"/jobs/{job.id}")
    return job
