"""The line of questions: batches of what waits together, and nobody's answer lost at its end."""

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Any

import pytest

from datagen.schema import TaskType
from infer.batches import schedule
from infer.serve.engine import Engine, Response
from infer.serve.prepare import UNKNOWN, Prepared
from infer.serve.waiting import Answered, Full, Line, Question, answers_of
from tests.infer.test_predict import QUESTIONS


def test_what_waits_together_is_asked_together_and_no_more_than_fits() -> None:
    begun, go_on, sizes = threading.Event(), threading.Event(), []

    def answer(questions: Sequence[Question]) -> list[Answered]:
        sizes.append(len(questions))
        begun.set()
        assert go_on.wait(20)
        return [Answered(Prepared(UNKNOWN), Response(prompt, 1, 1, "stop")) for prompt, _ in questions]

    line = Line(answer, at_once=4, most=9)
    first = line.join(Question("first", None))
    assert begun.wait(20)
    rest = [line.join(Question(str(number), None)) for number in range(9)]
    with pytest.raises(Full, match="again in 9 s"):
        line.join(Question("one too many", None))
    rest[3].cancel()
    last = line.join(Question("last", None))
    go_on.set()
    texts = [one.result(20).response.text for one in (first, *rest[:3], *rest[4:], last)]
    assert texts == ["first", *"012", *"45678", "last"]
    line.close()
    assert sizes == [1, 4, 4, 1]


def test_at_the_end_what_is_in_work_is_answered_and_what_waits_is_not_asked() -> None:
    begun, go_on, asked = threading.Event(), threading.Event(), list[str]()

    def answer(questions: Sequence[Question]) -> list[Answered]:
        asked.extend(prompt for prompt, _ in questions)
        begun.set()
        assert go_on.wait(20)
        return [Answered(Prepared(UNKNOWN), Response("", 1, 1, "stop")) for _ in questions]

    line = Line(answer, at_once=1, most=9)
    first = line.join(Question("first", None))
    assert begun.wait(20)
    second = line.join(Question("second", None))
    threading.Timer(0.1, go_on.set).start()
    line.close()
    assert first.result().response.text == ""
    with pytest.raises(CancelledError):
        second.result()
    assert asked == ["first"]


@pytest.mark.parametrize("choose", ["number", "text"])
def test_answers_are_those_of_a_run(engine: Engine, tmp_path: Any, choose: str) -> None:
    context = 1024
    answer = answers_of(engine, context, choose)
    by_run: dict[str, Response] = {}
    for batch in schedule(tmp_path, QUESTIONS, 64):
        found = answer([Question(one.prompt, one.is_multiple_choice) for one in batch.asked])
        by_run |= {one.id: given.response for one, given in zip(batch.asked, found, strict=True)}
    line = Line(answer, at_once=5, most=1000)
    waiting = [(one, line.join(Question(one.prompt, one.is_multiple_choice))) for one in QUESTIONS]
    kinds = set()
    for one, future in waiting:
        given = future.result(120)
        kinds.add(given.prepared.guess.task_type)
        assert given.response == by_run[one.id]
    line.close()
    assert kinds >= {TaskType.MULTIPLE_CHOICE, TaskType.GENERATION}


def test_after_a_failure_the_engine_gives_each_its_own(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = answers_of(engine, 1024, "number")
    questions = [Question(one.prompt, one.is_multiple_choice) for one in QUESTIONS[:6]]
    before = [given.response.text for given in answer(questions)]
    vllm = engine._llm.llm_engine
    step, calls = vllm.step, iter(range(1000))

    def once() -> Any:
        if next(calls) == 1:
            raise RuntimeError("out of memory")
        return step()

    monkeypatch.setattr(vllm, "step", once)
    with pytest.raises(RuntimeError):
        answer(questions[::-1])
    assert [given.response.text for given in answer(questions)] == before
