"""The `finetune` command as people run it: instant help, one line for Ctrl-C, kills that cost no result."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from finetune.cli import main
from tests.finetune.conftest import metrics
from tests.processes import LONG, Process, at_work

FINETUNE = [sys.executable, "-m", "finetune.cli"]

HEAVY = {"torch", "transformers", "trl", "peft", "datasets", "accelerate", "matplotlib"}


def python(code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LONG, check=True
    )
    return run.stdout.splitlines()[-1]


@contextmanager
def started(*arguments: str | Path) -> Iterator[Process]:
    """The command `finetune <arguments>` at work."""
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with at_work([*FINETUNE, *arguments], env=environment, stdout=subprocess.PIPE) as process:
        yield process


@pytest.mark.parametrize("module", ["config", "base_models", "dataset", "run_file", "merge", "report"])
def test_what_needs_no_training_imports_no_model_library(module: str) -> None:
    loaded = python(f"import finetune.{module}, json, sys; print(json.dumps(sorted(sys.modules)))")
    assert HEAVY & set(json.loads(loaded)) == set()


def test_a_training_is_told_and_merged(
    tiny_base: Path, tiny_config: Path, tiny_run: Path, tmp_path: Path
) -> None:
    runs = ["--runs", str(tmp_path / "trained")]
    result = CliRunner().invoke(
        main, ["train", str(tiny_config), "--data", str(tiny_run), "--set", "epochs=1", *runs]
    )
    assert result.exit_code == 0
    run = tmp_path / "trained" / "tiny-tiny"
    assert re.fullmatch(
        rf"{run}: test loss \d\.\d{{4}} before, \d\.\d{{4}} after\n"
        rf"To have it answer questions: make infer ADAPTER={run} QUESTIONS={tiny_run} \(which merges it\)\n"
        rf"To serve it elsewhere: finetune merge {run}\n",
        result.stdout,
    )
    assert "24 of 24 rows" in result.stderr
    modes = {file.stat().st_mode for file in run.iterdir() if file.is_file()}
    assert len(modes) == 1  # safetensors wrote its own for their owner alone
    merged = CliRunner().invoke(main, ["merge", str(run)])
    assert merged.stdout == f"{run / 'merged'}\n"
    half = CliRunner().invoke(main, ["wise-ft", str(run), "--alpha", "0.5"])
    assert half.stdout == f"{run / 'wise-ft-0.5'}\n"
    assert (run / "wise-ft-0.5" / "model.safetensors").is_file()
    base = CliRunner().invoke(main, ["base", str(run)])
    assert base.stdout == CliRunner().invoke(main, ["base", str(tiny_base)]).stdout == f"{tiny_base}\n"


def test_the_folder_of_a_base_is_printed(tiny_base: Path) -> None:
    assert CliRunner().invoke(main, ["base", str(tiny_base)]).stdout == f"{tiny_base}\n"


def test_the_base_of_a_training_that_was_cut_off_is_not_told(tmp_path: Path) -> None:
    lock = tmp_path / "checkpoints" / "lock.json"
    lock.parent.mkdir()
    lock.touch()
    result = CliRunner().invoke(main, ["base", str(tmp_path)])
    assert result.exit_code == 1
    assert f"{tmp_path} is no finished training: `finetune train` makes one, or goes on with" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "smollm", "--data", "runs/gone"],
            "error: no config `smollm`: did you mean `smollm2-135m`?",
        ),
        (
            ["train", "smollm2-135m", "--data", "gone", "--set", "lrr=1"],
            "`lrr` is no key: did you mean `lr`?",
        ),
        (["merge", "gone"], "error: gone: no such folder of a training: known: none"),
        (["base", "gone"], "error: no base model `gone`"),
    ],
)
def test_a_mistake_is_an_error_in_words(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert message in result.stderr


@pytest.mark.parametrize("seconds", [0.2, 0.5, 0.9])
def test_ctrl_c_in_the_first_second_is_one_line(
    tiny_config: Path, tiny_run: Path, tmp_path: Path, seconds: float
) -> None:
    with started("train", tiny_config, "--data", tiny_run, "--runs", tmp_path) as process:
        wait_until(lambda: has_a_handler(process.pid))
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=LONG)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert stderr.strip().splitlines()[-1].startswith("interrupted")


def has_a_handler(process: int) -> bool:
    """Whether Python itself is up: from then on Ctrl-C is an exception, not the end of the process."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
        return "click" in Path(f"/proc/{process}/maps").read_text(encoding="utf-8") or bool(
            int(re.findall(r"SigCgt:\s*(\w+)", status)[0], 16) & (1 << (signal.SIGINT - 1))
        )
    except (OSError, IndexError):
        return False


