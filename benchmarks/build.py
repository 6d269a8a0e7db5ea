"""The time and memory of a full-size build of one multiple-choice task: a table, then JSON.

    make bench NAME=build [ROWS=500000]

Seeds are the sample shop at ESCI's own size (2.6 million judgements, 1.8 million products), written once
below runs/seeds/. The task is like `best_match` of the recipe esci_mcq, but asks about every exact product,
not about two a query, so that there are rows enough: ROWS of them, and a tenth of that.
Each figure is the median of three builds in fresh processes. Memory is the processes' PSS (what each holds
alone, and its share of what they map together), summed and sampled twice a second. The floor is the task's
query and writing its rows as Parquet, by DuckDB alone.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import yaml

from datagen.errors import UserError
from datagen.sources.database import open_seeds
from datagen.sources.esci import Options
from datagen.sources.locate import made_up
from datagen.storage.manifest import read_manifest

ROWS = 500_000
RUNS = 3
TASK = "best_match"
RECIPE = """
name: bench
description: The product that answers a query, for every product judged exact.
sources: {esci: {}}
type: multiple_choice
track: user_behavior_alignment
tasks:
  best_match:
    template: multiple_choice/best_match.j2
    rows: 500000
    query: |
      with wrong as (
        select locale, query_id, list(title) as titles
        from esci.titled where label <> 'E' group by locale, query_id having count(*) >= 3
      )
      select key, split, groups[:1] as groups, language, query, title as correct,
        pick(titles, 3, key) as distractors
      from esci.pairs join wrong using (locale, query_id) where label = 'E'
"""


def built_from_sample(work: Path, recipe: str) -> Path:
    """A recipe's run below `work`, built from the made-up shop: for benchmarks that need questions."""
    from datagen.pipeline.build import build
    from datagen.recipe.load import load
    from datagen.sources.sample import write_sample

    write_sample(work / "seeds")
    build(load(recipe), work / "seeds", work / "runs")
    return work / "runs" / recipe


def main() -> None:
    """Measure, print the table and the JSON line."""
    measure(parser(__doc__, ROWS).parse_args().rows)


def parser(text: str | None, rows: int) -> argparse.ArgumentParser:
    """The command line of a benchmark that builds: how many rows."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rows", type=int, default=rows)
    return made


def measure(rows: int) -> None:
    """Build `rows` rows and a tenth of them, and print what it took."""
    seeds = made_up(Path("runs/seeds"), "full", partial(print, file=sys.stderr))
    with tempfile.TemporaryDirectory(dir="runs", prefix="bench-") as folder:
        recipe = one_task_recipe(Path(folder))
        floor = [floor_seconds(seeds, recipe, rows, Path(folder)) for _ in range(RUNS)]
        small = [build(seeds, recipe, rows // 10, Path(folder)) for _ in range(RUNS)]
        large = [build(seeds, recipe, rows, Path(folder)) for _ in range(RUNS)]
    result = {
        "rows": int(statistics.median(kept for kept, _, _ in large)),
        "seconds": median(seconds for _, seconds, _ in large),
        "floor_seconds": median(floor),
        "peak_gib": median(peak for _, _, peak in large),
        "seconds_at_50k": median(seconds for _, seconds, _ in small),
    }
    print(f"{'':<34}{'rows kept':>12}{'median s':>10}{'min s':>8}{'max s':>8}{'peak GiB':>10}")
    for name, runs in ((f"build of {rows // 10:,}", small), (f"build of {rows:,}", large)):
        seconds = [taken for _, taken, _ in runs]
        peak = median(peak for _, _, peak in runs)
        print(f"{name:<34}{int(runs[0][0]):>12,}{line(seconds)}{peak:>10.2f}")
    print(f"{'query and writing alone (DuckDB)':<34}{rows:>12,}{line(floor)}")
    print(json.dumps(result))


def line(seconds: list[float]) -> str:
    """Median, least and most."""
    return f"{median(seconds):>10.1f}{min(seconds):>8.1f}{max(seconds):>8.1f}"


def median(values: Iterable[float]) -> float:
    """Rounded to what is worth reading."""
    return round(statistics.median(values), 2)


def one_task_recipe(folder: Path) -> Path:
    """RECIPE in a file."""
    path = folder / "bench.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def floor_seconds(seeds: Path, recipe: Path, rows: int, folder: Path) -> float:
    """Seconds of the task's query and of writing `rows` of its rows as Parquet, by DuckDB alone."""
    query = yaml.safe_load(recipe.read_text(encoding="utf-8"))["tasks"][TASK]["query"]
    with open_seeds({"esci": Options()}, seeds, 0) as opened:
        [(available,)] = opened.connection.execute(f"select count(*) from ({query})").fetchall()
        bound = min(int(rows / available * 2**64), 2**64 - 1)  # no `limit`: DuckDB 2.0 hangs on it here
        start = time.perf_counter()
        table = opened.connection.sql(f"from ({query}) where draw(key) <= {bound}").to_arrow_table()
        pq.write_table(table, folder / "floor.parquet", compression="zstd")
        return time.perf_counter() - start


def build(seeds: Path, recipe: Path, rows: int, folder: Path) -> tuple[int, float, float]:
    """Rows kept, seconds and peak GiB of one build."""
    with tempfile.TemporaryDirectory(dir=folder) as runs:
        seconds, peak = timed_build(recipe, "--seeds", seeds, "--rows", rows, "--runs", runs)
        return kept_rows(Path(runs) / "bench"), seconds, peak


def timed_build(*arguments: str | int | Path, home: Path | None = None) -> tuple[float, float]:
    """Seconds and peak GiB of `datagen build` in processes of its own, in the folder `home`."""
    command = [Path(sys.executable).with_name("datagen").absolute(), "build", *arguments]
    start = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), cwd=home, stdout=subprocess.DEVNULL)
    peak: list[float] = [0.0]
    watcher = threading.Thread(target=watch, args=(process.pid, peak))
    watcher.start()
    if process.wait():
        raise UserError(f"`{' '.join(map(str, command))}` failed")
    seconds = time.perf_counter() - start
    watcher.join()
    return seconds, peak[0] / 2**30


def kept_rows(run: Path) -> int:
    """Rows of a run, of both sides."""
    return sum(sum(task["kept"].values()) for task in read_manifest(run)["tasks"].values())


def watch(process: int, peak: list[float]) -> None:
    """Keep the largest sum of PSS over a process and its children in `peak`, until it ends."""
    while psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
        held = 0
        try:
            parent = psutil.Process(process)
            for one in [parent, *parent.children(recursive=True)]:
                held += one.memory_full_info().pss
        except psutil.Error:
            pass  # it ended between two looks
        peak[0] = max(peak[0], held)
        time.sleep(0.5)  # each look takes the kernel some ms, which the build lacks


if __name__ == "__main__":
    main()
