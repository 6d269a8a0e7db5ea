"""The chat around a question: the same messages and the same tokens in training and in serving."""

import functools
from pathlib import Path
from typing import Any, Protocol

from datagen.errors import UserError
from datagen.schema import TaskType


def system(task_type: TaskType) -> str:
    """The system message of every row and every question of a task type."""
    return f"You are a helpful online shopping assistant. Your task is {task_type.value.replace('_', ' ')}."


def chat(task_type: TaskType, prompt: str) -> list[dict[str, str]]:
    """The messages that are trained on and served for one worded question."""
    return [{"role": "system", "content": system(task_type)}, {"role": "user", "content": prompt}]


class Tokenizer(Protocol):
    """The methods of a Hugging Face tokenizer that a prompt needs."""

    def apply_chat_template(self, conversation: list[dict[str, str]], /, **settings: Any) -> Any:
        """The conversation as the model reads it."""

    def encode(self, text: str, /, **settings: Any) -> list[int]:
        """The text's token ids."""


def prompt_ids(tokenizer: Tokenizer, task_type: TaskType, prompt: str) -> list[int]:
    """The tokens before the answer: what a model is trained on and what it is sent, from one function.

    Models that can think first are told not to: their templates read `enable_thinking`, others pass it over.
    """
    text = tokenizer.apply_chat_template(
        chat(task_type, prompt), tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    return tokenizer.encode(text, add_special_tokens=False)  # the chat template holds them


@functools.cache
def special_tokens(tokenizer: Any) -> tuple[str, ...]:
    """What a tokenizer reads as the beginning or end of a turn and the like, wherever it stands in a text."""
    return tuple(token.content for token in tokenizer.added_tokens_decoder.values() if token.special)


def check_chat(tokenizer: Tokenizer, model: Path) -> None:
    """Raises UserError where a model's chat template does not take a system message and a user's."""
    try:
        prompt_ids(tokenizer, TaskType.GENERATION, "Which?")
    except Exception as error:  # a template can raise what it likes
        raise UserError(
            f"{model}: its chat template does not take a system message and a user's ({error}). Name another "
            "model, or write a chat_template.jinja into its folder that does"
        ) from error
