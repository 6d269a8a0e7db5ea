"""Text layout for the terminal: tables, headings and indented blocks.

Widths are counted in terminal cells; a Japanese character takes two. Where the output is no terminal,
`click.echo` removes the colours.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import click
from tabulate import tabulate
from wcwidth import clip, wrap


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Aligned columns under their headers: numbers to the right, text to the left; `[]` is an empty line."""
    columns = list(zip(*(row for row in rows if row), strict=True)) or [()] * len(headers)
    numeric = [bool(column) and all(isinstance(value, int | float) for value in column) for column in columns]
    text = tabulate(
        [headers, *([_cell(value) for value in row] for row in rows)],  # as headers they would be set wider
        tablefmt="plain",
        colalign=["right" if numbers else "left" for numbers in numeric],
        disable_numparse=True,
    )
    head, *lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join([click.style(head, bold=True), *lines])


def heading(text: str) -> str:
    """A heading: the first line of a new part."""
    return click.style(text, bold=True)


def aside(text: str) -> str:
    """Text of lesser weight, dimmed."""
    return click.style(text, dim=True)


def block(label: str, text: Any, width: int = 10) -> str:
    """A label and its text beside it; further lines stand below the first."""
    first, *rest = str(text).splitlines() or [""]
    return "\n".join([f"  {label:<{width}}{first}", *(f"  {'':<{width}}{line}" for line in rest)])


def shortened(text: str, characters: int = 200) -> str:
    """The text on one line, cut to so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 1] + "…"


def with_counts(counts: Mapping[str, int]) -> str:
    """Names, each with its number: `a 1,200, b 3`."""
    return ", ".join(f"{name} {number:,}" for name, number in counts.items())


def cut(text: str, width: int, lines: int) -> str:
    """The text in lines of so many terminal cells, cut where it has more of them."""
    found = wrap(text, width)
    if len(found) > lines:
        found[lines - 1 :] = [clip(found[lines - 1], 0, width - 1).rstrip() + "…"]
    return "\n".join(found)


def duration(seconds: float) -> str:
    """A time in words, in the unit that tells it best: `40 seconds`, `12 minutes`, `1.5 hours`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} seconds"
    return f"{round(seconds / 60)} minutes" if seconds < 5400 else f"{seconds / 3600:,.1f} hours"


def _cell(value: Any) -> str:
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
