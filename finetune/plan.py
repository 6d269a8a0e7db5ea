"""The plan of a training: memory on each GPU, tokens, steps and hours, before anything is fetched or rented.

Hours follow from the makers' figures of a GPU and two shares of them that trainings reach; nobody has
measured them here.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from datagen.console.text import duration
from datagen.errors import UserError
from datagen.hf.architecture import Architecture, architecture
from datagen.hf.gpus import Gpus
from datagen.prompts.token_count import token_counter
from finetune.base_models import EMBEDDED, base_model, load_tokenizer, published
from finetune.config import Config
from finetune.dataset import OVER_LENGTH, WHY, row_lengths, split_rows
from finetune.memory import FOUR_BITS, GIB, Memory, Part, memory, numbers_of, part

COMPUTE, BANDWIDTH = 0.5, 0.8
"""Shares of a GPU's published speed that training reaches.

With them, the winners' training (8 x A100, 500,000 rows) takes a day, as they say it did.
"""


class Data(NamedTuple):
    """The rows that are trained."""

    rows: int
    tokens: int
    longest: int
    left_out: Mapping[str, int]
    """How many of the rows that were read cannot be trained on, by reason."""
    available: int
    """Rows of the train split."""
    test: int
    how: str


class Time(NamedTuple):
    """Steps of a training, and the seconds that they take; None where the GPU's speed is not known."""

    steps: int
    seconds: float | None


def plan(config: Config, gpus: Gpus, data: Path | None) -> str:
    """The plan of a config on some GPUs, and with the tokens of a run of datagen, as a text.

    Raises UserError where it does not fit, with what does.
    """
    shape = shape_of(config.base)
    if config.batch_rows % gpus.number:
        raise UserError(
            f"`batch_rows: {config.batch_rows}` can't be shared out to {gpus.number} GPUs: take a multiple, "
            f"as in --set batch_rows={math.ceil(config.batch_rows / gpus.number) * gpus.number}"
        )
    if config.max_length > shape.context:
        raise UserError(
            f"`max_length: {config.max_length}` is more than the {shape.context} tokens that {config.base} "
            f"reads. Set it to {shape.context} or less, as in --set max_length={shape.context}"
        )
    rows = count(config, data) if data else None
    longest = rows.longest if rows else config.max_length
    found = memory(config, shape, gpus, longest)
    lines = [*_head(config, shape, gpus), "", *_table(config, found, part(config, gpus, longest), gpus)]
    if found.peak > gpus.gpu.gib * GIB:
        raise UserError("\n".join([*lines, "", *_does_not_fit(config, shape, gpus, longest, found)]))
    if rows:
        lines += ["", *_course(config, shape, gpus, rows)]
    return "\n".join(lines)


def shape_of(base: str) -> Architecture:
    """The shape of a config's base."""
    return architecture(published(base))


def count(config: Config, data: Path) -> Data:
    """The rows of a run of datagen that the config would train on, and their tokens."""
    base = config.base
    counter = token_counter(str(base_model(base)) if base in EMBEDDED else base, load_tokenizer)
    rows = tokens = longest = 0
    left_out: Counter[str] = Counter()
    for length in row_lengths(data, "train", counter.tokenizer, config.choose):
        if rows == config.rows:
            break
        if isinstance(length, str) or length > config.max_length:
            left_out[length if isinstance(length, str) else OVER_LENGTH] += 1
            continue
        if config.token_budget and tokens + length > config.token_budget:
            break
        rows, tokens, longest = rows + 1, tokens + length, max(longest, length)
    if not rows:
        raise UserError(
            f"{data}: none of the rows of its train split can be trained on"
            f"{_left_out(left_out, config)}. Take another data set, or config"
        )
    available, test = (split_rows(data, side) for side in ("train", "test"))
    return Data(rows, tokens, longest, left_out, available, test, counter.how)


def _left_out(left_out: Mapping[str, int], config: Config) -> str:
    """Why rows are left out, and how many, as the end of a sentence; empty where none are."""
    words = {OVER_LENGTH: f"longer than `max_length: {config.max_length}`", **WHY}
    told = ", ".join(f"{count:,} {words.get(reason, reason)}" for reason, count in sorted(left_out.items()))
    return f"; left out: {told}" if told else ""


