"""Rendering: the rows of a query become examples in the words of a template, or rejects.

Each row stands alone. Its random choices come from (recipe seed, task, key), so neither its batch nor
the process that works on it changes a byte of it.
"""

import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datagen.errors import Reject
from datagen.paths import find
from datagen.pipeline import filters
from datagen.pipeline.rng import Dice
from datagen.prompts.printed import holds_null, printed
from datagen.prompts.template import Template, load_template, reworded_path
from datagen.schema import LANGUAGES, REJECT, TaskType
from datagen.storage.files import read_arrow, read_batch, write_arrow
from datagen.tasks import TASKS, gold_problem
from datagen.tasks.generation import ONE_LINE
from datagen.tasks.question import RESERVED, one_line

if TYPE_CHECKING:  # workers do without pydantic: it takes a third of their start
    from datagen.recipe.model import Recipe

SLOT_CHARACTERS = 100_000
"""A row whose strings hold more than this is left out before anything is rendered."""

DETAIL_CHARACTERS = 500
"""How much of Jinja's words a reject keeps."""

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
        pa.field(
            "pieces",
            pa.list_(pa.string()),
            metadata={"description": "of a prompt to be written anew: words and values in turns; else null"},
        ),
    ]
)
"""A rendered example between the stages; columns that all rows of a task share are added in the shards."""

_CONTENT = b"content"


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
    rewrite: float = 0.0


def job_of(recipe: "Recipe", task: str) -> Job:
    """The job of one task of the recipe."""
    wanted = recipe.tasks[task]
    template = find("templates", wanted.template).resolve()
    return Job(
        *(recipe.seed, task, wanted.type, wanted.metric, wanted.language, template),
        *(recipe.filters.max_tokens, recipe.filters.language and not wanted.bilingual),
        recipe.rewrite.share if recipe.rewrite else 0.0,
    )


def row_id(seed: int, task: str, wording: int, key: str) -> str:
    """The id of a row: a hash of all that makes it."""
    return blake2b(f"{seed}|{task}|{wording}|{key}".encode(), digest_size=16).hexdigest()


def is_chosen(row: str, share: float) -> bool:
    """Whether the row of this id is of the share of rows that are written anew.

    By the end of the id: rows are published in the order of ids, whose first ones are a sample.
    """
    return int(row[-8:], 16) < share * 16**8


def word(batch: pa.RecordBatch, job: Job) -> tuple[pa.Table, pa.Table]:
    """Examples (EXAMPLE, in the order of their ids) and rejects (schema.REJECT) of one batch."""
    columns = {
        name: batch.column(name) if name in RESERVED else _plain(batch.column(name))
        for name in batch.schema.names
    }
    if job.task_type is TaskType.GENERATION and job.metric not in ONE_LINE and "reference" in columns:
        columns["reference"] = _listed(batch.column("reference"), columns["reference"])
    size = _characters(columns.values())
    rejects = _Rejects(job.task)
    examples = _examples(columns, size.to_pylist(), job, rejects)
    kept = _filtered(examples, job, rejects)
    return kept.sort_by("id"), rejects.table()


def word_part(drawn: Path, batch: int, job: Job, examples: Path, rejects: Path) -> None:
    """`word` from file to files, `examples` last: when it is there, the batch is done."""
    worded, left_out = word(read_batch(drawn, batch), job)
    write_arrow(left_out, rejects)
    write_arrow(worded.replace_schema_metadata({_CONTENT: _digest(worded)}), examples)


def content_of(examples: Path) -> str:
    """A hash of what dedup reads of a batch's examples."""
    return str(read_arrow(examples).schema.metadata[_CONTENT].decode())


