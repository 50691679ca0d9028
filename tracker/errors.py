"""Errors of the application; the tree is drawn in ``reid.errors``."""

from reid.errors import ReidTrackError


class VideoError(ReidTrackError):
    """A recording that cannot be read at all."""


class RunError(ReidTrackError):
    """A run directory that cannot be written, is not one, or belongs to another run."""
