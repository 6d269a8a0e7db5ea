"""Questions that reckon with titles' amounts: every answer and every sum, worked out again in fractions."""

import math
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen.recipe.load import load
from datagen.sources import esci
from datagen.sources.database import Seeds, open_seeds
from datagen.sources.sample import write_sample

SIZES = {
    **{"g": "1", "kg": "1000", "lb": "453.59237", "oz": "28.349523125", "ounce": "28.349523125"},
    **{"ml": "1", "l": "1000", "fl oz": "29.5735295625", "gal": "3785.411784", "gallon": "3785.411784"},
    **{"quart": "946.352946", "mm": "1", "cm": "10", "m": "1000", "inch": "25.4", "pulgada": "25.4"},
    **{"インチ": "25.4", "ft": "304.8", "yard": "914.4"},
}
"""Units as options and the sample's titles write them, in grams, milliliters or millimeters."""

UNIT = "fl oz|oz|lb|kg|g|ml|L|gal|mm|cm|m|inch|ft"
PACK = r"Pack of (\d+)|(\d+) Pack\b|Pack de (\d+)|Lote de (\d+)|(\d+)(?:個|点|本|枚|足|双|袋|箱|缶)?セット"

PER_TASK = 20
"""The fewest rows of a task that the sample gives."""


ALONE = r"(?i)option only|single digit|only (?:its|the) number|nothing else|solo con|únicamente|だけを|のみを"
"""What asks for the number and nothing behind it."""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """All rows of every task."""
    folder, recipe = tmp_path_factory.mktemp("numbers"), load("numbers")
    write_sample(folder)
    found = {}
    with open_seeds(recipe.sources, folder, recipe.seed, tables=recipe.tables) as opened:
        for name, task in recipe.tasks.items():
            result = opened.of(name).execute(task.query)
            names = [column[0] for column in result.description]
            found[name] = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    return found


def number(text: str) -> Fraction:
    return Fraction(text.replace(",", "."))


def amount(text: str) -> tuple[Fraction, str]:
    """Number and unit of an option such as `12 fl oz`."""
    digits, _, unit = text.partition(" ")
    return number(digits), unit


def size(text: str) -> Fraction:
    digits, unit = amount(text)
    known = next(
        name for name in (unit, unit.rstrip("s"), unit.removesuffix("es"), unit.lower()) if name in SIZES
    )
    return digits * Fraction(SIZES[known])


def told(title: str) -> str:
    """The one amount of a title of the sample's."""
    [(digits, unit)] = set(re.findall(rf"(?<![\w.,])(\d+(?:[.,]\d+)?) ?({UNIT})(?![\w])", spaced(title)))
    return f"{digits} {unit}"


def spaced(title: str) -> str:
    """The title with blanks around Japanese, which has none of its own."""
    return re.sub(r"[^\x00-\u024f]", " ", title)


def pack(title: str) -> int:
    """The pack of a title of the sample's, 1 where it tells none."""
    found = re.findall(PACK, title)
    return int("".join(found[0])) if found else 1


def total(title: str) -> Fraction:
    return size(told(title)) * pack(title)


def sides(title: str) -> list[Fraction]:
    [found] = re.findall(r"(\d+(?:\.\d+)?) x (\d+(?:\.\d+)?) (?:inch|ft)", title)
    return sorted(map(Fraction, found))


def pieces(title: str) -> int:
    [found] = re.findall(r"(\d+) (?:pieces|count)", title)
    return int(found)


def check(row: dict[str, Any], right: Fraction | int) -> None:
    """The right option says so, and no other does."""
    assert amount(row["correct"])[0] == right, row
    assert all(amount(text)[0] != right for text in row["distractors"]), row
    assert len({*row["distractors"], row["correct"]}) == 4, row


def test_every_task_has_rows(sample: dict[str, list[dict[str, Any]]]) -> None:
    assert {name: len(rows) for name, rows in sample.items() if len(rows) < PER_TASK} == {}


def test_every_sum_is_right(sample: dict[str, list[dict[str, Any]]]) -> None:
    sums = 0
    for row in [row for rows in sample.values() for row in rows if "explanation" in row]:
        for part in row["explanation"].split("; "):
            first, *others = re.split(r" ([=≈≥>]) ", part)
            left, sign, right = first.split()
            value = {"x": lambda a, b: a * b, "/": lambda a, b: a / b, "-": lambda a, b: a - b}[sign](
                number(left), number(right)
            )
            for relation, text in zip(others[::2], others[1::2], strict=True):
                if relation == "≈":  # its factor is rounded to four places
                    assert abs(value / number(text) - 1) < Fraction(1, 30), row
                else:
                    assert {
                        "=": value == number(text),
                        "≥": value >= number(text),
                        ">": value > number(text),
                    }[relation]
            sums += 1
    assert sums > 1000


