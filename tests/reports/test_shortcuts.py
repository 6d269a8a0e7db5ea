"""Shortcuts are found where they were planted, and scored as the grader does."""

import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datagen.recipe.load import load
from datagen.reports import shortcuts
from datagen.reports.shortcuts import Measured, Shortcut, measured
from datagen.schema import TaskType
from datagen.storage.manifest import read_manifest, shard_files
from datagen.tasks import TASKS

CHOICE, RANKING, RETRIEVAL = TaskType.MULTIPLE_CHOICE, TaskType.RANKING, TaskType.RETRIEVAL
ENTITIES, TEXT = TaskType.NAMED_ENTITY_RECOGNITION, TaskType.GENERATION
METRIC = {CHOICE: "accuracy", RANKING: "ndcg", RETRIEVAL: "hit rate@3", ENTITIES: "micro f1", TEXT: "rougel"}

Question = tuple[str, list[str], Any]


def of(kind: TaskType, questions: Sequence[Question]) -> Measured:
    outside, choices, targets = zip(*questions, strict=True)
    texts = pa.chunked_array([[json.dumps(target) for target in targets]], pa.string())
    lists = pa.chunked_array([choices], pa.list_(pa.string()))
    return measured(kind, METRIC[kind], outside, lists, texts)


def best(kind: TaskType, questions: Sequence[Question]) -> Shortcut:
    return of(kind, questions).found[0]


def family(found: Measured, name: str) -> Shortcut:
    return next(shortcut for shortcut in found.found if shortcut.family == name)


def test_what_shares_words_with_the_question_is_found() -> None:
    colours = ["red", "green", "blue", "black"]
    asked = [
        (f"Which one fits the {colour} lamp?", [f"a {other} lamp" for other in colours], place)
        for place, colour in enumerate(colours)
    ]
    assert best(CHOICE, asked) == ("words", "most words of the question", 1.0)
    unfit = [
        (text, [f"{text} {one}", f"{text} {two}", f"nothing {one}"], 2) for text, one, two in asked_words()
    ]
    assert family(of(CHOICE, unfit), "words").score == 1.0
    assert family(of(CHOICE, unfit), "words").how.startswith("fewest")


def asked_words() -> list[tuple[str, str, str]]:
    return [("lamp", "red", "blue"), ("mug", "green", "black"), ("chair", "white", "pink")]


def test_words_of_japanese_are_its_pairs_of_characters() -> None:
    asked = [
        ("「赤いランプ」に合う商品はどれですか。", ["白いコップ", "赤いランプ 卓上"], 1),
        ("「青い椅子」に合う商品はどれですか。", ["青い椅子 木製", "机"], 0),
        ("「ｶｰﾃﾝ」に合う商品はどれですか。", ["時計", "遮光カーテン"], 1),
    ]
    assert best(CHOICE, asked).family == "words"
    assert best(CHOICE, asked).score == 1.0


def test_an_instruction_said_in_every_question_is_no_hint() -> None:
    asked = [
        (f"Which product fits the search best? {word}", ["which product fits the search", f"{word} one"], 1)
        for word in ("lamp", "mug", "chair")
    ]
    assert best(CHOICE, asked).score == 1.0


def test_the_longest_option_and_the_best_constant_are_found() -> None:
    asked = [
        (f"Question {n}?", ["a b", "a", "a b c"] if n % 2 else ["a b c", "a", "b a"], 2 * (n % 2))
        for n in range(9)
    ]
    found = of(CHOICE, asked)
    assert family(found, "length") == ("length", "the longest", 1.0)
    assert family(found, "constant") == ("constant", "0", 0.5556)
    assert found.options == (3, 3)
    assert found.chance == pytest.approx(1 / 3, abs=1e-4)
    scores = [shortcut.score for shortcut in found.found]
    assert scores == sorted(scores, reverse=True)


def test_history_is_that_of_other_rows() -> None:
    alone = [(f"{n}?", [f"right {n}", f"wrong {n}"], n % 2) for n in range(8)]
    assert family(of(CHOICE, alone), "history").score == 0.5  # its own row tells nothing: the first is named
    reused = [(f"{n}?", [f"right {n}", "wrong"][:: 1 if n % 2 else -1], int(n % 2 == 0)) for n in range(8)]
    assert family(of(CHOICE, reused), "history") == ("history", "wrong least often", 1.0)
    loved = [(f"{n}?", ["loved", f"other {n}"][:: 1 if n % 2 else -1], int(n % 2 == 0)) for n in range(8)]
    assert family(of(CHOICE, loved), "history") == ("history", "right most often", 1.0)


