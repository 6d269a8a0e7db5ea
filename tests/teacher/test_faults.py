"""Tests of the teacher behind a server with faults: no ask lost, doubled, mismatched or paid for twice."""

import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from datagen.teacher import calls, ledger
from datagen.teacher.client import Teacher, asked
from datagen.teacher.raw_reply import settled
from tests.processes import at_work
from tests.teacher.known_asks import asks, right, told
from tests.teacher.scripted_server import FAULTS, Server, scripted

NUMBER = 300
ROOT = Path(__file__).parents[2]


def paid_twice(server: Server) -> dict[str, int]:
    """Asks of which the server delivered more than one right reply."""
    return {said: times for said, times in server.stats()["usable"].items() if times > 1}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "TIMEOUT", 3.0)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_every_ask_gets_its_own_reply_whatever_the_share_of_faults(share: float, tmp_path: Path) -> None:
    with scripted(faults=share, seed=3, latency=0.01) as server:
        teacher = Teacher("m", base_url=server.address)
        replies = list(asked(teacher, asks(NUMBER), tmp_path / "teacher.sqlite", recipe="r"))
        assert told(replies) == right(NUMBER)
        assert paid_twice(server) == {}
        met = Counter(server.stats()["met"])
    assert share == 0 or set(met) >= set(FAULTS if share > 0.1 else ["none"])


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_is_outlived(kind: str, tmp_path: Path) -> None:
    with scripted(faults=0.5, kinds=[kind]) as server:
        teacher = Teacher("m", base_url=server.address)
        replies = list(asked(teacher, asks(12), tmp_path / "teacher.sqlite", recipe="r"))
        assert told(replies) == right(12)
        assert server.stats()["met"][kind] >= 3
        assert paid_twice(server) == {}


RUN = """
import sys
from pathlib import Path
from datagen.teacher import calls, ledger
from datagen.teacher.raw_reply import settled
from datagen.teacher.client import Teacher, asked
from tests.teacher.known_asks import asks
from tests.teacher.test_faults import NUMBER
calls.TIMEOUT = float(sys.argv[3])
print("begun", flush=True)
for reply in asked(Teacher("m", base_url=sys.argv[1]), asks(NUMBER), Path(sys.argv[2]), recipe="r"):
    pass
"""


@contextmanager
def a_run(server: Server, path: Path, patience: float = 60.0) -> Iterator[subprocess.Popen[str]]:
    """A run of its own process; a call is made anew after `patience` seconds.

    Where the server does not hang, that is long: on a busy machine a reply may lie there for seconds, and
    what is asked again then is delivered twice.
    """
    command = [sys.executable, "-c", RUN, server.address, str(path), str(patience)]
    with at_work(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        yield process


def in_ledger(server: Server, path: Path) -> set[str]:
    """The words of the asks that have a usable reply in the ledger."""
    teacher = Teacher("m", base_url=server.address)
    keys = {ledger.key_of(ledger.request_of(teacher, ask)): ask for ask in asks(NUMBER)}
    with ledger.opened(path) as connection:
        found = ledger.find(connection, list(keys))
    return {
        keys[key].messages[-1]["content"] for key, raws in found.items() if settled(raws, keys[key].schema)
    }


def test_killed_runs_go_on_and_pay_for_no_kept_reply_again(tmp_path: Path) -> None:
    path, lost = tmp_path / "teacher.sqlite", Counter[str]()
    with scripted(faults=0.1, latency=0.02) as server:
        for pause in (0.3, 0.6, 0.9):
            with a_run(server, path, patience=3.0) as process:
                time.sleep(pause)
                process.kill()
                process.wait()
            time.sleep(0.3)  # what was on its way is delivered, and counted
            held = in_ledger(server, path)
            lost.update(set(server.stats()["usable"]) - held)
        replies = list(asked(Teacher("m", base_url=server.address), asks(NUMBER), path, recipe="r"))
        stats = server.stats()
    assert told(replies) == right(NUMBER)
    assert {said for said, times in stats["usable"].items() if times > 1} <= set(lost)
    assert max(lost.values(), default=0) <= 3
    assert set(stats["paid"].values()) == {1}


def test_an_interrupted_run_keeps_what_is_on_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "TIMEOUT", 60.0)
    path = tmp_path / "teacher.sqlite"
    with scripted(latency=0.5) as server:
        with a_run(server, path) as process:
            deadline = time.monotonic() + 60
            while not server.stats()["usable"] and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
        assert paid_twice(server) == {}
        assert set(server.stats()["usable"]) == in_ledger(server, path)
        replies = list(asked(Teacher("m", base_url=server.address), asks(NUMBER), path, recipe="r"))
        assert paid_twice(server) == {}
    assert told(replies) == right(NUMBER)


def test_two_runs_share_a_ledger_and_pay_once(tmp_path: Path) -> None:
    path = tmp_path / "teacher.sqlite"
    with scripted(latency=0.05) as server, a_run(server, path) as one, a_run(server, path) as other:
        assert (one.wait(timeout=120), other.wait(timeout=120)) == (0, 0)
        assert paid_twice(server) == {}
        assert sum(server.stats()["paid"].values()) == NUMBER
        replies = list(asked(Teacher("m", base_url=server.address), asks(NUMBER), path, recipe="r"))
        assert told(replies) == right(NUMBER)
        assert all(reply.from_ledger for reply in replies)
