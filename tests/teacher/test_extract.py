"""The gates of labels, one by one: what passes each, and what does not."""

import json
from typing import Any

import pytest

from datagen.reject_reasons import explain
from datagen.teacher.extract import form_of, labels, schema_of
from datagen.teacher.raw_reply import of_schema

ROW = {
    "title": "Enamel Mug, 12 oz, by Toff & Sons. Blue",
    "lines": ["Keeps tea hot", "断熱マグカップ"],
    "sold": 7,
}

ASPECTS: dict[str, Any] = {"aspects": [{"aspect": "span", "sentiment": ["positive", "negative"]}]}


def gate(kind: Any, value: Any, instruction: str = "") -> tuple[Any, str]:
    found, reason = labels(json.dumps({"it": value}), {"it": kind}, ROW, instruction)
    return found["it"], reason


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", "coffee mug"),
        ("string", "enamel mug, 12 oz."),  # an abbreviation ends no sentence
        ("string", "mugs & cups"),
        ("span", "Enamel Mug"),
        ("span", "12 oz"),
        ("span", "マグ"),  # no blanks, no edges of words
        ("list<string>", ["mug", "cup"]),
        ("list<span>", ["tea", "Blue"]),
        ("int", 0),
        ("float", 1.5),
        ("bool", False),
        (["hot", "cold"], "hot"),
    ],
)
def test_what_is_right_passes(kind: Any, value: Any) -> None:
    assert gate(kind, value) == (value, "")
    text = json.dumps({"it": value})
    assert of_schema(text, schema_of({"it": kind})) == (text, "")


@pytest.mark.parametrize(
    ("reason", "kind", "value"),
    [
        ("empty_label", "string", ""),
        ("empty_label", "string", " N/A. "),
        ("empty_label", "string", "Unknown"),
        ("empty_label", "span", ""),
        ("empty_label", "list<string>", []),
        ("empty_label", "list<string>", ["mug", "none"]),
        ("empty_label", "string", "不明"),
        ("label_too_long", "string", "This is a mug. It is blue"),
        ("label_too_long", "string", "a mug to drink tea and coffee and cocoa from"),
        ("label_too_long", "string", "x" * 81),
        ("label_too_long", "string", "これは朝のお茶や珈琲をゆっくり飲むための青い断熱の器"),
        ("label_too_long", "string", "これは器です。"),
        ("label_with_signs", "string", "Home > Kitchen"),
        ("label_with_signs", "string", '{"it": 2}'),
        ("label_with_signs", "list<string>", ["mug", "<b>cup</b>"]),
        ("unfounded_number", "string", "mug of 16 oz"),
        ("unfounded_name", "string", "BESTMUGS cup"),
        ("unfounded_name", "list<string>", ["mug", "HaCkEd"]),
        ("label_not_in_text", "span", "Red"),
        ("label_not_in_text", "span", "Mu"),  # half a word
        ("label_not_in_text", "span", "Mug 12 oz"),
        ("label_not_in_text", "list<span>", ["Blue", "green"]),
        ("repeated_label", "list<string>", ["Mug", "mug"]),
    ],
)
def test_what_is_not_is_named(reason: str, kind: Any, value: Any) -> None:
    assert gate(kind, value)[1] == reason
    assert explain(reason)


def test_a_span_is_kept_as_the_text_spells_it() -> None:
    assert gate("span", "enamel mug") == ("Enamel Mug", "")
    found, reason = labels('{"aspects": [{"aspect": "BLUE", "sentiment": "positive"}]}', ASPECTS, ROW, "")
    assert (found["aspects"][0]["aspect"], reason) == ("Blue", "")


def test_the_text_spelt_alike_comes_before_the_text_spelt_otherwise() -> None:
    found, _ = labels('{"it": "mug"}', {"it": "span"}, {"text": "Mug, a mug"})
    assert found == {"it": "mug"}


def test_a_label_of_the_instruction_alone_was_not_read_in_the_row() -> None:
    said = "Name the kind of product, such as teapots, or mug."
    assert gate("string", "Teapots", said)[1] == "label_from_instruction"
    assert gate("string", "Mug", said)[1] == ""  # the row says so too
    assert gate("list<string>", ["cup", "teapots"], said)[1] == "label_from_instruction"


def test_records_are_read_by_their_parts() -> None:
    def of(*pairs: tuple[str, str]) -> str:
        said = {"aspects": [{"aspect": aspect, "sentiment": tone} for aspect, tone in pairs]}
        return labels(json.dumps(said), ASPECTS, ROW)[1]

    assert of(("tea", "positive"), ("Blue", "negative")) == ""
    assert of(("tea", "positive"), ("tea", "positive")) == "repeated_label"
    assert of(("handle", "positive")) == "label_not_in_text"
    assert of() == "empty_label"


def test_texts_are_tidied() -> None:
    assert gate("string", "  coffee \n mug ") == ("coffee mug", "")


@pytest.mark.parametrize(
    "said",
    [
        '{"it": "hot", "answer": 2}',
        '{"it": "warm"}',
        '{"it": ["hot"]}',
        "{}",
        '[{"it": "hot"}]',
        "2",
        '"hot"',
        "null",
    ],
)
def test_what_is_not_of_the_schema_is_no_label(said: str) -> None:
    assert of_schema(said, schema_of({"it": ["hot", "cold"]}))[1] == "failed: not_of_schema"


def test_the_form_tells_each_column_and_that_nothing_is_guessed() -> None:
    told = form_of({"it": "span", **ASPECTS})
    assert "`it`: a label copied from the data word for word" in told
    assert "`sentiment`: one of positive, negative" in told
    assert "never guessed" in told
