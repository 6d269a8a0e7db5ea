"""Reproducible builds: the same bytes whatever the hash seed, the folder and the number of workers."""

import shutil
from pathlib import Path

import pytest

from datagen.sources.sample import write_sample
from tests.processes import contents, run


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_other_hash_seeds_and_folders_give_the_same_bytes(
    shop: Path, shop_run: Path, tmp_path: Path, hash_seed: str
) -> None:
    here = shutil.copytree(shop, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("runs", "seeds"))
    build = ["build", "shop", "--seeds", str(shop / "seeds"), "--workers", "1"]
    assert run(Path(here), *build, PYTHONHASHSEED=hash_seed) == (0, "")
    assert contents(Path(here) / "runs/shop") == contents(shop_run)


@pytest.mark.slow
def test_other_numbers_of_workers_give_the_same_bytes(tmp_path: Path) -> None:
    write_sample(tmp_path / "seeds", 100_000)
    built = []
    for workers in ("1", "2", "4"):
        build = ["build", "esci_mcq", "--seeds", "seeds", "--runs", workers, "--rows", "60000"]
        assert run(tmp_path, *build, "--workers", workers) == (0, "")
        built.append(contents(tmp_path / workers / "esci_mcq"))
    assert built[0] == built[1] == built[2]
