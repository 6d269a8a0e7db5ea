"""Padded models: the same logits, in files that say the new size, and groups that split over GPUs."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune.padding import gpus, grouped, grown, pad, shapes


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2 of random weights in several files; 2432 = 19 x 128 does not split over its two heads' GPUs."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    folder = tmp_path_factory.mktemp("models") / "qwen"
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=64,
        hidden_size=64,
        intermediate_size=2432,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
        initializer_range=0.3,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder, max_shard_size="1MB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder


def write_shapes(folder: Path, config: dict[str, Any], layers: dict[str, list[int]]) -> Path:
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {
        f"model.layers.{at}.{name}.weight": torch.zeros(of) for at in (0, 1) for name, of in layers.items()
    }
    save_file(tensors | {"model.embed_tokens.weight": torch.zeros(7, 5)}, folder / "model.safetensors")
    return folder


def test_a_padded_model_says_the_same(qwen: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    size = grown(qwen)
    assert size == 2560
    pad(qwen, size, tmp_path / "padded")
    model, padded = (AutoModelForCausalLM.from_pretrained(of) for of in (qwen, tmp_path / "padded"))
    assert padded.config.intermediate_size == size
    assert padded.model.layers[1].mlp.down_proj.weight.shape == (64, size)
    ids = torch.arange(64).reshape(2, 32)
    with torch.no_grad():
        assert (model(ids).logits - padded(ids).logits).abs().max() < 1e-5
    assert grown(tmp_path / "padded") is None
    assert shapes(qwen).keys() == shapes(tmp_path / "padded").keys()


def test_the_72b_model_grows_to_what_its_makers_released(tmp_path: Path) -> None:
    sizes = {"num_attention_heads": 64, "num_key_value_heads": 8, "intermediate_size": 29568}
    folder = write_shapes(tmp_path / "big", sizes, {"mlp.down_proj": [1, 29568]})
    assert (gpus(folder), grown(folder)) == (8, 29696)


@pytest.mark.parametrize(("size", "new"), [(1536, None), (200, None), (4800, 4864)])
def test_nothing_grows_that_splits_or_would_grow_much(tmp_path: Path, size: int, new: int | None) -> None:
    sizes = {"num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": size}
    assert grown(write_shapes(tmp_path / "model", sizes, {"mlp.down_proj": [1, size]})) == new


def test_each_kind_of_layer_has_the_largest_group_that_fits(tmp_path: Path) -> None:
    sizes = {"num_attention_heads": 14, "num_key_value_heads": 2}
    layers = {"self_attn.o_proj": 896, "mlp.down_proj": 4864, "mlp.up_proj": 896, "self_attn.q_proj": 576}
    folder = write_shapes(tmp_path / "model", sizes, {name: [3, of] for name, of in layers.items()})
    assert grouped(folder).sizes == {
        "128": ["re:.*mlp[.]down_proj$", "re:.*mlp[.]up_proj$"],
        "64": ["re:.*self_attn[.]o_proj$", "re:.*self_attn[.]q_proj$"],  # 448 for each of two GPUs, and 576
    }
    assert grouped(folder).left == []


def test_a_layer_that_no_group_fits_stays_as_it_is(tmp_path: Path) -> None:
    folder = write_shapes(tmp_path / "model", {}, {"self_attn.q_proj": [3, 72], "mlp.up_proj": [3, 96]})
    assert grouped(folder).left == ["re:.*self_attn[.]q_proj$"]
    assert grouped(folder).sizes == {"32": ["re:.*mlp[.]up_proj$"]}
