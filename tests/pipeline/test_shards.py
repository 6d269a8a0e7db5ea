"""The files of a run: shards of even size in the order of ids, their counts and facts, and the manifest."""

import hashlib
import json
import shutil
from collections import Counter
from contextlib import chdir
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.errors import UserError
from datagen.pipeline import shards
from datagen.pipeline.build import build
from datagen.pipeline.shards import SHARD_ROWS, counts, shard_bounds
from datagen.recipe.load import load
from datagen.schema import REJECT, SCHEMA_VERSION, SHARD
from datagen.storage.manifest import MANIFEST, file_facts, read_manifest, run_folder, shard_files


@pytest.fixture(scope="module")
def many(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe `shop`, built into shards of ten rows at most."""
    runs = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch, chdir(shop):
        patch.setattr(shards, "SHARD_ROWS", 10)
        build(load("shop"), Path("seeds"), runs, workers=1)
    return runs / "shop"


@given(st.integers(0, 5), st.integers(-3, 3))
def test_bounds_hold_each_id_once_in_shards_of_nearly_the_same_size(whole: int, more: int) -> None:
    ids = [f"{number:08x}" for number in range(max(0, whole * SHARD_ROWS + more))]
    bounds = shard_bounds(ids)
    sizes = [int(last, 16) - int(first, 16) + 1 for first, last in bounds]
    assert sum(sizes) == len(ids)
    assert all(last < first for (_, last), (first, _) in pairwise(bounds))
    assert not sizes or (max(sizes) <= SHARD_ROWS and max(sizes) - min(sizes) <= 1)


def test_a_row_alone_is_a_shard() -> None:
    assert shard_bounds(["0a"]) == [("0a", "0a")]


def test_ids_rise_through_the_shards_of_a_side(many: Path) -> None:
    for side in ("train", "test"):
        files = sorted((many / "data").glob(f"{side}-*.parquet"))
        assert [file.name for file in files] == [
            f"{side}-{number:05}-of-{len(files):05}.parquet" for number in range(len(files))
        ]
        tables = [pq.read_table(file) for file in files]
        ids = [row for table in tables for row in table["id"].to_pylist()]
        assert ids == sorted(set(ids))
        assert {table.num_rows for table in tables} <= {len(ids) // len(tables), len(ids) // len(tables) + 1}
    assert len(shard_files(many)) > 5


def test_smaller_shards_hold_the_same_rows(many: Path, shop_run: Path) -> None:
    def rows(run: Path) -> list[dict[str, object]]:
        read = [row for file in shard_files(run) for row in pq.read_table(file).to_pylist()]
        return sorted(read, key=lambda row: str(row["id"]))

    assert rows(many) == rows(shop_run)


def test_train_comes_before_test(many: Path) -> None:
    sides = [file.name.split("-")[0] for file in shard_files(many)]
    assert sides == sorted(sides, reverse=True)


def test_every_file_has_the_documented_columns(many: Path) -> None:
    for folder, schema in (("data", SHARD), ("rejects", REJECT)):
        for file in (many / folder).glob("*.parquet"):
            found = pq.read_schema(file)  # Parquet adds metadata of its own
            assert found.equals(schema), file
            assert found.metadata.items() >= schema.metadata.items(), file
            assert all(
                (found.field(field.name).metadata or {}).items() >= (field.metadata or {}).items()
                for field in schema
            )


def test_a_row_says_what_its_prompt_lists(many: Path) -> None:
    lists = {"multiple_choice": 0, "ranking": 1, "retrieval": 1}
    rows = [row for file in shard_files(many) for row in pq.read_table(file).to_pylist()]
    assert lists.keys() < {row["task_type"] for row in rows}
    for row in rows:
        first = lists.get(row["task_type"])
        assert (first is None) == (row["choices"] == [])
        listing = "\n".join(f"{number}. {text}" for number, text in enumerate(row["choices"], first or 0))
        assert listing in row["prompt"][-1]["content"]


def test_counts_are_those_of_the_rows(many: Path) -> None:
    tasks = list(read_manifest(many)["tasks"])
    found = counts(many, tasks)
    for task in tasks:
        for side in ("train", "test"):
            files = (many / "data").glob(f"{side}-*.parquet")
            rows = sum(pq.read_table(file)["task"].to_pylist().count(task) for file in files)
            assert found[task]["kept"].get(side, 0) == rows
        reasons = pq.read_table(many / "rejects" / f"{task}.parquet")["reason"].to_pylist()
        assert found[task]["rejected"] == Counter(reasons)


def test_facts_of_a_file_are_its_bytes_its_hash_and_its_rows(tmp_path: Path, many: Path) -> None:
    shutil.copy(shard_files(many)[0], tmp_path / "some.parquet")
    (tmp_path / "note.md").write_bytes(b"a note")
    facts = file_facts(tmp_path, ["some.parquet", "note.md"])
    assert list(facts) == ["note.md", "some.parquet"]
    assert facts["note.md"] == {"bytes": 6, "sha256": hashlib.sha256(b"a note").hexdigest()}
    assert facts["some.parquet"]["rows"] == pq.read_table(tmp_path / "some.parquet").num_rows


def test_no_half_written_file_is_left(many: Path) -> None:
    assert not list(many.rglob("*.unfinished"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps({"schema_version": SCHEMA_VERSION + 1}), f"schema version {SCHEMA_VERSION + 1}, this is"),
        (json.dumps({"tasks": {}}), "schema version None"),
        ("{", "not JSON"),
        (None, "mine is not a finished run: known: none"),
    ],
)
def test_a_manifest_that_cannot_be_used_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("mine")
    run.mkdir()
    if text is not None:
        (run / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_manifest(run)


def test_a_folder_that_is_no_run_is_built_only_where_a_recipe_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/dogs", "docs", "esci_mcq"):
        Path(folder).mkdir(parents=True)
    Path("runs/dogs/manifest.json").write_text("{}")
    with pytest.raises(UserError, match="docs is not a finished run: did you mean `dogs`"):
        read_manifest(Path("docs"))
    with pytest.raises(UserError, match="not a finished run: `make data RECIPE=esci_mcq` makes it one"):
        read_manifest(Path("esci_mcq"))


@pytest.mark.parametrize("name", ["runs", "esci_mcq", "recipes/esci_mcq.yaml"])
def test_what_is_no_run_leads_to_the_run_that_may_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/esci_mcq").mkdir(parents=True)
    Path("runs/esci_mcq/manifest.json").write_text("{}")
    with pytest.raises(UserError, match=rf"{name} is not a finished run: name one, as in runs/esci_mcq$"):
        read_manifest(Path(name))


def test_a_run_is_named_by_its_path_or_by_its_place_below_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/mine", "elsewhere/other"):
        Path(folder).mkdir(parents=True)
        Path(folder, MANIFEST).write_text("{}")
    Path("mine").mkdir()  # no run, though it has the name of one
    assert run_folder(Path("mine")) == run_folder(Path("runs/mine")) == Path("runs/mine")
    assert run_folder(Path("elsewhere/other")) == Path("elsewhere/other")
    assert run_folder(Path("other"), Path("elsewhere")) == Path("elsewhere/other")
    with pytest.raises(UserError, match=r"mien: no such run, .* in runs/: did you mean `mine`"):
        run_folder(Path("runs/mien"))
    with pytest.raises(UserError, match="esci_mcq: no such run yet: `make data RECIPE=esci_mcq` builds it"):
        run_folder(Path("esci_mcq"))
