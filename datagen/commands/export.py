"""The export of a run as JSON Lines, in the forms that other trainers and graders read.

    shopbench   {"input_field": "...", "output_field": 2, "task_type": "multiple-choice", ...}
    alpaca      {"instruction": "...", "input": "", "output": "2", "system": "..."}
    sharegpt    {"conversations": [{"from": "system", "value": "..."}, ...]}, then from "human" and "gpt"
    openai      {"messages": [{"role": "system", "content": "..."}, ...]}, then "user" and "assistant"

Each shard becomes one file, renamed into place when it is whole. An export that was cut off goes on with the
files that lack; one of another run or form is written anew.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from datagen.console.progress import Progress
from datagen.errors import UserError
from datagen.schema import TaskType
from datagen.shopbench.questions import TRACKS
from datagen.storage.files import full_disk, read_json, shard_batches, writable, write_json
from datagen.storage.manifest import read_manifest, shard_files

MARK = "export.json"
"""In an export's folder: the run and the form that it is of."""

Row = dict[str, Any]


def _shopbench(row: Row) -> Row:
    return {
        "input_field": row["prompt"][-1]["content"],
        "output_field": json.loads(row["target"]),
        "task_name": row["task"],
        "task_type": row["task_type"].replace("multiple_choice", "multiple-choice"),
        "metric": row["metric"],
        "is_multiple_choice": row["task_type"] == TaskType.MULTIPLE_CHOICE,
        "track": next((name for name, track in TRACKS.items() if track == row["track"]), row["track"]),
        "language": row["language"],
    }


def _alpaca(row: Row) -> Row:
    system, user, answer = _contents(row)
    return {"instruction": user, "input": "", "output": answer, "system": system}


def _sharegpt(row: Row) -> Row:
    turns = zip(("system", "human", "gpt"), _contents(row), strict=True)
    return {"conversations": [{"from": name, "value": text} for name, text in turns]}


def _openai(row: Row) -> Row:
    return {"messages": [*row["prompt"], *row["completion"]]}


def _contents(row: Row) -> list[str]:
    return [message["content"] for message in (*row["prompt"], *row["completion"])]


FORMS: Mapping[str, Callable[[Row], Row]] = {
    "shopbench": _shopbench,
    "alpaca": _alpaca,
    "sharegpt": _sharegpt,
    "openai": _openai,
}
"""What a row becomes in each form."""


def export(
    run: Path, form: str, out: Path, progress: Progress = lambda stage, done, total: None
) -> list[Path]:
    """Write each shard of a run as a file of JSON Lines below `out`; gives their paths.

    Raises UserError where there is no finished run, or where `out` holds something else.
    """
    manifest = read_manifest(run)
    shards = shard_files(run)
    total = sum(manifest["files"][shard.relative_to(run).as_posix()]["rows"] for shard in shards)
    with full_disk(out):
        _prepare(
            writable(out), {"run": manifest["recipe"], "fingerprint": manifest["fingerprint"], "form": form}
        )
        done, paths = 0, []
        progress("export", 0, total)
        for shard in shards:
            path = out / f"{shard.stem}.jsonl"
            rows = manifest["files"][shard.relative_to(run).as_posix()]["rows"]
            if not path.is_file():
                for written in _write(shard, FORMS[form], path):
                    progress("export", done + written, total)
            done += rows
            progress("export", done, total)
            paths.append(path)
    return paths


def _prepare(out: Path, mark: dict[str, str]) -> None:
    """Take away what is left of another export, and say what this one is."""
    if not (out / MARK).is_file():
        if any(out.iterdir()):
            raise UserError(f"{out}: not empty, and no export. Name another folder by --out, or empty it")
    elif read_json(out / MARK, f"Remove {out}") != mark:
        for path in [out / MARK, *out.glob("*.jsonl")]:
            path.unlink()
    write_json(mark, out / MARK)


def _write(shard: Path, form: Callable[[Row], Row], path: Path) -> Iterator[int]:
    """Write one shard, and tell now and then how many rows are written."""
    unfinished, rows = path.with_suffix(".unfinished"), 0
    with unfinished.open("w", encoding="utf-8", newline="\n") as file:
        for batch in shard_batches(shard, 5_000):
            file.writelines(json.dumps(form(row), ensure_ascii=False) + "\n" for row in batch.to_pylist())
            rows += batch.num_rows
            yield rows
    unfinished.rename(path)
