"""The driver of a submission folder: asks it as the competition does, by its clocks, and keeps the answers.

The class runs in a process of its own, in FOLDER, where nothing of this checkout can be imported. It is
given prompts and `is_multiple_choice` alone, in batches of the size that it asks for, each of one flag. A
batch has 10 seconds a question: what comes later counts as empty. When the overall limit ends, the process
is killed, and what was answered until then counts. Loading is part of the time.

The folder of answers is that of a run (`infer.predict`), with the process's output in `log.txt`.
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from datagen.errors import UserError
from datagen.schema import TaskType
from datagen.shopbench.limits import SECONDS_A_QUESTION, TRACKS, Limit, as_object, from_object
from datagen.shopbench.questions import ANSWERS_FOLDER, COPY, Asked, to_table
from datagen.storage.checksums import SUMS, read_sums
from datagen.storage.files import full_disk, read_json, sha256, write_json, write_parquet
from datagen.storage.folder_lock import held
from datagen.tasks import TASKS
from infer import run_file
from infer.drive_report import LATE, SETTINGS, Times, summed
from infer.predict import ANSWER_ROW, SILENT, Report
from infer.serve.pace import VARIABLE
from infer.serve.prepare import guessed, printable

LOG = "log.txt"
MOST_TOGETHER = 16
LOCKS = (".lock", ".lock.json")

_KIT = Path(__file__).with_name("kit.py")


class Batch(NamedTuple):
    """Questions asked together, as their places among all."""

    places: list[int]
    is_multiple_choice: bool


class Died(Exception):
    """The submission's process ended, or said what it must not; the text says what."""


def drive(
    folder: Path,
    asked: Sequence[Asked],
    run: Path,
    track: str | None = None,
    seconds: float | None = None,
    *,
    report: Report = SILENT,
) -> dict[str, Any]:
    """Ask the submission all questions within its limit; gives what is in the run's `run.json`.

    With a track, the limit is that track's time; with `seconds`, it is that; either is for the questions that
    are asked. An earlier drive into the folder `run` is replaced. Raises UserError where the folder is no
    whole submission, the class cannot be made, or it ends before its time: answers so far are kept.
    """
    submission = checked(folder)
    guesses = [guessed(question.prompt, bool(question.is_multiple_choice)) for question in asked]
    kinds = [guess.task_type for guess in guesses]
    if seconds is None and track is None:
        limit = from_object(submission, str(folder / SETTINGS))
    else:
        limit = Limit(seconds or TRACKS[str(track)].seconds, dict(Counter(kinds)))
    _check_drive(run)
    with full_disk(run), held(run, f"{run} is being answered into"):
        _check_drive(run)
        _clear(run)
        said: dict[str, Any] = {
            "driven": True,
            "submission": submission,
            "track": track or submission["track"],
            "limit": as_object(limit),
        }
        write_json(said, run / run_file.RUN)
        (run / ANSWERS_FOLDER).mkdir()
        copies = [replace(question, prompt=printable(question.prompt)) for question in asked]
        write_parquet(to_table(copies), run / COPY)
        rows, times, died = _ask_all(folder.resolve(), asked, kinds, limit, run, report)
        done = {**said, **summed(asked, guesses, rows, times), **({"died": died} if died else {})}
        write_json(done, run / run_file.RUN)
    if died:
        raise UserError(
            f"{folder}: {died}, after {len(rows)} of {len(asked)} questions. Its output is in {run / LOG}; "
            f"the answers so far are in {run}"
        )
    return done


def checked(folder: Path) -> dict[str, Any]:
    """What a submission says of itself. Raises UserError where it is none, or not as it was written."""
    if not (folder / SETTINGS).is_file() or not (folder / SUMS).is_file():
        raise UserError(
            f"{folder}: no submission: it has no {SETTINGS} or no {SUMS}. Write one by: finetune submit MODEL"
        )
    for name, digest in read_sums(folder).items():
        if not (folder / name).is_file():
            raise UserError(f"{folder / name}: missing, though {SUMS} lists it. Write the submission again")
        if sha256(folder / name) != digest:
            raise UserError(f"{folder / name}: not the file that {SUMS} lists. Write the submission again")
    found = read_json(folder / SETTINGS, "Write the submission again")
    if str(found.get("track")) not in TRACKS:
        raise UserError(
            f"{folder / SETTINGS}: `track` is {found.get('track')!r}, and not one of {', '.join(TRACKS)}. "
            "Write the submission again"
        )
    return found


def batches(asked: Sequence[Asked], size: int) -> Iterator[Batch]:
    """The batches: multiple choice first, then the others, in the order of the questions."""
    for flag in (True, False):
        places = [place for place, question in enumerate(asked) if bool(question.is_multiple_choice) is flag]
        for start in range(0, len(places), size):
            yield Batch(places[start : start + size], flag)


def _check_drive(run: Path) -> None:
    """Raises UserError where the folder of a run holds something else than a drive."""
    held_by_us = run.is_dir() and all(file.name in LOCKS for file in run.iterdir())
    if run.exists() and not held_by_us and not run_file.read(run).get("driven"):
        raise UserError(f"{run}: holds something else than a drive's answers. Name another run by --name")


