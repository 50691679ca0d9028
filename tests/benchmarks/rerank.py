"""k-reciprocal re-ranking beside the published dense algorithm: time, peak memory and the largest difference.

python tests/benchmarks/rerank.py FEATURES.npz                 features `q` (q, d) and `g` (g, d), L2-normalised here
python tests/benchmarks/rerank.py synthetic                    vectors of Market-1501's shape: 3,368 and 15,913, 512-d
python tests/benchmarks/rerank.py synthetic --gallery 200000   ours alone

Each runs in a process of its own. Times are those of the algorithm alone, without imports and reading; ours includes
the writing of its blocks to disk. On a busy machine compare processor seconds, with OMP_NUM_THREADS=1. Memory is the
peak resident size of the whole process.

"dense" is the authors' Python code in NumPy: float32, N x N distances, ranks by argsort, loops over points. What is not
the algorithm is spared it: distances are normalised in place, and the caller's own copy of them does not count. Its
float32 distances swap neighbours that are almost equally far, so that it differs from itself in other arithmetic;
"dense, exact ranks" is therefore the same with ranks from float64, and the one whose output ours has to equal.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from reid.rerank.k_reciprocal import k_reciprocal_blocks

KINDS = {"ours": "ours", "dense": "dense", "stable": "dense, stable sort", "exact": "dense, exact ranks"}
K1, K2, LAM = 20, 6, 0.3
DIM, IMAGES_EACH = 512, 26
ROWS = 256


def features(source, queries, gallery):
    """(q, d) and (g, d) float32 unit vectors of a file, or clustered ones of the size that is asked for."""
    if source != "synthetic":
        with np.load(source) as file:
            return unit_rows(file["q"]), unit_rows(file["g"])
    rng = np.random.default_rng(0)
    people = rng.normal(size=((queries + gallery) // IMAGES_EACH + 1, DIM)).astype(np.float32)
    points = rng.standard_normal((queries + gallery, DIM), np.float32)
    points *= 1.2
    for start in range(0, len(points), ROWS):
        part = points[start : start + ROWS]
        part += people[rng.integers(0, len(people), len(part))]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return points[:queries], points[queries:]


def unit_rows(rows):
    rows = rows.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def dense(query, gallery, kind):
    """(q, g) distances by the published algorithm; ``kind`` says how neighbours are sorted."""
    points, n, q = np.concatenate([query, gallery]), len(query) + len(gallery), len(query)
    distances = points @ points.T
    norms = np.einsum("ij,ij->i", points, points)
    distances *= -2
    distances += norms
    distances += norms[:, None]
    np.maximum(distances, 0, out=distances)
    if kind == "exact":
        rank = exact_ranks(points)
    else:
        rank = np.argsort(distances, axis=1, kind="stable" if kind == "stable" else None).astype(np.int32)
    distances /= distances.max(1, keepdims=True)

    def reciprocal(i, k):
        forward = rank[i, :k]
        return forward[(rank[forward, :k] == i).any(1)]

    encoding = np.zeros((n, n), np.float32)
    for i in range(n):
        core = members = reciprocal(i, K1 + 1)
        for candidate in core:
            half = reciprocal(candidate, round(K1 / 2) + 1)
            if len(np.intersect1d(half, core)) > 2 / 3 * len(half):
                members = np.append(members, half)
        members = np.unique(members)
        weights = np.exp(-distances[i, members])
        encoding[i, members] = weights / weights.sum()
    distances = distances[:q].copy()
    averaged = np.zeros_like(encoding)
    for i in range(n):
        averaged[i] = encoding[rank[i, :K2]].mean(0)
    encoding = averaged
    index = [np.flatnonzero(encoding[:, i]) for i in range(n)]
    jaccard = np.zeros((q, n), np.float32)
    for i in range(q):
        shared = np.zeros(n, np.float32)
        for column in np.flatnonzero(encoding[i]):
            rows = index[column]
            shared[rows] += np.minimum(encoding[i, column], encoding[rows, column])
        jaccard[i] = 1 - shared / (2 - shared)
    return ((1 - LAM) * jaccard + LAM * distances)[:, q:]


def exact_ranks(points):
    """(n, k1 + 1) nearest neighbours in float64, doubles in the order of their indices."""
    wide = points.astype(np.float64)
    norms = (wide**2).sum(1)
    ranks = np.empty((len(points), K1 + 1), np.int32)
    for start in range(0, len(points), ROWS):
        rows = slice(start, start + ROWS)
        distances = norms[rows, None] + norms - 2 * wide[rows] @ wide.T
        # Rounded, since two products of the same vectors may differ in the last bit.
        ranks[rows] = np.argsort(distances.round(12), axis=1, kind="stable")[:, : K1 + 1]
    return ranks


def be(kind, source, queries, gallery, out):
    """Re-rank, write the distances to a file, print seconds, processor seconds and peak resident MiB."""
    query, gallery = features(source, queries, gallery)
    began, began_cpu = time.perf_counter(), time.process_time()
    with out.open("wb") as file:
        if kind == "ours":
            for block in k_reciprocal_blocks(query, gallery, K1, K2, LAM):
                block.tofile(file)
        else:
            distances = dense(query, gallery, kind)
        seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
        if kind != "ours":
            distances.tofile(file)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(seconds, cpu, peak)


def run(kind, args, out):
    """Seconds, processor seconds and peak resident MiB of one of ``KINDS`` in its own process."""
    command = [sys.executable, __file__, args.source, "--queries", str(args.queries), "--as", kind, "--out", str(out)]
    made = subprocess.run(
        [*command, "--gallery", str(args.gallery or 15_913)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        sys.exit(made.stderr)
    seconds, cpu, peak = map(float, made.stdout.split())
    print(f"{KINDS[kind]:20} {seconds:8.1f} s {cpu:8.1f} s of processors {peak:8.0f} MiB", flush=True)
    return seconds, cpu, peak


def differences(first, second):
    """Largest difference of two files of float32, and the share of numbers that differ by more than 1e-5."""
    one, other = (np.memmap(path, np.float32, "r") for path in (first, second))
    largest, many = 0.0, 0
    for start in range(0, len(one), 2**24):
        gap = np.abs(one[start : start + 2**24] - other[start : start + 2**24])
        largest, many = max(largest, float(gap.max())), many + int((gap > 1e-5).sum())
    return largest, many / len(one)


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source")
    parser.add_argument("--queries", type=int, default=3368)
    parser.add_argument("--gallery", type=int, help="size of a synthetic gallery; only ours is measured")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["ours", "dense", "exact"])
    parser.add_argument("--as", dest="kind", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.kind:
        return be(args.kind, args.source, args.queries, args.gallery, args.out)

    with tempfile.TemporaryDirectory() as folder:
        out = {kind: Path(folder, kind) for kind in (["ours"] if args.gallery else args.kinds)}
        cost = {kind: run(kind, args, path) for kind, path in out.items()}
        for kind in [kind for kind in out if kind != "ours"]:
            wall, cpu, memory = (theirs / own for theirs, own in zip(cost[kind], cost["ours"], strict=True))
            largest, share = differences(out["ours"], out[kind])
            print(
                f"ours against {KINDS[kind]}: {wall:.1f} times as fast ({cpu:.1f} by processor time), "
                f"1/{memory:.1f} of the memory, largest difference {largest:.1e}, "
                f"{share:.1e} of the distances differ by more than 1e-5"
            )
    return None


if __name__ == "__main__":
    main()
