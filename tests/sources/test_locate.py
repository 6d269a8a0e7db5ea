"""The folder behind `--seeds`: a folder, the sample or the hub; made or fetched once, and whole."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datagen.errors import UserError
from datagen.sources import sample
from datagen.sources.esci import TABLES, Options
from datagen.sources.locate import find_seeds, remember, remembered
from datagen.storage.files import beside

ESCI = {"esci": Options()}


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "QUERIES", 50)
    monkeypatch.setattr(sample, "PRODUCTS", 700)


def test_a_folder_is_itself(tmp_path: Path) -> None:
    assert find_seeds(str(tmp_path), ESCI, tmp_path / "runs") == tmp_path


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sampel: no such folder\. Did you mean `sample`\? Give"):
        find_seeds("sampel", ESCI, tmp_path)


@pytest.mark.usefixtures("small_sample")
def test_the_sample_is_written_once(tmp_path: Path) -> None:
    said: list[str] = []
    folder = find_seeds("sample", ESCI, tmp_path, said.append)
    assert {path.name for path in (folder / "esci").glob("shopping*")} == {
        table.file for table in TABLES.values()
    }
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert find_seeds("sample", ESCI, tmp_path, said.append) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert len(said) == 1


@pytest.mark.usefixtures("small_sample")
def test_two_that_write_the_sample_at_once_leave_one_whole(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: find_seeds("sample", ESCI, tmp_path), range(2))
    assert one == two
    assert list((tmp_path / "seeds").iterdir()) == [one]


@pytest.mark.usefixtures("small_sample")
def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    seeds = tmp_path / "seeds"
    mine = beside(seeds / "hub").with_name(f"{beside(seeds / 'hub').name}abc")
    left = mine.with_name(mine.name.replace(f"-{os.getpid()}-", f"-{ended.pid}-"))
    for folder in (mine, left):
        (folder / "esci").mkdir(parents=True)
    (seeds / f"{left.name}-parsed").touch()
    made = find_seeds("sample", ESCI, tmp_path)
    assert {*seeds.iterdir()} == {mine, made}


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "PRODUCTS", 1)
    with pytest.raises(UserError):
        find_seeds("sample", ESCI, tmp_path)
    assert list((tmp_path / "seeds").iterdir()) == []


def test_the_hub_out_of_reach_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"tasksource/esci could not be fetched .*`sample` and a folder"
    ) as caught:
        find_seeds("hub", ESCI, tmp_path)
    assert "\n" not in str(caught.value)


def test_the_hub_is_asked_for_the_revision_that_was_noted(tmp_path: Path) -> None:
    note = tmp_path / "seeds" / "hub" / "esci.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"repository": "tasksource/esci", "revision": "abc"}), encoding="utf-8")
    with pytest.raises(UserError, match="could not be fetched"):
        find_seeds("hub", ESCI, tmp_path)
    assert json.loads(note.read_text(encoding="utf-8"))["revision"] == "abc"
    assert [path.name for path in note.parent.iterdir()] == ["esci.json"]


def test_a_source_that_was_fetched_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "seeds" / "hub" / "esci").mkdir(parents=True)
    assert find_seeds("hub", ESCI, tmp_path) == tmp_path / "seeds" / "hub"


def test_the_seeds_of_a_run_are_remembered_beside_it(tmp_path: Path) -> None:
    run, seeds = tmp_path / "runs" / "shop", tmp_path / "somewhere"
    assert remembered(run) is None
    run.mkdir(parents=True)
    seeds.mkdir()
    remember(run, seeds)
    assert remembered(run) == seeds
    assert list(run.iterdir()) == []
    seeds.rmdir()
    assert remembered(run) is None
