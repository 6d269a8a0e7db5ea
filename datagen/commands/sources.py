"""What `datagen sources` prints: all sources in short, one in full, rows of a table, what a folder lacks."""

import inspect
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datagen.console.progress import Say, note
from datagen.console.text import aside, block, cut, heading
from datagen.errors import UserError
from datagen.sources import SOURCES
from datagen.sources.database import open_layout, open_seeds, tables_of
from datagen.sources.locate import find_seeds
from datagen.sources.query import bounded, columns_of
from datagen.sources.seed_files import misnamed, table_files
from datagen.sources.staging import staged
from datagen.sources.word_lists import COLUMNS, LISTS, lists
from datagen.suggest import among

_WIDTH = 80
"""Columns of a terminal that a paragraph fills."""

_NAMED = 12
"""Width of the names at the beginning of lines."""

_ROWS, _LINES = 3, 3
"""Rows of a table that are shown, and lines of each of their values."""


def overview(seeds: Path | None = None) -> str:
    """A block for each source: what it is, its files, and where to get them; of a folder, what it has."""
    parts = []
    for name, module in SOURCES.items():
        first, _, paragraph = (inspect.getdoc(module) or "").partition("\n\n")
        lines = [heading(f"{name}  {module.LICENSE}"), *_wrapped(f"{first.rstrip('.')}. {paragraph}")]
        lines += [block(table, _file(seeds, name, table), _NAMED) for table in module.TABLES]
        if made := textwrap.wrap(", ".join(staged(name)), _WIDTH - _NAMED):
            lines.append(block("made of it", "\n".join(made), _NAMED))
        lines.append(block("from", module.DOWNLOAD, _NAMED))
        hub = f"SEEDS=hub fetches {module.HUB_ID}" if module.HUB_ID else "not on the hub"
        lines.append(aside(block("", f"{hub}; in a folder of yours, below {name}/", _NAMED)))
        parts.append("\n".join(lines))
    parts.append(
        "The made-up shop, SEEDS=sample, has a little of each. "
        f"Columns: datagen sources {next(iter(SOURCES))}. Rows: datagen sources reviews.items\n"
        f"Word lists: datagen sources {LISTS}. Whether a folder is whole: datagen sources --check DIR"
    )
    return "\n\n".join(parts)


def details(name: str) -> str:
    """All tables of one source with their columns, or the word lists. Raises UserError for another name."""
    if name == LISTS:
        subjects = [block(f"{LISTS}.{subject}", f"{subject}_in(text, language)", 22) for subject in lists()]
        title = f"word lists ({', '.join(COLUMNS)}), each with a macro that finds its words in a text"
        return "\n".join([heading(title), *subjects])
    if name not in SOURCES:
        tables = [table for table in tables_of(SOURCES) if table.partition(".")[2] == name]
        known = f"did you mean `{'` or `'.join(tables)}`?" if tables else among(name, [*SOURCES, LISTS])
        raise UserError(f"no source `{name}`: {known}")
    module = SOURCES[name]
    lines = [heading(f"{name}  {module.LICENSE}  {module.HOMEPAGE}"), *_wrapped(inspect.getdoc(module) or "")]
    for option, field in module.Options.model_fields.items():
        lines.append(block(f"option {option}", field.description, 18))
    with open_layout({name: module.Options()}) as connection:
        for table, layout in module.TABLES.items():
            lines += _columns(f"{name}.{table}", layout.file, columns_of(connection, f"from {name}.{table}"))
        for table, found in staged(name).items():
            columns = columns_of(connection, f"select * from {name}.{table}")
            lines += _columns(f"{name}.{table}", found.comment, columns)
    lines.append(f"Rows of a table: datagen sources {name}.{next(iter(module.TABLES))}")
    return "\n".join(lines)


