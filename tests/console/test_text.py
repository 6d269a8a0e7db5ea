"""Text layout for the terminal, in every script."""

import click
from wcwidth import wcswidth

from datagen.console.text import block, cut, shortened, table


def plain(text: str) -> str:
    return click.unstyle(text)


def test_columns_line_up_with_wide_characters() -> None:
    lines = plain(table(["task", "rows", "why"], [["靴の色", 12345, "x"], ["size", 7, "y"]])).splitlines()
    assert lines == ["task      rows  why", "靴の色  12,345  x", "size         7  y"]
    assert len({wcswidth(line[: line.index(mark)]) for line, mark in zip(lines[1:], "xy", strict=True)}) == 1


def test_a_table_without_rows_is_its_headers() -> None:
    assert plain(table(["a", "b"], [])).split() == ["a", "b"]


def test_the_lines_of_a_block_stand_below_each_other() -> None:
    assert block("user", "one\ntwo", 6) == "  user  one\n        two"


def test_a_shortened_text_is_one_line() -> None:
    assert shortened("a\n b", 10) == "a b"
    assert shortened("a" * 30, 10) == "a" * 9 + "…"


def test_a_cut_text_fits_its_lines_in_every_script() -> None:
    assert cut("one two three", 8, 2) == "one two\nthree"
    assert cut("one two three four", 8, 2) == "one two\nthree…"
    assert cut("靴の色と大きさ", 6, 2) == "靴の色\nと大…"
