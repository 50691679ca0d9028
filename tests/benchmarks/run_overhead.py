"""What a whole run costs over the bare detector, in time; and what a long recording costs over a short one, in memory.

python tests/benchmarks/run_overhead.py VIDEO [--rounds 3] [--loops 10] [--embedder FILE]

Time: rounds of `reidtrack run` on VIDEO in a process of its own, in turn with the detector alone (same weights, same
backend, same frames, same batches; only the calls are timed, not imports, loading or decoding). Prints each pair's
ratio and the median. Memory: peak resident size of `reidtrack run` on VIDEO repeated ``loops`` times, over that on
VIDEO once. Figures depend on the machine; the ratios much less.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tracker.encode import VideoWriter
from tracker.track import batches
from tracker.video import VideoReader, read_ahead


def detector_seconds(video: str) -> None:
    """Print the seconds that the detector's calls take on every frame of a video."""
    from tracker.detect import YoloDetector

    detector = YoloDetector()
    spent = 0.0
    with VideoReader(Path(video)) as reader:
        for number, frames in enumerate(batches(read_ahead(iter(reader)), detector.batch)):
            images = [frame.image for frame in frames]
            if number == 0:
                detector(images)  # warm up
            began = time.perf_counter()
            detector(images)
            spent += time.perf_counter() - began
    print(spent)


def run_once(video: Path, embedder: str | None) -> tuple[float, float]:
    """Wall seconds and peak resident MiB of one whole `reidtrack run`."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, __file__, str(video), "--as-run", f"{out}/run"]
        began = time.perf_counter()
        made = subprocess.run(
            command + (["--embedder", embedder] if embedder else []), capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
    if made.returncode:
        sys.exit(made.stderr)
    return seconds, float(made.stdout.splitlines()[-1])


def as_run(video: str, out: str, embedder: str | None) -> None:
    """Be `reidtrack run`, then print the peak resident MiB."""
    import resource

    from tracker.cli import main

    code = main(["run", "--videos", video, "--out", out, *(["--embedder", embedder] if embedder else [])])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    print(peak)
    sys.exit(code)


def looped(video: Path, out: Path, loops: int) -> Path:
    """The video repeated, as one file."""
    with VideoReader(video) as reader:
        info = reader.info
    with VideoWriter(out, info.width, info.height, info.rate) as writer:
        start_s = 0.0
        for _ in range(loops):
            last_s = 0.0
            for frame in VideoReader(video):
                writer.write(frame.image, start_s + frame.time_s)
                last_s = frame.time_s
            start_s += last_s + 1 / (info.rate or 25)
    return out


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loops", type=int, default=10)
    parser.add_argument("--embedder")
    parser.add_argument("--as-run", help=argparse.SUPPRESS)
    parser.add_argument("--as-detector", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.as_run:
        as_run(str(args.video), args.as_run, args.embedder)
    if args.as_detector:
        return detector_seconds(str(args.video))

    ratios = []
    for number in range(args.rounds):
        seconds, _ = run_once(args.video, args.embedder)
        command = [sys.executable, __file__, str(args.video), "--as-detector"]
        bare = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        ratios.append(seconds / bare)
        print(f"round {number + 1}: run {seconds:.1f} s, detector {bare:.1f} s, ratio {ratios[-1]:.3f}", flush=True)
    if ratios:
        print(f"time: run over detector, median {statistics.median(ratios):.3f}", flush=True)
    if args.loops > 1:
        with tempfile.TemporaryDirectory() as folder:
            once = run_once(looped(args.video, Path(folder, "once.mp4"), 1), args.embedder)[1]
            often = run_once(looped(args.video, Path(folder, "often.mp4"), args.loops), args.embedder)[1]
        print(f"memory: {args.loops} times over once, {often:.0f} / {once:.0f} MiB = {often / once:.3f}")
    return None


if __name__ == "__main__":
    main()
