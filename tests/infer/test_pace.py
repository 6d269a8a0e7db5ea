"""The pace: what a time limit does to answers, with an engine whose tokens take a known time."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.classify.task_type import Guess
from datagen.errors import UserError
from datagen.schema import TaskType
from datagen.shopbench.limits import Limit
from datagen.tasks import TASKS
from infer.serve.engine import Request, Response, Text
from infer.serve.fallback import ruled
from infer.serve.pace import BY_RULE, SHORTENED, Pace, ask_within, limit_of
from infer.serve.prepare import Prepared, guessed, prepare
from tests.infer.test_predict import Letters

CHOICE = "Which one is a lamp?\n0. red chair\n1. blue lamp\n2. green mug\nAnswer: "
TEXT = "Explain the product type 'table lamp'.\nOutput: "
KINDS = {CHOICE: TaskType.MULTIPLE_CHOICE, TEXT: TaskType.GENERATION}


@dataclass
class Slow:
    """An engine that takes so many seconds a token read and written, of a clock of its own."""

    read: float = 0.0
    written: float = 0.0
    now: float = 0.0
    tokenizer: Any = field(default_factory=Letters)
    asked: list[Request] = field(default_factory=list)

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        self.asked += requests
        found = []
        for request in requests:
            most = request.constraint.max_tokens
            text = request.constraint.choices[0] if request.constraint.choices else "a" * most
            self.now += self.read * len(request.ids) + self.written * len(text)
            found.append(Response(text, len(request.ids), len(text), "length"))
        return found

    def likelihoods(self, texts: Sequence[Text]) -> list[float]:
        self.now += self.read * sum(len(text.ids) - text.start for text in texts)
        return [-float(len(text.ids)) for text in texts]

    def monotonic(self) -> float:
        return self.now


def all_asked(
    engine: Slow,
    seconds: float,
    prompts: Sequence[str],
    size: int,
    choose: str = "number",
) -> list[tuple[Response, str | None]]:
    """The responses to all prompts, in calls of `size`, within so many seconds."""
    pace = Pace(Limit(seconds, dict(Counter(KINDS[prompt] for prompt in prompts))), 0.0, engine.monotonic)
    found = []
    for start in range(0, len(prompts), size):
        part = prompts[start : start + size]
        ready = [
            prepare(engine.tokenizer, text, guessed(text, text == CHOICE), 2000, choose=choose)
            for text in part
        ]
        found += ask_within(engine, pace, ready, part)
    return found


def test_time_enough_changes_nothing() -> None:
    engine = Slow(read=0.001, written=0.004)
    found = all_asked(engine, 1000, [CHOICE, TEXT] * 20, 4)
    assert {problem for _, problem in found} == {None}
    assert {request.constraint.max_tokens for request in engine.asked} == {1, 64}


def test_answers_get_shorter_before_any_is_left_to_a_rule() -> None:
    engine = Slow(read=0.0001, written=0.01)  # 64 tokens take .64 s, and there are .3 s a question
    found = all_asked(engine, 30, [TEXT] * 100, 5)
    problems = Counter(problem for _, problem in found)
    assert problems[BY_RULE] == 0
    assert problems[SHORTENED] > 80
    assert 24 < engine.now < 30


def test_they_get_longer_again_where_the_engine_is_faster_than_it_was() -> None:
    engine = Slow(read=0.0001, written=0.05)
    pace = Pace(Limit(60, {TaskType.GENERATION: 200}), 0.0, engine.monotonic)
    lengths = []
    for call in range(40):
        engine.written = 0.05 if call < 5 else 0.001
        ready = [prepare(engine.tokenizer, TEXT, guessed(TEXT, False), 2000) for _ in range(5)]
        lengths.append(len(ask_within(engine, pace, ready, [TEXT] * 5)[-1][0].text))
    assert min(lengths[1:8]) < 20
    assert lengths[-1] == 64


def test_where_that_will_not_do_the_dearest_are_answered_by_rule() -> None:
    engine = Slow(read=0.001, written=0.05)
    prompts = [CHOICE, TEXT] * 50
    found = all_asked(engine, 25, prompts, 4)
    by_rule = Counter(
        KINDS[prompt] for prompt, (_, problem) in zip(prompts, found, strict=True) if problem == BY_RULE
    )
    assert by_rule[TaskType.MULTIPLE_CHOICE] < 5 < 25 < by_rule[TaskType.GENERATION] < 50
    assert engine.now < 25


@pytest.mark.parametrize("choose", ["number", "text"])
@pytest.mark.parametrize("seconds", [0.001, 3, 20, 100])
def test_every_question_gets_an_answer_that_parses_and_the_limit_holds(seconds: float, choose: str) -> None:
    engine = Slow(read=0.002, written=0.02)
    prompts = [TEXT] * 30 + [CHOICE] * 100 + [TEXT] * 30
    found = all_asked(engine, seconds, prompts, 16, choose)
    for prompt, (response, _) in zip(prompts, found, strict=True):
        assert TASKS[KINDS[prompt]].parse(response.text) in (0, 1, 2) if prompt == CHOICE else response.text
    assert engine.now <= max(seconds, 8)  # but for a first call, of which nothing was known


def test_a_call_keeps_to_the_seconds_of_its_own_questions() -> None:
    engine = Slow(read=0.02)
    pace = Pace(Limit(10_000, {TaskType.MULTIPLE_CHOICE: 100}), 0.0, engine.monotonic)
    long = "x" * 1900 + CHOICE
    for prompts in ([CHOICE] * 4, [CHOICE, CHOICE, CHOICE, long]):
        ready = [prepare(engine.tokenizer, text, guessed(text, True), 2000) for text in prompts]
        before = engine.now
        found = ask_within(engine, pace, ready, prompts)
        assert engine.now - before < 10 * len(prompts)
    assert [problem for _, problem in found] == [None, None, None, BY_RULE]
    assert found[-1][0].text == "1"  # the lamp


def test_more_questions_than_were_told_of_are_answered_too() -> None:
    engine = Slow(read=0.001, written=0.001)
    pace = Pace(Limit(30, {}), 0.0, engine.monotonic)
    for _ in range(200):
        ready = [prepare(engine.tokenizer, TEXT, guessed(TEXT, False), 2000)]
        assert ask_within(engine, pace, ready, [TEXT])[0][0].text
    assert engine.now < 30


def test_a_limit_comes_from_the_environment_or_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "submission.json"
    file.write_text(json.dumps({"minutes": 2, "questions": {"ranking": 3}, "model": "x"}))
    assert limit_of(file) == Limit(120, {TaskType.RANKING: 3})
    monkeypatch.setenv("SHOPTALK_LIMIT", '{"minutes": 1, "questions": {}}')
    assert limit_of(file) == Limit(60, {})
    monkeypatch.setenv("SHOPTALK_LIMIT", "70m")
    with pytest.raises(UserError, match="SHOPTALK_LIMIT: not JSON"):
        limit_of(file)


@pytest.mark.parametrize(
    ("prompt", "flag", "answer"),
    [
        (CHOICE, True, "1"),
        (CHOICE.replace("Which one is a lamp?", "Which of the lamps is the odd one out?"), True, "0"),
        ("", True, "0"),
        (
            "The query is 'desk lamp'. Rank the products, best first. Output the numbers with commas."
            "\n1. mug\n2. lamp\n3. desk lamp\n4. chair\n5. rug\nOutput: ",
            False,
            "3,2,1,4,5",
        ),
        (TEXT, False, "table lamp"),
        ("Explain the product type Handbag\nOutput:", False, "Explain the product type Handbag"),
        ("", False, ""),
    ],
)
def test_rules_take_what_shares_most_words(prompt: str, flag: bool, answer: str) -> None:
    assert ruled(prompt, guessed(prompt, flag)) == answer


@given(st.text(max_size=200), st.sampled_from(list(TaskType)), st.lists(st.integers(0, 30), max_size=6))
def test_rules_give_what_parses_for_any_text(prompt: str, kind: TaskType, numbers: list[int]) -> None:
    text = ruled(prompt, Guess(kind, tuple(dict.fromkeys(numbers)), prompt, "en"))
    value = TASKS[kind].parse(text)
    if kind is TaskType.MULTIPLE_CHOICE:
        assert value >= 0
    elif kind in (TaskType.RANKING, TaskType.RETRIEVAL):
        assert value


def test_a_question_that_cannot_be_asked_has_the_rules_answer() -> None:
    pace = Pace(Limit(10, {}), 0.0, Slow().monotonic)
    one = Prepared(guessed(CHOICE, True), problem="failed: of itself")
    assert ask_within(Slow(), pace, [one], [CHOICE]) == [(Response("1", 0, 0, "rule"), None)]
