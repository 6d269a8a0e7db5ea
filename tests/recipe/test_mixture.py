"""Mixtures: single tasks, weights of every kind, and builds without some sources or licences."""

import itertools
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from datagen.commands.given import recipe_named
from datagen.config.document import Document
from datagen.errors import UserError
from datagen.recipe.check import _check_tasks, check
from datagen.recipe.load import fingerprint, load, resolved, scaled
from datagen.recipe.model import Loaded
from datagen.recipe.narrow import left_out_lines, narrowed
from datagen.recipe.shares import fitted
from datagen.sources import SOURCES, esci
from datagen.sources.source import Table

EXAMPLES = Path(__file__).parents[1] / "broken_recipes"


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with recipes over `esci` and over `toys`, a source under another licence."""
    toys = {"items": Table("items.parquet", {"id": "VARCHAR", "name": "VARCHAR"})}
    module = SimpleNamespace(
        NAME="toys",
        LICENSE="CC-BY-NC-4.0",
        HOMEPAGE="https://toys.example",
        HUB_ID="toys/toys",
        TABLES=toys,
        Options=esci.Options,
        views=lambda options: {"items": "select * from items_file"},
    )
    monkeypatch.setitem(SOURCES, "toys", module)
    for folder in ("recipes", "templates"):
        shutil.copytree(EXAMPLES / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    judged = "select example_id as key, query, product_id as correct, ['x'] as distractors from esci.examples"
    named = "select id as key, name as query, id as correct, ['x'] as distractors from toys.items"
    write("shop", {"esci": {}}, {"one": (100, judged), "two": (300, judged)})
    write("box", {"toys": {}}, {"three": (200, named)})
    tables = {"mine": "select * from toys.items", "more": "select * from mine"}
    both = {
        "old": (10, judged),
        "new": (10, named.replace("toys.items", "more")),
    }
    write("bag", {"esci": {}, "toys": {}}, both, tables=tables)
    return tmp_path


def write(name: str, sources: dict[str, Any], tasks: dict[str, tuple[int, str]], **keys: Any) -> None:
    task = {
        "type": "multiple_choice",
        "track": "user_behavior_alignment",
        "template": "multiple_choice/match.j2",
    }
    data = {
        "name": name,
        "description": "Tasks.",
        "sources": sources,
        "tasks": {label: {**task, "rows": rows, "query": sql} for label, (rows, sql) in tasks.items()},
        **keys,
    }
    Path(f"recipes/{name}.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")


def mix(include: list[str], rows: int = 600, name: str = "blend", **keys: Any) -> Loaded:
    data = {"name": name, "description": "All.", "include": include, "rows": rows, **keys}
    Path(f"recipes/{name}.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    assert check(name) == []
    return load(name)


def rows(recipe: Loaded) -> dict[str, int]:
    return {name: task.rows for name, task in recipe.tasks.items()}


def test_single_tasks_come_with_what_they_read() -> None:
    recipe = mix(["shop.two", "bag.new"], 620)
    assert rows(recipe) == {"shop.two": 600, "bag.new": 20}
    assert list(recipe.tables) == ["bag.mine", "bag.more"]
    only_old = mix(["bag.old", "shop.one", "shop.two"], 410)
    assert (list(only_old.sources), list(only_old.tables)) == (["esci"], [])


def test_a_task_of_a_mixture_is_one_too_beside_those_of_its_recipe() -> None:
    mix(["shop", "box"], name="inner")
    assert mix(["inner"]).groups["inner.shop.one"] == ["inner.shop"]
    assert rows(mix(["inner.shop.one", "bag"], 120)) == {"inner.shop.one": 100, "bag.old": 10, "bag.new": 10}


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        (["shop"], ["box.three", "bag.new", "bag.old"]),
        (["shop.two", "toys"], ["shop.one", "bag.old"]),
        (["bag"], ["shop.one", "shop.two", "box.three"]),
        (["ranking"], ["shop.one", "box.three", "bag.new", "bag.old"]),
    ],
)
def test_tasks_are_excluded_by_recipe_task_source_or_type(exclude: list[str], left: list[str]) -> None:
    ranked = (
        "select example_id as key, query, ['a', 'b'] as candidates, [1.0, 0.0] as gains from esci.examples"
    )
    path = Path("recipes/shop.yaml")
    shop = yaml.safe_load(path.read_text(encoding="utf-8"))
    shop["tasks"]["two"] |= {"type": "ranking", "template": "ranking/order.j2", "query": ranked}
    path.write_text(yaml.safe_dump(shop), encoding="utf-8")
    Path("templates/ranking").mkdir(exist_ok=True)
    Path("templates/ranking/order.j2").write_text("{{ query }}\n{{ listing }}\n", encoding="utf-8")
    recipe = mix(["shop", "box", "bag"], exclude=exclude)
    assert list(recipe.tasks) == left
    assert sum(rows(recipe).values()) == 600
    assert recipe.left_out == {}


@pytest.mark.parametrize(
    ("exclude", "code", "said"),
    [
        (["shp"], "unknown_exclude", "did you mean `shop`?"),
        (["generation"], "unknown_exclude", "known: shop, box, esci, toys, multiple_choice"),
        (["box", "shop.on"], "unknown_exclude", "did you mean `shop.one`?"),
        (["multiple_choice"], "nothing_left", "name fewer"),
    ],
)
def test_what_cannot_be_excluded_is_named(exclude: list[str], code: str, said: str) -> None:
    data = {"name": "blend", "description": "All.", "include": ["shop", "box"], "rows": 9, "exclude": exclude}
    Path("recipes/blend.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    (problem,) = check("blend")
    assert problem.code == code
    assert said in problem.message


def test_weights_are_of_what_is_not_excluded() -> None:
    recipe = mix(["shop", "box"], weights={"shop.one": 1, "box": 2}, exclude=["shop.two"])
    assert rows(recipe) == {"shop.one": 200, "box.three": 400}


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        ({"shop": 1, "box": 1}, [75, 225, 300]),
        ({"shop.one": 2, "shop.two": 1, "box.three": 3}, [200, 100, 300]),
        ({"shop": 1, "shop.two": 1, "box": 1}, [200, 200, 200]),
        ({"esci": 1, "toys": 2}, [50, 150, 400]),
        ({"multiple_choice": 7}, [100, 300, 200]),
        ({"user_behavior_alignment": 1}, [100, 300, 200]),
    ],
)
def test_weights_are_by_recipe_task_source_type_or_track(
    weights: dict[str, float], shares: list[int]
) -> None:
    assert list(rows(mix(["shop", "box"], weights=weights)).values()) == shares


def test_a_name_that_a_recipe_and_a_source_share_is_what_the_other_keys_are() -> None:
    shutil.copy("recipes/box.yaml", "recipes/toys.yaml")
    text = Path("recipes/toys.yaml").read_text().replace("name: box", "name: toys")
    Path("recipes/toys.yaml").write_text(text)
    include = ["shop", "toys", "bag"]
    assert rows(mix(include, weights={"esci": 1, "toys": 1}))["toys.three"] == 286  # beside bag.new
    assert rows(mix(include, weights={"shop": 1, "toys": 1, "bag": 1}))["toys.three"] == 200


def test_shares_of_two_kinds_hold_together() -> None:
    weights = {"a": 30, "b": 70, "x": 60, "y": 40}
    labels = {f"{one}{two}": [one, two] for one, two in itertools.product("ab", "xy")}
    shares = dict(zip(labels, fitted(dict.fromkeys(labels, 10), labels, weights), strict=True))
    for label in weights:
        whole = sum(share for task, share in shares.items() if label in task)
        assert whole == pytest.approx(weights[label] / 100)


def test_a_build_of_some_sources_names_what_it_lacks() -> None:
    whole = mix(["shop", "box", "bag"], 620)
    recipe = narrowed(whole, sources=["esci"])
    assert rows(recipe) == {
        "shop.one": 148,
        "shop.two": 443,
        "bag.old": 29,
    }  # all 620
    assert rows(narrowed(load("bag"), sources=["esci"])) == {"old": 10}  # no mixture
    assert (list(recipe.sources), recipe.tables) == (["esci"], {})
    assert left_out_lines(recipe) == ["left out, as it reads toys: box.*, bag.new"]
    assert rows(scaled(recipe, 41)) == {"shop.one": 10, "shop.two": 29, "bag.old": 2}
    seeds = {"esci": {"examples": "ab12"}}
    prints = {
        fingerprint(resolved(each, seeds)) for each in (whole, recipe, narrowed(whole, ["esci", "toys"]))
    }
    assert len(prints) == 2  # all sources is the whole again


def test_where_the_rows_of_what_is_left_out_go_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    mix(["shop", "box", "bag"], 620)
    mix(["blend", "esci_mcq", "mmlu"], name="outer")
    recipe_named("outer", sources="esci")
    told = capsys.readouterr().err.splitlines()
    ends = [line.endswith("; the other tasks get their rows, as far as these seeds reach") for line in told]
    assert len(told) > 1
    assert ends == [False] * (len(told) - 1) + [True]


def test_a_build_under_some_licences_names_what_it_lacks() -> None:
    recipe = narrowed(mix(["shop", "box"]), licenses=["apache-2.0"])
    assert list(recipe.tasks) == ["shop.one", "shop.two"]
    assert left_out_lines(recipe) == ["left out, as it reads toys (CC-BY-NC-4.0): box.*"]
    assert mix(["shop", "box"], licenses=["Apache-2.0"]).left_out == recipe.left_out
    mix(["shop", "box"], licenses=["Apache-2.0"], name="inner")
    assert mix(["inner", "bag.old"]).left_out == {"inner.box.three": "it reads toys (CC-BY-NC-4.0)"}


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"sources": ["escii"]}, "`escii` is none of blend's: did you mean `esci`"),
        ({"licenses": ["MTI"]}, "`MTI` is the licence of no source: "),
        ({"licenses": ["none"]}, "no task is left with none granted: research use alone"),
        ({"sources": ["toys"], "licenses": ["Apache-2.0"]}, "no task is left with toys, Apache-2.0 alone"),
    ],
)
def test_a_build_of_nothing_is_refused(wanted: dict[str, list[str]], message: str) -> None:
    recipe = mix(["shop", "box"])
    with pytest.raises(UserError, match=message):
        narrowed(recipe, **wanted)


def test_a_file_that_passed_is_checked_again_when_it_or_a_template_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mix(["shop", "bag"])
    looked_at: list[str] = []

    def looking(document: Document, layout: Any) -> None:
        looked_at.append(document.path.stem)
        _check_tasks(document, layout)

    monkeypatch.setattr("datagen.recipe.check._check_tasks", looking)
    for _ in range(2):
        assert check("blend", tmp_path / "notes") == []
    assert looked_at == ["blend", "shop", "bag"]
    Path("recipes/shop.yaml").write_text(Path("recipes/shop.yaml").read_text().replace("['x']", "['x'"))
    for _ in range(2):
        assert [problem.code for problem in check("blend", tmp_path / "notes")] == ["sql_syntax"] * 2
    assert looked_at[3:] == ["shop", "shop"]
    with Path("templates/multiple_choice/match.j2").open("a") as template:
        template.write("{{ nonsense }}")
    assert "unknown_slot" in {problem.code for problem in check("blend", tmp_path / "notes")}
    assert looked_at[5:] == ["shop", "bag"]
