"""Quantising: a model folder as one with 4-bit weights, published only if it still answers as well.

    <parent>/awq/             the quantised model, NAME-awq where NAME is not merged; shoptalk.json: figures
    <parent>/awq-refused/     a quantised model that lost more than the margin
    <parent>/.awq.unfinished/ what is done so far: sequences, the padded model, answers
    <parent>/awq-compare.html the answers before and after, side by side
    <parent>/.NAME-before-*/  the answers of the model itself, for the next method

The work itself is llm-compressor's, in an environment of its own (`quantize_worker`). The answers are those
of `infer run`, before and after.
"""

import errno
import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from datagen.errors import UserError
from datagen.hf.checkpoint import ORIGIN, chooses_by, config, fingerprint, model_folder, weight_files
from datagen.shopbench.questions import COPY, to_table
from datagen.storage.files import full_disk, read_json, write_json, write_parquet
from datagen.storage.folder_lock import held
from finetune import calibration, packed, padding
from finetune.quantize_worker import FIGURES
from finetune.scored import counted, few, infer
from finetune.tensors import check_finite, tensors_of

METHODS = ("awq", "gptq", "rtn")
"""Activation-aware scaling, error by error (Hessian), and rounding alone."""

ENVIRONMENT = Path(sys.prefix) / "quantize-env"
INSTALL = "make .venv/quantize"

TOLD_EVERY = 60.0
"""Seconds between lines that say how far it is, where there is no terminal for a bar."""

_AGAIN = "Delete the folder and run the same again"
_SPARE = 2**28


class Report(NamedTuple):
    """The callbacks that report: a line of text, and layers done of all."""

    say: Callable[[str], None]
    progress: Callable[[int, int], None]


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
    worker = _environment()
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
    there = _figures(target)
    if there.get("made_from") == wanted:
        if -there["change"]["score"] > margin:
            raise UserError(
                f"{target} is published already, and its score fell by more than the margin of {margin:g}: "
                f"{_told(there)}. Delete it, or give a larger --margin"
            )
        report.say(f"{target} is there already: {_told(there)}")
        return target
    if target.exists() and not there:
        raise UserError(f"{target} is in the way: it holds no quantised model. Give --name, or delete it")
    for made in (target, refused):
        of = _figures(made).get("made_from", wanted)["source_sha256"]
        if of != wanted["source_sha256"]:
            raise UserError(
                f"{made} was made from another model than {folder}, or from other weights of it. "
                "Give --name, or delete it"
            )
    if _figures(refused).get("made_from") != wanted:
        with full_disk(work), held(work, f"{target} is being quantised into"):
            page = target.with_name(f"{target.name}-compare.html")
            _quantize(folder, worker, work, asked, wanted, method, page, report)
            shutil.rmtree(refused, ignore_errors=True)
            (work / "model").rename(refused)  # it stays refused until it is judged
            shutil.rmtree(work, ignore_errors=True)
    return _judged(refused, target, margin, report)


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


def _quantize(
    folder: Path,
    worker: Path,
    work: Path,
    asked: calibration.Questions,
    wanted: dict[str, Any],
    method: str,
    page: Path,
    report: Report,
) -> None:
    """Quantise and score in the folder `work`; what is done there for the same wish is not repeated."""
    if not (work / "wanted.json").is_file() or read_json(work / "wanted.json", _AGAIN) != wanted:
        _emptied(work)
        _check_finite(folder, report)
        write_json(wanted, work / "wanted.json")
    size = padding.grown(folder)
    _check_room(folder, work, size is not None)
    done = work / "model"
    if not done.is_dir():
        start = folder
        if size:
            start = work / "padded"
            report.say(f"pads the layers between from {config(folder)['intermediate_size']:,} to {size:,}")
            shutil.rmtree(start, ignore_errors=True)
            padding.pad(folder, size, start)
        groups = padding.grouped(start)
        report.say(_grouped_as(groups))
        unfinished = work / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        (unfinished / "model").mkdir(parents=True)
        calibration.write(asked.calibration, unfinished / "calibration.jsonl")
        calibration.write(asked.measured, unfinished / "measured.jsonl")
        request = {
            "model": str(start.resolve()),
            "output": str((unfinished / "model").resolve()),
            "method": method,
            "groups": groups.sizes,
            "ignore": ["lm_head", *groups.left],
            "calibration": str((unfinished / "calibration.jsonl").resolve()),
            "measured": str((unfinished / "measured.jsonl").resolve()),
            "dtype": _kept_in(folder),
        }
        _work(worker, request, unfinished, report)
        made = read_json(unfinished / FIGURES, _AGAIN)
        report.say(f"compares {len(made['layers']):,} packed layers with what was quantised")
        packed.check(unfinished / "model", made.pop("layers"))
        for file in padding.beside_weights(start):
            if file.name != "config.json":  # the new one says how it is packed
                shutil.copyfile(file, unfinished / "model" / file.name)
        _describe(folder, unfinished / "model", _made(wanted, method, asked, groups, size, folder, made))
        (unfinished / "model").rename(done)
        shutil.rmtree(work / "padded", ignore_errors=True)
        shutil.rmtree(unfinished, ignore_errors=True)
    write_parquet(to_table(asked.scored), work / COPY)
    report.say(f"asks {len(asked.scored):,} questions before and after")
    before = folder.parent / f".{folder.name}-before-{wanted['questions'][:8]}"
    _answer(folder, work / COPY, before)
    figures = _figures(done)
    figures["answered"] = "packed" if answers_packed() else "dequantized"
    answering = done
    if not answers_packed():
        answering = work / "plain"
        packed.dequantize(done, answering)
    _answer(answering, work / COPY, work / "after")
    scores = json.loads(infer("compare", before, work / "after", "--json", "--page", page))
    figures["before"] |= scores[before.name]["overall"]
    figures["after"] |= scores["after"]["overall"]
    figures["change"] = scores["after"]["changes"][before.name]
    figures["scored"] = counted(scores["after"]["tasks"])
    _describe(folder, done, figures)


