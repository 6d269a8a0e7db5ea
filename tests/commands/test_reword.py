"""New wordings of templates: what is written for a person to read, and what is left out with its reason."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datagen.cli import main
from datagen.prompts.template import load_template
from tests.teacher.obeying import asked_about, serving

TEMPLATE = Path("templates/multiple_choice/best_match.j2")
REWORDED = Path("templates/multiple_choice/best_match.reworded.j2")

OWN = """A customer searches for "{{ query }}". Which of these products matches the search best?
{{ listing }}
Answer with the number of the product and nothing else.
---
Query: {{ query }}
{{ listing }}
Which product fits the query? Write its number only.
"""

GOOD = (
    'Pick the product that matches best what a customer wants with the search "[[1]]".\n[[2]]\nReply with its'
    " number only."
)
SAID = [
    GOOD,
    'Which product matches the search "[[1]]"?\n[[2]]\nThe answer is the mug.',
    'Which of the products matches "[[1]]"? Answer with the number of the product.',
    'Rank the products by how well each product matches "[[1]]", best first, numbers with commas.\n[[2]]',
    'Which of these products matches the search "[[1]]" best?\n---\n[[2]]\nAnswer with the number.',
]


@pytest.fixture
def here(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("recipes", "templates"):
        shutil.copytree(shop / name, tmp_path / name)
    (tmp_path / "seeds").symlink_to(shop / "seeds")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    TEMPLATE.write_text(OWN)
    return tmp_path


@pytest.fixture
def address() -> Iterator[str]:
    def says(body: dict[str, Any]) -> str:
        is_first = asked_about(body)["prompt"].startswith("A customer")
        return json.dumps({"wordings": SAID if is_first else SAID[1:]})

    with serving(says) as (address, _):
        yield address


def reword(*options: str) -> str:
    command = ["reword", "shop", "--seeds", "seeds", "--task", "best_match", "--wordings", "5", *options]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    return result.output


def test_what_passes_stands_beside_the_template_and_says_who_worded_it(here: Path, address: str) -> None:
    output = reword("--teacher", "m", "--base-url", address)
    assert REWORDED.read_text().startswith("{# reworded by m #}\nPick the product")
    assert TEMPLATE.read_text() == OWN
    template = load_template(TEMPLATE)
    assert [wording.teacher for wording in template.wordings] == [None, None, "m"]
    assert template.render(2, {"query": "mug", "listing": "0. a"}) == GOOD.replace("[[1]]", "mug").replace(
        "[[2]]", "0. a"
    )
    for reason in ("tells_answer", "marks", "not_a_template", "en lacks 4 of 5"):
        assert reason in output


def test_the_ledger_answers_a_second_time_and_only_what_lacks_is_asked_for(here: Path, address: str) -> None:
    reword("--teacher", "m", "--base-url", address)
    first = REWORDED.read_text()
    REWORDED.unlink()
    reword("--teacher", "m", "--base-url", address)
    assert REWORDED.read_text() == first
    assert "kept" not in reword("--teacher", "m", "--base-url", address).replace("kept  en  0", "") or (
        REWORDED.read_text() == first
    )


def test_wordings_of_another_teacher_are_not_mixed_with(here: Path, address: str) -> None:
    reword("--teacher", "m", "--base-url", address)
    command = [
        "reword",
        "shop",
        "--seeds",
        "seeds",
        "--task",
        "best_match",
        "--teacher",
        "n",
        "--base-url",
        address,
    ]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1
    assert f"{REWORDED}: worded by m. Move it away to ask n instead" in result.output


def test_no_teacher_is_an_error_that_says_what_is_missing(here: Path) -> None:
    result = CliRunner().invoke(main, ["reword", "shop", "--seeds", "seeds"])
    assert result.exit_code == 1
    assert "no key for gpt-4o: set OPENAI_API_KEY" in result.output


def test_the_asks_are_printed_with_their_cost_and_nothing_is_asked(here: Path) -> None:
    recipe = Path("recipes/shop.yaml")
    recipe.write_text(recipe.read_text() + "rewrite: {share: 0.5}\nreword: {wordings: 3}\n")
    command = ["preview", "shop", "--seeds", "seeds", "--teacher", "gpt-4o", "--rows", "2"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    for said in ("reword", "rewrite.best_match", "rewrite.brand", '"[[1]]":', "Nothing was asked"):
        assert said in result.output
    result = CliRunner().invoke(main, ["plan", "shop", "--seeds", "seeds", "--teacher", "gpt-4o"])
    assert result.exit_code == 0, result.output
    assert re.search(r"rewrite\.best_match +20 ", result.output)  # half of its 40 rows
    assert not Path("runs/teacher.sqlite").exists()
