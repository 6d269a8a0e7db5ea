"""Tests of two runs side by side."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from datagen.cli import main
from datagen.reject_reasons import SPARE
from datagen.storage.files import write_json
from datagen.storage.manifest import MANIFEST, read_manifest, shard_files


def test_a_run_is_as_itself_and_unlike_another(shop_run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(shop_run, tmp_path / "other"))
    same = CliRunner().invoke(main, ["report", "--diff", str(shop_run), str(other)]).output
    tasks = read_manifest(shop_run)["tasks"]
    assert f"{len(tasks)} of {len(tasks)} tasks have the same numbers" in same
    assert "100.0%" in same
    manifest = read_manifest(other)
    changed = next(iter(manifest["tasks"]))
    manifest["tasks"][changed]["kept"]["train"] += 1_000
    write_json(manifest, other / MANIFEST)
    unlike = CliRunner().invoke(main, ["report", "--diff", str(shop_run), str(other)]).output
    kept = sum(tasks[changed]["kept"].values())
    [line] = [line for line in unlike.splitlines() if line.startswith(changed)]
    assert f"{kept:,}" in line
    assert f"{kept + 1_000:,}" in line


def test_spare_rows_are_not_left_out(shop_run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(shop_run, tmp_path / "other"))
    manifest = read_manifest(other)
    for task in manifest["tasks"].values():
        task["rejected"][SPARE] = task["rejected"].get(SPARE, 0) + 7
    write_json(manifest, other / MANIFEST)
    told = CliRunner().invoke(main, ["report", "--diff", str(shop_run), str(other)]).output
    assert f"{len(manifest['tasks'])} of {len(manifest['tasks'])} tasks have the same numbers" in told


def spoilt(shard: Path, how: str) -> None:
    data = shard.read_bytes()
    flipped = data[:4] + bytes(255 - byte for byte in data[4:-5000]) + data[-5000:]
    shard.write_bytes({"cut": data[:-100], "damaged": flipped, "empty": b""}[how])


@pytest.mark.parametrize("how", ["cut", "damaged", "empty"])
@pytest.mark.parametrize("command", ["report", "show"])
def test_a_spoilt_shard_is_named(shop_run: Path, tmp_path: Path, command: str, how: str) -> None:
    other = Path(shutil.copytree(shop_run, tmp_path / "other"))
    shard = shard_files(other)[0]
    spoilt(shard, how)
    words = ["--diff", str(shop_run), str(other)] if command == "report" else ["a", "--run", str(other)]
    result = CliRunner().invoke(main, [command, *words])
    assert isinstance(result.exception, SystemExit)
    assert f"{shard.name}: not a whole Parquet file (" in result.stderr
    assert result.stderr.endswith("Build the run again\n")
    assert result.stderr.count("\n") == 1


def test_what_is_no_run_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["report", "--diff", str(tmp_path / "a"), str(tmp_path / "b")])
    assert result.exit_code == 1
    assert "a" in result.output


def test_one_run_alone_has_its_page_named(shop_run: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["report", shop_run.name, "--runs", str(shop_run.parent)])
    assert (result.exit_code, result.stdout) == (0, f"{shop_run / 'report.html'}\n")
    for words, said in (
        ([], "name one run"),
        (["a", "--diff", "b", "c"], "name one run"),
        ([str(tmp_path)], "not a finished run"),
    ):
        result = CliRunner().invoke(main, ["report", *words])
        assert result.exit_code == 1
        assert said in result.stderr
