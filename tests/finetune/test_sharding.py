"""Sharding: what would lose weights without a word is refused, and FSDP gives the losses of one process."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datagen.errors import UserError
from finetune.config import load
from tests.processes import LONG

TOP = Path(__file__).parents[2]


def test_four_bits_are_not_shared_out(
    monkeypatch: pytest.MonkeyPatch, tiny_run: Path, tmp_path: Path
) -> None:
    from finetune.train import train

    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    with pytest.raises(
        UserError, match=r"`four_bit: true` can't be shared out by FSDP: .* Launch it without"
    ):
        train(load("qwen2-72b"), tiny_run, tmp_path / "run", print)
    assert not (tmp_path / "run").exists()


def test_nothing_is_shared_out_on_cpus(
    monkeypatch: pytest.MonkeyPatch, tiny_config: Path, tiny_run: Path, tmp_path: Path
) -> None:
    from finetune.train import train

    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(UserError, match="FSDP shares weights out over GPUs alone"):
        train(load(str(tiny_config)), tiny_run, tmp_path / "run", print)


def sharded(folder: Path, processes: int) -> dict[str, Any]:
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        str(processes),
    ]
    run = subprocess.run(
        [*(launch if processes > 1 else [sys.executable]), "-m", "tests.finetune.sharded", str(folder)],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
        cwd=TOP,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_fsdp_on_two_processes_gives_the_losses_of_one(tiny_base: Path) -> None:
    one, two = sharded(tiny_base, 1), sharded(tiny_base, 2)
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-4)
    assert one["losses"][-1] != pytest.approx(one["losses"][0], abs=1e-2)
    assert (one["own"], two["own"] > 0) == (0, True)
