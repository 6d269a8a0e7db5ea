"""The tables that a teacher fills, `extracted.*` and `answered.*`: asked before any query runs, and kept.

    rows of a step's query -> asks -> replies -> gates -> a table with what passed, rejects with why not

They lie in `runs/.kept/teacher-tables/`, under a hash of all that shapes them. Same replies, same bytes. What
the ledger holds is never asked again; without a server and with a ledger, it answers alone.
"""

import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.console.progress import Progress, Say
from datagen.errors import QueryError, UserError
from datagen.paths import find
from datagen.pipeline.rewriting import EXAMPLES, LEDGER, SHOWN, missing, teacher_of
from datagen.pipeline.rng import Dice
from datagen.prompts.template import load_template
from datagen.recipe.load import template_hash, templates_of
from datagen.recipe.model import Answer, Extract, Loaded
from datagen.recipe.narrow import sources_of_step, tables_read, without_steps
from datagen.schema import LANGUAGES, REJECT
from datagen.sources.database import (
    Seeds,
    add_filled,
    files_of,
    hashes_of,
    open_seeds,
    paths_of,
)
from datagen.sources.query import bounded, quoted
from datagen.storage.files import read_json, sha256, write_json, write_parquet
from datagen.storage.known_hashes import HASHES, sha256_of
from datagen.storage.package_code import code_files, code_hash
from datagen.tasks.question import RESERVED
from datagen.teacher import answer, extract
from datagen.teacher.ask import NOT_IN_LEDGER, Ask, Reply, Teacher
from datagen.teacher.client import asked, available
from datagen.teacher.data_message import messages

TABLES = ".kept/teacher-tables"
"""Below the folder of runs."""

AGAIN = "Remove it and build again"

TABLE, LEFT_OUT, COUNTS = "table.parquet", "rejects.parquet", "counts.json"

NO_TEACHER = "there is neither a teacher nor a ledger to fill their tables"
"""Why tasks are left out."""

VERSIONS = 4
"""Versions of a table that are kept, those used last: recipes and their mixtures may have their own."""

VARIED = 0.8
"""Temperature where several answers are asked for; else it is 0."""

_REASONS = {"cut": "reply_cut", "refused": "reply_refused", "empty": "empty_reply"}


@dataclass(frozen=True, slots=True)
class Filled:
    """The folder of each table that a teacher has filled, by its name in queries, and its hash and counts."""

    folders: dict[str, Path] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    counts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def tables(self) -> dict[str, Path]:
        """The table of each."""
        return {name: folder / TABLE for name, folder in self.folders.items()}


class Row(NamedTuple):
    """A row of a step's query: what the teacher is shown of it, and the whole."""

    key: str
    language: str
    data: dict[str, Any]
    whole: dict[str, Any]


class Result(NamedTuple):
    """What became of a row: the columns that the teacher filled, or the reason against them."""

    row: Row
    filled: dict[str, Any] | None
    reason: str
    said: str
    prompt: str


def fill(
    recipe: Loaded,
    seeds: Path,
    runs: Path,
    *,
    ask: bool = True,
    threads: int | None = None,
    spill: Path | None = None,
    progress: Progress = lambda stage, done, total: None,
    say: Say = lambda text: None,
) -> tuple[Loaded, Filled]:
    """Fill the recipe's tables; gives the recipe without the tasks whose tables can't be filled.

    Without `ask`, only what earlier builds below `runs` have kept is there.
    Raises UserError where no task is left, where a query fails, or as `asked` does.
    """
    if not recipe.steps:
        return recipe, Filled()
    lacks = missing(recipe, runs)
    if lacks and ask:
        try:
            narrower = without_steps(recipe, recipe.steps, NO_TEACHER)
        except UserError as error:
            raise UserError(f"{error}: {lacks}") from None
        say(f"{len(recipe.tasks) - len(narrower.tasks)} tasks are left out, as {NO_TEACHER}: {lacks}")
        return narrower, Filled()
    files = files_of(recipe.sources, seeds)
    shapes = _Shapes(recipe, hashes_of(files, sha256_of(paths_of(files), runs / "seeds" / HASHES)))
    filled = Filled()
    there = _known(recipe, shapes, runs, filled, partial=not ask)
    if ask and not there:
        with open_seeds(
            *(recipe.sources, seeds, recipe.seed),
            filled=filled.tables,
            threads=threads,
            spill=spill,
            columns=runs / "seeds" / "columns",
            say=say,
        ) as opened:
            for name in [name for name in recipe.steps if name not in filled.folders]:
                folder = runs / TABLES / f"{name}-{shapes.of(name, filled)}"
                _fill(recipe, name, opened, runs, folder, progress, say)
                _note(filled, name, folder)
                _prune(runs / TABLES, name)
                add_filled(opened, name, _table(folder))
    empty = [name for name in recipe.steps if not filled.counts.get(name, {}).get("kept")]
    if empty:
        why = "no row is left in their tables" if ask else "no build has filled their tables yet"
        unasked = any("not_asked" in counts["rejected"] for counts in filled.counts.values())
        lacks = available(teacher_of(recipe)) if ask and unasked else ""
        try:
            narrower = without_steps(recipe, empty, why)
        except UserError as error:
            raise UserError(f"{error}: {lacks}" if lacks else str(error)) from None
        say(f"{len(recipe.tasks) - len(narrower.tasks)} tasks are left out, as {why}: {', '.join(empty)}")
        recipe = narrower
        for name in filled.folders.keys() - recipe.steps.keys():
            for of_all in (filled.folders, filled.hashes, filled.counts):
                of_all.pop(name)
    return recipe, filled


