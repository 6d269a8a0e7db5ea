"""The folder lock: one process holds it, others are told which, and it ends with the process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from datagen.errors import UserError
from datagen.storage.folder_lock import held

HOLD = "import sys; from pathlib import Path; from datagen.storage.folder_lock import held\n"
HOLD += "with held(Path(sys.argv[1]), ''): print('held', flush=True); sys.stdin.read()"


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "mine"
    with held(folder, "it is being built"):
        with pytest.raises(UserError) as caught, held(folder, "it is being built"):
            pytest.fail("two have it")
        assert f"it is being built by process {os.getpid()} on " in str(caught.value)
    with held(folder, "it is being built"):
        assert folder.is_dir()


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("a file", encoding="utf-8")
    with (
        pytest.raises(UserError, match="mine: no folder can be made there"),
        held(tmp_path / "mine", "it is built"),
    ):
        pytest.fail("it is held")


def test_a_process_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"by process {process.pid} on "), held(tmp_path, "held"):
            pytest.fail("two have it")
        process.kill()
    with held(tmp_path, "held"):
        pass


def test_a_folder_that_was_deleted_meanwhile_is_let_go(tmp_path: Path) -> None:
    import shutil

    with held(tmp_path / "mine", "held"):
        shutil.rmtree(tmp_path / "mine")
    with held(tmp_path / "mine", "held"):
        assert (tmp_path / "mine").is_dir()
