"""A folder that cannot be served is told from one that can before anything is loaded, in one line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from datagen.errors import UserError
from infer.model import fingerprint, model_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all the files that a model has; nobody opens its weights."""
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 512}')
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "</s>", "chat_template": "x"}')
    (tmp_path / "model.safetensors").write_bytes(bytes(range(256)) * 40_000)
    return tmp_path


def test_a_folder_with_all_files_is_taken(folder: Path) -> None:
    assert model_folder(str(folder)) == folder


def rename(old: str, new: str) -> Callable[[Path], object]:
    return lambda folder: (folder / old).rename(folder / new)


def rewrite(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


INDEX = json.dumps({"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (shutil.rmtree, ["no such model folder", "finetune/runs/NAME/merged"]),
        (rename("config.json", "adapter_config.json"), ["an adapter", "Run: finetune merge"]),
        (rename("config.json", "x.json"), ["no config.json"]),
        (rename("model.safetensors", "pytorch_model.bin"), ["pickled", "pytorch_model.bin", "can run code"]),
        (rename("model.safetensors", "model.gguf"), ["no weights"]),
        (rewrite("model.safetensors.index.json", INDEX), ["1 of its 2 weight files", "model-00002-of-00002"]),
        (rename("tokenizer_config.json", "x.json"), ["no tokenizer"]),
        (rewrite("tokenizer_config.json", '{"eos_token": "</s>"}'), ["no chat template"]),
        (rewrite("tokenizer_config.json", '{"chat_template": "x"}'), ["no end token"]),
        (rewrite("tokenizer_config.json", "{"), ["tokenizer_config.json", "not JSON"]),
    ],
)
def test_what_is_wrong_is_named_with_what_to_do(
    folder: Path, spoil: Callable[[Path], object], words: list[str]
) -> None:
    spoil(folder)
    with pytest.raises(UserError) as caught:
        model_folder(str(folder))
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_an_adapter_that_was_merged_points_at_the_merged_model(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")
    (folder / "merged").mkdir()
    with pytest.raises(UserError, match=r"name .*/merged$"):
        model_folder(str(folder))


def test_a_chat_template_may_be_a_file_of_its_own(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text('{"eos_token": "</s>"}')
    (folder / "chat_template.jinja").write_text("x")
    assert model_folder(str(folder)) == folder


def test_a_change_of_weights_template_or_config_is_another_model(folder: Path, tmp_path: Path) -> None:
    prints = {fingerprint(folder)}
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[: 2**16] = bytes(2**16)
    (folder / "model.safetensors").write_bytes(weights)
    prints.add(fingerprint(folder))
    (folder / "config.json").write_text("{}")
    prints.add(fingerprint(folder))
    (folder / "chat_template.jinja").write_text("y")
    prints.add(fingerprint(folder))
    assert len(prints) == 4
    assert fingerprint(folder) in prints


def test_a_model_that_is_neither_here_nor_on_the_hub_is_named() -> None:
    pytest.importorskip("huggingface_hub")
    with pytest.raises(UserError, match="nobody/nothing: neither a folder"):
        model_folder("nobody/nothing")
