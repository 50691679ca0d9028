"""Are two crops the same person? The similarity, the calibrated threshold, and the probability.

python compare.py standard.onnx a.ppm b.ppm
"""

import argparse
import sys

from edge import Embedder, read_crop


def main() -> None:
    parser = argparse.ArgumentParser(description="Are two crops the same person?")
    parser.add_argument("model", help="an embedder's .onnx file")
    parser.add_argument("crops", nargs=2, help="a person's crop: .ppm (P6) or .npy, (h, w, 3) uint8 RGB")
    parser.add_argument("--false-match", type=float, default=0.001, help="share of strangers to pass [default: 0.001]")
    asked = parser.parse_args()
    embedder = Embedder(asked.model)
    a, b = embedder([read_crop(path) for path in asked.crops])
    similarity, threshold = float(a @ b), embedder.threshold(asked.false_match)
    print(f"similarity {similarity:.6f}")
    print(f"threshold {threshold:.4f} at {asked.false_match:g} false matches")
    print("same person" if similarity >= threshold else "different people")
    print(f"probability {embedder.probability(similarity):.6f}")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
