"""Settings for every test, and what tests share that takes long to make."""

import os
import shutil

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: two workers' thread pools would spin against each other

import pytest
from filelock import FileLock
from hypothesis import settings

settings.register_profile("project", deadline=None)  # machines differ; slowness is not wrongness
settings.load_profile("project")


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """``shared(name, make)``: a folder that ``make(folder)`` fills once, whichever worker of this session asks first.

    It is for all of them: who changes something takes a copy.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # of all workers of this session; without workers it is of all sessions

    def made(name, make):
        folder, done = base / "shared" / name, base / "shared" / f"{name}.done"
        folder.parent.mkdir(exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made
