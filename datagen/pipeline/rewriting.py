"""The stage of a build that has a teacher write prompts anew, after it is known which rows stay.

Rows are the same before and after: duplicates are judged on content, which no wording changes. So nothing is
paid for a row that is left out, and where a new prompt fails a gate, the old one stays.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from datagen.pipeline.render import Job
from datagen.pipeline.shards import Part
from datagen.prompts.template import load_template
from datagen.recipe.model import Loaded
from datagen.storage.files import read_arrow, write_arrow
from datagen.teacher import reword
from datagen.teacher.ask import NOT_IN_LEDGER, Ask, Reply, Teacher
from datagen.teacher.client import available
from datagen.teacher.marks import of_pieces, of_wording
from datagen.teacher.rewrite import MOST_TOKENS, TEMPERATURE, Row, ask, written_anew

REWRITTEN = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("prompt", pa.string(), metadata={"description": "the new prompt, taken or not"}),
        pa.field("reason", pa.string(), metadata={"description": "why the old one stays, or empty"}),
        pa.field("teacher", pa.string()),
    ]
)
"""What became of the rows of one batch that were to be written anew."""

Asking = Callable[[Iterable[Ask]], Iterator[Reply]]
"""One reply to each ask, in their order."""

EXAMPLES = 3
"""Rows of each outcome that the manifest keeps."""

SHOWN = 600
"""Characters of a prompt that it keeps of them."""

LEDGER = "teacher.sqlite"
"""Beside the runs: every reply that was ever paid for."""


def teacher_of(recipe: Loaded) -> Teacher:
    """The teacher that a recipe asks."""
    one = recipe.teacher
    return Teacher(
        *(one.model, one.base_url, one.max_cost_usd), price=one.price, batch=one.batch, replays=recipe.replays
    )


def rewriter_of(recipe: Loaded) -> Teacher:
    """The same, as it is asked to write prompts anew."""
    return teacher_of(recipe)._replace(temperature=TEMPERATURE, max_tokens=MOST_TOKENS)


def reworder_of(recipe: Loaded) -> Teacher:
    """The same, as it is asked for new wordings of templates."""
    return teacher_of(recipe)._replace(temperature=TEMPERATURE, max_tokens=reword.MOST_TOKENS)


def missing(recipe: Loaded, runs: Path) -> str:
    """Nothing where the recipe's teacher can be asked or the ledger can, else what is missing."""
    return "" if (runs / LEDGER).is_file() else available(teacher_of(recipe))


def may_ask_more(recipe: Loaded, outcomes: Mapping[str, Any]) -> bool:
    """Whether a run has prompts that could not be asked about, and now can be."""
    unasked = any("not_asked" in of_task["rejected"] for of_task in outcomes.values())
    return unasked and not available(teacher_of(recipe))


def rewrite(
    parts: Sequence[Part],
    jobs: Mapping[str, Job],
    worded: Mapping[str, str],
    teacher: Teacher,
    asking: Asking,
    folders: tuple[Path, Path],
    executor: Executor,
) -> list[Part]:
    """The parts, each with the file of its new prompts.

    The first of the `folders` is for the next build as well, where every row got its reply; the second for
    this build alone.
    """
    kept, alone = folders
    shaped_by = repr(teacher._replace(max_cost_usd=None, price=None, batch=False, replays=False))
    rows = [_rows(part, jobs[part.task]) for part in parts]
    files = []
    for part, of_part in zip(parts, rows, strict=True):
        shape = "\n".join([shaped_by, worded[part.task], part.examples.name, *(row.id for row in of_part)])
        name = f"{part.task}-{blake2b(shape.encode(), digest_size=8).hexdigest()}.arrow"
        files.append((kept / name, alone / name))
    unknown = [
        place for place, of_part in enumerate(rows) if of_part and not any(map(Path.is_file, files[place]))
    ]
    replies = asking(_asks(rows, unknown))
    futures: list[Future[None]] = []
    for place in unknown:
        of_rows = [next(replies) for _ in rows[place]]
        whole = not any(reply.reason == NOT_IN_LEDGER for reply in of_rows)
        path = files[place][0 if whole else 1]
        path.parent.mkdir(parents=True, exist_ok=True)
        template = jobs[parts[place].task].template
        futures.append(executor.submit(judge, rows[place], of_rows, template, path))
    for future in futures:
        future.result()
    return [
        replace(part, rewritten=next(filter(Path.is_file, places), None))
        for part, places in zip(parts, files, strict=True)
    ]


