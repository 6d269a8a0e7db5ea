"""The tables of `docs/finetune.md` against the config's model. After a change of a key, write them anew:

REGENERATE=1 python -m pytest tests/finetune/test_docs_finetune.py
"""

import json
import os
import re
from pathlib import Path

import pytest
from click import Context

from datagen.config.messages import expected
from finetune.cli import main
from finetune.config import Config, load, names

PAGE = Path(__file__).parents[2] / "docs" / "finetune.md"


def keys() -> str:
    rows = [
        (
            f"`{name}`",
            expected(field.annotation, field),
            f"`{json.dumps(field.default)}`",
            field.description or "",
        )
        for name, field in Config.model_fields.items()
    ]
    lines = [("key", "value", "default", "meaning"), ("---",) * 4, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rendered(page: str) -> str:
    """The page with its table written from the model."""
    begin, end = "<!-- begin: keys -->\n", "<!-- end: keys -->"
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n{keys()}\n\n{end}{rest.partition(end)[2]}"


def test_the_page_says_what_the_model_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    if "REGENERATE" in os.environ:
        PAGE.write_text(rendered(page), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == rendered(page)


def test_the_commands_that_it_shows_are_there() -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = re.findall(r"(?:^\$ |`|-m )finetune(?:\.cli)? ([^`\n]+)", page, re.MULTILINE)
    assert len(shown) >= 5
    for line in shown:
        name, *words = line.split()
        command = main.commands[name]
        known = {option for parameter in command.get_params(Context(command)) for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known
    for setting in re.findall(r"--set (\S+=[^\s`]+)", page):
        load("smollm2-135m", [setting])


@pytest.mark.parametrize("name", names())
def test_a_config_names_no_key_that_the_page_lacks(name: str) -> None:
    assert set(load(name).model_dump()) == set(re.findall(r"^\| `(\w+)` \|", keys(), re.MULTILINE))