def test_wrong_options_that_keep_each_other_company_are_found() -> None:
    """Each text is right as often as it is wrong, but the wrong ones always come in the same threes."""
    sets = [[f"{name} {n}" for n in range(3)] for name in ("cup", "hat", "pen")]
    asked = []
    for n, (wrong, others) in enumerate(itertools.permutations(sets, 2)):
        for row, right in enumerate(others):
            options = [*wrong[: (n + row) % 4], right, *wrong[(n + row) % 4 :]]
            asked.append((f"{n} {row}?", options, options.index(right)))
    found = family(of(CHOICE, asked), "history")
    assert found == ("history", "least often beside the others", 1.0)


@pytest.mark.parametrize("kind", [CHOICE, RANKING, RETRIEVAL])
def test_scores_are_the_graders(kind: TaskType) -> None:
    """What is added up over arrays is what ShopBench's rule gives for the answers, one by one."""
    dice, module, first = random.Random(7), TASKS[kind], int(kind is not CHOICE)
    asked: list[Question] = []
    for number in range(60):
        count = dice.randint(4, 5)
        texts = ["x" * length for length in dice.sample(range(1, 30), count)]
        target: Any = dice.randrange(count)
        if kind is RANKING:
            target = [dice.choice([0.0, 0.1, 1.0]) for _ in range(count - 1)] + [2.0]
        elif kind is RETRIEVAL:
            target = sorted(dice.sample(range(1, count + 1), dice.randint(1, 3)))
        asked.append((f"{number}?", texts, target))
    found = of(kind, asked)

    def graded(answers: list[list[int]]) -> float:
        said = [",".join(map(str, answer)) for answer in answers]
        targets = [target for _, _, target in asked]
        return module.overall([module.parse(text) for text in said], targets, METRIC[kind])

    longest = []
    for _, texts, _ in asked:
        by_place = dict(enumerate(map(len, texts), start=first))
        longest.append(sorted(by_place, key=by_place.__getitem__, reverse=True))
    by_length = {"the longest": longest, "the shortest": [order[::-1] for order in longest]}
    length = family(found, "length")
    assert length.score == pytest.approx(max(map(graded, by_length.values())), abs=1e-4)
    assert length.score == pytest.approx(graded(by_length[length.how]), abs=1e-4)
    constant = family(found, "constant")
    assert constant.score == pytest.approx(graded([list(map(int, constant.how.split(",")))] * 60), abs=1e-4)
    orders = [list(order) for order in itertools.permutations(range(first, 5 + first))]
    assert constant.score >= max(graded([order] * 60) for order in orders) - 0.01
    whole = [
        graded([[place for place in order if place < len(texts) + first] for _, texts, _ in asked])
        for order in orders
    ]
    assert found.chance == pytest.approx(sum(whole) / len(whole), abs=0.01)


def test_entities_are_copied_and_guessed() -> None:
    asked: list[Question] = [
        (f"Which brand?\nTitle: {brand} lamp", [], [brand]) for brand in ("Lux", "Lux", "Acme", "Ikon")
    ]
    found = of(ENTITIES, asked)
    assert found.found == (Shortcut("copy", "the first word", 1.0), Shortcut("constant", "Lux", 0.5))
    assert (found.options, found.chance) == ((0, 0), 0.0)


def test_a_text_that_stands_in_the_question_is_copied() -> None:
    asked: list[Question] = [
        (f'What is "the {name} lamp" called?', [], f"the {name} lamp") for name in ("red", "blue")
    ]
    assert best(TEXT, asked) == ("copy", "what it is about", 1.0)


def test_a_run_says_what_its_recipe_gives_away(shop: Path, shop_run: Path) -> None:
    tasks = read_manifest(shop_run)["tasks"]
    recipe = load(str(shop / "recipes/shop.yaml"))
    for name, task in tasks.items():
        assert task["shortcuts"]["rows"] == task["kept"]["train"], name
        found = [shortcut["score"] for shortcut in task["shortcuts"]["found"]]
        assert found == sorted(found, reverse=True)
    train = [path for path in shard_files(shop_run) if path.name.startswith("train")]
    again = shortcuts.of_run(train, recipe.tasks)
    assert {name: task["shortcuts"] for name, task in tasks.items()} == {
        name: json.loads(json.dumps(of_task.as_json())) for name, of_task in again.items()
    }