def _clear(run: Path) -> None:
    """Remove an earlier drive, its `run.json` last, so that it is one until it is gone."""
    for file in sorted(run.iterdir(), key=lambda file: file.name == run_file.RUN):
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        elif file.name not in LOCKS:
            file.unlink()


def _ask_all(
    folder: Path, asked: Sequence[Asked], kinds: Sequence[TaskType], limit: Limit, run: Path, report: Report
) -> tuple[list[dict[str, Any]], Times, str]:
    """The rows of all that was answered, the times, and how the process died if it did."""
    began = time.monotonic()
    rows: list[dict[str, Any]] = []
    taken: list[tuple[int, float]] = []
    loading, died = None, ""
    with _process(folder, limit, run / LOG) as ask:
        try:
            size = _size(ask(None, began + limit.seconds))
            loading = time.monotonic() - began
            report.say(f"loaded in {loading:.0f} s; it wants batches of {size}")
            for number, batch in enumerate(batches(asked, size)):
                question = {
                    "prompt": [asked[place].prompt for place in batch.places],
                    "is_multiple_choice": batch.is_multiple_choice,
                }
                start = time.monotonic()
                reply = ask(question, began + limit.seconds)
                texts = _texts(reply, len(batch.places))
                problems = _problems(reply, len(texts))
                seconds = time.monotonic() - start
                taken.append((len(batch.places), seconds))
                late = seconds > SECONDS_A_QUESTION * len(batch.places)
                new = [
                    _row(
                        asked[place],
                        kinds[place],
                        "" if late else text,
                        seconds / len(texts),
                        LATE if late else problem,
                    )
                    for place, text, problem in zip(batch.places, texts, problems, strict=True)
                ]
                write_parquet(
                    pa.Table.from_pylist(new, schema=ANSWER_ROW),
                    run / ANSWERS_FOLDER / f"{number:05}.parquet",
                )
                rows += new
                report.progress(len(rows), len(asked))
        except TimeoutError:
            report.say(f"time is up after {len(rows):,} of {len(asked):,} questions: the process is killed")
        except Died as error:
            died = str(error)
    return rows, Times(time.monotonic() - began, loading, taken), died


@contextmanager
def _process(folder: Path, limit: Limit, log: Path) -> Iterator[Callable[[Any, float], dict[str, Any]]]:
    """A running submission, as a function from a question (None: the first word) and a deadline to its reply.

    The function raises TimeoutError after the deadline, and Died where there will be no reply. In the end the
    process is killed, and all that it started.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment[VARIABLE] = json.dumps(as_object(limit))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", str(_KIT), str(folder)],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    assert process.stdin
    assert process.stdout
    replies: queue.Queue[bytes] = queue.Queue()
    stdin, stdout = process.stdin, process.stdout

    def read() -> None:
        for line in stdout:
            replies.put(line)
        replies.put(b"")

    threading.Thread(target=read, daemon=True).start()

    def ask(question: Any, deadline: float) -> dict[str, Any]:
        try:
            if question is not None:
                stdin.write(json.dumps(question).encode() + b"\n")
                stdin.flush()
            line = replies.get(timeout=max(deadline - time.monotonic(), 0))
        except queue.Empty:
            raise TimeoutError from None
        except BrokenPipeError:
            line = b""
        if not line:
            code = process.wait()
            raise Died(f"its process ended by itself ({_ended(code)}): {_last_line(log)}")
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict):
            text = printable(line[:100].decode("utf-8", "replace")).strip()
            raise Died(f"it wrote to a file that it did not open, which its answers go to: {text!r}")
        return reply

    try:
        yield ask
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        with suppress(BrokenPipeError):
            stdin.close()
        stdout.close()


def _ended(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip()[:300] if lines else "it printed nothing"


def _size(reply: dict[str, Any]) -> int:
    size = reply.get("batch_size")
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MOST_TOGETHER:
        raise Died(f"get_batch_size() gave {size!r}, which is no number from 1 to {MOST_TOGETHER}")
    return size


def _texts(reply: dict[str, Any], count: int) -> list[str]:
    texts = reply.get("answers")
    if not isinstance(texts, list) or len(texts) != count or not all(isinstance(text, str) for text in texts):
        raise Died(f"batch_predict() of {count} prompts gave {str(texts)[:200]}, not a list of {count} texts")
    return [printable(text) for text in texts]


def _problems(reply: dict[str, Any], count: int) -> list[str | None]:
    """What the class says of each answer; nothing where it is another's."""
    found = reply.get("problems")
    return found if isinstance(found, list) and len(found) == count else [None] * count


def _row(asked: Asked, kind: TaskType, text: str, seconds: float, problem: str | None) -> dict[str, Any]:
    return {
        "id": asked.id,
        "task_type": kind.value,
        "raw": text,
        "value": json.dumps(TASKS[kind].parse(text), ensure_ascii=False),
        "prompt_tokens": None,
        "tokens": None,
        "seconds": seconds,
        "constraint": None,
        "problem": problem,
    }
