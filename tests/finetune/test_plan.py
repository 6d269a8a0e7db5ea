"""The plan of a training: what it counts, what it refuses, and what it proposes instead."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from datagen.errors import UserError
from datagen.hf.architecture import Architecture, architecture
from datagen.hf.gpus import gpus
from datagen.schema import TaskType
from finetune.base_models import load_tokenizer
from finetune.cli import main
from finetune.config import Config, load, names
from finetune.dataset import read_split
from finetune.memory import GIB, activations, memory, part
from finetune.plan import Data, count, plan, proposals, shape_of, time
from tests.finetune.conftest import WriteRun, rows

SHAPE = Architecture("qwen2", 256, 4, 8, 2, 32, 688, 512, False, 1_024, (True, False, False))


@pytest.mark.parametrize("name", names())
def test_what_ships_fits_where_it_is_meant_for(name: str) -> None:
    assert "peak" in plan(load(name), gpus("8x80"), None)


def test_72b_in_four_bits_fits_a_card_of_80_gb_and_not_one_of_40() -> None:
    config, shape = load("qwen2-72b"), shape_of("Qwen/Qwen2-72B-Instruct")
    found = memory(config, shape, gpus("8x80"), config.max_length)
    assert found.weights / GIB == pytest.approx(38.4, abs=0.1)
    assert found.adapter == 2 * shape.adapter(64)
    assert found.peak / GIB < 65
    with pytest.raises(
        UserError, match=r"(?s)58\.\d GiB don't fit into 39\.5. What does:.* shared out by FSDP"
    ):
        plan(config, gpus("8x40"), None)


@pytest.mark.parametrize(
    ("settings", "card", "proposed"),
    [
        (["four_bit=false"], "8x80", "--set four_bit=true: "),
        (["gradient_checkpointing=false"], "8x80", "--set gradient_checkpointing=true: "),
        ([], "8x16", "nothing on 8 x T4: take GPUs with more memory"),
    ],
)
def test_what_does_not_fit_is_told_what_does(settings: list[str], card: str, proposed: str) -> None:
    config = load("qwen2-72b", settings)
    found = proposals(config, shape_of(config.base), gpus(card), config.max_length)
    assert any(line.startswith(proposed) for line in found), found


def test_a_smaller_part_is_proposed_where_rows_go_together() -> None:
    config = load("qwen2-7b")
    found = proposals(config, shape_of(config.base), gpus("1x24"), config.max_length)
    assert any(line.startswith("--set micro_batch_tokens=3072: ") for line in found), found


def test_each_proposal_fits() -> None:
    config = load("qwen2-7b", ["gradient_checkpointing=false"])
    card = gpus("1x24")
    for line in proposals(config, shape_of(config.base), card, config.max_length):
        settings = [word for word in line.partition(":")[0].split() if word != "--set"]
        changed = load("qwen2-7b", ["gradient_checkpointing=false", *settings])
        assert memory(changed, shape_of(config.base), card, config.max_length).peak <= card.gpu.gib * GIB


def test_rows_that_cannot_be_shared_out_are_refused() -> None:
    with pytest.raises(UserError, match=r"`batch_rows: 32` can't be shared out to 3 GPUs.*batch_rows=33"):
        plan(load("qwen2-72b"), gpus("3x80"), None)
    with pytest.raises(UserError, match="`max_length: 40000` is more than the 32768 tokens"):
        plan(load("qwen2-72b", ["max_length=40000"]), gpus("8x80"), None)


def test_a_layer_keeps_what_torch_was_seen_to_keep() -> None:
    """Bytes of a token, as `benchmarks/plan.py` saw them in a model of this shape, with rank 8."""

    def layer(numbers: str = "float32", dropout: bool = False, padded_to: int | None = None) -> float:
        deep, flat = (
            activations(
                shape,
                1,
                numbers=numbers,
                rank=8,
                dropout=dropout,
                checkpointing=False,
                padded_to=padded_to,
                mask=4,
            )
            for shape in (SHAPE, replace(SHAPE, layers=SHAPE.layers - 1))
        )
        return deep - flat

    assert layer() == 17_928
    assert layer(padded_to=256) == 20_488
    assert layer("bfloat16") == pytest.approx(12_196, rel=0.02)
    assert layer("bfloat16", dropout=True) == pytest.approx(21_092, rel=0.02)


def test_what_is_kept_is_what_torch_keeps_today() -> None:
    """The same as above against the libraries that are installed, by torch's own hooks."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2Config, Qwen2ForCausalLM

    config = Qwen2Config(
        hidden_size=SHAPE.hidden,
        num_hidden_layers=SHAPE.layers,
        num_attention_heads=SHAPE.heads,
        num_key_value_heads=SHAPE.kv_heads,
        intermediate_size=SHAPE.intermediate,
        vocab_size=SHAPE.vocabulary,
    )
    lora = LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(Qwen2ForCausalLM(config), lora).train()
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.get_base_model().model(input_ids=torch.ones((1, 64), dtype=torch.long), use_cache=False)
    seen = sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in weights)
    planned = activations(SHAPE, 64, numbers="float32", rank=8, dropout=False, checkpointing=False)
    assert planned == pytest.approx(seen, rel=0.15)


