"""The files of a seed source, read with exactly the columns, types and values that it documents.

What is odd about a file, and yet read, is told in a line: other spellings, unknown values, repeated keys.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import duckdb
import numpy as np
from pydantic import BaseModel

from datagen.console.progress import Say
from datagen.console.text import shortened
from datagen.errors import UserError
from datagen.sources import SOURCES
from datagen.sources.query import first_line, quoted
from datagen.sources.source import Table
from datagen.suggest import among, nearest


def check_folders(sources: Iterable[str], location: Path) -> None:
    """Raise UserError where several sources are read, and some of them have no folder below `location`."""
    sources = list(sources)
    there = [name for name in sources if (location / name).is_dir()]
    missing = [name for name in sources if name not in there]
    if there and missing:
        raise UserError(
            f"{location}: no folder for {', '.join(missing)}{misnamed(location, missing)}. "
            f"`datagen sources` says where to get files; SOURCES={' '.join(there)!r} (or "
            f"--sources {' '.join(there)!r}) builds from what is there alone"
        )


def misnamed(location: Path, missing: Iterable[str]) -> str:
    """What to say after sources without a folder: which folders are misspelt ones, as `Reviews` is."""
    others = [path.name for path in sorted(location.glob("*/")) if path.is_dir() and path.name not in SOURCES]
    near = [(other, name) for name in missing for other in others if nearest(other, SOURCES) == name]
    return "".join(f" (it has `{other}`: did you mean `{name}`?)" for other, name in near)


def seed_files(source: str, location: Path, options: BaseModel) -> dict[str, list[Path]]:
    """The files of each table of a source below `location`, checked to be there and to be data."""
    folder = location / source
    module = SOURCES[source]
    found = {}
    for name, table in module.TABLES.items():
        paths = table_files(folder, table)
        if not paths and table.without:
            continue
        if not paths:
            if location.name == source and table_files(location, table):
                raise UserError(
                    f"{location}: the folder of {source} itself. Name the one above: {location.parent}"
                )
            others = sorted(path.name for path in folder.glob("*"))
            holds = f" The folder holds {_some(others)}." if others else ""
            files = ", ".join(table.file for table in module.TABLES.values())
            raise UserError(
                f"{folder / table.file}: no such file.{holds} Seeds of {source} are laid out as their "
                f"publisher does ({module.HOMEPAGE}): {files}; SEEDS=sample needs no files"
            )
        for path in paths:
            with path.open("rb") as file:
                head = file.read(64)
            if head.startswith(b"version https://git-lfs"):
                raise UserError(f"{path}: a git LFS pointer, not data. Run `git lfs pull` in its repository")
            if _kind(path) != "parquet":
                _check_coding(path)
        for option, pattern in module.FILES_BY.items():
            known = {value: None for path in paths for value in re.findall(pattern, path.name)}
            for value in getattr(options, option) or ():
                if value not in known:
                    raise UserError(
                        f"{folder / table.file}: no such file of the {option} `{value}`: "
                        f"{among(value, known)}. Put it there, or leave it out of the recipe's `sources`"
                    )
        found[name] = paths
    return found


def unpaired(source: str, options: BaseModel, files: Mapping[str, Sequence[Path]]) -> list[str]:
    """A line for what some tables of a source have a file of, and others none: joins give no row of it."""
    module, lines = SOURCES[source], []
    for option, pattern in module.FILES_BY.items():
        known = {
            name: {value for path in paths for value in re.findall(pattern, path.name)}
            for name, paths in files.items()
            if not getattr(options, option)  # each of those chosen has its files
        }
        for name, values in known.items():
            if missing := sorted(set().union(*known.values()) - values):
                file = module.TABLES[name].file
                lines.append(
                    f"{source}.{name}: no file {file} of {option} {_some(missing)}, as another table has: "
                    "what joins them gives no row of it"
                )
    return lines


def table_files(folder: Path, table: Table) -> list[Path]:
    """The files of a table in its source's folder, by name: what its first pattern that fits any matches.

    Of several files some may still be packed; of one that is there in both forms, the unpacked one is taken.
    """
    for pattern in (table.file, *table.others):
        patterns = [other for other in table.others if other == f"{pattern}.gz"] + [pattern]
        paths = [path for one in patterns for path in folder.glob(one) if path.is_file()]
        if paths:
            return sorted({str(path).removesuffix(".gz"): path for path in paths}.values())
    return []


def _check_coding(path: Path) -> None:
    """Raise UserError for a file in UTF-16, as its first bytes tell: DuckDB's own message quotes them."""
    try:
        with _opened(path) as file:
            head = file.read(4)
    except (OSError, EOFError, zlib.error):  # no whole gzip file, as DuckDB will say
        return
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head:
        raise UserError(f"{path}: not UTF-8: save it as UTF-8")


