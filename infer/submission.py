"""ShopBench's interface for submissions: batches of prompts, answered by the same code as a run.

model = ShopBenchModel("finetune/runs/mine/merged")
model.get_batch_size()
model.batch_predict({"prompt": ["Which ...?"]}, is_multiple_choice=True)

With a file that says the time limit, answers get shorter as the time runs out (`infer.serve.pace`).
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datagen.hf.checkpoint import chooses_by, model_folder
from infer.serve.engine import Engine, settings
from infer.serve.fallback import ruled
from infer.serve.pace import FAILED, Pace, ask_within, limit_of
from infer.serve.prepare import Prepared, guessed, prepare
from infer.serve.respond import ask

BATCH = 16
"""The most prompts that ShopBench sends together; it allows 10 seconds a prompt."""

_BEGAN = time.monotonic()  # before vLLM is imported and the model loaded, which the limit counts

_WARMING = "Which one is a lamp?\n0. red chair\n1. blue lamp\nAnswer: "


class ShopBenchModel:
    """What ShopBench's evaluator creates once and asks until it has all answers."""

    def __init__(self, model: str, limit: Path | None = None) -> None:
        """Load a model; `limit` is the file with the time limit and the number of questions."""
        folder = model_folder(model)
        self._choose = chooses_by(folder)
        self._settings = settings(folder)
        self._pace = Pace(limit_of(limit), _BEGAN) if limit else None
        self._engine = Engine(folder, self._settings)
        self.problems: list[str | None] = []
        """What the time limit did to each answer of the last call, as `ask_within` tells it, or FAILED."""
        self._warm_up()

    def get_batch_size(self) -> int:
        """How many prompts a call may have, from 1 to 16."""
        return BATCH

    def batch_predict(self, batch: dict[str, Any], is_multiple_choice: bool | Sequence[bool]) -> list[str]:
        """One response for each of `batch["prompt"]`, in their order; it parses, or nothing was asked.

        `is_multiple_choice` is of all prompts, or of each. Raises ValueError where there are not as
        many as prompts.
        """
        prompts = [prompt if isinstance(prompt, str) else _text(prompt) for prompt in batch["prompt"]]
        told = (
            np.asarray(is_multiple_choice).reshape(-1).tolist()
        )  # a bool, one of numpy's, or a column of them
        flags = told * len(prompts) if len(told) == 1 else told
        prepared = [self._prepared(prompt, bool(flag)) for prompt, flag in zip(prompts, flags, strict=True)]
        try:
            found = self._answers(prepared, prompts)
        except Exception as error:  # of one prompt; the others have their answers without it
            _complain(f"a batch failed, so its prompts are asked one by one: {error}")
            found = [self._alone(*pair) for pair in zip(prepared, prompts, strict=True)]
        self.problems = [problem for _, problem in found]
        return [text for text, _ in found]

    def _warm_up(self) -> None:
        """Ask what nobody asked, twice: a first call takes longest, the second one tells the pace."""
        for measured in (False, True):
            for flag in (True, False):
                prepared = [self._prepared(_WARMING, flag)]
                start = time.monotonic()
                found = ask(self._engine, prepared)
                if measured and self._pace:
                    self._pace.took(prepared, [1.0], found, time.monotonic() - start)

    def _prepared(self, prompt: str, flag: bool) -> Prepared:
        guess = guessed(prompt, flag)
        return prepare(self._engine.tokenizer, prompt, guess, self._settings.context, choose=self._choose)

    def _answers(self, prepared: list[Prepared], prompts: list[str]) -> list[tuple[str, str | None]]:
        if self._pace:
            found = ask_within(self._engine, self._pace, prepared, prompts)
            return [(response.text, problem) for response, problem in found]
        return [
            (response.text if one.request or one.weighed else ruled(prompt, one.guess), None)
            for response, one, prompt in zip(ask(self._engine, prepared), prepared, prompts, strict=True)
        ]

    def _alone(self, prepared: Prepared, prompt: str) -> tuple[str, str | None]:
        try:
            return self._answers([prepared], [prompt])[0]
        except Exception as error:
            _complain(f"answered by rule: {error}")
            return ruled(prompt, prepared.guess), FAILED


def _text(prompt: object) -> str:
    """A prompt that is no text: a gap in a table asks nothing."""
    if isinstance(prompt, bytes):
        return prompt.decode("utf-8", "replace")
    return "" if str(prompt) in ("None", "nan", "<NA>") else str(prompt)


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")
