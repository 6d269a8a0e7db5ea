"""The `infer` command: its subcommands and arguments.

Results go to stdout, progress to stderr; exit codes are those of `datagen`. Everything heavier than click
is imported inside the command that needs it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datagen.console.app import Commands, below
from datagen.console.progress import counting
from datagen.shopbench.tracks import NAMES as TRACKS

if TYPE_CHECKING:
    from infer.predict import Report


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="shoptalk", message="%(version)s")
def main() -> None:
    """Answer shopping questions with a model, and score the answers as ShopBench does.

    \b
    Examples:
      infer run finetune/runs/mine/merged --questions runs/esci_mcq
      infer score runs/esci_mcq --answers infer/runs/mine
      infer compare infer/runs/base infer/runs/mine
    """


class _Time(click.ParamType[float]):
    """A time such as 70m, 90s or 1.5h; in minutes, as a plain number is."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([smh]?)", str(value).strip())
        if found is None or not float(found[1]):
            self.fail(f"`{value}` is no time above 0: write 70m, 90s or 1.5h", param, ctx)
        return float(found[1]) * {"s": 1 / 60, "h": 60}.get(found[2], 1)


_GRADER = click.option(
    "--grader",
    type=click.Choice(["shopbench", "shopping_mmlu"]),
    default="shopbench",
    show_default=True,
    help="Parsers of the answers: the competition's, or its public release's.",
)
_QUESTIONS = click.option(
    "--questions",
    type=click.Path(path_type=Path),
    required=True,
    metavar="SOURCE",
    help="A data set of datagen, JSON Lines in ShopBench's form, Shopping MMLU's data.zip, a run of infer.",
)
_LIMIT = click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Ask only N questions, of all tasks in turn."
)
_CHOOSE = click.option(
    "--choose",
    type=click.Choice(["number", "text"]),
    help="Choose options by number, or by the likelihood of their texts. [default: as trained]",
)
_RUNS = click.option(
    "--runs",
    type=click.Path(file_okay=False, path_type=Path),
    default="infer/runs",
    show_default=True,
    help="Folder of all runs.",
)


@main.command()
@click.argument("model")
@click.option("--name", help="Name of the model, as it is asked for. [default: its folder's]")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True, help="Port to use.")
@click.option(
    "--questions",
    type=click.Path(path_type=Path),
    metavar="SOURCE",
    help="Questions to pick from on the page, as infer run takes them, or a run; answers to them are graded.",
)
@click.option("--plain", is_flag=True, help="Let the model write freely: what recipes ask as a teacher.")
def serve(model: str, name: str | None, port: int, questions: Path | None, plain: bool) -> None:
    """Serve a model's answers: a page to ask on, and OpenAI's chat API.

    Each question is answered as infer run answers it. With --plain it is vLLM's own server instead, without
    a page. MODEL is a folder with config.json and safetensors, or a model of the Hugging Face hub. The server
    speaks to this machine alone, until Ctrl-C.

    \b
    Examples:
      infer serve finetune/runs/mine/merged --questions runs/esci_mcq
      infer serve models/mine --name mine --plain
    """
    from datagen.hf.checkpoint import model_folder
    from infer.server import serve, serve_plainly

    if plain and questions:
        raise click.UsageError("--plain has no page, so there is nothing to pick --questions on")
    folder = model_folder(model)
    if name is None:
        place = folder.resolve()
        name = place.parent.name if place.name == "merged" else place.name
    if plain:
        serve_plainly(folder, name, port)
    else:
        serve(folder, name, port, questions)


@main.command()
@click.argument("questions", type=click.Path(path_type=Path))
def classify(questions: Path) -> None:
    """Print the task type of each question, guessed from its text.

    Prints one JSON object a line. QUESTIONS is a data set of datagen, a JSON Lines file in ShopBench's form,
    Shopping MMLU's data.zip, or a run of infer.

    \b
    Example:
      infer classify questions.jsonl
    """
    import dataclasses
    import json

    from datagen.shopbench.questions import read_questions
    from infer.serve.prepare import guessed

    for asked in read_questions(questions):
        guess = dataclasses.asdict(guessed(asked.prompt, asked.is_multiple_choice))
        if guess["problem"] is None:
            del guess["problem"]
        click.echo(json.dumps({"id": asked.id, **guess}, ensure_ascii=False))


