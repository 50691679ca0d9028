"""``python -m tracker``: the command line, where the ``reidtrack`` script is not on the path."""

import sys

from tracker.cli import main

if __name__ == "__main__":
    sys.exit(main())
