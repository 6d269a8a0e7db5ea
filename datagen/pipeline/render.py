"""Rendering: the rows of a query become examples in the words of a template, or rejects.

Each row stands alone. Its random choices come from (recipe seed, task, key), so neither its batch nor
the process that works on it changes a byte of it.
"""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import TemplateError as JinjaError

from datagen.errors import Reject, UserError
from datagen.paths import find
from datagen.pipeline import filters
from datagen.pipeline.rng import Dice
from datagen.prompts.template import Template, load_template
from datagen.schema import LANGUAGES, REJECT, TaskType
from datagen.storage.files import read_batch, write_arrow
from datagen.tasks import TASKS, gold_problem

if TYPE_CHECKING:  # workers do without pydantic: it takes a third of their start
    from datagen.recipe.model import Recipe

RESERVED = ("key", "side", "groups", "split", "language")
"""Columns of a query's row that neither the task type nor the template sees."""

SLOT_CHARACTERS = 100_000
"""A row whose strings hold more than this is left out before anything is rendered."""

EXAMPLE = pa.schema(
    [
        pa.field("key", pa.string()),
        pa.field("side", pa.string()),
        pa.field("groups", pa.list_(pa.string())),
        pa.field("language", pa.string()),
        pa.field("id", pa.string()),
        pa.field("wording", pa.int32()),
        pa.field("prompt", pa.string()),
        pa.field("answer", pa.string()),
        pa.field("target", pa.string()),
        pa.field("fields", pa.list_(pa.string()), metadata={"description": "free slots, for dedup"}),
        pa.field("options", pa.list_(pa.string()), metadata={"description": "candidates, for dedup"}),
        pa.field("gold", pa.string(), metadata={"description": "gold answer as content, for dedup"}),
    ]
)
"""A rendered example between the stages; columns that all rows of a task share are added in the shards."""


@dataclass(frozen=True, slots=True)
class Job:
    """All that a worker needs to render the rows of one task."""

    seed: int
    task: str
    task_type: TaskType
    metric: str
    language: str
    template: Path
    max_tokens: int
    check_language: bool


def job_of(recipe: "Recipe", task: str) -> Job:
    """The job of one task of the recipe."""
    wanted = recipe.tasks[task]
    template = find("templates", wanted.template).resolve()
    return Job(
        *(recipe.seed, task, wanted.type, wanted.metric, wanted.language, template),
        *(recipe.filters.max_tokens, recipe.filters.language),
    )


def row_id(seed: int, task: str, wording: int, key: str) -> str:
    """The id of a row: a hash of all that makes it."""
    return blake2b(f"{seed}|{task}|{wording}|{key}".encode(), digest_size=16).hexdigest()


def word(batch: pa.RecordBatch, job: Job) -> tuple[pa.Table, pa.Table]:
    """Examples (EXAMPLE, in the order of their ids) and rejects (schema.REJECT) of one batch.

    Raises UserError where the template cannot print what the query gives.
    """
    columns = {
        name: batch.column(name) if name in RESERVED else _one_line(batch.column(name))
        for name in batch.schema.names
    }
    size = _characters(columns.values())
    rejects = _Rejects(job.task)
    examples = _examples(columns, size.to_pylist(), job, rejects)
    kept = _filtered(examples, job, rejects)
    return kept.sort_by("id"), rejects.table()


def word_part(drawn: Path, batch: int, job: Job, examples: Path, rejects: Path) -> None:
    """`word` from file to files, `examples` last: when it is there, the batch is done."""
    worded, left_out = word(read_batch(drawn, batch), job)
    write_arrow(left_out, rejects)
    write_arrow(worded, examples)


def ready() -> None:
    """Do nothing: importing this module loads all that `word_part` needs, before there is work."""