def wait_until(true: object) -> None:
    deadline = time.monotonic() + LONG
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("lines", [2, 9, 23])
def test_a_kill_costs_no_result(tiny_config: Path, tiny_run: Path, tmp_path: Path, lines: int) -> None:
    arguments = ["train", str(tiny_config), "--data", str(tiny_run), "--runs", str(tmp_path)]
    killed = tmp_path / "killed"
    with started(*arguments, "--name", "killed") as process:
        log = killed / "metrics.jsonl"
        wait_until(
            lambda: process.poll() is not None or (log.is_file() and log.read_text().count("\n") >= lines)
        )
        os.killpg(process.pid, signal.SIGKILL)
    assert not (killed / "run.json").exists()
    for name in ("killed", "whole"):
        with started(*arguments, "--name", name) as process:
            _, stderr = process.communicate(timeout=LONG)
        assert process.returncode == 0, stderr
    for ours, theirs in zip(metrics(killed), metrics(tmp_path / "whole"), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one_and_go_on_after_a_kill(
    tiny_config: Path, tiny_run: Path, tmp_path: Path
) -> None:
    """Over gloo, by torch's launcher: `accelerate launch` uses it for GPUs, and has only MPI's for CPUs."""
    import psutil

    train = [
        *("train", str(tiny_config), "--data", str(tiny_run), "--runs", str(tmp_path), "--set=dropout=0.0"),
        "--set=rows=21",  # a last step of one row
        "--set=eval_rows=5",  # two batches of three rows would not be whole
        "--set=eval_every=5",  # of six steps an epoch: no checkpoint from the second on is at an epoch's end
    ]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    both = [*launch, "-m", "finetune.cli", *train, "--name", "two"]
    processes = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    one = subprocess.run(
        [*FINETUNE, *train, "--name", "one"], capture_output=True, text=True, timeout=LONG, check=False
    )
    assert one.returncode == 0, one.stderr
    log = tmp_path / "two" / "metrics.jsonl"
    with at_work(both, env=processes, stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: process.poll() is not None or (log.is_file() and log.read_text().count("\n") > 13))
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
    two = subprocess.run(both, capture_output=True, text=True, timeout=LONG, check=False, env=processes)
    assert two.returncode == 0, two.stderr
    assert re.search("goes on from step (10|15|20|25)\n", two.stderr)
    assert two.stdout.count("To serve it elsewhere") == 1
    assert json.loads((tmp_path / "two" / "run.json").read_text(encoding="utf-8"))["processes"] == 2
    for ours, theirs in zip(metrics(tmp_path / "two"), metrics(tmp_path / "one"), strict=True):
        for name in (
            "tokens",
            "epoch",
        ):  # the last step has one row, for both
            assert (name in ours) == (name in theirs)
            ours.pop(name, None), theirs.pop(name, None)
        assert ours == pytest.approx(theirs, abs=1e-4, rel=1e-4)


@pytest.mark.slow
def test_two_processes_train_what_the_first_one_chose(
    tiny_config: Path, tiny_run: Path, tmp_path: Path
) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    train = ["train", str(tiny_config), "--data", str(tiny_run), "--runs", str(tmp_path), "--name", "two"]
    both = [*launch, "-m", "finetune.cli", *train, "--set=epochs=1", "--set=minutes=0.01"]
    processes = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    run = subprocess.run(both, capture_output=True, text=True, timeout=LONG, check=False, env=processes)
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("tokens/s here") == 1
    done = json.loads((tmp_path / "two" / "run.json").read_text(encoding="utf-8"))
    assert (done["processes"], done["steps"], done["rows"]) == (2, 4, 16)


def test_a_second_training_into_one_folder_is_refused(
    tiny_config: Path, tiny_run: Path, tmp_path: Path
) -> None:
    from filelock import FileLock

    (tmp_path / "tiny-tiny" / "checkpoints").mkdir(parents=True)
    with FileLock(tmp_path / "tiny-tiny" / "checkpoints" / ".lock"):
        result = CliRunner().invoke(
            main, ["train", str(tiny_config), "--data", str(tiny_run), "--runs", str(tmp_path)]
        )
    assert result.exit_code == 1
    assert "is being trained by another process" in result.stderr