def rows(name: str, seeds: str, say: Say) -> str:
    """The first rows of a table of a source, or of a word list. Raises UserError for another name."""
    source, _, table = name.partition(".")
    tables = {of: [at for at in tables_of([of]) if at.startswith(f"{of}.")] for of in SOURCES}
    tables[LISTS] = [f"{LISTS}.{subject}" for subject in lists()]
    if source not in tables:
        raise UserError(f"no source `{source}`: {among(source, tables)}")
    if name not in tables[source]:
        known = among(name, tables[source], lambda other: other.partition(".")[2])
        raise UserError(f"no table `{name}`: {known}")
    sources = {source: SOURCES[source].Options()} if source in SOURCES else {}
    where = find_seeds(seeds, sources, Path("runs"), note)
    note(f"Reading {name} from {where} ...")
    with open_seeds(sources, where, 0, say=say) as opened:
        columns = columns_of(opened.connection, f"from {name}")
        with bounded(opened.connection, name, kind="table"):
            shown = opened.connection.sql(f"from {name} limit {_ROWS}")
            found = shown.fetchall()
    parts = ["\n".join(_columns(name, _what(source, table), columns))]
    width = max(map(len, columns)) + 2
    for values in found:
        texts = [cut(_value(value), _WIDTH - width - 2, _LINES) for value in values]
        lines = [block(column, text, width) for column, text in zip(columns, texts, strict=True)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts if found else [*parts, f"  {where} gives no row of it"])


def check(seeds: Path) -> tuple[str, int]:
    """What each source's files in a folder are like, and how many sources are there but cannot be read.

    Raises UserError where there is no such folder, or none of the sources in it.
    """
    if not seeds.is_dir():
        raise UserError(f"{seeds}: no such folder. Give the one in which {next(iter(SOURCES))}/ lies")
    if not any((seeds / name).is_dir() for name in SOURCES):
        if seeds.name in SOURCES:
            raise UserError(f"{seeds}: the folder of {seeds.name} itself. Name the one above: {seeds.parent}")
        raise UserError(
            f"{seeds}: none of the folders {', '.join(SOURCES)} is in it{misnamed(seeds, SOURCES)}. "
            "`datagen sources` says where to get their files"
        )
    parts, broken = [], 0
    for name, module in SOURCES.items():
        said: list[str] = []
        if not (seeds / name).is_dir():
            files = ", ".join(table.file for table in module.TABLES.values() if not table.without)
            parts.append(
                f"{heading(name)}  not there{misnamed(seeds, [name])}. "
                f"Put {files} into {seeds / name}/, from\n  {module.DOWNLOAD}"
            )
            continue
        try:
            with open_seeds({name: module.Options()}, seeds, 0, say=said.append) as opened:
                counts = [
                    f"{table}: {opened.connection.sql(f'from {name}.{table}').count('*').fetchall()[0][0]:,}"
                    for table in module.TABLES
                ]
            state = f"whole. Rows: {', '.join(counts)}"
        except UserError as error:
            broken += 1
            state = f"{error}\n  {module.DOWNLOAD}"
        parts.append("\n".join([f"{heading(name)}  {state}", *(f"  {line}" for line in said)]))
    return "\n".join(parts), broken


def _file(seeds: Path | None, source: str, table: str) -> str:
    """The file of a table as its publisher calls it, and what a folder has of it."""
    layout = SOURCES[source].TABLES[table]
    if seeds is None:
        return layout.file
    files = table_files(seeds / source, layout)
    size = sum(path.stat().st_size for path in files) / 1e6
    named = files[0].name if len(files) == 1 else f"{len(files)} files"
    return f"{layout.file}   {f'{named}, {size:,.1f} MB' if files else 'not there'}"


def _what(source: str, table: str) -> str:
    """What is known of a table beside its columns: its file, or what it is made of the others."""
    if source == LISTS:
        return f"found in a text by {table}_in(text, language)"
    layouts = SOURCES[source].TABLES
    return layouts[table].file if table in layouts else staged(source)[table].comment


def _value(value: Any) -> str:
    if value is None:
        return "null"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str)


def _columns(name: str, what: str, columns: Mapping[str, str]) -> list[str]:
    told = ", ".join(f"{column} {kind}" if kind != "VARCHAR" else column for column, kind in columns.items())
    return [f"  {heading(name)}", *map(aside, _wrapped(what, 4)), *_wrapped(told, 4)]


def _wrapped(text: str, indent: int = 2) -> list[str]:
    """A paragraph in lines of a terminal's width."""
    blank = " " * indent
    return textwrap.wrap(" ".join(text.split()), _WIDTH, initial_indent=blank, subsequent_indent=blank)
