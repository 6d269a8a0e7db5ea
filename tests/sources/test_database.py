"""The safety of SQL in recipes: it reads seed tables alone, can't write or reach the network, and is timed.

There are two barriers, and each is tested alone: the linter, which refuses a query before it runs, and the
cage, which stops one that nobody checked.
"""

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from datagen.errors import UserError
from datagen.recipe.lint_sql import CHANGING, CLOCKS, inspect
from datagen.sources import SOURCES
from datagen.sources.database import open_layout, open_seeds
from datagen.sources.query import bounded, columns_of

TABLES = ["esci.examples", "esci.products", "esci.sources"]

WRITES = [
    "copy (select 1) to '{folder}/stolen.csv'",
    "copy esci.examples to '{folder}/esci/shopping_queries_dataset_examples.parquet'",
    "export database '{folder}/stolen'",
    "attach '{folder}/stolen.duckdb'",
    "create table stolen as select 1",
    "insert into esci.examples select * from esci.examples",
    "drop view esci.examples",
    "create or replace view esci.examples as select 1",
    "select 1; drop view esci.examples",
]
OPENS = [
    "set enable_external_access = true",
    "set lock_configuration = false",
    "reset memory_limit",
    "set allowed_directories = ['/']",
    "pragma memory_limit = '100GB'",
    "install httpfs",
    "load httpfs",
    "call enable_logging()",
    "use memory",
    "prepare p as select 1",
    "explain select 1",
    "begin",
]
READS = [
    "select * from read_csv('{folder}/secret.csv')",
    "select * from read_text('{folder}/secret.csv')",
    "select * from read_blob('{folder}/secret.csv')",
    "select * from read_json('{folder}/secret.csv')",
    "select * from read_parquet('{folder}/esci/../secret.parquet')",
    "select * from sniff_csv('{folder}/secret.csv')",
    "select * from parquet_metadata('{folder}/secret.parquet')",
    "select * from '{folder}/secret.csv'",
    "select * from '{folder}/secret.parquet'",
    "select * from glob('{folder}/*')",
    "select (select content from read_text('{folder}/secret.csv')) as key",
    "with a as (from read_text('{folder}/secret.csv')) from a",
    "from query('select * from read_text(''{folder}/secret.csv'')')",
    "select * from query_table('{folder}/secret.csv')",
]
REACHES = [
    "select * from read_parquet('{url}/secret.parquet')",
    "select * from read_csv('{url}/secret.csv')",
    "select * from '{url}/secret.parquet'",
    "select * from read_parquet('s3://bucket/secret.parquet')",
    "select * from 'hf://datasets/some/data.parquet'",
]
SPIES = [
    "select getenv('HOME') as key",
    "select * from duckdb_settings()",
    "select * from information_schema.tables",
    "select * from duckdb_secrets()",
    "select * from esci.examples_file",
    "select current_setting('temp_directory') as key",
    "select * from seen_by_python",
]


