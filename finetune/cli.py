"""The `finetune` command: its subcommands and arguments.

Results go to stdout, progress to stderr; exit codes are those of `datagen`. Everything heavier than click
is imported inside the command that needs it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from datagen.console.app import INTERRUPTED, Commands, below
from datagen.console.progress import counting
from datagen.hf.openmp import sleep_while_waiting
from datagen.shopbench.tracks import NAMES as TRACKS


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="shoptalk", message="%(version)s")
def main() -> None:
    """Train a language model on a data set of datagen.

    \b
    Examples:
      finetune train smollm2-135m --data runs/esci_mcq    finetune/runs/smollm2-135m-esci_mcq
      finetune merge finetune/runs/smollm2-135m-esci_mcq  a model that can be served
      finetune ensemble finetune/runs/a finetune/runs/b   one training of several
    """
    sleep_while_waiting()


_RUNS = click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default="finetune/runs",
    show_default=True,
    help="Folder of all trainings.",
)
_SETTINGS = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Replace one value of the config; may be repeated.",
)


@main.command()
@click.argument("config")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="A data set: its folder, such as runs/esci_mcq, or its name there.",
)
@click.option("--name", help="Name of the training's folder. [default: CONFIG-DATA]")
@_SETTINGS
@_RUNS
def train(config: str, data: Path, name: str | None, settings: tuple[str, ...], runs: Path) -> None:
    """Train a base model on a data set, or resume a training.

    CONFIG is a name in finetune/configs/ or a YAML file; docs/finetune.md lists its keys. A training that was
    cut off goes on where it stopped; a finished one is not repeated.

    \b
    Example:
      finetune train smollm2-135m --data runs/esci_mcq --set lr=1e-4 --name slow
    """
    with _leaving_at_once():
        from datagen.storage.manifest import run_folder
        from finetune.config import load
    loaded, data = load(config, settings), run_folder(data)
    run = below(runs, name or f"{Path(config).stem}-{data.resolve().name}")
    with _leaving_at_once():
        from finetune.train import train as start
    result = start(loaded, data, run, _say)
    if int(os.environ.get("RANK", 0)) == 0:
        click.echo(
            f"{run}: test loss {result['eval_loss_before']:.4f} before, {result['eval_loss']:.4f} after\n"
            f"To have it answer questions: make infer ADAPTER={run} QUESTIONS={data} (which merges it)\n"
            f"To serve it elsewhere: finetune merge {run}"
        )


@main.command()
@click.argument("config")
@click.option("--gpus", required=True, metavar="NxGB", help="GPUs of the machine, as in 8x80 or 4xT4.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder of a data set, whose rows are counted; without it memory is planned alone.",
)
@_SETTINGS
def plan(config: str, gpus: str, data: Path | None, settings: tuple[str, ...]) -> None:
    """Plan a training on GPUs: memory, tokens, steps and hours.

    CONFIG is a name in finetune/configs/ or a YAML file. Nothing is fetched, and no GPU is needed. What can't
    fit is refused (exit code 1), with what does.

    \b
    Example:
      finetune plan qwen2-72b --gpus 8x80 --data runs/kddcup24
    """
    from datagen.hf.gpus import gpus as named
    from datagen.storage.manifest import run_folder
    from finetune.config import load
    from finetune.plan import plan

    click.echo(plan(load(config, settings), named(gpus), run_folder(data) if data else None))


@main.command()
@click.argument("name", metavar="NAME|RUN")
def base(name: str) -> None:
    """Print the folder of a base model.

    NAME is smollm2-135m, a folder, or a model of the Hugging Face hub; RUN is the folder of a training that
    started from it. The model is unpacked or fetched first if it is not there.

    \b
    Examples:
      finetune base smollm2-135m
      finetune base finetune/runs/smollm2-135m-esci_small
    """
    from finetune.base_models import base_model
    from finetune.merge import base_of
    from finetune.run_file import LOCK, RUN

    trained = any((Path(name) / file).is_file() for file in (RUN, LOCK))
    click.echo(base_of(Path(name)) if trained else base_model(name))


_RUN = click.argument("run", type=click.Path(path_type=Path))


@main.command()
@_RUN
def merge(run: Path) -> None:
    """Write a tuned model as one folder that can be served.

    RUN is the folder of a finished training. The model goes to RUN/merged. If it is there already,
    nothing is done. The folder of a model is printed as it is.

    \b
    Example:
      finetune merge finetune/runs/smollm2-135m-esci_mcq
    """
    from finetune.merge import merge

    click.echo(merge(run))


@main.command()
@_RUN
@click.option(
    "--alpha",
    metavar="SHARE[,SHARE...]",
    required=True,
    help="Share of the training, or several: 0 is the base, 1 is the merged model.",
)
@click.option(
    "--questions",
    type=click.Path(path_type=Path),
    metavar="SOURCE",
    help="Have the models answer these, which choose one: a data set, or a file as infer run takes it.",
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Ask only N of the questions.")
def wise_ft(run: Path, alpha: str, questions: Path | None, limit: int | None) -> None:
    """Write models between base and tuned model (WiSE-FT).

    RUN is the folder of a finished training. A model goes to RUN/wise-ft-ALPHA; its weights are (1 - ALPHA)
    base + ALPHA tuned. With --questions the models of several shares answer them, one after another: scores,
    a plot, and the folder of the best one, which alone is kept. What was cut off goes on where it stopped.

    \b
    Example:
      finetune wise-ft finetune/runs/smollm2-135m-esci_mcq --alpha 0,0.5,1 --questions runs/esci_mcq
    """
    from finetune.merge import check_share, wise_ft

    alphas = [_number(word, "--alpha") for word in alpha.split(",")]
    for share in alphas:
        check_share(share)
    if questions is None:
        if limit:
            raise click.UsageError("--limit is of --questions, and there are none")
        for share in alphas:
            click.echo(wise_ft(run, share))
        return
    from finetune.wise_ft import notices, sweep, told

    found = sweep(run, alphas, questions, limit, _say)
    click.echo(told(found))
    for line in notices(found):
        _say(line)
    click.echo(found.model)


@main.command()
@click.argument("members", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...|FILE")
@click.option("--weights", metavar="W1,W2,...", help="Weight of each one in the sum. [default: 1/n each]")
@click.option(
    "--rank", type=click.IntRange(1), help="Rank to shorten the sum to. [default: all of it, exactly]"
)
@click.option("--name", help="Name of the new training's folder. [default: ensemble-RUN-RUN...]")
@_RUNS
def ensemble(
    members: tuple[Path, ...], weights: str | None, rank: int | None, name: str | None, runs: Path
) -> None:
    """Add up several trainings of one base as one.

    RUN is the folder of a finished training, or a checkpoint in one. What each of them added to the base is
    added up by its weight. The result is a folder like that of a training: merge it, or have it answer.
    FILE is a YAML file of several models, each with its weights and its share (WiSE-FT), such as
    finetune/ensembles/tracks.yaml, which has one for each track; MODEL of it is written whole, into
    RUNS/FILE-MODEL/wise-ft-SHARE, and the folder printed.

    \b
    Examples:
      finetune ensemble finetune/runs/a finetune/runs/b --weights 0.7,0.3 --name both
      finetune ensemble tracks.yaml      tracks-concepts/wise-ft-0.75 and so on in finetune/runs
    """
    from finetune.ensemble import ensemble

    if members[0].suffix in (".yaml", ".yml"):
        if len(members) > 1 or weights or rank or name:
            raise click.UsageError(
                f"{members[0]} says what its models are made of: give nothing else but --runs"
            )
        from finetune.tracks import make

        for made in make(members[0], runs):
            _say(f"{made.name}: {made.of}")
            click.echo(made.folder)
            if made.name in TRACKS:
                _say(f"  to hand it in: finetune submit {made.folder} --track {made.name}")
        return
    if len(members) == 1:
        raise click.UsageError("an ensemble has two members or more: name their folders")
    shares = None if weights is None else [_number(word, "--weights") for word in weights.split(",")]
    run = below(runs, name or "-".join(["ensemble", *(of.name for of in members)]))
    one = ensemble(members, run, shares, rank)
    for line in one.notices:
        _say(line)
    click.echo(one.run)


def _number(word: str, option: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise click.UsageError(f"{option}: `{word}` is no number") from None


@main.command()
@click.argument("model")
@click.option(
    "--questions",
    type=click.Path(path_type=Path),
    required=True,
    metavar="SOURCE",
    help="What to calibrate on and to score: a data set of datagen, or questions as infer run takes them.",
)
@click.option(
    "--method",
    type=click.Choice(["awq", "gptq", "rtn"]),
    default="awq",
    show_default=True,
    help="AWQ, GPTQ, or rounding to the nearest.",
)
@click.option("--name", help="Name of the new folder. [default: METHOD for merged, else MODEL-METHOD]")
@click.option(
    "--margin",
    type=click.FloatRange(0),
    default=0.02,
    show_default=True,
    help="Publish nothing whose score falls by more.",
)
@click.option(
    "--samples", type=click.IntRange(1), default=96, show_default=True, help="Questions to calibrate on."
)
@click.option("--limit", type=click.IntRange(1), default=300, show_default=True, help="Questions to score.")
def quantize(
    model: str, questions: Path, method: str, name: str | None, margin: float, samples: int, limit: int
) -> None:
    """Write a model with 4-bit weights, if it still answers as well.

    MODEL is a folder, such as RUN/merged. The new one goes beside it, as awq, or as wise-ft-0.5-awq. It
    is calibrated on questions, and scored on others before and after. It needs
    `make .venv/quantize`; docs/quantize.md says more.

    \b
    Example:
      finetune quantize finetune/runs/mine/merged --questions runs/esci_mcq
    """
    from finetune.quantize import quantize
    from finetune.quantize_process import Report

    with counting(" layers") as progress:
        click.echo(
            quantize(
                model,
                questions,
                Report(_say, progress),
                method=method,
                name=name,
                margin=margin,
                samples=samples,
                limit=limit,
            )
        )


@main.command()
@click.argument("model")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write. [default: finetune/submissions/NAME, after the model]",
)
@click.option(
    "--track",
    type=click.Choice(TRACKS),
    default="all",
    show_default=True,
    help="Track whose time limit it keeps.",
)
def submit(model: str, out: Path | None, track: str) -> None:
    """Write a model as a submission: one folder that needs nothing else.

    MODEL is a folder with config.json and safetensors, or a model of the Hugging Face hub. The folder holds
    it (by hard links where it can), the class that the competition's starter kit asks, the code that
    answers, and checksums.

    \b
    Example:
      finetune submit finetune/runs/mine/merged --track concepts
    """
    from finetune.submit import submit

    with counting("B", unit_scale=True, desc="checksums") as progress:
        folder = submit(model, out, track, progress)
    click.echo(folder)


def _say(text: str) -> None:
    click.echo(text, err=True)


@contextmanager
def _leaving_at_once() -> Iterator[None]:
    """Answer Ctrl-C by leaving: in the middle of importing torch, an exception may end up anywhere."""

    def leave(number: int, frame: FrameType | None) -> None:
        click.echo("\ninterrupted before it began", err=True)
        sys.stderr.flush()
        os._exit(INTERRUPTED)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # else a script runs it in the background, where Ctrl-C is not for it
        signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    main()
