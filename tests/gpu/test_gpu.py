"""What only a GPU can prove, on one of them, in some minutes: nobody has run this file yet.

    make sft; make infer        (installs the libraries, for the GPU that is there)
    .venv/bin/pip install bitsandbytes
    .venv/bin/python -m pytest -m gpu tests/gpu

Proven are training in 4 bits, NCCL, flash attention and vLLM's build for GPUs, each with the embedded model.
Figures go to the JSON file that GPU_FIGURES names (default: build/gpu.json). Elsewhere all is skipped.
"""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datagen.pipeline.build import build
from datagen.recipe.load import load as load_recipe
from datagen.shopbench.questions import read_questions

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("default")]

BASE = "smollm2-135m"
STEPS = 8


def needs(*packages: str) -> None:
    for name in ("torch", *packages):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}")
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")


@pytest.fixture(scope="module")
def figures() -> Iterator[dict[str, Any]]:
    """What was measured, written at the end, however it ends."""
    found: dict[str, Any] = {}
    yield found
    if found:
        place = Path(os.environ.get("GPU_FIGURES", "build/gpu.json"))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of all five types."""
    needs()
    from datagen.sources.sample import write_sample

    work = tmp_path_factory.mktemp("data")
    write_sample(work / "seeds")
    build(load_recipe("esci_small"), work / "seeds", work / "runs")
    return work / "runs" / "esci_small"


def trained(
    data: Path, runs: Path, name: str, *settings: str, launch: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The `run.json` of a short training."""
    command = [sys.executable, *(launch or ("-m", "finetune.cli")), "train", BASE, "--data", str(data)]
    fixed = [
        "minutes=null",
        f"rows={STEPS * 16}",
        "eval_rows=16",
        "eval_every=1000",
        "choose=number",
        "precision=bfloat16",
    ]
    for setting in (*fixed, *settings):
        command += ["--set", setting]
    command += ["--runs", str(runs), "--name", name]
    run = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads((runs / name / "run.json").read_text(encoding="utf-8"))
    return found


def test_four_bits_train_to_about_the_losses_of_sixteen(
    data: Path, tmp_path: Path, figures: dict[str, Any]
) -> None:
    needs("bitsandbytes", "trl", "peft")
    whole = trained(data, tmp_path, "sixteen")
    four = trained(data, tmp_path, "four", "four_bit=true")
    figures["training"] = {
        name: {key: run[key] for key in ("eval_loss_before", "eval_loss", "tokens_per_second")}
        for name, run in (("16 bits", whole), ("4 bits", four))
    }
    assert four["steps"] == whole["steps"] == STEPS
    assert four["eval_loss"] < four["eval_loss_before"]
    assert four["eval_loss"] == pytest.approx(whole["eval_loss"], rel=0.3)


def test_the_memory_of_a_step_is_as_planned(figures: dict[str, Any]) -> None:
    """A Qwen2 of random weights with an adapter: what CUDA's allocator held at most, beside the plan."""
    needs("transformers", "peft")
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from datagen.hf.architecture import of_config
    from finetune.memory import activations, working_bytes

    config = Qwen2Config(
        hidden_size=2048,
        num_hidden_layers=12,
        num_attention_heads=16,
        num_key_value_heads=4,
        intermediate_size=5632,
        vocab_size=1000,
        tie_word_embeddings=True,
    )
    shape = of_config(config.to_dict(), Path("config.json"))
    found = {}
    for checkpointing in (False, True):
        model = Qwen2ForCausalLM(config).to("cuda", torch.bfloat16)
        lora = LoraConfig(r=64, lora_dropout=0.05, target_modules="all-linear", task_type="CAUSAL_LM")
        tuned = get_peft_model(model, lora).train()
        if checkpointing:
            tuned.gradient_checkpointing_enable({"use_reentrant": False})
            tuned.enable_input_require_grads()
        ids = torch.randint(0, 1000, (1, 2048), device="cuda")
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        with torch.autocast("cuda", torch.bfloat16):
            out = tuned.get_base_model().model(input_ids=ids, use_cache=False).last_hidden_state
        out.float().sum().backward()
        seen = torch.cuda.max_memory_allocated() - before
        planned = activations(
            shape, 2048, numbers="bfloat16", rank=64, dropout=True, checkpointing=checkpointing
        ) + working_bytes(shape, 2048, dropout=True)
        found["inputs kept" if checkpointing else "all kept"] = {"seen": seen, "planned": round(planned)}
        del model, tuned, out
        torch.cuda.empty_cache()
    figures["memory"] = found
    for name, both in found.items():
        assert both["planned"] == pytest.approx(both["seen"], rel=0.25), name


def test_nccl_passes_a_training_on(data: Path, tmp_path: Path, figures: dict[str, Any]) -> None:
    """By torch's launcher with one process: its gradients go through NCCL all the same."""
    needs("trl", "peft")
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "1", "-m", "finetune.cli")
    alone, through = trained(data, tmp_path, "alone"), trained(data, tmp_path, "nccl", launch=launch)
    figures["nccl"] = {"alone": alone["eval_loss"], "through": through["eval_loss"]}
    assert through["eval_loss"] == pytest.approx(alone["eval_loss"], rel=0.02)


def test_flash_attention_gives_what_plain_attention_gives(figures: dict[str, Any]) -> None:
    needs()
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    if torch.cuda.get_device_capability()[0] < 8:
        pytest.skip("flash attention wants Ampere or newer")
    torch.manual_seed(0)
    parts = [torch.randn(2, 16, 1024, 64, device="cuda", dtype=torch.bfloat16) for _ in range(3)]

    def attention() -> Any:
        return scaled_dot_product_attention(parts[0], parts[1], parts[2], is_causal=True)

    taken, found = {}, {}
    for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.MATH):
        with sdpa_kernel(backend):
            found[backend] = attention()
            torch.cuda.synchronize()
            began = time.perf_counter()
            for _ in range(10):
                attention()
            torch.cuda.synchronize()
            taken[backend] = time.perf_counter() - began
    flash, plain = found[SDPBackend.FLASH_ATTENTION], found[SDPBackend.MATH]
    figures["flash_attention"] = {
        "largest_difference": float((flash - plain).abs().max()),
        "times_as_fast": taken[SDPBackend.MATH] / taken[SDPBackend.FLASH_ATTENTION],
    }
    assert torch.allclose(flash, plain, atol=3e-2)


def test_vllm_answers_and_every_answer_parses(data: Path, tmp_path: Path, figures: dict[str, Any]) -> None:
    needs("vllm")
    from finetune.base_models import base_model
    from infer.batches import balanced
    from infer.predict import predict

    asked = balanced(read_questions(data), 100)
    done = predict(asked, str(base_model(BASE)), tmp_path / "run", choose="number")
    figures["vllm"] = {
        "questions": len(asked),
        "seconds": done["seconds"],
        "tokens_per_second": (done["prompt_tokens"] + done["tokens"]) / max(done["seconds"], 0.1),
        "parsed": done["parsed"],
        "releases": done["releases"],
    }
    assert done["finished"]
    assert min(done["parsed"][kind] for kind in ("multiple_choice", "ranking", "retrieval")) == 1.0
