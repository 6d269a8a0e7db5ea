"""Text layout for the terminal: tables, headings and indented blocks.

Widths are counted in terminal cells; a Japanese character takes two. Where the output is no terminal,
`click.echo` removes the colours.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

import click


def table(headers: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Aligned columns under their headers: numbers to the right, text to the left."""
    cells = [[_cell(value) for value in row] for row in rows]
    right = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(headers))]
    widths = [max(map(cells_wide, column)) for column in zip(headers, *cells, strict=True)]
    lines = [_line(headers, widths, right), *(_line(row, widths, right) for row in cells)]
    return "\n".join([click.style(lines[0], bold=True), *lines[1:]])


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


def cells_wide(text: str) -> int:
    """Terminal cells that a text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def _cell(value: Any) -> str:
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for cell, width, is_right in zip(cells, widths, right, strict=True):
        gap = " " * (width - cells_wide(cell))
        padded.append(gap + cell if is_right else cell + gap)
    return "  ".join(padded).rstrip()
