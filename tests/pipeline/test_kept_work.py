"""Work that a build leaves for the next one: what is unchanged is not done again, to the same bytes."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from datagen import dedup
from datagen.pipeline import build as stages
from datagen.pipeline.build import build
from datagen.recipe.load import load, scaled
from datagen.storage.known_hashes import sha256_of
from tests.processes import contents


@pytest.fixture
def here(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = shutil.copytree(shop, tmp_path / "shop", ignore=shutil.ignore_patterns("runs"))
    monkeypatch.chdir(folder)
    return Path(folder)


def built(runs: str = "runs", rows: int = 0) -> dict[str, Any]:
    recipe = load("shop")
    return build(scaled(recipe, rows) if rows else recipe, Path("seeds"), Path(runs), workers=1)


def files() -> dict[Path, int]:
    """The files that are kept for the next build, with their times."""
    return {path: path.stat().st_mtime_ns for path in Path("runs/.kept").rglob("*") if path.is_file()}


def edit(path: str, old: str, new: str) -> None:
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def test_a_changed_template_rewords_its_task_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built()
    before = files()
    edit("templates/ranking/order_of_fit.j2", "{{ query }}", "({{ query }})")
    monkeypatch.setattr(stages, "open_seeds", None)  # no query runs
    monkeypatch.setattr(dedup, "decide", None)  # what is asked about is the same
    built()
    new = files().keys() - before.keys()
    assert {str(path).count("/order_of_fit-") for path in new} == {1}
    assert {path.relative_to("runs/.kept/shop").parts[0] for path in new} == {
        "parts",
        "rejected",
        "shortcuts",
    }
    assert all(files()[path] == before[path] for path in files().keys() & before.keys())
    monkeypatch.undo()
    monkeypatch.chdir(here)
    built("again")
    assert contents(Path("runs/shop")) == contents(Path("again/shop"))


def test_a_changed_query_runs_again_alone(here: Path) -> None:
    built()
    before = files()
    edit("recipes/shop.yaml", "where product_brand is not null", "where length(product_brand) > 1")
    built()
    drawn = [path.name for path in files().keys() - before.keys() if path.parent.name == "drawn"]
    assert {name.partition("-")[0] for name in drawn} == {"brand"}
    built("again")
    assert contents(Path("runs/shop")) == contents(Path("again/shop"))


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("recipes/shop.yaml", "seed: 7", "seed: 8"),
        ("recipes/shop.yaml", "{esci: {}}", "{esci: {locale: [us]}}"),
    ],
)
def test_what_shapes_all_tasks_leaves_nothing(here: Path, path: str, old: str, new: str) -> None:
    built()
    before = files()
    edit(path, old, new)
    built()
    assert not {path for path in files().keys() & before.keys() if path.parent.name != "decided"}


def test_other_seeds_leave_nothing(here: Path) -> None:
    built()
    before = files()
    sources = Path("seeds/esci/shopping_queries_dataset_sources.csv")
    sources.write_text(sources.read_text() + "99999,other\n")
    built()
    assert not {path for path in files().keys() & before.keys() if path.parent.name != "decided"}


def test_what_is_kept_is_of_one_build(here: Path) -> None:
    built(rows=60)
    small = files()
    built(rows=120)
    built(rows=60)
    assert files().keys() == small.keys()
    assert {path.name for path in Path("runs/shop").iterdir()} >= {"data", "manifest.json"}
    assert not Path("runs/shop/work").exists()


def test_hashes_are_read_again_only_of_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def sha256(path: Path) -> str:
        read.append(path)
        return path.read_text()

    monkeypatch.setattr("datagen.storage.known_hashes.sha256", sha256)
    one, two, note = tmp_path / "one", tmp_path / "two", tmp_path / "seeds" / "hashes.json"
    for path in (one, two):
        path.write_text(path.name)
    assert sha256_of([one, two], note) == {one: "one", two: "two"}
    one.write_text("eno")  # of the same size
    assert sha256_of([two, one], note) == {one: "eno", two: "two"}
    assert sorted(read) == [one, one, two]
    note.write_text("{")
    assert sha256_of([one], note) == {one: "eno"}
