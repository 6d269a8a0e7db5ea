"""What `datagen sources` tells of the seed sources: all in short, one in full, and what a folder has."""

import inspect
import textwrap
from collections.abc import Mapping
from pathlib import Path

from datagen.console.text import aside, block, heading
from datagen.errors import UserError
from datagen.sources import SOURCES
from datagen.sources.database import open_layout, open_seeds
from datagen.sources.query import columns_of
from datagen.sources.seed_files import table_files
from datagen.sources.staging import staged
from datagen.sources.word_lists import COLUMNS, LISTS, lists
from datagen.suggest import among

_WIDTH = 96
"""Columns of a terminal that a paragraph fills."""

_NAMED = 12
"""Width of the names at the beginning of lines."""


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
        f"Columns: datagen sources {next(iter(SOURCES))}\n"
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
        raise UserError(f"no source `{name}`: {among(name, [*SOURCES, LISTS])}")
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
    return "\n".join(lines)


def check(seeds: Path) -> tuple[str, int]:
    """What each source's files in a folder are like, and how many sources are there but cannot be read.

    Raises UserError where there is no such folder, or none of the sources in it.
    """
    if not seeds.is_dir():
        raise UserError(f"{seeds}: no such folder. Give the one in which {next(iter(SOURCES))}/ lies")
    if not any((seeds / name).is_dir() for name in SOURCES):
        raise UserError(
            f"{seeds}: none of the folders {', '.join(SOURCES)} is in it. `datagen sources` says where "
            "to get their files"
        )
    parts, broken = [], 0
    for name, module in SOURCES.items():
        said: list[str] = []
        if not (seeds / name).is_dir():
            files = ", ".join(table.file for table in module.TABLES.values() if not table.without)
            parts.append(
                f"{heading(name)}  not there. Put {files} into {seeds / name}/, from\n  {module.DOWNLOAD}"
            )
            continue
        try:
            with open_seeds({name: module.Options()}, seeds, 0, say=said.append) as opened:
                counts = [
                    f"{table} {opened.connection.sql(f'from {name}.{table}').count('*').fetchall()[0][0]:,}"
                    for table in module.TABLES
                ]
            state = f"whole: rows of {', '.join(counts)}"
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


def _columns(name: str, what: str, columns: Mapping[str, str]) -> list[str]:
    told = ", ".join(f"{column} {kind}" if kind != "VARCHAR" else column for column, kind in columns.items())
    return [f"  {heading(name)}", *map(aside, _wrapped(what, 4)), *_wrapped(told, 4)]


def _wrapped(text: str, indent: int = 2) -> list[str]:
    """A paragraph in lines of a terminal's width."""
    blank = " " * indent
    return textwrap.wrap(" ".join(text.split()), _WIDTH, initial_indent=blank, subsequent_indent=blank)
