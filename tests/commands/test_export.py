"""Exports: every form read back, resumed, atomic, and never mixed with another."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from datagen.cli import main
from datagen.commands.export import FORMS, export
from datagen.errors import UserError
from datagen.schema import TaskType
from datagen.shopbench.questions import read_questions
from datagen.storage.manifest import MANIFEST, shard_files


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rows(run: Path) -> list[dict[str, Any]]:
    return [row for shard in shard_files(run) for row in pq.read_table(shard).to_pylist()]


def test_shopbench_s_form_is_read_by_our_own_reader(shop_run: Path, tmp_path: Path) -> None:
    paths = export(shop_run, "shopbench", tmp_path)
    assert [path.stem for path in paths] == [shard.stem for shard in shard_files(shop_run)]
    asked = [question for path in paths for question in read_questions(path)]
    for question, row in zip(asked, rows(shop_run), strict=True):
        assert question.prompt == row["prompt"][1]["content"]
        assert question.target == json.loads(row["target"])
        same = ("task", "task_type", "metric", "track", "language")
        assert [getattr(question, name) for name in same] == [row[name] for name in same]
        assert question.is_multiple_choice is (question.task_type is TaskType.MULTIPLE_CHOICE)


@pytest.mark.parametrize("form", ["alpaca", "sharegpt", "openai"])
def test_a_trainer_s_form_holds_the_three_texts(shop_run: Path, tmp_path: Path, form: str) -> None:
    found = [line for path in export(shop_run, form, tmp_path) for line in lines(path)]
    for line, row in zip(found, rows(shop_run), strict=True):
        texts = [message["content"] for message in (*row["prompt"], *row["completion"])]
        if form == "alpaca":
            assert [line["system"], line["instruction"], line["output"]] == texts
            assert line["input"] == ""
        elif form == "sharegpt":
            assert [turn["value"] for turn in line["conversations"]] == texts
            assert [turn["from"] for turn in line["conversations"]] == ["system", "human", "gpt"]
        else:
            assert line["messages"] == [*row["prompt"], *row["completion"]]


@pytest.mark.parametrize("form", FORMS)
def test_datasets_opens_an_export(shop_run: Path, tmp_path: Path, form: str) -> None:
    from datasets import load_dataset

    if form == "shopbench":
        return  # its answers are numbers, lists and texts in one column
    export(shop_run, form, tmp_path / "out")
    loaded = load_dataset("json", data_files=str(tmp_path / "out/*.jsonl"), cache_dir=str(tmp_path / "cache"))
    assert len(loaded["train"]) == len(rows(shop_run))


def test_what_is_whole_is_left_and_what_lacks_is_written(shop_run: Path, tmp_path: Path) -> None:
    first, second = export(shop_run, "openai", tmp_path)
    content = second.read_bytes()
    first.write_text("whole\n")
    second.unlink()
    (tmp_path / "test-00000-of-00001.unfinished").write_text("half")
    seen: list[tuple[str, int, int]] = []
    export(shop_run, "openai", tmp_path, lambda *step: seen.append(step))
    assert first.read_text() == "whole\n"
    assert second.read_bytes() == content
    assert not list(tmp_path.glob("*.unfinished"))
    assert seen[0] == ("export", 0, len(rows(shop_run)))
    assert seen[-1] == ("export", len(rows(shop_run)), len(rows(shop_run)))


def test_an_export_of_another_form_or_run_is_written_anew(shop_run: Path, tmp_path: Path) -> None:
    export(shop_run, "openai", tmp_path / "out")
    [first, *_] = export(shop_run, "alpaca", tmp_path / "out")
    assert "instruction" in lines(first)[0]
    run = Path(shutil.copytree(shop_run, tmp_path / "run"))
    manifest = json.loads((run / MANIFEST).read_text())
    (run / MANIFEST).write_text(json.dumps(manifest | {"fingerprint": "another"}))
    first.write_text("old\n")
    export(run, "alpaca", tmp_path / "out")
    assert first.read_text() != "old\n"


def test_a_folder_of_something_else_is_not_touched(shop_run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("mine")
    with pytest.raises(UserError, match="not empty, and no export"):
        export(shop_run, "openai", tmp_path)
    assert (tmp_path / "mine.jsonl").read_text() == "mine"


def test_a_damaged_shard_is_named(shop_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(shop_run, tmp_path / "run"))
    shard = shard_files(run)[0]
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"train-00000-of-00001\.parquet: not a whole Parquet file"):
        export(run, "openai", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.jsonl"))


def test_the_command_names_its_files(shop_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["export", str(shop_run), "--format", "shopbench"])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "exports/shop-shopbench/train-00000-of-00001.jsonl"
    help_ = CliRunner().invoke(main, ["export", "--help"]).stdout
    assert "|".join(FORMS) in help_


def test_nothing_in_a_text_breaks_a_line(shop_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(shop_run, tmp_path / "run"))
    shard = shard_files(run)[0]
    table = pq.read_table(shard)
    odd = [{"role": "user", "content": "a\u2028b\x0b\ud7ffc\nd\u0000"}]
    place = table.schema.get_field_index("completion")
    column = pa.array([odd] * len(table), table.schema.field(place).type)
    pq.write_table(table.set_column(place, table.schema.field(place), column), shard)
    path = export(run, "openai", tmp_path / "out")[0]
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    assert [line["messages"][-1] for line in found] == odd * len(table)