def test_totals_are_amounts_times_packs(sample: dict[str, list[dict[str, Any]]]) -> None:
    for row in sample["total_amount"]:
        digits, unit = amount(told(row["title"]))
        check(row, digits * pack(row["title"]))
        if unit != "oz":
            assert size(row["correct"]) == total(row["title"]), row
    for row in sample["total_pieces"]:
        check(row, pieces(row["title"]) * pack(row["title"]))


@pytest.mark.parametrize("task", ["unit_conversion", "unit_step"])
def test_amounts_are_converted_by_exact_sizes(sample: dict[str, list[dict[str, Any]]], task: str) -> None:
    for row in sample[task]:
        shown, unit = amount(row["correct"])
        exact = size(row["amount"]) / size(f"1 {unit}")
        places = row.get("places")
        check(row, exact if places is None else Fraction(round(exact * 10**places), 10**places))
        assert number(row["amount"].split()[0]) in {
            number(digits) for digits in re.findall(r"\d+(?:[.,]\d+)?", row["title"])
        }, row
        assert all(abs(amount(text)[0] / shown - 1) > Fraction(1, 12) for text in row["distractors"]), row


def test_the_largest_holds_most(sample: dict[str, list[dict[str, Any]]]) -> None:
    for row in sample["most_in_all"]:
        others = [total(title) for title in row["distractors"]]
        right = total(row["correct"])
        assert (
            right > Fraction("1.09") * max(others) if row["most"] else Fraction("1.09") * right < min(others)
        ), row
    for row in sample["rank_by_amount"]:
        totals = [total(title) for title in row["candidates"]]
        assert totals == sorted(totals), row
        assert row["gains"] == sorted(row["gains"])
    for row in sample["three_largest"]:
        assert min(map(total, row["positives"])) > max(map(total, row["negatives"])), row


def test_flat_things_are_as_large_as_their_sides(sample: dict[str, list[dict[str, Any]]]) -> None:
    for row in sample["area"]:
        others = [math.prod(sides(title)) for title in row["distractors"]]
        right = math.prod(sides(row["correct"]))
        assert right > max(others) if row["most"] else right < min(others), row
    for row in sample["fits_flat"]:
        place = sorted([number(row["width"]), amount(row["depth"])[0]])
        assert all(side <= room for side, room in zip(sides(row["correct"]), place, strict=True)), row
        for short, long in map(sides, row["distractors"]):
            assert short > place[0] or long**2 > place[0] ** 2 + place[1] ** 2, row


def test_pieces_are_bought_shared_and_used_up(sample: dict[str, list[dict[str, Any]]]) -> None:
    for row in sample["packs_needed"]:
        check(row, math.ceil(Fraction(row["wanted"], pieces(row["title"]))))
    for row in sample["pieces_each"]:
        check(row, Fraction(row["packs"] * pieces(row["title"]), row["people"]))
    for row in sample["pieces_left"]:
        check(row, pieces(row["title"]) - row["daily"] * row["days"])
    for row in sample["reach"]:
        check(row, math.ceil(amount(row["distance"])[0] / amount(told(row["title"]))[0]))


def test_what_no_title_tells_cannot_be_inferred(sample: dict[str, list[dict[str, Any]]]) -> None:
    unknown = "It cannot be inferred."
    words = {
        "weight": r"\d (lb|kg|g|oz)\b",
        "volume": r"\d (ml|L|gal|fl oz)\b",
        "number of pieces": r"\bpieces\b",
    }
    for row in sample["amount_told"]:
        assert (row["correct"] == unknown) != (unknown in row["distractors"])
        assert not [text for text in [row["correct"], *row["distractors"]] if re.search(r"\.\d+ items", text)]
        assert bool(re.search(words[row["attribute"]], row["title"])) == (row["correct"] != unknown), row
        if row["correct"] != unknown:
            assert re.search(rf"(?<![\d.]){re.escape(row['correct'].split()[0])}(?![\d])", row["title"]), row
    share = sum(row["correct"] == unknown for row in sample["amount_told"]) / len(sample["amount_told"])
    assert 0.2 < share < 0.4


@pytest.fixture
def seeds(tmp_path: Path) -> Any:
    """A function that opens seeds with products of these titles in a locale."""

    def opened(locale: str, *titles: str) -> Any:
        folder = tmp_path / "esci"
        folder.mkdir()
        product = dict.fromkeys(esci.TABLES["products"].columns)
        rows = [
            {**product, "product_id": str(place), "product_locale": locale, "product_title": title}
            for place, title in enumerate(titles)
        ]
        schema = pa.schema([(name, pa.string()) for name in product])
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / esci.TABLES["products"].file)
        columns = esci.TABLES["examples"].columns
        example: dict[str, Any] = {name: None if kind == "VARCHAR" else 1 for name, kind in columns.items()}
        example |= {
            "query": "thing",
            "product_id": "0",
            "product_locale": locale,
            "esci_label": "E",
            "split": "train",
        }
        pq.write_table(pa.Table.from_pylist([example]), folder / esci.TABLES["examples"].file)
        return open_seeds({"esci": esci.Options()}, tmp_path, 7)

    return opened


