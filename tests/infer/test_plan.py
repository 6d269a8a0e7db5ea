"""The plan of a run: memory on GPUs, splits that engines can make, and minutes by rates."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from datagen.errors import UserError
from datagen.hf.architecture import architecture
from datagen.hf.gpus import gpus
from infer.cli import main
from infer.on_gpus import GIB, Model, memory, model, split_over
from infer.plan import Rates, given_rates, rates, seconds
from infer.work import Load


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """Questions of two types."""
    lines = []
    for number in range(40):
        choice = number % 2 == 0
        text = f"Which of these is lamp {number}?\n0. chair\n1. lamp" if choice else f"Explain lamp {number}."
        lines.append(json.dumps({"input_field": text, "is_multiple_choice": choice}))
    (tmp_path / "asked.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "asked.jsonl"


def test_72b_in_four_bits_fits_four_t4() -> None:
    found = model("qwen2-72b", 4)
    assert (found.shape.intermediate, found.context) == (29_696, 4_096)
    kept = memory(found, gpus("4x16"))
    assert kept.weights / GIB == pytest.approx(9.7, abs=0.1)
    assert kept.token == 2 * 2 * 80 * 2 * 128
    assert kept.tokens > 4 * 4_096


def test_72b_in_sixteen_bits_does_not_and_is_told_what_does(questions: Path) -> None:
    run = CliRunner().invoke(main, ["plan", "qwen2-72b", "--gpus", "4x16", "--questions", str(questions)])
    assert run.exit_code == 1
    assert "What does fit:\n  --bits 16 --gpus 16xT4\n  --bits 4 --gpus 4xT4" in run.output


def test_heads_are_shared_by_as_many_gpus_as_divide_them() -> None:
    assert split_over(model("qwen2-7b", None), gpus("8x80")) == 4  # of 4 heads of keys, 7 GPUs cannot share
    assert split_over(model("qwen2-72b", None), gpus("8x80")) == 8


def test_keys_and_values_are_not_split_below_a_head() -> None:
    one, four, seven = (memory(model("qwen2-7b", None), gpus(f"{n}x80")).token for n in (1, 4, 7))
    assert one == 4 * four
    assert seven == four


def quantised(folder: Path, **said: object) -> Path:
    shape = architecture("qwen2-72b")
    sizes = {
        "model_type": "qwen2",
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "intermediate_size": shape.intermediate,
        "vocab_size": shape.vocabulary,
    }
    (folder / "config.json").write_text(json.dumps(sizes | said), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "settings",
    [
        {"config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 128}}}},
        {"quant_method": "awq", "bits": 4, "group_size": 128},
    ],
)
def test_groups_that_a_split_would_cut_are_refused(tmp_path: Path, settings: dict[str, object]) -> None:
    found = model(str(quantised(tmp_path, quantization_config=settings)), None)
    assert (found.bits, found.group) == (4, 128)
    assert split_over(found, gpus("1x80")) == 1
    with pytest.raises(
        UserError, match=r"29568 inputs in groups of 128 don't split over 4 GPUs.* pads them to 29696"
    ):
        split_over(found, gpus("4x16"))
    padded = model(str(quantised(tmp_path, quantization_config=settings, intermediate_size=29_696)), None)
    assert split_over(padded, gpus("4x16")) == 4
    with pytest.raises(UserError, match="is in 4 bits already: leave out --bits 16"):
        model(str(tmp_path), 16)


def test_other_bits_are_refused(tmp_path: Path) -> None:
    folder = quantised(tmp_path, quantization_config={"bits": 3})
    with pytest.raises(UserError, match=r"config\.json: `quantization_config` is of 3 bits"):
        model(str(folder), None)


def test_seconds_follow_from_the_rates() -> None:
    work = Load(questions=10, sequences=10, given=1_200, read=1_000, said=110, weighed=0, longest=200)
    assert seconds(work, Rates(100, 10, 50)) == 10 + (110 - 10) / 10
    assert seconds(work, Rates(100, 10, 50, share=0.5)) == 10 + (55 - 10) / 10
    weighed = Load(questions=1, sequences=3, given=90, weighed=60)
    assert seconds(weighed, Rates(100, 10, 30)) == 2


def test_faster_gpus_are_planned_to_be_faster() -> None:
    found = model("qwen2-72b", 4)
    slow, fast = (rates(found, gpus(text), 16, 300) for text in ("4xT4", "4xH100"))
    assert fast.read > 3 * slow.read
    assert fast.said > 3 * slow.said
    assert slow.weighed < slow.read


def test_the_plan_fits_a_limit_or_is_refused(questions: Path) -> None:
    command = ["plan", "qwen2-72b", "--bits", "4", "--gpus", "4x16", "--questions", str(questions)]
    good = CliRunner().invoke(main, [*command, "--time-limit", "70m"])
    assert good.exit_code == 0, good.output
    assert "on 4 x T4 of 15 GiB, taken for that size (others differ in speed)\n" in good.output
    assert "its 29,568 inputs are padded to 29,696" in good.output
    assert "not measured, but by the published figures (65 TFLOPS" in good.output
    assert "fits into 70 minutes" in good.output
    bad = CliRunner().invoke(main, [*command, "--time-limit", "1s"])
    assert bad.exit_code == 1
    assert "don't fit into 1 seconds: about" in bad.output
    given = CliRunner().invoke(main, [*command, "--rates", "900,150"])
    assert "tokens a second as given: 900 tokens a second read, 150 said" in given.output


def test_of_an_unknown_gpu_no_minutes_are_told(questions: Path) -> None:
    command = ["plan", "qwen2-7b", "--gpus", "1x32", "--questions", str(questions)]
    run = CliRunner().invoke(main, command)
    assert run.exit_code == 0
    assert "minutes: not known, as the speed of a GPU of 32 GB is not" in run.output


@pytest.mark.parametrize("text", ["900", "900,0", "a,b", "inf,1", "1,2,3"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--rates"):
        given_rates(text)


@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2-72b"])
def test_a_name_alone_cannot_be_measured_and_is_told_what_can(questions: Path, name: str) -> None:
    run = CliRunner().invoke(main, ["plan", name, "--questions", str(questions)])
    assert run.exit_code == 1
    assert (
        f"error: {name}: its sizes are known, so GPUs can be planned: --gpus 1x16. To measure" in run.output
    )
    assert "`finetune base smollm2-135m` prints" in run.output


def test_this_machine_is_measured_by_a_short_run(questions: Path, tiny_model: Path, with_vllm: None) -> None:
    words = [sys.executable, "-m", "infer.cli", "plan", str(tiny_model), "--questions", str(questions)]
    # Not here: an engine that ends takes what others of its process stand on
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "this machine: measured by 32 of the questions: " in run.stdout
    assert isinstance(model(str(tiny_model), None), Model)