def tiny_seeds(folder: Path) -> None:
    """Two products and two judgements in ESCI's layout."""
    (folder / "esci").mkdir()
    for table in SOURCES["esci"].TABLES.values():
        values = {name: "'us'" if name == "product_locale" else "range" for name in table.columns}
        columns = ", ".join(
            f"cast({values[name]} as {kind}) as {name}" for name, kind in table.columns.items()
        )
        kind = "csv" if table.file.endswith(".csv") else "parquet"
        duckdb.sql(
            f"copy (select {columns} from range(2)) to '{folder / 'esci' / table.file}' (format {kind})"
        )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seeds, and beside them what no query may see."""
    tiny_seeds(tmp_path)
    (tmp_path / "secret.csv").write_text("secret\n42\n")
    duckdb.sql(f"copy (select 42 as secret) to '{tmp_path / 'secret.parquet'}'")
    return tmp_path


@pytest.fixture
def cage(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_seeds({"esci": SOURCES["esci"].Options()}, folder, seed=1) as seeds:
        yield seeds.connection


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    """A real server that counts as the network; whoever reaches it gets the secret."""
    server = HTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("sql", [*WRITES, *OPENS, *READS, *REACHES, *SPIES])
def test_the_check_refuses_it_before_anything_runs(sql: str) -> None:
    with open_layout({"esci": SOURCES["esci"].Options()}) as connection:
        columns, faults = inspect(
            connection, sql.format(folder="/somewhere", url="http://127.0.0.1:9"), TABLES
        )
    assert faults
    assert all(fault.message for fault in faults)
    assert not any((columns or {}).values()) or "current_setting" in sql  # types are known of what may run


@pytest.mark.parametrize("sql", [*OPENS[:7], *READS, *REACHES])
def test_the_cage_stops_what_nobody_checked(
    sql: str, cage: duckdb.DuckDBPyConnection, folder: Path, url: str
) -> None:
    with pytest.raises(duckdb.Error):
        cage.execute(sql.format(folder=folder, url=url)).fetchall()


def test_the_cage_lets_the_seeds_through(cage: duckdb.DuckDBPyConnection) -> None:
    assert cage.execute("select count(*) from esci.products").fetchall() == [(2,)]


def test_python_variables_are_no_tables(cage: duckdb.DuckDBPyConnection) -> None:
    seen_by_python = pa.table({"secret": [42]})
    with duckdb.connect() as free:  # as DuckDB does where it is let
        assert free.execute("select * from seen_by_python").fetchall() == [(len(seen_by_python) * 42,)]
    with pytest.raises(duckdb.CatalogException):
        cage.execute("select * from seen_by_python")


def test_a_query_without_end_is_stopped_and_says_how_to_end_it(cage: duckdb.DuckDBPyConnection) -> None:
    endless = "with recursive n(i) as (select 1 union all select (i + 1) % 9 from n) select count(*) from n"
    with (
        pytest.raises(UserError, match=r"task best: its query ran longer than 0\.5 s.*"),
        bounded(cage, "best", 0.5),
    ):
        cage.execute(endless).fetchall()


def test_a_query_that_takes_too_much_memory_is_stopped(cage: duckdb.DuckDBPyConnection) -> None:
    greedy = "select list(i) from range(10_000_000_000) n(i)"
    with pytest.raises(UserError, match="task best: "), bounded(cage, "best", 60):
        cage.execute(greedy).fetchall()


def test_the_layout_has_the_columns_of_real_seeds(cage: duckdb.DuckDBPyConnection) -> None:
    with open_layout({"esci": SOURCES["esci"].Options()}) as layout:
        for table in TABLES:
            sql = f"select *, pick([1], 1, 'k'), shuffled(['a'], 'k'), draw('k') from {table}"
            assert columns_of(layout, sql) == columns_of(cage, sql)


def test_a_layouts_views_stand_alone() -> None:
    """Else a check of a recipe takes three times as long."""
    with open_layout({name: source.Options() for name, source in SOURCES.items()}) as layout:
        views = layout.execute("select sql from duckdb_views() where not internal").fetchall()
        assert len(views) > 50
        assert not [sql for (sql,) in views if " from " in sql.lower()]


def test_the_list_of_changing_functions_is_that_of_duckdb() -> None:
    volatile = "select function_name, parameter_types from duckdb_functions() where stability <> 'CONSISTENT'"
    with duckdb.connect() as connection:
        overloads = connection.execute(volatile).fetchall()
    found = {name for name, kinds in overloads if not any(re.search("TIME ZONE|TZ", kind) for kind in kinds)}
    zoned = {"make_timestamptz", "timezone"}  # with a time zone: of an extension, which a cage cannot load
    assert found - CHANGING - CLOCKS - zoned == {"error"}  # it gives no value at all
    assert found >= CHANGING


def test_a_missing_source_is_one_error_that_says_how_to_do_without(tmp_path: Path) -> None:
    (tmp_path / "esci").mkdir()
    sources = dict.fromkeys(("esci", "m2", "reviews"), SOURCES["esci"].Options())
    with (
        pytest.raises(UserError, match=r"no folder for m2, reviews\. .*SOURCES='esci'"),
        open_seeds(sources, tmp_path, 0),
    ):
        pass


def test_a_filter_on_a_materialized_part_is_asked_once(cage: duckdb.DuckDBPyConnection) -> None:
    query = (
        "with page as materialized (select lower(product_title) as title from esci.products)"
        " select title from page where regexp_matches(title, 'm.g')"
    )
    [(_, plan)] = cage.execute(f"explain (format json) {query}").fetchall()
    assert plan.count("regexp_matches") == 1, plan
