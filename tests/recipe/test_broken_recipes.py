"""Golden messages: every recipe in `broken_recipes/` gets exactly those that a person has read and approved.

After a change of wording, write the `.expected` files anew and read what `git diff` shows:

    REGENERATE=1 python -m pytest tests/recipe/test_broken_recipes.py

Where PyYAML or DuckDB words the message, only its place and its code are held.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

from datagen import paths
from datagen.recipe.check import CODES, check

BROKEN = Path(__file__).parents[1] / "broken_recipes"
CASES = sorted(BROKEN.glob("*.yaml"))

OTHERS_WORDS = re.compile(
    r"^(\S+: (?:yaml_syntax(?=.* of place$)|sql_syntax|sql_error|sql_unknown_name)): (?!`).*",
    re.MULTILINE,
)
"""Messages in a library's words, which a release may change; ours begin with what they are about."""


def recipe_name(case: Path) -> str:
    """`07-two-keys.yaml` holds the recipe `two_keys`."""
    return case.stem.partition("-")[2].replace("-", "_")


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The recipes of a user's own working directory, where nothing else is known than what stands there."""
    for folder in ("recipes", "templates"):
        shutil.copytree(BROKEN / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "_shipped", lambda kind: tmp_path / kind)  # ours may change, messages may not
    return tmp_path / "recipes"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_all_problems_are_told_at_once(case: Path, recipes: Path) -> None:
    shutil.copy(case, recipes / f"{recipe_name(case)}.yaml")
    told = OTHERS_WORDS.sub(r"\1", "".join(f"{problem}\n" for problem in check(recipe_name(case))))
    expected = case.with_suffix(".expected")
    if "REGENERATE" in os.environ:
        expected.write_text(told, encoding="utf-8")
    assert told == expected.read_text(encoding="utf-8")


def test_every_code_is_shown_and_none_is_unknown() -> None:
    lines = [line for case in CASES for line in case.with_suffix(".expected").read_text("utf-8").splitlines()]
    told = {line.split(": ")[1] for line in lines}
    assert told == set(CODES)


def test_there_is_no_message_without_its_recipe() -> None:
    assert {file.stem for file in BROKEN.glob("*.expected")} == {case.stem for case in CASES}
