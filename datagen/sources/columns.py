"""The columns of large CSV and JSON files, kept as Parquet: a query would parse the whole of them again.

They are what `seed_files.scan` gives, checked and typed, and stand below `runs/seeds/columns/` under a hash
of what shapes them, beside what was told while they were read.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import duckdb

from datagen.console.progress import Say
from datagen.sources import seed_files
from datagen.sources.query import quoted
from datagen.sources.source import Table
from datagen.storage.files import beside, drop_left, read_json, writable, write_json
from datagen.storage.known_hashes import look

LARGE = 32 * 2**20
"""Bytes of a table's files from which on its columns are kept."""


def columns_of_files(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    paths: Sequence[Path],
    table: Table,
    home: Path,
    say: Say,
) -> Path | None:
    """The Parquet file below `home` that holds a table's rows, written if need be; None for small files."""
    if paths[0].suffix == ".parquet" or sum(path.stat().st_size for path in paths) < LARGE:
        return None
    kept = writable(home) / f"{name}-{_shape(paths, table)}.parquet"
    notes = kept.with_suffix(".json")
    if not (kept.is_file() and notes.is_file()):
        say(f"Reading {', '.join(path.name for path in paths)} into columns, once ...")
        told: list[str] = []
        parsed, partial = (Path(f"{beside(kept)}{end}") for end in ("parsed", "typed"))
        drop_left(home)
        try:
            relation = seed_files.scan(connection, name, paths, table, told.append, parsed)
            if seed_files.as_parsed(connection, relation, parsed, table):
                os.replace(parsed, partial)
            else:
                connection.execute(f"copy ({relation}) to {quoted(str(partial))} (format parquet)")
        finally:
            parsed.unlink(missing_ok=True)
        for path in home.glob(f"{name}-*"):  # of files that are no longer these
            path.unlink(missing_ok=True)
        write_json({"told": told}, notes)
        os.replace(partial, kept)
    for line in read_json(notes, "")["told"]:
        say(line)
    return kept


def _shape(paths: Sequence[Path], table: Table) -> str:
    """A short hash of files as they lie there, of their layout and of what reads them."""
    digest = hashlib.sha256(repr((duckdb.__version__, table)).encode())
    digest.update(Path(seed_files.__file__).read_bytes())
    for path in paths:
        digest.update(repr((path.resolve(), *look(path))).encode())
    return digest.hexdigest()[:16]
