"""A model on GPUs: in how many bits, over how many of them it splits, and the bytes on each."""

from pathlib import Path
from typing import Any, NamedTuple

from datagen.errors import UserError
from datagen.hf.architecture import Architecture, architecture, evenly, spread
from datagen.hf.checkpoint import config
from datagen.hf.gpus import Gpus
from infer.serve.engine import CONTEXT

GIB = 2**30

GROUP = 128
"""Inputs that share a scale in 4 bits."""

FOUR_BITS = 0.5 + 2.5 / GROUP
"""Bytes of a weight in AWQ's 4 bits: 4 bits, and 20 more for each group's scale and zero."""

UTILISATION = 0.92
"""Share of a GPU's memory that vLLM takes."""

TOGETHER = 8_192
"""Tokens that vLLM reads at once on a GPU."""

SEQUENCES = {"T4": 32}
"""Sequences at once that the engine allows; others: vLLM's 256."""

OVERHEAD = 1.2 * GIB
"""CUDA, NCCL and captured graphs."""


class Memory(NamedTuple):
    """Bytes on each GPU, and what is left for keys and values."""

    weights: float
    working: float
    cache: float
    token: float
    """Bytes of one token's keys and values."""

    @property
    def tokens(self) -> int:
        """Tokens whose keys and values fit."""
        return max(0, int(self.cache / self.token))


class Model(NamedTuple):
    """What is planned of a model: its shape, bits of its matrices, and inputs that share a scale."""

    name: str
    shape: Architecture
    bits: int
    group: int
    context: int


def model(name: str, bits: int | None) -> Model:
    """The model in a folder, or one whose sizes are known, with its matrices in so many bits.

    In 4 bits a known one is padded, as `finetune quantize` does it. Raises UserError.
    """
    shape = architecture(name)
    context = min(CONTEXT, shape.context)
    if Path(name).is_dir():
        found = _quantised(Path(name))
        if found and bits not in (None, found[0]):
            raise UserError(f"{name} is in {found[0]} bits already: leave out --bits {bits}")
        if found:
            return Model(name, shape, *found, context)
    if bits == 4:
        return Model(name, padded(shape), 4, GROUP, context)
    return Model(name, shape, 16, 0, context)


def padded(shape: Architecture) -> Architecture:
    """The shape as `finetune quantize` makes it, so that no group is cut where GPUs share the model."""
    return shape.padded(GROUP * evenly(shape.heads, shape.kv_heads))


def _quantised(folder: Path) -> tuple[int, int] | None:
    """Bits and group of a folder whose matrices are quantised; None where they aren't."""
    said = config(folder).get("quantization_config")
    if not said:
        return None
    groups = said.get("config_groups") or {}
    weights: dict[str, Any] = next((group.get("weights") or {} for group in groups.values()), {})
    bits = weights.get("num_bits") or said.get("bits") or said.get("w_bit")
    if bits not in (4, 8):
        raise UserError(
            f"{folder / 'config.json'}: `quantization_config` is of {bits} bits: only 4 and 8 can be planned"
        )
    return int(bits), int(weights.get("group_size") or said.get("group_size") or GROUP)


def split_over(model: Model, gpus: Gpus) -> int:
    """Over how many of the GPUs the engine spreads the model: as many as share it evenly.

    Raises UserError where that cuts a group of quantised weights in two.
    """
    shape = model.shape
    parts = spread(shape.heads, shape.kv_heads, shape.intermediate, gpus.number)
    if model.bits == 4 and shape.intermediate % (parts * model.group):
        fits = spread(shape.heads, shape.kv_heads, shape.intermediate // model.group, parts)
        new = padded(shape).intermediate
        raise UserError(
            f"{model.name}: {shape.intermediate} inputs in groups of {model.group} don't split over {parts} "
            f"GPUs. Quantise it again (finetune quantize pads them to {new} before), or use {fits} of them"
        )
    return parts


def memory(model: Model, gpus: Gpus) -> Memory:
    """Bytes on each GPU."""
    shape, parts = model.shape, split_over(model, gpus)
    matrix = {4: FOUR_BITS * GROUP / max(model.group, 1) if model.group < GROUP else FOUR_BITS, 8: 1.02}
    embeddings = shape.embedding * (1 if shape.tied else 2)
    small = shape.weights - shape.in_matrices - embeddings
    weights = (matrix.get(model.bits, 2.0) * shape.in_matrices + 2 * embeddings) / parts + 2 * small
    rows = SEQUENCES.get(gpus.gpu.name, 256)
    working = TOGETHER * 2 * (6 * shape.hidden + 3 * shape.intermediate / parts) + rows * shape.vocabulary * 8
    token = 2 * 2 * shape.layers * max(1, shape.kv_heads // parts) * shape.head
    free = gpus.gpu.gib * GIB * UTILISATION - weights - working - OVERHEAD
    return Memory(weights, working, max(0.0, free), token)
