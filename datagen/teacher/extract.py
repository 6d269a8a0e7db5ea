"""Labels that a teacher reads out of a row's texts: their schema, and the gates that they pass.

A kind of column is written as in a recipe: `string`, `span`, `int`, `float`, `bool`, `list<string>`,
`list<span>`, a list of words of which it holds one, or `[{name: string, value: span}]`, a list of records.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from datagen.teacher.ask import object_schema
from datagen.teacher.data_message import texts

MOST_WORDS, MOST_LETTERS, MOST_KANJI = 8, 80, 25
"""Of a label: what is longer is a sentence."""

_NOTHING = frozenset((
    "", "-", "n/a", "na", "n.a.", "none", "null", "nil", "unknown", "not known", "unspecified",
    "not specified", "not available", "not mentioned", "not applicable", "no", "other", "others", "misc",
    "various", "undefined", "string", "unbekannt", "keine", "desconocido", "ninguno", "inconnu", "aucun",
    "sconosciuto", "nessuno", "不明", "なし", "該当なし",
))  # fmt: skip
"""What says that there is no label, in small letters."""

_SENTENCE = re.compile(r"[.!?][\"')]?(?:\s|$)|[。！？]")
_SIGNS = re.compile(r"[<>|{}\[\]=\\]")
"""Of no label: paths, such as `Home > Kitchen`, and pieces of JSON."""

_NUMBER = re.compile(r"\d+")
_CODE = re.compile(r"\b\w*[A-Z]\w*[A-Z]\w*")
"""A word with two capitals: a code, a brand or a shout."""

_ABBREVIATED = re.compile(r"\b(?:[A-Za-z]{1,4}|\d+)\.$")

_JSON = {"int": "integer", "float": "number", "bool": "boolean"}
_ARROW = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
_SQL = {"int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN"}


def schema_of(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of a reply."""
    return object_schema({name: _schema(kind) for name, kind in columns.items()})


def arrow_type(kind: Any) -> pa.DataType:
    """The Arrow type of a column of this kind."""
    if _is_records(kind):
        return pa.list_(pa.struct([(name, pa.string()) for name in kind[0]]))
    if isinstance(kind, str) and kind.startswith("list<"):
        return pa.list_(pa.string())
    return _ARROW.get(kind, pa.string()) if isinstance(kind, str) else pa.string()


def sql_type(kind: Any) -> str:
    """The SQL name of the same type."""
    if _is_records(kind):
        return f"STRUCT({', '.join(f'{name} VARCHAR' for name in kind[0])})[]"
    if isinstance(kind, str) and kind.startswith("list<"):
        return "VARCHAR[]"
    return _SQL.get(kind, "VARCHAR") if isinstance(kind, str) else "VARCHAR"


def form_of(columns: Mapping[str, Any]) -> str:
    """What a reply has to look like, in words for the teacher."""
    lines = [f"- `{name}`: {_told(kind)}" for name, kind in columns.items()]
    return "\n".join([
        "Reply with one JSON object with these keys and nothing else:", *lines,
        "A label is a few words, never a sentence. What the data does not say is left out, never guessed.",
    ])  # fmt: skip


def labels(
    text: str, columns: Mapping[str, Any], data: Mapping[str, Any], instruction: str = ""
) -> tuple[dict[str, Any], str]:
    """The labels in a reply that its schema allows, and the reason against them, empty for none.

    A label that the instruction says and the data do not is one that the teacher has not read there.
    """
    said = json.loads(text)
    found = {name: _tidied(said[name]) for name in columns}
    shown = "\n".join(texts(data))
    for name, kind in columns.items():
        value = found[name] = _as_shown(kind, found[name], shown)
        if value == []:
            return found, "empty_label"
        if isinstance(value, list) and len({json.dumps(item).casefold() for item in value}) < len(value):
            return found, "repeated_label"
        for of_part, label in _parts(kind, value):
            reason = _reason(label, of_part, shown)
            if not reason and of_part == "string" and _in_text(label, instruction):
                reason = "" if _in_text(label, shown) else "label_from_instruction"
            if reason:
                return found, reason
    return found, ""


