"""Fixtures of the tests of answering: a tiny model of random weights, and vLLM with it loaded."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from datagen.hf.openmp import sleep_while_waiting
from infer.serve.engine import Engine, settings
from tests.conftest import byte_tokenizer

sleep_while_waiting()  # as the engine has it, before anything imports torch

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers that has learnt nothing: what it says in form, its constraint makes it say."""
    for name in ("torch", "transformers"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}, which the extras `infer` and `infer-cpu` bring")
    return write_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def tokenizer(tiny_model: Path) -> Any:
    """The tiny model's tokenizer: bytes, digits alone, and ChatML's special tokens."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture(scope="session")
def engine(tiny_model: Path, with_vllm: None) -> Engine:
    """The tiny model in vLLM; loaded once, as importing vLLM takes most of the time."""
    return Engine(tiny_model, settings(tiny_model))


@pytest.fixture(scope="session")
def with_vllm() -> None:
    """What needs vLLM is skipped where it is not installed."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("needs vLLM: the extra `infer-cpu`, or `infer` where there is a GPU")


def write_model(folder: Path) -> Path:
    """Write a Llama of 100,000 random weights, always the same; its tokens are bytes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    fast = byte_tokenizer(TEMPLATE)
    fast.save_pretrained(folder)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,  # vLLM's kernels for the CPU want heads of 32
        num_key_value_heads=1,
        max_position_embeddings=1024,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=fast.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
