"""A batch of a query's rows in, worded examples and rejects out.

Each row stands alone: its random choices come from (recipe seed, task, key), so neither the batch
that it lies in, nor the process that works on it, changes a byte of it.
"""

import functools
import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from jinja2 import TemplateError as JinjaError

from datagen import filters
from datagen.errors import Reject, UserError
from datagen.prompts import Template, load_template
from datagen.schema import LANGUAGES, REJECT, TaskType
from datagen.tasks import TASKS, gold_problem

RESERVED = ("key", "side", "groups", "split", "language")
"""Columns of a query's row that neither the task type nor the template sees."""

SLOT_CHARACTERS = 100_000
"""A row whose strings hold more than this is left out before anything is rendered."""

EXAMPLE = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("key", pa.string()),
        pa.field("side", pa.string()),
        pa.field("groups", pa.list_(pa.string())),
        pa.field("language", pa.string()),
        pa.field("wording", pa.int32()),
        pa.field("prompt", pa.string()),
        pa.field("answer", pa.string()),
        pa.field("target", pa.string()),
        pa.field("fields", pa.list_(pa.string()), metadata={"description": "free slots, for dedup"}),
        pa.field("options", pa.list_(pa.string()), metadata={"description": "candidates, for dedup"}),
        pa.field("gold", pa.string(), metadata={"description": "gold answer as content, for dedup"}),
    ]
)
"""A worded example between the stages; what is the same for all rows of a task is added in the shards."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker needs to word the rows of one task."""

    seed: int
    task: str
    task_type: TaskType
    metric: str
    language: str
    template: Path
    max_tokens: int
    check_language: bool


def word(batch: pa.RecordBatch, job: Job) -> tuple[pa.Table, pa.Table]:
    """Examples (EXAMPLE, in the order of their ids) and rejects (schema.REJECT) of one batch.

    Raises UserError where the template cannot print what the query gives.
    """
    columns = {name: _one_line(batch.column(name)) for name in batch.schema.names}
    size = _characters(columns.values())
    rejects = _Rejects(job.task)
    examples = _examples(columns, size.to_pylist(), job, rejects)
    kept = _filtered(examples, job, rejects)
    return kept.sort_by("id"), rejects.table()


class _Rejects:
    """Rows that were left out, collected column by column."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.rows: list[dict[str, Any]] = []

    def add(self, key: str, reason: str, seed: dict[str, Any] | None = None, prompt: str | None = None,
            answer: str | None = None) -> None:
        text = None if seed is None else json.dumps(seed, ensure_ascii=False, default=str)
        self.rows.append(
            {"task": self.task, "key": key, "reason": reason, "prompt": prompt, "answer": answer, "seed": text}
        )

    def table(self) -> pa.Table:
        return pa.Table.from_pylist(self.rows, schema=REJECT)


def _examples(columns: dict[str, pa.Array], sizes: list[int], job: Job, rejects: _Rejects) -> pa.Table:
    """Build and word every row; the law of the project is checked here, row by row."""
    module, template = TASKS[job.task_type], _template(job.template)
    choices = {language: template.choices(language) for language in LANGUAGES}
    free = [name for name in template.slots if name in columns]
    count = len(sizes)
    keys, sides, groups = (columns[name].to_pylist() for name in ("key", "side", "groups"))
    languages = columns["language"].to_pylist() if "language" in columns else [job.language] * count
    names = [name for name in columns if name not in RESERVED]
    rows = zip(*(columns[name].to_pylist() for name in names), strict=True)
    extra = {"metric": job.metric} if job.task_type is TaskType.GENERATION else {}
    rng = random.Random(0)
    out: dict[str, list[Any]] = {name: [] for name in EXAMPLE.names}
    append = [out[name].append for name in EXAMPLE.names]
    for key, side, group, language, size, values in zip(keys, sides, groups, languages, sizes, rows, strict=True):
        row = dict(zip(names, values, strict=True)) | extra
        try:
            if size > SLOT_CHARACTERS:
                raise Reject("too_long")
            if not choices.get(language):
                raise Reject("no_wording_in_language")
            rng.seed(_hash(job.seed, job.task, key))
            question = module.build(row, rng)
            wording = rng.choice(choices[language])
            prompt = template.render(wording, question.slots)
            fields = [_content(question.slots[name]) for name in free]
            if "" in fields:
                raise Reject("empty_slot")
            if filters.leaked(job.task_type, question.metric, fields, question.candidates, question.target):
                raise Reject("answer_leaked")
            problem = gold_problem(module, question)
            if problem:
                raise Reject(problem)
        except Reject as reject:
            rejects.add(key, reject.reason, row if size <= SLOT_CHARACTERS else None)
            continue
        except (JinjaError, TypeError, KeyError) as error:
            raise UserError(
                f"{job.template}: task {job.task}, row {key}: the template cannot be rendered: "
                f"{type(error).__name__}: {error}"
            ) from error
        values_out = (
            *(_id(job.seed, job.task, wording, key), key, side, group, language, wording, prompt),
            *(module.answer(question), json.dumps(question.target, ensure_ascii=False)),
            *(fields, question.candidates, module.gold_text(question)),
        )
        for add, value in zip(append, values_out, strict=True):
            add(value)
    return pa.table([pa.array(out[field.name], field.type) for field in EXAMPLE], schema=EXAMPLE)


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
            total = pc.add(total, pc.coalesce(pc.binary_length(pc.binary_join(column, "")), pa.scalar(0, pa.int32())))
    return total


def _content(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _hash(*parts: Any) -> int:
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())


def _id(*parts: Any) -> str:
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=16).hexdigest()


@functools.cache
def _template(path: Path) -> Template:
    return load_template(path)