def amounts(opened: Seeds) -> list[tuple[str, float, str, int | None]]:
    found = opened.connection.execute(
        "select kind, value::double, unit, pack from esci.amounts order by all"
    ).fetchall()
    return [tuple(row) for row in found]


@pytest.mark.parametrize(
    ("locale", "title", "expected"),
    [
        ("us", "Garlic Noodles, 9.24 oz (Pack of 6)", [("weight", 9.24, "oz", 6)]),
        ("us", "Shampoo, 9.24 oz (Pack of 6)", [("ounces", 9.24, "oz", 6)]),
        ("us", "Beer 12 x 330 ml", [("volume", 330, "ml", 12)]),
        ("us", "Beer, 11.2 Fl. Oz. | Case of 24", [("volume", 11.2, "floz", 24)]),
        ("us", "Wipes, 80 Count (Pack of 3)", [("pieces", 80, "piece", 3)]),
        ("us", 'Tablet 10.1" HD', [("length", 10.1, "in", None)]),
        ("us", "Salt, 1,000 g", [("weight", 1000, "g", None)]),
        ("es", "Olla de 1,5 litros", [("volume", 1.5, "l", None)]),
        ("es", "Leche 6 x 200 ml", [("volume", 200, "ml", 6)]),
        ("es", "Sal 1.500 g", []),  # one and a half, or fifteen hundred
        ("jp", "お茶 500ml×24本 ペットボトル", [("volume", 500, "ml", 24)]),
        ("jp", "チョコ100g", [("weight", 100, "g", None)]),
        ("us", "Cup, fits 8-14 oz", []),
        ("us", "Cup, 3 to 5 oz", []),
        ("us", "Bag for 20 lb", []),
        ("us", "Bag, up to 20 lb", []),
        ("us", "Cup, 4-1/2 oz", []),
        ("us", "Powder, 21g of Protein", []),
        ("us", "Phone 5G, tape 3M, baby 12M, shoe 8.5 M US", []),
        ("us", "Soap 4 oz, 8 oz refill", []),
        ("us", "Soap 4 oz, 2 Pack, Pack of 3", []),
        ("us", "Bowl 16 oz, Set of 2", []),
        ("us", "Dryer 2 lb (999 kg)", []),
        ("us", "Rock 999 kg", []),
        ("us", "X1412 oz", []),
        ("us", "Radiator fits 00 01 02 Volvo, 1.9 L Turbo", []),
        ("us", "Running Vest w/ 2 L Bladder", []),
        ("us", "Bike with heavy 49 lb wheel", []),
        ("us", "Bike for all, 49 lb", [("weight", 49, "lb", None)]),
        ("us", "Water 16.9 fl oz, 24 Bottles", []),  # of one, or of all?
        ("us", "Water 16.9 fl oz, 24 Bottles (Pack of 24)", [("volume", 16.9, "floz", 24)]),
        ("jp", "お茶 500ml 24本入", [("pieces", 24, "piece", None)]),
        ("jp", "お茶 500ml 2点セット", [("volume", 500, "ml", 2)]),
    ],
)
def test_an_amount_is_read_or_left_alone(seeds: Any, locale: str, title: str, expected: list[Any]) -> None:
    with seeds(locale, title, "Some kind of thing") as opened:
        assert amounts(opened) == expected


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Rug 4 x 6 ft", [([4.0, 6.0], "ft")]),
        ('Mat 18" x 12"', [([12.0, 18.0], "in")]),
        ("Bag (10x13 Inch)", [([10.0, 13.0], "in")]),
        ("Envelope 4-1/8 x 9-1/2 inches", []),
        ("Box 15 x 10 x 20 inch", []),
        ("Rug 4 x 6 ft, pad 2 x 3 ft", []),
    ],
)
def test_two_sides_are_read_and_no_third(seeds: Any, title: str, expected: list[Any]) -> None:
    with seeds("us", title) as opened:
        found = opened.connection.execute("select sides::double[], unit from esci.rectangles").fetchall()
    assert [tuple(row) for row in found] == expected


def test_no_wording_forbids_the_sum_that_its_rows_show() -> None:
    for task in load("numbers").tasks.values():
        text = (Path("templates") / task.template).read_text(encoding="utf-8")
        assert "as explanation" not in task.query or not re.search(ALONE, text), task.template


def test_amounts_are_written_in_the_language_of_their_question() -> None:
    for name in ("total_amount", "unit_step"):
        text = (Path("templates") / load("numbers").tasks[name].template).read_text(encoding="utf-8")
        wordings = [line for line in text.splitlines() if line.startswith("---")]
        assert text.startswith("--- "), name
        assert "---" not in wordings, name
