"""The plan of a run: memory on each GPU, sequences at once and minutes, before anything is rented.

Memory is counted. Minutes come from tokens read and said a second: measured on this machine by a short run,
or given, or, of GPUs, out of their makers' figures and the shares of them that are assumed to be reached.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from datagen.console.text import duration
from datagen.errors import UserError
from datagen.hf.architecture import PUBLISHED
from datagen.hf.architecture import names as known_models
from datagen.hf.checkpoint import chooses_by, model_folder
from datagen.hf.gpus import Gpu, Gpus
from datagen.prompts.chat import check_chat
from datagen.prompts.token_count import token_counter
from datagen.shopbench.questions import Asked
from infer.batches import balanced
from infer.on_gpus import (
    GIB,
    GROUP,
    OVERHEAD,
    SEQUENCES,
    UTILISATION,
    Memory,
    Model,
    memory,
    model,
    padded,
    split_over,
)
from infer.serve.engine import Engine, Settings, settings
from infer.serve.prepare import guessed, prepare
from infer.serve.respond import Answerer
from infer.work import Load, load, loads

BATCH, BLOCK = 512, 16

"""Questions sent together on a GPU, and tokens of a block of its cache."""

CPU_BLOCK = 32
"""Tokens of a block on a CPU, as the engine sets it."""

COMPUTE, BANDWIDTH, LINK = 0.4, 0.7, 0.5
"""Shares of a GPU's published speed that are assumed to be reached."""

STEP, HOP = 0.005, 30e-6
"""Seconds that a step costs beside its work, and a message to the other GPUs beside its bytes."""

_SAMPLE = 32
"""Questions of the short run that measures this machine."""


class Rates(NamedTuple):
    """Tokens a second: of prompts read, of answers said, and of texts weighed.

    `share` of the tokens that answers may have is said.
    """

    read: float
    said: float
    weighed: float
    share: float = 1.0


def rates(model: Model, gpus: Gpus, at_once: int, sequence: float) -> Rates:
    """Tokens a second out of a GPU's published figures, with so many sequences of so many tokens at once."""
    gpu, shape, parts = gpus.gpu, model.shape, split_over(model, gpus)
    assert gpu.tflops
    assert gpu.memory_gb_s
    assert gpu.link_gb_s
    flops = parts * gpu.tflops * 1e12 * COMPUTE
    compute = (2 * shape.in_matrices + 2 * shape.layers * shape.heads * shape.head * sequence) / flops
    hops = 2 * shape.layers if parts > 1 else 0
    sent = hops * 2 * shape.hidden * 2 * (parts - 1) / parts / (gpu.link_gb_s * 1e9 * LINK)
    found = memory(model, gpus)
    step = (found.weights + at_once * sequence * found.token) / (gpu.memory_gb_s * 1e9 * BANDWIDTH)
    step += STEP + hops * HOP + at_once * (compute + sent)
    read = 1 / (compute + sent)
    head = 2 * shape.embedding / flops  # of each weighed token; of a prompt only the last goes there
    return Rates(read, at_once / step, 1 / (1 / read + head))


def seconds(work: Load, rates: Rates) -> float:
    """Seconds that the work takes at these rates. Each prompt read gives the first token said."""
    said = max(0.0, work.said * rates.share - (work.sequences if work.said else 0))
    return work.read / rates.read + said / rates.said + work.weighed / rates.weighed


def measured(
    engine: Answerer,
    asked: Sequence[Asked],
    chosen: Settings,
    block: int,
    choose: str,
    clock: Callable[[], float] = time.monotonic,
) -> Rates:
    """Tokens a second that this machine's engine reads, says and weighs, by a short run of some questions.

    They are asked as they are, and for one token each, which is reading. What the first takes longer is
    saying. Constraints are made ready before, as they would be counted for each question.
    """
    sample = balanced(asked, _SAMPLE)
    prepared = [
        prepare(
            engine.tokenizer,
            question.prompt,
            guessed(question.prompt, question.is_multiple_choice),
            chosen.context,
            choose=choose,
        )
        for question in sample
    ]
    requests = [one.request for one in prepared if one.request]
    texts = [text for one in prepared if one.weighed for text in one.weighed.texts]
    work = load(prepared, block)
    read = said = weighed = math.inf
    share = 1.0
    if requests:
        short = [one._replace(constraint=replace(one.constraint, max_tokens=1)) for one in requests]
        engine.answer(short)  # warms up; a long run makes few more constraints ready than this
        began = clock()
        answers = engine.answer(requests)
        whole = clock() - began
        began = clock()
        engine.answer(short)
        reading = min(clock() - began, 0.95 * whole)  # else the machine did something else meanwhile
        tokens = sum(answer.tokens for answer in answers)
        share = tokens / max(1, work.said)
        read = work.read / max(reading, 1e-6)
        said = max(1, tokens - len(answers)) / max(whole - reading, 1e-6)
    if texts:
        if not requests:
            engine.likelihoods(texts[:2])
        began = clock()
        engine.likelihoods(texts)
        weighed = work.weighed / max(clock() - began, 1e-6)
    return Rates(read, said, weighed, share)


