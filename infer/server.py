"""The server of `infer serve`, from a model's folder to its last answer."""

import sys
from contextlib import nullcontext
from pathlib import Path

import click

from datagen.errors import UserError
from datagen.hf.checkpoint import chooses_by
from datagen.shopbench.questions import read_questions
from infer.scoring.grade import grade
from infer.serve.engine import Engine, settings
from infer.serve.port import HOST, listening
from infer.serve.waiting import Line, answers_of


def serve(folder: Path, name: str, port: int, questions: Path | None) -> None:
    """Serve the model under a name until Ctrl-C; answers to `questions` are graded.

    Raises UserError where the port is taken, or what serving needs is missing: before the model is loaded.
    """
    try:
        from infer.serve import app
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is not installed, and serving needs it. Run: pip install -e '.[infer-cpu]' "
            "(where there is a GPU: '.[infer]')"
        ) from None
    asked = read_questions(questions) if questions else []
    at, choose, chosen = listening(port), chooses_by(folder), settings(folder)
    click.echo(f"loads {name} ...", err=True)
    with nullcontext() if chosen.device == "cpu" else app.unheard():
        engine = Engine(folder, chosen)
    line = Line(answers_of(engine, chosen.context, choose), chosen.batch, most=4 * chosen.batch)

    def ready() -> None:
        url = f"http://{HOST}:{port}"
        click.echo(f"{name} answers at {url} (OpenAI's API: {url}/v1). Ctrl-C ends it")
        sys.stdout.flush()

    def leaving() -> None:
        click.echo("answers what was asked, then ends. Ctrl-C again leaves out what waits", err=True)

    app.run(app.server(app.app(line, name, asked, grade), ready, leaving), at)
    line.close()
    click.echo(f"stopped. Questions answered: {line.answered:,}", err=True)


def serve_plainly(folder: Path, name: str, port: int) -> None:
    """Become vLLM's own server of the model. Raises UserError where the port is taken."""
    from infer.serve import openai_server

    listening(port).close()  # vLLM takes it itself, when the model is loaded
    url = f"http://{HOST}:{port}/v1"
    click.echo(f"{name} will answer at {url} in about a minute. To ask it, type elsewhere:")
    click.echo(f"  make data RECIPE=reworded TEACHER='{name}' BASE_URL={url}")
    sys.stdout.flush()
    openai_server.serve(folder, name, HOST, port)