class _Rejects:
    """Rows that were left out, collected column by column."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.rows: list[dict[str, Any]] = []

    def add(
        self,
        key: str,
        reason: str,
        seed: dict[str, Any] | None = None,
        prompt: str | None = None,
        answer: str | None = None,
    ) -> None:
        text = None if seed is None else json.dumps(seed, ensure_ascii=False, default=str)
        self.rows.append(
            {
                "task": self.task,
                "key": key,
                "reason": reason,
                "prompt": prompt,
                "answer": answer,
                "seed": text,
            }
        )

    def table(self) -> pa.Table:
        return pa.Table.from_pylist(self.rows, schema=REJECT)


def _examples(columns: dict[str, pa.Array], sizes: list[int], job: Job, rejects: _Rejects) -> pa.Table:
    """Build and render every row; its gold answer is checked here, as `tasks.gold_problem` says."""
    word_row = _row_worder(job, [name for name in columns if name not in RESERVED])
    keys, sides, groups = (columns[name].to_pylist() for name in ("key", "side", "groups"))
    languages = columns["language"].to_pylist() if "language" in columns else [job.language] * len(sizes)
    names = [name for name in columns if name not in RESERVED]
    values = zip(*(columns[name].to_pylist() for name in names), strict=True) if names else ((),) * len(sizes)
    rows = []
    for key, side, group, language, size, value in zip(
        keys, sides, groups, languages, sizes, values, strict=True
    ):
        row = dict(zip(names, value, strict=True))
        try:
            if size > SLOT_CHARACTERS:
                raise Reject("too_long")
            rows.append((key, side, group, language, *word_row(key, language, row)))
        except Reject as reject:
            rejects.add(key, reject.reason, row if size <= SLOT_CHARACTERS else None)
    whole = zip(*rows, strict=True) if rows else [[]] * len(EXAMPLE)
    return pa.table(
        [pa.array(column, field.type) for field, column in zip(EXAMPLE, whole, strict=True)], EXAMPLE
    )


def _row_worder(job: Job, names: list[str]) -> Callable[[str, str, dict[str, Any]], tuple[Any, ...]]:
    """A function that renders one row; what all rows need is looked up once, here.

    It gives EXAMPLE's columns from `id` on, and raises Reject.
    """
    module, template = TASKS[job.task_type], _template(job.template)
    choices = {language: template.choices(language) for language in LANGUAGES}
    free = [name for name in template.slots if name in names]
    as_json = json.JSONEncoder(ensure_ascii=False).encode
    extra = {"metric": job.metric} if job.task_type is TaskType.GENERATION else {}

    def word_row(key: str, language: str, row: dict[str, Any]) -> tuple[Any, ...]:
        if not choices.get(language):
            raise Reject("no_wording_in_language")
        dice = Dice(f"{job.seed}|{job.task}|{key}")
        question = module.build(row | extra, dice)
        slots, candidates = question.slots, question.candidates
        wording = dice.choice(choices[language])
        try:
            prompt = template.render(wording, slots)
        except (JinjaError, TypeError, KeyError) as error:
            raise UserError(
                f"{job.template}: task {job.task}, row {key}: the template cannot be rendered: "
                f"{type(error).__name__}: {error}"
            ) from error
        fields = [_content(slots[name]) for name in free]
        if "" in fields:
            raise Reject("empty_slot")
        if filters.leaked(job.task_type, question.metric, fields, candidates, question.target):
            raise Reject("answer_leaked")
        problem = gold_problem(module, question)
        if problem:
            raise Reject(problem)
        target = str(question.target) if type(question.target) is int else as_json(question.target)
        gold = module.gold_text(question)
        own_id = row_id(job.seed, job.task, wording, key)
        return own_id, wording, prompt, module.answer(question), target, fields, candidates, gold

    return word_row


def _filtered(examples: pa.Table, job: Job, rejects: _Rejects) -> pa.Table:
    """The examples that pass the text filters; the others go to `rejects`."""
    column = {name: examples.column(name).combine_chunks() for name in examples.schema.names}
    seed_texts = pc.binary_join_element_wise(
        pc.binary_join(column["fields"], "\n"), pc.binary_join(column["options"], "\n"), column["gold"], "\n"
    )
    found = filters.reasons(
        column["prompt"], column["answer"], seed_texts, column["language"],
        max_tokens=job.max_tokens, language=job.check_language,
    )  # fmt: skip
    for position, reason in enumerate(found):
        if reason:
            row = {name: column[name][position].as_py() for name in ("key", "prompt", "answer")}
            rejects.add(row["key"], reason, None, row["prompt"], row["answer"])
    return examples.filter(pa.array([reason is None for reason in found], pa.bool_()))


_LINE_BREAKS = r"[ \t]*[\n\r\x0b\x0c\x{85}\x{2028}\x{2029}]\s*"


def _one_line(column: pa.Array) -> pa.Array:
    """Strings without line breaks: a title with one must not look like a second line of the prompt."""
    kind = column.type
    if pa.types.is_string(kind):
        return pc.utf8_trim_whitespace(pc.replace_substring_regex(column, _LINE_BREAKS, " "))
    if pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        validity = pc.is_null(column)
        return pa.ListArray.from_arrays(column.offsets, _one_line(column.values), mask=validity)
    return column


def _characters(columns: Any) -> pa.Array:
    """Bytes of all strings of each row."""
    total: Any = 0
    for column in columns:
        if pa.types.is_string(column.type):
            total = pc.add(total, pc.coalesce(pc.binary_length(column), pa.scalar(0, pa.int32())))
        elif pa.types.is_list(column.type) and pa.types.is_string(column.type.value_type):
            total = pc.add(
                total, pc.coalesce(pc.binary_length(pc.binary_join(column, "")), pa.scalar(0, pa.int32()))
            )
    return total


def _content(value: Any) -> str:
    if type(value) is str:
        return value
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


@functools.cache
def _template(path: Path) -> Template:
    return load_template(path)
