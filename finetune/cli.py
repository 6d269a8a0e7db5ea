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

from datagen.console.app import INTERRUPTED, Commands
from datagen.hf.openmp import sleep_while_waiting


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="shoptalk", message="%(version)s")
def main() -> None:
    """Train a language model on a data set of datagen.

    \b
    Examples:
      finetune train smollm2-135m --data runs/esci_mcq    finetune/runs/smollm2-135m-esci_mcq
      finetune merge finetune/runs/smollm2-135m-esci_mcq  a model that can be served
    """
    sleep_while_waiting()


_RUNS = click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default="finetune/runs",
    show_default=True,
    help="Folder of all trainings.",
)


@main.command()
@click.argument("config")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of a data set, such as runs/esci_mcq.",
)
@click.option("--name", help="Name of the training's folder. [default: CONFIG-DATA]")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Replace one value of the config; may be repeated.",
)
@_RUNS
def train(config: str, data: Path, name: str | None, settings: tuple[str, ...], runs: Path) -> None:
    """Train a base model on a data set, or resume a training.

    CONFIG is a name in finetune/configs/ or a YAML file; docs/finetune.md lists its keys. A training that was
    cut off goes on where it stopped; a finished one is not repeated.

    \b
    Example:
      finetune train smollm2-135m --data runs/esci_mcq --set lr=1e-4 --name slow
    """
    from finetune.config import load

    loaded = load(config, settings)
    run = runs / (name or f"{Path(config).stem}-{data.resolve().name}")
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
    nothing is done.

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
    type=click.FloatRange(0, 1),
    required=True,
    help="Share of the training: 0 is the base, 1 is the merged model.",
)
def wise_ft(run: Path, alpha: float) -> None:
    """Write a model between base and tuned model (WiSE-FT).

    RUN is the folder of a finished training. The model goes to RUN/wise-ft-ALPHA; its weights are (1 - ALPHA)
    base + ALPHA tuned.

    \b
    Example:
      finetune wise-ft finetune/runs/smollm2-135m-esci_mcq --alpha 0.5
    """
    from finetune.merge import wise_ft

    click.echo(wise_ft(run, alpha))


@main.command()
@click.argument("model")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write. [default: finetune/submissions/NAME, after the model]",
)
@click.option(
    "--track",
    type=click.Choice(["concepts", "reasoning", "behavior", "languages", "all"]),
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
    from tqdm import tqdm

    from finetune.submit import submit

    with tqdm(
        total=0, unit="B", unit_scale=True, leave=False, disable=None, delay=1, desc="checksums"
    ) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

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
