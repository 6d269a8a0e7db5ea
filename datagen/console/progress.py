"""Progress of long work, and lines about it: on stderr, bars on a terminal alone."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[str, int, int], None]
"""Called as progress(stage, done, total) while a stage works."""

Say = Callable[[str], object]
"""Called with a line for a person before something that takes a while or cannot be taken back.

A line that ends in ` ...` says what goes on; any other is one to think about.
"""


def warn(text: str) -> None:
    """A line on stderr, as a warning where it is one."""
    sys.stderr.write(f"{text if text.endswith(' ...') else f'warning: {text}'}\n")


def note(text: str) -> None:
    """A line on stderr for who looks on, nothing where nobody does."""
    if sys.stderr.isatty():
        sys.stderr.write(f"{text}\n")


@contextmanager
def counting(unit: str, **settings: Any) -> Iterator[Callable[[int, int], None]]:
    """A callback of what is done and of all, which draws one bar on a terminal; `settings` are tqdm's.

    What was done before the first call, or before the total was another, counts for no time.
    """
    from tqdm import tqdm

    bar: tqdm[Any] = tqdm(total=0, unit=unit, leave=False, disable=None, file=sys.stderr, delay=1, **settings)

    def progress(done: int, total: int) -> None:
        if bar.total != total:
            bar.reset(total)
            bar.initial = bar.n = done
        bar.update(done - bar.n)

    try:
        yield progress
    finally:
        bar.close()


@contextmanager
def progress_bars() -> Iterator[tuple[Progress, set[str]]]:
    """A `Progress` that draws bars on a terminal for stages that take long; and the stages so far."""
    from tqdm import tqdm

    stages: set[str] = set()
    bars: list[tqdm[Any]] = []

    def progress(stage: str, done: int, total: int) -> None:
        if stage not in stages:
            stages.add(stage)
            close()
            bars.append(tqdm(total=total, desc=stage, delay=1, leave=False, disable=None, file=sys.stderr))
        bars[-1].update(done - bars[-1].n)

    def close() -> None:
        while bars:
            bars.pop().close()

    try:
        yield progress, stages
    finally:
        close()
