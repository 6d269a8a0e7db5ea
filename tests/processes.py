"""Commands as real processes, for tests that kill, limit or count them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

DATAGEN = [sys.executable, "-c", "from datagen.cli import main; main()"]
LONG = 300
"""Seconds after which a command hangs, however busy the machine is."""

Process = subprocess.Popen[str]


@contextmanager
def at_work(command: Sequence[str | Path], **settings: Any) -> Iterator[Process]:
    """The command at work, its stderr to be read, in a process group that ends with the block."""
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, **settings)
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def started(folder: Path, *arguments: str, **environment: str) -> Iterator[Process]:
    """The command `datagen <arguments>` at work in `folder`."""
    with at_work(
        [*DATAGEN, *arguments], cwd=folder, env=os.environ | environment, stdout=subprocess.DEVNULL
    ) as process:
        yield process


def ended(process: Process) -> tuple[int, str]:
    """The exit code of a started command, and what it said on stderr."""
    _, stderr = process.communicate(timeout=LONG)
    return process.returncode, stderr


def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code of the command `datagen <arguments>` in `folder`, and what it said on stderr."""
    with started(folder, *arguments, **environment) as process:
        return ended(process)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too, by its path there."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
