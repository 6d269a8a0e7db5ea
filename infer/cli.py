"""The `infer` command: arguments in, results on stdout, progress on stderr; exit codes as datagen's.

Everything heavier than click is imported inside the command that needs it.
"""

from __future__ import annotations

from pathlib import Path

import click

from datagen.cli import Commands


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


@main.command()
@click.argument("questions", type=click.Path(path_type=Path))
def classify(questions: Path) -> None:
    """Print each question's task type as its text tells it, one JSON object a line.

    QUESTIONS is a data set of datagen, a JSON Lines file in ShopBench's form, or Shopping MMLU's data.zip.

    \b
    Example:
      infer classify questions.jsonl
    """
    import dataclasses
    import json

    from infer.classify import classify
    from infer.questions import read_questions

    for asked in read_questions(questions):
        guess = dataclasses.asdict(classify(asked.prompt, asked.is_multiple_choice))
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
@click.option(
    "--grader",
    type=click.Choice(["shopbench", "shopping_mmlu"]),
    default="shopbench",
    show_default=True,
    help="Whose rules read an answer: the competition's, or its public release's.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, unrounded.")
def score(questions: Path, answers: Path, grader: str, as_json: bool) -> None:
    """Score answers as ShopBench does.

    Per task, task type and track, and over all, with 95 % intervals.

    \b
    Example:
      infer score runs/esci_mcq --answers infer/runs/mine
    """
    import json

    from infer import output
    from infer.answers import read_answers
    from infer.questions import read_questions
    from infer.score import plan, score

    asked = read_questions(questions)
    given = read_answers(answers, asked)
    planned = plan(asked)
    scores = score(planned, given.texts, grader)
    for line in output.notices(planned, given):
        click.echo(line, err=True)
    click.echo(json.dumps(output.as_object(planned, scores)) if as_json else output.scored(planned, scores))
