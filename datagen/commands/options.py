"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from datagen.console.app import AboveZero

Command = Callable[..., None]

SEEDS = click.option(
    "--seeds",
    default="sample",
    metavar="sample|hub|DIR",
    show_default=True,
    help="The made-up shop that ships with the project, the Hugging Face hub, or a folder of original files.",
)
RUNS = click.option(
    "--runs", type=click.Path(path_type=Path), default="runs", show_default=True, help="Folder of all runs."
)
WORKERS = click.option("--workers", type=AboveZero(2), help="Worker processes. [default: one per core]")
ROWS = click.option("--rows", type=AboveZero(5000), help="Rows in all, in the proportions of the recipe.")
SOURCES = click.option(
    "--sources", metavar="'NAME ...'", help="Only tasks over these sources. [default: all of the recipe's]"
)
LICENSES = click.option(
    "--licenses",
    metavar="'ID ...'",
    help="Only rows under these licences, such as 'Apache-2.0 MIT'. [default: any]",
)
_TEACHER = (
    click.option(
        "--teacher", "model", metavar="MODEL", help="Model that fills teacher tables. [default: the recipe's]"
    ),
    click.option(
        "--base-url",
        metavar="URL",
        help="OpenAI-compatible server of the teacher, such as http://localhost:8000/v1. [default: OpenAI's]",
    ),
    click.option(
        "--max-cost",
        type=click.FloatRange(0),
        metavar="USD",
        help="Most that the teacher may cost. [default: the recipe's, or 25]",
    ),
    click.option(
        "--price",
        metavar="IN,OUT",
        callback=lambda ctx, option, value: _given_price(value),
        help="Dollars of a million of the teacher's tokens. [default: the recipe's, or those of a table]",
    ),
)


def asks_a_teacher(command: Command) -> Command:
    """The options that say who is asked; a command hands them on to `with_teacher`."""
    for option in reversed(_TEACHER):
        command = option(command)
    return command


def _given_price(text: str | None) -> tuple[float, float] | None:
    from datagen.teacher.budget import given_price

    return None if text is None else given_price(text)
