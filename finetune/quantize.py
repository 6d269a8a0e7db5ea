"""Quantising: a model folder as one with 4-bit weights, published only if it still answers as well.

    <parent>/awq/             the quantised model, NAME-awq where NAME is not merged; shoptalk.json: figures
    <parent>/awq-refused/     a quantised model that lost more than the margin
    <parent>/.awq.unfinished/ what is done so far: sequences, the padded model, answers
    <parent>/awq-compare.html the answers before and after, side by side
    <parent>/.NAME-before-*/  the answers of the model itself, for the next method

The work itself is llm-compressor's, in an environment of its own (`quantize_process`, `quantize_worker`). The
answers are those of `infer run`, before and after.
"""

import hashlib
import json
import math
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from datagen.errors import UserError
from datagen.hf.checkpoint import (
    ORIGIN,
    chooses_by,
    config,
    fingerprint,
    model_folder,
    share_weights,
    weight_files,
)
from datagen.shopbench.questions import COPY, to_table
from datagen.storage.files import check_room, full_disk, read_json, write_json, write_parquet
from datagen.storage.folder_lock import held
from finetune import calibration, packed, padding
from finetune.quantize_process import Report, environment, run_worker
from finetune.quantize_worker import FIGURES
from finetune.scored import counted, few, infer
from finetune.tensors import check_finite, tensors_of

METHODS = ("awq", "gptq", "rtn")
"""Activation-aware scaling, error by error (Hessian), and rounding alone."""

_AGAIN = "Delete the folder and run the same again"
_SPARE = 2**28


class Job(NamedTuple):
    """What is to be done, the folder in which it is, and what `wanted.json` there says of it."""

    model: Path
    work: Path
    asked: calibration.Questions
    wanted: dict[str, Any]
    report: Report


def quantize(
    model: str,
    source: Path,
    report: Report,
    *,
    method: str = "awq",
    name: str | None = None,
    margin: float = 0.02,
    samples: int = 96,
    limit: int = 300,
    text: list[calibration.Tokens] | None = None,
) -> Path:
    """Write the quantised model beside `model`, if it is not there; gives its folder.

    Its name is `name`, or else the method's, after the model's own where that is not `merged`. It is
    calibrated on `samples` sequences and scored on `limit` questions of the source; `text` are other
    sequences to calibrate on. Raises UserError where it loses more than `margin` of the score, and keeps it
    aside; and where the model is quantised already or broken, a folder of that name was made from another,
    there is no environment, no room, or no question.
    """
    if not 0 <= margin < math.inf:  # also NaN, which passes click's range
        raise UserError(f"a margin of {margin:g}: give a number from 0 on, as in: --margin 0.02")
    folder = model_folder(model)
    if packed.is_quantized(folder):
        raise UserError(
            f"{folder}: quantised already, and a second time would lose more. "
            "Name the model that it was made from"
        )
    python = environment()
    target = folder.parent / (name or _name(folder, method))
    if target.resolve() == folder.resolve():
        raise UserError(f"{target}: the model itself lies there. Give the quantised one another --name")
    refused, work = target.with_name(f"{target.name}-refused"), target.with_name(f".{target.name}.unfinished")
    asked = calibration.questions(folder, source, samples, limit)
    if text:
        asked = asked._replace(calibration=text)
    wanted = {
        "method": method,
        "calibration": _hashed([of.ids for of in asked.calibration]),
        "questions": _hashed([chooses_by(folder), *([one.id, one.prompt] for one in asked.scored)]),
        "source_sha256": fingerprint(weight_files(folder)),
    }
    if _is_published(target, refused, folder, wanted, margin):
        report.say(f"{target} is there already: {_told(_figures(target))}")
        return target
    if _figures(refused).get("made_from") != wanted:
        with full_disk(work), held(work, f"{target} is being quantised into"):
            page = target.with_name(f"{target.name}-compare.html")
            _quantize(Job(folder, work, asked, wanted, report), python, page)
            shutil.rmtree(refused, ignore_errors=True)
            (work / "model").rename(refused)  # it stays refused until it is judged
            shutil.rmtree(work, ignore_errors=True)
    return _judged(refused, target, margin, report)


def _is_published(target: Path, refused: Path, model: Path, wanted: dict[str, Any], margin: float) -> bool:
    """Whether the very model that is wanted is there. Raises UserError where another is in the way."""
    there = _figures(target)
    if there.get("made_from") == wanted:
        if -there["change"]["score"] > margin:
            raise UserError(
                f"{target} is published already, and its score fell by more than the margin of {margin:g}: "
                f"{_told(there)}. Delete it, or give a larger --margin"
            )
        return True
    if target.exists() and not there:
        raise UserError(f"{target} is in the way: it holds no quantised model. Give --name, or delete it")
    for made in (target, refused):
        of = _figures(made).get("made_from", wanted)["source_sha256"]
        if of != wanted["source_sha256"]:
            raise UserError(
                f"{made} was made from another model than {model}, or from other weights of it. "
                "Give --name, or delete it"
            )
    return False


