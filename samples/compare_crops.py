"""Compare two pictures of one person each: the probability that they are the same person.

python samples/compare_crops.py a.jpg b.jpg
"""

import sys
from pathlib import Path

from reid.embed import Embedder
from reid.images import read_image


def main(first: str, second: str) -> None:
    embedder = Embedder()
    a, b = embedder([read_image(Path(first)), read_image(Path(second))])
    assert embedder.calibration is not None  # every shipped embedder has one
    print(f"probability of one person {float(embedder.calibration.crops.probability(a @ b)):.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
