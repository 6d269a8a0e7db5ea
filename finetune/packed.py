"""Packed models: 4-bit folders as llm-compressor writes them, read back into plain weights.

A packed layer has eight 4-bit numbers in an int32, lowest first: the `weight_packed` along its inputs, the
`weight_zero_point` along its outputs. A group of inputs shares a scale and a zero point:
weight = (packed - zero) x scale.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from datagen.errors import UserError
from datagen.hf.checkpoint import ORIGIN, share_weights, weight_files
from datagen.storage.files import read_json
from finetune.padding import beside_weights

PACKED = ".weight_packed"
_PARTS = (PACKED, ".weight_scale", ".weight_zero_point", ".weight_shape", ".weight_g_idx")


def is_quantized(folder: Path) -> bool:
    """Whether a model's weights are quantised already, by whatever method."""
    return "quantization_config" in read_json(folder / "config.json", "Copy the model again")


def unpacked(weights: Any, layer: str) -> Any:
    """The float32 weights of one layer of an open file of weights."""
    import torch

    shape = weights.get_tensor(f"{layer}.weight_shape").tolist()
    scale = weights.get_tensor(f"{layer}.weight_scale").float()
    number = _nibbles(weights.get_tensor(f"{layer}{PACKED}"))[:, : shape[1]]
    zero = _nibbles(weights.get_tensor(f"{layer}.weight_zero_point").T).T[: shape[0]]
    group = shape[1] // scale.shape[1]
    number, zero = (part.to(torch.float32) for part in (number, zero))
    return (number - zero.repeat_interleave(group, 1)) * scale.repeat_interleave(group, 1)


def _nibbles(packed: Any) -> Any:
    """The eight numbers of each int32, along the last axis."""
    import torch

    shifts = torch.arange(0, 32, 4, dtype=torch.int32, device=packed.device)
    return ((packed.unsqueeze(-1) >> shifts) & 15).flatten(-2)


def layers(folder: Path) -> list[str]:
    """The names of a model's packed layers."""
    from safetensors import safe_open

    found = []
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as weights:
            found += [name.removesuffix(PACKED) for name in weights.keys() if name.endswith(PACKED)]  # noqa: SIM118
    return sorted(found)


def check(folder: Path, digests: dict[str, str]) -> None:
    """Compare every packed layer with the digest that the library's own weights had.

    Raises UserError where a layer is missing, or its weights are others.
    """
    from safetensors import safe_open

    if missing := sorted(digests.keys() ^ set(layers(folder))):
        raise UserError(
            f"{folder}: `{missing[0]}` was quantised and not written, or the other way round. "
            "Run the same again"
        )
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as weights:
            for name in [name.removesuffix(PACKED) for name in weights.keys() if name.endswith(PACKED)]:  # noqa: SIM118
                if digest(unpacked(weights, name)) != digests[name]:
                    raise UserError(
                        f"{file}: `{name}` unpacks to other weights than were quantised. Run the same again; "
                        "if it fails anew, another release of llm-compressor packs in another way"
                    )


def digest(weight: Any) -> str:
    """The sha256 of float32 weights; -0.0 and 0.0 are one."""
    return hashlib.sha256((weight + 0.0).numpy().tobytes()).hexdigest()


def dequantize(folder: Path, to: Path) -> None:
    """Write the packed model as a plain one in float32, for machines whose engine has no 4-bit kernel.

    Nothing is done where `to` is there: it has its name when it is whole.
    """
    if to.is_dir():
        return
    unfinished = to.with_name(f".{to.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    _dequantize(folder, unfinished)
    unfinished.rename(to)


def _dequantize(folder: Path, to: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    to.mkdir()
    for file in (*beside_weights(folder), folder / ORIGIN):
        if file.is_file():
            shutil.copyfile(file, to / file.name)
    where: dict[str, str] = {}
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as weights:
            names = list(weights.keys())
            tensors = {name: weights.get_tensor(name).float() for name in names if not name.endswith(_PARTS)}
            for name in names:
                if name.endswith(PACKED):
                    layer = name.removesuffix(PACKED)
                    tensors[f"{layer}.weight"] = unpacked(weights, layer)
        save_file(tensors, to / file.name, metadata={"format": "pt"})
        where |= dict.fromkeys(tensors, file.name)
    if len(set(where.values())) > 1:
        index = {"metadata": {}, "weight_map": where}
        (to / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    config = read_json(to / "config.json", "Copy the model again")
    del config["quantization_config"]
    (to / "config.json").write_text(json.dumps(config | {"dtype": "float32"}, indent=2), encoding="utf-8")
    share_weights(to)