def test_checkpointing_keeps_one_layer_and_the_inputs_of_all() -> None:
    all_of_it, inputs = (
        activations(SHAPE, 512, numbers="float32", rank=8, dropout=False, checkpointing=checkpointing)
        for checkpointing in (False, True)
    )
    assert inputs < all_of_it / 2
    assert inputs > 512 * 4 * 256 * 4


def test_a_part_is_what_is_allowed_or_a_longer_row() -> None:
    card = gpus("1x80")
    assert part(Config(batch_rows=16, micro_batch_tokens=1_000), card, 200) == (1_000, 200, True)
    assert part(Config(batch_rows=16, micro_batch_tokens=1), card, 3_072) == (3_072, 3_072, False)
    assert part(Config(batch_rows=1), card, 200) == (200, 200, False)


def test_the_tokens_are_those_that_would_be_trained(
    tiny_config: Path, tiny_run: Path, tiny_base: Path
) -> None:
    config = load(str(tiny_config))
    found = count(config, tiny_run)
    split = read_split(tiny_run, "train", load_tokenizer(tiny_base), config.max_length)
    assert (found.rows, found.tokens, found.longest) == (24, sum(split.lengths), max(split.lengths))
    assert (found.left_out, found.how) == ({}, "its own tokenizer")
    short = count(config.model_copy(update={"max_length": found.longest - 1}), tiny_run)
    assert short.rows + short.left_out["over_length"] == 24
    assert count(config.model_copy(update={"token_budget": found.tokens // 2}), tiny_run).rows < 24
    with pytest.raises(UserError, match=r"none of the rows .*; left out: 24 longer than `max_length: 2`"):
        count(config.model_copy(update={"max_length": 2}), tiny_run)


def test_the_plan_says_why_rows_are_left_out(tiny_base: Path, tmp_path: Path, write_run: WriteRun) -> None:
    kind = TaskType.MULTIPLE_CHOICE
    odd = [
        (TaskType.GENERATION, "Explain it" + " at length" * 200, "it"),
        (kind, "Which one is there?", "0"),
        (kind, "Which is the odd one out?\n0. lamp\n1. mug", "1"),
        (TaskType.GENERATION, "Say <|im_end|>", "it"),
    ]
    data = write_run(tmp_path / "odd", [*odd, *rows()], rows()[:5])
    config = Config(base=str(tiny_base), rank=4, max_length=300, choose="text", rows=20)
    text = plan(config, gpus("1x80"), data)
    assert "\n20 of the train split's 28 rows, " in text
    assert (
        "left out: 1 that ask for what does not fit, 1 with no list to choose a text from, 1 longer than "
        "`max_length: 300`, 1 with a special token in their text; 4 are beyond `rows: 20`\n"
    ) in text
    assert "\nthe test split's 5 rows are not trained on: " in text


def test_the_winners_training_takes_about_a_day() -> None:
    """8 x A100, 502,435 rows in 24 hours, as they say; of what length, they don't."""
    config, shape = load("qwen2-72b"), architecture("qwen2-72b")
    data = Data(502_435, 0, 3_000, {}, 502_435, 0, "")
    hours = [
        (time(config, shape, gpus("8x80"), data._replace(tokens=502_435 * mean)).seconds or 0) / 3600
        for mean in (160, 280)
    ]
    assert hours[0] < 24 < hours[1] + 3


def test_of_an_unknown_gpu_no_hours_are_told(tiny_config: Path, tiny_run: Path) -> None:
    text = plan(load(str(tiny_config)), gpus("1x32"), tiny_run)
    assert "hours: not known, as the speed of a GPU of 32 GB is not" in text
    assert "24 of the train split's 24 rows" in text


def test_the_command_prints_the_plan_or_refuses() -> None:
    good = CliRunner().invoke(main, ["plan", "qwen2-72b", "--gpus", "8x80"])
    assert good.exit_code == 0
    assert "72,706,203,648 weights; trained: 842,137,600 of an adapter of rank 64" in good.output
    assert "on 8 x A100 of 79.3 GiB, taken for that size (name it for another: 8xH100)\n" in good.output
    bad = CliRunner().invoke(main, ["plan", "qwen2-72b", "--gpus", "8x40"])
    assert bad.exit_code == 1
