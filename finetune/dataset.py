"""The training rows: token ids, and a mask of the tokens that count in the loss.

The tokens before the answer come from `prompts.chat.prompt_ids`, as they do in serving. After them come the
answer and the end token, and only these are trained. A row is used whole or not at all.

With `choose: text` the question is asked without its list (`prompts.cloze`), and the text of a right option
is the answer.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datagen.errors import Reject, UserError
from datagen.prompts.chat import chat, prompt_ids, special_tokens
from datagen.prompts.cloze import CHOICES, unlisted
from datagen.schema import SHARD, TaskType
from datagen.storage.manifest import read_manifest
from datagen.tasks import TASKS

ROW = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("task_type", pa.string()),
        pa.field("input_ids", pa.list_(pa.int32())),
        pa.field("completion_mask", pa.list_(pa.int8()), metadata={"description": "1: trained"}),
    ]
)
"""Columns of a tokenized row: `input_ids` and `completion_mask` are what TRL takes."""

REJECT = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("split", pa.string()),
        pa.field(
            "reason",
            pa.string(),
            metadata={"description": "over_length, special_token, no_list or asks_for_unfit"},
        ),
        pa.field(
            "tokens", pa.int32(), metadata={"description": "of prompt, answer and end token; null: not made"}
        ),
    ]
)
"""Columns of `rejects.parquet`."""

OVER_LENGTH = "over_length"

WHY = {
    "special_token": "with a special token in their text",
    "no_list": "with no list to choose a text from",
    "asks_for_unfit": "that ask for what does not fit",
}
"""The other reasons for which a row is left out, in words."""

_BATCH = 1_000


class Split(NamedTuple):
    """Tokenized rows of one split, in the order of its shards, and counts of what was read and left out."""

    rows: pa.Table
    rejects: pa.Table
    licenses: Counter[tuple[str, str]]
    """Rows by (source, licence)."""
    available: int
    """Rows of the whole split."""

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        lengths: list[int] = pc.list_value_length(self.rows["input_ids"]).to_pylist()
        return lengths


def read_split(
    run: Path,
    side: str,
    tokenizer: Any,
    max_length: int,
    rows: int | None = None,
    token_budget: int | None = None,
    choose: str = "number",
) -> Split:
    """The first rows of `train` or `test`, as many as `rows` and `token_budget` allow; shards are shuffled.

    `choose` is how options are chosen, by `number` or by `text`.

    Raises UserError where the run is missing, not finished, of another schema version, or no row can be used.
    """
    files = _files(run, side)
    kept: dict[str, list[Any]] = {name: [] for name in ROW.names}
    rejects: dict[str, list[Any]] = {name: [] for name in REJECT.names}
    licenses: Counter[tuple[str, str]] = Counter()
    budget = token_budget
    for row in _rows(files):
        if rows is not None and len(kept["id"]) == rows:
            break
        try:
            prompt, answer = row_ids(row, tokenizer, choose)
        except Reject as reject:
            _append(rejects, [row["id"], side, reject.reason, None])
            continue
        length = len(prompt) + len(answer)
        if length > max_length:
            _append(rejects, [row["id"], side, OVER_LENGTH, length])
            continue
        if budget is not None:
            if length > budget:
                break
            budget -= length
        # Python's numbers take eight times as much memory, which is tens of gigabytes for half a million rows
        ids, mask = np.array(prompt + answer, np.int32), np.ones(length, np.int8)
        mask[: len(prompt)] = 0
        _append(kept, [row["id"], row["task_type"], ids, mask])
        licenses.update(zip(row["source"], row["license"], strict=True))
    if not kept["id"]:
        raise UserError(_nothing(run, side, max_length, token_budget, Counter(rejects["reason"])))
    return Split(
        pa.table(kept, schema=ROW), pa.table(rejects, schema=REJECT), licenses, split_rows(run, side)
    )


def split_rows(run: Path, side: str) -> int:
    """All rows of a split."""
    listed = read_manifest(run)["files"].items()
    return sum(of["rows"] for name, of in listed if name.startswith(f"data/{side}-"))


def row_lengths(run: Path, side: str, tokenizer: Any, choose: str = "number") -> Iterator[int | str]:
    """The tokens of each row of a split, in the order of its shards; of one that can't be trained on, why.

    Raises UserError where the run is missing, not finished, or of another schema version.
    """
    for row in _rows(_files(run, side)):
        try:
            prompt, answer = row_ids(row, tokenizer, choose)
        except Reject as reject:
            yield reject.reason
        else:
            yield len(prompt) + len(answer)


def row_ids(row: dict[str, Any], tokenizer: Any, choose: str = "number") -> tuple[list[int], list[int]]:
    """The tokens before the answer, and the answer's with the end token, of one row of a shard.

    Raises Reject where an option is to be chosen by text and cannot be, and where a special token stands in
    the text: it would end a turn, and no model is ever asked so.
    """
    task_type, question = TaskType(row["task_type"]), row["prompt"][-1]["content"]
    if row["prompt"] != chat(task_type, question):
        raise UserError(f"row {row['id']}: its prompt is not one that this version asks. Build the run again")
    answer = row["completion"][0]["content"]
    if choose == "text" and task_type in CHOICES:
        question, answer = _by_text(row, task_type, question, answer)
    if any(token in question or token in answer for token in special_tokens(tokenizer)):
        raise Reject("special_token")
    ids = tokenizer.encode(answer, add_special_tokens=False)
    return prompt_ids(tokenizer, task_type, question), [*ids, tokenizer.eos_token_id]


def _by_text(row: dict[str, Any], task_type: TaskType, question: str, answer: str) -> tuple[str, str]:
    """The question without its list, and the text of a right option: of a ranking the first, of several any.

    Raises Reject where there is no list, or where the answer is what does not fit: no likely text.
    """
    asked = unlisted(question, task_type, row["choices"])
    if asked is None:
        raise Reject("no_list")
    if asked.unfit:
        raise Reject("asks_for_unfit")
    right = TASKS[task_type].parse(answer)
    if task_type is TaskType.RETRIEVAL:
        right = right[int(row["id"], 16) % len(right)]
    elif task_type is TaskType.RANKING:
        right = right[0]
    if right not in asked.numbers:
        raise Reject("no_list")
    return asked.prompt, asked.texts[asked.numbers.index(right)]


def marked(row: dict[str, Any], tokenizer: Any) -> str:
    """A tokenized row as text, what is trained between « and »."""
    ids, first = row["input_ids"], row["completion_mask"].index(1)
    return f"{tokenizer.decode(ids[:first])}«{tokenizer.decode(ids[first:])}»"


def _files(run: Path, side: str) -> list[Path]:
    """The shards of a split, if all are there as the manifest says."""
    if not run.is_dir():
        raise UserError(f"{run}: no such folder. Build the data set first: make data RECIPE={run.name}")
    listed = [name for name in read_manifest(run)["files"] if name.startswith(f"data/{side}-")]
    files = [run / name for name in sorted(listed)]
    if not files:
        raise UserError(
            f"{run}: its {side} split is empty. Give its recipe more rows, or another share "
            "(`split: {test: 0.1}`)"
        )
    for file in files:
        if not file.is_file():
            raise UserError(f"{file}: no such file, though the manifest names it. Build the run again")
        try:
            names = pq.read_schema(file).names
        except (pa.ArrowInvalid, OSError):
            raise UserError(f"{file}: is not whole. Build the run again") from None
        if names != SHARD.names:
            raise UserError(f"{file}: its columns are not a shard's. Build the run again")
    return files


def _rows(files: list[Path]) -> Iterator[dict[str, Any]]:
    columns = ["id", "prompt", "completion", "task_type", "source", "license", "choices"]
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(_BATCH, columns=columns):
            yield from batch.to_pylist()


def _append(columns: dict[str, list[Any]], values: list[Any]) -> None:
    for column, value in zip(columns.values(), values, strict=True):
        column.append(value)


def _nothing(run: Path, side: str, max_length: int, token_budget: int | None, rejects: Counter[str]) -> str:
    too_long, special = rejects[OVER_LENGTH], rejects["special_token"]
    by_text = rejects.total() - too_long - special
    why = []
    if too_long or not (special or by_text or token_budget):
        why.append(f"{too_long:,} rows are longer than `max_length: {max_length}`")
    if special:
        why.append(f"{special:,} rows hold a special token of the tokenizer's")
    if by_text:
        why.append(f"{by_text:,} rows have no text to choose")
    if token_budget is not None:
        why.append(f"the first {'other ' if why else ''}one is longer than `token_budget: {token_budget}`")
    todo = "Set `choose: number`" if by_text else "Take such text out" if special else "Raise the limit"
    return f"{run}: no row of its {side} split can be used: {', and '.join(why)}. {todo}"
