"""The shape of a language model: its published sizes, or those of a `config.json`, and what follows.

What follows is counted, not estimated: the weights of a model, and those of an adapter.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from datagen.errors import UserError
from datagen.hf.checkpoint import config
from datagen.suggest import among


class Linear(NamedTuple):
    """A matrix of a layer."""

    inputs: int
    outputs: int
    bias: bool

    @property
    def weights(self) -> int:
        """Of the matrix, and of its bias."""
        return self.inputs * self.outputs + self.bias * self.outputs


@dataclass(frozen=True, slots=True)
class Architecture:
    """The sizes of a decoder like Llama's: `kind` is llama, qwen2 or qwen3."""

    kind: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    intermediate: int
    vocabulary: int
    tied: bool
    """Whether the matrix after the last layer is that before the first."""
    context: int
    biases: tuple[bool, bool, bool] = (False, False, False)
    """Whether queries, keys and values, the attention's output, and the rest have them."""

    @property
    def linears(self) -> dict[str, Linear]:
        """The matrices of a layer, by name."""
        queries, keys = self.heads * self.head, self.kv_heads * self.head
        first, second, rest = self.biases
        return {
            "q_proj": Linear(self.hidden, queries, first),
            "k_proj": Linear(self.hidden, keys, first),
            "v_proj": Linear(self.hidden, keys, first),
            "o_proj": Linear(queries, self.hidden, second),
            "gate_proj": Linear(self.hidden, self.intermediate, rest),
            "up_proj": Linear(self.hidden, self.intermediate, rest),
            "down_proj": Linear(self.intermediate, self.hidden, rest),
        }

    @property
    def in_matrices(self) -> int:
        """Weights in the matrices of all layers: what is kept in 4 bits where a model is."""
        return self.layers * sum(linear.inputs * linear.outputs for linear in self.linears.values())

    @property
    def embedding(self) -> int:
        """Weights of the matrix before the first layer, and again of that after the last."""
        return self.vocabulary * self.hidden

    @property
    def weights(self) -> int:
        """All of them."""
        norms = 2 * self.hidden + (2 * self.head if self.kind == "qwen3" else 0)
        layer = norms + sum(linear.weights for linear in self.linears.values())
        return self.embedding * (1 if self.tied else 2) + self.layers * layer + self.hidden

    def adapter(self, rank: int) -> int:
        """Weights of an adapter of this rank in all matrices of all layers."""
        return self.layers * rank * sum(linear.inputs + linear.outputs for linear in self.linears.values())

    def padded(self, multiple: int) -> "Architecture":
        """The same with its intermediate size filled up by zeros, so that groups of weights split evenly."""
        return replace(self, intermediate=-(-self.intermediate // multiple) * multiple)


MOST_GPUS = 8
"""Over so many GPUs at most a quantised model is made to split: those of one machine."""


def evenly(heads: int, kv_heads: int) -> int:
    """Over how many GPUs, up to MOST_GPUS, all heads can be shared out, with no copies: a power of two."""
    return math.gcd(heads, kv_heads, MOST_GPUS)


def spread(heads: int, kv_heads: int, intermediate: int, most: int) -> int:
    """Over how many GPUs, of `most`, vLLM can spread a model, so that all get as much of it.

    Heads of keys and values are shared out, or each GPU has a copy of one.
    """
    return max(
        n
        for n in range(1, most + 1)
        if heads % n == 0 and intermediate % n == 0 and (kv_heads % n == 0 or n % kv_heads == 0)
    )


def _qwen2(hidden: int, layers: int, heads: int, kv: int, wide: int, words: int, tied: bool) -> Architecture:
    biases = (True, False, False)
    return Architecture(
        "qwen2", hidden, layers, heads, kv, hidden // heads, wide, words, tied, 32_768, biases
    )


def _qwen3(hidden: int, layers: int, heads: int, kv: int, wide: int) -> Architecture:
    return Architecture("qwen3", hidden, layers, heads, kv, 128, wide, 151_936, False, 40_960)


PUBLISHED = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": Architecture(
        "llama", 576, 30, 9, 3, 64, 1_536, 49_152, True, 8_192
    ),
    "Qwen/Qwen2-72B-Instruct": _qwen2(8_192, 80, 64, 8, 29_568, 152_064, False),
    "Qwen/Qwen2-7B-Instruct": _qwen2(3_584, 28, 28, 4, 18_944, 152_064, False),
    "Qwen/Qwen2.5-0.5B-Instruct": _qwen2(896, 24, 14, 2, 4_864, 151_936, True),
    "Qwen/Qwen3-8B": _qwen3(4_096, 36, 32, 8, 12_288),
    "Qwen/Qwen3-32B": _qwen3(5_120, 64, 64, 8, 25_600),
}
"""The bases of the configs that ship, as their `config.json` on the hub has them."""


def names() -> dict[str, str]:
    """The short names of published models, as in `qwen2-72b`, and their names on the hub."""
    return {_short(name): name for name in PUBLISHED}


def architecture(model: str) -> Architecture:
    """The shape of a model: a folder, a name on the hub that is known here, or the short one.

    Raises UserError where it is none of them, or where the folder's model is built in another way.
    """
    if Path(model).is_dir():
        return read(Path(model))
    known = {name.lower(): shape for name, shape in PUBLISHED.items()}
    known |= {short: PUBLISHED[name] for short, name in names().items()}
    if model.lower() in known:
        return known[model.lower()]
    raise UserError(
        f"{model}: its sizes are not known here, and it is no folder with a config.json: "
        f"{among(model, names())}"
    )


def read(folder: Path) -> Architecture:
    """The shape in a folder's `config.json`. Raises UserError where that is not one of the three kinds."""
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no model: it has no config.json. Name the folder that holds one")
    return of_config(config(folder), folder / "config.json")


def of_config(said: Mapping[str, Any], place: Path) -> Architecture:
    """The shape that a `config.json` says. Raises UserError with the place where it lacks a size."""
    kind = said.get("model_type")
    if kind not in ("llama", "qwen2", "qwen3"):
        raise UserError(
            f"{place}: `model_type` is {kind}: only llama, qwen2 and qwen3 can be planned. Others train and "
            "answer all the same; try one on a few rows to see what it takes"
        )
    needed = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size")
    sizes = [said.get(name) for name in needed]
    for name, size in zip(needed, sizes, strict=True):
        if not isinstance(size, int) or size < 1:
            raise UserError(f"{place}: `{name}` is {size!r}: no number above 0. Copy or save the model again")
    hidden, layers, heads, wide, words = (int(size or 0) for size in sizes)
    attention = bool(said.get("attention_bias"))
    biases = (attention or kind == "qwen2", attention, bool(said.get("mlp_bias")))
    return Architecture(
        kind,
        hidden,
        layers,
        heads,
        said.get("num_key_value_heads") or heads,
        said.get("head_dim") or (128 if kind == "qwen3" else hidden // heads),
        wide,
        words,
        bool(said.get("tie_word_embeddings")),
        said.get("max_position_embeddings") or 2_048,
        biases,
    )


def _short(name: str) -> str:
    return name.partition("/")[2].lower().removesuffix("-instruct")
