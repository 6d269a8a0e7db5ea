"""Every recipe and template that ships: it passes its check, is used, and tells a model how to answer."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datagen.errors import Reject
from datagen.pipeline.rng import Dice
from datagen.pipeline.sampling import draw
from datagen.prompts.template import Template, load_template
from datagen.recipe.check import check
from datagen.recipe.load import load
from datagen.schema import LANGUAGES
from datagen.sources.database import open_seeds
from datagen.sources.query import columns_of
from datagen.tasks import TASKS

ROOT = Path(__file__).parents[1]
RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
TEMPLATES = sorted(
    path.relative_to(ROOT / "templates").as_posix() for path in (ROOT / "templates").rglob("*.j2")
)

JUDGEMENTS = 12_000
ROWS = 300
"""Rows of a task that are looked at: some in each of its languages."""

WORDINGS, OWN_WORDINGS = 4, 3
"""The fewest phrasings that a row may be given, and the fewest in its own language if that is not English."""

FORM = {
    "multiple_choice": {"en": r"\bnumber\b|\bdigit\b", "es": r"número|cifra|dígito", "ja": r"番号|数字"},
    "ranking": {"en": r"\bcommas?\b", "es": r"\bcomas?\b", "ja": r"カンマ|コンマ|読点"},
    "retrieval": {"en": r"\bcommas?\b|comma-", "es": r"\bcomas?\b", "ja": r"カンマ|コンマ|読点"},
    "named_entity_recognition": {"en": r"\bcommas?\b", "es": r"\bcomas?\b", "ja": r"カンマ|コンマ|読点"},
}
"""What a wording of each type must say for the grader to find the answer."""

ALONE = {
    "en": r"\b(only|nothing|without|single|don't|leave out|no (other|full|explanation)|digit|output is)\b",
    "es": r"\b(solo|únicamente|solamente|sin|nada|no|omite)\b",
    "ja": r"だけ|のみ|不要|書かず|なし|以外|せず|ないで",
}
"""How a wording says that nothing but the answer is wanted."""


@dataclass(frozen=True)
class Asked:
    """A question of a template's task, in the language of its row."""

    language: str
    slots: dict[str, Any]


def template_of(name: str) -> Template:
    return load_template(ROOT / "templates" / name)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Asked]]:
    """Questions of every template, one in each language that its tasks' rows have."""
    from datagen.sources.sample import write_sample

    folder = tmp_path_factory.mktemp("market")
    write_sample(folder / "seeds", JUDGEMENTS)
    found: dict[str, dict[str, Asked]] = {name: {} for name in TEMPLATES}
    for name in RECIPES:
        recipe = load(name)
        with open_seeds(recipe.sources, folder / "seeds", recipe.seed, tables=recipe.tables) as opened:
            for label, task in recipe.tasks.items():
                path = folder / f"{name}.{label}.arrow"
                columns = list(columns_of(opened.of(label), task.query))
                draw(opened, label, task.query, columns, ROWS, 0.0, path)
                with pa.OSFile(str(path)) as file:
                    rows = pa.ipc.open_file(file).read_all().to_pylist()
                for row in rows:
                    language = row.get("language", task.language)
                    try:
                        question = TASKS[task.type].build({**row, "metric": task.metric}, Dice(row["key"]))
                    except Reject:
                        continue
                    found[task.template].setdefault(language, Asked(language, question.slots))
    return {name: list(of_template.values()) for name, of_template in found.items()}


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_passes_its_check(recipe: str) -> None:
    assert check(recipe) == []
    assert load(recipe).description.endswith(".")


def test_every_template_is_used() -> None:
    assert {task.template for name in RECIPES for task in load(name).tasks.values()} == set(TEMPLATES)


@pytest.mark.parametrize("name", TEMPLATES)
def test_rows_of_every_language_have_enough_wordings(asked: dict[str, list[Asked]], name: str) -> None:
    template = template_of(name)
    assert asked[name], "no question of this template: make its query easier to meet, or the market larger"
    for question in asked[name]:
        assert len(template.choices(question.language)) >= WORDINGS, question.language
        own = [wording for wording in template.wordings if wording.language == question.language]
        assert len(own) >= OWN_WORDINGS or question.language == "en", question.language


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_wording_serves_some_row(asked: dict[str, list[Asked]], name: str) -> None:
    template = template_of(name)
    served = {position for question in asked[name] for position in template.choices(question.language)}
    assert served == set(range(len(template.wordings)))


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_wording_says_how_to_answer(asked: dict[str, list[Asked]], name: str) -> None:
    template, kind = template_of(name), name.partition("/")[0]
    for question in asked[name]:
        prompts = [
            template.render(position, question.slots) for position in template.choices(question.language)
        ]
        assert len(set(prompts)) == len(prompts), "two wordings are the same"
        for position, prompt in zip(template.choices(question.language), prompts, strict=True):
            wording = template.wordings[position]
            language = wording.language or "en"
            place = f"{name}, line {wording.line}"
            if kind in FORM:
                assert re.search(FORM[kind][language], wording.text, re.IGNORECASE), place
            assert re.search(ALONE[language], wording.text, re.IGNORECASE), place
            assert "{{" not in prompt, place
            if "listing" in question.slots:
                assert prompt.count(question.slots["listing"]) == 1, place


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_wording_tells_what_is_asked_about(asked: dict[str, list[Asked]], name: str) -> None:
    """Or else questions about two products, which are no duplicates, read alike in it."""
    template = template_of(name)
    for question in asked[name]:
        [subject] = [slot for slot in ("query", "title", "text", "bullets") if slot in question.slots][:1]
        shown = question.slots[subject]
        for position in template.choices(question.language):
            prompt = template.render(position, question.slots)
            place = f"{name}, line {template.wordings[position].line}"
            assert all(text in prompt for text in (shown if isinstance(shown, list) else [shown])), place


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_wording_is_in_its_language(name: str) -> None:
    """Japanese has its own letters; Spanish and English ones are told apart by a few short words."""
    spanish, english = r"\b(el|la|los|las|un|una|de|que|por)\b", r"\b(the|of|this|these|is|with|and|your)\b"
    for wording in template_of(name).wordings:
        prose = re.sub(r"\{[{%#].*?[}%#]\}", " ", wording.text, flags=re.DOTALL).lower()
        words = {"es": len(re.findall(spanish, prose)), "en": len(re.findall(english, prose))}
        japanese = len(re.findall(r"[\u3040-\u30ff]", prose))
        guess = "ja" if japanese > 10 else max(words, key=lambda language: words[language])
        assert guess == (wording.language or "en"), f"{name}, line {wording.line}"


def test_all_languages_are_asked_in(asked: dict[str, list[Asked]]) -> None:
    assert {question.language for questions in asked.values() for question in questions} == set(LANGUAGES)
