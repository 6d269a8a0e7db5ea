"""The dataset card: what the hub and `load_dataset` need, and what a reader wants to know."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from datagen.pipeline.lockfile import read_lock, recipe_of
from datagen.reports.card import CATEGORIES, write_card
from datagen.schema import SHARD, TaskType
from datagen.sources import SOURCES
from datagen.storage.manifest import read_manifest, shard_files


def opened(run: Path, cache: Path) -> Any:
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset(str(run), cache_dir=str(cache))


def front_matter(run: Path) -> dict[str, Any]:
    _, matter, _ = (run / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(matter)
    return found


def test_a_run_opens_with_its_splits_and_columns(shop_run: Path, tmp_path: Path) -> None:
    data = opened(shop_run, tmp_path)
    assert list(data) == ["train", "test"]
    for side, path in zip(("train", "test"), shard_files(shop_run), strict=True):
        assert data[side].column_names == SHARD.names
        assert data[side].to_list() == pq.read_table(path).to_pylist()


def test_a_run_without_a_test_split_opens_too(shop_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(shop_run, tmp_path / "run"))
    shard_files(run)[1].unlink()
    manifest = read_manifest(run)
    for task in manifest["tasks"].values():
        del task["kept"]["test"]
    write_card(run, recipe_of(read_lock(run)), manifest)
    assert list(opened(run, tmp_path / "cache")) == ["train"]


def test_the_front_matter_tells_the_hub_what_it_asks_for(shop_run: Path) -> None:
    matter = front_matter(shop_run)
    assert matter["license"] == "apache-2.0"
    assert matter["language"] == ["en", "es", "ja"]
    assert matter["task_categories"] == list(CATEGORIES.values())
    assert matter["size_categories"] == ["n<1K"]
    fingerprint = read_manifest(shop_run)["fingerprint"][:16]
    assert matter["configs"][0]["description"] == f"fingerprint {fingerprint}"


def test_the_card_shows_each_task_and_a_row_of_each_type(shop_run: Path) -> None:
    text = (shop_run / "README.md").read_text(encoding="utf-8")
    for name, task in read_manifest(shop_run)["tasks"].items():
        assert f"| {name} | " in text
        assert f"| {task['kept']['train']} | {task['kept']['test']} |" in text
        assert all(f"| `{reason}` | " in text for reason in task["rejected"])
    assert text.count("[assistant]") == len(TaskType)
    assert all(f"| `{column}` | " in text for column in SHARD.names)
    assert f"| `task_type` | form of the question: {', '.join(TaskType)} |" in text


def test_the_card_depends_on_nothing_but_the_run(shop_run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shop_run, tmp_path / "elsewhere"))
    write_card(copy, recipe_of(read_lock(copy)), read_manifest(copy))
    assert (copy / "README.md").read_bytes() == (shop_run / "README.md").read_bytes()


def test_a_licence_that_the_hub_does_not_know_is_other(
    shop_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.copytree(shop_run, tmp_path / "run"))
    monkeypatch.setattr("datagen.sources.esci.LICENSE", "no licence granted")
    write_card(run, recipe_of(read_lock(run)), read_manifest(run))
    assert front_matter(run)["license"] == "other"
    assert "| esci | no licence granted |" in (run / "README.md").read_text(encoding="utf-8")


def test_another_build_of_the_same_name_is_not_read_from_the_cache_of_the_first(
    shop_run: Path, tmp_path: Path
) -> None:
    """`datasets` knows a folder by its name and its card's configs."""
    first, second = (Path(shutil.copytree(shop_run, tmp_path / name / "shop")) for name in ("a", "b"))
    shard = next((second / "data").glob("train-*"))
    pq.write_table(pq.read_table(shard).slice(1), shard)
    manifest = read_manifest(second)
    write_card(second, recipe_of(read_lock(second)), manifest | {"fingerprint": "f" * 64})
    ids = [opened(run, tmp_path / "cache")["train"][0]["id"] for run in (first, second)]
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("licence", "told"),
    [
        ("CC-BY-NC-4.0", "**No commercial use.** esci may not be used commercially"),
        ("none granted: research use", "**Without a licence.** The publisher of esci grants none"),
    ],
)
def test_the_card_says_what_a_licence_does_to_the_whole(
    licence: str, told: str, shop_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.copytree(shop_run, tmp_path / "run"))
    assert told not in (run / "README.md").read_text(encoding="utf-8")
    monkeypatch.setattr(SOURCES["esci"], "LICENSE", licence)
    write_card(run, recipe_of(read_lock(run)), read_manifest(run))
    assert told in (run / "README.md").read_text(encoding="utf-8")


def test_the_card_names_what_was_left_out(shop_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(shop_run, tmp_path / "run"))
    left_out = {"m2.next": "it reads m2", "m2.price": "it reads m2"}
    recipe = recipe_of(read_lock(run)).model_copy(update={"left_out": left_out})
    write_card(run, recipe, read_manifest(run))
    assert "left out, as it reads m2: m2.*." in (run / "README.md").read_text(encoding="utf-8")
