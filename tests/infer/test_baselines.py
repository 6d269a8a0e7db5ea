"""Trivial baselines: legal, repeatable, and as good as such answers can be."""

import itertools
from typing import Any

import pytest

from datagen.schema import TaskType
from datagen.shopbench.questions import Asked
from infer.scoring.baselines import best
from infer.scoring.score import plan, score

CHOICE, RANKING, RETRIEVAL, ENTITIES, TEXT = TaskType
LIST = "\n".join(f"{number}. item {number}" for number in range(1, 11))
FIVE = "\n".join(f"{number}. item {number}" for number in range(1, 6))
PROMPTS = {
    CHOICE: "Which?\n0. a\n1. b\n2. c\n3. d\nAnswer:",
    RANKING: f"Rank these. Output numbers, with commas.\n{FIVE}",
    RETRIEVAL: f"Select three. Output numbers, with commas.\n{LIST}",
}

IDS = itertools.count()


def asked(kind: TaskType, target: Any, metric: str, prompt: str = "", task: str = "") -> Asked:
    text = prompt or PROMPTS[kind]
    return Asked(str(next(IDS)), text, kind is CHOICE, task, kind, "", metric, target, None)


def test_the_best_constant_choice_is_the_most_frequent_right_number() -> None:
    questions = [asked(CHOICE, number, "accuracy", task="a") for number in [2] * 60 + [0, 1, 3] * 20]
    found = best(plan(questions))
    assert found.scores.overall.score == 0.5
    assert found.how == {"multiple_choice": "constant '2'"}
    assert set(found.answers) == {"2"}


def test_the_best_constant_order_is_the_best_of_all_orders() -> None:
    targets = [[3.0, 0.0, 1.0, 2.0, 0.0], [0.0, 3.0, 1.0, 0.0, 2.0], [1.0, 0.0, 3.0, 3.0, 1.0]] * 40
    planned = plan([asked(RANKING, target, "ndcg", task="a") for target in targets])
    orders = [",".join(order) for order in itertools.permutations("12345")]
    highest = max(score(planned, [order] * 120).overall.score for order in orders)
    assert best(planned).scores.overall.score == pytest.approx(highest)


def test_the_best_constant_places_are_the_best_of_all_places() -> None:
    targets = [[1, 2], [3], [3, 4, 9], [9, 10], [2, 3]] * 4
    planned = plan([asked(RETRIEVAL, target, "hit rate@3", task="a") for target in targets])
    triples = [",".join(map(str, triple)) for triple in itertools.combinations(range(1, 11), 3)]
    highest = max(score(planned, [triple] * 20).overall.score for triple in triples)
    assert best(planned).scores.overall.score == pytest.approx(highest)


def test_entities_that_open_their_text_cost_nothing() -> None:
    questions = [
        asked(
            ENTITIES, [brand], "micro f1", f"Extract the entity of type 'brand'.\nTitle: {brand} desk lamp\n"
        )
        for brand in ("acme", "bolt", "cosmo", "delta")
    ]
    found = best(plan(questions))
    assert (found.scores.overall.score, found.how) == (1.0, {"named_entity_recognition": "first word"})


def test_a_quoted_reference_costs_nothing() -> None:
    prompt = "A product entitled '{}' is sold in Spain. Give its title there.\nOutput:"
    titles = ["acme desk lamp with switch", "bolt garden hose of ten metres", "cosmo wooden chair in red"]
    questions = [asked(TEXT, title, "bleu", prompt.format(title)) for title in titles]
    found = best(plan(questions))
    assert (found.scores.overall.score, found.how) == (1.0, {"generation": "quote"})


def test_one_constant_serves_all_tasks_of_a_type_which_weigh_the_same() -> None:
    questions = [asked(CHOICE, 1, "accuracy", task="small")] * 20
    questions += [asked(CHOICE, 3, "accuracy", task="large")] * 500
    found = best(plan(questions))
    assert len(set(found.answers)) == 1
    assert found.scores.overall.score == 0.5


def test_a_question_that_no_rule_can_read_costs_no_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(prompt: str, flag: bool | None) -> None:
        raise RecursionError

    monkeypatch.setattr("infer.serve.prepare.classify", broken)
    assert best(plan([asked(CHOICE, 1, "accuracy")] * 3)).scores.overall.score == 1.0


def test_random_answers_are_legal_and_the_same_each_time() -> None:
    from datagen.classify.task_type import classify
    from infer.scoring.baselines import _random

    for kind, prompt in PROMPTS.items():
        question = asked(kind, None, "", prompt)
        guess = classify(prompt, kind is CHOICE)
        answer = _random(question, guess)
        assert answer == _random(question, guess)
        numbers = [int(part) for part in answer.split(",")]
        assert len(set(numbers)) == len(numbers) == {CHOICE: 1, RANKING: 5, RETRIEVAL: 3}[kind]
        assert set(numbers) <= set(guess.numbers)
