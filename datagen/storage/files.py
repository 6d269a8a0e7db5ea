"""Atomic reading and writing of Parquet, Arrow and JSON: a file under its final name is a whole file."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.errors import UserError

_FULL = ("No space left", "File too large", "Disk quota exceeded", "inline_container.cc")
"""Messages about a full disk from libraries whose errors have no number, safetensors and torch among them."""


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """Turn a full disk into a UserError about `folder`, whichever library meets it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or any(words in str(error) for words in _FULL):
            raise UserError(
                f"{folder}: the disk is full. What is done is kept: free some space and run the same again"
            ) from error
        raise


def check_link(path: Path) -> None:
    """Raises UserError where a path is a link that leads back to itself."""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UserError(f"{path}: links that lead in a circle. Name the folder itself") from None


def check_room(folder: Path, needed: int) -> None:
    """Raises UserError where the disk of a folder has less room than so many bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UserError(
            f"{folder}: needs {needed / 1e9:,.1f} GB, and its disk has {free / 1e9:,.1f} GB left. Free "
            f"{(needed - free) / 1e9:,.1f} GB and run the same again, or move its folder to a larger disk"
        )


def writable(folder: Path) -> Path:
    """The folder, made if it is not there. Raises UserError where it can be neither."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: no folder can be made there ({error.strerror}). Name another") from error
    return folder


def beside(path: Path) -> Path:
    """A hidden name beside `path` for what this process has not finished; `drop_left` knows it."""
    return path.with_name(f".{path.name}.{os.uname().nodename}-{os.getpid()}-")


def drop_left(folder: Path) -> None:
    """Remove what processes of this machine left unfinished in a folder when they were killed."""
    mark = f".{os.uname().nodename}-"
    for path in folder.glob(f".*{mark}*-*"):
        process = path.name.rpartition(mark)[2].partition("-")[0]
        if process.isdecimal() and not _alive(int(process)):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path, todo: str) -> dict[str, Any]:
    """The object in a JSON file. Raises UserError, with what `todo`, where the file holds none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}). {todo}") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: not a JSON object. {todo}")
    return found


def write_json(value: Any, path: Path, *, sort_keys: bool = False) -> None:
    """Write an indented object beside `path`, then rename it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    text = json.dumps(value, indent=2, sort_keys=sort_keys, ensure_ascii=False)
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.rename(path)


def write_text(text: str, path: Path) -> None:
    """Write a text beside `path`, then rename it there."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.rename(path)


def write_arrow(table: pa.Table, path: Path) -> None:
    """Write one record batch beside `path`, then rename it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with pa.OSFile(str(unfinished), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    unfinished.rename(path)


def read_arrow(path: Path) -> pa.Table:
    """The table in the file, mapped into memory rather than copied."""
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def batches(path: Path) -> int:
    """How many record batches the file holds."""
    with pa.memory_map(str(path)) as file:
        return int(pa.ipc.open_file(file).num_record_batches)


def read_batch(path: Path, number: int) -> pa.RecordBatch:
    """One record batch, read alone."""
    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).get_batch(number)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write and rename, so that a file of this name is a whole file."""
    unfinished = path.with_suffix(".unfinished")
    pq.write_table(table, unfinished, compression="zstd", row_group_size=10_000)
    unfinished.rename(path)


@contextmanager
def _whole_shard(path: Path) -> Iterator[None]:
    """Raise UserError where a shard of a run, read in here, is not a whole Parquet file."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: not a whole Parquet file ({reason}). Build the run again") from None


def read_shard(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Columns of a shard of a run. Raises UserError where it is not a whole Parquet file."""
    with _whole_shard(path):
        return pq.read_table(path, columns=columns)


def shard_batches(path: Path, rows: int) -> Iterator[pa.RecordBatch]:
    """A shard of a run, so many rows at a time. Raises UserError where it is not a whole Parquet file."""
    with _whole_shard(path):
        yield from pq.ParquetFile(path).iter_batches(rows)
