"""What in a query would give other rows from run to run, as it follows the order in which threads finish.

A syntax tree goes in; its nodes that need an `order by` come out, each with what to write instead. What it
cannot see: rows that are equal in all that they are ordered by, and the last digits of sums of DOUBLE.
"""

import json
from collections.abc import Collection, Iterator
from typing import Any

from datagen.sources.query import nodes_of

Node = dict[str, Any]

ORDERED = frozenset({
    "any_value", "arbitrary", "first", "first_value", "group_concat", "json_group_array", "json_group_object",
    "json_group_structure", "last", "last_value", "listagg", "mode", "string_agg",
})  # fmt: skip
"""Aggregates that follow the order of rows, or take any of several values."""

LISTS = frozenset({"list", "array_agg"})
"""Aggregates that follow it, too, of which a query may still make what does not."""

ESTIMATES = {
    "approx_count_distinct": "count(distinct ...)", "approx_quantile": "quantile_cont(...)",
    "approx_top_k": "a count by group", "reservoir_quantile": "quantile_cont(...)",
}  # fmt: skip
"""Aggregates that estimate from the rows that come first, and what is exact."""

RANKS = frozenset({
    "cume_dist", "dense_rank", "fill", "first_value", "lag", "last_value", "lead", "nth_value", "ntile",
    "percent_rank", "rank", "row_number",
})  # fmt: skip
"""Window functions that mean nothing without an order."""

SETTLING = frozenset({
    "&&", "@>", "<@", "array_contains", "array_has", "array_has_all", "array_has_any", "array_length",
    "array_reverse_sort", "array_sort", "array_unique", "len", "length", "list_contains", "list_has",
    "list_has_all", "list_has_any", "list_count", "list_max", "list_min", "list_reverse_sort", "list_sort",
    "list_avg", "list_bool_and", "list_bool_or", "list_sum", "list_unique", "pick", "shuffled", "unnest",
})  # fmt: skip
"""Functions of a list for which the order of its items does not matter."""

TAKING = frozenset({
    "array_extract", "array_indexof", "array_position", "array_slice", "array_to_string", "list_any_value",
    "list_element", "list_extract", "list_first", "list_indexof", "list_last", "list_position",
    "list_reduce", "list_slice", "list_string_agg",
})  # fmt: skip
"""Functions of a list that look at the order of its items."""

_ASIDE = frozenset({"cte_map", "filter", "orders", "partitions"})
"""Parts of an expression, or of a query, of which nothing is in its result."""


def unordered(tree: Any) -> Iterator[tuple[Node, str]]:
    """Nodes of a query's syntax tree that depend on the order of rows, and what is wrong with each."""
    for node in nodes_of(tree):
        yield from ((node, message) for message in _problems(node))
        yield from _cut(node)
    instead = "write `{}(... order by ...)`{}, or let `pick` or `shuffled` choose from it in this query"
    for node in _looked_at(tree, _handed_on(tree), looked=True):
        name = node.get("function_name")
        if name:
            yield node, _follows(name, instead.format(name, ""))
        else:
            yield node, _follows(node["column_names"][-1], instead.format("list", " where it is made"))


def _handed_on(tree: Any) -> set[str]:
    """Names under which an inner SELECT hands on lists without an order, and no other anything else."""
    lists, others = set(), set()
    outermost = {id(select) for select in _outermost(tree)}
    for select in nodes_of(tree):
        for item in select.get("select_list", []) if id(select) not in outermost else ():
            if any(_looked_at(item, set(), looked=True)):
                lists.add(item.get("alias", ""))
            elif item["class"] != "COLUMN_REF" or item.get("alias"):
                others.add(item.get("alias", ""))
    return lists - others - {""}


def _outermost(tree: Any) -> Iterator[Node]:
    """The SELECTs whose columns are those of the query: several where it is a union."""
    if isinstance(tree, list):
        for part in tree:
            yield from _outermost(part)
    elif "select_list" in tree:
        yield tree
    else:
        yield from _outermost(tree.get("children", tree.get("node", [])))


