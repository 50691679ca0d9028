"""Read a finished run: its tracklets with their vectors, and who looks most like whom.

python samples/read_tracklets.py out/
"""

import sys

import numpy as np

from tracker.store import Run


def main(out: str) -> None:
    run = Run.open(out)
    tracklets = run.tracklets()  # an Arrow table, one row per tracklet
    names, identities = tracklets["tracklet"].to_pylist(), tracklets["identity"].to_pylist()
    vectors = np.array(tracklets["vector"].to_pylist(), np.float32).reshape(len(names), -1)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1)
    for row, name in enumerate(names):
        line = f"{name}: identity {identities[row]}"
        if len(names) > 1:
            nearest = int(similarity[row].argmax())
            line += f", most like {names[nearest]} (identity {identities[nearest]}), cosine {similarity[row].max():.3f}"
        print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