def _name(folder: Path, method: str) -> str:
    """The new folder's name: that of the method for a merged model, which a training has one of."""
    own = folder.resolve().name
    return method if own == "merged" else f"{own}-{method}"


def _judged(refused: Path, target: Path, margin: float, report: Report) -> Path:
    """Publish the model, or raise UserError where its score is more than the margin below."""
    figures = _figures(refused)
    change = figures["change"]
    if -change["score"] > margin:
        raise UserError(
            f"{refused}: not published. Its score fell by more than the margin of {margin:g}: "
            f"{_told(figures)}. It is kept there with its figures (shoptalk.json). "
            "Calibrate on more questions (--samples), try another --method, or publish it all the same "
            "with a larger --margin"
        )
    if -change["low"] > margin:
        report.say(
            f"the change is within the margin of {margin:g}, but its interval is not: "
            "score more questions (--limit) to be sure"
        )
    shutil.rmtree(target, ignore_errors=True)
    refused.rename(target)
    report.say(_told(figures))
    return target


def _told(figures: dict[str, Any]) -> str:
    """Score and size before and after, in a line."""
    before, after, change = (figures[key] for key in ("before", "after", "change"))
    told = few(figures.get("scored", {"questions": 0, "tasks": 0}))
    wider = f"; {told}: the true interval is wider" if told else ""
    return (
        f"score {before['score']:.3f} -> {after['score']:.3f}, "
        f"{change['score']:+.3f} [{change['low']:+.2f}, {change['high']:+.2f}]; "
        f"{before['gib']:.3g} GiB -> {after['gib']:.3g}{wider}"
    )


def _quantize(job: Job, python: Path, page: Path) -> None:
    """Quantise and score in the job's folder; what is done there for the same wish is not repeated."""
    size = _begin(job)
    if not (job.work / "model").is_dir():
        _pack(job, python, size)
    _score(job, page)


def _begin(job: Job) -> int | None:
    """Check the model and the disk; the size that the layers between grow to, None where they stay.

    What was begun with another wish is thrown away.
    """
    begun = job.work / "wanted.json"
    if not begun.is_file() or read_json(begun, _AGAIN) != job.wanted:
        _emptied(job.work)
        _check_finite(job.model, job.report)
        write_json(job.wanted, begun)
    size = padding.grown(job.model)
    bytes_ = sum(file.stat().st_size for file in weight_files(job.model))
    plain = 0 if answers_packed() else 2 * bytes_
    check_room(job.work, bytes_ // 2 + (bytes_ if size else 0) + plain + _SPARE)
    return size


def _pack(job: Job, python: Path, size: int | None) -> None:
    """Write the 4-bit model and its figures, by the worker; padded before where it has to be."""
    start = job.model
    if size:
        before, start = config(job.model)["intermediate_size"], job.work / "padded"
        job.report.say(f"pads the layers between from {before:,} to {size:,}")
        shutil.rmtree(start, ignore_errors=True)
        padding.pad(job.model, size, start)
    groups = padding.grouped(start)
    job.report.say(_grouped_as(groups))
    unfinished = job.work / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "model").mkdir(parents=True)
    run_worker(python, _request(job, start, groups, unfinished), unfinished, job.report)
    made = read_json(unfinished / FIGURES, _AGAIN)
    job.report.say(f"compares {len(made['layers']):,} packed layers with what was quantised")
    packed.check(unfinished / "model", made.pop("layers"))
    for file in padding.beside_weights(start):
        if file.name != "config.json":  # the new one says how it is packed
            shutil.copyfile(file, unfinished / "model" / file.name)
    share_weights(unfinished / "model")
    _describe(job.model, unfinished / "model", _made(job, groups, size, made))
    (unfinished / "model").rename(job.work / "model")
    shutil.rmtree(job.work / "padded", ignore_errors=True)
    shutil.rmtree(unfinished, ignore_errors=True)


def _request(job: Job, model: Path, groups: padding.Grouped, folder: Path) -> dict[str, Any]:
    """What the worker is asked for; the sequences are written into the folder."""
    sequences = {"calibration": job.asked.calibration, "measured": job.asked.measured}
    for name, of in sequences.items():
        calibration.write(of, folder / f"{name}.jsonl")
    return {
        "model": str(model.resolve()),
        "output": str((folder / "model").resolve()),
        "method": job.wanted["method"],
        "groups": groups.sizes,
        "ignore": ["lm_head", *groups.left],
        "dtype": _kept_in(job.model),
        **{name: str((folder / f"{name}.jsonl").resolve()) for name in sequences},
    }


