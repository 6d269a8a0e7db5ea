"""The process of `quantize_worker`: started in an environment of its own, heard, and ended with this one."""

import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from datagen.errors import UserError
from datagen.storage.files import write_json

ENVIRONMENT = Path(sys.prefix) / "quantize-env"
INSTALL = "make .venv/quantize"

TOLD_EVERY = 60.0
"""Seconds between lines that say how far it is, where there is no terminal for a bar."""


class Report(NamedTuple):
    """The callbacks that report: a line of text, and layers done of all."""

    say: Callable[[str], None]
    progress: Callable[[int, int], None]


def environment() -> Path:
    """The Python of llm-compressor's environment. Raises UserError where there is none."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.is_file():
        raise UserError(
            f"{ENVIRONMENT}: not there. llm-compressor quantises, in an environment of its own, as it needs "
            f"other releases than vLLM. Run: {INSTALL} (docs/quantize.md says what it does)"
        )
    return python


def run_worker(python: Path, request: dict[str, Any], folder: Path, report: Report) -> None:
    """Run the worker. Raises UserError, with its last words, where it fails."""
    write_json(request, folder / "request.json")
    script = Path(__file__).with_name("quantize_worker.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    log = folder.parent / "worker.log"
    last: deque[str] = deque(maxlen=20)
    told = _paced(report)
    with (
        log.open("w", encoding="utf-8", buffering=1) as kept,
        subprocess.Popen(
            [python, "-P", script, folder / "request.json"],
            stdin=subprocess.PIPE,  # its end tells the worker that this process has ended, however it did
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
        ) as process,
    ):
        assert process.stderr is not None
        try:
            for line in process.stderr:  # universal newlines: a bar's \r ends a line, too
                kept.write(line)
                if line.strip() and "it/s" not in line and "s/it" not in line:  # no bars
                    last.append(line.strip())
                if step := re.match(r"\((\d+)/(\d+)\): ", line):
                    told(int(step[1]), int(step[2]))
        except BaseException:
            process.kill()
            raise
    if process.returncode < 0:
        raise UserError(
            f"{request['model']}: its worker was killed ({signal.Signals(-process.returncode).name}); "
            "the same command starts it anew"
            + (". Memory may have run out" if process.returncode == -signal.SIGKILL else "")
        )
    if process.returncode:
        words = "\n  ".join(last)
        if "No space left" in words:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise UserError(
            f"{request['model']}: llm-compressor failed ({process.returncode}). {log} has all it said; "
            f"the end of it:\n  {words}"
        )


def _paced(report: Report) -> Callable[[int, int], None]:
    """What is to be called with the layer at work, of all: a bar, and lines where stderr is no terminal."""
    started: dict[int, float] = {}
    spoken = time.monotonic()

    def told(layer: int, layers: int) -> None:
        nonlocal spoken
        report.progress(layer, layers)
        now = time.monotonic()
        if layer in started:
            return
        started[layer] = now
        done = layer - min(started)
        if done and now - spoken >= TOLD_EVERY and not sys.stderr.isatty():
            from finetune.callbacks import minutes

            left = (now - min(started.values())) / done * (layers - layer + 1)
            report.say(f"layer {layer} of {layers}, {minutes(left)} to go")
            spoken = now

    return told
