"""Named entity recognition: what can be cited, the parser's two ways, micro F1 by hand."""

import random
from typing import Any

import pytest

from datagen.errors import Reject
from datagen.tasks import named_entity_recognition as task
from datagen.tasks.question import Question


def build(text: Any, entities: Any) -> Question:
    return task.build({"key": "7", "hint": "brand", "text": text, "entities": entities}, random.Random(0))


def test_entities_are_cited_in_the_order_of_the_text() -> None:
    question = build("Acme mug,\n red glaze", ["red", "Acme"])
    assert question.target == ["Acme", "red"]
    assert task.answer(question) == "Acme, red"
    assert task.gold_text(question) == "Acme\nred"
    assert question.slots == {"hint": "brand", "text": "Acme mug, red glaze"}
    assert task.constraint(question).favoured == "Acme mug, red glaze"


@pytest.mark.parametrize(
    ("text", "entities"),
    [
        ("string ring light", ["ring"]),  # the second one is a word
        ("マグカップ赤", ["赤"]),  # no spaces between words
        ("case for iPhone-12", ["iPhone", "12"]),
        ("a [1, 2] b", ["[1"]),
    ],
)
def test_an_entity_that_stands_alone_somewhere_is_kept(text: str, entities: list[str]) -> None:
    assert build(text, entities).target == entities


@pytest.mark.parametrize(
    ("text", "entities", "reason"),
    [
        (None, ["red"], "missing_value"),
        ("red mug", None, "missing_value"),
        ("red mug", ["red", None], "missing_value"),
        ("red mug", [], "no_entity"),
        ("", ["red"], "entity_not_in_text"),
        ("red mug", [" "], "empty_entity"),
        ("red mug", ["\u200e"], "empty_entity"),
        ("red mug", ["blue"], "entity_not_in_text"),
        ("Red mug", ["red"], "entity_not_in_text"),  # a citation keeps its case
        ("red, large mug", ["red, large"], "entity_with_comma"),
        ("string light", ["ring"], "entity_inside_word"),
        ("500ml mug", ["500"], "entity_inside_word"),
        ("red Red mug", ["red", "Red"], "repeated_entity"),
        ("red red mug", ["red", " red "], "repeated_entity"),
        ("a ['b'] c", ["['b']"], "entity_reads_as_list"),
        ("[] c", ["[]"], "entity_reads_as_list"),
        ("mug " + "x" * 5000, ["x" * 5000, "mug"], "entity_reads_as_list"),
    ],
)
def test_what_cannot_be_read_back_is_rejected_with_its_reason(text: Any, entities: Any, reason: str) -> None:
    with pytest.raises(Reject) as caught:
        build(text, entities)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("response", "read"),
    [
        ("tablette, asus", ["tablette", "asus"]),
        (" a ,, b\n", ["a", "b"]),
        ("['a', 'b']", ["a", "b"]),
        ("[' a ', '']", [" a ", ""]),  # a list's items stay as they are
        ("(['a'])", ["a"]),
        ("[]", []),
        ("['a', 2]", ["['a'", "2]"]),  # not all of them strings
        ("['a'", ["['a'"]),
        ("'a'", ["'a'"]),  # a literal, but no list
        ("('a', 'b')", ["('a'", "'b')"]),
        (r"['\d']", [r"\d"]),  # Python warns of it
        ("['a' 'b']", ["ab"]),
        ("[" * 6000, ["[" * 5000]),
        ("[" + "-" * 4990 + "1]", ["[" + "-" * 4990 + "1]"]),  # deeper than Python recurses
        ("['\0']", ["['\0']"]),
        ("", []),
        (" , ", []),
    ],
)
def test_a_list_is_read_as_such_and_other_text_between_commas(response: str, read: list[str]) -> None:
    assert task.parse(response) == read


@pytest.mark.parametrize(
    ("value", "target", "f1"),
    [
        (["Red "], ["red"], 1.0),  # predictions are stripped, both are lower-cased
        (["red"], [" red"], 0.0),  # truths are not stripped
        (["red", "mug"], ["red"], 2 / 3),  # precision 1/2, recall 1
        (["red"], ["red", "mug"], 2 / 3),
        (["red", "red"], ["red"], 2 / 3),  # said twice: a false positive
        (["blue"], ["red"], 0.0),
        ([], ["red"], 0.0),
        (["red"], [], 0.0),
    ],
)
def test_f1_by_hand(value: list[str], target: list[str], f1: float) -> None:
    assert task.score(value, target, "micro f1") == pytest.approx(f1, abs=1e-12)


def test_a_task_pools_its_counts() -> None:
    values, targets = [["red", "x", "y"], ["blue"]], [["red"], ["blue"]]
    assert task.overall(values, targets, "micro f1") == pytest.approx(2 / 3)  # 2 of 4, 2 of 2
    mean = sum(task.score(*pair, "micro f1") for pair in zip(values, targets, strict=True)) / 2
    assert mean == pytest.approx(0.75)  # which is why it isn't the mean
    assert task.overall([], [], "micro f1") == 0.0
