"""Tests of asking by the Batch API: half the price, over restarts, matched by ids."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from datagen.errors import OverBudget, UserError
from datagen.teacher import batch_api, ledger
from datagen.teacher.client import Reply, Teacher, asked
from tests.processes import at_work
from tests.teacher.known_asks import asks, right, told
from tests.teacher.scripted_server import scripted

ROOT = Path(__file__).parents[2]
NUMBER = 60


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_api, "POLL", 0.05)


def by_batch(address: str, path: Path, lines: list[str], **changes: Any) -> list[Reply]:
    teacher = Teacher("m", address, price=(1.0, 10.0), batch=True)._replace(**changes)
    return list(asked(teacher, asks(NUMBER), path, recipe="r", say=lines.append))


def test_a_batch_is_sent_waited_for_and_matched_by_ids_at_half_the_price(tmp_path: Path) -> None:
    path, lines = tmp_path / "t.sqlite", list[str]()
    with scripted(batches=True, batch_looks=3) as server:
        replies = by_batch(server.address, path, lines)
        stats = server.stats()
    assert told(replies) == right(NUMBER)
    assert all(reply.from_ledger for reply in replies)
    assert stats["bodies"] == []  # no single call
    assert [line[:20] for line in lines] == ["Batch batch_0: 60 as", "batch batch_0 comple"]
    tokens_in = sum(reply.tokens_in for reply in replies)
    tokens_out = sum(reply.tokens_out for reply in replies)
    with ledger.opened(path) as connection:
        assert ledger.spent(connection, "r") == pytest.approx((tokens_in + 10 * tokens_out) / 2e6)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_only_what_failed_is_sent_again(share: float, tmp_path: Path) -> None:
    path, lines = tmp_path / "t.sqlite", list[str]()
    kinds = ["500", "hang", "another", "no_choices", "duplicate"]
    with scripted(batches=True, faults=share, kinds=kinds, seed=4) as server:
        replies = by_batch(server.address, path, lines)
        stats = server.stats()
    assert told(replies) == right(NUMBER)
    assert set(stats["paid"].values()) == {1}
    assert len(stats["batches"]) >= 2
    assert any("replies to asks that were not in it" in line for line in lines)


def test_large_lists_go_into_several_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_api, "MOST_ASKS", 25)
    with scripted(batches=True) as server:
        assert told(by_batch(server.address, tmp_path / "t.sqlite", [])) == right(NUMBER)
        assert len(server.stats()["batches"]) == 3


def test_a_server_without_batches_is_asked_one_by_one_and_it_says_so(tmp_path: Path) -> None:
    lines: list[str] = []
    with scripted() as server:
        assert told(by_batch(server.address, tmp_path / "t.sqlite", lines)) == right(NUMBER)
    [line] = lines
    assert "has no Batch API (404 on /files): asks are sent one by one, at the full price" in line


def test_a_refused_batch_stops_with_the_servers_words(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    with scripted(batches=True, refuses_batch="Enqueued token limit reached") as server:
        with pytest.raises(UserError, match=r"refused batch batch_0: Enqueued token limit reached\. Nothing"):
            by_batch(server.address, path, [])
        assert server.stats()["bodies"] == []
    with scripted(batches=True, key="right") as server, pytest.raises(UserError, match="refuses the key"):
        by_batch(server.address, path, [])


def test_batches_keep_the_limit_of_costs(tmp_path: Path) -> None:
    path, lines = tmp_path / "t.sqlite", list[str]()
    with scripted(batches=True) as server:
        with pytest.raises(OverBudget, match=r"before a batch that could pass the limit of \$0.001"):
            by_batch(server.address, path, lines, max_cost_usd=0.001)
        # each ask may cost $0.005, and costs less: several batches, one after the other
        assert told(by_batch(server.address, path, lines, max_cost_usd=0.1)) == right(NUMBER)
        assert len(server.stats()["batches"]) > 2
        assert set(server.stats()["paid"].values()) == {1}


RUN = """
import sys
from pathlib import Path
from datagen.teacher import batch_api
from tests.teacher.test_batch_api import by_batch
batch_api.POLL = 0.05
print("begun", flush=True)
by_batch(sys.argv[1], Path(sys.argv[2]), [])
"""

DIES = """
import os
send = batch_api._Batches._create
batch_api._Batches._create = lambda *of: (send(*of), os._exit(9))
"""


@pytest.mark.parametrize("where", ["waiting", "before its id is noted"])
def test_a_killed_run_goes_on_waiting_and_sends_nothing_twice(where: str, tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    code = RUN if where == "waiting" else RUN.replace("batch_api.POLL", f"{DIES}batch_api.POLL")
    with scripted(batches=True, batch_looks=30) as server:
        command = [sys.executable, "-c", code, server.address, str(path)]
        with at_work(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            deadline = time.monotonic() + 60
            while not server.stats()["batches"] and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(0.3)
            process.kill()
        assert told(by_batch(server.address, path, [])) == right(NUMBER)
        stats = server.stats()
    assert len(stats["batches"]) == 1
    assert set(stats["paid"].values()) == {1}
