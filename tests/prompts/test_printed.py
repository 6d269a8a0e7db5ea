"""Values on their way from a query into prompts: numbers, nulls, and templates that fail on them."""

import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from datagen.commands.preview import preview
from datagen.errors import Reject, UserError
from datagen.pipeline.build import build
from datagen.prompts.printed import printed
from datagen.recipe.check import check
from datagen.recipe.load import load
from tests.processes import run

RECIPE = """\
name: mine
description: Say what a product is called.
sources: {{esci: {{locale: [us]}}}}
tasks:
  first:
    type: generation
    track: shopping_concept_understanding
    template: generation/first.j2
    metric: rougel
    rows: 40
    query: |
      select product_id as key, product_title as reference, product_id as id, {columns}
      from esci.products
"""

SECOND = """\
  second:
    type: generation
    track: shopping_concept_understanding
    template: generation/second.j2
    metric: rougel
    rows: 40
    query: select product_id as key, product_title as reference, product_id as id from esci.products
"""


@pytest.fixture
def here(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    shutil.copytree(shop / "seeds", folder / "seeds")
    monkeypatch.chdir(folder)
    return folder


def write(columns: str, template: str, more: str = "") -> None:
    for name, text in (
        ("recipes/mine.yaml", RECIPE.format(columns=columns) + more),
        ("templates/generation/first.j2", f"{{{{ id }}}}: {template}"),
        ("templates/generation/second.j2", "{{ id }}"),
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text, encoding="utf-8")
    assert check("mine") == []


def built() -> tuple[list[str], dict[str, int], list[str]]:
    """The prompts of a build, its rejects by reason, and what it warned of."""
    said: list[str] = []
    manifest = build(load("mine"), Path("seeds"), Path("runs"), workers=1, say=said.append)
    rows = pq.read_table("runs/mine/data").to_pylist()
    return [row["prompt"][1]["content"] for row in rows], manifest["tasks"]["first"]["rejected"], said


def test_a_row_that_the_template_fails_on_is_a_reject_and_no_end(here: Path) -> None:
    write("if(product_id like '%7', [], ['a']) as names", "{{ names[0] }}")
    prompts, rejected, said = built()
    assert prompts
    assert rejected["not_rendered"]
    assert said == []
    [first, *_] = pq.read_table(
        "runs/mine/rejects/first.parquet", filters=[("reason", "=", "not_rendered")]
    ).to_pylist()
    assert first["detail"] == "generation/first.j2:1: UndefinedError: list object has no element 0"
    code, _ = run(here, "show", first["key"], "--run", "runs/mine")
    assert code == 0
    [found] = preview(load("mine"), Path("seeds"), 40)
    assert first["detail"] in found.details.values()


def test_a_template_that_fails_on_every_row_is_told_with_its_file(here: Path) -> None:
    write("['a'] as names", "{{ names }}")
    path = Path("templates/generation/first.j2").resolve()
    with pytest.raises(UserError, match="no row was kept") as caught:
        built()
    assert f"{path}: task first: the template cannot be rendered: " in str(caught.value)
    assert "generation/first.j2:1: TypeError: a list cannot be printed: join a list" in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_task_whose_template_fails_on_every_row_is_told_and_the_others_built(here: Path) -> None:
    write("['a'] as names", "{{ names }}", SECOND)
    prompts, _, [said] = built()
    assert prompts
    assert "first.j2: task first: the template cannot be rendered: " in said


def test_a_price_is_printed_as_its_shop_has_it(here: Path) -> None:
    write(
        "(hash(product_id) % 10000 / 100)::decimal(10, 2) as price, price::varchar as expected,"
        " sum(1) over () as n",
        "{{ price }} {{ expected }} {{ n }}",
    )
    prompts, _, _ = built()
    assert len(prompts) > 20
    for prompt in prompts:
        _, price, expected, count = prompt.split()
        assert price == expected
        assert count.isdecimal()


@pytest.mark.parametrize(
    "kind",
    [
        *("utinyint", "hugeint", "uhugeint", "bignum", "float", "double", "decimal(4, 2)", "decimal(38, 20)"),
        *("varchar", "date", "timestamp", "timestamptz", "time", "uuid", "json"),
    ],
)
def test_a_column_of_any_kind_that_prints_builds_as_it_is_or_in_a_list_or_struct(
    here: Path, kind: str
) -> None:
    texts = {"date": "2024-05-01", "time": "10:30:00", "uuid": "0" * 32, "json": "3"}
    text = "2024-05-01 10:30:00" if kind.startswith("timestamp") else texts.get(kind, "3")
    write(
        f"'{text}'::{kind} as x, [x] as y, {{x: x}} as z, [x]::{kind}[1] as w",
        "{{ x }}|{{ y | join }}|{{ z.x }}|{{ w | first }}",
    )
    [prompt, *_], _, _ = built()
    whole, *others = prompt.split(": ", 1)[1].split("|")
    assert others == [whole] * 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("82.60"), "82.60"),
        (Decimal("1E+3"), "1000"),
        (5e-324, "0." + "0" * 323 + "5"),
        (-0.5, "-0.5"),
    ],
)
def test_the_text_of_a_number(value: Any, text: str) -> None:
    assert printed(value) == text


@pytest.mark.parametrize("value", [None, float("nan"), float("-inf")])
def test_what_has_no_text_is_null(value: Any) -> None:
    with pytest.raises(Reject, match="null_slot"):
        printed(value)
