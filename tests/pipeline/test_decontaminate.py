"""Builds that leave out what evaluation questions ask: files of every form, evidence, lock, card, rebuild."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from datagen.commands.show import show
from datagen.commands.tables import built
from datagen.commands.verify import differences, problems
from datagen.errors import UserError
from datagen.pipeline.build import build
from datagen.recipe.check import check
from datagen.recipe.load import load, scaled, with_evaluation

SKILLS = "data/skills/understanding_shopping_concepts.json"
"""Where Shopping MMLU's data.zip has the questions of a skill, as JSON Lines."""


@pytest.fixture(scope="module")
def plain(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a run of the recipe `shop` that knows of no evaluation."""
    folder = shutil.copytree(shop, tmp_path_factory.mktemp("work") / "shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        build(load("shop"), Path("seeds"), Path("runs"), workers=1)
    return Path(folder)


@pytest.fixture
def here(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = shutil.copytree(plain, tmp_path / "work")
    monkeypatch.chdir(folder)
    return Path(folder)


def rows(run: Path, pattern: str = "data/*") -> list[dict[str, Any]]:
    tables = [pq.read_table(path) for path in sorted(run.glob(pattern))]
    found: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist() if tables else []
    return found


def every_tenth() -> list[dict[str, Any]]:
    return rows(Path("runs/shop"))[::10]


def as_lines(picked: list[dict[str, Any]]) -> str:
    lines = [
        {
            "input_field": row["prompt"][1]["content"],
            "output_field": json.loads(row["target"]),
            "task_type": row["task_type"].replace("_", "-"),
        }
        for row in picked
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def left_out(run: Path) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in rows(run, "rejects/*") if row["reason"] == "contaminated"}


def decontaminated(*files: str) -> dict[str, Any]:
    recipe = with_evaluation(load("shop"), files)
    return build(recipe, Path("seeds"), Path("clean"), workers=1)


def write_zip(path: Path, content: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(SKILLS, content)


@pytest.mark.parametrize("name", ["asked.jsonl", "data.zip", "asked.txt"])
def test_rows_that_a_file_asks_are_left_out_with_the_evidence(here: Path, name: str) -> None:
    picked = every_tenth()
    if name.endswith(".jsonl"):
        Path(name).write_text(as_lines(picked), encoding="utf-8")
    elif name.endswith(".zip"):
        write_zip(Path(name), as_lines(picked))
    else:
        Path(name).write_text("\n\n".join(row["prompt"][1]["content"] for row in picked), encoding="utf-8")
    manifest = decontaminated(name)
    run = Path("clean/shop")
    found = left_out(run)
    assert {row["id"] for row in picked} <= found.keys()
    assert not found.keys() & {row["id"] for row in rows(run)}
    assert all(row["detail"].startswith(name) for row in found.values())
    others = {row["id"] for row in rows(Path("runs/shop"))} - {row["id"] for row in picked}
    assert len(found.keys() & others) <= len(others) / 50
    counted = sum(task["rejected"].get("contaminated", 0) for task in manifest["tasks"].values())
    assert counted == len(found)
    assert sum(manifest["evaluation"].values()) == len(picked)
    assert sum(manifest["contaminated"].values()) == len(found)
    assert all(of_set.startswith(name) for of_set in manifest["contaminated"])
    assert f"ask: {next(iter(manifest['contaminated']))} " in built(manifest, load("shop"), run, 1.0)
    card = (run / "README.md").read_text(encoding="utf-8")
    assert name in card
    assert f" questions, {next(iter(manifest['contaminated'].values()))} rows)" in card
    assert "`contaminated`" in card
    assert "contaminated" in (run / "report.html").read_text(encoding="utf-8")
    first = next(iter(found.values()))
    assert name in show(run, first["key"], None, first["task"])


def test_files_of_one_name_are_told_apart(here: Path) -> None:
    picked = every_tenth()
    Path("more").mkdir()
    Path("more/asked.jsonl").write_text(as_lines(picked[:2]), encoding="utf-8")
    Path("asked.jsonl").write_text(as_lines(picked[2:5]), encoding="utf-8")
    Path("other.jsonl").write_text(as_lines(picked[5:]), encoding="utf-8")
    manifest = decontaminated("more/asked.jsonl", "asked.jsonl", str(Path("other.jsonl").resolve()))
    asked = {"more/asked.jsonl": 2, "asked.jsonl": 3, "other.jsonl": len(picked) - 5}
    assert manifest["evaluation"] == asked
    assert manifest["contaminated"].keys() == asked.keys()


def test_the_lock_knows_the_file_and_a_rebuild_reads_it(here: Path) -> None:
    Path("asked.jsonl").write_text(as_lines(every_tenth()), encoding="utf-8")
    before = decontaminated("asked.jsonl")
    run = Path("clean/shop")
    lock = yaml.safe_load((run / "recipe.lock.yaml").read_text())
    assert len(lock["evaluation"]["asked.jsonl"]) == 64
    assert problems(run) == []
    assert differences(run, Path("seeds"), workers=1) == []
    Path("asked.jsonl").write_text(as_lines(every_tenth()[:1]), encoding="utf-8")
    with pytest.raises(UserError, match=r"cannot be built again as it was: asked\.jsonl has changed"):
        differences(run, Path("seeds"), workers=1)
    said: list[str] = []
    recipe = with_evaluation(load("shop"), ["asked.jsonl"])
    after = build(recipe, Path("seeds"), Path("clean"), workers=1, say=said.append)
    assert after["fingerprint"] != before["fingerprint"]
    assert "asked.jsonl has changed" in said[0]


def test_other_workers_leave_out_the_same(here: Path) -> None:
    Path("asked.jsonl").write_text(as_lines(every_tenth()), encoding="utf-8")
    one = decontaminated("asked.jsonl")
    shutil.rmtree("clean")
    two = build(with_evaluation(load("shop"), ["asked.jsonl"]), Path("seeds"), Path("clean"), workers=2)
    assert one["files"] == two["files"]


def test_a_recipe_names_files_and_a_mixture_takes_them_over(here: Path) -> None:
    Path("asked.jsonl").write_text(as_lines(every_tenth()), encoding="utf-8")
    text = Path("recipes/shop.yaml").read_text(encoding="utf-8")
    Path("recipes/shop.yaml").write_text(f"{text}\ndecontaminate: [asked.jsonl]\n", encoding="utf-8")
    mixture = "name: all\ndescription: All.\ninclude: [shop]\nrows: 100\ndecontaminate: [mine.txt]\n"
    Path("recipes/all.yaml").write_text(mixture, encoding="utf-8")
    [problem] = check("all")
    assert (problem.code, problem.line) == ("unknown_file", 5)
    Path("mine.txt").write_text("What is a teapot?", encoding="utf-8")
    assert load("all").decontaminate == ["mine.txt", "asked.jsonl"]


def test_a_source_s_own_test_counts(here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seeds = Path("seeds").resolve()
    monkeypatch.chdir(tmp_path)  # the shipped templates
    recipe = scaled(load("mmlu"), 200)
    before = build(recipe, seeds, Path("runs"), workers=1)
    assert before["evaluation"]["mmlu's own test split"] > 0
    assert before["contaminated"] == {}
    assert not sum(task["rejected"].get("contaminated", 0) for task in before["tasks"].values())
    for path in seeds.glob("mmlu/data/dev/*.csv"):
        test = seeds / "mmlu/data/test" / path.name.replace("_dev", "_test")
        test.parent.mkdir(exist_ok=True)
        test.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    after = build(recipe, seeds, Path("after"), workers=1)
    assert sum(task["rejected"].get("contaminated", 0) for task in after["tasks"].values()) > 50


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("asked.jsonl", '{"input_field": "Which?"}\n{"input', "asked.jsonl:2: not JSON"),
        ("data.zip", "no zip", "data.zip: not a zip file that can be read"),
        ("asked.txt", " \n\n ", "asked.txt: holds no text"),
        ("missing.txt", None, "missing.txt: no such file. Name a file of evaluation questions"),
        (
            "missing.jsonl",
            None,
            "missing.jsonl: no such file. Name a file of evaluation questions, from where",
        ),
        ("seeds", None, "seeds: a folder. Name a file of evaluation questions"),
    ],
)
def test_a_file_that_cannot_be_read_ends_the_build_at_once(
    here: Path, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        Path(name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        decontaminated(name)
    assert not Path("clean/shop/manifest.json").exists()