def _parts(kind: Any, value: Any) -> Iterator[tuple[Any, str]]:
    """Each text of a column's value, with its kind."""
    if _is_records(kind):
        for record in value:
            yield from ((kind[0][name], record[name]) for name in kind[0])
    elif isinstance(value, list):
        yield from ((kind.removeprefix("list<").removesuffix(">"), label) for label in value)
    elif isinstance(value, str):
        yield kind, value


def _reason(label: str, kind: Any, shown: str) -> str:
    if isinstance(kind, list):
        return ""  # one of the words: the schema says so
    if label.casefold().strip(" .") in _NOTHING:
        return "empty_label"
    kanji = re.search("[\u3040-\u30ff\u4e00-\u9fff]", label) is not None
    is_long = len(label) > (MOST_KANJI if kanji else MOST_LETTERS) or len(label.split()) > MOST_WORDS
    if is_long or (_SENTENCE.search(label) and not _ABBREVIATED.search(label)):
        return "label_too_long"
    if kind == "string":
        return _unread(label, shown)
    if kind == "span" and not _in_text(label, shown):
        return "label_not_in_text"
    return ""


def _unread(label: str, shown: str) -> str:
    """What tells that a label in the teacher's own words is not read out of the row."""
    if _SIGNS.search(label):
        return "label_with_signs"
    if not {*_NUMBER.findall(label)} <= {*_NUMBER.findall(shown)}:
        return "unfounded_number"
    known = shown.casefold()
    return "unfounded_name" if any(word.casefold() not in known for word in _CODE.findall(label)) else ""


def _in_text(label: str, shown: str) -> str:
    """The place of a span in the texts, as these spell it: with their capitals, where it has others."""
    pattern = rf"{_edge(label[0])}{re.escape(label)}{_edge(label[-1], True)}" if label else "$^"
    found = re.search(pattern, shown) or re.search(pattern, shown, re.IGNORECASE)
    return found[0] if found else ""


def _as_shown(kind: Any, value: Any, shown: str) -> Any:
    """A column's value with its spans as the texts spell them."""
    if _is_records(kind):
        return [{name: _as_shown(kind[0][name], part, shown) for name, part in one.items()} for one in value]
    if kind == "list<span>":
        return [_as_shown("span", one, shown) for one in value]
    return _in_text(value, shown) or value if kind == "span" else value


def _edge(sign: str, behind: bool = False) -> str:
    """Where a word of this first or last sign has to end; scripts without blanks have no such place."""
    if not (sign.isalnum() and sign < "\u3040"):
        return ""
    return r"(?![^\W_])" if behind else r"(?<![^\W_])"


def _schema(kind: Any) -> dict[str, Any]:
    if _is_records(kind):
        return {
            "type": "array",
            "items": object_schema({name: _schema(part) for name, part in kind[0].items()}),
        }
    if isinstance(kind, list):
        return {"type": "string", "enum": kind}
    if kind.startswith("list<"):
        return {"type": "array", "items": {"type": "string"}}
    return {"type": _JSON.get(kind, "string")}


def _told(kind: Any) -> str:
    span = "copied from the data word for word"
    if _is_records(kind):
        return "a list of objects with " + ", ".join(
            f"`{name}`: {_told(part)}" for name, part in kind[0].items()
        )
    if isinstance(kind, list):
        return f"one of {', '.join(kind)}"
    return {
        "string": "a label",
        "span": f"a label {span}",
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "list<string>": "a list of labels",
        "list<span>": f"a list of labels, each {span}",
    }[kind]


def _is_records(kind: Any) -> bool:
    return isinstance(kind, list) and isinstance(kind[0], dict)


def _tidied(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, list):
        return [_tidied(item) for item in value]
    return {name: _tidied(item) for name, item in value.items()} if isinstance(value, dict) else value
