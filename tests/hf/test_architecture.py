"""Shapes of models: the counts are those of the very model, made without memory, and of PEFT's adapter."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from datagen.errors import UserError
from datagen.hf.architecture import PUBLISHED, Architecture, architecture, names, of_config


def settings(shape: Architecture) -> dict[str, Any]:
    """The `config.json` of a shape."""
    return {
        "model_type": shape.kind,
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head,
        "intermediate_size": shape.intermediate,
        "vocab_size": shape.vocabulary,
        "tie_word_embeddings": shape.tied,
        "max_position_embeddings": shape.context,
    }


def made(shape: Architecture) -> Any:
    """The model itself, on torch's device without memory."""
    for name in ("torch", "transformers", "peft"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name}, which the extra `finetune` brings")
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    said = settings(shape)
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(said.pop("model_type"), **said))


def count(model: Any, trained: bool = False) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad or not trained)


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_are_those_of_the_model_and_its_adapter(name: str) -> None:
    shape = PUBLISHED[name]
    model = made(shape)
    assert shape.weights == count(model)
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(r=64, target_modules="all-linear", task_type="CAUSAL_LM")
    assert shape.adapter(64) == count(get_peft_model(model, lora), trained=True)


def test_weights_are_as_published() -> None:
    assert PUBLISHED["Qwen/Qwen2-72B-Instruct"].weights == 72_706_203_648
    assert PUBLISHED["Qwen/Qwen2-7B-Instruct"].weights == 7_615_616_512
    assert PUBLISHED["Qwen/Qwen2.5-0.5B-Instruct"].weights == 494_032_768
    assert PUBLISHED["Qwen/Qwen3-8B"].weights == 8_190_735_360
    assert PUBLISHED["Qwen/Qwen3-32B"].weights == 32_762_123_264
    assert PUBLISHED["HuggingFaceTB/SmolLM2-135M-Instruct"].weights == 134_515_008


def test_a_folder_of_any_bias_is_counted(tmp_path: Path) -> None:
    said = settings(PUBLISHED["HuggingFaceTB/SmolLM2-135M-Instruct"])
    said |= {"attention_bias": True, "mlp_bias": True, "num_hidden_layers": 2}
    shape = of_config(said, tmp_path)
    assert shape.biases == (True, True, True)
    pytest.importorskip("torch", reason="needs the extra `finetune`")
    from transformers import AutoConfig, AutoModelForCausalLM

    del said["model_type"]
    assert shape.weights == count(AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **said)))


def test_short_and_long_names_mean_one_model() -> None:
    assert set(names()) >= {"qwen2-72b", "qwen2-7b", "qwen2.5-0.5b", "qwen3-8b", "qwen3-32b", "smollm2-135m"}
    assert architecture("Qwen2-72B") == architecture("Qwen/Qwen2-72B-Instruct")
    with pytest.raises(UserError, match=r"qwen2-73b: its sizes are not known here.*did you mean `qwen2-7b`"):
        architecture("qwen2-73b")


def test_padding_makes_groups_of_128_split_over_eight() -> None:
    shape = architecture("qwen2-72b").padded(1024)
    assert shape.intermediate == 29_696
    assert shape.padded(1024) == shape


def test_a_folder_is_read_and_others_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"it has no config\.json"):
        architecture(str(tmp_path))
    said = settings(architecture("qwen3-8b"))
    (tmp_path / "config.json").write_text(json.dumps(said), encoding="utf-8")
    assert architecture(str(tmp_path)) == architecture("qwen3-8b")
    (tmp_path / "config.json").write_text(json.dumps(said | {"model_type": "mixtral"}), encoding="utf-8")
    with pytest.raises(
        UserError, match=r"config\.json: `model_type` is mixtral: only llama, qwen2 and qwen3"
    ):
        architecture(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(said | {"hidden_size": "wide"}), encoding="utf-8")
    with pytest.raises(UserError, match="`hidden_size` is 'wide': no number above 0"):
        architecture(str(tmp_path))
