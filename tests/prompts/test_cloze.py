"""The cloze form of questions: the question and its list are told apart, however it is listed."""

import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from datagen.prompts.cloze import CHOICES, Unlisted, unlisted
from datagen.prompts.template import load_template
from datagen.schema import TaskType
from datagen.storage.manifest import shard_files


def choice(prompt: str) -> Unlisted | None:
    return unlisted(prompt, TaskType.MULTIPLE_CHOICE)


def test_the_list_is_taken_out_and_the_rest_stays() -> None:
    asked = choice("Query: lamp\nWhich fits?\n0. a red lamp\n1. 2. a mug\n2) a chair, 3 legs\nAnswer:")
    assert asked is not None
    assert asked.prompt == "Query: lamp\nWhich fits?\n\nAnswer:"
    assert asked.texts == ("a red lamp", "2. a mug", "a chair, 3 legs")
    assert asked.numbers == (0, 1, 2)


@pytest.mark.parametrize(
    ("prompt", "texts", "numbers"),
    [
        ("Which?\nA. red\nB. blue\nAnswer:", ("red", "blue"), (0, 1)),
        ("Which? (A) red (B) blue (C) green", ("red", "blue", "green"), (0, 1, 2)),
        ("Which?\na) red\nb) blue\nAnswer:", ("red", "blue"), (0, 1)),
        ("Which?\nOption 0: red\nOption 1: blue\nOption 2: green", ("red", "blue", "green"), (0, 1, 2)),
        ("¿Cuál?\nOpción A: rojo\nOpción B: azul\nRespuesta:", ("rojo", "azul"), (0, 1)),
        ("どれですか。\n0．赤\n1．青\n答え：", ("赤", "青"), (0, 1)),
        ("どれですか。\n選択肢０：赤\n選択肢１：青\n答え：", ("赤", "青"), (0, 1)),
        ("Options:\nred\nblue\n\nYour choice:", ("red", "blue"), (0, 1)),
        ("Pick one:\n- red\n- blue", ("red", "blue"), (0, 1)),
    ],
)
def test_lists_of_all_kinds_are_read(prompt: str, texts: tuple[str, ...], numbers: tuple[int, ...]) -> None:
    asked = choice(prompt)
    assert asked is not None
    assert asked.texts == texts
    assert asked.numbers == numbers


@pytest.mark.parametrize("prompt", ["", "Explain lamps.", "1. only one", "0. \n1. a lamp"])
def test_without_two_texts_there_is_nothing_to_choose(prompt: str) -> None:
    assert choice(prompt) is None


@pytest.mark.parametrize(
    ("prompt", "unfit"),
    [
        ("Which one is the odd one out?", True),
        ("Which of these doesn't belong?", True),
        ("¿Cuál sobra?", True),
        ("どれが合わないものですか。", True),
        ("検索に合っていない商品はどれですか。", True),
        ("Which product doesn’t belong?", True),
        ("Which item isn't a match for the query?", True),
        ("Which of these is least relevant?", True),
        ("Welches Produkt passt nicht zur Suche?", True),
        ("Quel est l'intrus ?", True),
        ("Quale prodotto non corrisponde alla ricerca?", True),
        ("Which one is the best match?", False),
        ("Which shopper wants a lamp that does not flicker?", False),
        ("Which fits? Do not answer with words.", False),
        ("Which fits the search 'socks that do not match'?", False),
        ("Query: odd one out game\nWhich product fits?", False),
        ("検索語：体に合わない靴\n最も合う商品はどれですか。", False),
    ],
)
def test_a_question_for_what_does_not_fit_is_known(prompt: str, unfit: bool) -> None:
    asked = choice(f"{prompt}\n0. a\n1. b")
    assert asked is not None
    assert asked.unfit is unfit


@pytest.mark.parametrize(
    ("prompt", "kept"),
    [
        ("Which fits? Answer with the number only.\n0. a\n1. b", "Which fits?"),
        ("Which fits?\n0. a\n1. b\n\nOutput its number, no explanation.\nAnswer:", "Which fits?\n\nAnswer:"),
        ("Pick two.\n1. a\n2. b\nYou should ONLY output two numbers. Do not give explanations.", "Pick two."),
        ("¿Cuál encaja?\n0. a\n1. b\nEscribe únicamente el número.", "¿Cuál encaja?"),
        (
            "合うのはどれですか。\n0. a\n1. b\n説明は書かず、番号のみで答えてください。",
            "合うのはどれですか。",
        ),
        (
            "商品です。\n0. a\n1. b\n合うものを選び、番号を書いてください。",
            "商品です。\n\n合うものを選び、番号を書いてください。",
        ),
        ("Give the number of what fits.\n0. a\n1. b", "Give the number of what fits."),
        (
            "A search:\nOutput the number that fits 'red'.\n0. a\n1. b",
            "A search:\nOutput the number that fits 'red'.",
        ),
        ("It holds 1.5 l. Which? Reply with one digit.\n0. a\n1. b", "It holds 1.5 l. Which?"),
        (
            "Query: x\n0. a\n1. b\nPick what fits. Write its number only.\nAnswer:",
            "Query: x\n\nPick what fits.\nAnswer:",
        ),
        ("Rank them.\n1. a\n2. b\nYou should output a permutation of 1 to 2.", "Rank them."),
        ("What is said? Do not include snippets in your answer.\n1. a\n2. b", "What is said?"),
        ("合うものは？\n0. a\n1. b\n選択肢の番号だけを答えてください。説明は不要です。", "合うものは？"),
    ],
)
def test_what_is_said_of_numbers_goes_with_the_list(prompt: str, kept: str) -> None:
    asked = choice(prompt)
    assert asked is not None
    assert asked.prompt == kept


