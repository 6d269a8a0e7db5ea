"""A full disk: one line that says so; the next build, with space, goes on from what is done."""

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from datagen.errors import UserError
from datagen.pipeline.build import build
from datagen.recipe.load import load
from tests.processes import DATAGEN, contents, run

BUILD = ["build", "shop", "--seeds", "seeds", "--rows", "3000", "--workers", "1"]


@pytest.fixture
def here(shop: Path, tmp_path: Path) -> Path:
    """A working folder of one's own, with the recipe `shop` and its seeds."""
    return Path(shutil.copytree(shop, tmp_path / "work", ignore=shutil.ignore_patterns("runs")))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 kB, where this user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=400k", "none", disk], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("needs the right to mount a disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_file_over_the_limit_stops_the_build_and_space_lets_it_go_on(here: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, resource.RLIM_INFINITY))

    full = subprocess.run(
        [*DATAGEN, *BUILD], cwd=here, preexec_fn=limit, capture_output=True, text=True, check=False
    )
    assert full.returncode == 1
    assert full.stderr == (
        "error: runs/shop: the disk is full. What is done is kept: free some space and run the same again\n"
    )
    work = here / "runs/shop/work"
    kept = {path: path.stat().st_mtime_ns for path in work.glob("*/*/*.arrow")}
    assert kept
    assert run(here, *BUILD) == (0, "")
    assert run(here, *BUILD, "--runs", "others") == (0, "")
    assert contents(here / "runs/shop") == contents(here / "others/shop")


def test_a_full_disk_is_an_error_in_one_line(
    here: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here)
    with pytest.raises(UserError, match="the disk is full"):
        build(load("shop"), Path("seeds"), small_disk, workers=1)
    assert list(small_disk.glob("shop/work/*/drawn/*.arrow"))
    subprocess.run(["mount", "-o", "remount,size=40m", small_disk], check=True)
    build(load("shop"), Path("seeds"), small_disk, workers=1)
    build(load("shop"), Path("seeds"), here / "others", workers=1)
    assert contents(small_disk / "shop") == contents(here / "others/shop")
