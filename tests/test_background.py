"""Whether Ctrl-C reaches what a test starts, where `make test` itself runs in a script's background."""

import signal
import subprocess
import sys
from pathlib import Path

IGNORED = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
"""What a script's shell does before it starts something in the background."""


def said(code: str) -> str:
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", IGNORED + code], cwd=root, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_what_tests_start_is_interrupted_though_they_run_in_the_background() -> None:
    child = "import signal; print(signal.getsignal(signal.SIGINT).__name__)"
    code = f"import subprocess, sys, tests.conftest; subprocess.run([sys.executable, '-c', {child!r}])"
    assert said(code) == signal.default_int_handler.__name__


def test_a_training_in_the_background_stays_deaf_to_ctrl_c() -> None:
    code = (
        "from finetune.cli import _leaving_at_once\n"
        "with _leaving_at_once(): print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    )
    assert said(code) == "True"
