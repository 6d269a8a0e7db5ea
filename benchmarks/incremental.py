"""The time of a build after one template was changed, against one from zero: a table, then JSON.

    make bench NAME=incremental [ROWS=20000]

A copy of the recipe and its templates is built, its largest task's template is changed, and it is built again
as it is, and from zero elsewhere: the bytes must be the same. Seeds are the sample's, or those of --seeds.
"""

import json
import shutil
import tempfile
from pathlib import Path

from build import parser, timed_build

from datagen.commands.verify import published
from datagen.paths import find
from datagen.recipe.load import load
from datagen.sources.locate import find_seeds

ROWS = 20_000
RECIPE = "esci_all"


def main() -> None:
    """Measure, print the table and the JSON line."""
    line = parser(__doc__, ROWS)
    line.add_argument("--recipe", default=RECIPE)
    line.add_argument("--seeds", default="sample")
    arguments = line.parse_args()
    recipe = load(arguments.recipe)
    seeds = find_seeds(arguments.seeds, recipe.sources, Path("runs")).resolve()
    largest = max(recipe.tasks.values(), key=lambda task: task.rows)
    with tempfile.TemporaryDirectory(dir="runs", prefix="bench-") as folder:
        home = Path(folder)
        shutil.copytree(find("recipes", arguments.recipe).parent, home / "recipes")
        shutil.copytree(find("templates", largest.template).parents[1], home / "templates")
        command = [arguments.recipe, "--seeds", seeds, "--rows", arguments.rows]
        first, _ = timed_build(*command, "--runs", "one", home=home)
        template = home / "templates" / largest.template
        template.write_text(f"Now then.\n{template.read_text(encoding='utf-8')}", encoding="utf-8")
        again, _ = timed_build(*command, "--runs", "one", home=home)
        zero, _ = timed_build(*command, "--runs", "two", home=home)
        runs = [home / name / arguments.recipe for name in ("one", "two")]
        same = published(runs[0]) == published(runs[1]) and all(
            (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes() for name in published(runs[0])
        )
        kept = sum(path.stat().st_size for path in (home / "one" / ".kept").rglob("*") if path.is_file())
    for name, seconds in (("first", first), ("one template changed", again), ("the same from zero", zero)):
        print(f"{name:<24}{seconds:>8.1f} s")
    print(f"{'kept for the next build':<24}{kept / 2**20:>8.0f} MiB")
    result = {"rows": arguments.rows, "seconds": round(again, 2), "seconds_from_zero": round(zero, 2)}
    print(json.dumps(result | {"speedup": round(zero / again, 2), "same_bytes": same}))


if __name__ == "__main__":
    main()
