"""Word lists: every shipped word is found by its macro, as a whole word, and gives its canonical form."""

import duckdb
import pytest

from datagen.sources.word_lists import UNSPACED, create_lists, lists


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    create_lists(connection)
    return connection


def found(connection: duckdb.DuckDBPyConnection, subject: str, text: str, language: str) -> list[str]:
    [(words,)] = connection.execute(f"select {subject}_in(?, ?)", [text, language]).fetchall()
    return list(words)


@pytest.mark.parametrize("subject", lists())
def test_every_word_is_found_and_none_stands_twice(
    connection: duckdb.DuckDBPyConnection, subject: str
) -> None:
    rows = lists()[subject]
    assert len({row[:2] for row in rows}) == len(rows) > 0
    for language, word, canonical in rows:
        assert canonical in found(connection, subject, f"({word.upper()})", language), (language, word)


@pytest.mark.parametrize("subject", lists())
def test_no_word_is_found_inside_another(connection: duckdb.DuckDBPyConnection, subject: str) -> None:
    for language, word, canonical in lists()[subject]:
        if language not in UNSPACED:
            assert canonical not in found(connection, subject, f"x{word}x", language), (language, word)


def test_words_come_in_the_order_of_the_text_each_once(connection: duckdb.DuckDBPyConnection) -> None:
    assert found(connection, "colors", "Grey or navy mug, navy lid", "en") == ["gray", "blue"]
    assert found(connection, "colors", "Grey mug", "de") == []
