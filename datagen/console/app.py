"""The click group that all commands share: errors in one line, and exit codes."""

import io
import sys
from pathlib import Path
from typing import Any

import click

from datagen.console.typed import typed
from datagen.errors import UserError

INTERRUPTED = 130


class AboveZero(click.IntRange):
    """A whole number above 0, which people also set by `make`, as in `ROWS=5000`; `example` is one."""

    def __init__(self, example: int) -> None:
        super().__init__(1)
        self.example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Raises UserError, which names both ways to write one."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            name = (param.name or "") if param else ""
            raise UserError(
                f"`{value}` is no whole number above 0: write {name.upper()}={self.example}"
                f" (or --{name} {self.example})"
            ) from None


def below(runs: Path, name: str) -> Path:
    """The folder of a run. Raises UsageError where its name leads out of the folder of all runs."""
    place = Path(name)
    if place.is_absolute() or ".." in place.parts or not place.parts:
        raise click.UsageError(f"--name {name}: not below {runs}. Write a name, or FOLDER/NAME, without ..")
    return runs / place


class Commands(click.Group):
    """Commands whose errors a user can fix end in one line and an exit code."""

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run as a program; characters that the terminal does not have are replaced."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        return super().main(*args, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Anything else than a UserError or Ctrl-C keeps its traceback."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except click.BadParameter as error:
            name = typed(error.param.opts[0]) if isinstance(error.param, click.Option) else ""
            if not name.endswith("="):  # else it was make that wrote the option
                raise
            click.echo(f"error: {name.rstrip('=')}: {error.message}", err=True)
            ctx.exit(error.exit_code)
        except (KeyboardInterrupt, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "Query interrupted" not in str(error):
                raise  # else it is how DuckDB answers Ctrl-C
            click.echo("\ninterrupted. What is done is kept: the same command goes on from there", err=True)
            ctx.exit(INTERRUPTED)
