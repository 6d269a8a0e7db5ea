"""Verification of runs: every change is found and named, and a rebuild gives the same bytes."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen.commands.verify import differences, problems, published
from datagen.errors import UserError
from datagen.storage.manifest import MANIFEST, shard_files

SEEDS = Path("seeds")


@pytest.fixture
def run(shop: Path, shop_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run to break, seen from the folder that its recipe and templates are in."""
    monkeypatch.chdir(shop)
    return Path(shutil.copytree(shop_run, tmp_path / "shop"))


def flip_a_byte(run: Path) -> None:
    path = shard_files(run)[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_off(run: Path) -> None:
    path = shard_files(run)[-1]
    path.write_bytes(path.read_bytes()[:-100])


def drop_rows(run: Path) -> None:
    path = run / "rejects" / "brand.parquet"
    pq.write_table(pq.read_table(path).slice(1), path)


def drop_a_column(run: Path) -> None:
    path = shard_files(run)[0]
    pq.write_table(pq.read_table(path).drop_columns(["wording"]), path)


def edit_manifest(run: Path, edit: Callable[[dict[str, dict[str, dict[str, dict[str, int]]]]], None]) -> None:
    manifest = json.loads((run / MANIFEST).read_text(encoding="utf-8"))
    edit(manifest)
    (run / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def lose_a_row_in_the_accounts(run: Path) -> None:
    def edit(manifest: dict[str, dict[str, dict[str, dict[str, int]]]]) -> None:
        manifest["tasks"]["brand"]["kept"]["train"] -= 1

    edit_manifest(run, edit)


TRAIN, TEST = "data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (flip_a_byte, [f"{TRAIN}: its bytes are not those of the manifest"]),
        (cut_off, [f"{TEST}: [\\d,]+ bytes instead of", f"{TEST}: not readable"]),
        (drop_rows, ["rejects/brand.parquet: ", r"rejects/brand.parquet: \d+ rows instead of \d+"]),
        (drop_a_column, [f"{TRAIN}: ", f"{TRAIN}: its columns are not those of data/"]),
        (lambda run: (run / "report.html").unlink(), ["report.html: missing"]),
        (
            lambda run: (run / "data" / "train-2.parquet").touch(),
            ["data/train-2.parquet: not in the manifest"],
        ),
        (lambda run: (run / "README.md").write_text("Mine."), ["README.md: 5 bytes instead of "]),
        (
            lose_a_row_in_the_accounts,
            [
                r"task brand: \d+ rows drawn, but \d+ kept and \d+",
                r"manifest.json: \d+ rows kept by task, but \d+ in",
            ],
        ),
    ],
)
def test_damage_is_named(run: Path, damage: Callable[[Path], object], expected: list[str]) -> None:
    damage(run)
    found = problems(run)
    assert len(found) == len(expected), found
    assert all(re.match(start, problem) for start, problem in zip(expected, found, strict=True)), found


def test_another_recipe_in_the_lock_is_named(run: Path) -> None:
    lock = run / "recipe.lock.yaml"
    lock.write_text(lock.read_text(encoding="utf-8").replace("seed: 7", "seed: 8"), encoding="utf-8")
    assert problems(run)[-1] == "recipe.lock.yaml: not the recipe that the manifest's fingerprint is of"


def test_a_whole_run_has_no_problem_and_builds_again_byte_by_byte(run: Path) -> None:
    assert problems(run) == []
    assert differences(run, SEEDS, workers=1) == []


def test_what_a_running_build_keeps_is_no_part_of_a_run(run: Path) -> None:
    (run / "work" / "abc").mkdir(parents=True)
    (run / "work" / "abc" / "part.arrow").touch()
    assert not any(name.startswith(("work", ".")) for name in published(run))
    assert problems(run) == []


def test_a_rebuild_names_the_first_row_that_differs(run: Path) -> None:
    path = shard_files(run)[0]
    table = pq.read_table(path)
    answers = table["target"].to_pylist()
    answers[3] = '"another"'
    position = table.schema.names.index("target")
    changed = table.set_column(position, table.schema.field(position), pa.array(answers))
    pq.write_table(changed, path)
    found = differences(run, SEEDS, workers=1)
    assert len(found) == 1
    assert found[0].startswith(
        f"data/{path.name}: row 3 (from 0) differs in `target`: it was '\"another\"', now it is "
    )


def test_a_rebuild_needs_the_templates_and_seeds_of_the_run(
    run: Path, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(shop, tmp_path / "changed", ignore=shutil.ignore_patterns("runs"))
    monkeypatch.chdir(tmp_path / "changed")
    Path("templates/ranking/order_of_fit.j2").write_text("Order {{ query }}:\n{{ listing }}\n")
    with Path("seeds/esci/shopping_queries_dataset_sources.csv").open("a") as file:
        file.write("1,other\n")
    expected = r"templates/ranking/order_of_fit.j2 has changed; the seeds of esci are others \(sources\)"
    with pytest.raises(UserError, match=expected):
        differences(run, SEEDS)
