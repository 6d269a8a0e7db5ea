"""The reader of questions: each form is read whole, or refused with its place."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from datagen.errors import UserError
from datagen.schema import TaskType
from datagen.shopbench.questions import COPY, TABLE, from_table, read_questions, to_table
from infer.scoring.score import plan

ROW = {
    "input_field": "Which?\n0. a\n1. b\nAnswer: ",
    "output_field": 1,
    "task_name": "task2",
    "task_type": "multiple-choice",
    "metric": "accuracy",
    "is_multiple_choice": True,
    "track": "amazon-kdd-cup-24-understanding-shopping-concepts",
}


def written(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_line_in_shopbenchs_form(tmp_path: Path) -> None:
    (asked,) = read_questions(written(tmp_path / "q.jsonl", ROW))
    assert (asked.id, asked.prompt, asked.task, asked.metric) == (
        "1",
        ROW["input_field"],
        "task2",
        "accuracy",
    )
    assert (asked.task_type, asked.is_multiple_choice) == (TaskType.MULTIPLE_CHOICE, True)
    assert (asked.target, asked.track) == (1, "shopping_concept_understanding")


def test_a_line_of_the_test_set_tells_only_two_things(tmp_path: Path) -> None:
    (asked,) = read_questions(written(tmp_path / "q", {"input_field": "Which?", "is_multiple_choice": False}))
    assert asked.is_multiple_choice is False
    assert (asked.task_type, asked.target, asked.language) == (None, None, None)
    assert (asked.task, asked.track, asked.metric) == ("", "", "")


@pytest.mark.parametrize("kind", ["named-entity-recognition", "named_entity_recognition"])
def test_task_types_are_spelled_both_ways(tmp_path: Path, kind: str) -> None:
    row = {"input_field": "?", "output_field": ["a"], "task_type": kind, "track": "multilingual_abilities"}
    (asked,) = read_questions(written(tmp_path / "q.jsonl", row))
    assert asked.task_type is TaskType.NAMED_ENTITY_RECOGNITION
    assert asked.is_multiple_choice is False
    assert asked.track == "multilingual_abilities"


def test_an_id_is_its_lines_number_whatever_stands_between(tmp_path: Path) -> None:
    asked = read_questions(written(tmp_path / "q.jsonl", ROW, "", "\ufeff" + json.dumps(ROW), "  ", ROW))
    assert [question.id for question in asked] == ["1", "3", "5"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"q\.jsonl:2: not JSON"),
        ("[]", r"q\.jsonl:2: no text under `input_field`"),
        ({"input_field": " "}, r"q\.jsonl:2: no text under `input_field`"),
        ({**ROW, "input_field": 3}, r"q\.jsonl:2: no text under `input_field`"),
        ({**ROW, "task_type": "sorting"}, r"q\.jsonl:2: task_type 'sorting': not one of multiple_choice, "),
        ({**ROW, "is_multiple_choice": "yes"}, r"q\.jsonl:2: is_multiple_choice 'yes'"),
        ("[" * 100_000, r"q\.jsonl:2: not JSON"),
        ({**ROW, "output_field": "9" * 5000}, r"q\.jsonl:2: output_field is a number of 5,000 digits"),
        (json.dumps(ROW).replace(": 1", ": " + "9" * 5000), r"q\.jsonl:2: not JSON \(Exceeds the limit"),
        (r'{"input_field": "?", "task_name": "\ud83d"}', r"q\.jsonl:2: half of a surrogate pair \(\\ud83d\)"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_questions(written(tmp_path / "q.jsonl", ROW, line))


@pytest.mark.parametrize(
    ("kind", "given", "target"),
    [
        ("multiple-choice", "3.0", 3),
        ("multiple-choice", "NaN", None),
        ("retrieval", "[3.0, 1.0]", [3, 1]),
        ("ranking", "[1.0, 0.5]", [1.0, 0.5]),
    ],
)
def test_numbers_that_were_in_a_table_of_floats(tmp_path: Path, kind: str, given: str, target: Any) -> None:
    line = f'{{"input_field": "?", "task_type": "{kind}", "output_field": {given}, "track": NaN}}'
    (asked,) = read_questions(written(tmp_path / "q.jsonl", line))
    assert repr(asked.target) == repr(target)
    assert (asked.track, asked.metric) == ("", "")


@pytest.mark.parametrize("depth", [100, 300, 1000, 20_000])
def test_lists_in_lists_are_a_target_of_another_form_or_named(tmp_path: Path, depth: int) -> None:
    deep = f'{{"input_field": "?", "task_type": "retrieval", "output_field": {"[" * depth + "]" * depth}}}'
    file = written(tmp_path / "q.jsonl", ROW, deep)
    if depth > 800:  # Python reads about a thousand
        with pytest.raises(UserError, match=r"q\.jsonl:2: "):
            read_questions(file)
    else:
        asked = read_questions(file)
        assert from_table(to_table(asked)) == asked
        assert [task.name for task in plan(asked).tasks] == ["task2"]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_another_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "q.jsonl"
    file.write_text('{"input_field": "Où ?"}', encoding=encoding)
    with pytest.raises(UserError, match=r"q\.jsonl:1: not UTF-8 .* Save the file in UTF-8"):
        read_questions(file)


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_bytes(b"\xef\xbb\xbf" + b"\r\n".join([json.dumps(ROW).encode()] * 2))
    assert [question.prompt for question in read_questions(tmp_path / "q.jsonl")] == [ROW["input_field"]] * 2


def test_what_is_not_there_or_empty_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no such file or folder"):
        read_questions(tmp_path / "none.jsonl")
    with pytest.raises(UserError, match="no such run yet: `make data RECIPE=esci_mcq` builds it"):
        read_questions(Path("runs/esci_mcq"))
    with pytest.raises(UserError, match="holds no question"):
        read_questions(written(tmp_path / "empty.jsonl", ""))
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"neither manifest\.json .* nor skills/\*\.json"):
        read_questions(tmp_path / "folder")
    with pytest.raises(UserError, match="not a zip file"):
        read_questions(written(tmp_path / "data.zip", "no zip"))


def test_a_data_set_gives_its_test_split(shop_run: Path) -> None:
    asked = read_questions(shop_run)
    files = sorted((shop_run / "data").glob("test-*.parquet"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert [question.id for question in asked] == [row["id"] for row in rows]
    for question, row in zip(asked, rows, strict=True):
        assert question.prompt == row["prompt"][1]["content"]
        assert question.target == json.loads(row["target"])
        assert question.task_type == row["task_type"]
        assert question.is_multiple_choice == (row["task_type"] == "multiple_choice")
        assert (question.task, question.track, question.metric) == (row["task"], row["track"], row["metric"])


def test_a_data_set_without_a_test_split_says_what_to_do(shop_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(shop_run, tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"] = {name: of for name, of in manifest["files"].items() if "/test-" not in name}
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(UserError, match=r"no test split\. Give its recipe one"):
        read_questions(run)


def test_a_shard_that_is_missing_or_cut_off_is_named(shop_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(shop_run, tmp_path / "run")
    file = next((run / "data").glob("test-*.parquet"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match=rf"{file}: not a whole Parquet file\. Build the run again"):
        read_questions(run)
    file.unlink()
    with pytest.raises(UserError, match=rf"{file}: no such file, though the manifest names it"):
        read_questions(run)


def test_a_data_set_of_another_schema_is_refused(shop_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(shop_run, tmp_path / "run")
    file = next((run / "data").glob("test-*.parquet"))
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata({"shoptalk.schema_version": "0"}), file)
    with pytest.raises(UserError, match="schema version 0, this is"):
        read_questions(run)
    (run / "manifest.json").write_text('{"schema_version": 0}', encoding="utf-8")
    with pytest.raises(UserError, match="schema version 0, this is"):
        read_questions(run)


def test_the_public_release_is_read_from_its_folder_and_its_zip(tmp_path: Path) -> None:
    row = {name: ROW[name] for name in ("input_field", "output_field", "task_name", "task_type", "metric")}
    folder = tmp_path / "data"
    written(folder / "skills" / "skill1_concept.json", row, row)
    written(folder / "skills" / "skill4_multilingual.json", {**row, "input_field": "Où ?"})
    asked = read_questions(folder)
    assert [question.id for question in asked] == [
        "skill1_concept:1",
        "skill1_concept:2",
        "skill4_multilingual:1",
    ]
    assert [question.track for question in asked] == [
        *["shopping_concept_understanding"] * 2,
        "multilingual_abilities",
    ]
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for file in sorted(folder.rglob("*.json")):
            archive.write(file, f"data/{file.relative_to(folder)}")
        archive.writestr("__MACOSX/data/skills/._skill1_concept.json", b"\x00")
    assert read_questions(tmp_path / "data.zip") == asked
    assert read_questions(tmp_path) == asked  # unpacked beside other things
    locked = bytearray((tmp_path / "data.zip").read_bytes())
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.index(header) + flags] |= 1
    (tmp_path / "data.zip").write_bytes(locked)
    with pytest.raises(UserError, match=r"data.zip: not a zip file that can be read \(.*password"):
        read_questions(tmp_path / "data.zip")


def test_a_copy_holds_everything(tmp_path: Path) -> None:
    rows = [
        ROW,
        {"input_field": "?"},
        {"input_field": "?", "output_field": ["é", "二"], "task_type": "generation", "language": "fr"},
        {"input_field": "?", "output_field": [1.0, 0.01], "task_type": "ranking"},
    ]
    asked = read_questions(written(tmp_path / "q.jsonl", *rows))
    table = to_table(asked)
    assert table.schema == TABLE
    assert from_table(table) == asked
    (tmp_path / "run").mkdir()
    pq.write_table(table, tmp_path / "run" / COPY)
    assert read_questions(tmp_path / "run") == asked
    assert read_questions(tmp_path / "run" / COPY) == asked


def test_another_table_is_refused(shop_run: Path) -> None:
    with pytest.raises(UserError, match="Name the data set's folder instead"):
        read_questions(next((shop_run / "data").glob("test-*.parquet")))