def _digest(examples: pa.Table) -> str:
    columns = examples.select(["id", "fields", "options", "gold"]).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, columns.schema) as writer:
        writer.write_table(columns)
    return blake2b(sink.getvalue(), digest_size=16).hexdigest()


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
        detail: str | None = None,
        id: str | None = None,
    ) -> None:
        text = None if seed is None else json.dumps(seed, ensure_ascii=False, default=_as_text)
        self.rows.append(
            {
                "id": id,
                "task": self.task,
                "key": key,
                "reason": reason,
                "detail": detail,
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
    reasonings = columns["explanation"].to_pylist() if "explanation" in columns else [None] * len(sizes)
    names = [name for name in columns if name not in RESERVED]
    values = zip(*(columns[name].to_pylist() for name in names), strict=True) if names else ((),) * len(sizes)
    rows = []
    for key, side, group, language, size, reasoning, value in zip(
        keys, sides, groups, languages, sizes, reasonings, values, strict=True
    ):
        row = dict(zip(names, value, strict=True))
        try:
            if size > SLOT_CHARACTERS:
                raise Reject("too_long")
            rows.append((key, side, group, language, *word_row(key, language, row, reasoning)))
        except Reject as reject:
            seed = row if size <= SLOT_CHARACTERS else None
            rejects.add(key, reject.reason, seed, detail=reject.detail)
    whole = zip(*rows, strict=True) if rows else [[]] * len(EXAMPLE)
    return pa.table(
        [pa.array(column, field.type) for field, column in zip(EXAMPLE, whole, strict=True)], EXAMPLE
    )


def _row_worder(
    job: Job, names: list[str]
) -> Callable[[str, str, dict[str, Any], str | None], tuple[Any, ...]]:
    """A function that renders one row; what all rows need is looked up once, here.

    It gives EXAMPLE's columns from `id` on, and raises Reject. A reasoning follows the answer after a line
    break: the grader reads what stands before it, and a constraint admits no more than that.
    """
    module, template = TASKS[job.task_type], _template(job.template)
    choices = {language: template.choices(language) for language in LANGUAGES}
    free = [name for name in template.slots if name in names]
    as_json = json.JSONEncoder(ensure_ascii=False).encode
    extra = {"metric": job.metric} if job.task_type is TaskType.GENERATION else {}

    def word_row(key: str, language: str, row: dict[str, Any], reasoning: str | None) -> tuple[Any, ...]:
        if not choices.get(language):
            raise Reject("no_wording_in_language")
        dice = Dice(f"{job.seed}|{job.task}|{key}")
        question = module.build(row | extra, dice)
        slots, candidates = question.slots, question.candidates
        wording = dice.choice(choices[language])
        try:
            prompt = template.render(wording, slots)
        except Reject:
            raise
        except Exception as error:  # a filter of Jinja's may raise what it likes; the next row may do
            path = reworded_path(job.template) if template.wordings[wording].teacher else job.template
            place = f"{path.parent.name}/{path.name}:{template.wordings[wording].line}"
            detail = " ".join(f"{place}: {type(error).__name__}: {error}".split())[:DETAIL_CHARACTERS]
            used = [slots.get(name) for name in template.wordings[wording].slots]
            reject = Reject("null_slot") if holds_null(used) else Reject("not_rendered")
            reject.detail = detail
            raise reject from error
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
        answer = module.answer(question)
        if reasoning:
            answer = f"{answer}\n{one_line(reasoning)}"
            if module.parse(answer) != question.target:
                raise Reject("gold_scores_below_one")
        own_id = row_id(job.seed, job.task, wording, key)
        pieces = template.pieces(wording, slots) if is_chosen(own_id, job.rewrite) else None
        return own_id, wording, prompt, answer, target, fields, candidates, gold, pieces

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
            row = {name: column[name][position].as_py() for name in ("id", "key", "prompt", "answer")}
            rejects.add(reason=reason, **row)
    return examples.filter(pa.array([reason is None for reason in found], pa.bool_()))


_DAY = 24 * 60 * 60 * 1_000_000
_FIRST_DAY, _LAST_DAY = ((day - date(1970, 1, 1)).days for day in (date.min, date.max))
"""Days of Python's calendar, from 1970 on; DuckDB's is longer, and knows an infinite one."""

_MARK = re.compile(r"(?:\d{1,2}[.)]|[-•*]) ")
"""What a line of a list begins with."""

_LINE_BREAKS = r"[ \t]*[\n\r\x0b\x0c\x{85}\x{2028}\x{2029}]\s*"


def _plain(column: pa.Array) -> pa.Array:
    """Values as prompts print them, however deep they lie in lists and structs.

    Strings lose their line breaks: a title with one must not look like a second line of the prompt. Numbers
    keep their digits, a whole one stays whole, and what is no number (or a date without end) is null.
    """
    kind = column.type
    if pa.types.is_string(kind):
        return pc.utf8_trim_whitespace(pc.replace_substring_regex(column, _LINE_BREAKS, " "))
    if pa.types.is_list(kind):
        return pa.ListArray.from_arrays(*_items(column), mask=pc.is_null(column))
    if pa.types.is_fixed_size_list(kind):
        return _plain(column.cast(pa.list_(kind.value_type)))
    if pa.types.is_struct(kind):
        fields = [_plain(field) for field in column.flatten()]
        return pa.StructArray.from_arrays(fields, [field.name for field in kind], mask=pc.is_null(column))
    if pa.types.is_map(kind):
        parts = (_plain(part) for part in (column.keys, column.items))
        return pa.MapArray.from_arrays(column.offsets, *parts, mask=pc.is_null(column))
    if pa.types.is_union(kind):  # a sparse one, as DuckDB's are
        fields = [_plain(column.field(number)) for number in range(kind.num_fields)]
        return pa.UnionArray.from_sparse(column.type_codes, fields, [field.name for field in kind])
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type))
    return _number(column)


