"""Sampling: sides, shares and keys, and the same rows whatever the number of threads."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from datagen.errors import UserError
from datagen.pipeline.sampling import SIDES, Drawn, draw, draw_one, quotas, shifted, with_spare
from datagen.sources.database import Seeds, open_seeds
from datagen.sources.esci import Options
from datagen.sources.query import columns_of
from datagen.sources.sample import write_sample
from datagen.storage.files import read_arrow

QUERY = "select example_id as key, query, split, ['query:' || query_id] as groups from esci.examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds")
    write_sample(folder, 2000)
    return folder


@pytest.fixture
def seeds(folder: Path) -> Iterator[Seeds]:
    with open_seeds({"esci": Options()}, folder, 7) as opened:
        yield opened


def drawn(
    seeds: Seeds, path: Path, sql: str = QUERY, rows: int = 100, test: float = 0.1
) -> tuple[Drawn, pa.Table]:
    counts = draw(seeds, "t", sql, list(columns_of(seeds.of("t"), sql)), rows, test, path)
    return counts, read_arrow(path)


def test_enough_is_drawn_of_each_side_for_the_share_that_is_asked_for(seeds: Seeds, tmp_path: Path) -> None:
    counts, table = drawn(seeds, tmp_path / "t.arrow")
    assert counts.wanted == {"train": 90, "test": 10}
    assert counts.drawn == {side: with_spare(rows) for side, rows in counts.wanted.items()}
    assert {side: pc.sum(pc.equal(table["side"], side)).as_py() for side in SIDES} == counts.drawn


def test_the_seeds_own_split_decides_the_side(seeds: Seeds, tmp_path: Path) -> None:
    _, table = drawn(seeds, tmp_path / "t.arrow")
    own = dict(seeds.connection.execute("select example_id::varchar, split from esci.examples").fetchall())
    assert [own[key] for key in table["key"].to_pylist()] == table["side"].to_pylist()


def test_a_null_is_no_group_and_a_row_without_any_is_split_by_its_key(seeds: Seeds, tmp_path: Path) -> None:
    groups = "[[null, 'a'], ['a', null], [' ', null], [], null, ['']][example_id % 6 + 1]"
    sql = f"select example_id as key, {groups} as groups from esci.examples"
    _, table = drawn(seeds, tmp_path / "t.arrow", sql, 10_000, 0.3)
    rows = table.to_pylist()
    assert {row["groups"][0] for row in rows if int(row["key"]) % 6 < 2} == {"a"}
    assert len({row["side"] for row in rows if int(row["key"]) % 6 < 2}) == 1
    alone = [row for row in rows if int(row["key"]) % 6 >= 2]
    assert all(row["groups"] == [row["key"]] for row in alone)
    assert 0.25 < sum(row["side"] == "test" for row in alone) / len(alone) < 0.35


def test_without_a_split_a_group_lies_on_one_side_in_every_task(seeds: Seeds, tmp_path: Path) -> None:
    sql = "select example_id as key, ['query:' || query_id] as groups from esci.examples"
    sides: dict[str, set[str]] = {}
    for task in ("a", "b"):
        path = tmp_path / f"{task}.arrow"
        draw(seeds, task, sql, ["key", "groups"], 10_000, 0.3, path)
        for group, side in zip(
            read_arrow(path)["groups"].to_pylist(), read_arrow(path)["side"].to_pylist(), strict=True
        ):
            sides.setdefault(group[0], set()).add(side)
    assert all(len(found) == 1 for found in sides.values())
    share = sum(found == {"test"} for found in sides.values()) / len(sides)
    assert 0.1 < share < 0.5


def test_a_larger_draw_holds_the_smaller_one(seeds: Seeds, tmp_path: Path) -> None:
    _, small = drawn(seeds, tmp_path / "small.arrow", rows=50)
    _, large = drawn(seeds, tmp_path / "large.arrow", rows=200)
    assert set(small["key"].to_pylist()) < set(large["key"].to_pylist())


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_do_not_change_what_is_drawn(folder: Path, tmp_path: Path, threads: int) -> None:
    with open_seeds({"esci": Options()}, folder, 7, threads=threads) as opened:
        _, table = drawn(opened, tmp_path / "t.arrow")
    with open_seeds({"esci": Options()}, folder, 7, threads=2) as opened:
        _, other = drawn(opened, tmp_path / "other.arrow")
    assert table.sort_by("key").equals(other.sort_by("key"))


@pytest.mark.parametrize(
    ("key", "said"), [("query", "A key names one row"), ("nullif(query, query)", "whose key is null")]
)
def test_keys_that_name_no_row_or_several_are_refused(
    seeds: Seeds, tmp_path: Path, key: str, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        drawn(seeds, tmp_path / "t.arrow", f"select {key} as key from esci.examples")
    assert not (tmp_path / "t.arrow").exists()


def test_a_repeated_key_in_a_mixture_names_its_sources(seeds: Seeds, tmp_path: Path) -> None:
    sql = "select query as key from esci.examples"
    with pytest.raises(UserError, match="its own `sources` hold, which may open more than those of `brands`"):
        draw(seeds, "brands.t", sql, ["key"], 100, 0.1, tmp_path / "t.arrow")


def test_a_split_is_train_or_test_or_left_to_chance(seeds: Seeds, tmp_path: Path) -> None:
    path, query = tmp_path / "t.arrow", "select example_id as key, {} as split from esci.examples"
    for split in ("dev", "TEST", ""):
        with pytest.raises(UserError, match=f"`split` is '{split}': it is train, test, or null"):
            drawn(seeds, path, query.format(f"if(split = 'test', '{split}', split)"))
    for split, sides in [("'train'", {"train"}), ("null::varchar", {"train", "test"})]:
        _, table = drawn(seeds, path, query.format(split))
        assert set(table["side"].to_pylist()) == sides


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("82.60::decimal(10, 2)", Decimal("82.60")),
        ("[0.35]", [Decimal("0.35")]),
        ("{price: 82.60}", {"price": Decimal("82.60")}),
        ("2::hugeint ** 3", 8),
        ("170141183460469231731687303715884105727::hugeint", Decimal(2**127 - 1)),
        ("340282366920938463463374607431768211455::uhugeint", str(2**128 - 1)),
        ("[340282366920938463463374607431768211455::uhugeint]", [str(2**128 - 1)]),
        ("{n: repeat('9', 50)::bignum}", {"n": "9" * 50}),
        ("18446744073709551615::ubigint", 2**64 - 1),
    ],
)
def test_numbers_arrive_as_the_query_gives_them(seeds: Seeds, tmp_path: Path, sql: str, value: Any) -> None:
    query = f'select example_id as key, {sql} as "it\'s" from esci.examples'
    _, table = drawn(seeds, tmp_path / "t.arrow", query)
    assert table["it's"][0].as_py() == value
    key = table["key"][0].as_py()
    one = draw_one(seeds, "t", query, ["key", "it's"], 0.1, key)
    assert one.column("it's").to_pylist() == [value]


def test_test_makes_up_for_a_train_side_that_runs_out() -> None:
    assert quotas(100, 0.1, {"train": 1000, "test": 1000}) == {"train": 90, "test": 10}
    assert quotas(100, 0.1, {"train": 20, "test": 1000}) == {"train": 20, "test": 80}


def test_each_task_of_a_small_mixture_holds_a_row_out() -> None:
    plenty = {"train": 1_000, "test": 1_000}
    assert shifted(4, 0.1, plenty) == {"train": 3, "test": 1}
    assert shifted(2, 0.1, plenty) == {"train": 2, "test": 0}
    assert shifted(4, 0.0, plenty) == {"train": 4, "test": 0}
    assert shifted(200, 0.1, plenty) == {"train": 180, "test": 20}
