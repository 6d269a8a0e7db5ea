"""Merged models: the formula tensor by tensor, PEFT's own merge, and what is refused."""

import json
import resource
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datagen.errors import UserError
from finetune.config import load
from finetune.merge import merge, wise_ft
from tests.finetune.conftest import write_base


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny_base, tiny_run, tmp_path_factory.mktemp("trained"), "4")


@pytest.fixture(scope="module")
def fully_trained(tiny_base: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny_base, tiny_run, tmp_path_factory.mktemp("trained"), "null")


def train(base: Path, data: Path, folder: Path, rank: str) -> Path:
    from finetune.train import train

    config = folder / "tiny.yaml"
    config.write_text(
        f"base: {base}\nrank: {rank}\nalpha: 8\nprecision: float32\nlr: 0.02\nepochs: 2\nmax_length: 512\n"
        "batch_rows: 4\n"
    )
    train(load(str(config)), data, folder / "run", lambda text: None)
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may write to."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {
        name: weight for file in folder.glob("model*.safetensors") for name, weight in load_file(file).items()
    }


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> float:
    assert ours.keys() == theirs.keys()
    return max(float((weight - theirs[name]).abs().max()) for name, weight in ours.items())


def test_the_merge_is_the_one_that_peft_makes(run: Path, tiny_base: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    merged = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_base), run
    ).merge_and_unload()
    ours = weights(merge(run))
    assert difference(ours, {name: merged.state_dict()[name] for name in ours}) < 1e-6
    assert difference(ours, weights(tiny_base)) > 1e-3


