"""Tests of data sets that come from the hub: their size is told first, and files lie as the publisher's."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from datagen.errors import UserError
from datagen.hf.hub import dataset_files
from datagen.sources import SOURCES
from datagen.sources.database import open_seeds
from datagen.sources.locate import find_seeds


@dataclass
class Planned:
    """What the hub's client says of a file before it is fetched."""

    filename: str
    file_size: int
    will_download: bool


class Hub:
    """A hub with one data set, whose client notes what it is asked for."""

    def __init__(self, folder: Path, files: dict[str, bytes], error: Exception | None = None) -> None:
        self.folder, self.files, self.error = folder, files, error
        self.asked: list[dict[str, Any]] = []

    def __call__(self, repository: str, *, dry_run: bool = False, **wanted: Any) -> Any:
        self.asked.append({"repository": repository, "dry_run": dry_run, **wanted})
        if self.error:
            raise self.error
        if dry_run:
            return [Planned(name, len(data), True) for name, data in self.files.items()]
        for name, data in self.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return str(self.folder)


def hub(
    monkeypatch: pytest.MonkeyPatch, folder: Path, files: dict[str, bytes], error: Exception | None = None
) -> Hub:
    made = Hub(folder, files, error)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made)
    return made


def test_files_are_told_and_fetched_at_their_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = hub(monkeypatch, tmp_path / "cache", {"all/dev.parquet": b"x" * 2_500_000})
    said: list[str] = []
    dataset_files("some/set", "abc", ["all/*.parquet"], tmp_path / "seeds", said.append)
    assert said == ["some/set: 1 of 1 files to download, 2.5 MB"]
    assert (tmp_path / "seeds" / "all" / "dev.parquet").stat().st_size == 2_500_000
    same = {
        "repository": "some/set",
        "repo_type": "dataset",
        "revision": "abc",
        "allow_patterns": ["all/*.parquet"],
    }
    assert client.asked == [{**same, "dry_run": True}, {**same, "dry_run": False}]


@pytest.mark.parametrize("source", ["ecinstruct", "mmlu", "alpaca"])
def test_a_hub_that_is_away_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    noted(tmp_path, source)
    hub(monkeypatch, tmp_path / "cache", {}, RuntimeError("no route\nto host"))
    with pytest.raises(UserError, match=r"could not be fetched \(no route\)") as caught:
        find_seeds("hub", {source: SOURCES[source].Options()}, tmp_path)
    assert "\n" not in str(caught.value)
    hub(monkeypatch, tmp_path / "cache", {})
    with pytest.raises(UserError, match=r"could not be fetched \(it has no .* at abc\)"):
        find_seeds("hub", {source: SOURCES[source].Options()}, tmp_path)
    assert [path.name for path in (tmp_path / "seeds" / "hub").iterdir()] == [f"{source}.json"]


def test_what_the_hub_has_is_read_as_the_publishers_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted(tmp_path, "alpaca")
    row = {"instruction": "Name a tree.", "input": "", "output": "Oak"}
    hub(monkeypatch, tmp_path / "cache", {"alpaca_data_cleaned.json": json.dumps([row]).encode()})
    seeds = find_seeds("hub", {"alpaca": SOURCES["alpaca"].Options()}, tmp_path)
    with open_seeds({"alpaca": SOURCES["alpaca"].Options()}, seeds, 1) as opened:
        assert opened.connection.execute("select output from alpaca.rows").fetchall() == [("Oak",)]


def noted(folder: Path, source: str) -> None:
    """Note the revision of a source, or else the hub is asked for it."""
    path = folder / "seeds" / "hub" / f"{source}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"revision": "abc"}), encoding="utf-8")
