"""The time and memory of the whole mixture from full-size seeds of six sources: a table, then JSON.

    make bench NAME=kddcup24 [ROWS=500000]

Seeds are the sample many times over, in the publishers' sizes (2.6 million judgements, 3.6 million
sessions, 5 million reviews), written once below runs/seeds/. ROWS of the recipe kddcup24, and a tenth of
that, are built in a process of their own. The floor is the time in which DuckDB reads every column of the
seeds and writes the rows as Parquet. Memory is measured as in the benchmark `build`.
"""

import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import duckdb
from build import kept_rows, parser, timed_build

from datagen.recipe.load import load
from datagen.sources import SOURCES
from datagen.sources.database import open_seeds
from datagen.sources.locate import made_up
from datagen.storage.manifest import read_manifest

ROWS = 500_000
RECIPE = "kddcup24"


def main() -> None:
    """Measure, print the table and the JSON line."""
    measure(parser(__doc__, ROWS).parse_args().rows)


def measure(rows: int) -> None:
    """Build `rows` rows and a tenth of them, and print what it took."""
    seeds = made_up(Path("runs/seeds"), "full", partial(print, file=sys.stderr))
    with tempfile.TemporaryDirectory(dir="runs", prefix="bench-") as folder:
        small = build(seeds, rows // 10, Path(folder) / "small")
        large = build(seeds, rows, Path(folder) / "large")
        floor = read_seconds(seeds) + write_seconds(Path(folder) / "large" / RECIPE)
        tasks = read_manifest(Path(folder) / "large" / RECIPE)["tasks"]  # without those that want a teacher
    print(f"{'':<34}{'rows kept':>12}{'s':>8}{'peak GiB':>10}")
    for asked, (kept, seconds, peak) in ((rows // 10, small), (rows, large)):
        print(f"{f'build of {asked:,}':<34}{kept:>12,}{seconds:>8.1f}{peak:>10.2f}")
    print(f"{'reading and writing alone (DuckDB)':<34}{'':>12}{floor:>8.1f}")
    result = {
        "rows": large[0],
        "seconds": round(large[1], 1),
        "floor_seconds": round(floor, 1),
        "peak_gib": round(large[2], 2),
        "seconds_at_50k": round(small[1], 1),
        "tasks": len(tasks),
    }
    print(json.dumps(result))


def build(seeds: Path, rows: int, runs: Path) -> tuple[int, float, float]:
    """Rows kept, seconds and peak GiB of one build."""
    seconds, peak = timed_build(RECIPE, "--seeds", seeds, "--rows", rows, "--runs", runs)
    return kept_rows(runs / RECIPE), seconds, peak


def read_seconds(seeds: Path) -> float:
    """Seconds in which DuckDB reads all columns of all seed tables that the mixture opens."""
    taken = 0.0
    for source in load(RECIPE).sources:
        with open_seeds({source: SOURCES[source].Options()}, seeds, 0) as opened:
            start = time.perf_counter()
            for table, layout in SOURCES[source].TABLES.items():
                columns = ", ".join(f'"{column}"' for column in layout.columns)
                opened.connection.execute(
                    f"select bit_xor(hash({columns})) from {source}.{table}_file"
                ).fetchall()
            taken += time.perf_counter() - start
    return taken


def write_seconds(run: Path) -> float:
    """Seconds in which DuckDB writes the rows of a run as Parquet again."""
    with duckdb.connect() as connection:
        connection.execute(f"create table rows as from read_parquet('{run}/data/*.parquet')")
        start = time.perf_counter()
        connection.execute(f"copy rows to '{run}/again.parquet' (format parquet, compression zstd)")
        return time.perf_counter() - start


if __name__ == "__main__":
    main()
