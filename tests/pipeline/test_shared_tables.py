"""Tables that several queries read, a source's and a recipe's own: computing them once changes no row."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from datagen.pipeline.build import build
from datagen.pipeline.lockfile import read_lock, recipe_of
from datagen.pipeline.shared_tables import Turn, rows_read, shared, turns
from datagen.recipe.check import check
from datagen.recipe.load import load
from datagen.sources.database import Seeds, open_seeds, sources_of
from datagen.sources.esci import Options
from tests.processes import contents

RECIPE = """\
name: {name}
description: A recipe with tables of its own.
sources: {{esci: {{}}}}
type: multiple_choice
track: user_behavior_alignment
tables:
  exact: select * from esci.judged where label = 'E'
  pairs: |
    select locale, query_id, query, split, {which}(title order by title) as correct
    from exact join esci.titles using (locale, product_id)
    where locale in ('us', 'jp') group by all
tasks:
  first:
    template: multiple_choice/best_match.j2
    rows: 40
    query: |
      select locale || query_id as key, query, split, ['query:' || query_id] as groups,
        if(locale = 'jp', 'ja', 'en') as language, correct, [correct || '!', correct || '?'] as distractors
      from pairs
  second:
    template: multiple_choice/best_match.j2
    rows: 20
    query: |
      select locale || query_id as key, query, split, if(locale = 'jp', 'ja', 'en') as language, correct,
        [query, correct || '?'] as distractors
      from pairs where query_id in (select query_id from exact)
"""

MIXTURE = """\
name: both
description: Two recipes, each with a table `pairs`.
include: [one, other]
rows: 80
"""


@pytest.fixture(autouse=True)
def _in_the_shop(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the templates and seeds of the shop, and recipes with tables."""
    (tmp_path / "recipes").mkdir()
    for name, which in [("one", "min"), ("other", "max")]:
        recipe = RECIPE.format(name=name, which=which).replace("(title order by title)", "(title)")
        (tmp_path / "recipes" / f"{name}.yaml").write_text(recipe)
    (tmp_path / "recipes" / "both.yaml").write_text(MIXTURE)
    for folder in ("templates", "seeds"):
        (tmp_path / folder).symlink_to(shop / folder)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def seeds() -> Iterator[Seeds]:
    with open_seeds({"esci": Options()}, Path("seeds"), 7, tables=load("both").tables) as opened:
        yield opened


def queries() -> dict[str, str]:
    return {name: task.query for name, task in load("both").tasks.items()}


def test_recipes_with_tables_pass_their_check() -> None:
    assert [check(name) for name in ("one", "other", "both")] == [[], [], []]


def test_tasks_inherit_what_the_recipe_says_once() -> None:
    assert {(task.type, task.track) for task in load("one").tasks.values()} == {
        ("multiple_choice", "user_behavior_alignment")
    }


def test_what_several_queries_read_is_kept_from_the_first_to_the_last(seeds: Seeds) -> None:
    found = turns(seeds, queries())
    kept = {
        task: ([t.sql_name for t in turn.keep], [t.sql_name for t in turn.drop])
        for task, turn in found.items()
    }
    assert kept == {
        "one.first": (
            ['"esci"."titles"', '"esci"."judged"', '"recipe one"."exact"', '"recipe one"."pairs"'],
            [],
        ),
        "one.second": ([], ['"recipe one"."exact"', '"recipe one"."pairs"']),
        "other.first": (['"recipe other"."exact"', '"recipe other"."pairs"'], []),
        "other.second": (
            [],
            ['"esci"."judged"', '"recipe other"."exact"', '"esci"."titles"', '"recipe other"."pairs"'],
        ),
    }


def test_queries_to_guess_are_looked_for_once(seeds: Seeds) -> None:
    tasks = load("esci_generation").tasks
    found = turns(seeds, {f"esci_generation.{name}": task.query for name, task in tasks.items()})
    assert '"esci"."guesses"' in [table.sql_name for turn in found.values() for table in turn.keep]


def test_what_one_query_reads_is_not_kept(seeds: Seeds) -> None:
    [turn] = turns(seeds, {"one.first": queries()["one.first"]}).values()
    assert turn == Turn((), ())


def test_each_recipe_of_a_mixture_has_its_own_tables(seeds: Seeds) -> None:
    found = [seeds.of(task).execute("from pairs order by all").fetchall() for task in queries()]
    assert found[0] == found[1]
    assert found[2] == found[3]
    assert found[0] != found[2]


def test_where_a_query_runs_dry_is_counted(tmp_path: Path) -> None:
    recipe = tmp_path / "recipes" / "one.yaml"
    recipe.write_text(recipe.read_text().replace("label = 'E'", "label = 'X'"))
    with open_seeds({"esci": Options()}, Path("seeds"), 7, tables=load("both").tables) as opened:
        sql = queries()["one.second"]
        assert sum(rows_read(opened, "other.second", sql).values()) > 0
        found = rows_read(opened, "one.second", sql)
    assert list(found) == ["exact", "pairs", "esci.judged", "esci.titles"]
    assert (found["pairs"], found["exact"]) == (0, 0)
    assert min(found["esci.judged"], found["esci.titles"]) > 0


def test_kept_tables_have_the_rows_of_their_views(seeds: Seeds) -> None:
    of_tasks = turns(seeds, queries())
    for task, sql in queries().items():
        before = seeds.of(task).execute(f"from ({sql}) order by all").fetchall()
        with shared(seeds, task, of_tasks[task]):
            assert seeds.of(task).execute(f"from ({sql}) order by all").fetchall() == before
            if task == "other.first":  # later ones need no table that was dropped
                assert seeds.connection.execute("select count(*) from esci.judged").fetchone() != (0,)
            if task.endswith("second"):
                return


def test_sources_are_told_through_tables(seeds: Seeds) -> None:
    assert sources_of(seeds, "one.first", "from pairs") == ("esci",)
    assert sources_of(seeds, "one.first", "with pairs as (select 1) from pairs") == ()


def test_a_build_gives_the_same_bytes_with_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(load("both"), Path("seeds"), Path("kept"), workers=2)
    monkeypatch.setattr(
        "datagen.pipeline.build.turns", lambda seeds, tasks: dict.fromkeys(tasks, Turn((), ()))
    )
    build(load("both"), Path("seeds"), Path("views"), workers=1)
    assert contents(Path("kept/both")) == contents(Path("views/both"))


def test_the_lock_holds_the_tables(tmp_path: Path) -> None:
    build(load("both"), Path("seeds"), Path("runs"), workers=1)
    recipe = recipe_of(read_lock(Path("runs/both")))
    assert recipe.tables == load("both").tables
    assert set(recipe.tables) == {"one.exact", "one.pairs", "other.exact", "other.pairs"}
