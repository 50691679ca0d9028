"""What many people at once wait for on a served library: searching, looking, streaming.

python tests/benchmarks/serve_load.py LIBRARY [--users 50] [--seconds 120] [--picture FILE] [--pause 1.0] [--json]

It starts `reidtrack serve LIBRARY` and lets so many visitors, each with cookies of their own, do what visitors do in
turn: look at the wall, at a person, at crops; find a sighting's person everywhere; with --picture, find by an uploaded
picture; stream a recording in ranges as a browser's player does. Between two of them each waits --pause seconds on
average. It reports, for each kind, how many answers there were, how many a second, errors, and the latency's median,
95th and 99th percentile and maximum, from the request to the last byte; and the server's resident memory every tenth of
the time. Visitors run in this process, and so share the machine with the server.
"""

import argparse
import asyncio
import itertools
import json
import random
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from tracker.library.store import Library

RANGE = 512 * 1024  # bytes of a recording at a time
TURNS = ("wall", "person", "crops", "find", "stream", "stream")
LEAST = 200  # answers of a kind from which its 99th percentile says something


@contextmanager
def serving(library: str) -> Iterator[tuple[str, psutil.Process]]:
    """A server of its own process: its address, and it."""
    command = [sys.executable, "-m", "tracker", "serve", library, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            lines = itertools.takewhile(bool, iter(server.stdout.readline, ""))
            yield (
                next(found[0] for line in lines if (found := re.search(r"http://[^\s/]+", line))),
                psutil.Process(server.pid),
            )
        finally:
            server.terminate()


class Load:
    """What visitors ask for, and what they were answered.

    Attributes:
        seconds: by kind, of every whole answer.
        errors: by kind, status or what went wrong.
        bytes: received.
    """

    def __init__(self, address: str, rows: list[dict[str, object]], picture: bytes, until: float, pause: float) -> None:
        self.address, self.rows, self.picture, self.until, self.pause = address, rows, picture, until, pause
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.errors: Counter[str] = Counter()
        self.bytes = 0

    async def visit(self, number: int) -> None:
        """What one visitor does until the time is over."""
        chance = random.Random(number)
        keep = httpx.Limits(keepalive_expiry=2)  # the server closes idle connections after 5 s; browsers ask again then
        async with httpx.AsyncClient(
            base_url=self.address, timeout=60, follow_redirects=True, verify=False, limits=keep
        ) as client:
            await asyncio.sleep(chance.uniform(0, self.pause))
            page = await client.get("/")
            csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
            while time.monotonic() < self.until:
                kind = chance.choice([*TURNS, "upload"] if self.picture else TURNS)
                await getattr(self, f"_{kind}")(client, chance, csrf)
                await asyncio.sleep(chance.expovariate(1 / self.pause) if self.pause else 0)

    async def _ask(self, client, kind, method, path, wanted=200, **more):
        began = time.perf_counter()
        try:
            answer = await client.request(method, path, **more)
        except httpx.HTTPError as error:
            self.errors[f"{kind}: {type(error).__name__}"] += 1
            return None
        self.seconds[kind].append(time.perf_counter() - began)
        self.bytes += len(answer.content)
        if answer.status_code != wanted:
            self.errors[f"{kind}: status {answer.status_code}"] += 1
        return answer

    async def _wall(self, client, chance, csrf):
        await self._ask(client, "wall", "GET", "/")

    async def _person(self, client, chance, csrf):
        row = chance.choice(self.rows)
        await self._ask(client, "person", "GET", f"/identity/{row['run']}/{row['identity']}")

    async def _crops(self, client, chance, csrf):
        for row in chance.sample(self.rows, min(6, len(self.rows))):
            await self._ask(client, "crop", "GET", f"/crop/{row['key']}.jpg")

    async def _find(self, client, chance, csrf):
        await self._ask(client, "find", "GET", "/find", params={"like": chance.choice(self.rows)["key"]})

    async def _stream(self, client, chance, csrf):
        """The beginning, a leap, and a few ranges on from there."""
        row = chance.choice(self.rows)
        path = f"/video/{row['run']}/{row['recording']}"
        answer = await self._ask(client, "range", "GET", path, 206, headers={"Range": "bytes=0-65535"})
        if answer is None or answer.status_code != 206:
            return
        size = int(answer.headers["content-range"].rpartition("/")[2])
        begin = chance.randrange(size)
        for place in range(begin, min(begin + 3 * RANGE, size), RANGE):
            last = min(place + RANGE, size) - 1
            part = await self._ask(client, "range", "GET", path, 206, headers={"Range": f"bytes={place}-{last}"})
            if part is not None and part.status_code == 206 and len(part.content) != last - place + 1:
                self.errors["range: cut short"] += 1

    async def _upload(self, client, chance, csrf):
        await self._ask(
            client, "upload", "POST", "/find", data={"csrf": csrf}, files={"picture": ("person.jpg", self.picture)}
        )


async def press(load: Load, users: int, seconds: float, server: psutil.Process) -> list[tuple[float, float]]:
    """Let all visitors in; resident memory in MB every tenth of the time."""
    began, memory = time.monotonic(), []

    async def watch() -> None:
        for step in range(11):
            await asyncio.sleep(max(began + step * seconds / 10 - time.monotonic(), 0))
            memory.append((round(time.monotonic() - began, 1), round(server.memory_info().rss / 1e6, 1)))

    await asyncio.gather(watch(), *(load.visit(number) for number in range(users)))
    return memory


def percentile(values: list[float], share: float) -> float:
    """Of the values, the one that so many are not greater than."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library")
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--pause", type=float, default=1.0)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    names = ["key", "run", "recording", "identity"]
    rows = Library.open(args.library).tracklets.search().select(names).limit(10_000).to_list()
    picture = args.picture.read_bytes() if args.picture else b""
    with serving(args.library) as (address, server):
        warm = Load(address, rows, picture, time.monotonic() + 0.1, 0)  # models load once
        asyncio.run(press(warm, 2, 1, server))
        load = Load(address, rows, picture, time.monotonic() + args.seconds, args.pause)
        memory = asyncio.run(press(load, args.users, args.seconds, server))
    kinds = {
        kind: {"answers": len(values), "a_second": round(len(values) / args.seconds, 1)}
        | {f"p{share}_ms": round(1000 * percentile(values, share / 100), 1) for share in (50, 95, 99)}
        | {"max_ms": round(1000 * max(values), 1)}
        for kind, values in sorted(load.seconds.items())
    }
    found = {"users": args.users, "seconds": args.seconds, "megabytes": round(load.bytes / 1e6), "kinds": kinds}
    found |= {"errors": dict(load.errors), "memory_mb": memory}
    print(json.dumps(found, indent=2) if args.json else page(found))
    return 1 if load.errors else 0


def page(found: dict[str, object]) -> str:
    """For people."""
    lines = [f"{found['users']} visitors, {found['seconds']:.0f} s, {found['megabytes']} MB sent"]
    lines.append(f"{'kind':8} {'answers':>8} {'a second':>9} {'p50 ms':>9} {'p95 ms':>9} {'p99 ms':>9} {'max ms':>9}")
    for kind, facts in found["kinds"].items():
        p99 = f"{facts['p99_ms']:9}" if facts["answers"] >= LEAST else f"{'-':>9}"
        lines.append(
            f"{kind:8} {facts['answers']:8} {facts['a_second']:9} {facts['p50_ms']:9} {facts['p95_ms']:9} {p99}"
            f" {facts['max_ms']:9}"
        )
    lines.append("errors: " + (", ".join(f"{name} x{count}" for name, count in found["errors"].items()) or "none"))
    lines.append("resident MB: " + ", ".join(f"{mb:.0f} at {at:.0f} s" for at, mb in found["memory_mb"]))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
