"""Layer sizes that 4 bits can take: groups of inputs, and zeros where a size does not split.

A group of 128 inputs shares a scale, and no engine cuts a group in two. Where a model is spread over
several GPUs, the inputs of `down_proj` and `o_proj` are shared out, so a GPU's part has to be whole
groups. Qwen2-72B's 29568 = 231 x 128 are not: zeros make them 29696 = 232 x 128, and the model says
the same, as each new neuron is silent and unheard.
"""

import json
import math
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from datagen.hf.architecture import evenly
from datagen.hf.checkpoint import ORIGIN, config, weight_files
from datagen.storage.files import read_json

GROUPS = (128, 64, 32)
"""Inputs that share a scale, best first: those that GPU kernels know."""

MOST = 1.06
"""A model grows to so many times its size at most; Qwen2-72B grows to 1.004 times."""

_SHARED_OUT = ("down_proj", "o_proj")
_GROWS = {"gate_proj.weight": 0, "up_proj.weight": 0, "gate_proj.bias": 0, "up_proj.bias": 0}
_GROWS["down_proj.weight"] = 1
"""Weights that have one row or column for each neuron between, and which axis that is."""


class Grouped(NamedTuple):
    """Patterns of layers by their group's size, and of those that no group fits, which stay as they are."""

    sizes: dict[str, list[str]]
    left: list[str]


def gpus(folder: Path) -> int:
    """Over how many GPUs a model's heads can be shared out."""
    said = config(folder)
    heads = said.get("num_attention_heads") or 1
    return evenly(heads, said.get("num_key_value_heads") or heads)


def grown(folder: Path) -> int | None:
    """The size that the layers between have to grow to; None where it splits as it is.

    Nothing grows where it would take more than MOST, or where the layers have other names: they get smaller
    groups.
    """
    size = config(folder).get("intermediate_size") or 0
    whole = GROUPS[0] * gpus(folder)
    new = math.ceil(size / whole) * whole
    named = any(name.endswith(".mlp.down_proj.weight") for name in shapes(folder))
    return new if named and size < new <= MOST * size else None


def shapes(folder: Path) -> dict[str, list[int]]:
    """The shape of each weight, read off the heads of the files."""
    from safetensors import safe_open

    found: dict[str, list[int]] = {}
    for file in weight_files(folder):
        with safe_open(file, framework="numpy") as weights:
            found |= {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118
    return found


def grouped(folder: Path) -> Grouped:
    """The largest group for each kind of layer of a model: `self_attn.q_proj` has one size all over."""
    among = gpus(folder)
    inputs: dict[str, set[int]] = defaultdict(set)
    for name, shape in shapes(folder).items():
        parts = name.split(".")
        if "layers" in parts and parts[-1] == "weight" and len(shape) == 2:
            inputs[".".join(parts[-3:-1])].add(shape[1])
    sizes: dict[str, list[str]] = defaultdict(list)
    left: list[str] = []
    for kind, widths in sorted(inputs.items()):
        part = among if kind.endswith(_SHARED_OUT) else 1
        size = next((size for size in GROUPS if all(width % (part * size) == 0 for width in widths)), None)
        pattern = f"re:.*{kind.replace('.', '[.]')}$"
        (sizes[str(size)] if size else left).append(pattern)
    return Grouped(dict(sizes), left)


def pad(folder: Path, size: int, to: Path) -> None:
    """Write the model with layers of `size` neurons between; one file of weights is in memory at a time."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    to.mkdir(parents=True)
    for file in beside_weights(folder):
        shutil.copyfile(file, to / file.name)
    for file in weight_files(folder):
        with safe_open(file, framework="pt") as weights:
            tensors = {name: _grown(name, weights.get_tensor(name), size) for name in weights.keys()}  # noqa: SIM118
        save_file(tensors, to / file.name, metadata={"format": "pt"})
    if (index := folder / "model.safetensors.index.json").is_file():
        shutil.copyfile(index, to / index.name)  # which file holds which weight: as before
    said = read_json(to / "config.json", "Copy the model again")
    part = said["text_config"] if "intermediate_size" in (said.get("text_config") or {}) else said
    part["intermediate_size"] = size
    (to / "config.json").write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def beside_weights(folder: Path) -> list[Path]:
    """The files of a model but its weights, their index and what else speaks of them."""
    return [
        file
        for file in sorted(folder.iterdir())
        if file.suffix in (".json", ".jinja", ".txt", ".model")
        and not file.name.endswith(".index.json")
        and file.name != ORIGIN
    ]


def _grown(name: str, weight: Any, size: int) -> Any:
    axis = next((axis for end, axis in _GROWS.items() if name.endswith(f".mlp.{end}")), None)
    if axis is None or weight.shape[axis] == size:
        return weight
    new = weight.new_zeros(*(size if at == axis else old for at, old in enumerate(weight.shape)))
    new.narrow(axis, 0, weight.shape[axis]).copy_(weight)
    return new