def _asks(rows: Sequence[Sequence[Row]], places: Iterable[int]) -> Iterator[Ask]:
    for place in places:
        yield from map(ask, rows[place])


def _rows(part: Part, job: Job) -> list[Row]:
    """The rows of a batch that stay and are to be written anew."""
    return rows_of(read_arrow(part.examples).filter(pc.is_null(read_arrow(part.reasons)["reason"])), job)


def rows_of(examples: pa.Table, job: Job) -> list[Row]:
    """The rows among examples that are to be written anew; not those whose own words hold marks."""
    wordings = load_template(job.template).wordings
    columns = ["id", "wording", "prompt", "pieces", "answer", "target", "options"]
    found = []
    for row in examples.select(columns).filter(examples["pieces"].is_valid()).to_pylist():
        if "".join(row["pieces"]) != row["prompt"]:  # a value holds what marks values
            continue
        if of_pieces(row["pieces"]) is None:
            continue
        language = wordings[row["wording"]].language or "en"
        read = Row(
            *(row["id"], job.task, job.task_type, job.metric, language),
            *(row["pieces"], row["answer"], row["target"], row["options"]),
        )
        found.append(read)
    return found


def judge(rows: Sequence[Row], replies: Sequence[Reply], template: Path, path: Path) -> None:
    """Write what becomes of the rows of one batch."""
    known: dict[str, list[str]] = {}
    for wording in load_template(template).wordings:
        marked = of_wording(wording.text)
        if marked:
            known.setdefault(wording.language or "en", []).append(marked.text)
    found = []
    for row, reply in zip(rows, replies, strict=True):
        prompt, reason = written_anew(row, reply, known.get(row.language, []))
        found.append({"id": row.id, "prompt": prompt, "reason": reason, "teacher": reply.model})
    write_arrow(pa.Table.from_pylist(found, REWRITTEN), path)


def outcome(parts: Iterable[Part]) -> dict[str, dict[str, Any]]:
    """What was asked, kept and rejected by step, one a task, with some examples of each outcome."""
    found: dict[str, dict[str, Any]] = {}
    for part in parts:
        if part.rewritten is None:
            continue
        table = read_arrow(part.rewritten)
        of_task = found.setdefault(
            f"rewrite.{part.task}", {"asked": 0, "kept": 0, "rejected": Counter(), "examples": []}
        )
        reasons = Counter(table["reason"].to_pylist())
        of_task["asked"] += table.num_rows
        of_task["kept"] += reasons.pop("", 0)
        of_task["rejected"].update(reasons)
        _add_examples(of_task["examples"], part, table)
    return {task: of_task | {"rejected": dict(of_task["rejected"])} for task, of_task in found.items()}


def _add_examples(examples: list[dict[str, str]], part: Part, table: pa.Table) -> None:
    shown = Counter(example["reason"] for example in examples)
    more = []
    for row in table.to_pylist():
        if shown[row["reason"]] < EXAMPLES:
            shown[row["reason"]] += 1
            more.append(row)
    if more:
        before = read_arrow(part.examples).select(["id", "prompt"])
        before = before.filter(pc.is_in(before["id"], pa.array([row["id"] for row in more])))
        prompts = dict(zip(before["id"].to_pylist(), before["prompt"].to_pylist(), strict=True))
        for row in more:
            texts = {"asked": prompts[row["id"]][:SHOWN], "replied": row["prompt"][:SHOWN]}
            examples.append({"id": row["id"], "reason": row["reason"], **texts})
