"""Many streams, one embedder: what waits is embedded together, and every stream gets its own vectors back.

python streams.py standard.onnx --streams 4 --fps 10 --people 3 --seconds 10
python streams.py standard.onnx a.ppm b.npy --streams 8
"""

import argparse
import queue
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle

import numpy as np
from edge import Embedder, Floats, Image, read_crop


class Batcher(threading.Thread):
    """One thread that embeds for many: up to ``batch`` crops at a time, none waiting longer than ``wait`` for others.

    Args:
        embedder: what embeds.
        batch: crops at a time, at most.
        wait: seconds that the first of a batch waits for more.
        backlog: crops that may wait; whoever submits more waits until there is room.
    """

    def __init__(self, embedder: Embedder, batch: int = 32, wait: float = 0.005, backlog: int = 256) -> None:
        super().__init__(daemon=True)
        self.embedder, self.batch, self.wait = embedder, batch, wait
        self.waiting: queue.Queue[tuple[Image, Future[Floats]] | None] = queue.Queue(backlog)
        self.batches = self.crops = 0

    def submit(self, crop: Image) -> "Future[Floats]":
        """Ask for a crop's vector, (dim,) float32; ``result()`` of what is returned waits for it."""
        future: Future[Floats] = Future()
        self.waiting.put((crop, future))
        return future

    def close(self) -> None:
        """Embed what waits, then end; submit nothing after it."""
        self.waiting.put(None)
        self.join()

    def run(self) -> None:
        """The thread: gather, embed, hand back, until closed."""
        open_ = True
        while open_:
            taken: list[tuple[Image, Future[Floats]]] = []
            deadline = None  # of this batch; set by its first crop
            while open_ and len(taken) < self.batch:
                try:
                    one = self.waiting.get(timeout=None if deadline is None else max(deadline - time.monotonic(), 0))
                except queue.Empty:
                    break
                open_ = one is not None
                if one is not None:
                    taken.append(one)
                    deadline = deadline or time.monotonic() + self.wait
            if taken:
                self._embed(taken)

    def _embed(self, taken: "list[tuple[Image, Future[Floats]]]") -> None:
        self.batches, self.crops = self.batches + 1, self.crops + len(taken)
        try:
            vectors = self.embedder([crop for crop, _ in taken])
        except Exception as error:  # it belongs to those who asked; the thread goes on
            for _, future in taken:
                future.set_exception(error)
            return
        for (_, future), vector in zip(taken, vectors, strict=True):
            future.set_result(vector)


def stream(batcher: Batcher, crops: list[Image], fps: float, people: int, until: float) -> list[float]:
    """One camera: ``fps`` times a second its ``people`` are embedded, the next frame as soon as that is done.

    Returns:
        Seconds from asking to having, of each crop.
    """
    source, latencies = cycle(crops), []
    while True:
        asked = time.monotonic()
        futures = [batcher.submit(next(source)) for _ in range(people)]
        for future in futures:
            future.result()  # a program of your own keeps the vector here
            latencies.append(time.monotonic() - asked)
        due = max(asked + 1 / fps, time.monotonic())
        if due >= until:
            return latencies
        time.sleep(max(due - time.monotonic(), 0))


def main() -> None:
    parser = argparse.ArgumentParser(description="Many streams, one embedder.")
    parser.add_argument("model", help="an embedder's .onnx file")
    parser.add_argument("crops", nargs="*", help="crops to send round and round, .ppm or .npy [default: noise]")
    parser.add_argument("--streams", type=int, default=4)
    parser.add_argument("--fps", type=float, default=10, help="frames a second of each stream")
    parser.add_argument("--people", type=int, default=3, help="crops a frame")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--batch", type=int, default=32, help="crops at a time, at most")
    parser.add_argument("--wait", type=float, default=5, help="milliseconds that a crop waits for others")
    asked = parser.parse_args()
    if min(asked.streams, asked.people, asked.batch) < 1 or min(asked.fps, asked.seconds) <= 0 or asked.wait < 0:
        raise ValueError("streams, people, batch, fps and seconds are above 0, wait is not below")
    embedder = Embedder(asked.model)
    noise = np.random.default_rng(0)
    crops = [read_crop(path) for path in asked.crops] or [noise.integers(0, 256, (180, 80, 3), np.uint8)]
    batcher = Batcher(embedder, asked.batch, asked.wait / 1000)
    batcher.start()
    began = time.monotonic()
    with ThreadPoolExecutor(asked.streams) as pool:
        rest = (batcher, crops, asked.fps, asked.people, began + asked.seconds)
        running = [pool.submit(stream, *rest) for _ in range(asked.streams)]
        latencies = [one.result() for one in running]
    took = time.monotonic() - began
    batcher.close()
    for number, one in enumerate(latencies, 1):
        half, most = np.percentile(one, [50, 95]) * 1000
        print(f"stream {number}: {len(one) / took:.1f} crops/s, latency {half:.1f} ms, 95 % within {most:.1f} ms")
    print(f"all: {batcher.crops / took:.1f} crops/s, {batcher.crops / batcher.batches:.1f} a batch")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"error: {error}")
