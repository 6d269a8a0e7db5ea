"""What `datagen recipes` prints."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from datagen.cli import main
from datagen.paths import names
from datagen.recipe.load import load


def printed(*arguments: str) -> str:
    return click.unstyle(CliRunner().invoke(main, ["recipes", *arguments]).output)


def test_every_recipe_has_its_size_its_sources_and_its_sentence() -> None:
    text = printed()
    assert [line.split()[0] for line in text.split("\n\n")[0].splitlines()[::2]] == names("recipes")
    assert f"\nkddcup24  {len(load('kddcup24').tasks)} tasks" in text
    assert "500,000 rows, from esci m2 reviews ecinstruct mmlu alpaca" in text


def test_one_recipe_is_told_by_task() -> None:
    rows = [line.split() for line in printed("m2_sessions").splitlines()[3:]]
    assert rows[1][:6] == ["next_product", "multiple", "choice", "user", "behavior", "alignment"]
    assert rows[1][-2:] == ["6,000", "m2"]


def test_a_broken_recipe_does_not_hide_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "mine.yaml").write_text("name: mine\n")
    monkeypatch.chdir(tmp_path)
    assert "mine  does not load: datagen check mine\n" in printed()
    assert "esci_mcq  5 tasks" in printed()
