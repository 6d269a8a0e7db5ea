"""What follows the order of rows is refused, whatever its dress; what does not is let through."""

import pytest

from datagen.recipe.lint_sql import inspect
from datagen.sources import SOURCES
from datagen.sources.database import open_layout

TABLES = ["esci.examples", "esci.products", "esci.sources"]


def codes(sql: str) -> list[str]:
    """The codes of what is wrong with a query over `p`, products, and `e`, examples."""
    tables = "with p as (from esci.products), e as (from esci.examples) "
    with open_layout({"esci": SOURCES["esci"].Options()}) as connection:
        return [fault.code for fault in inspect(connection, tables + sql, TABLES)[1]]


@pytest.mark.parametrize(
    "item",
    [
        "any_value(product_title)",
        "ANY_VALUE(product_title)",
        "arbitrary(product_title)",
        "first(product_title)",
        "last(product_title)",
        "mode(product_title)",
        "string_agg(product_title, ',')",
        "group_concat(product_title)",
        "listagg(product_title)",
        "json_group_array(product_title)",
        "approx_quantile(length(product_title), 0.5)",
        "approx_top_k(product_title, 3)",
        "approx_count_distinct(product_title)",
        "reservoir_quantile(length(product_title), 0.5)",
        "list(product_title)",
        "array_agg(distinct product_title)",
        "list(product_title) filter (product_brand is null)",
        "list(product_title)[1]",
        "list(product_title)[:3]",
        "len(list(product_title)[1])",
        "list_extract(list(product_title), 1)",
        "array_to_string(list(product_title), ' ')",
        "[title for title in list(product_title) if len(title) > 9]",
        "list_distinct(list(product_title))",
        "list(product_title)::varchar[]",
        "case when true then list(product_title) end",
        "pick(list(product_title)[:3], 1, 'k')",
        "(select list(query) from e)",
        "array(select query from e)",
    ],
)
def test_any_row_is_refused(item: str) -> None:
    assert codes(f"select min(product_id) as key, {item} as x from p") == ["sql_order"]


@pytest.mark.parametrize(
    "item",
    [
        "row_number() over ()",
        "row_number() over (partition by product_brand)",
        "ntile(4) over ()",
        "lag(product_title) over (partition by product_brand)",
        "lead(product_title) over ()",
        "first_value(product_title) over (partition by product_brand)",
        "first(product_title) over (partition by product_brand)",
        "any_value(product_title) over (partition by product_brand)",
        "nth_value(product_title, 2) over ()",
        "list(product_title) over (partition by product_brand)",
        "string_agg(product_title) over (partition by product_brand)",
        "count(*) over (rows between 1 preceding and current row)",
    ],
)
def test_a_window_without_an_order_is_refused(item: str) -> None:
    assert codes(f"select product_id as key, {item} as x from p") == ["sql_order"]


@pytest.mark.parametrize(
    "sql",
    [
        "select product_id as key from p limit 5",
        "select product_id as key from p limit 10%",
        "select product_id as key from p offset 5",
        "select distinct on (product_brand) product_id as key from p",
        "select distinct on (product_brand) product_id as key from p order by product_brand",
        "select p.product_id as key, query from p positional join e",
        "select product_id as key from (select * from p limit 5)",
        "select product_id as key from p where product_title = (select any_value(product_title) from p)",
        "select key, titles from (select min(product_id) as key, list(product_title) as titles from p)",
        "select a.key, a.titles[1] as x from (select 1 as key, list(product_title) as titles from p) as a",
        "select 1 as key, array_agg(query) as x from e union all select 2, ['a']",
        "select 1 as key, ['a'] as x union all select 2, list(query) from e",
    ],
)
def test_an_order_that_is_missing_elsewhere_is_refused(sql: str) -> None:
    assert codes(sql) == ["sql_order"]


@pytest.mark.parametrize("name", ["rowid", "filename", "file_row_number"])
def test_the_place_of_a_row_is_no_column(name: str) -> None:
    assert codes(f"select {name} as key from esci.products") == ["sql_unknown_name"]


@pytest.mark.parametrize(
    "name", ["random()", "uuid()", "now()", "current_date", "gen_random_uuid()", "today()"]
)
def test_chance_and_clocks_are_refused(name: str) -> None:
    assert codes(f"select product_id as key, {name} as x from p") == ["sql_random"]


def test_advice_does_not_lead_to_what_is_refused() -> None:
    with open_layout({"esci": SOURCES["esci"].Options()}) as connection:
        sql = "select product_id as key, count(*) as n from esci.products"
        [fault] = inspect(connection, sql, TABLES)[1]
        assert "`group by`" in fault.message
        assert "ANY_VALUE" not in fault.message
        [fault] = inspect(connection, sql.replace("select", "selett"), TABLES)[1]
        assert "a misspelt word" in fault.message


@pytest.mark.parametrize(
    "sample", ["using sample 5", "using sample 10%", "tablesample reservoir(5)", "tablesample 10%"]
)
def test_samples_are_refused(sample: str) -> None:
    assert codes(f"select product_id as key from p {sample}") == ["sql_random"]


@pytest.mark.parametrize(
    "sql",
    [
        "select any_value(product_title order by product_id) as x from p",
        "select mode(product_title order by product_id) as x from p",
        "select first(product_title order by product_id) over (partition by product_brand) as x from p",
        "select string_agg(query, ',' order by example_id) over (partition by query_id) as x from e",
        "select row_number() over (order by product_id) as x from p",
        "select row_number(order by product_id) over () as x from p",
        "select count(*) over (partition by product_brand) as x, max(product_id) over () as y from p",
        "select sum(1) over (order by product_id rows between 1 preceding and current row) as x from p",
        "select pick(list(product_title), 3, 'k') as x, shuffled(array_agg(product_title), 'k') as y from p",
        "select pick(list(product_title) filter (product_brand is null), 1, 'k')[1] as x from p",
        "select list_sort(list(product_title))[:3] as x, len(list(product_title)) as y from p",
        "select list(product_title order by product_id)[1] as x from p",
        "select array(select query from e order by example_id) as x",
        "select pick(titles, 3, 'k') as x from (select list(product_title) as titles from p)",
        "select product_id from p, (select list(query) as seen from e) where not list_contains(seen, 'a')",
        "select unnest(list(product_title)) as x from p",
        "select distinct on (product_brand) product_id as key from p order by product_brand, product_id",
        "select product_id from p order by product_id limit 5",
        "select histogram(product_brand) as x, max(product_id, 3) as y from p",
        "select product_brand, list(product_title order by product_id) as x from p group by all",
    ],
)
def test_what_has_an_order_or_needs_none_is_fine(sql: str) -> None:
    assert codes(sql) == []
