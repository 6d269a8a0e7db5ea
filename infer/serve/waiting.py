"""The line of questions that wait for the engine; one thread takes them from it in batches.

It is bounded: a question that would wait too long is turned away at once, with the time after which to come
again. What nobody waits for any more is not asked.
"""

import math
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from infer.serve.engine import Response
from infer.serve.prepare import Prepared, guessed, prepare
from infer.serve.respond import Answerer, ask

GATHERING = 0.01
"""Seconds in which questions that arrive together come into one batch."""

LATEST = 60
"""Seconds after which one who was turned away is asked to come again, at most."""


class Question(NamedTuple):
    """A question as it is sent; `is_multiple_choice` is None where nobody said."""

    prompt: str
    is_multiple_choice: bool | None


class Answered(NamedTuple):
    """A question as it was asked, and the response."""

    prepared: Prepared
    response: Response


Answer = Callable[[Sequence[Question]], Sequence[Answered]]


class Full(Exception):
    """The line is full; in about so many seconds it has room again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many questions wait; ask again in {seconds} s")
        self.seconds = seconds


def answers_of(engine: Answerer, context: int, choose: str) -> Answer:
    """What answers a batch of questions, as a run does."""

    def answer(questions: Sequence[Question]) -> list[Answered]:
        prepared = [
            prepare(engine.tokenizer, prompt, guessed(prompt, told), context, choose=choose)
            for prompt, told in questions
        ]
        return list(map(Answered, prepared, ask(engine, prepared)))

    return answer


class Line:
    """The questions that wait, `most` of them, and the thread that has them answered, `at_once` together."""

    def __init__(self, answer: Answer, at_once: int, most: int) -> None:
        self._answer, self._at_once, self._most = answer, at_once, most
        self._waiting: deque[tuple[Question, Future[Answered]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._pace = 1.0  # seconds a question, of the last batches
        self.answered = 0
        self.failing = False
        self._thread = threading.Thread(target=self._work, name="answers", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, question: Question) -> Future[Answered]:
        """The question's answer, once it is its turn; cancelled before, it is not asked. Raises Full."""
        future: Future[Answered] = Future()
        with self._changed:
            if len(self._waiting) >= self._most:
                self._waiting = deque(one for one in self._waiting if not one[1].cancelled())
            if len(self._waiting) >= self._most:
                raise Full(min(max(math.ceil(len(self._waiting) * self._pace), 1), LATEST))
            self._waiting.append((question, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """End the thread, once it has answered what it has taken; what waits is not asked."""
        with self._changed:
            self._closed = True
            for _, future in self._waiting:
                future.cancel()
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            start = time.monotonic()
            self.failing = not self._tell(batch)
            self._pace = (self._pace + (time.monotonic() - start) / len(batch)) / 2

    def _next(self) -> list[tuple[Question, Future[Answered]]]:
        """The next batch, of those who still wait; empty at the end."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return []
            time.sleep(GATHERING)
            with self._changed:
                taken = [self._waiting.popleft() for _ in range(min(self._at_once, len(self._waiting)))]
            if batch := [one for one in taken if one[1].set_running_or_notify_cancel()]:
                return batch

    def _tell(self, batch: list[tuple[Question, Future[Answered]]]) -> bool:
        """Whether anyone got an answer. Where a batch fails, each is asked alone, so that one fails alone."""
        try:
            found = self._answer([question for question, _ in batch])
        except Exception as error:
            traceback.print_exc()
            if len(batch) > 1:
                told = [self._tell([one]) for one in batch]
                return any(told)
            batch[0][1].set_exception(error)
            return False
        for (_, future), answered in zip(batch, found, strict=True):
            future.set_result(answered)
        self.answered += len(batch)
        return True