def time(config: Config, shape: Architecture, gpus: Gpus, rows: Data) -> Time:
    """Steps of the training, and their seconds with test losses."""
    gpu = gpus.gpu
    steps = math.ceil(rows.rows / config.batch_rows) * config.epochs
    if not (gpu.tflops and gpu.memory_gb_s and gpu.link_gb_s):
        return Time(steps, None)
    mean = rows.tokens / rows.rows
    mine = config.batch_rows / gpus.number
    allowed = config.micro_batch_tokens or 16_384
    together = max(1.0, min(mine, allowed / mean))
    tflops = gpu.tflops if numbers_of(config, gpu) == "bfloat16" else gpu.tflops / 8  # T4: 8.1 in float32
    one = seconds(config, shape, together * mean, mean, tflops * 1e12 * COMPUTE, gpu.memory_gb_s * 1e9)
    trained = shape.adapter(config.rank) if config.rank else shape.weights
    send = 0.0 if gpus.number == 1 else 2 * 4 * trained / (gpu.link_gb_s * 1e9)
    test = (2 + steps // config.eval_every) * config.eval_rows / gpus.number * mean
    forward = 2 * (shape.in_matrices + shape.embedding) / (tflops * 1e12 * COMPUTE)
    return Time(steps, steps * (mine / together * one + send) + test * forward)


def seconds(
    config: Config, shape: Architecture, tokens: float, row: float, flops: float, bandwidth: float
) -> float:
    """Seconds of one part: forwards, backwards, and forwards again where nothing was kept."""
    passes = 2 + (config.rank is None) + config.gradient_checkpointing
    adapter = 3 * shape.adapter(config.rank) if config.rank else 0
    attention = (
        2 * shape.layers * shape.heads * shape.head * row * passes
    )  # of a token, half the row before it
    compute = tokens * (2 * passes * shape.in_matrices + 2 * adapter + attention) / flops
    if config.four_bit:  # unpacked first, and multiplied then
        return compute + passes * shape.in_matrices * (FOUR_BITS + 2 + 2) / (bandwidth * BANDWIDTH)
    return max(compute, passes * 2 * shape.in_matrices / (bandwidth * BANDWIDTH))


def _head(config: Config, shape: Architecture, gpus: Gpus) -> Iterator[str]:
    yield f"{config.base} on {gpus} of {gpus.gpu.gib:g} GiB{gpus.taken}"
    how = (
        f"{shape.adapter(config.rank):,} of an adapter of rank {config.rank}"
        if config.rank
        else "all of them"
    )
    yield f"{shape.weights:,} weights; trained: {how}"


def _table(config: Config, found: Memory, piece: Part, gpus: Gpus) -> Iterator[str]:
    numbers = numbers_of(config, gpus.gpu)
    kept = "of each layer's input, and one layer" if config.gradient_checkpointing else "of all layers"
    names = {
        "weights": f"weights in {'4 bits' if config.four_bit else 'float32' if not config.rank else numbers}",
        "adapter": "adapter",
        "gradients": "gradients, twice where they are sent" if gpus.number > 1 else "gradients",
        "optimizer": "optimizer",
        "activations": f"activations {kept}, {piece.tokens:,} tokens at once",
        "working": "what comes and goes while a layer computes",
        "overhead": "CUDA, and what is lost between tensors",
    }
    width = max(map(len, names.values()))
    yield f"{'on each GPU':<{width}}{'GiB':>8}"
    for name, words in names.items():
        if value := getattr(found, name):
            yield f"{words:<{width}}{value / GIB:>8.1f}"
    verdict = ": it fits" if found.peak <= gpus.gpu.gib * GIB else ""
    yield f"{'peak':<{width}}{found.peak / GIB:>8.1f}   of {gpus.gpu.gib:g}{verdict}"


def _course(config: Config, shape: Architecture, gpus: Gpus, rows: Data) -> Iterator[str]:
    took = time(config, shape, gpus, rows)
    times = f", {config.epochs} times" if config.epochs > 1 else ""
    rest = rows.available - rows.rows - sum(rows.left_out.values())
    limit = "rows" if config.rows == rows.rows else "token_budget"
    beyond = f"; {rest:,} are beyond `{limit}: {getattr(config, limit)}`" if rest else ""
    yield (
        f"{rows.rows:,} of the train split's {rows.available:,} rows, {rows.tokens:,} tokens{times} "
        f"(counted by {rows.how}); the longest has {rows.longest:,}{_left_out(rows.left_out, config)}{beyond}"
    )
    yield f"the test split's {rows.test:,} rows are not trained on: they are for test losses and questions"
    yield f"{took.steps:,} steps of {config.batch_rows} rows"
    if took.seconds is None:
        yield f"hours: not known, as the speed of a GPU of {gpus.gpu.name} is not. Name one, as in 8xA100"
        return
    yield (
        f"about {duration(took.seconds)}: by the published figures of {gpus.gpu.name} "
        f"({gpus.gpu.tflops:g} TFLOPS, {gpus.gpu.memory_gb_s:,g} GB/s), of which {COMPUTE:.0%} and "
        f"{BANDWIDTH:.0%} are assumed to be reached; not measured"
    )
    if config.minutes and config.token_budget is None:
        yield f"`minutes: {config.minutes:g}` would end it earlier: --set minutes=null trains on all rows"


def _does_not_fit(
    config: Config, shape: Architecture, gpus: Gpus, longest: int, found: Memory
) -> Iterator[str]:
    yield f"{found.peak / GIB:.1f} GiB don't fit into {gpus.gpu.gib:g}. What does:"
    yield from (f"  {line}" for line in proposals(config, shape, gpus, longest))


def proposals(config: Config, shape: Architecture, gpus: Gpus, longest: int) -> list[str]:
    """What would fit, each with its peak; a line that says so where nothing does."""
    changes: list[dict[str, object]] = []
    if not config.gradient_checkpointing:
        changes.append({"gradient_checkpointing": True})
    if (config.micro_batch_tokens or 16_384) > longest:
        changes.append({"micro_batch_tokens": longest})
    if config.rank is None:
        changes.append({"rank": 64})
    elif not config.four_bit and numbers_of(config, gpus.gpu) == "bfloat16":
        changes.append({"four_bit": True})
    sets = list(changes)
    if len(changes) > 1:
        together: dict[str, object] = {}
        for change in changes:
            together |= change
            if len(together) > 1:
                sets.append(dict(together))
    found = []
    for change in sets:
        peak = memory(config.model_copy(update=change), shape, gpus, longest).peak
        if peak <= gpus.gpu.gib * GIB:
            said = " ".join(f"--set {key}={str(value).lower()}" for key, value in change.items())
            found.append(f"{said}: {peak / GIB:.1f} GiB")
    if not found:
        small = config.model_copy(
            update={"gradient_checkpointing": True, "micro_batch_tokens": 1, "four_bit": False}
        )
        for count in (n for n in (gpus.number, 2 * gpus.number, 4 * gpus.number, 8 * gpus.number) if n > 1):
            more = Gpus(count, gpus.gpu)
            peak = memory(small, shape, more, longest, sharded=True).peak
            if peak <= gpus.gpu.gib * GIB and config.batch_rows % count == 0:
                found.append(
                    f"{more}, the weights in 16 bits shared out by FSDP (docs/finetune.md), "
                    f"four_bit=false, gradient_checkpointing=true, micro_batch_tokens=1: {peak / GIB:.1f} GiB"
                )
                break
        short = longest // 2
        if short >= 256:
            peak = memory(
                config.model_copy(
                    update={"gradient_checkpointing": True, "micro_batch_tokens": 1, "max_length": short}
                ),
                shape,
                gpus,
                short,
            ).peak
            if peak <= gpus.gpu.gib * GIB:
                found.append(
                    f"--set max_length={short} --set gradient_checkpointing=true --set micro_batch_tokens=1: "
                    f"{peak / GIB:.1f} GiB"
                )
    return found or [f"nothing on {gpus}: take GPUs with more memory, or a smaller base"]