@pytest.mark.parametrize(
    "asks",
    [
        "Give the number of the product that goes with it.",
        "Answer with the letter of the most useful product.",
        "Responde con el número del producto que la acompaña.",
        "Gib die Nummer der Produkte an, die dazu passen.",
        "求められていない商品を一つ見つけ、その番号のみを書いてください。",
        "関連性が高い順に並べ替え、番号を書いてください。",
    ],
)
def test_a_sentence_that_says_what_is_asked_for_stays(asks: str) -> None:
    asked = choice(f"Query: lamp\n0. a\n1. b\n{asks}")
    assert asked is not None
    assert asked.prompt == f"Query: lamp\n\n{asks}"


def test_what_does_not_fit_may_be_asked_for_with_its_number() -> None:
    asked = choice("All but one answer the query.\n0. a\n1. b\nOutput the number of the wrong result.")
    assert asked is not None
    assert (asked.prompt, asked.unfit) == ("All but one answer the query.", True)


def test_marks_of_candidates_count_from_one_and_an_order_is_best_first() -> None:
    asked = unlisted("Rank them, what does not fit last.\n- red\n- blue", TaskType.RANKING)
    assert asked is not None
    assert (asked.numbers, asked.unfit) == ((1, 2), False)


@pytest.mark.parametrize(
    "text",
    [
        "'a ",
        "「",
        "\t",
        "番号",
        "\n",
        "give the number of ",
        "0. a\n",
        "1. a\n",
        "2. a\n",
        "x: ",
        "Query: a\n",
    ],
)
def test_time_grows_with_the_length_alone(text: str) -> None:
    prompt = f"Look.\n{text * (60_000 // len(text))}"
    began = time.process_time()
    choice(prompt)
    choice(f"{prompt}\n0. a\n1. b")
    assert time.process_time() - began < 10  # more where each mark looks through all that follows


TEMPLATES = Path(__file__).parents[2] / "templates"


UNFIT = {"odd_one_out", "session_odd_one_out", "odd_snippet", "inapplicable_attribute"}
"""Templates that ask for what does not fit; only of the first are all wordings read so."""


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*/*.j2")), ids=lambda path: path.stem)
def test_of_our_wordings_those_of_the_odd_one_out_alone_ask_for_what_does_not_fit(path: Path) -> None:
    template = load_template(path)
    slots = dict.fromkeys(template.slots, "lamp") | {"listing": "0. a\n1. b", "features": ["a", "b"]}
    for wording in range(len(template.wordings)):
        asked = choice(template.render(wording, slots))
        if asked:
            text = template.wordings[wording].text
            assert path.stem in UNFIT or not asked.unfit, text
            assert path.stem != "odd_one_out" or asked.unfit, text
        else:
            assert "listing" not in template.slots


def test_a_row_of_ours_is_asked_as_its_text_will_be_read(shop_run: Path) -> None:
    """What is trained knows its list; what is served has it read off the prompt. Both ask the same."""
    seen = set()
    for row in (row for file in shard_files(shop_run) for row in pq.read_table(file).to_pylist()):
        kind, question = TaskType(row["task_type"]), row["prompt"][-1]["content"]
        if kind in CHOICES:
            known = unlisted(question, kind, row["choices"])
            assert known is not None
            assert known.texts == tuple(row["choices"])
            assert known == unlisted(question, kind)
            seen.add(kind)
    assert seen == set(CHOICES)


def test_what_a_row_lists_is_not_looked_for_in_its_text() -> None:
    prompt = "Which fits?\n0. lamp\n1. Options: A. red B. blue\nAnswer:"
    asked = unlisted(prompt, TaskType.MULTIPLE_CHOICE, ["lamp", "Options: A. red B. blue"])
    assert asked == ("Which fits?\n\nAnswer:", ("lamp", "Options: A. red B. blue"), (0, 1), False)


@pytest.mark.parametrize("choices", [[], ["lamp", "mug"], ["lamp"]])
def test_a_row_whose_list_is_not_in_its_prompt_has_no_text_to_choose(choices: list[str]) -> None:
    assert unlisted("Which?\n0. lamp\n2. mug", TaskType.MULTIPLE_CHOICE, choices) is None