def _check_text(path: Path) -> None:
    """Raise UserError for a file that is not UTF-8, with the first line that is not."""
    decoder, lines = codecs.getincrementaldecoder("utf-8")(), 1
    with suppress(EOFError, zlib.error), _opened(path) as file:
        while part := file.read(_HEADER_BYTES):
            try:
                decoder.decode(part)
            except UnicodeDecodeError as error:
                line = lines + error.object.count(b"\n", 0, error.start)
                raise UserError(f"{path}:{line}: not UTF-8: save it as UTF-8") from None
            lines += part.count(b"\n")


def _check_packed(path: Path) -> None:
    """Raise UserError for a gzip file that is not whole: DuckDB reads as far as its damage, in silence."""
    try:
        with _opened(path) as file:
            while file.read(_PACKED_BYTES):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: no whole GZIP file ({error}). Fetch it again") from None


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


_AS_IT_IS = "hive_partitioning = false, union_by_name = false"
"""A file is read alone, and no folder's name (`split=test`) becomes a column."""


_HEADER_BYTES = 65_536

_PACKED_BYTES = 2**20


_NAMED = 10
"""Values that a message names."""

_LONGEST_OBJECT = 64 * 1024 * 1024
"""Bytes of one JSON object: a review may hold a megabyte of text."""


def scan(
    connection: duckdb.DuckDBPyConnection,
    table_name: str,
    paths: Sequence[Path],
    table: Table,
    say: Say,
    parsed: Path | None = None,
) -> str:
    """SQL that reads the files of a table with exactly the columns and types that the source documents.

    Each check reads the files; with `parsed`, they are parsed once, into this Parquet file.
    """
    kind, more = _kind(paths[0]), len(paths) - 1
    path = all_of_them = paths[0].with_name(f"{paths[0].name} and {more} more") if more else paths[0]
    try:
        for packed in (one for one in paths if one.suffix == ".gz"):
            _check_packed(packed)
        reader, has = _READERS[kind](connection, paths, table)
        missing = [
            name for name in table.columns if name not in {*has, "filename"} and name not in table.optional
        ]
        if missing:
            raise UserError(
                f"{path}: lacks the column {', '.join(missing)}; it has {_some(has)}; "
                f"expected are {_some([name for name in table.columns if name != 'filename'])}. "
                "Is it the publisher's file of this name?"
            )
        if kind == "csv" and (len(paths) > 1 or not parsed):
            # DuckDB drops, in silence, the last row of one file of several where a quote in it has no end,
            # and looks for bytes that are no text in those columns alone that are read.
            for path in paths:
                connection.execute(f"select count(columns(*)) from {_csv(connection, [path], table)[0]}")
            path = all_of_them
        if parsed:
            texts = ", ".join(f'"{name}"' for name in table.columns if name in {*has, "filename"})
            connection.execute(
                f"copy (select {texts} from {reader}) to {quoted(str(parsed))} (format parquet)"
            )
            reader = _read_parsed(parsed)
        if kind != "csv" and not connection.execute(f"select 1 from {reader} limit 1").fetchone():
            raise UserError(f"{path}: the table has no rows. Take the publisher's file, or SEEDS=sample")
        _check_types(connection, path, reader, table)
        columns = {name: f'"{name}"' if name in {*has, "filename"} else "null" for name in table.columns}
        for name in table.values:
            columns[name] = _spelled(connection, path, reader, table, name, say)
        relation = f"select {casts(table, columns)} from {reader}"
        if kind in ("json", "jsonl"):
            relation = _readable(connection, path, table, relation, say)
        return _keyed(connection, table_name, path, table, relation, say) if table.key else relation
    except (duckdb.Error, UnicodeDecodeError) as error:
        if isinstance(error, UnicodeDecodeError) or "utf-8" in str(error).lower():
            for one in paths if kind != "parquet" else ():
                _check_text(one)
        reason = first_line(error).replace(f' in file "{path.resolve()}"', "").rstrip(". ")
        those = [path] if path in paths else paths
        cut = not all(map(_ends_a_line, those)) if kind == "csv" else _ENDED.search(reason)
        advice = "Is it cut off? Fetch it again" if cut else "Mend it, or fetch it again"
        raise UserError(f"{path}: cannot be read: {reason}. {advice}") from None


_ENDED = re.compile("unexpected end|end of file|too small", re.IGNORECASE)
"""How DuckDB says that the end of a file is missing."""


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, io.SEEK_END)
        return file.read() == b"\n"


