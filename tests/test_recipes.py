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
from datagen.pipeline.shared_tables import shared, turns
from datagen.prompts.template import Template, load_template
from datagen.recipe.check import check
from datagen.recipe.load import load, templates_of
from datagen.recipe.narrow import steps_by_task
from datagen.schema import LANGUAGES
from datagen.sources.database import open_seeds
from datagen.sources.locate import find_seeds
from datagen.sources.query import columns_of
from datagen.tasks import TASKS
from tests.conftest import all_tasks

ROOT = Path(__file__).parents[1]
RECIPES = sorted(path.stem for path in (ROOT / "recipes").glob("*.yaml"))
TEMPLATES = sorted(
    path.relative_to(ROOT / "templates").as_posix() for path in (ROOT / "templates").rglob("*.j2")
)
TAUGHT = {  # what stands on tables that a teacher fills: `test_teacher_recipes` walks it
    template
    for name in RECIPES
    for loaded in [load(name)]
    for template in (
        *(template for step in loaded.steps.values() for template in templates_of(step)),
        *(task.template for label, task in loaded.tasks.items() if steps_by_task(loaded)[label]),
    )
}
TEMPLATES = [name for name in TEMPLATES if name not in TAUGHT]

SUMMED = {
    task.template for name in RECIPES for task in load(name).tasks.values() if "as explanation" in task.query
}
"""Templates of rows that show a sum behind the number."""

ROWS = 600
"""Rows of a task that are looked at: some in each of its languages."""

WORDINGS, OWN_WORDINGS = 4, 3
"""The fewest phrasings that a row may be given, and the fewest in its own language if that is not English."""

_NUMBER = {
    "en": r"\bnumber\b|\bdigit\b",
    "de": r"nummer|zahl|ziffer",
    "es": r"número|cifra|dígito",
    "fr": r"numéro|chiffre",
    "it": r"numero|cifra",
    "ja": r"番号|数字",
}
_COMMA = {
    "en": r"\bcommas?\b|comma-",
    "de": r"komma",
    "es": r"\bcomas?\b",
    "fr": r"virgule",
    "it": r"virgol",
    "ja": r"カンマ|コンマ|読点",
}
FORM = {
    "multiple_choice": _NUMBER,
    "ranking": _COMMA,
    "retrieval": _COMMA,
    "named_entity_recognition": _COMMA,
}
"""How a wording of each type says in what form the answer is read."""

FIRST = {
    "en": r"\b(first|before)\b",
    "es": r"\b(primero|antes|delante)\b",
    "ja": r"最初|先に|前に",
}
"""How a wording says that the number comes first."""

ALONE = {
    "en": r"\b(only|nothing|without|single|don't|leave out|no (other|full|explanation)|digit|output is)\b",
    "de": r"\b(nur|nichts|ohne|kein\w*|lediglich|ausschließlich)\b",
    "es": r"\b(solo|únicamente|solamente|sin|nada|no|omite)\b",
    "fr": r"\b(seule?s?|seulement|rien|sans|uniquement|aucune?|pas)\b",
    "it": r"\b(solo|soltanto|nulla|niente|senza|unicamente|nessun\w*|non)\b",
    "ja": r"だけ|のみ|不要|書かず|なし|以外|せず|ないで",
}
"""How a wording says that nothing but the answer is wanted."""

BARE = r"[:：]\s*$"
"""How a wording ends that says neither, as most of ShopBench's do: `Answer:`."""

TOLD = 2
"""The fewest wordings of a language that say both."""

SHORT_WORDS = {
    "en": r"\b(the|of|this|these|is|with|and|your|which|what|to|for)\b",
    "de": r"\b(der|die|das|den|dem|ein|eine|und|zu|mit|welche\w*|ist|von|im|nur|für)\b",
    "es": r"\b(el|la|los|las|un|una|de|que|por|en|con|cuál|y|del)\b",
    "fr": r"\b(le|la|les|un|une|des|du|de|quel\w*|est|et|en|pour|ce|cette|dans)\b",
    "it": r"\b(il|lo|la|gli|le|un|una|di|del\w*|che|quale|è|e|in|per|con|questo|solo)\b",
}
"""By which the languages that share letters are told apart."""


