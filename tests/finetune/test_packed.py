"""Packed weights read back, against numbers that are packed here one by one."""

import json
from pathlib import Path
from typing import Any

import pytest

from datagen.errors import UserError
from finetune.packed import check, dequantize, digest, is_quantized, layers, unpacked

LAYER = "model.layers.0.mlp.up_proj"


def packed_by_hand(numbers: list[list[int]]) -> Any:
    """Eight numbers in each int32, lowest first; the last one of a row is filled with zeros."""
    import torch

    rows = []
    for row in numbers:
        full = [*row, *[0] * (-len(row) % 8)]
        words = [sum(of << 4 * at for at, of in enumerate(full[i : i + 8])) for i in range(0, len(full), 8)]
        rows.append([word - 2**32 if word >= 2**31 else word for word in words])
    return torch.tensor(rows, dtype=torch.int32)


@pytest.fixture
def model(tmp_path: Path) -> tuple[Path, Any]:
    """A folder with one packed layer of 5 outputs, 64 inputs and groups of 32, and its plain weights."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    numbers, zeros = torch.randint(0, 16, (5, 64)), torch.randint(0, 16, (5, 2))
    scale = torch.rand(5, 2).to(torch.bfloat16)
    plain = torch.empty(5, 64)
    for row in range(5):
        for column in range(64):
            group = column // 32
            plain[row, column] = (numbers[row, column] - zeros[row, group]) * scale[row, group].float()
    folder = tmp_path / "packed"
    folder.mkdir()
    save_file(
        {
            f"{LAYER}.weight_packed": packed_by_hand(numbers.tolist()),
            f"{LAYER}.weight_scale": scale,
            f"{LAYER}.weight_zero_point": packed_by_hand(zeros.T.tolist()).T.contiguous(),
            f"{LAYER}.weight_shape": torch.tensor([5, 64]),
            "model.norm.weight": torch.ones(64, dtype=torch.bfloat16),
        },
        folder / "model.safetensors",
    )
    (folder / "config.json").write_text('{"dtype": "bfloat16", "quantization_config": {}}')
    (folder / "shoptalk.json").write_text('{"choose": "text"}')
    return folder, plain


def test_a_packed_layer_unpacks_to_the_numbers_that_were_packed(model: tuple[Path, Any]) -> None:
    import torch
    from safetensors import safe_open

    folder, plain = model
    assert layers(folder) == [LAYER]
    with safe_open(folder / "model.safetensors", framework="pt") as weights:
        assert torch.equal(unpacked(weights, LAYER), plain)


def test_a_dequantized_model_is_read_by_whom_the_packed_one_is(
    model: tuple[Path, Any], tmp_path: Path
) -> None:
    dequantize(model[0], tmp_path / "plain")
    assert len({file.stat().st_mode for file in (tmp_path / "plain").iterdir()}) == 1


def test_a_dequantized_model_is_a_plain_one(model: tuple[Path, Any], tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder, plain = model
    dequantize(folder, tmp_path / "plain")
    weights = load_file(tmp_path / "plain" / "model.safetensors")
    assert weights.keys() == {f"{LAYER}.weight", "model.norm.weight"}
    assert torch.equal(weights[f"{LAYER}.weight"], plain)
    assert json.loads((tmp_path / "plain" / "config.json").read_text()) == {"dtype": "float32"}
    assert json.loads((tmp_path / "plain" / "shoptalk.json").read_text()) == {"choose": "text"}
    assert (is_quantized(folder), is_quantized(tmp_path / "plain")) == (True, False)


def test_layers_that_differ_from_what_was_quantised_are_named(model: tuple[Path, Any]) -> None:
    folder, plain = model
    check(folder, {LAYER: digest(plain)})
    with pytest.raises(UserError, match=f"`{LAYER}` unpacks to other weights"):
        check(folder, {LAYER: digest(plain + 1)})
    with pytest.raises(UserError, match=r"`model\.layers\.1\.mlp\.up_proj` was quantised and not written"):
        check(folder, {LAYER: digest(plain), "model.layers.1.mlp.up_proj": ""})
