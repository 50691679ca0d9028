"""Settings for every test."""

from hypothesis import settings

settings.register_profile("project", deadline=None)  # machines differ; slowness is not wrongness
settings.load_profile("project")
