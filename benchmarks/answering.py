"""What shared prefixes, the order of questions, and the lengths of answers are worth: time and score of each.

    make bench NAME=answering [ROWS=64] [QUESTIONS=file]

The embedded model answers test questions of all five types, in calls of 64 as `infer run` sends them, each
time with one thing changed; a table, then JSON. Times are without loading; CPU seconds are the process's own,
so that other work on the machine counts for little. Options are chosen by number, and again by text.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from build import built_from_sample

from datagen.classify.task_type import Guess
from datagen.shopbench.questions import Asked, read_questions
from datagen.tasks import named_entity_recognition
from finetune.base_models import base_model
from infer.batches import balanced
from infer.scoring.score import plan, score
from infer.serve import constraints
from infer.serve.engine import Engine, settings
from infer.serve.prepare import Prepared, guessed, prepare
from infer.serve.respond import ask

ROWS = 64
MODEL = "smollm2-135m"
RECIPE = "esci_all"
TOGETHER = 64
WARMING = 4  # questions before what is measured

Ready = tuple[Asked, Guess, Prepared]


class Took(NamedTuple):
    """One pass over the questions: what it was, its time, tokens written, and its score."""

    choose: str
    what: str
    seconds: float
    cpu_seconds: float
    written: int
    score: float


def by_type(ready: Ready) -> tuple[str, str]:
    """The order of `infer run`: questions of one type together, those that begin alike side by side."""
    return ready[1].task_type.value, ready[0].prompt


def by_length(ready: Ready) -> int:
    """Prompts of one length together, which a padded batch would want."""
    return len(ready[0].prompt)


@contextmanager
def lengths(text: int, words: int, entities: int) -> Iterator[None]:
    """Other limits on free answers: tokens of a text, words before its last sentence, tokens of entities."""
    with (
        mock.patch.object(constraints, "LONGEST_TEXT", text),
        mock.patch.object(constraints, "ENOUGH_WORDS", words),
        mock.patch.object(named_entity_recognition, "LONGEST_ANSWER", entities),
    ):
        yield


@contextmanager
def kept_prefixes() -> Iterator[None]:
    """Prefixes are shared between calls, too, rather than within one.

    Likelihoods cannot: vLLM has none for what another call left in its cache.
    """
    import vllm

    with mock.patch.object(vllm.LLM, "reset_prefix_cache", return_value=True):
        yield


@contextmanager
def no_prefixes() -> Iterator[None]:
    """No prefix is computed once for two questions; for an engine that is loaded within."""
    import vllm

    whole = vllm.LLM
    with mock.patch.object(
        vllm, "LLM", lambda *args, **how: whole(*args, **how | {"enable_prefix_caching": False})
    ):
        yield


def with_prefixes(folder: Path, asked: list[Asked]) -> list[Took]:
    """The passes of an engine as it is."""
    engine = Engine(folder, settings(folder))
    _Pass(engine, folder, asked[:WARMING], "number").took("")
    numbers, texts = _Pass(engine, folder, asked, "number"), _Pass(engine, folder, asked, "text")
    return [
        numbers.took("as infer run does"),
        texts.took("as infer run does"),
        numbers.took("texts of 50 tokens and 15 words, entities of 15", within=lengths(50, 15, 15)),
        numbers.took("texts of 128 tokens and 60 words, entities of 64", within=lengths(128, 60, 64)),
        numbers.took("in the order of the questions", order=lambda ready: 0),
        numbers.took("in the order of their lengths", order=by_length),
        numbers.took("in calls of 16", together=16),
        numbers.took("in calls of 16, prefixes kept between calls", together=16, within=kept_prefixes()),
        texts.took("in calls of 16", together=16),
    ]


def without_prefixes(folder: Path, asked: list[Asked]) -> list[Took]:
    """The same without shared prefixes."""
    chosen = settings(folder)
    with no_prefixes():
        engine = Engine(folder, chosen)
    _Pass(engine, folder, asked[:WARMING], "number").took("")
    return [_Pass(engine, folder, asked, choose).took("no prefixes shared") for choose in ("text", "number")]


class _Pass:
    def __init__(self, engine: Engine, folder: Path, asked: list[Asked], choose: str) -> None:
        self._engine, self._asked, self._choose = engine, asked, choose
        self._context = settings(folder).context

    def took(
        self,
        what: str,
        *,
        order: Callable[[Ready], Any] = by_type,
        together: int = TOGETHER,
        within: Any = None,
    ) -> Took:
        """Ask all questions once."""
        with within or lengths(
            constraints.LONGEST_TEXT, constraints.ENOUGH_WORDS, named_entity_recognition.LONGEST_ANSWER
        ):
            ready = sorted(map(self._ready, self._asked), key=order)
            start, cpu = time.monotonic(), time.process_time()
            responses = []
            for first in range(0, len(ready), together):
                part = [prepared for _, _, prepared in ready[first : first + together]]
                responses += ask(self._engine, part)
            seconds, cpu = time.monotonic() - start, time.process_time() - cpu
        texts = {asked.id: response.text for (asked, _, _), response in zip(ready, responses, strict=True)}
        planned = plan(self._asked)
        found = score(planned, [texts[question.id] for question in planned.asked], "shopbench")
        written = sum(response.tokens for response in responses)
        took = Took(self._choose, what, seconds, cpu, written, found.overall.score)
        print(took, file=sys.stderr, flush=True)
        return took

    def _ready(self, asked: Asked) -> Ready:
        guess = guessed(asked.prompt, asked.is_multiple_choice)
        return (
            asked,
            guess,
            prepare(self._engine.tokenizer, asked.prompt, guess, self._context, choose=self._choose),
        )


def main() -> None:
    """Measure all and print what came out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--questions", type=Path)
    given = parser.parse_args()
    folder = base_model(MODEL)
    with tempfile.TemporaryDirectory() as work:
        source = given.questions or built_from_sample(Path(work), RECIPE)
        asked = balanced(read_questions(source), given.rows)
        passes = [*_alone(without_prefixes, folder, asked), *_alone(with_prefixes, folder, asked)]
    chosen = settings(folder)
    print(f"{MODEL}, {len(asked)} questions, {chosen.device}, {chosen.dtype}")
    print(f"{'choose':<8}{'':<50}{'seconds':>8}{'CPU s':>8}{'written':>9}{'score':>7}")
    for took in passes:
        print(
            f"{took.choose:<8}{took.what:<50}{took.seconds:>8.1f}{took.cpu_seconds:>8.1f}{took.written:>9,}"
            f"{took.score:>7.3f}"
        )
    print(json.dumps([took._asdict() for took in passes]))


def _alone(
    measure: Callable[[Path, list[Asked]], list[Took]], folder: Path, asked: Sequence[Asked]
) -> list[Took]:
    """The passes, in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        return executor.submit(measure, folder, list(asked)).result()


if __name__ == "__main__":
    main()
