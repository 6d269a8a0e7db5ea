"""The page of results: its tables, out of runs alone."""

import importlib
from pathlib import Path

import pytest

from infer.scoring.compare import compare
from tests.infer.test_compare import right_in, run

pytest.importorskip("torch", reason="needs the extra `finetune`")

results = importlib.import_module("benchmarks.results")  # scripts, not a package: mypy knows them by one name


def test_models_stand_below_each_other_with_what_differs_marked(tmp_path: Path) -> None:
    found = compare([run(tmp_path / "base", ["1"] * 300), run(tmp_path / "tuned", right_in(0.8))])
    head, _, trivial, base, tuned = results.scores(
        found, ["base", "mine"], ["over all", "task type"]
    ).splitlines()
    assert "over all (300)" in head
    assert "multiple choice (300)" in head
    assert "reasoning" not in head
    assert trivial.startswith("| best trivial |")
    assert base.split("|")[1:3][0].strip() == "base"
    assert base.split("|")[2].strip().endswith("=")
    assert tuned.split("|")[2].strip().endswith("+")
    assert "0.800" in tuned


def test_the_command_of_the_page_names_no_folder_of_the_machine() -> None:
    told = results._command(
        [Path("runs/a"), Path("runs/b")], [Path("/somewhere/q.jsonl")], results.Few(100, None, None)
    )
    assert told == 'make results ADAPTERS="runs/a runs/b" QUESTIONS="q.jsonl" LIMIT=100'
