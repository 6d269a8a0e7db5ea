"""Merged models: the formula tensor by tensor, PEFT's own merge, and what is refused."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datagen.errors import UserError
from datagen.hf.checkpoint import fingerprint
from finetune import tensors
from finetune.config import load
from finetune.ensemble import ensemble
from finetune.merge import merge, wise_ft
from tests.finetune.conftest import write_base
from tests.finetune.test_commands import FINETUNE, wait_until
from tests.processes import LONG, at_work


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny_base, tiny_run, tmp_path_factory.mktemp("trained"), "4")


@pytest.fixture(scope="module")
def fully_trained(tiny_base: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny_base, tiny_run, tmp_path_factory.mktemp("trained"), "null")


def train(base: Path, data: Path, folder: Path, rank: str) -> Path:
    from finetune.train import train

    folder.mkdir(exist_ok=True)
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


@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}, {"lora_alpha": 3}])
def test_the_merge_is_the_one_that_peft_makes(run: Path, tiny_base: Path, settings: dict[str, Any]) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    file = run / "adapter_config.json"
    said = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(said | settings), encoding="utf-8")
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


def test_the_sums_are_those_of_the_files(run: Path) -> None:
    folder = merge(run)
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert {line[66:] for line in lines} == {file.name for file in folder.iterdir()} - {"SHA256SUMS"}
    for line in lines:
        assert hashlib.sha256((folder / line[66:]).read_bytes()).hexdigest() == line[:64]


@pytest.fixture
def sharded(tiny_base: Path, tiny_run: Path, tmp_path: Path) -> Path:
    """A training on a base of many small files and bfloat16 numbers, whose output matrix is its own."""
    import torch
    from transformers import AutoModelForCausalLM

    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    (base / "model.safetensors").unlink()
    model = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.bfloat16)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight / 2)
    model.save_pretrained(base, max_shard_size="20KB")
    assert len(list(base.glob("model-*.safetensors"))) > 2
    return train(base, tiny_run, tmp_path / "sharded", "4")


def test_a_base_of_many_files_is_merged_file_by_file(sharded: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base, folder = tmp_path / "base", merge(sharded)
    ours = weights(folder)
    whole = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), sharded
    ).merge_and_unload()
    for name, weight in ours.items():
        assert torch.equal(weight, whole.state_dict()[name].bfloat16())
    assert {file.name: file.stat().st_size for file in folder.glob("model*")} == {
        file.name: file.stat().st_size for file in base.glob("model*")
    }
    model, found = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not found["missing_keys"]
    assert not torch.equal(model.lm_head.weight, model.get_input_embeddings().weight)


def test_a_merge_goes_on_with_the_next_file(sharded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def rewrite(source: Path, *arguments: Any) -> str:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(source.name)
        return original(source, *arguments)

    original = tensors.rewrite
    monkeypatch.setattr("finetune.merge.rewrite", rewrite)
    with pytest.raises(KeyboardInterrupt):
        merge(sharded)
    first = written.copy()
    assert len(first) == 2
    start = time.time_ns()
    monkeypatch.setattr("finetune.merge.rewrite", original)
    folder = merge(sharded)
    assert all((folder / name).stat().st_mtime_ns < start for name in first)
    assert not any(sharded.glob(".merged*"))
    resumed = {file.name: file.read_bytes() for file in folder.iterdir()}
    shutil.rmtree(folder)
    assert {file.name: file.read_bytes() for file in merge(sharded).iterdir()} == resumed


def test_a_beginning_with_another_adapter_is_thrown_away(
    sharded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file, save_file

    original = tensors.rewrite
    calls = iter(range(100))

    def killed(*arguments: Any) -> str:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr("finetune.merge.rewrite", killed)
    with pytest.raises(KeyboardInterrupt):
        merge(sharded)
    monkeypatch.setattr("finetune.merge.rewrite", original)
    adapter = sharded / "adapter_model.safetensors"
    save_file({name: weight * 2 for name, weight in load_file(adapter).items()}, adapter)
    ours = weights(merge(sharded))
    shutil.rmtree(sharded / "merged")
    assert difference(ours, weights(merge(sharded))) == 0


@pytest.mark.slow
def test_a_killed_merge_goes_on_to_the_same_bytes(sharded: Path) -> None:
    command = [*FINETUNE, "merge", str(sharded)]
    sums = sharded / ".merged.unfinished" / "SHA256SUMS"
    with at_work(command, stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: process.poll() is not None or sums.is_file())
        os.killpg(process.pid, signal.SIGKILL)
    folder = merge(sharded)
    resumed = {file.name: file.read_bytes() for file in folder.iterdir()}
    shutil.rmtree(folder)
    assert {file.name: file.read_bytes() for file in merge(sharded).iterdir()} == resumed


def test_a_merge_reads_rows_and_not_files(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = weights(merge(run))
    shutil.rmtree(run / "merged")
    monkeypatch.setattr("finetune.tensors._PART", 300)  # two rows of the smaller matrices, one of the others
    assert difference(weights(merge(run)), whole) < 1e-6


def test_a_truncated_base_is_named_before_anything_is_written(sharded: Path, tmp_path: Path) -> None:
    file = sorted((tmp_path / "base").glob("model-*.safetensors"))[-1]
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=rf"{file}: not a whole file of weights"):
        merge(sharded)
    assert not any(sharded.glob("*merged*"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_adapter_with_numbers_that_are_not_finite_is_refused(run: Path, value: float) -> None:
    from safetensors.torch import load_file, save_file

    adapter = run / "adapter_model.safetensors"
    matrices = load_file(adapter)
    name = next(iter(matrices))
    matrices[name][0, 0] = value
    save_file(matrices, adapter)
    with pytest.raises(UserError, match=rf"`{name}` holds numbers that are not finite\. Delete {run}"):
        merge(run)
    assert not any(run.glob("*merged*"))


def test_a_training_of_all_weights_that_are_not_finite_is_refused(
    fully_trained: Path, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    run = Path(shutil.copytree(fully_trained, tmp_path / "run"))
    name = "model.layers.1.mlp.up_proj.weight"
    found = weights(run)
    found[name][3, 4] = float("nan")
    save_file(found, run / "model.safetensors", metadata={"format": "pt"})
    for made in (lambda: merge(run), lambda: wise_ft(run, 0.5), lambda: ensemble([run], run / "sum", [1])):
        with pytest.raises(
            UserError, match=rf"`{name}` holds numbers that are not finite\. Delete {run} and"
        ):
            made()
    assert not any(path.is_dir() for path in run.iterdir())


def test_a_sum_that_its_type_cannot_hold_is_not_written(run: Path, tiny_base: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    save_file({name: of.half() for name, of in weights(base).items()}, base / "model.safetensors")
    adapter = run / "adapter_model.safetensors"
    save_file({name: of * 1e5 for name, of in load_file(adapter).items()}, adapter)
    content = json.loads((run / "run.json").read_text(encoding="utf-8"))
    content["config"]["base"] = str(base)
    content["base_sha256"] = fingerprint([base / "model.safetensors"])
    (run / "run.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"_proj.weight` would hold numbers that are not finite in F16: "):
        merge(run)
    assert not any(run.glob("*merged*"))


def test_other_kinds_of_adapters_are_refused(run: Path) -> None:
    settings = run / "adapter_config.json"
    content = json.loads(settings.read_text(encoding="utf-8"))
    settings.write_text(json.dumps(content | {"use_dora": True}), encoding="utf-8")
    with pytest.raises(UserError, match=r"adapter_config.json: `use_dora` is set, and only plain LoRA"):
        merge(run)


def test_a_quantised_base_is_refused(run: Path, tiny_base: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    name = "model.layers.0.self_attn.q_proj.weight"
    save_file(weights(base) | {name: torch.zeros(32, 32, dtype=torch.int8)}, base / "model.safetensors")
    content = json.loads((run / "run.json").read_text(encoding="utf-8"))
    content["config"]["base"] = str(base)
    content["base_sha256"] = fingerprint([base / "model.safetensors"])
    (run / "run.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=rf"`{name}` holds I8: nothing can be added to a quantised model"):
        merge(run)


def test_links_in_a_circle_are_told(run: Path, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(UserError, match=r"loop/run.json: links that lead in a circle"):
        merge(loop)
    content = json.loads((run / "run.json").read_text(encoding="utf-8"))
    content["config"]["base"] = str(loop)
    (run / "run.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"loop: links that lead in a circle\. Name the folder itself"):
        merge(run)


def test_a_file_beside_the_weights_that_cannot_be_read_is_named(
    tiny_base: Path, tiny_run: Path, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    run = train(base, tiny_run, tmp_path, "4")
    loop = base / "vocab.json"
    loop.symlink_to(loop)
    with pytest.raises(UserError, match=rf"{loop}: cannot be read \(Too many levels"):
        merge(run)
    assert not any(run.glob("*merged*"))


def test_code_of_the_base_is_refused_unless_it_is_allowed_by_name(
    tiny_base: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    run = train(base, tiny_run, tmp_path, "4")
    said = json.loads((base / "config.json").read_text(encoding="utf-8"))
    said["auto_map"] = {"AutoConfig": "configuration_mine.MineConfig"}
    (base / "config.json").write_text(json.dumps(said), encoding="utf-8")
    (base / "configuration_mine.py").write_text("raise SystemExit", encoding="utf-8")
    with pytest.raises(UserError, match=rf"names Python code of its own .* REMOTE_CODE={base}"):
        merge(run)
    assert not any(run.glob("*merged*"))
    monkeypatch.setenv("REMOTE_CODE", str(base))
    folder = merge(run)
    assert (folder / "configuration_mine.py").is_file()
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert (merge(run) / "model.safetensors").stat().st_mtime_ns == written


@pytest.mark.slow
def test_a_merge_needs_less_memory_than_its_bound() -> None:
    """Two of the largest tensors and 500 MB, Python and torch included; less than a file and its copy."""
    benchmark = Path(__file__).parents[2] / "benchmarks" / "merge.py"
    command = [sys.executable, str(benchmark), "--gib", "1.2", "--narrow", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["model_gib"] > 1.2
    assert found["peak_gib"] < 2 * found["largest_tensor_gib"] + 0.5e9 / 2**30


def test_a_folder_without_a_finished_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run.json: no such file. .* is no finished training"):
        merge(tmp_path)
    (tmp_path / "run.json").write_text('{"model": {}}', encoding="utf-8")  # a run of infer has one, too
    with pytest.raises(UserError, match=r"not as a training wrote it .* Name the folder of a training"):
        merge(tmp_path)
