"""The CPU time of every staging table and every task's query of the mixture: a table, then JSON.

    make bench NAME=queries [ROWS=500000]

Seeds are those of the benchmark `kddcup24`. A table that several queries share is made once, before the first
that reads it. A task's time is that of its query and of drawing its share of ROWS rows. It says which query
or table to look at where a build is slow.
"""

import json
import resource
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from build import parser
from kddcup24 import RECIPE, ROWS

from datagen.pipeline.sampling import draw
from datagen.pipeline.shared_tables import shared, turns
from datagen.recipe.load import load, scaled
from datagen.recipe.model import Loaded
from datagen.recipe.narrow import without_steps
from datagen.sources.database import open_seeds
from datagen.sources.locate import made_up
from datagen.sources.query import columns_of

SHOWN = 40
"""Tables and tasks that are printed, the dearest first."""


def main() -> None:
    """Measure, print the table and the JSON line."""
    measure(parser(__doc__, ROWS).parse_args().rows)


def measure(rows: int) -> None:
    """Draw every task of the mixture of `rows` rows, and print what it took."""
    seeds = made_up(Path("runs/seeds"), "full", partial(print, file=sys.stderr))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(dir="runs", prefix="bench-") as folder:
        recipe = load(RECIPE)
        recipe = scaled(without_steps(recipe, recipe.steps, "there is no teacher"), rows)
        opening, costs = costs_of(recipe, seeds, Path(folder))
    print(f"{'':<60}{'CPU s':>8}")
    for name, seconds in sorted(costs.items(), key=lambda item: -item[1])[:SHOWN]:
        print(f"{name:<60}{seconds:>8.1f}")
    by_kind = {
        kind: round(sum(cost for name, cost in costs.items() if name.startswith(kind)), 1)
        for kind in ("table", "task")
    }
    result = {
        "opening": round(opening, 1),
        "tables": by_kind["table"],
        "tasks": by_kind["task"],
        "seconds": round(time.perf_counter() - start, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }
    print(json.dumps(result))


def costs_of(recipe: Loaded, seeds: Path, folder: Path) -> tuple[float, dict[str, float]]:
    """CPU seconds of opening the seeds, and of each table and task."""
    queries = {name: task.query for name, task in recipe.tasks.items()}
    costs: dict[str, float] = {}
    start = time.process_time()
    with open_seeds(
        recipe.sources, seeds, recipe.seed, tables=recipe.tables, spill=folder, columns=folder / "columns"
    ) as opened:
        of_tasks = turns(opened, queries)
        opening = time.process_time() - start
        for name, sql in queries.items():
            task, turn = recipe.tasks[name], of_tasks[name]
            for table in turn.keep:
                start = time.process_time()
                with shared(opened, name, type(turn)((table,), ())):
                    costs[f"table {table.schema}.{table.name}"] = time.process_time() - start
            start = time.process_time()
            columns = list(columns_of(opened.of(name), sql))
            path = folder / "drawn.arrow"
            draw(*(opened, name, sql, columns, task.rows, recipe.split.test, path), reserve=True, mixed=True)
            costs[f"task {name}"] = time.process_time() - start
            with shared(opened, name, type(turn)((), turn.drop)):
                pass
    return opening, costs


if __name__ == "__main__":
    main()
