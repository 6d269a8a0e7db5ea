"""The linter of a task's query: its columns, and every problem by line and column.

The cage in `sources.database` keeps a query from doing harm. This check comes before any seed is there: it
runs nothing, and says what to write instead. It also refuses what would make two builds of one recipe
differ: chance, clocks, and what depends on the order in which threads finish.
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

import duckdb

from datagen.errors import Fault
from datagen.recipe.lint_order import unordered
from datagen.sources.query import SqlError, columns_of, nodes_of, place, reads
from datagen.suggest import among

CHANGING = frozenset({
    "current_connection_id", "current_database", "current_localtime", "current_localtimestamp",
    "current_query", "current_query_id", "current_schema", "current_schemas", "current_setting",
    "current_transaction_id", "currval", "gen_random_uuid", "get_current_time",
    "get_current_timestamp", "getvariable", "in_search_path", "nextval", "now", "random",
    "setseed", "setval", "sleep_ms", "stats", "today", "transaction_timestamp", "txid_current",
    "uuid", "uuidv4", "uuidv7", "vector_type", "write_log",
})  # fmt: skip
"""Functions whose result DuckDB itself calls volatile, or the same within one query only."""

CLOCKS = frozenset({
    "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp",
})  # fmt: skip
"""Clocks that are written without parentheses, as columns are."""

TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "json_each", "json_tree"})
"""Table functions that read nothing but their arguments."""

ADVICE = (
    (r"one SELECT", "sql_statement", "write a single `select ...`"),
    (
        r"syntax error|unterminated",
        "sql_syntax",
        "look there and just before it for a misspelt word, or a comma, bracket or quote too many or too few",
    ),
    (
        r"Cannot mix aggregates|must be part of an aggregate",
        "sql_error",
        "add each column that stands outside `count`, `list` and the like to `group by`",
    ),
    (r"two columns have the name", "duplicate_column", ""),
    (r"not found|not exist", "sql_unknown_name", ""),
    (r"", "sql_error", ""),
)
"""DuckDB's messages by pattern (the first match wins), with our code and, where DuckDB has none, advice."""


def inspect(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    tables: Collection[str],
    later: Collection[str] = (),
    broken: Collection[str] = (),
) -> tuple[dict[str, str] | None, list[Fault]]:
    """Names and DuckDB types of the columns that `sql` returns, and its faults.

    `tables` are those that it may read, as `source.table`, or names of the recipe's own; `connection`
    knows their columns, but for those of `broken`. Where nobody can say which they are, none are given, and
    the query is not blamed for what it reads. `later` are the recipe's tables that stand after this one.
    Columns are None where they can't be told; of a query that may not run their types are "".
    """
    tree = _tree(connection, sql)
    faults = sorted(set(_refused(tree, sql, tables, later)))
    if any(fault.code not in ("sql_random", "sql_order", "taken_table") for fault in faults):
        return _named(tree), faults
    try:
        return columns_of(connection, sql), faults
    except SqlError as error:
        fault = _explained(error)
        told = tables and not reads(connection, sql) & {*broken}
        blamed = told or fault.code in ("sql_syntax", "sql_statement")
        return _named(tree), [*faults, *([fault] if blamed else [])]


def _named(tree: Any) -> dict[str, str] | None:
    """The columns to which a query itself gives names, so that more can be said of one that does not run.

    None where it has others, as by `*`.
    """
    if not tree:
        return None
    node = tree[0]["node"]
    while "children" in node:  # a union: its first part names the columns
        node = node["children"][0]
    columns = node.get("select_list", [])
    if any(column["class"] == "STAR" or column.get("function_name") == "unnest" for column in columns):
        return None
    names = (column.get("alias") or column.get("column_names", [""])[-1] for column in columns)
    return {name: "" for name in names if name}


def _refused(tree: Any, sql: str, tables: Collection[str], later: Collection[str]) -> Iterator[Fault]:
    """What a query may not do although DuckDB would; nothing for text that is no query."""
    nodes = list(nodes_of(tree))
    own = {entry["key"]: entry for node in nodes for entry in node.get("cte_map", {}).get("map", [])}
    for name in own.keys() & {*tables, *later}:
        message = f"`{name}` is a table of the recipe already: choose another name"
        yield Fault(*place(sql, _offset(own[name])), "taken_table", message)
    for node in nodes:
        foreign = _foreign(node, own, tables, later) if tables else ()
        for code, message in (*foreign, *_unsteady(node)):
            yield Fault(*place(sql, _offset(node)), code, message)
    for node, message in unordered(tree):
        yield Fault(*place(sql, _offset(node)), "sql_order", message)


def _tree(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    """DuckDB's syntax tree of a query; empty where it is no query."""
    call = "select json_serialize_sql(?, skip_null := true, skip_empty := true, skip_default := true)"
    (text,) = connection.execute(call, [sql]).fetchall()[0]
    return json.loads(text).get("statements", [])


def _foreign(
    node: dict[str, Any], own: Collection[str], tables: Collection[str], later: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Code and message where a node reads anything but the seed tables or the query's `own` ones."""
    readable = f"a query reads only {', '.join(tables)}"
    kind = node.get("type")
    if kind == "SHOW_REF":
        yield "sql_statement", "a list of tables or columns makes no questions: write a single `select ...`"
    elif kind == "TABLE_FUNCTION" and node["function"]["function_name"] not in TABLE_FUNCTIONS:
        yield "sql_forbidden", f"`{node['function']['function_name']}(...)` is no seed table: {readable}"
    elif kind == "BASE_TABLE":
        name = ".".join(node["qualified_name"]["path"])
        if re.search(r"[/\\:*]|\.(csv|jsonl?|parquet)$", name):
            yield "sql_forbidden", f"`{name}` is a file: {readable}"
        elif name in later and name not in own:
            yield "table_order", f"`{name}` does not stand before this table: put it there"
        elif name not in own and name not in tables:
            message = f"`{name}` is no table of this recipe or its sources: {among(name, tables)}"
            yield "sql_unknown_name", message


def _unsteady(node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Code and message where a node gives other rows from run to run."""
    name = node.get("function_name", "")
    if node.get("type") == "COLUMN_REF" and node["column_names"][-1] in CLOCKS:
        name = node["column_names"][-1]
    if name in CHANGING | CLOCKS:
        instead = "choose by draw(key), pick(list, n, key) or shuffled(list, key)"
        yield "sql_random", f"`{name}` changes from run to run: {instead}"
    if "sample" in node:
        instead = "leave it out, a task's `rows` are drawn from all that the query gives"
        yield "sql_random", f"a sample changes from run to run: {instead}"


def _explained(error: SqlError) -> Fault:
    """DuckDB's refusal with our code, without its list of all functions of a name.

    Its advice on `group by` goes, too: it names ANY_VALUE, which is refused without an order.
    """
    message = re.split(r" Candidate functions:|\. Either add it to", error.message)[0].rstrip(".")
    code, advice = next((code, advice) for pattern, code, advice in ADVICE if re.search(pattern, message))
    return Fault(error.line, error.column, code, f"{message}: {advice}" if advice else message)


def _offset(node: dict[str, Any]) -> int:
    """Where a node stands in bytes; where DuckDB doesn't say, its first part that has a place."""
    if "query_location" in node:
        return int(node["query_location"])
    return min((part["query_location"] for part in nodes_of(node) if "query_location" in part), default=0)