def total(asked: Sequence[Asked], tokenizer: Any, context: int, size: int, block: int, choose: str) -> Load:
    """The work of all questions."""
    return sum(loads(asked, tokenizer, context, size, block, choose), Load())


def plan(
    name: str,
    asked: Sequence[Asked],
    gpus: Gpus,
    bits: int | None,
    limit: float | None,
    choose: str | None,
    given: Rates | None,
) -> str:
    """The plan of a run on GPUs, as a text. Raises UserError where it can't be held, with what could."""
    found = model(name, bits)
    counter = token_counter(known_models().get(name.lower(), name), _tokenizer)
    by = choose or (chooses_by(Path(name)) if Path(name).is_dir() else "number")
    work = total(asked, counter.tokenizer, found.context, BATCH, BLOCK, by)
    kept = memory(found, gpus)
    parts = split_over(found, gpus)
    lines = list(_memory(found, gpus, parts, kept, work, counter.how))
    if kept.tokens < found.context:
        raise UserError("\n".join([*lines, "", *_does_not_fit(found, gpus, kept)]))
    mean = (work.given + work.said) / max(1, work.sequences)
    at_once = int(min(kept.tokens // math.ceil(mean), SEQUENCES.get(gpus.gpu.name, 256)))
    lines.append(
        f"{at_once} sequences at once of the mean {mean:,.0f} tokens, "
        f"{kept.tokens // found.context} of {found.context:,}"
    )
    if given is None and not gpus.gpu.tflops:
        lines.append(
            f"minutes: not known, as the speed of a GPU of {gpus.gpu.name} is not. Name one, as in 4xT4, or "
            "give --rates READ,SAID"
        )
        return "\n".join(lines)
    speed = given or rates(found, gpus, at_once, mean)
    return "\n".join(_minutes(lines, work, speed, limit, f"{gpus}: {_source(gpus.gpu, given)}", found.bits))


def plan_here(
    name: str, asked: Sequence[Asked], limit: float | None, choose: str | None, given: Rates | None
) -> str:
    """The plan of a run on this machine, by a short run or rates that are given. Raises UserError."""
    hub = known_models().get(name.lower())
    if hub and not Path(name).is_dir():
        raise UserError(
            f"{name}: its sizes are known, so GPUs can be planned: --gpus 1x16. To measure this machine "
            "name a folder (`finetune base smollm2-135m` prints that of the embedded model), or a model of "
            f"the hub: {hub}"
        )
    folder = model_folder(name)
    chosen, by = settings(folder), choose or chooses_by(folder)
    block = BLOCK if chosen.device == "cuda" else CPU_BLOCK
    if given:
        tokenizer, speed, how = _tokenizer(folder), given, "given"
    else:
        engine = Engine(folder, chosen)
        tokenizer, speed = engine.tokenizer, measured(engine, asked, chosen, block, by)
        how = f"measured by {min(len(asked), _SAMPLE)} of the questions"
    work = total(asked, tokenizer, chosen.context, chosen.batch, block, by)
    lines = list(_work(work, "its own tokenizer"))
    return "\n".join(_minutes(lines, work, speed, limit, f"this machine: {how}"))


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # a damaged file can raise anything
        raise UserError(
            f"{folder}: its tokenizer does not load: {type(error).__name__}: "
            f"{next(iter(str(error).splitlines()), '')}. Copy it again"
        ) from error
    check_chat(tokenizer, folder)
    return tokenizer


def given_rates(text: str) -> Rates:
    """The rates of a text such as `900,150`: tokens read and said a second. Raises UserError."""
    try:
        read, said = (float(number) for number in text.split(","))
    except ValueError:
        read = said = 0.0
    if not (0 < read < math.inf and 0 < said < math.inf):
        raise UserError(
            f"--rates {text}: write two numbers above 0: tokens read and said a second, as in 900,150"
        )
    return Rates(read, said, read)


def _source(gpu: Gpu, given: Rates | None) -> str:
    if given:
        return "tokens a second as given"
    return (
        f"not measured, but by the published figures ({gpu.tflops:g} TFLOPS in 16 bits, "
        f"{gpu.memory_gb_s:,g} GB/s, {gpu.link_gb_s:g} GB/s between GPUs), of which {COMPUTE:.0%}, "
        f"{BANDWIDTH:.0%} and {LINK:.0%} are assumed to be reached"
    )


def _work(work: Load, how: str) -> Iterator[str]:
    yield (
        f"{work.questions:,} questions, {work.sequences:,} sequences, {work.given:,} tokens (counted by "
        f"{how}), of which {work.read + work.weighed:,} are computed, as beginnings are shared; at most "
        f"{work.said:,} are said"
    )
    cut = f"; {work.cut:,} are longer than that, and lose their middle" if work.cut else ""
    yield f"the longest sequence has {work.longest:,} tokens with its answer{cut}"


def _memory(model: Model, gpus: Gpus, parts: int, kept: Memory, work: Load, how: str) -> Iterator[str]:
    yield f"{model.name} in {model.bits} bits on {gpus} of {gpus.gpu.gib:g} GiB{gpus.taken}"
    if parts < gpus.number:
        heads = f"{model.shape.heads} heads ({model.shape.kv_heads} of keys)"
        yield f"its {heads} split evenly over {parts} of the {gpus.number} GPUs alone"
    if model.bits == 4 and model.shape.intermediate != _published_width(model):
        width = model.shape.intermediate
        yield f"its {_published_width(model):,} inputs are padded to {width:,}, to split evenly"
    yield ""
    yield f"{'on each GPU':<44}{'GiB':>7}"
    for words, value in (
        ("weights", kept.weights),
        ("what comes and goes", kept.working),
        ("CUDA, messages and graphs", OVERHEAD),
        (f"left for keys and values ({kept.tokens:,} tokens)", kept.cache),
    ):
        yield f"{words:<44}{value / GIB:>7.1f}"
    yield f"{f'of which vLLM takes {UTILISATION:.0%}':<44}{gpus.gpu.gib:>7.1f}"
    yield ""
    yield from _work(work, how)


def _published_width(model: Model) -> int:
    known = known_models().get(model.name.lower(), model.name)
    return PUBLISHED[known].intermediate if known in PUBLISHED else model.shape.intermediate


def _minutes(
    lines: list[str], work: Load, speed: Rates, limit: float | None, source: str, bits: int = 4
) -> list[str]:
    """The plan so far, and its time. Raises UserError where they are more than the limit."""
    taken = seconds(work, speed)
    weighed = f", {speed.weighed:,.0f} weighed" if work.weighed else ""
    lines = [
        *lines,
        f"{source}: {speed.read:,.0f} tokens a second read, {speed.said:,.0f} said{weighed}",
        f"about {duration(taken)}, without loading",
    ]
    if limit is None:
        return lines
    allowed = duration(60 * limit)
    if taken <= 60 * limit:
        return [*lines, f"fits into {allowed}, with {duration(60 * limit - taken)} to spare"]
    fit = int(work.questions * 60 * limit / taken)
    lines.append(
        f"{duration(taken)} don't fit into {allowed}: about {fit:,} of {work.questions:,} questions do. "
        f"Faster or more GPUs,{'' if bits == 4 else ' 4 bits (--bits 4),'} or a smaller model take less"
    )
    raise UserError("\n".join(lines))


def _does_not_fit(model: Model, gpus: Gpus, kept: Memory) -> Iterator[str]:
    needed = model.context * kept.token / GIB
    yield (
        f"a sequence of {model.context:,} tokens needs {needed:.1f} GiB on each GPU, and "
        f"{kept.cache / GIB:.1f} are left. What does fit:"
    )
    options = []
    counts = sorted({gpus.number} | {n for n in (2, 4, 8, 16, 32, 64) if n > gpus.number})
    for bits in sorted({model.bits, 4}, reverse=True):
        shape = padded(model.shape) if bits == 4 else model.shape
        for count in counts:
            if (bits, count) == (model.bits, gpus.number) or model.shape.heads % count:
                continue
            other = Gpus(count, gpus.gpu)
            try:
                found = memory(
                    Model(model.name, shape, bits, GROUP if bits == 4 else 0, model.context), other
                )
            except UserError:
                continue
            if found.tokens >= model.context:
                options.append(f"--bits {bits} --gpus {count}x{gpus.gpu.name.removesuffix(' GB')}")
                break
    yield from (
        f"  {option}" for option in options or [f"nothing on {gpus.gpu.name}: take GPUs with more memory"]
    )