def as_parsed(connection: duckdb.DuckDBPyConnection, relation: str, parsed: Path, table: Table) -> bool:
    """Whether what `scan` gave for parsed files is all that they hold, as it is."""
    columns = {name: name if name in table.values else f'"{name}"' for name in table.columns}
    has = connection.execute(f"describe select * from {_read_parsed(parsed)}").fetchall()
    return relation == f"select {casts(table, columns)} from {_read_parsed(parsed)}" and table.columns == {
        name: kind for name, kind, *_ in has
    }


def _read_parsed(parsed: Path) -> str:
    return f"read_parquet({quoted(one_file(parsed))}, {_AS_IT_IS})"


def _kind(path: Path) -> str:
    """How a file is read, by its name: `csv`, `parquet`, `json` (an array) or `jsonl`."""
    return path.name.removesuffix(".gz").rpartition(".")[2]


def _parquet(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], table: Table
) -> tuple[str, list[str]]:
    """A reader of Parquet files, and the names of their columns."""
    reader = f"read_parquet({_listed(paths)}, {_AS_IT_IS})"
    return reader, [row[0] for row in connection.execute(f"describe select * from {reader}").fetchall()]


def _csv(connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], table: Table) -> tuple[str, list[str]]:
    """A reader of CSV files, and the names of their columns. Raises UserError where their headers differ."""
    named = "filename" in table.columns
    if table.headed:
        has = _header(paths[0])
        for path in paths[1:]:
            if _header(path) != has:
                raise UserError(f"{path}: its header is not that of {paths[0].name}. Fetch both again")
    else:
        has = [name for name in table.columns if name != "filename"][: len(_header(paths[0]))]
    kinds = ", ".join(f"{quoted(name)}: 'VARCHAR'" for name in _unlike(has, table.columns))
    dialect = f"auto_detect = false, header = {table.headed}, delim = ',', quote = '\"', escape = '\"'"
    return (
        f"read_csv({_listed(paths)}, {dialect}, {_AS_IT_IS}, filename = {named}, columns = {{{kinds}}})",
        has,
    )


def _json(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], table: Table
) -> tuple[str, list[str]]:
    """A reader of JSON files, each one array or a line an object, and the names in their first object.

    A line that is no object of these types is read as nulls.
    """
    lines = _kind(paths[0]) == "jsonl"
    form = f"format = '{'newline_delimited' if lines else 'array'}', maximum_object_size = {_LONGEST_OBJECT}"
    form += f", {_AS_IT_IS}, ignore_errors = {lines}"
    objects = f"read_json_objects({_listed(paths)}, {form})"
    keys = connection.execute(
        f"select json_keys(json) from {objects} where json is not null limit 1"
    ).fetchone()
    has = list(keys[0]) if keys else list(table.columns)
    named = "filename" in table.columns
    kinds = ", ".join(
        f"{quoted(name)}: '{kind}'" for name, kind in table.columns.items() if name != "filename"
    )
    return f"read_json({_listed(paths)}, {form}, filename = {named}, columns = {{{kinds}}})", [
        *has,
        *table.optional,
    ]


_READERS = {"parquet": _parquet, "csv": _csv, "json": _json, "jsonl": _json}


def _listed(paths: Sequence[Path]) -> str:
    return f"[{', '.join(quoted(one_file(path)) for path in paths)}]"


def _readable(
    connection: duckdb.DuckDBPyConnection, path: Path, table: Table, relation: str, say: Say
) -> str:
    """SQL without what is no JSON object of these keys, which DuckDB reads as nulls; told by number.

    It reads the whole of the files, so that damage is theirs and not a query's.
    """
    empty = " and ".join(f'"{name}" is null' for name in table.columns if name != "filename")
    file = "filename" if "filename" in table.columns else quoted(path.name)
    counts = connection.execute(
        f"select {file}, count(*), count(*) filter ({empty}) as n from ({relation})"
        " group by 1 having n > 0 order by 1"
    ).fetchall()
    for name, rows, unread in counts:
        one = path.with_name(Path(name).name)
        if unread == rows:
            raise UserError(
                f"{one}: cannot be read: none of its {rows:,} rows is a JSON object with such keys. "
                "Is it the publisher's file of this name?"
            )
        say(f"{one}: {unread:,} of its rows left out, which are no JSON objects with such keys")
    return f"select * from ({relation}) where not ({empty})" if counts else relation


def _header(path: Path) -> list[str]:
    """The names in the first line of a CSV file, or what stands there. Raises UserError where it is empty."""
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES).decode("utf-8-sig", errors="replace")
    names = next(csv.reader(io.StringIO(head)), [])
    if any("\ufffd" in name for name in names):
        _check_text(path)
    if not names:
        raise UserError(f"{path}: cannot be read: it is empty. Fetch it again")
    return [name.strip() for name in names]