@main.command()
@click.argument("questions", type=click.Path(path_type=Path))
@click.option(
    "--answers",
    type=click.Path(path_type=Path),
    required=True,
    metavar="RUN|FILE",
    help="A run of infer, or JSON Lines with `input_field` and `answer`.",
)
@_GRADER
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, unrounded.")
def score(questions: Path, answers: Path, grader: str, as_json: bool) -> None:
    """Score answers as ShopBench does.

    Scores are per task, task type and track, and over all, with 95 % intervals. QUESTIONS is a data set of
    datagen, a JSON Lines file in ShopBench's form, Shopping MMLU's data.zip, or a run of infer.

    \b
    Example:
      infer score runs/esci_mcq --answers infer/runs/mine
    """
    import json

    from datagen.shopbench.questions import read_questions
    from infer.answers import read_answers
    from infer.scoring import tables
    from infer.scoring.score import plan, score

    asked = read_questions(questions)
    given = read_answers(answers, asked)
    planned = plan(asked)
    scores = score(planned, given.texts, grader)
    for line in tables.notices(planned, given):
        click.echo(line, err=True)
    click.echo(json.dumps(tables.as_object(planned, scores)) if as_json else tables.scored(planned, scores))


@main.command()
@click.argument("model")
@_QUESTIONS
@click.option("--name", help="Name of the run's folder. [default: MODEL-SOURCE-N]")
@_LIMIT
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="Ask as many questions, of all tasks in turn, as fit into so long; chosen once.",
)
@click.option(
    "--time-limit",
    type=_Time(),
    help="Be done after so long, as in 10m: shorter answers first, then answers by rule.",
)
@_CHOOSE
@click.option("--unconstrained", is_flag=True, help="Let the model write anything, even what does not parse.")
@_RUNS
def run(
    model: str,
    questions: Path,
    name: str | None,
    limit: int | None,
    minutes: float | None,
    time_limit: float | None,
    choose: str | None,
    unconstrained: bool,
    runs: Path,
) -> None:
    """Let a model answer questions, or resume a run that stopped.

    MODEL is a folder with config.json and safetensors, or a model of the Hugging Face hub.

    \b
    Example:
      infer run finetune/runs/mine/merged --questions runs/esci_mcq --limit 500
    """
    from datagen.shopbench.questions import read_questions
    from infer.batches import balanced
    from infer.predict import predict, run_name
    from infer.run_file import summary

    if unconstrained and choose == "text":
        raise click.UsageError("--unconstrained lets the model write; --choose text lets it write nothing")
    if limit and minutes:
        raise click.UsageError("--limit asks a number, --minutes asks what fits: give one of them")
    asked = read_questions(questions)
    folder = below(runs, name or run_name(model, questions, limit, unconstrained, minutes))
    with _reporting() as report:
        done = predict(
            balanced(asked, limit) if limit else asked,
            model,
            folder,
            constrained=not unconstrained,
            choose=choose,
            minutes=time_limit,
            within=minutes,
            report=report,
        )
    click.echo(summary(done, folder))
    if "MAKELEVEL" not in os.environ:  # else make goes on by itself
        scored = (
            folder if limit or minutes else questions
        )  # of the source, those not asked would count as empty
        click.echo(f"Next: infer score {scored} --answers {folder}")


