"""The report: one page that loads nothing else, and shows what is in the run."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datagen.pipeline.lockfile import read_lock, recipe_of
from datagen.reject_reasons import explain
from datagen.reports.report import BINS, binned, shares, write_report
from datagen.schema import SHARD
from datagen.storage.manifest import read_manifest, shard_files

VOID = {"meta", "br", "rect", "line"}


class Page(HTMLParser):
    """Collects the tags and texts of a page, and checks that what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


LOCKED = "recipe: {}\n"


@pytest.fixture(scope="module")
def page(shop_run: Path) -> Page:
    return Page((shop_run / "report.html").read_text(encoding="utf-8"))


def test_the_page_fetches_and_runs_nothing(shop_run: Path, page: Page) -> None:
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "img", "iframe", "object", "base"})
    links = [
        value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href")
    ]
    assert all(link and link.startswith("#") for link in links)
    assert not re.search(r"url\(|@import|https?:", (shop_run / "report.html").read_text(encoding="utf-8"))


def test_the_page_shows_every_task_and_reason_with_its_rows(shop_run: Path, page: Page) -> None:
    tasks = read_manifest(shop_run)["tasks"]
    anchors = {attributes.get("id") for _, attributes in page.tags}
    assert set(tasks) <= anchors
    for reason in {reason for task in tasks.values() for reason in task["rejected"]} - {"over_rows"}:
        assert reason in page.texts
        assert explain(reason) in page.texts
    assert str(sum(sum(task["kept"].values()) for task in tasks.values())) in page.texts


def test_the_page_shows_rows_as_they_are(shop_run: Path, page: Page) -> None:
    shown = [text for text in page.texts if text]
    for task in read_manifest(shop_run)["tasks"]:
        rows = pq.read_table(shard_files(shop_run)[0], filters=[("task", "=", task)]).slice(0, 3).to_pylist()
        assert all(row["prompt"][-1]["content"] in shown and row["id"] in shown for row in rows)


def test_the_chart_of_a_multiple_choice_task_counts_its_answers(shop_run: Path, page: Page) -> None:
    rows = pq.ParquetDataset(shard_files(shop_run), filters=[("task", "=", "best_match")]).read()
    for answer in ("0", "1", "2", "3"):
        assert f"{answer}: {rows['target'].to_pylist().count(answer)} rows" in page.texts


def test_the_page_shows_what_answers_without_skill(
    shop_run: Path, tmp_path: Path, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datagen.reports.shortcuts.JUDGED", 1)
    for task in read_manifest(shop_run)["tasks"].values():
        for shortcut in task["shortcuts"]["found"]:
            assert f"{shortcut['score']:.2f}" in page.texts
    assert "exceeded" not in page.texts
    run = Path(shutil.copytree(shop_run, tmp_path / "run"))
    recipe = recipe_of(read_lock(run))
    bounds = {"best_match": 0.01, "order_of_fit": 1.0}
    tasks = {
        name: task.model_copy(update={"shortcut": bounds.get(name)}) for name, task in recipe.tasks.items()
    }
    manifest = read_manifest(run)
    manifest["tasks"]["search_for"]["shortcuts"] = None
    write_report(run, recipe.model_copy(update={"tasks": tasks}), manifest, LOCKED)
    texts = Page((run / "report.html").read_text(encoding="utf-8")).texts
    assert texts.count("exceeded") == 1
    assert "not measured: no train row, or a metric that takes a model" in texts


def test_a_shortcut_that_no_task_has_gets_no_column(shop_run: Path, tmp_path: Path, page: Page) -> None:
    run, manifest = Path(shutil.copytree(shop_run, tmp_path / "run")), read_manifest(shop_run)
    assert "copy" in page.texts
    for task in manifest["tasks"].values():
        if task["shortcuts"]:
            found = task["shortcuts"]["found"]
            task["shortcuts"]["found"] = [shortcut for shortcut in found if shortcut["family"] != "copy"]
    write_report(run, recipe_of(read_lock(run)), manifest, LOCKED)
    assert "copy" not in Page((run / "report.html").read_text(encoding="utf-8")).texts


def test_the_page_shows_what_its_rows_are_made_of(shop_run: Path, page: Page) -> None:
    recipe = recipe_of(read_lock(shop_run))
    found = shares(shop_run, recipe)
    rows = sum(sum(task["kept"].values()) for task in read_manifest(shop_run)["tasks"].values())
    assert list(found) == ["type", "track", "language", "source", "licence"]
    assert all(counts.total() == rows for counts in found.values())
    for counts in found.values():
        for label, count in counts.items():
            assert label in page.texts
            assert f"{count:,}" in page.texts
    assert any("recipe:" in text and "templates:" in text for text in page.texts)


def test_tables_scroll_in_a_box_of_their_own(shop_run: Path, page: Page) -> None:
    """Else a phone's reader pushes whole cards aside, or the page."""
    boxes = [before for before, (tag, _) in zip(page.tags, page.tags[1:], strict=False) if tag == "table"]
    assert boxes == [("div", {"class": "wide"})] * 8
    style = (shop_run / "report.html").read_text(encoding="utf-8").partition("</style>")[0]
    assert re.findall(r"([^{}]+?) { [^}]*overflow-x: auto", style)[0].split()[-1] == ".wide"


def test_seed_text_stays_text(shop_run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(shop_run, tmp_path / "run"))
    path = shard_files(run)[0]
    rows = pq.read_table(path).to_pylist()
    evil = '</pre><script>alert("x")</script>{{ 7*7 }}'
    rows[0]["prompt"][-1]["content"] = evil
    pq.write_table(pa.Table.from_pylist(rows, schema=SHARD), path)
    write_report(run, recipe_of(read_lock(run)), read_manifest(run), LOCKED)
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "<script>" not in text
    assert evil in Page(text).texts


def test_the_report_depends_on_nothing_but_the_run(shop_run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(shop_run, tmp_path / "elsewhere"))
    lock = (copy / "recipe.lock.yaml").read_text(encoding="utf-8")
    write_report(copy, recipe_of(read_lock(copy)), read_manifest(copy), lock)
    assert (copy / "report.html").read_bytes() == (shop_run / "report.html").read_bytes()


@given(st.lists(st.integers(0, 100_000)))
def test_bins_hold_every_value_once(values: list[int]) -> None:
    bins = binned(values)
    assert sum(count for _, count in bins) == len(values)
    assert len(bins) <= BINS
    starts = [int(label) for label, _ in bins]
    assert starts == sorted(set(starts))