def _made(
    wanted: dict[str, Any],
    method: str,
    asked: calibration.Questions,
    groups: padding.Grouped,
    size: int | None,
    folder: Path,
    made: dict[str, Any],
) -> dict[str, Any]:
    """The figures before any question is asked."""
    return {
        "made_from": wanted,
        "method": method,
        "groups": groups._asdict(),
        "padded": [config(folder)["intermediate_size"], size] if size else None,
        "calibration": None  # rounding takes none
        if method == "rtn"
        else {
            "sequences": len(asked.calibration),
            "tokens": sum(len(of.ids) for of in asked.calibration),
        },
        "questions": len(asked.scored),
        "before": {"perplexity": made.pop("perplexity_before"), "gib": _gib(folder)},
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


def _environment() -> Path:
    """The Python of llm-compressor's environment. Raises UserError where there is none."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.is_file():
        raise UserError(
            f"{ENVIRONMENT}: not there. llm-compressor quantises, in an environment of its own, as it needs "
            f"other releases than vLLM. Run: {INSTALL} (docs/quantize.md says what it does)"
        )
    return python


def _work(python: Path, request: dict[str, Any], folder: Path, report: Report) -> None:
    """Run the worker. Raises UserError, with its last words, where it fails."""
    write_json(request, folder / "request.json")
    script = Path(__file__).with_name("quantize_worker.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    log = folder.parent / "worker.log"
    last: deque[str] = deque(maxlen=20)
    told = _paced(report)
    with (
        log.open("w", encoding="utf-8", buffering=1) as kept,
        subprocess.Popen(
            [python, "-P", script, folder / "request.json"],
            stdin=subprocess.PIPE,  # its end tells the worker that this process has ended, however it did
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
        ) as process,
    ):
        assert process.stderr is not None
        try:
            for line in process.stderr:  # universal newlines: a bar's \r ends a line, too
                kept.write(line)
                if line.strip() and "it/s" not in line and "s/it" not in line:  # no bars
                    last.append(line.strip())
                if step := re.match(r"\((\d+)/(\d+)\): ", line):
                    told(int(step[1]), int(step[2]))
        except BaseException:
            process.kill()
            raise
    if process.returncode < 0:
        raise UserError(
            f"{request['model']}: its worker was killed ({signal.Signals(-process.returncode).name}); "
            "the same command starts it anew"
            + (". Memory may have run out" if process.returncode == -signal.SIGKILL else "")
        )
    if process.returncode:
        words = "\n  ".join(last)
        if "No space left" in words:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise UserError(
            f"{request['model']}: llm-compressor failed ({process.returncode}). {log} has all it said; "
            f"the end of it:\n  {words}"
        )


def _paced(report: Report) -> Callable[[int, int], None]:
    """What is to be called with the layer at work, of all: a bar, and lines where stderr is no terminal."""
    started: dict[int, float] = {}
    spoken = time.monotonic()

    def told(layer: int, layers: int) -> None:
        nonlocal spoken
        report.progress(layer, layers)
        now = time.monotonic()
        if layer in started:
            return
        started[layer] = now
        done = layer - min(started)
        if done and now - spoken >= TOLD_EVERY and not sys.stderr.isatty():
            from finetune.callbacks import minutes

            left = (now - min(started.values())) / done * (layers - layer + 1)
            report.say(f"layer {layer} of {layers}, {minutes(left)} to go")
            spoken = now

    return told


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


def _check_room(folder: Path, work: Path, grows: bool) -> None:
    """Raises UserError where what will be written does not fit on the disk."""
    size = sum(file.stat().st_size for file in weight_files(folder))
    needed = size // 2 + (size if grows else 0) + (0 if answers_packed() else 2 * size) + _SPARE
    free = shutil.disk_usage(work).free
    if free < needed:
        raise UserError(
            f"{work}: {free / 2**30:.1f} GiB are free there, and quantising {folder} takes up to "
            f"{needed / 2**30:.1f}. Free some space, and run the same again"
        )


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
