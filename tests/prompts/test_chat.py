"""The chat around a question: a model that could think first is told not to, in training and in answering."""

import importlib.util
from typing import Any

import pytest

from datagen.prompts.chat import chat, prompt_ids
from datagen.schema import TaskType
from tests.conftest import byte_tokenizer

PLAIN = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKING = (
    PLAIN + "{% if add_generation_prompt and enable_thinking is defined and enable_thinking is false %}"
    "<think>\n\n</think>\n\n{% endif %}"
)


def tokenizer(template: str) -> Any:
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("needs transformers, which the extra `finetune` brings")
    return byte_tokenizer(template)


def said(template: str) -> str:
    made = tokenizer(template)
    return str(made.decode(prompt_ids(made, TaskType.RANKING, "Which?")))


def test_a_model_that_can_think_is_told_that_it_has_done_so() -> None:
    assert said(THINKING).endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")


def test_a_template_that_knows_no_thinking_is_as_before() -> None:
    made = tokenizer(PLAIN)
    whole = made.apply_chat_template(
        chat(TaskType.RANKING, "Which?"), tokenize=False, add_generation_prompt=True
    )
    assert said(PLAIN) == whole
    assert whole.endswith("<|im_start|>assistant\n")


def test_a_row_is_trained_after_the_same_tokens() -> None:
    from finetune.dataset import row_ids

    made = tokenizer(THINKING)
    row = {
        "id": "0",
        "task_type": "ranking",
        "prompt": chat(TaskType.RANKING, "Which?"),
        "completion": [{"role": "assistant", "content": "1,2"}],
    }
    prompt, answer = row_ids(row, made)
    assert prompt == prompt_ids(made, TaskType.RANKING, "Which?")
    assert made.decode(answer) == "1,2<|im_end|>"
