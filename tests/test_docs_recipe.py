"""The tables and examples of `docs/recipe.md` against the models, sources, task types and checks.

The tables are written from the code. After a change of a key, a column or a code, write them anew:

    REGENERATE=1 python -m pytest tests/test_docs_recipe.py
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from datagen.config.messages import expected
from datagen.pipeline.build import build
from datagen.prompts.template import FILTERS
from datagen.recipe.check import CODES, check, sql_type
from datagen.recipe.load import load, scaled
from datagen.recipe.model import (
    Answer,
    Dedup,
    Extract,
    Filters,
    Mixture,
    Recipe,
    Reword,
    Rewrite,
    Split,
    Task,
    Teacher,
)
from datagen.reject_reasons import REASONS, STAGES
from datagen.reports import shortcuts
from datagen.schema import TaskType
from datagen.sources import SOURCES
from datagen.sources.database import open_layout
from datagen.sources.locate import made_up
from datagen.sources.query import QUERY_SECONDS, columns_of
from datagen.sources.sample import write_sample
from datagen.sources.staging import staged
from datagen.sources.word_lists import lists
from datagen.tasks import TASKS, generation, multiple_choice, ranking, retrieval
from datagen.tasks.question import RESPONSE_LENGTH, Columns

PAGE = Path(__file__).parents[1] / "docs" / "recipe.md"

MODELS: list[tuple[str, type[BaseModel]]] = [
    ("A recipe", Recipe),
    ("A task, below `tasks: {<name>: ...}`", Task),
    ("`filters`", Filters),
    ("`dedup`", Dedup),
    ("`split`", Split),
    ("A table below `extract: {<name>: ...}`", Extract),
    ("A table below `answer: {<name>: ...}`", Answer),
    ("`reword`", Reword),
    ("`rewrite`", Rewrite),
    ("`teacher`", Teacher),
    ("A mixture has no `tasks`, but", Mixture),
]


def table(headers: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(headers), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "*required*"
    if isinstance(field.default, BaseModel):
        return "see below"
    return f"`{json.dumps(field.default)}`" if field.default != "" else "the first"


def fields(model: type[BaseModel], without: Iterable[str] = ()) -> str:
    rows = [
        (f"`{name}`", expected(field.annotation, field), default(field), field.description or "")
        for name, field in model.model_fields.items()
        if name not in without
    ]
    return table(["key", "value", "default", "meaning"], rows)


def keys() -> str:
    same = {
        name
        for name, field in Mixture.model_fields.items()
        if name != "sources" and name in Recipe.model_fields
    }
    return "\n\n".join(
        f"{title}:\n\n{fields(model, without=same if model is Mixture else ())}" for title, model in MODELS
    )


def sources() -> str:
    parts = []
    for name, source in SOURCES.items():
        with open_layout({name: source.Options()}) as layout:
            tables = [
                (
                    f"`{name}.{part}`",
                    f"`{name}/{found.file}`",
                    typed(columns_of(layout, f"select * from {name}.{part}")),
                )
                for part, found in source.TABLES.items()
            ]
        parts += [
            f"`{name}` ([its publisher]({source.HOMEPAGE}), {source.LICENSE}) has these options:",
            fields(source.Options),
            "and these tables, whose columns, as SQL sees them, are VARCHAR where no type stands:",
            table(["table", "file", "columns"], tables),
            *staging(name),
        ]
    return "\n\n".join(parts)


def typed(columns: Mapping[str, str]) -> str:
    return ", ".join(f"`{name}`" + (kind != "VARCHAR") * f" {kind}" for name, kind in columns.items())


def staging(source: str) -> list[str]:
    if not staged(source):
        return []
    with open_layout({source: SOURCES[source].Options()}) as layout:
        rows = [
            (
                f"`{source}.{name}`",
                typed(columns_of(layout, f"select * from {source}.{name}")),
                found.comment,
            )
            for name, found in staged(source).items()
        ]
    return [
        "and these, made of the former, with which most queries begin:",
        table(["table", "columns", "what"], rows),
    ]


def word_lists() -> str:
    rows = []
    for subject, words in lists().items():
        shown = ", ".join(dict.fromkeys(canonical for language, _, canonical in words if language == "en"))
        rows.append((f"`lists.{subject}`", f"`{subject}_in(text, language)`", shown))
    return table(["table", "macro", "in English"], rows)


def types() -> str:
    def form(columns: Columns) -> str:
        return ", ".join(f"`{name}` {sql_type(kind)}" for name, kind in columns.items())

    rows = [
        (
            f"`{kind}`",
            " *or* ".join(map(form, task.COLUMNS)),
            ", ".join(f"`{slot}`" for slot in task.SLOTS) or "none",
            ", ".join(f"`{metric}`" for metric in task.METRICS),
        )
        for kind, task in TASKS.items()
    ]
    return table(["type", "columns beside `key`", "slots that it adds", "metrics"], rows)


LIMITS = {
    TaskType.MULTIPLE_CHOICE: (
        f"{multiple_choice.FEWEST} to {multiple_choice.MOST} options, no two alike and none blank; `answer`"
        " is the place of the right one in `options`, from 0, which keep their order, as a scale must;"
        " `correct` and `distractors` are shuffled",
        "its number in the listing, counted from 0",
    ),
    TaskType.RANKING: (
        f"{ranking.FEWEST} to {ranking.MOST} candidates, no two alike and none blank, with a gain each from"
        f" 0 to {ranking.LARGEST_GAIN}, not all equal",
        "all numbers from best to worst, counted from 1",
    ),
    TaskType.RETRIEVAL: (
        f"1 to {retrieval.READ} positives, at least {retrieval.READ + 1} candidates and at most"
        f" {retrieval.MOST} in all, no two alike and none blank",
        "the numbers of the positives, counted from 1",
    ),
    TaskType.NAMED_ENTITY_RECOGNITION: (
        "at least 1 entity, each written as in the text and as whole words, without a comma, none twice",
        "the entities, with commas between",
    ),
    TaskType.GENERATION: (
        f"a reference of 1 to {RESPONSE_LENGTH} characters; for `bleu` and `jp-bleu` one line of at least"
        f" {generation.BLEU_ORDER} tokens; for `rougel` with an ASCII letter or digit",
        "the reference",
    ),
}


def limits() -> str:
    rows = [(f"`{kind}`", *LIMITS[kind]) for kind in TASKS]
    return table(["type", "what a row may hold", "answer"], rows)


def reasons() -> str:
    rows = [(f"`{code}`", stage, text) for stage, codes in STAGES.items() for code, text in codes.items()]
    return table(["code", "checked with", "why"], rows)


def contents() -> str:
    headings = re.findall(r"^##(#?) (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return "\n".join(
        f"{'  ' * len(deep)}- [{text}](#{re.sub(r'[^a-z0-9 -]', '', text.lower()).replace(' ', '-')})"
        for deep, text in headings
    )


BLOCKS: dict[str, Callable[[], str]] = {
    "contents": contents,
    "keys": keys,
    "sources": sources,
    "lists": word_lists,
    "types": types,
    "limits": limits,
    "reasons": reasons,
    "filters": lambda: ", ".join(f"`{name}`" for name in sorted(FILTERS)) + ".",
    "codes": lambda: table(["code", "what is wrong"], [(f"`{code}`", text) for code, text in CODES.items()]),
}


def rendered(page: str) -> str:
    """The page with every block between its comments written from the code."""
    for name, block in BLOCKS.items():
        begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{block()}\n\n{end}{rest.partition(end)[2]}"
    return page


def test_the_page_says_what_the_code_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    if "REGENERATE" in os.environ:
        PAGE.write_text(rendered(page), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == rendered(page)


def test_every_block_of_the_page_is_written_from_the_code() -> None:
    assert set(re.findall(r"<!-- begin: (\w+) -->", PAGE.read_text(encoding="utf-8"))) == set(BLOCKS)


def test_every_key_is_explained() -> None:
    models = [model for _, model in MODELS] + [source.Options for source in SOURCES.values()]
    assert [
        name for model in models for name, field in model.model_fields.items() if not field.description
    ] == []


def test_a_reason_names_the_limit_that_holds() -> None:
    most = [str(module.MOST) for module in (multiple_choice, ranking, retrieval)]
    assert re.findall(r"\d+", REASONS["too_many_options"]) == most
    assert (multiple_choice.FEWEST, ranking.FEWEST, retrieval.READ) == (2, 2, 3)  # there in words
    assert str(ranking.LARGEST_GAIN) in REASONS["gain_out_of_range"]
    assert str(RESPONSE_LENGTH) in REASONS["reference_too_long"]


def test_the_time_limit_is_the_one_that_holds() -> None:
    assert f"may run for {QUERY_SECONDS // 60} minutes" in " ".join(PAGE.read_text(encoding="utf-8").split())


def test_a_bound_is_held_from_as_many_rows_as_the_page_says() -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert f"from {shortcuts.JUDGED} train rows of the task on" in page


def test_the_examples_pass_their_check_and_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = PAGE.read_text(encoding="utf-8")
    recipe, *_, mixture = re.findall(r"```yaml\n(name: .*?)```", page, re.DOTALL)
    [template] = re.findall(r"```jinja\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for path, text in [
        ("recipes/brands.yaml", recipe),
        ("recipes/everything.yaml", mixture),
        ("templates/named_entity_recognition/brand_in_title.j2", template),
    ]:
        assert path.split("/")[-1].split(".")[0] in page
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    assert check("brands") == []
    assert check("everything") == []
    assert sum(task.rows for task in load("everything").tasks.values()) == 30000
    write_sample(tmp_path / "seeds", 4000)
    built = build(scaled(load("everything"), 300), tmp_path / "seeds", tmp_path / "runs", workers=1)
    assert sum(built["tasks"]["brands.brand_in_title"]["kept"].values()) == 100


def test_the_examples_over_other_sources_build_all_their_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [section] = re.findall(
        r"^## Over other sources$(.*?)^## ", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    monkeypatch.chdir(tmp_path)
    Path("recipes").mkdir()
    seeds = made_up(Path("runs/seeds"), "sample", lambda line: None)
    sources: list[str] = []
    for text in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL):
        name = re.findall(r"^name: (\w+)$", text, re.MULTILINE)[0]
        Path("recipes", f"{name}.yaml").write_text(text, encoding="utf-8")
        assert check(name) == []
        [task] = build(load(name), seeds, Path("runs"), workers=1)["tasks"].values()
        assert sum(task["kept"].values()) == sum(task["wanted"].values())
        sources += load(name).sources
    assert sources == ["reviews", "m2", "mmlu"]
