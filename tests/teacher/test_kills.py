"""A build with a teacher that is killed or interrupted at random moments, and what the server counted."""

import json
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from datagen.sources.sample import write_sample
from datagen.storage.manifest import read_manifest
from datagen.teacher.raw_reply import read
from tests.processes import LONG, Process, ended, run, started
from tests.teacher.scripted_server import FAULTS, Server, scripted

REPLIES = str(Path(__file__).parent / "replies.py")
KINDS = [kind for kind in FAULTS if kind != "hang"]
"""No reply may be late: a call that is made anew after a while is another matter."""

MOMENTS = 20
LATENCY = 0.1


def build(server: Server) -> list[str]:
    teacher = ["--teacher", "m", "--base-url", server.address]
    return ["build", "aspects", "--rows", "400", "--seeds", "seeds", "--workers", "1", *teacher]


def shards(here: Path) -> dict[str, str]:
    """The hashes of the shards."""
    files = read_manifest(here / "runs/aspects")["files"]
    return {name: facts["sha256"] for name, facts in files.items() if name.startswith("data/")}


def kept(here: Path) -> Counter[str]:
    """How many usable replies the ledger has to each ask, by its words."""
    path = here / "runs/teacher.sqlite"
    if not path.is_file():
        return Counter()
    with closing(sqlite3.connect(path)) as connection:
        rows = [
            (json.loads(request), raw)
            for request, raw in connection.execute("select request, raw from reply")
        ]
    said = [(asked["messages"][-1]["content"], read(raw, asked["schema"])) for asked, raw in rows]
    return Counter(words for words, reading in said if not reading.reason)


def delivered(server: Server) -> Counter[str]:
    """How often the server has delivered a right reply to each ask."""
    return Counter(server.stats()["usable"])


def wait_for(server: Server, number: int, process: Process) -> None:
    """Wait until so many right replies were delivered in all, or the build is done."""
    deadline = time.monotonic() + LONG
    while delivered(server).total() < number and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.slow
def test_builds_killed_at_random_moments_lose_nothing_and_pay_for_nothing_twice(tmp_path: Path) -> None:
    write_sample(tmp_path / "seeds", "sample")
    whole, here = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, here):
        folder.mkdir()
        (folder / "seeds").symlink_to(tmp_path / "seeds")
    with scripted(replies=REPLIES) as server:
        assert run(whole, *build(server)) == (0, "")
        asked = delivered(server)
    dice, lost, ends = random.Random(13), Counter[str](), Counter[str]()
    moments = sorted(dice.randrange(asked.total()) for _ in range(MOMENTS))
    with scripted(replies=REPLIES, latency=LATENCY, faults=0.1, kinds=KINDS, seed=13) as server:
        for number, moment in enumerate(moments):
            with started(here, *build(server)) as process:
                wait_for(server, moment + lost.total(), process)
                time.sleep(dice.uniform(0, 2 * LATENCY))
                kind = signal.SIGKILL if number % 2 else signal.SIGINT
                process.send_signal(kind)
                code, _ = ended(process)
            time.sleep(4 * LATENCY)  # what was on its way is delivered, and counted
            ends[f"{kind.name} {code}"] += 1
            before = lost.total()
            lost = delivered(server) - kept(here)
            assert kind is signal.SIGKILL or lost.total() == before  # Ctrl-C waits for what is on its way
        assert run(here, *build(server)) == (0, "")
        stats = server.stats()
    assert ends["SIGINT 130"] > 5, ends
    assert ends["SIGKILL -9"] > 5, ends
    assert shards(here) == shards(whole)
    assert kept(here) == asked == Counter(dict.fromkeys(asked, 1))  # all that was asked, each once
    assert Counter(stats["usable"]) == asked + lost  # no more than what a kill let fall
    assert set(stats["paid"].values()) == {1}  # and these by the same name
    steps = read_manifest(here / "runs/aspects")["steps"]
    assert all(one["asked"] == one["kept"] + sum(one["rejected"].values()) for one in steps.values())
