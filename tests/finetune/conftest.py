"""Fixtures of the tests of training: a tiny model, its tokenizer, and runs of rows written by hand."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datagen.prompts.chat import chat
from datagen.schema import SHARD, TaskType
from datagen.storage.files import write_parquet
from datagen.storage.manifest import write_manifest

QUESTIONS = [
    ("Which of these is a lamp?\n0. {0} chair\n1. {0} lamp\n2. {0} mug", "1"),
    ("Which of these is a mug?\n0. {0} mug\n1. {0} chair\n2. {0} lamp", "0"),
    (
        "Find the colour in the title.\nTitle: {0} chair with arms, for the office and for long evenings",
        "{0}",
    ),
]
COLOURS = ["red", "green", "blue", "white", "black", "brown", "pink", "grey"]

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

Row = tuple[TaskType, str, str]
WriteRun = Callable[..., Path]


def rows() -> list[Row]:
    """Two dozen questions of two types, the same on every run."""
    found = []
    for colour in COLOURS:
        for number, (question, answer) in enumerate(QUESTIONS):
            kind = TaskType.MULTIPLE_CHOICE if number < 2 else TaskType.NAMED_ENTITY_RECOGNITION
            found.append((kind, question.format(colour), answer.format(colour)))
    return found


@pytest.fixture(scope="session", autouse=True)
def model_libraries() -> None:
    """Training needs what `pip install shoptalk[finetune]` brings."""
    for name in ("torch", "transformers", "trl", "peft"):
        pytest.importorskip(name, reason="needs the extra `finetune`")


@pytest.fixture(scope="session")
def write_run() -> WriteRun:
    def write_run(folder: Path, train: Sequence[Row], test: Sequence[Row]) -> Path:
        """A finished run of datagen that holds these rows."""
        (folder / "data").mkdir(parents=True)
        files = {}
        for side, questions in (("train", train), ("test", test)):
            if questions:
                name = f"data/{side}-00000-of-00001.parquet"
                table = pa.Table.from_pylist(
                    [_shard_row(f"{side}{i}", *row) for i, row in enumerate(questions)], schema=SHARD
                )
                write_parquet(table, folder / name)
                files[name] = {"rows": len(questions)}
        write_manifest(folder, {"recipe": folder.name, "made_up": [], "files": files})
        return folder

    return write_run


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, write_run: WriteRun) -> Path:
    """Two dozen rows to train on, six to test on. Tests look at it, and change only copies."""
    return write_run(tmp_path_factory.mktemp("runs") / "tiny", rows(), rows()[3:9])


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with 30,000 random weights, and a tokenizer made from a few words. Never changed."""
    return write_base(tmp_path_factory.mktemp("models") / "tiny", seed=0)


def write_base(folder: Path, seed: int) -> Path:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([question for _, question, _ in rows()], trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>", chat_template=TEMPLATE
    )
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.3,
        eos_token_id=fast.eos_token_id,
        bos_token_id=None,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_config(tiny_base: Path, tmp_path: Path) -> Path:
    """A config that trains the tiny model in a second."""
    path = tmp_path / "tiny.yaml"
    path.write_text(
        f"base: {tiny_base}\nrank: 4\nalpha: 8\ndropout: 0.1\nprecision: float32\nlr: 0.02\n"
        "warmup_steps: 2\nepochs: 5\nmax_length: 512\nbatch_rows: 4\n"
        "micro_batch_tokens: 300\neval_rows: 6\neval_every: 4\n",
        encoding="utf-8",
    )
    return path


def metrics(run: Path) -> list[dict[str, Any]]:
    """What a training logged."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def _shard_row(key: str, kind: TaskType, question: str, answer: str) -> dict[str, Any]:
    return {
        "id": key,
        "prompt": chat(kind, question),
        "completion": [{"role": "assistant", "content": answer}],
        "task": "tiny",
        "task_type": kind.value,
        "track": "user_behavior_alignment",
        "language": "en",
        "metric": "accuracy",
        "target": "0",
        "source": ["esci"],
        "license": ["Apache-2.0"],
        "key": key,
        "template": "none.j2",
        "wording": 0,
        "teacher": None,
        "choices": [line[3:] for line in question.split("\n") if line[1:3] == ". "],
    }
