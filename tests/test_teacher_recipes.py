"""The recipes that stand on a teacher's tables, built with a made-up teacher over a real server, and walked.

Its replies (`teacher/replies.py`) are made from the prompts alone. What a real one says is another matter;
here are tried the recipes' queries, templates and gates, and that all of it replays.
"""

import json
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from datagen.classify.task_type import classify
from datagen.cli import main
from datagen.commands import preview_asks, verify
from datagen.errors import UserError
from datagen.pipeline.build import build
from datagen.recipe.load import load, with_teacher
from datagen.recipe.model import Loaded
from datagen.schema import TaskType
from datagen.sources.sample import write_sample
from datagen.storage.manifest import read_manifest, shard_files
from datagen.tasks import TASKS, generation
from tests.teacher.scripted_server import scripted

RECIPES = ("concepts_explained", "aspects", "intentions")
REPLIES = Path(__file__).parent / "teacher" / "replies.py"
FEWEST = 20
MODEL = "made-up"


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY_FILE", raising=False)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds")
    write_sample(folder, "sample")
    return folder


@pytest.fixture(scope="module")
def runs(seeds: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the three runs, and the address of the server that is gone now."""
    folder = tmp_path_factory.mktemp("runs")
    with scripted(replies=str(REPLIES)) as server:
        for name in RECIPES:
            build(taught(name, server.address), seeds, folder, workers=1)
    return folder, server.address


def taught(name: str, address: str | None) -> Loaded:
    return with_teacher(load(name), MODEL, address, None)


@pytest.mark.parametrize("name", RECIPES)
def test_every_task_gives_right_rows(runs: tuple[Path, str], name: str) -> None:
    rows: Counter[str] = Counter()
    misread: Counter[str] = Counter()
    for path in shard_files(runs[0] / name):
        for row in pq.read_table(path).to_pylist():
            kind, answer = TaskType(row["task_type"]), row["completion"][0]["content"]
            module, prompt = TASKS[kind], row["prompt"][-1]["content"]
            rows[row["task"]] += 1
            assert row["teacher"] == MODEL
            assert not any(sign in prompt for sign in ("{{", "}}", "{%"))
            if not generation.embeds(row["metric"]):
                score = module.score(module.parse(answer), json.loads(row["target"]), row["metric"])
                assert score == 1.0, row
            misread[row["task"]] += classify(prompt, kind is TaskType.MULTIPLE_CHOICE).task_type is not kind
    assert {task: rows[task] for task in load(name).tasks if rows[task] < FEWEST} == {}
    assert {task: count for task, count in misread.items() if count > 0.02 * rows[task]} == {}


def test_a_run_tells_what_its_teacher_did(runs: tuple[Path, str]) -> None:
    run = runs[0] / "intentions"
    for step in read_manifest(run)["steps"].values():
        assert step["asked"] == step["kept"] + sum(step["rejected"].values())
        shown = Counter(example["reason"] for example in step["examples"])
        assert shown == {
            reason: min(3, rows) for reason, rows in {"": step["kept"], **step["rejected"]}.items()
        }
        assert all(example["asked"] and example["replied"] for example in step["examples"])
    rejects = pq.read_table(run / "rejects" / "answered.wants-by-teacher.parquet").to_pylist()
    assert {"judged_poor"} <= {row["reason"] for row in rejects}
    assert all(row["answer"] and row["seed"] for row in rejects)
    assert "answered.wants" in (run / "README.md").read_text(encoding="utf-8")
    assert "answered.wants: what was asked about" in (run / "report.html").read_text(encoding="utf-8")
    assert verify.problems(run) == []


def test_the_ledger_replays_without_a_server(runs: tuple[Path, str], seeds: Path, tmp_path: Path) -> None:
    folder, address = runs
    shutil.copy(folder / "teacher.sqlite", tmp_path)
    build(taught("aspects", address), seeds, tmp_path, workers=1)
    assert read_manifest(tmp_path / "aspects") == read_manifest(folder / "aspects")
    assert verify.differences(folder / "aspects", seeds, workers=1) == []


def test_plan_and_preview_find_in_the_ledger_what_a_build_asked(runs: tuple[Path, str], seeds: Path) -> None:
    folder, address = runs
    recipe, ledger = taught("concepts_explained", address), folder / "teacher.sqlite"
    planned = preview_asks.planned(recipe, seeds, ledger)
    asks = preview_asks.asks_of(recipe, seeds, 3)
    previewed = [one for one in preview_asks.priced(asks, ledger) if not one.step.startswith("judge")]
    assert len(planned) == 6
    for one in (*planned, *previewed):
        assert (one.held, one.by) == (one.asks, "ledger")


def test_a_ledger_of_another_model_does_not_do(runs: tuple[Path, str], seeds: Path, tmp_path: Path) -> None:
    shutil.copy(runs[0] / "teacher.sqlite", tmp_path)
    with pytest.raises(
        UserError, match=r"as no row is left in their tables: no key for .*: set OPENAI_API_KEY"
    ):
        build(with_teacher(load("aspects"), "another", None), seeds, tmp_path, workers=1)


def test_without_a_teacher_its_tasks_are_left_out(seeds: Path, tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(UserError, match=r"aspects: no task is left, .*: set OPENAI_API_KEY"):
        build(taught("aspects", None), seeds, tmp_path, workers=1)
    own = tmp_path / "mixed.yaml"
    both = "include: [aspects, reviews_helpfulness]"
    own.write_text(f"name: mixed\ndescription: Both.\n{both}\nrows: 300\n", encoding="utf-8")
    mixed = with_teacher(load(str(own)), MODEL, None, None)
    manifest = build(mixed, seeds, tmp_path, workers=1, say=said.append)
    assert all(task.startswith("reviews_helpfulness.") for task in manifest["tasks"])
    assert {name.partition(".")[0] for name in manifest["left_out"]} == {"aspects"}
    assert sum(sum(task["wanted"].values()) for task in manifest["tasks"].values()) == 300
    assert any("OPENAI_API_KEY" in line for line in said)
    assert verify.differences(tmp_path / "mixed", seeds, workers=1) == []
    again = ["build", str(own), "--teacher", MODEL, "--seeds", str(seeds), "--runs", str(tmp_path)]
    printed = CliRunner().invoke(main, again)
    assert printed.exit_code == 0, printed.output
    assert "already built from the same recipe and seeds" in printed.output