@dataclass(frozen=True)
class Asked:
    """A question of a template's task, in the language of its row."""

    language: str
    slots: dict[str, Any]


def template_of(name: str) -> Template:
    return load_template(ROOT / "templates" / name)


@pytest.fixture(scope="module")
def asked(everything: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Asked]]:
    """Questions of every template, one in each language that its tasks' rows have."""
    folder, recipe = tmp_path_factory.mktemp("asked"), all_tasks()
    seeds = find_seeds("sample", {}, everything.parent)
    found: dict[str, dict[str, Asked]] = {name: {} for name in TEMPLATES}
    with open_seeds(recipe.sources, seeds, recipe.seed, tables=recipe.tables) as opened:
        of_tasks = turns(opened, {label: task.query for label, task in recipe.tasks.items()})
        for label, task in recipe.tasks.items():
            path = folder / f"{label}.arrow"
            with shared(opened, label, of_tasks[label]):
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
    used = {task.template for name in RECIPES for task in load(name).tasks.values()}
    assert used | TAUGHT == {*TEMPLATES} | TAUGHT
    assert {f"teacher/{path.name}" for path in (ROOT / "templates" / "teacher").iterdir()} <= TAUGHT


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
def test_wordings_say_how_to_answer_or_end_as_in_shopbench(asked: dict[str, list[Asked]], name: str) -> None:
    template, kind = template_of(name), name.partition("/")[0]
    for question in asked[name]:
        places = template.choices(question.language)
        prompts = [template.render(position, question.slots) for position in places]
        assert len(set(prompts)) == len(prompts), "two wordings are the same"
        told = 0
        for position, prompt in zip(places, prompts, strict=True):
            wording = template.wordings[position]
            language = wording.language or "en"
            place = f"{name}, line {wording.line}"
            form = re.search(FORM[kind][language], wording.text, re.IGNORECASE) if kind in FORM else True
            how = FIRST if name in SUMMED else ALONE
            says = bool(form and re.search(how[language], wording.text, re.IGNORECASE))
            told += says
            assert says or re.search(BARE, wording.text) or _of_slots(wording.text), place
            assert "{{" not in prompt, place
            if "listing" in question.slots:
                assert prompt.count(question.slots["listing"]) == 1, place
        assert told >= TOLD or _of_slots(template.wordings[0].text), question.language


def _of_slots(text: str) -> bool:
    """Whether a wording has no words of its own: instructions of a source are worded by it."""
    return not re.search(r"\w", re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", text))


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_wording_tells_what_is_asked_about(asked: dict[str, list[Asked]], name: str) -> None:
    """Or else questions about two products, which are no duplicates, read alike in it."""
    template = template_of(name)
    for question in asked[name]:
        shown = None
        for position in template.choices(question.language):
            prompt = template.render(position, question.slots)
            told = {
                slot
                for slot, value in question.slots.items()
                if value
                and all(str(text) in prompt for text in (value if isinstance(value, list) else [value]))
            }
            shown = told if shown is None else shown & told
        assert shown, f"{name}: no slot stands in all wordings of {question.language}"


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_wording_is_in_its_language(name: str) -> None:
    """Japanese has its own letters; the others are told apart by a few short words."""
    for wording in template_of(name).wordings:
        prose = re.sub(r"\{[{%#].*?[}%#]\}", " ", wording.text, flags=re.DOTALL).lower()
        counts = {language: len(re.findall(pattern, prose)) for language, pattern in SHORT_WORDS.items()}
        japanese = len(re.findall(r"[\u3040-\u30ff]", prose))
        place = f"{name}, line {wording.line}"
        if (wording.language or "en") == "ja" or japanese > 10:
            assert (wording.language, japanese > 4) == ("ja", True), place
        else:
            assert counts[wording.language or "en"] >= max(counts.values()) - 2, place


def test_all_languages_are_asked_in(asked: dict[str, list[Asked]]) -> None:
    assert {question.language for questions in asked.values() for question in questions} <= set(LANGUAGES)
