"""The memory of a training on each GPU, in bytes at the worst moment.

Weights are counted. What a token keeps for the way back is what today's libraries were seen to keep, layer by
layer (`benchmarks/plan.py` measures it).
"""

from typing import NamedTuple

from datagen.hf.architecture import Architecture
from datagen.hf.gpus import Gpu, Gpus
from finetune.config import Config

GIB = 2**30

FOUR_BITS = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes of a weight in bitsandbytes' NF4: 4 bits, a byte for 64 of them, and a number for 256 such bytes."""

_CONTEXT = 1.5 * GIB
"""What CUDA, cuBLAS and NCCL take."""
_SCATTERED = 0.05
"""Share of all tensors that is lost between them."""
_LOSS_TILE = 4096 * 32_768 * 4
"""Of logits TRL holds no more than a tile."""


class Memory(NamedTuple):
    """Bytes on one GPU at the worst moment."""

    weights: float
    adapter: float
    gradients: float
    optimizer: float
    activations: float
    working: float
    overhead: float

    @property
    def peak(self) -> float:
        """All of them."""
        return sum(self)


class Part(NamedTuple):
    """What goes through a model at once: tokens, those of its longest row, and whether rows share it."""

    tokens: int
    row: int
    several: bool


def part(config: Config, gpus: Gpus, longest: int) -> Part:
    """The largest part of a step: as many tokens as are allowed, or one row that is longer."""
    allowed = config.micro_batch_tokens or 16_384
    rows = max(1, min(config.batch_rows // gpus.number, allowed // longest))
    several = config.batch_rows > gpus.number and allowed > longest
    tokens = min(max(allowed, longest), config.batch_rows // gpus.number * longest)
    return Part(tokens if several else rows * longest, longest, several)


def numbers_of(config: Config, gpu: Gpu) -> str:
    """The precision in which the config is trained there: a T4 has no bfloat16."""
    if config.precision != "auto":
        return config.precision
    return "float32" if gpu.name == "T4" else "bfloat16"


def memory(config: Config, shape: Architecture, gpus: Gpus, longest: int, sharded: bool = False) -> Memory:
    """Bytes on each GPU: a copy of everything on each, or all of it shared out (`sharded`, FSDP)."""
    numbers = numbers_of(config, gpus.gpu)
    bytes_ = 4 if numbers == "float32" else 2
    trained = shape.adapter(config.rank) if config.rank else shape.weights
    if config.rank is None:
        weights = 4.0 * shape.weights + (2 * shape.weights if bytes_ == 2 else 0)  # autocast keeps copies
        own = 4
    elif config.four_bit:
        weights = FOUR_BITS * shape.in_matrices + bytes_ * (shape.weights - shape.in_matrices)
        own = 2  # TRL's choice: with bases in 4 bits adapters are in bfloat16
    else:
        weights = float(bytes_ * shape.weights)
        own = 4  # PEFT's choice
    gradients = own * trained * (2 if gpus.number > 1 and not sharded else 1)  # once more where they are sent
    optimizer = 2 * own * trained
    share = gpus.number if sharded else 1
    piece = part(config, gpus, longest)
    kept = activations(
        shape,
        piece.tokens,
        numbers=numbers,
        rank=config.rank,
        dropout=config.dropout > 0,
        checkpointing=config.gradient_checkpointing,
        four_bit=config.four_bit,
        padded_to=piece.row if piece.several else None,
    )
    working = working_bytes(shape, piece.tokens, config.dropout > 0) + _LOSS_TILE
    if config.four_bit:
        working += 2 * shape.hidden * shape.intermediate  # a matrix is unpacked before it is used
    if sharded:  # a layer is whole while it computes, and the next one is fetched meanwhile
        working += 2 * bytes_ * (shape.in_matrices / shape.layers) + bytes_ * shape.embedding
    own_bytes = float(own * trained) if config.rank else 0.0
    found = Memory(
        weights=weights / share,
        adapter=own_bytes / share,
        gradients=gradients / share,
        optimizer=optimizer / share,
        activations=kept,
        working=working,
        overhead=0,
    )
    return found._replace(overhead=_CONTEXT + _SCATTERED * found.peak)


def activations(
    shape: Architecture,
    tokens: int,
    *,
    numbers: str,
    rank: int | None,
    dropout: bool,
    checkpointing: bool,
    four_bit: bool = False,
    padded_to: int | None = None,
    mask: int = 1,
) -> float:
    """Bytes that a forward pass keeps for the backward one.

    `padded_to` is the length of rows that are filled up to it, None for a row alone; `mask` the bytes that
    dropout keeps of a number (a GPU keeps one).
    """
    bytes_ = 4 if numbers == "float32" else 2
    layer = _layer(shape, bytes_, rank, dropout, four_bit, padded_to, mask)
    ends = shape.hidden * (4 + bytes_)  # the last norm's
    if checkpointing:  # the input of each layer, and one layer whole while it is computed anew
        return tokens * (shape.layers * shape.hidden * bytes_ + layer + ends)
    return tokens * (shape.layers * layer + ends)


def working_bytes(shape: Architecture, tokens: int, dropout: bool) -> float:
    """Bytes that come and go at the widest place of the backward pass, as measured."""
    wide, narrow = (12, 9) if dropout else (8, 5)
    return tokens * (wide * shape.intermediate + narrow * shape.hidden)


def _layer(
    shape: Architecture,
    bytes_: int,
    rank: int | None,
    dropout: bool,
    four_bit: bool,
    padded_to: int | None,
    mask: int,
) -> float:
    """Bytes that a layer keeps for each token."""
    queries, keys = shape.heads * shape.head, shape.kv_heads * shape.head
    norms = 2 * 4 * (shape.hidden + 1)  # both norms compute in float32
    if shape.kind == "qwen3":
        norms += 4 * (queries + keys + shape.heads + shape.kv_heads)
    kept = queries if padded_to else keys  # with a mask, keys and values are copied for each query's head
    attention = bytes_ * (2 * queries + 2 * kept) + 4 * shape.heads + bytes_ * (padded_to or 0)
    mlp = 3 * bytes_ * shape.intermediate  # gate, gate after its function, up
    inputs = sum(linear.inputs for linear in shape.linears.values())
    once = 2 * shape.hidden + shape.intermediate  # those that are not kept elsewhere, once each
    if dropout and rank:
        adapter = inputs * (bytes_ + mask)
    elif rank and bytes_ == 2 and not four_bit:
        adapter = inputs * bytes_  # PEFT casts an input anew for each matrix
    else:
        adapter = once * bytes_
    return norms + attention + mlp + adapter + 7 * (rank or 0) * bytes_
