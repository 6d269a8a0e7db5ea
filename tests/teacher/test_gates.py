"""The gates of new wordings: what asks the same passes, what does not is named."""

from pathlib import Path

import pytest

from datagen.prompts.template import load_template
from datagen.schema import TaskType
from datagen.teacher.gates import GATES, row_problem, words_problem
from datagen.teacher.marks import of_wording

ROOT = Path(__file__).parents[2]


def wordings(template: str, language: str) -> list[str]:
    found = load_template(ROOT / "templates" / template).wordings
    marked = [of_wording(wording.text) for wording in found if (wording.language or "en") == language]
    return [text.text for text in marked if text]


def problem(new: str, template: str = "multiple_choice/best_match.j2", language: str = "en") -> str | None:
    own = wordings(template, language)
    return words_problem(new, own[0], own, language)


@pytest.mark.parametrize(
    "new",
    [
        'Somebody types "[[1]]" into a web shop. Pick the product that fits this search best.\n[[2]]\nReply'
        " with its number only.",
        'Which of the products below is the best match for the query "[[1]]"?\n[[2]]\nYour reply is the'
        " number of the product, without any other text.",
        "Products:\n[[2]]\nA customer's search: [[1]]\nWrite the number of the product that matches it best.",
    ],
)
def test_what_asks_the_same_passes(new: str) -> None:
    assert problem(new) is None


@pytest.mark.parametrize(
    ("language", "new"),
    [
        (
            "es",
            "¿Qué producto de la lista encaja mejor con la búsqueda «[[1]]»?\n[[2]]\nEscribe solo su número.",
        ),
        ("ja", "「[[1]]」という検索に一番合う商品を選んでください。\n[[2]]\n番号だけを答えてください。"),
    ],
)
def test_what_asks_the_same_passes_in_other_languages(language: str, new: str) -> None:
    assert problem(new, language=language) is None


ASKED = 'Somebody types "[[1]]" into a web shop. Pick the product that fits this search best.\n[[2]]\n'


@pytest.mark.parametrize(
    ("reason", "new"),
    [
        ("empty", "  "),
        ("empty", "[[1]]\n[[2]]"),
        ("marks", ASKED.replace("[[2]]", "0. a\n1. b")),
        ("marks", ASKED + "[[2]]"),
        ("marks", ASKED + "[[3]]"),
        ("marks", ASKED + "{{ gold }}"),
        ("marks", ASKED + "[2]"),
        ("marks", ASKED + "<|im_end|>"),
        ("mark_moved", ASKED.replace('"', "")),
        ("mark_moved", ASKED.replace("\n[[2]]", " [[2]]")),
        ("numbers", ASKED + "Answer 2."),
        ("numbers", ASKED + "Answer with the number two."),
        ("numbers", ASKED + "The second product is the number."),
        ("tells_answer", ASKED + "Number:\nThe right answer is the mug."),
        ("tells_answer", "Answer: the red mug\n" + wordings("multiple_choice/best_match.j2", "en")[1]),
        ("about_itself", "Sure! " + ASKED),
        ("about_itself", "Here is a new wording: " + ASKED),
        ("names", ASKED.replace("web shop", "shop of Amazon")),
        ("near_copy", "Please: " + wordings("multiple_choice/best_match.j2", "en")[3]),
        ("length", ASKED + "This is a number of a product that a shopper wants. " * 10),
        ("length", '"[[1]]"\n[[2]]\nSearch'),
        ("language", 'Un cliente busca "[[1]]" en una tienda. ¿Qué producto responde mejor?\n[[2]]\nNúmero:'),
        (
            "meaning",
            'What do you think of "[[1]]" and of all these things below?\n[[2]]\nTell us in some words.',
        ),
        ("meaning", 'Which product do you like best? "[[1]]"\n[[2]]\nTell us why you would buy it.'),
    ],
)
def test_what_does_not_is_named(reason: str, new: str) -> None:
    assert problem(new) == reason
    assert reason in GATES


def test_a_quoted_kind_stays() -> None:
    own = wordings("named_entity_recognition/brand_in_title.j2", "en")
    old = next(text for text in own if "entity type 'brand'" in text)
    new = "From the product title, copy what is of the entity type {} alone, commas between several.\n"
    new += "\n".join(line for line in old.split("\n") if "[[" in line)
    assert words_problem(new.format("'colour'"), old, own, "en") == "quoted"
    assert words_problem(new.format("'brand'"), old, own, "en") is None


LIST = "0. red mug\n1. blue cup"


@pytest.mark.parametrize(
    ("reason", "new"),
    [
        (None, f"Choose the option that is a cup.\n{LIST}\nGive its number."),
        ("list_broken", "Choose the option that is a cup: 0. red mug, 1. blue cup. Give its number."),
        ("list_broken", f"Choose the option that is a cup.\n{LIST}\n2. none. Give its number."),
        ("misread", f"Rank the options from best to worst, as numbers with commas.\n{LIST}"),
        ("misread", f"Write a description of a cup.\n{LIST}".replace("0.", "-").replace("1.", "-")),
    ],
)
def test_a_whole_prompt_is_read_as_before(reason: str | None, new: str) -> None:
    old = f"Which of these is a cup? Answer with the number.\n{LIST}\nAnswer:"
    found = row_problem(new, old, TaskType.MULTIPLE_CHOICE)
    assert found == reason or (reason == "misread" and found == "list_broken")
