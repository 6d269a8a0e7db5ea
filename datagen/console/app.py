"""The click group that all commands share: errors in one line, and exit codes."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

from datagen.errors import UserError

INTERRUPTED = 130


class WrongUsage(click.UsageError):
    """click's error about an argument, printed like our own errors."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the usage line and `error: ...` to `file`, by default to stderr."""
        text = io.StringIO()
        super().show(text)
        click.echo(text.getvalue().replace("\nError: ", "\nerror: ", 1), file=file, err=True, nl=False)


class Commands(click.Group):
    """Commands whose errors a user can fix end in one line and an exit code."""

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        """Parse the options before the command."""
        with _usage():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Anything else than a UserError or Ctrl-C keeps its traceback."""
        try:
            with _usage():
                return super().invoke(ctx)
        except UserError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(1)
        except (KeyboardInterrupt, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "Query interrupted" not in str(error):
                raise  # else it is how DuckDB answers Ctrl-C
            click.echo("\ninterrupted. What is done is kept: the same command goes on from there", err=True)
            ctx.exit(INTERRUPTED)


@contextmanager
def _usage() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise  # it prints the help
    except click.UsageError as error:
        raise WrongUsage(error.format_message(), error.ctx) from error