class _Shapes:
    """The hash of all that shapes each table."""

    def __init__(self, recipe: Loaded, seeds: Mapping[str, Any]) -> None:
        self.recipe, self.seeds = recipe, seeds
        self.code = code_hash(code_files())

    def of(self, name: str, filled: Filled) -> str:
        """The hash of one; those that it reads are filled already."""
        recipe, step = self.recipe, self.recipe.steps[name]
        read = tables_read({other: one.query for other, one in recipe.steps.items()}, {name: step.query})
        teacher = teacher_of(recipe)
        shape = {
            "code": self.code,
            "seed": recipe.seed,
            "sources": {
                source: [self.seeds[source], recipe.sources[source].model_dump(mode="json")]
                for source in sources_of_step(recipe, name)
            },
            "step": step.model_dump(mode="json"),
            "templates": [template_hash(template) for template in templates_of(step)],
            "teacher": [teacher.model, teacher.server, teacher.max_tokens, judge_of(recipe).model],
            "reads": {other: filled.hashes.get(other) for other in sorted(read)},
        }
        text = json.dumps(shape, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _known(recipe: Loaded, shapes: _Shapes, runs: Path, filled: Filled, partial: bool) -> bool:
    """Note the tables that lie there from an earlier build; whether these are all.

    With `partial`, those will do for which not all replies were to be had.
    """
    for name in recipe.steps:
        folder = runs / TABLES / f"{name}-{shapes.of(name, filled)}"
        if not (folder / COUNTS).is_file() or not (partial or read_json(folder / COUNTS, AGAIN)["whole"]):
            return False
        _note(filled, name, folder)
    return True


def _prune(folder: Path, name: str) -> None:
    """Drop a table's oldest versions: the ledger fills them again for nothing."""
    versions = sorted(folder.glob(f"{name}-*"), key=lambda path: path.stat().st_mtime)
    for path in versions[:-VERSIONS]:
        shutil.rmtree(path, ignore_errors=True)  # another build may do the same


def _note(filled: Filled, name: str, folder: Path) -> None:
    folder.touch()  # used now
    filled.folders[name] = folder
    filled.hashes[name] = sha256(folder / TABLE)
    filled.counts[name] = read_json(folder / COUNTS, AGAIN)


def _table(folder: Path) -> pa.Table:
    return pq.read_table(folder / TABLE)


def _fill(
    recipe: Loaded, name: str, opened: Seeds, runs: Path, folder: Path, progress: Progress, say: Say
) -> None:
    """Ask about a step's rows and write its table, its rejects and its counts, these last."""
    step = recipe.steps[name]
    available, schema, rows = rows_of(opened, name, step)
    teacher = teacher_of(recipe)
    results = list(_results(recipe, name, rows, runs / LEDGER, progress, say))
    kept = [result for result in results if result.filled is not None]
    kinds = step.columns if isinstance(step, Extract) else {"reference": "string"}
    added = [pa.field(column, extract.arrow_type(kind)) for column, kind in kinds.items()]
    fields = [*schema, *added, pa.field("teacher", pa.string())]
    table = pa.Table.from_pylist(
        [result.row.whole | (result.filled or {}) | {"teacher": teacher.model} for result in kept],
        pa.schema(fields),
    )
    rejects = [
        {
            **dict.fromkeys(REJECT.names),
            **{"task": name, "key": result.row.key, "reason": result.reason, "prompt": result.prompt},
            **{"answer": result.said, "seed": json.dumps(result.row.data, ensure_ascii=False, default=str)},
        }
        for result in results
        if result.filled is None
    ]
    order = [("reason", "ascending"), ("key", "ascending")]
    reasons = Counter(result.reason for result in results if result.filled is None)
    counts = {
        "available": available,
        "asked": len(rows),
        "kept": len(kept),
        "rejected": dict(sorted(reasons.items())),
        "whole": "not_asked" not in reasons,  # else a later build, with a fuller ledger, finds more
        "examples": _examples(results),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_parquet(table, folder / TABLE)
    write_parquet(pa.Table.from_pylist(rejects, REJECT).sort_by(order), folder / LEFT_OUT)
    write_json(counts, folder / COUNTS, sort_keys=True)
    if rows and not kept:
        say(f"{name}: no reply of {len(rows):,} was kept: {_counted(reasons)}")


def _examples(results: Iterable[Result]) -> list[dict[str, str]]:
    """Some rows of each outcome: what was asked about, and what was replied."""
    shown: Counter[str] = Counter()
    found = []
    for result in results:
        shown[result.reason] += 1
        if shown[result.reason] <= EXAMPLES:
            asked = json.dumps(result.row.data, ensure_ascii=False, indent=1, default=str)
            replied = result.said or (result.filled or {}).get("reference", "")
            texts = {"asked": asked[:SHOWN], "replied": replied[:SHOWN]}
            found.append({"id": result.row.key, "reason": result.reason, **texts})
    return found


def copy_rejects(filled: Filled, folder: Path) -> None:
    """Copy the rows that were left out to a run's rejects, where there are any: a file for each table."""
    for name, of_table in filled.folders.items():
        if filled.counts[name]["rejected"]:
            folder.mkdir(exist_ok=True)
            shutil.copyfile(of_table / LEFT_OUT, folder / f"{name}-by-teacher.parquet")


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())


def rows_of(opened: Seeds, name: str, step: Extract | Answer) -> tuple[int, pa.Schema, list[Row]]:
    """The rows of a step's query to ask about, by key: how many there are, their schema, and those drawn."""
    connection = opened.connection
    query = step.query.rstrip().rstrip(";")
    with bounded(connection, name, kind="table"):
        [(rows, keys, known)] = connection.execute(
            f"select count(*), count(distinct key), count(key) from ({query}\n)"
        ).fetchall()
        if known < rows or keys < rows:
            wrong = "are null" if known < rows else "repeat"
            raise QueryError(name, f"its query gives rows whose keys {wrong}. A key names one row", "table")
        table = connection.sql(
            f"select * replace (key::varchar as key) from ({query}\n)"
            f" order by draw({quoted(name + '|')} || key::varchar), key limit {step.rows}"
        ).to_arrow_table()
    found = []
    for whole in table.sort_by("key").to_pylist():
        data = {column: value for column, value in whole.items() if column not in RESERVED | {"teacher"}}
        found.append(Row(whole["key"], whole.get("language") or step.language, data, whole))
    return rows, table.schema, found


def asks_of(recipe: Loaded, name: str, rows: Iterable[Row]) -> Iterator[Ask]:
    """What the teacher is asked about a step's rows."""
    step, schema, form = recipe.steps[name], None, ""
    if isinstance(step, Extract):
        schema, form = extract.schema_of(step.columns), extract.form_of(step.columns)
    instruction = _Instructions(recipe, name, step.template)
    for row in rows:
        said = messages(instruction.of(row), row.data, form)
        for sample in range(asks_a_row(step)):
            yield Ask(row.key, label_of(name), said, schema, sample)


def asker_of(recipe: Loaded, step: Extract | Answer) -> Teacher:
    """The recipe's teacher, as it is asked about a step's rows."""
    return teacher_of(recipe)._replace(temperature=VARIED if asks_a_row(step) > 1 else 0.0)


def judge_of(recipe: Loaded) -> Teacher:
    """The model that judges what the teacher has filled in."""
    return teacher_of(recipe)._replace(model=recipe.teacher.judge or recipe.teacher.model)


def judge_asks(recipe: Loaded, name: str, answered: Iterable[tuple[Row, Mapping[str, Any]]]) -> list[Ask]:
    """What a step's judge is asked about rows and the columns that the teacher has filled."""
    judge = recipe.steps[name].judge
    if not judge:
        return []
    instruction = _Instructions(recipe, name, judge)
    label = f"judge.{name.partition('.')[2]}"
    return [
        Ask(
            *(row.key, label, messages(instruction.of(row), row.data | dict(filled), answer.JUDGE_FORM)),
            answer.JUDGE_SCHEMA,
        )
        for row, filled in answered
    ]


def to_be_judged(recipe: Loaded, name: str, rows: list[Row], replies: Iterable[Reply]) -> list[Ask]:
    """The asks of a step's judge, as far as the ledger's replies tell what it will read.

    Where there is none yet, a text of the usual length stands for it.
    """
    results = _read(recipe, name, rows, list(asks_of(recipe, name, rows)), replies)
    unknown = {"reference": "..." * 40}
    found = [(one.row, one.filled or unknown) for one in results if one.filled or one.reason == "not_asked"]
    return judge_asks(recipe, name, found)


def label_of(name: str) -> str:
    """What the ledger calls a step, by the name of its table: `extract.aspects` for `extracted.aspects`."""
    kind, _, own = name.partition(".")
    return f"{'extract' if kind == 'extracted' else 'answer'}.{own}"


def asks_a_row(step: Extract | Answer) -> int:
    """How often a step asks about one row."""
    return 1 if isinstance(step, Extract) else step.candidates


class _Instructions:
    """What a template tells the teacher to do with a row; of several wordings each row has one."""

    def __init__(self, recipe: Loaded, name: str, template: str) -> None:
        self.begin = f"{recipe.seed}|{name}|{template}"
        self.template = load_template(find("templates", template))

    def of(self, row: Row) -> str:
        """The instruction for one row."""
        choices = self.template.choices(row.language) or [0]
        wording = Dice(f"{self.begin}|{row.key}").choice(choices)
        return self.template.render(wording, {"language": LANGUAGES[row.language]})


def _results(
    recipe: Loaded,
    name: str,
    rows: list[Row],
    ledger: Path,
    progress: Progress,
    say: Say,
) -> Iterator[Result]:
    """What becomes of a step's rows: read, and of those that are kept the poor ones left out by its judge."""

    def replies(teacher: Teacher, asks: list[Ask]) -> Iterator[Reply]:
        return asked(teacher, asks, ledger, recipe=recipe.name, progress=progress, say=say)

    asks = list(asks_of(recipe, name, rows))
    said = list(replies(asker_of(recipe, recipe.steps[name]), asks))
    results = list(_read(recipe, name, rows, asks, said))
    passed = [(result.row, result.filled) for result in results if result.filled is not None]
    verdicts = iter(list(replies(judge_of(recipe), judge_asks(recipe, name, passed))))
    for result in results:
        if result.filled is not None and recipe.steps[name].judge:
            verdict = next(verdicts)
            reason = _unusable(verdict)
            if not reason and json.loads(verdict.text)["score"] < answer.GOOD:
                reason = "judged_poor"
            if reason:
                text = f"{result.filled.get('reference') or result.said}\n{verdict.text}"
                result = result._replace(filled=None, reason=reason, said=text)
        yield result


def _read(
    recipe: Loaded, name: str, rows: list[Row], asks: list[Ask], replies: Iterable[Reply]
) -> Iterator[Result]:
    """What the replies to a step's asks say of its rows, each by the gates."""
    step, rest = recipe.steps[name], iter(replies)
    count = asks_a_row(step)
    for number, row in enumerate(rows):
        instruction, prompt = (message["content"] for message in asks[number * count].messages)
        said = [next(rest) for _ in range(count)]
        if isinstance(step, Extract):
            reason, found = _unusable(said[0]), None
            if not reason:
                found, reason = extract.labels(said[0].text, step.columns, row.data, instruction)
            yield Result(row, None if reason else found, reason, said[0].text, prompt)
            continue
        texts = [re.sub(r"\s+", " ", reply.text).strip() for reply in said]
        bounds = (step.min_words, step.max_words)
        reasons = [
            _unusable(reply) or answer.problem(text, row.data, row.language, bounds, instruction)
            for reply, text in zip(said, texts, strict=True)
        ]
        good = [text for text, reason in zip(texts, reasons, strict=True) if not reason]
        if good:
            yield Result(row, {"reference": good[answer.best(good)]}, "", "", prompt)
        else:
            yield Result(row, None, reasons[0], texts[0], prompt)


def _unusable(reply: Reply) -> str:
    """The reason against a reply that nothing can be read from."""
    if reply.reason == NOT_IN_LEDGER:
        return "not_asked"
    return _REASONS.get(reply.reason, "reply_of_other_form") if reply.reason else ""
