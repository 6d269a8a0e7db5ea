"""Model folders that are not whole: each is refused in one line, before anything is loaded."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from datagen.errors import UserError
from datagen.hf.checkpoint import ORIGIN, checked, chooses_by, config, fingerprint, share_weights
from datagen.hf.hub import fetched, is_hub_name
from tests.conftest import write_model_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with all the files that a model has; its weights are those of no model."""
    return write_model_files(tmp_path / "model")


def test_a_folder_with_all_files_is_taken(folder: Path) -> None:
    assert checked(folder) == folder


def test_weights_can_be_read_by_whom_the_configuration_can(folder: Path) -> None:
    (folder / "config.json").chmod(0o640)
    (folder / "model.safetensors").chmod(0o600)
    share_weights(folder)
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o640


def rename(old: str, new: str) -> Callable[[Path], object]:
    return lambda folder: (folder / old).rename(folder / new)


def rewrite(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def cut(size: int) -> Callable[[Path], object]:
    def cut(folder: Path) -> None:
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:size])

    return cut


INDEX = json.dumps({"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}})
NOT_WHOLE = ["model.safetensors: not a whole file of weights", "Copy or save the model again"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (rename("config.json", "adapter_config.json"), ["an adapter", "Run: finetune merge"]),
        (rename("config.json", "x.json"), ["no model: it has no config.json"]),
        (
            rename("model.safetensors", "pytorch_model.bin"),
            ["only pickled weights (pytorch_model.bin), which can run code"],
        ),
        (rename("model.safetensors", "model.gguf"), ["no weights"]),
        (rewrite("model.safetensors.index.json", INDEX), ["1 of its 2 weight files", "model-00002-of-00002"]),
        (cut(0), NOT_WHOLE),
        (cut(5), NOT_WHOLE),
        (cut(-1), NOT_WHOLE),
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
        checked(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_an_adapter_that_was_merged_points_at_the_merged_model(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")
    (folder / "merged").mkdir()
    with pytest.raises(UserError, match=r"name .*/merged$"):
        checked(folder)


def test_a_chat_template_may_be_a_file_of_its_own(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text('{"eos_token": "</s>"}')
    (folder / "chat_template.jinja").write_text("x")
    assert checked(folder) == folder


def test_the_config_is_that_of_the_text(folder: Path) -> None:
    assert config(folder) == {"max_position_embeddings": 512}
    (folder / "config.json").write_text('{"hidden_size": 1, "text_config": {"hidden_size": 2}}')
    assert config(folder)["hidden_size"] == 2


@pytest.mark.parametrize(
    ("said", "choose"), [(None, "number"), ("{}", "number"), ('{"choose": "text"}', "text")]
)
def test_options_are_chosen_as_the_model_was_trained(folder: Path, said: str | None, choose: str) -> None:
    if said:
        (folder / ORIGIN).write_text(said)
    assert chooses_by(folder) == choose


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('{"choose": "letter"}', 'not "letter"'),
        ('{"choose": null}', "not null"),
        ('{"choose": [1]}', "not"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
    ],
)
def test_another_way_to_choose_is_named(folder: Path, said: str, why: str) -> None:
    (folder / ORIGIN).write_text(said)
    with pytest.raises(UserError, match=f"{ORIGIN}: .*{why}"):
        chooses_by(folder)


@pytest.mark.parametrize("place", [0, 5_000_000, 9_999_999])
def test_other_weights_have_another_fingerprint(tmp_path: Path, place: int) -> None:
    weights = tmp_path / "model.safetensors"
    content = bytearray(10_000_000)
    weights.write_bytes(content)
    before = fingerprint([weights])
    content[place] = 1
    weights.write_bytes(content)
    assert fingerprint([weights]) != before


def test_a_name_of_the_hub_is_told_from_a_path() -> None:
    names = ("Qwen/Qwen2-0.5B-Instruct", "./model", "/model", "~/model", "a/b/c", "model")
    assert [is_hub_name(name) for name in names] == [True, False, False, False, False, False]


def test_a_model_that_is_neither_here_nor_on_the_hub_is_named() -> None:
    with pytest.raises(UserError, match="nobody/nothing: neither a folder nor to be had from the hub"):
        fetched("nobody/nothing")
