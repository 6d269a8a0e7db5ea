"""The speed of asking a teacher, and what becomes of asks when its server fails: a table, then JSON.

    make bench NAME=teacher [ROWS=10000]

The server is the scripted one of the tests, in a process of its own.

- speed: a server that takes 100 ms a reply, and 64 connections at most: 640 calls/s is the ideal. The first
  replies, while the number of calls at once grows, do not count.
- faults: ROWS asks, half with a schema, at shares of 0, 10 and 50 % of calls that meet one of twelve faults.
  Lost is an ask without a usable reply, doubled one with two, mismatched one with the reply to another; paid
  twice is an ask whose right reply was delivered whole more than once. A client cannot but ask again where it
  has waited PATIENCE seconds for nothing, so `stalled` stands beside it: the longest that this machine, which
  the server runs on as well, let a thread wait. Then each server builds `aspects` from the sample:
  `same_bytes` says whether the replies and its shards are those of the run without faults, byte for byte.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the scripted server

from datagen.pipeline.build import build
from datagen.recipe.load import load, scaled, with_teacher
from datagen.sources.sample import write_sample
from datagen.storage.manifest import read_manifest
from datagen.teacher import calls
from datagen.teacher.ask import Reply, Teacher
from datagen.teacher.client import asked
from tests.teacher.known_asks import asks, right, told
from tests.teacher.scripted_server import scripted

ROWS = 10_000
LATENCY = 0.1
SHARES = (0.0, 0.1, 0.5)
WARM = 1_000
"""Replies before the speed is measured."""

TIMED = 6_000

PATIENCE = 4.0
"""Seconds after which a call is made anew, where the server may hang: it hangs for longer."""

RECIPE_ROWS = 1_000
"""Rows asked for of the recipe whose shards are compared."""

REPLIES = Path(__file__).parents[1] / "tests" / "teacher" / "replies.py"


def main() -> None:
    """Measure, print the table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    measure(parser.parse_args().rows)


def measure(rows: int) -> None:
    """Ask two kinds of server, and print how it went."""
    Path("runs").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="runs", prefix="bench-") as folder:
        speed = calls_per_second(Path(folder) / "speed.sqlite")
        ideal = calls.MOST / LATENCY
        print(f"{speed:.0f} calls/s of an ideal {ideal:.0f} ({speed / ideal:.0%})", flush=True)
        faults: dict[str, Any] = {}
        first: tuple[list[tuple[str, str, str]], dict[str, str]] | None = None
        write_sample(Path(folder) / "seeds", "sample")
        columns = ["lost", "doubled", "mismatched", "paid_twice", "same_bytes", "calls", "seconds", "stalled"]
        print(f"{'faults':>8}" + "".join(f"{name:>12}" for name in columns))
        for share in SHARES:
            # A server that does not hang is not asked again, however busy the machine is.
            calls.TIMEOUT = PATIENCE if share else 600.0
            found, replies = with_faults(share, rows, Path(folder) / f"{share}.sqlite")
            bytes_now = told(replies), shards(share, Path(folder))
            first = first or bytes_now
            faults[f"{share:g}"] = found | {"same_bytes": bytes_now == first}
            print(
                f"{share:>8.0%}" + "".join(f"{faults[f'{share:g}'][name]:>12}" for name in columns),
                flush=True,
            )
    result = {"calls_per_second": round(speed), "ideal_calls_per_second": round(ideal), "faults": faults}
    print(json.dumps({"rows": rows, **result}))


def calls_per_second(path: Path) -> float:
    """Replies a second from a server that takes LATENCY for each."""
    with scripted(latency=LATENCY) as server:
        replies = asked(Teacher("m", server.address), asks(WARM + TIMED), path, recipe="bench")
        for _ in range(WARM):
            next(replies)
        start = time.perf_counter()
        count = sum(1 for _ in replies)
        return count / (time.perf_counter() - start)


def with_faults(share: float, rows: int, path: Path) -> tuple[dict[str, Any], list[Reply]]:
    """What became of `rows` asks."""
    start = time.perf_counter()
    with scripted(faults=share, seed=1, latency=0.01) as server, stalls() as stalled:
        replies = list(asked(Teacher("m", server.address), asks(rows), path, recipe="bench"))
        stats = server.stats()
    times = Counter(reply.key for reply in replies)
    texts = {key: text for key, text, _ in right(rows)}
    usable = [reply for reply in replies if not reply.reason]
    return {
        "lost": rows - len({reply.key for reply in usable}),
        "doubled": sum(number > 1 for number in times.values()),
        "mismatched": sum(texts[reply.key] != reply.text for reply in usable),
        "paid_twice": sum(number > 1 for number in stats["usable"].values()),
        "calls": sum(stats["asked"].values()),
        "seconds": round(time.perf_counter() - start),
        "stalled": round(max(stalled), 1),
    }, replies


@contextmanager
def stalls() -> Iterator[list[float]]:
    """How many seconds too late a thread was woken, each time, while the block ran."""
    late, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.is_set():
            start = time.monotonic()
            time.sleep(0.05)
            late.append(time.monotonic() - start - 0.05)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield late
    finally:
        ended.set()
        thread.join()


def shards(share: float, folder: Path) -> dict[str, str]:
    """The hashes of the shards of a recipe that is built with a teacher."""
    runs = folder / f"runs-{share:g}"
    with scripted(faults=share, seed=1, replies=str(REPLIES)) as server:
        recipe = with_teacher(scaled(load("aspects"), RECIPE_ROWS), "m", server.address)
        build(recipe, folder / "seeds", runs, workers=1)
    files = read_manifest(runs / "aspects")["files"]
    return {name: facts["sha256"] for name, facts in files.items() if name.startswith("data/")}


if __name__ == "__main__":
    main()
