"""What counts tokens: a model's tokenizer where it is at hand, Qwen's vocabulary, or an estimate."""

import base64
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from datagen.prompts import token_count
from datagen.prompts.chat import prompt_ids, special_tokens
from datagen.prompts.token_count import Estimate, QwenVocabulary, token_counter
from datagen.prompts.token_estimate import estimated_tokens
from datagen.schema import TaskType


def nothing(folder: Path) -> Any:
    raise AssertionError(f"{folder} was loaded")


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    """A vocabulary of bytes, as tiktoken writes one."""
    if importlib.util.find_spec("tiktoken") is None:
        pytest.skip("needs tiktoken")
    lines = [f"{base64.b64encode(bytes([value])).decode()} {value}" for value in range(256)]
    (tmp_path / "qwen.tiktoken").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "qwen.tiktoken"


def test_a_folder_is_counted_by_its_own_tokenizer(tmp_path: Path) -> None:
    found = token_counter(str(tmp_path), lambda folder: f"of {folder.name}")
    if importlib.util.find_spec("transformers"):
        assert found == (f"of {tmp_path.name}", "its own tokenizer", True)


def test_without_any_vocabulary_it_is_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_count, "_vocabulary", lambda: None)
    found = token_counter("Qwen/Qwen2-72B-Instruct", nothing)
    assert (found.exact, found.how.startswith("an estimate")) == (False, True)
    assert "pip install --no-deps dashscope" in found.how
    assert "dashscope" not in token_counter("some/Llama", nothing).how


def test_an_estimate_counts_marks_as_one_token() -> None:
    ids = Estimate(False).encode("<|im_start|>user\nWhich lamp?<|im_end|>\n")
    assert len(ids) == 2 + estimated_tokens("user\nWhich lamp?")


def test_qwens_chat_is_worded_and_counted(vocabulary: Path) -> None:
    counted = QwenVocabulary(vocabulary, False)
    ids = prompt_ids(counted, TaskType.RANKING, "é1")
    text = "system\nYou are a helpful online shopping assistant. Your task is ranking.\nuser\né1\nassistant\n"
    assert len(ids) == len(text.encode()) + 5  # two turns, and the beginning of a third
    thinks = prompt_ids(QwenVocabulary(vocabulary, True), TaskType.RANKING, "é1")
    assert len(thinks) == len(ids) + 2 + 4  # both marks, and twice two line ends
    assert counted.encode("e\u0301") == counted.encode("é")  # as the tokenizer normalises


def test_marks_in_a_text_are_known(vocabulary: Path) -> None:
    assert special_tokens(QwenVocabulary(vocabulary, False)) == (
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
    )


def test_an_estimate_shares_tokens_where_texts_begin_alike() -> None:
    beginning = "Rank the products below by how well they answer the query. "
    one, other = (Estimate(False).encode(beginning + of) for of in ("red lamp", "a blue chair for two"))
    shared = next(at for at, (of, to) in enumerate(zip(one, other, strict=False)) if of != to)
    assert shared == len(beginning) // 4
    assert not set(one[shared:]) & set(other[shared:])
    japanese = [
        Estimate(False).encode(text) for text in ("赤いランプを選んでください", "青い椅子を選んでください")
    ]
    assert not set(japanese[0]) & set(japanese[1])
