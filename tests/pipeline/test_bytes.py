"""Reproducible builds: the same bytes whatever the hash seed, the folder, the workers, or an earlier run."""

import json
import shutil
from contextlib import chdir
from pathlib import Path

import pytest

from datagen.pipeline.build import build
from datagen.recipe.load import load
from datagen.sources.sample import write_sample
from datagen.storage.manifest import read_manifest
from tests.processes import contents, run


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_other_hash_seeds_and_folders_give_the_same_bytes(
    shop: Path, shop_run: Path, tmp_path: Path, hash_seed: str
) -> None:
    here = shutil.copytree(shop, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("runs", "seeds"))
    arguments = ["build", "shop", "--seeds", str(shop / "seeds"), "--workers", "1"]
    assert run(Path(here), *arguments, PYTHONHASHSEED=hash_seed) == (0, "")
    assert contents(Path(here) / "runs/shop") == contents(shop_run)


@pytest.mark.slow
def test_other_numbers_of_workers_give_the_same_bytes(tmp_path: Path) -> None:
    write_sample(tmp_path / "seeds", 100_000)
    built = []
    for workers in ("1", "2", "4"):
        arguments = ["build", "esci_mcq", "--seeds", "seeds", "--runs", workers, "--rows", "60000"]
        assert run(tmp_path, *arguments, "--workers", workers) == (0, "")
        built.append(contents(tmp_path / workers / "esci_mcq"))
    assert built[0] == built[1] == built[2]


def test_a_run_of_an_earlier_version_is_built_anew(shop: Path, shop_run: Path, tmp_path: Path) -> None:
    old = shutil.copytree(shop_run, tmp_path / "shop")
    known = read_manifest(old)
    earlier = {key: value for key, value in known.items() if key != "steps"} | {"fingerprint": "0" * 64}
    (old / "manifest.json").write_text(json.dumps(earlier))
    with chdir(shop):
        assert build(load("shop"), Path("seeds"), tmp_path, workers=1) == known
