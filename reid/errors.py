"""The errors a user can cause. The command line prints ``str(error)`` as one line and exits with ``exit_code``.

::

    ReidTrackError (exit 1)      what was given could not be processed
    ├── BadInputError (exit 2)   what was asked for makes no sense; nothing was started
    ├── DataError                a data set is absent or malformed
    ├── ModelError               a model file is absent, not a model, or of the wrong kind
    ├── VideoError               a recording cannot be read (tracker.errors)
    └── RunError                 a run directory cannot be used (tracker.errors)

Every message names the path or shape concerned and, after a semicolon or a full stop, the remedy.
"""


class ReidTrackError(Exception):
    """Base of every error that a user can cause."""

    exit_code = 1


class BadInputError(ReidTrackError):
    """An option or argument that cannot be meant."""

    exit_code = 2


class DataError(ReidTrackError):
    """A data set that is absent or not laid out as expected."""


class ModelError(ReidTrackError):
    """A model file that is absent, is not a model, or does not fit its use."""