def _looked_at(tree: Any, lists: Collection[str], *, looked: bool) -> Iterator[Node]:
    """Lists without an order, by themselves or by name, where the order of their items makes a difference.

    `looked` is whether it does for what `tree` gives.
    """
    if isinstance(tree, list):
        for part in tree:
            yield from _looked_at(part, lists, looked=looked)
    if not isinstance(tree, dict):
        return
    name = tree.get("function_name", "")
    if looked and ((name in LISTS and not _in_order(tree)) or _named(tree, lists)):
        yield tree
    if name in TAKING or tree.get("type") in ("ARRAY_EXTRACT", "ARRAY_SLICE"):
        looked = True
    elif name in SETTLING or tree.get("subquery_type") in ("ANY", "EXISTS", "NOT_EXISTS"):
        looked = False
    for key, part in tree.items():
        inner = key in _ASIDE or ("select_list" in tree and key != "select_list")
        yield from _looked_at(part, lists, looked=looked and not inner)


def _named(node: Node, lists: Collection[str]) -> bool:
    return node.get("class") == "COLUMN_REF" and node["column_names"][-1] in lists


def _in_order(call: Node) -> bool:
    orders = call.get("orders") or call.get("arg_orders") or call.get("order_bys", {}).get("orders")
    return bool(orders)


def _problems(node: Node) -> Iterator[str]:
    name = node.get("function_name", "")
    in_order = _in_order(node)
    if name in ESTIMATES:
        yield f"`{name}` estimates, and changes from run to run: write {ESTIMATES[name]}"
    elif name in RANKS and node["class"] == "WINDOW" and not in_order:
        yield _follows(name, f"write `{name}(...) over (... order by ...)`")
    elif name in ORDERED and not in_order:
        yield _follows(name, f"write `{name}(... order by ...)`")
    elif node.get("class") == "WINDOW" and not in_order and _counts_rows(node):
        yield _follows(f"{name} over rows", "add `order by` to its window")
    if node.get("ref_type") == "POSITIONAL":
        yield _follows("positional join", "join on a key")


def _cut(node: Node) -> Iterator[tuple[Node, str]]:
    """What cuts a SELECT's rows without an order, at its part that has a place: the SELECT has none."""
    modifiers = {modifier["type"]: modifier for modifier in node.get("modifiers", [])}
    orders = modifiers.get("ORDER_MODIFIER", {}).get("orders", [])
    if "LIMIT_MODIFIER" in modifiers and not orders:
        instead = "add `order by`, or leave it out"
        message = f"a limit without an order gives other rows from run to run: {instead}"
        yield modifiers["LIMIT_MODIFIER"], message
    targets = modifiers.get("DISTINCT_MODIFIER", {}).get("distinct_on_targets", [])
    if targets and not _further(orders, targets):
        yield targets[0], _follows("distinct on", "add `order by` with what tells its rows apart")


def _follows(name: str, instead: str) -> str:
    return f"`{name}` follows the order of rows, which changes from run to run: {instead}"


def _counts_rows(window: Node) -> bool:
    """Whether its frame goes by the place of a row, as `rows between 1 preceding and current row`."""
    return any(str(window.get(end, "")).endswith("_ROWS") for end in ("start", "end"))


def _further(orders: list[Node], targets: list[Node]) -> bool:
    """Whether rows are ordered by something else than the targets."""
    known = {_said(target) for target in targets}
    return any(_said(order["expression"]) not in known for order in orders)


def _said(node: Any) -> str:
    """An expression without its place."""
    return json.dumps(_without_place(node), sort_keys=True)


def _without_place(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_place(of) for key, of in node.items() if not key.startswith("query_location")}
    return [_without_place(of) for of in node] if isinstance(node, list) else node