def _score(job: Job, page: Path) -> None:
    """Have both models answer, and add what comes of it to the figures."""
    asked, done = job.work / COPY, job.work / "model"
    write_parquet(to_table(job.asked.scored), asked)
    job.report.say(f"asks {len(job.asked.scored):,} questions before and after")
    before = job.model.parent / f".{job.model.name}-before-{job.wanted['questions'][:8]}"
    after = job.work / "after"
    _answer(job.model, asked, before)
    answering = done if answers_packed() else job.work / "plain"
    if answering != done:
        packed.dequantize(done, answering)
    _answer(answering, asked, after)
    scores = json.loads(infer("compare", before, after, "--json", "--page", page))
    figures = _figures(done)
    figures["answered"] = "packed" if answering == done else "dequantized"
    figures["before"] |= scores[before.name]["overall"]
    figures["after"] |= scores[after.name]["overall"]
    figures["change"] = scores[after.name]["changes"][before.name]
    figures["scored"] = counted(scores[after.name]["tasks"])
    _describe(job.model, done, figures)


def _made(job: Job, groups: padding.Grouped, size: int | None, made: dict[str, Any]) -> dict[str, Any]:
    """The figures before any question is asked; `made` are the worker's."""
    calibrated = {
        "sequences": len(job.asked.calibration),
        "tokens": sum(len(of.ids) for of in job.asked.calibration),
    }
    method = job.wanted["method"]
    return {
        "made_from": job.wanted,
        "method": method,
        "groups": groups._asdict(),
        "padded": [config(job.model)["intermediate_size"], size] if size else None,
        "calibration": None if method == "rtn" else calibrated,  # rounding takes none
        "questions": len(job.asked.scored),
        "before": {"perplexity": made.pop("perplexity_before"), "gib": _gib(job.model)},
        "after": {"perplexity": made.pop("perplexity_after")},
        "worker": made,
    }


def _describe(source: Path, folder: Path, figures: dict[str, Any]) -> None:
    """Write the folder's shoptalk.json: what the source's says, and the figures."""
    origin = read_json(source / ORIGIN, _AGAIN) if (source / ORIGIN).is_file() else {}
    figures["after"]["gib"] = _gib(folder)
    figures["weights_sha256"] = fingerprint(weight_files(folder))
    write_json({**origin, "choose": chooses_by(source), "quantized": figures}, folder / ORIGIN)


def _figures(folder: Path) -> dict[str, Any]:
    """The figures of a quantised model of ours, if its weights are still those; else none."""
    if not (folder / ORIGIN).is_file():
        return {}
    found = read_json(folder / ORIGIN, _AGAIN).get("quantized") or {}
    same = found.get("weights_sha256") == fingerprint(weight_files(folder))
    return dict(found) if same else {}


def _answer(model: Path, asked: Path, run: Path) -> None:
    infer("run", model, "--questions", asked, "--name", run.name, "--runs", run.parent)


def answers_packed() -> bool:
    """Whether vLLM answers with packed weights here at a bearable speed: on a CPU it does so in bfloat16."""
    import torch

    able = torch.cpu.get_capabilities()
    return torch.cuda.is_available() or bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _check_finite(folder: Path, report: Report) -> None:
    """Raises UserError where a weight is NaN or infinite: layers would be skipped, with a line in a log."""
    files = weight_files(folder)
    for number, file in enumerate(files):
        report.progress(number, len(files))
        plain = (tensor for tensor in tensors_of(file).values() if tensor.computable)
        check_finite(plain, "Train or merge the model again")


def _kept_in(folder: Path) -> str:
    """What stays in 16 bits: in the model's own numbers; bfloat16 for a model in float32."""
    kept = str(config(folder).get("dtype") or config(folder).get("torch_dtype"))
    return kept if kept in ("bfloat16", "float16") else "bfloat16"


def _grouped_as(groups: padding.Grouped) -> str:
    """Which layers have which groups, in a line."""
    plain = {size: ", ".join(_plain(pattern) for pattern in of) for size, of in groups.sizes.items()}
    said = "; ".join(f"groups of {size}: {of}" for size, of in plain.items())
    left = ", ".join(map(_plain, groups.left))
    return said + (f"; in 16 bits, as no group fits: {left}" if left else "")


def _plain(pattern: str) -> str:
    return pattern.removeprefix("re:.*").removesuffix("$").replace("[.]", ".")


def _gib(folder: Path) -> float:
    return round(sum(file.stat().st_size for file in weight_files(folder)) / 2**30, 4)


def _hashed(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _emptied(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name not in (".lock", ".lock.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
