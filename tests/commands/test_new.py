"""Starters: a recipe and a template for every source and type that a shipped task has, right at once."""

from pathlib import Path

import pytest

from datagen.commands.new import STARTERS, _models, write_starter
from datagen.commands.preview import preview
from datagen.errors import UserError
from datagen.recipe.check import check
from datagen.recipe.load import load
from datagen.schema import TaskType
from datagen.sources import SOURCES


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("source", SOURCES)
def test_every_starter_passes_the_check(here: Path, source: str) -> None:
    kinds = {model.value("type") for model in _models() if source in model.sources}
    assert kinds
    for kind in sorted(kinds):
        recipe, template = write_starter(f"my_{kind}", source, TaskType(kind))
        assert (recipe.name, template.parent.name) == (f"my_{kind}.yaml", kind)
        assert check(f"my_{kind}") == []
        loaded = load(f"my_{kind}")
        assert [(task.type, task.rows) for task in loaded.tasks.values()] == [(kind, 500)]
        assert source in loaded.sources


WRITTEN = [tuple(path.stem.split(".")) for path in sorted(STARTERS.glob("*.yaml"))]


@pytest.mark.parametrize(("source", "kind"), [("mmlu", "generation"), ("esci", "ranking"), *WRITTEN])
def test_a_starter_gives_rows(here: Path, shop: Path, source: str, kind: str) -> None:
    write_starter("mine", source, TaskType(kind))
    [found] = preview(load("mine"), shop / "seeds", 1)
    assert len(found.rows) == 1
    assert found.rows[0].score == 1.0


def test_what_no_task_asks_is_said_with_what_there_is(here: Path) -> None:
    with pytest.raises(UserError, match=r"is a ranking from mmlu\. From mmlu there are: generation"):
        write_starter("mine", "mmlu", TaskType.RANKING)
    with pytest.raises(UserError, match="`esc` is no seed source: did you mean `esci`"):
        write_starter("mine", "esc", TaskType.RANKING)
    assert not list(here.iterdir())


def test_a_recipe_of_one_s_own_is_no_model(here: Path) -> None:
    write_starter("mine", "esci", TaskType.RANKING)
    text = Path("recipes/mine.yaml").read_text(encoding="utf-8").replace("query: |", "qurey: |")
    Path("recipes/broken.yaml").write_text(text, encoding="utf-8")
    write_starter("another", "esci", TaskType.RANKING)
    assert check("another") == []


def test_the_tables_that_a_task_reads_come_with_it(here: Path) -> None:
    from datagen.commands.new import _copied

    model = next(model for model in _models() if len(model.tables) > 1)
    text, _ = _copied("mine", model)
    assert all(f"\n  {table}:" in text for table in model.tables)
    assert "\ntables:\n" in text