def _unlike(header: list[str], columns: Mapping[str, str]) -> list[str]:
    """A name of its own for each column of a CSV file: what nobody reads may have none, or one twice."""
    first = {name: header.index(name) for name in columns if name in header}
    return [name if first.get(name) == place else f"column {place}" for place, name in enumerate(header)]


def _check_types(connection: duckdb.DuckDBPyConnection, path: Path, reader: str, table: Table) -> None:
    """Raise UserError where a text does not hold what its column is, before a recipe is blamed for it."""
    described = connection.execute(f"describe select * from {reader}").fetchall()
    texts = {name for name, kind, *_ in described if kind == "VARCHAR"}
    for name, kind in table.columns.items():
        if name in texts and kind != "VARCHAR":
            other = connection.execute(
                f"select {name} from {reader}"
                f" where {name} is not null and try_cast({name} as {kind}) is null limit 1"
            ).fetchone()
            if other:
                raise UserError(
                    f"{path}: {name} holds {shortened(repr(other[0]), 40)}, which is no {kind}. "
                    "Is it the publisher's file of this name?"
                )


def _spelled(
    connection: duckdb.DuckDBPyConnection, path: Path, reader: str, table: Table, name: str, say: Say
) -> str:
    """SQL for a column whose values the source documents: other spellings are read as those, others told."""
    values = table.values[name]
    known = ", ".join(map(quoted, values))
    others = connection.execute(
        f"select {name}::varchar, count(*) as n from {reader}"
        f" where {name} is null or {name}::varchar not in ({known}) group by 1 order by n desc, 1"
    ).fetchmany(1000)
    if not others:
        return name
    spellings = {other: value for value, them in values.items() for other in (value.lower(), *them)}
    strange = {value: n for value, n in others if value is None or value.strip(" ").lower() not in spellings}
    if strange:
        counted = [f"{'null' if value is None else repr(value)} {n:,}" for value, n in strange.items()]
        say(
            f"{path}: unknown values of {name}, with their rows: {_some(counted)}; "
            f"known are {', '.join(values)}"
        )
    cases = " ".join(f"when {quoted(other)} then {quoted(value)}" for other, value in spellings.items())
    return f"case lower(trim({name}::varchar)) {cases} else {name}::varchar end"


def _keyed(
    connection: duckdb.DuckDBPyConnection, name: str, path: Path, table: Table, relation: str, say: Say
) -> str:
    """SQL for a table in which each row has a key of its own: of those with one the first, by its columns."""
    keys, listed = ", ".join(table.key), ", ".join(f'"{name}"' for name in table.columns)
    whole = " and ".join(f"{column} is not null" for column in table.key)
    hashes = connection.execute(f"select hash({keys}) as h from ({relation}) where {whole}").fetchnumpy()["h"]
    [(rows,)] = connection.execute(f"select count(*) from ({relation})").fetchall()
    if rows > len(hashes):
        without = rows - len(hashes)
        say(f"{path}: {without:,} of its rows left out, in which the {' or '.join(table.key)} is null")
        relation = f"select * from ({relation}) where {whole}"
    hashes.sort()  # DuckDB's own `group by` takes five times as long
    again = hashes[1:][hashes[1:] == hashes[:-1]]
    if not len(again):
        return relation
    several = np.unique(again)
    connection.execute(
        f"create table {name}_repeated as select * from ({relation})"
        f" where hash({keys}) in (select unnest(?::ubigint[]))"
        f" qualify row_number() over (partition by {keys} order by {listed}) = 1",
        [several.tolist()],
    )
    [(kept,)] = connection.execute(f"select count(*) from {name}_repeated").fetchall()
    dropped = len(several) + len(again) - kept
    if not dropped:  # two keys share a hash
        return relation
    [(one,)] = connection.execute(f"select min(({keys},)::varchar) from {name}_repeated").fetchall()
    say(
        f"{path}: {dropped:,} of its rows left out, which repeat the {' and '.join(table.key)} of another"
        f" {one}; the first stays, in the order of the columns"
    )
    return (
        f"select * from ({relation}) where hash({keys}) not in (select hash({keys}) from {name}_repeated)"
        f" union all select * from {name}_repeated"
    )


def casts(table: Table, columns: Mapping[str, str]) -> str:
    """The columns that a table documents, from SQL for each, in their types."""
    return ", ".join(f'cast({columns[name]} as {kind}) as "{name}"' for name, kind in table.columns.items())


def one_file(path: Path) -> str:
    """The path as DuckDB takes it for one file, whatever signs of a pattern its folders' names hold."""
    return re.sub(r"([*?[])", r"[\1]", str(path.resolve()))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
