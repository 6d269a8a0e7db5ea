"""Builds that were killed, interrupted or started twice: the next one goes on, to the same bytes."""

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from datagen.sources import SOURCES
from datagen.sources.database import open_seeds
from datagen.sources.query import bounded
from datagen.sources.sample import write_sample
from tests.processes import Process, contents, ended, run, started

BUILD = ["build", "shop", "--seeds", "seeds", "--rows", "30000", "--workers", "2"]
"""More rows than a build does in its own process, so that there are workers; the seeds give fewer."""

Fresh = Callable[[str], Path]


@pytest.fixture(scope="module")
def fresh(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """Makes working folders with the recipe `shop` and its seeds."""
    home = tmp_path_factory.mktemp("resume")

    def fresh(name: str) -> Path:
        return Path(shutil.copytree(shop, home / name, ignore=shutil.ignore_patterns("runs")))

    return fresh


@pytest.fixture(scope="module")
def undisturbed(fresh: Fresh) -> dict[str, bytes]:
    """What a build leaves behind that nobody disturbs."""
    return _undisturbed(fresh("undisturbed"))[0]


def _undisturbed(here: Path) -> tuple[dict[str, bytes], float]:
    """What the build leaves behind, and the seconds that it takes from its first file on."""
    with started(here, *BUILD) as build:
        _until(build, lambda: [here / "runs/shop"])
        begin = time.monotonic()
        assert ended(build) == (0, "")
    return contents(here / "runs/shop"), time.monotonic() - begin


def _until(build: Process, found: Callable[[], Iterable[Path]]) -> list[Path]:
    """The files that a build makes, as soon as they are there."""
    while not (paths := [path for path in found() if path.exists()]):
        assert build.poll() is None, build.communicate()
        time.sleep(0.002)
    return paths


def _workers(build: Process) -> list[psutil.Process]:
    """A build's workers, as soon as there are some, without the tracker that multiprocessing starts, too."""
    while True:
        assert build.poll() is None, build.communicate()
        children = psutil.Process(build.pid).children()
        if workers := [child for child in children if "spawn_main" in " ".join(child.cmdline())]:
            return workers


def _killed(here: Path, seconds: float, *, whole_group: bool) -> bool:
    """Kill a build that long after its first file: whether it was still at work. No worker outlives it."""
    with started(here, *BUILD) as build:
        _until(build, lambda: [here / "runs/shop"])
        time.sleep(seconds)
        family = psutil.Process(build.pid).children(recursive=True) if build.poll() is None else []
        if whole_group:
            with suppress(ProcessLookupError):  # done just now
                os.killpg(build.pid, signal.SIGKILL)
        else:
            build.kill()
        build.wait()
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not alive
        return build.returncode == -signal.SIGKILL


@pytest.mark.parametrize("whole_group", [True, False], ids=["all", "parent"])
def test_a_killed_build_goes_on_to_the_same_bytes(
    fresh: Fresh, undisturbed: dict[str, bytes], whole_group: bool
) -> None:
    here = fresh(f"killed-{whole_group}")
    assert _killed(here, 1.0, whole_group=whole_group)
    assert run(here, *BUILD) == (0, "")
    assert contents(here / "runs/shop") == undisturbed


@pytest.mark.slow
def test_twenty_killed_builds_go_on_to_the_same_bytes(fresh: Fresh) -> None:
    write_sample(fresh("seeds") / "seeds", 16_000)  # two batches of a task

    def here(name: str) -> Path:
        folder = fresh(name)
        shutil.rmtree(folder / "seeds")
        (folder / "seeds").symlink_to(folder.parent / "seeds/seeds")
        return folder

    expected, seconds = _undisturbed(here("whole"))
    dice = random.Random(2)
    caught = 0
    for number in range(20):
        folder = here(str(number))
        caught += _killed(folder, dice.uniform(0, seconds), whole_group=number % 2 == 0)
        assert run(folder, *BUILD) == (0, "")
        assert contents(folder / "runs/shop") == expected
        shutil.rmtree(folder)
    assert caught >= 10


def test_what_is_done_is_not_done_again(fresh: Fresh) -> None:
    here = fresh("kept")
    work = here / "runs/shop/work"
    with started(here, *BUILD) as build:
        _until(build, lambda: work.glob("*/parts/*/*.arrow"))
    # a part is done once its examples are there; its rejects are written before
    before = {path: path.stat().st_mtime_ns for path in work.glob("*/parts/*/*.arrow")}
    with started(here, *BUILD) as build:
        _until(build, lambda: work.glob("*/reasons/*/*.arrow"))
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_an_interrupted_build_stops_its_workers_and_goes_on(
    fresh: Fresh, undisturbed: dict[str, bytes]
) -> None:
    here = fresh("interrupted")
    with started(here, *BUILD) as build:
        workers = _workers(build)
        _until(build, lambda: (here / "runs/shop/work").glob("*/parts/*/*.arrow"))  # they are at work
        os.killpg(build.pid, signal.SIGINT)  # as a terminal does: to the workers, too
        code, stderr = ended(build)
        assert not psutil.wait_procs(workers, timeout=20)[1]
    assert code == 130
    assert stderr.strip() == "interrupted. What is done is kept: the same command goes on from there"
    assert run(here, *BUILD) == (0, "")
    assert contents(here / "runs/shop") == undisturbed


@pytest.mark.parametrize("seconds", [0, 0.05, 0.2, 0.5])
def test_an_interrupt_while_workers_start_says_no_more(fresh: Fresh, seconds: float) -> None:
    with started(fresh(f"starting-{seconds}"), *BUILD) as build:
        _workers(build)
        time.sleep(seconds)
        os.killpg(build.pid, signal.SIGINT)
        code, stderr = ended(build)
    assert code == 130
    assert stderr.strip() == "interrupted. What is done is kept: the same command goes on from there"


def test_the_second_of_two_builds_says_who_is_at_work(fresh: Fresh) -> None:
    here = fresh("twice")
    with started(here, *BUILD) as first:
        _until(first, lambda: here.glob("runs/shop/work/*"))
        code, stderr = run(here, *BUILD)
        assert first.poll() is None
    assert code == 1
    assert stderr.startswith(f"error: runs/shop is being built by process {first.pid} on ")
    assert stderr.count("\n") == 1


def test_a_worker_that_is_killed_is_reported_in_one_line(fresh: Fresh) -> None:
    with started(fresh("memory"), *BUILD) as build:
        _workers(build)[0].kill()
        code, stderr = ended(build)
    assert code == 1
    assert stderr.startswith("error: a worker process was killed")
    assert stderr.count("\n") == 1


def test_an_interrupt_stops_a_query_at_work(fresh: Fresh) -> None:
    """DuckDB itself would finish the query first."""
    endless = "select count(*) from range(1_000_000_000_000) as of(i) where hash(i) % 7 = 3"
    options = {"esci": SOURCES["esci"].Options()}
    with open_seeds(options, fresh("query") / "seeds", 7) as seeds:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt), bounded(seeds.connection, "endless"):
            seeds.connection.execute(endless)
    assert time.monotonic() - begin < 10
