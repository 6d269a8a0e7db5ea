"""ShopBench's interface for submissions: batches of prompts, answered by the same code as a run.

model = ShopBenchModel("finetune/runs/mine/merged")
model.get_batch_size()
model.batch_predict({"prompt": ["Which ...?"]}, is_multiple_choice=True)
"""

from collections.abc import Iterable
from typing import Any

from datagen.hf.checkpoint import chooses_by, model_folder
from infer.serve.engine import Engine, settings
from infer.serve.prepare import guessed, prepare
from infer.serve.respond import ask

BATCH = 16
"""The most prompts that ShopBench sends together; it allows 10 seconds a prompt."""


class ShopBenchModel:
    """What ShopBench's evaluator creates once and asks until it has all answers."""

    def __init__(self, model: str) -> None:
        folder = model_folder(model)
        self._choose = chooses_by(folder)
        self._settings = settings(folder)
        self._engine = Engine(folder, self._settings)

    def get_batch_size(self) -> int:
        """How many prompts a call may have, from 1 to 16."""
        return BATCH

    def batch_predict(self, batch: dict[str, Any], is_multiple_choice: bool | list[bool]) -> list[str]:
        """One response for each of `batch["prompt"]`, in their order; empty where one cannot be asked.

        `is_multiple_choice` is of all prompts, or of each. Raises ValueError where there are not as
        many as prompts.
        """
        prompts = batch["prompt"]
        told = (
            is_multiple_choice
            if isinstance(is_multiple_choice, Iterable)
            else [is_multiple_choice] * len(prompts)  # a bool, or one of numpy's out of a table
        )
        prepared = [
            prepare(
                self._engine.tokenizer,
                prompt,
                guessed(prompt, bool(flag)),
                self._settings.context,
                choose=self._choose,
            )
            for prompt, flag in zip(prompts, told, strict=True)
        ]
        return [response.text for response in ask(self._engine, prepared)]