@main.command()
@click.argument("model")
@_QUESTIONS
@click.option("--gpus", metavar="NxGB", help="GPUs, as in 4x16 or 4xT4. [default: this machine, measured]")
@click.option("--bits", type=click.Choice(["4", "16"]), help="Bits of a known model's weights. [default: 16]")
@click.option("--time-limit", type=_Time(), help="What it may take, as in 70m.")
@click.option("--rates", metavar="READ,SAID", help="Tokens read and said a second, where they are known.")
@_CHOOSE
def plan(
    model: str,
    questions: Path,
    gpus: str | None,
    bits: str | None,
    time_limit: float | None,
    rates: str | None,
    choose: str | None,
) -> None:
    """Plan a run: memory on each GPU, sequences at once, minutes.

    MODEL is a folder, or a name of which the sizes are known, such as qwen2-72b. What cannot fit is refused
    (exit code 1), with what does. Without --gpus, a short run measures this machine.

    \b
    Example:
      infer plan qwen2-72b --bits 4 --gpus 4x16 --questions runs/esci_mcq --time-limit 70m
    """
    from datagen.hf.gpus import gpus as named
    from datagen.shopbench.questions import read_questions
    from infer import plan as planning

    if bits and not gpus:
        raise click.UsageError("--bits is for --gpus: a model on this machine is in the bits that it is in")
    given = planning.given_rates(rates) if rates else None
    machine = named(gpus) if gpus else None
    asked = read_questions(questions)
    if machine:
        known = None if bits is None else int(bits)
        click.echo(planning.plan(model, asked, machine, known, time_limit, choose, given))
    else:
        click.echo(planning.plan_here(model, asked, time_limit, choose, given))


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_QUESTIONS
@click.option(
    "--track",
    type=click.Choice(TRACKS),
    help="Take this track's time, for the questions asked. [default: the limit of its submission.json]",
)
@click.option(
    "--time-limit",
    type=_Time(),
    help="Take so long for the questions asked, as in 70m, 90s, 1.5h; loading counts.",
)
@_LIMIT
@click.option("--name", help="Name of the run's folder. [default: FOLDER-SOURCE-drive]")
@_RUNS
def drive(
    folder: Path,
    questions: Path,
    track: str | None,
    time_limit: float | None,
    limit: int | None,
    name: str | None,
    runs: Path,
) -> None:
    """Run a submission as the competition would, and keep its answers.

    FOLDER is what finetune submit wrote. Its class runs in a process of its own and is given prompts
    alone, in batches of the size that it wants. A batch has 10 seconds a question; the process is killed when
    the limit ends. By its own limit it goes as if all questions of the track were to come.

    \b
    Example:
      infer drive finetune/submissions/mine --questions runs/esci_mcq --time-limit 5m
    """
    from datagen.shopbench.questions import read_questions
    from infer.batches import balanced
    from infer.drive import drive
    from infer.drive_report import summary

    if track and time_limit:
        raise click.UsageError("--track has a time limit, --time-limit is one: give one of them")
    asked = read_questions(questions)
    asked = balanced(asked, limit) if limit else asked
    run = below(runs, name or f"{folder.resolve().name}-{questions.resolve().stem}-drive")
    with _reporting() as report:
        done = drive(folder, asked, run, track, 60 * time_limit if time_limit else None, report=report)
    click.echo(summary(done, run))
    if "MAKELEVEL" not in os.environ:
        click.echo(f"Next: infer score {run} --answers {run}")


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@_GRADER
@click.option(
    "--page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to write the page. [default: compare.html beside the first run]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, unrounded, not the table.")
def compare(runs: tuple[Path, ...], grader: str, page: Path | None, as_json: bool) -> None:
    """Compare the scores of runs, and those of trivial answers.

    RUN is a folder that infer run wrote; the others are compared with the first. Prints a table and writes
    a page.

    \b
    Example:
      infer compare infer/runs/base infer/runs/mine
    """
    import json

    from infer.scoring import compare

    found = compare.compare(runs, grader)
    for line in compare.notices(found):
        click.echo(line, err=True)
    click.echo(json.dumps(compare.as_object(found)) if as_json else compare.table(found))
    place = page or runs[0].parent / "compare.html"
    compare.write_page(found, place)
    click.echo(f"\n{place} shows it", err=as_json)


@contextmanager
def _reporting() -> Iterator[Report]:
    """Lines and a bar on stderr: questions done, questions a second, time left."""
    from tqdm import tqdm

    from infer.predict import Report

    with counting(" questions") as progress:
        yield Report(say=lambda line: tqdm.write(line, file=sys.stderr), progress=progress)


if __name__ == "__main__":
    main()
