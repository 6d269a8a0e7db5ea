"""YAML documents: values that mean what they show, and places as an editor shows them."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.config.document import Document, read


def document(folder: Path, text: str | bytes) -> Document:
    path = folder / "some.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"),
        ("12:30", "12:30"),
        ("2024-01-02", "2024-01-02"),
        ("0777", 777),
        ("20_000", 20000),
        ("-3", -3),
        ("2e-2", 0.02),
        (".5", 0.5),
        ("~", None),
        ("", None),
        ("true", True),
        ("'true'", "true"),
        ("9" * 5000, float("inf")),
        ("[a, 1]", ["a", 1]),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written: str, value: Any, tmp_path: Path) -> None:
    assert document(tmp_path, f"key: {written}\n").data == {"key": value}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_windows_files_read_the_same(newline: str, mark: str, tmp_path: Path) -> None:
    text = mark + "name: x\nquery: |\n  select 1\n  from é\n".replace("\n", newline)
    found = document(tmp_path, text)
    assert found.data == {"name": "x", "query": "select 1\nfrom é\n"}
    assert found.inside(("query",), 2, 6) == (4, 8)


LINES = st.lists(st.text("ab é検'\"#:,{}", max_size=12), min_size=1, max_size=6)


@given(lines=LINES, indent=st.integers(1, 9), before=st.integers(0, 3))
def test_every_character_of_a_block_is_found_in_the_file(
    lines: list[str], indent: int, before: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = ["select", *lines]  # a block's first line sets its indentation
    block = "".join(f"{' ' * indent}{line}\n" for line in lines)
    text = (
        "#\n" * before
        + "tasks:\n- query: |\n"
        + "".join(f"  {line}" for line in block.splitlines(keepends=True))
    )
    found = document(tmp_path_factory.mktemp("block"), text)
    assert found.problems == []
    rows = text.split("\n")
    for number, line in enumerate(found.data["tasks"][0]["query"].rstrip("\n").split("\n"), start=1):
        for column, character in enumerate(line, start=1):
            row, place = found.inside(("tasks", 0, "query"), number, column)
            assert rows[row - 1][place - 1] == character


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_place_in_text_on_one_line_is_exact(quote: str, tmp_path: Path) -> None:
    found = document(tmp_path, f"query: {quote}select x{quote}\n")
    assert found.inside(("query",), 1, 8) == (1, len(f"query: {quote}select ") + 1)


def test_a_place_in_folded_text_is_its_start(tmp_path: Path) -> None:
    found = document(tmp_path, "query: >\n  select\n  x\n")
    assert found.inside(("query",), 1, 8) == found.value(("query",)) == (1, 8)


def test_what_is_not_there_stands_at_the_key_around_it(tmp_path: Path) -> None:
    found = document(tmp_path, "tasks:\n  match:\n    rows: 1\n")
    assert found.key(("tasks", "match", "query")) == found.value(("tasks", "match", "query", 3)) == (2, 3)
    assert found.key(("other",)) == (1, 1)


@given(raw=st.binary(max_size=60) | st.text("ab:-[]{}'\"|>&*!#%@`\n\t ?,~<=0.", max_size=60).map(str.encode))
def test_any_file_gives_data_or_problems(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    found = document(tmp_path_factory.mktemp("any"), raw)
    assert isinstance(found.data, dict)
    for problem in found.problems:
        assert 1 <= problem.line <= raw.count(b"\n") + raw.count(b"\r") + 2
        assert problem.column >= 1
        assert problem.message
