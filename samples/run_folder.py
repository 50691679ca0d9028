"""Run the main job on a folder of recordings, from a program of your own.

python samples/run_folder.py recordings/ out/
"""

import sys
from pathlib import Path

from tracker.options import RunOptions
from tracker.pipeline import run
from tracker.progress import Progress
from tracker.recordings import expand


def main(folder: str, out: str) -> None:
    result = run(RunOptions(videos=tuple(expand([folder])), out=Path(out)), Progress())
    for person in result.sightings:
        cameras = ", ".join(person.cameras)
        print(f"person {person.identity}: {cameras}, {person.duration_s:.1f} s in view, sure {person.probability:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
