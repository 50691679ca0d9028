"""Settings for every test."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: two workers' thread pools would spin against each other

from hypothesis import settings

settings.register_profile("project", deadline=None)  # machines differ; slowness is not wrongness
settings.load_profile("project")