@pytest.mark.parametrize("alpha", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("how", ["trained", "fully_trained"])
def test_wise_ft_is_the_weighted_mean_of_base_and_tuned(
    request: pytest.FixtureRequest, tmp_path: Path, tiny_base: Path, how: str, alpha: float
) -> None:
    run = Path(shutil.copytree(request.getfixturevalue(how), tmp_path / "run"))
    base, tuned = weights(tiny_base), weights(merge(run))
    mean = {name: (1 - alpha) * weight + alpha * tuned[name] for name, weight in base.items()}
    assert difference(weights(wise_ft(run, alpha)), mean) < 1e-6
    assert wise_ft(run, alpha).name == f"wise-ft-{alpha}"


@pytest.mark.parametrize("how", ["trained", "fully_trained"])
def test_no_share_is_the_base_to_the_bit_and_the_whole_is_the_merge(
    request: pytest.FixtureRequest, tmp_path: Path, tiny_base: Path, how: str
) -> None:
    import torch

    run = Path(shutil.copytree(request.getfixturevalue(how), tmp_path / "run"))
    base, none = weights(tiny_base), weights(wise_ft(run, 0.0))
    assert all(
        torch.equal(weight.view(torch.int32), none[name].view(torch.int32)) for name, weight in base.items()
    )
    whole, merged = weights(wise_ft(run, 1.0)), weights(merge(run))
    assert all(torch.equal(weight, merged[name]) for name, weight in whole.items())


def test_a_base_that_stores_its_tied_output_matrix_keeps_it_tied(
    tiny_base: Path, tiny_run: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import save_file

    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    words = weights(base)["model.embed_tokens.weight"]
    twice = weights(base) | {"lm_head.weight": words.clone()}
    save_file(twice, base / "model.safetensors", metadata={"format": "pt"})
    merged = weights(merge(train(base, tiny_run, tmp_path, "null")))
    assert torch.equal(merged["lm_head.weight"], merged["model.embed_tokens.weight"])
    assert not torch.equal(merged["lm_head.weight"], words)


@pytest.mark.parametrize("alpha", [-0.5, 1.5, float("nan")])
def test_what_is_no_share_is_refused(tmp_path: Path, alpha: float) -> None:
    with pytest.raises(UserError, match=rf"alpha {alpha:g}: a share of what was learnt is from 0 to 1"):
        wise_ft(tmp_path, alpha)


def test_a_merged_folder_is_a_model_that_answers_as_the_adapter_does(run: Path, tiny_base: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = merge(run)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base), run)
    ids = tokenizer("Which of these is a lamp?", return_tensors="pt").input_ids
    with torch.no_grad():
        ours, theirs = AutoModelForCausalLM.from_pretrained(folder)(ids).logits, adapted(ids).logits
    assert (ours - theirs).abs().max() < 1e-4
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(tiny_base).chat_template


def test_what_is_there_and_current_is_left_alone(run: Path) -> None:
    from safetensors.torch import load_file, save_file

    written = (merge(run) / "model.safetensors").stat().st_mtime_ns
    assert (merge(run) / "model.safetensors").stat().st_mtime_ns == written
    adapter = run / "adapter_model.safetensors"
    save_file({name: weight * 2 for name, weight in load_file(adapter).items()}, adapter)
    assert (merge(run) / "model.safetensors").stat().st_mtime_ns != written


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer_config.json"])
def test_a_merged_model_that_is_not_whole_is_written_anew(run: Path, name: str) -> None:
    file = merge(run) / name
    whole = file.read_bytes()
    if name.endswith(".safetensors"):
        file.write_bytes(whole[:-10])
    else:
        file.unlink()
    assert (merge(run) / name).read_bytes() == whole


def test_an_adapter_for_another_base_is_refused(run: Path, tmp_path: Path) -> None:
    other = write_base(tmp_path / "other", seed=1)
    content = json.loads((run / "run.json").read_text(encoding="utf-8"))
    content["config"]["base"] = str(other)
    (run / "run.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match="made for another base than"):
        merge(run)
    assert not (run / "merged").exists()


def test_a_matrix_of_another_shape_is_refused(run: Path) -> None:
    from safetensors.torch import load_file, save_file

    adapter = run / "adapter_model.safetensors"
    matrices = load_file(adapter)
    name = next(name for name in matrices if name.endswith("q_proj.lora_B.weight"))
    save_file(matrices | {name: matrices[name][:5].contiguous()}, adapter)
    with pytest.raises(
        UserError, match=r"q_proj.weight` has the shape \[32, 32\] in the base, not \[5, 32\]"
    ):
        merge(run)
    assert not any(run.glob(".merged*"))


def test_a_matrix_for_no_weight_is_refused(run: Path) -> None:
    from safetensors.torch import load_file, save_file

    adapter = run / "adapter_model.safetensors"
    matrices = {name.replace("layers.1", "layers.7"): weight for name, weight in load_file(adapter).items()}
    save_file(matrices, adapter)
    with pytest.raises(UserError, match=r"adapts `model.layers.7.*`, which the base has not"):
        merge(run)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_training_whose_files_are_gone_or_cut_off_is_refused(run: Path, name: str) -> None:
    file = run / name
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match=rf"{name}.* Delete {run} and train again"):
        merge(run)
    file.unlink()
    with pytest.raises(UserError, match=rf"{name}.* Delete {run} and train again"):
        merge(run)
    assert not any(run.glob(".merged*"))


def test_a_disk_that_fills_leaves_no_half_model(run: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))  # a file may not grow further
    try:
        with pytest.raises(UserError, match=rf"{run}/merged: the disk is full"):
            merge(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not any(run.glob("*merged*"))


def test_a_disk_without_room_is_told_before_anything_is_written(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    little = SimpleNamespace(free=1000)
    monkeypatch.setattr("datagen.storage.files.shutil.disk_usage", lambda folder: little)
    with pytest.raises(UserError, match=rf"{run}: needs 0.0 GB, and its disk has 0.0 GB left. Free"):
        merge(run)
    assert not any(run.glob("*merged*"))


def test_a_folder_without_a_finished_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run.json: no such file. .* is no finished training"):
        merge(tmp_path)
    (tmp_path / "run.json").write_text('{"model": {}}', encoding="utf-8")  # a run of infer has one, too
    with pytest.raises(UserError, match=r"not as a training wrote it .* Name the folder of a training"):
        merge(tmp_path)
