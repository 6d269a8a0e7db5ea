"""The checks of a finished run: against its manifest, and against a second build.

`problems` compares the run's files with its manifest. `differences` builds the run again in a temporary
folder and compares byte by byte.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datagen.console.progress import Progress
from datagen.console.text import shortened
from datagen.errors import UserError
from datagen.pipeline.build import build
from datagen.pipeline.lockfile import LOCK, changes, read_lock, recipe_of
from datagen.pipeline.rewriting import LEDGER
from datagen.recipe.load import fingerprint
from datagen.schema import REJECT, SHARD
from datagen.sources.database import open_seeds
from datagen.storage.files import sha256
from datagen.storage.manifest import MANIFEST, read_manifest

SCHEMAS = {"data": SHARD, "rejects": REJECT}
"""What the Parquet files of each folder hold."""


def problems(run: Path) -> list[str]:
    """What differs from the manifest: files, rows, columns, accounts, recipe.

    Raises UserError where there is no finished run.
    """
    manifest = read_manifest(run)
    found = list(_strangers(run, manifest["files"]))
    for name, facts in manifest["files"].items():
        found += _file_problems(run, name, facts)
    found += _account_problems(manifest)
    if (run / LOCK).is_file() and fingerprint(read_lock(run)) != manifest["fingerprint"]:
        found.append(f"{LOCK}: not the recipe that the manifest's fingerprint is of")
    return found


def differences(
    run: Path, seeds: Path, *, workers: int | None = None, progress: Progress | None = None
) -> list[str]:
    """Build the run's recipe again and say which files differ, with the first row that does.

    All files are compared; where other code or releases build it now, all rows. Raises UserError
    where the templates or the seeds are no longer what they were.
    """
    lock = read_lock(run)
    recipe = recipe_of(lock)
    with open_seeds(recipe.sources, seeds, recipe.seed) as opened:
        changed = changes(lock, opened.hashes())
    if changed:
        raise UserError(
            f"{run} cannot be built again as it was: {'; '.join(changed)}. Name its own seeds by --seeds"
        )
    if lock.get("teacher") and not (run.parent / LEDGER).is_file():
        raise UserError(
            f"{run.parent / LEDGER}: no such file. It holds the teacher's replies, without which {run} cannot"
            " be built again: put it back, or take them over by `datagen ledger --import`"
        )
    with tempfile.TemporaryDirectory(prefix="shoptalk-rebuild-") as folder:
        if (run.parent / LEDGER).is_file():  # what a teacher has written is replayed
            (Path(folder) / LEDGER).symlink_to((run.parent / LEDGER).resolve())
        build(recipe, seeds, Path(folder), workers=workers, progress=progress)
        again = Path(folder) / recipe.name
        same_code = fingerprint(lock) == fingerprint(read_lock(again))
        found = list(_differences(run, again, "" if same_code else ".parquet"))
    if found and not same_code:
        found.append("it was made with other code, or with other releases of its libraries")
    return found


def published(run: Path) -> list[str]:
    """Names of the files that a run consists of, sorted; not what a build keeps beside them while it runs."""
    found = [path for path in run.rglob("*") if path.is_file()]
    names = [path.relative_to(run).as_posix() for path in found]
    return sorted(name for name in names if not name.startswith((".", "work/")))


def _strangers(run: Path, known: dict[str, Any]) -> Iterator[str]:
    for name in published(run):
        if name not in known and name != MANIFEST:
            yield f"{name}: not in the manifest; a data set reader may take it for a part of the run"


def _file_problems(run: Path, name: str, facts: dict[str, Any]) -> Iterator[str]:
    path = run / name
    if not path.is_file():
        yield f"{name}: missing"
        return
    size = path.stat().st_size
    if size != facts["bytes"]:
        yield f"{name}: {size:,} bytes instead of {facts['bytes']:,}"
    elif sha256(path) != facts["sha256"]:
        yield f"{name}: its bytes are not those of the manifest (sha256 differs)"
    if path.suffix == ".parquet":
        yield from _table_problems(path, name, facts["rows"])


def _table_problems(path: Path, name: str, rows: int) -> Iterator[str]:
    try:
        with pq.ParquetFile(path) as file:
            found, schema = file.metadata.num_rows, file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        yield f"{name}: not readable as Parquet ({str(error).splitlines()[0]})"
        return
    if found != rows:
        yield f"{name}: {found:,} rows instead of {rows:,}"
    expected = SCHEMAS.get(Path(name).parts[0])
    if expected is not None and (not schema.equals(expected) or schema.metadata != expected.metadata):
        yield f"{name}: its columns are not those of {Path(name).parts[0]}/ in this version"


def _account_problems(manifest: dict[str, Any]) -> Iterator[str]:
    tasks, files = manifest["tasks"], manifest["files"]
    for name, task in tasks.items():
        drawn, kept, rejected = (sum(task[count].values()) for count in ("drawn", "kept", "rejected"))
        if drawn != kept + rejected:
            yield f"task {name}: {drawn:,} rows drawn, but {kept:,} kept and {rejected:,} rejected"
    for folder, count in (("data", "kept"), ("rejects", "rejected")):
        of_tasks = sum(sum(task[count].values()) for task in tasks.values())
        of_steps = (sum(step["rejected"].values()) for step in manifest.get("steps", {}).values())
        of_tasks += sum(of_steps) if count == "rejected" else 0
        of_files = sum(facts["rows"] for name, facts in files.items() if name.startswith(f"{folder}/"))
        if of_tasks != of_files:
            yield f"{MANIFEST}: {of_tasks:,} rows {count} by task, but {of_files:,} in {folder}/"


def _differences(old: Path, new: Path, suffix: str) -> Iterator[str]:
    before, after = ([name for name in published(run) if name.endswith(suffix)] for run in (old, new))
    for name in sorted({*before, *after}):
        if name not in after:
            yield f"{name}: the rebuilt run has no such file"
        elif name not in before:
            yield f"{name}: only the rebuilt run has this file"
        elif (old / name).read_bytes() != (new / name).read_bytes():
            yield f"{name}: {_first_difference(old / name, new / name)}"


def _first_difference(old: Path, new: Path) -> str:
    if old.suffix != ".parquet":
        lines = zip(old.read_bytes().splitlines(), new.read_bytes().splitlines(), strict=False)
        line = next((number for number, (a, b) in enumerate(lines, 1) if a != b), None)
        return f"differs in line {line}" if line else "one of the two is longer"
    try:
        before, after = pq.read_table(old), pq.read_table(new)
    except (pa.ArrowException, OSError) as error:
        return f"not readable as Parquet ({str(error).splitlines()[0]})"
    if before.schema != after.schema:
        return "its columns differ"
    for row, (a, b) in enumerate(zip(before.to_pylist(), after.to_pylist(), strict=False)):
        if a != b:
            column = next(name for name in a if a[name] != b[name])
            was, now = (shortened(repr(value[column]), 80) for value in (a, b))
            return f"row {row} (from 0) differs in `{column}`: it was {was}, now it is {now}"
    if before.num_rows != after.num_rows:
        return f"{before.num_rows:,} rows were built, {after.num_rows:,} are now"
    return "the same rows, written otherwise; is it another version of pyarrow?"