def _listed(texts: pa.Array, plain: pa.Array) -> pa.Array:
    """The plain answers, in which what is listed stands a line each, as no prompt prints it."""
    listed = pc.match_substring_regex(texts, rf"[\n\r]\s*{_MARK.pattern}")
    if not pc.any(listed).as_py():
        return plain
    folded = plain.to_pylist()
    for place in pc.indices_nonzero(listed).to_pylist():
        lines = [one_line(line) for line in texts[place].as_py().splitlines()]
        marked = ["\n" * bool(_MARK.match(line)) + line for line in lines if line]
        folded[place] = " ".join(marked).replace(" \n", "\n").strip()
    return pa.array(folded, pa.string())


def _items(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Offsets and plain values of a list column, in whatever part of a longer one it lies."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return pa.array(offsets, pa.int32()), _plain(pc.list_flatten(column))


def _number(column: pa.Array) -> pa.Array:
    """Numbers and dates as Python reads them right; other columns as they are."""
    kind = column.type
    if pa.types.is_float32(kind):  # 0.1 is 0.10000000149011612 in doubles, if it does not go through its text
        column = column.cast(pa.string()).cast(pa.float64())
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_finite(column), column, None)
    if pa.types.is_decimal(kind) and kind.scale == 0:
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:  # longer ones are read as decimals, and printed alike
            return column
    if pa.types.is_date32(kind) or (pa.types.is_timestamp(kind) and kind.unit == "us"):
        days = 1 if pa.types.is_date32(kind) else _DAY
        number = column.cast(pa.int32() if pa.types.is_date32(kind) else pa.int64())
        known = pc.and_(pc.greater_equal(number, _FIRST_DAY * days), pc.less(number, (_LAST_DAY + 1) * days))
        return pc.if_else(known, column, None)
    return column


def _characters(columns: Any) -> pa.Array:
    """Bytes of all strings of each row, however deep they lie."""
    return pa.array(sum(map(_bytes, columns)), pa.int64())


def _bytes(column: pa.Array) -> Any:
    """Bytes of the strings in each value of a column, as numpy."""
    kind = column.type
    if pa.types.is_string(kind):
        return pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    if pa.types.is_struct(kind):
        return sum(map(_bytes, column.flatten()), np.zeros(len(column), np.int64))
    if pa.types.is_union(kind):
        return sum(_bytes(column.field(number)) for number in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_map(kind):
        is_map = pa.types.is_map(kind)
        of_items = _bytes(column.keys) + _bytes(column.items) if is_map else _bytes(column.values)
        before = np.concatenate([[0], np.cumsum(of_items)])
        offsets = column.offsets.to_numpy(zero_copy_only=False)
        return np.where(pc.is_valid(column).to_numpy(False), before[offsets[1:]] - before[offsets[:-1]], 0)
    return np.zeros(len(column), np.int64)


def _content(value: Any) -> str:
    if type(value) is str:
        return value
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _as_text(value: Any) -> str:
    return printed(value) if isinstance(value, Decimal) else str(value)


@functools.cache
def _template(path: Path) -> Template:
    return load_template(path)
