"""Word lists that SQL looks for in texts: colors, materials and the like, one CSV file a subject.

A file gives a table `lists.<subject>`, and a macro `<subject>_in(text, language)`: the canonical words of
those that stand in a text. Its pattern is a constant, so that DuckDB reads a million titles in a second.
"""

import csv
import re
import unicodedata
from collections import defaultdict
from functools import cache
from pathlib import Path

import duckdb

from datagen.sources.query import quoted

LISTS = "lists"
COLUMNS = ("language", "word", "canonical")

UNSPACED = frozenset({"ja"})
"""Languages that put no space between words: a word is found within a longer one."""

UNACCENTED = frozenset({"en"})
"""Languages whose texts keep their accents. Others lose them: RE2 takes `é` for the end of a word."""

_FOLDER = Path(__file__).parent / LISTS


@cache
def lists() -> dict[str, list[tuple[str, str, str]]]:
    """The rows (language, word, canonical) of every list, by subject."""
    found = {}
    for path in sorted(_FOLDER.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found[path.stem] = [
                (row["language"], row["word"], row["canonical"]) for row in csv.DictReader(file)
            ]
    return found


def create_lists(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables and macros of all lists."""
    connection.execute(f"create schema {LISTS}")
    for subject, rows in lists().items():
        columns = ", ".join(
            f"unnest([{', '.join(map(quoted, values))}]) as {name}"
            for name, values in zip(COLUMNS, zip(*rows, strict=True), strict=True)
        )
        connection.execute(f"create table {LISTS}.{subject} as select {columns}")
        connection.execute(_macro(subject, rows))


def _macro(subject: str, rows: list[tuple[str, str, str]]) -> str:
    """SQL that makes `<subject>_in`: found words in the text's order, each once.

    The list is found once for both lambdas, which is what the list around it is for.
    """
    words: dict[str, dict[str, str]] = defaultdict(dict)
    for language, word, canonical in rows:
        words[language][_folded(word, language)] = canonical
    branches = " ".join(
        f"when {quoted(language)} then {_found(language, words[language])}" for language in words
    )
    return (
        f"create macro {subject}_in(text, language) as list_transform([case language {branches} else [] end],"
        " lambda found: if(len(found) < 2, found,"
        " list_filter(found, lambda word, place: list_position(found, word) = place)))[1]"
    )


def _found(language: str, words: dict[str, str]) -> str:
    """SQL of the canonical words in `text`; of two that begin at one place, the longer one counts."""
    pattern = "|".join(map(re.escape, sorted(words, key=lambda word: (-len(word), word))))
    text = "lower(text)"
    if language not in UNSPACED:
        pattern = rf"\b(?:{pattern})\b"
        if language not in UNACCENTED:
            text = f"strip_accents({text})"
    found = f"regexp_extract_all({text}, {quoted(pattern)})"
    others = {word: canonical for word, canonical in words.items() if word != canonical}
    if not others:
        return found
    keys, values = (", ".join(map(quoted, part)) for part in (others, others.values()))
    return f"list_transform({found}, lambda word: coalesce(map([{keys}], [{values}])[word], word))"


def _folded(word: str, language: str) -> str:
    """A word as it is looked for: in small letters, and without accents where letters have some."""
    if language in UNSPACED:
        return word.lower()
    parts = unicodedata.normalize("NFD", word.lower())
    return "".join(part for part in parts if not unicodedata.combining(part))
