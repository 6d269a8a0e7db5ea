"""Tests that each source is read in the layouts of its publisher: JSON, CSV without a header, many files."""

import gzip
import json
from pathlib import Path

import duckdb
import pytest

from datagen.errors import UserError
from datagen.sources import SOURCES, seed_files
from datagen.sources.database import open_seeds

REVIEW = {
    "rating": 4.0,
    "title": "Warm",
    "text": "A warm hat.",
    "asin": "B01",
    "parent_asin": "B00",
    "user_id": "U1",
    "timestamp": 1,
    "helpful_vote": 2,
    "verified_purchase": True,
}
ITEM = {
    "parent_asin": "B00",
    "main_category": None,
    "title": "Wool hat",
    "average_rating": 4.5,
    "rating_number": 2,
    "features": ["wool"],
    "description": [],
    "price": None,
    "store": None,
    "categories": [],
    "details": {"Material": "Wool"},
}


def rows(
    folder: Path, source: str, query: str, columns: Path | None = None, **options: object
) -> tuple[list[tuple[object, ...]], list[str]]:
    """What a query gives over one source in a folder, and what was told while it was opened."""
    told: list[str] = []
    chosen = {source: SOURCES[source].Options(**options)}
    with open_seeds(chosen, folder, 1, columns=columns, say=told.append) as seeds:
        return seeds.connection.execute(query).fetchall(), told


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize(
    "names", [("Toys.jsonl", "meta_Toys.jsonl"), ("Toys.jsonl.gz", "meta_Toys.jsonl.gz")]
)
def test_reviews_are_json_lines_of_any_number_of_categories(tmp_path: Path, names: tuple[str, str]) -> None:
    reviews, items = names
    put(tmp_path / "reviews" / reviews, json.dumps(REVIEW) + "\n")
    put(tmp_path / "reviews" / reviews.replace("Toys", "Books"), json.dumps({**REVIEW, "rating": 1.0}) + "\n")
    old = {**ITEM, "parent_asin": "B09", "title": "Xylophone", "details": json.dumps({"Color": "Red"})}
    lines = [json.dumps(ITEM), json.dumps({**old, "price": "None"}), '{"title": "cut o']
    put(tmp_path / "reviews" / items, "\n".join(lines) + "\n")
    found, _ = rows(tmp_path, "reviews", "select category, rating from reviews.reviews order by 1")
    assert found == [("Books", 1.0), ("Toys", 4.0)]
    query = (
        "select category, price, details->>'Material', details->>'Color' from reviews.items order by title"
    )
    found, told = rows(tmp_path, "reviews", query)
    assert found == [("Toys", None, "Wool", None), ("Toys", None, None, "Red")]
    assert [f"{items}: 1 of its rows left out" in line for line in told] == [False, True]
    assert "no file meta_*.jsonl of category Books" in told[0]


def test_some_files_may_still_be_packed(tmp_path: Path) -> None:
    for name, stars in [("Toys.jsonl", 4.0), ("Toys.jsonl.gz", 3.0), ("Books.jsonl.gz", 2.0)]:
        put(tmp_path / "reviews" / name, json.dumps({**REVIEW, "rating": stars}) + "\n")
    put(tmp_path / "reviews" / "meta_Toys.jsonl", json.dumps(ITEM) + "\n")
    found, _ = rows(tmp_path, "reviews", "select category, rating from reviews.reviews order by 1")
    assert found == [("Books", 2.0), ("Toys", 4.0)]


def test_the_folder_of_one_source_is_not_that_of_all(tmp_path: Path) -> None:
    put(tmp_path / "reviews" / "Toys.jsonl", json.dumps({"stars": 4}) + "\n")
    put(tmp_path / "reviews" / "meta_Toys.jsonl", json.dumps(ITEM) + "\n")
    with pytest.raises(UserError, match=rf"the folder of reviews itself. Name the one above: {tmp_path}"):
        rows(tmp_path / "reviews", "reviews", "from reviews.items")
    with pytest.raises(UserError, match="it has stars; expected are rating, title"):
        rows(tmp_path, "reviews", "from reviews.items")


def test_a_file_of_another_name_is_told(tmp_path: Path) -> None:
    put(tmp_path / "alpaca" / "alpaca_data.json", "[]")
    with pytest.raises(
        UserError, match=r"cleaned\.json: no such file\. The folder holds alpaca_data\.json\. Seeds of"
    ):
        rows(tmp_path, "alpaca", "from alpaca.rows")


def test_a_category_without_a_file_is_named(tmp_path: Path) -> None:
    put(tmp_path / "reviews" / "Toys.jsonl", json.dumps(REVIEW) + "\n")
    put(tmp_path / "reviews" / "Books.jsonl", json.dumps(REVIEW) + "\n")
    put(tmp_path / "reviews" / "meta_Toys.jsonl", json.dumps(ITEM) + "\n")
    query = "select category from reviews.items"
    assert rows(tmp_path, "reviews", query, category=["Toys"])[0] == [("Toys",)]
    with pytest.raises(UserError, match=r"no such file of the category `Toy`.* did you mean `Toys`\?"):
        rows(tmp_path, "reviews", query, category=["Toys", "Toy"])
    with pytest.raises(UserError, match=r"meta_\*\.jsonl: no such file of the category `Books`"):
        rows(tmp_path, "reviews", query, category=["Books"])


def test_a_category_with_half_of_its_files_is_told(tmp_path: Path) -> None:
    for name, row in (("Toys", REVIEW), ("Books", REVIEW), ("meta_Toys", ITEM), ("meta_Games", ITEM)):
        put(tmp_path / "reviews" / f"{name}.jsonl", json.dumps({**row, "parent_asin": name}) + "\n")
    _, told = rows(tmp_path, "reviews", "select 1")
    assert [line.partition(", as")[0] for line in told] == [
        "reviews.reviews: no file [A-Z]*.jsonl of category Games",
        "reviews.items: no file meta_*.jsonl of category Books",
    ]
    assert rows(tmp_path, "reviews", "select 1", category=["Toys"])[1] == []


@pytest.mark.parametrize("damage", ["cut", "inside", "sum"])
def test_a_damaged_gzip_file_is_named(tmp_path: Path, damage: str) -> None:
    put(tmp_path / "reviews" / "Toys.jsonl", json.dumps(REVIEW) + "\n")
    whole = gzip.compress(
        "\n".join(json.dumps({**ITEM, "parent_asin": str(n)}) for n in range(9999)).encode()
    )
    half = len(whole) // 2
    damaged = {
        "cut": whole[:half],
        "inside": whole[:half] + bytes(64) + whole[half + 64 :],
        "sum": whole[:-8] + bytes(4) + whole[-4:],
    }
    (tmp_path / "reviews" / "meta_Toys.jsonl.gz").write_bytes(damaged[damage])
    with pytest.raises(UserError, match=r"meta_Toys\.jsonl\.gz: cannot be read: .*GZIP"):
        rows(tmp_path, "reviews", "select 1")


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "name",
    [
        *("alpaca/alpaca_data_cleaned.json", "ecinstruct/dataset.json", "m2/sessions_train.csv"),
        *("mmlu/data/dev/law_dev.csv", "reviews/Toys.jsonl", "reviews/Toys.jsonl.gz"),
    ],
)
def test_a_file_in_utf_16_is_named(tmp_path: Path, name: str, coding: str) -> None:
    source = name.partition("/")[0]
    for other in ("reviews/meta_Toys.jsonl", "m2/products_train.csv", "mmlu/data/test/law_test.csv"):
        put(tmp_path / other, "id\n")
    data = '[{"instruction": "Hi"}]\n'.encode(coding)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    with pytest.raises(UserError, match=r"^[^\0]*: not UTF-8: save it as UTF-8$") as error:
        rows(tmp_path, source, "select 1")
    assert str(error.value).startswith(f"{tmp_path / name}: ")


HEAD = ",".join(SOURCES["m2"].TABLES["products"].columns)


@pytest.mark.parametrize("place", ["title", "desc", "header"])
def test_a_byte_that_is_no_text_is_named_with_its_line(tmp_path: Path, place: str) -> None:
    put(tmp_path / "m2/sessions_train.csv", "prev_items,next_item,locale\n['a'],b,UK\n")
    spoilt = {"title": "b,UK,Caf\xe9" + "," * 8, "desc": "b,UK,Hat" + "," * 8 + "Caf\xe9"}.get(place, "")
    lines = [HEAD, *(f"a{number},UK,Hat" + "," * 8 for number in range(50)), spoilt]
    if place == "header":
        lines = [f"{HEAD},caf\xe9"]
    (tmp_path / "m2/products_train.csv").write_bytes("".join(f"{line}\n" for line in lines).encode("latin-1"))
    line = len(lines)
    with pytest.raises(UserError, match=rf"products_train\.csv:{line}: not UTF-8: save it as UTF-8$"):
        rows(tmp_path, "m2", "select 1")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("m2/products_train.csv", 'b,UK,"Hat" x,,,,,,,,\nc,UK,,,,,,,,,\n', "line 2: Value with unterminated"),
        (
            "m2/products_train.csv",
            "b,UK,Hat\nc,UK,,,,,,,,,\n",
            "line 2: Expected Number of Columns: 11 Found: 3",
        ),
        ("alpaca/alpaca_data_cleaned.json", "{}", "Expected top-level JSON array .* is '{'"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_of_an_end_that_is_there(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    put(tmp_path / "m2/sessions_train.csv", "prev_items,next_item,locale\n['a'],b,UK\n")
    put(tmp_path / name, (f"{HEAD}\n" if name.endswith(".csv") else "") + text)
    with pytest.raises(
        UserError, match=rf"{name}: cannot be read: {said}[^.]*\. Mend it, or fetch it again$"
    ):
        rows(tmp_path, name.partition("/")[0], "select 1")


def test_a_file_without_one_readable_row_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "reviews" / "Toys.jsonl", json.dumps(REVIEW) + "\nnot json\n")
    put(tmp_path / "reviews" / "Books.jsonl", "not json\n" * 3)
    put(tmp_path / "reviews" / "meta_Toys.jsonl", json.dumps(ITEM) + "\n")
    with pytest.raises(
        UserError, match=r"/Books\.jsonl: cannot be read: none of its 3 rows is a JSON object"
    ):
        rows(tmp_path, "reviews", "select 1")
    (tmp_path / "reviews" / "Books.jsonl").unlink()
    _, told = rows(tmp_path, "reviews", "select 1")
    assert [line for line in told if "1 of its rows left out" in line] == told


def test_mmlu_has_no_header_and_no_nulls(tmp_path: Path) -> None:
    put(tmp_path / "mmlu/data/dev/law_dev.csv", 'A "b"?,None,NA,0,,C\r\n"Two\nlines",1,2,3,4,D\r\n')
    put(tmp_path / "mmlu/data/test/law_test.csv", "Held out,1,2,3,4,A\n")
    found, _ = rows(
        tmp_path, "mmlu", "select subject, split, question, options[1:3], answer from mmlu.questions"
    )
    assert sorted(found) == [
        ("law", "dev", 'A "b"?', ["None", "NA", "0"], 2),
        ("law", "dev", "Two\nlines", ["1", "2", "3"], 3),
    ]
    found, _ = rows(tmp_path, "mmlu", "select question from mmlu.questions", split=["test"])
    assert found == [("Held out",)]


def test_m2_prints_its_sessions(tmp_path: Path) -> None:
    put(
        tmp_path / "m2/sessions_train.csv",
        "prev_items,next_item,locale\n\"['B01' 'B02'\n 'B03']\",B04,DE\n['B05'],B06,UK\n",
    )
    put(
        tmp_path / "m2/products_train.csv",
        "id,locale,title,price,brand,color,size,model,material,author,desc\n"
        "B01,DE,Hut,40000000.07,,,,\u200e,,,\nB01,UK,Hat,9.5,,,,,,,Warm\n",
    )
    found, _ = rows(tmp_path, "m2", "select prev_items, next_item from m2.sessions", locale=["DE"])
    assert found == [(["B01", "B02", "B03"], "B04")]
    found, _ = rows(tmp_path, "m2", "select title, price, description from m2.products order by title")
    assert found == [("Hat", 9.5, "Warm"), ("Hut", None, None)]


def test_a_json_array_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    row = {
        "task": "Sentiment",
        "setting": "IND",
        "split": "train",
        "instruction": "a",
        "input": "b",
        "output": "c",
    }
    put(
        tmp_path / "ecinstruct/dataset.json",
        json.dumps([{**row, "options": None}, {**row, "options": '["x"]'}]),
    )
    found, _ = rows(tmp_path, "ecinstruct", "select options from ecinstruct.rows")
    assert sorted(found, key=str) == [('["x"]',), (None,)]
    put(
        tmp_path / "alpaca/alpaca_data_cleaned.json",
        '[{"instruction": "Hi", "input": "", "output": "Ho"}, {"inst',
    )
    with pytest.raises(
        UserError, match=r"alpaca_data_cleaned\.json: cannot be read: Malformed JSON.* Is it cut off"
    ):
        rows(tmp_path, "alpaca", "select count(*) from alpaca.rows where output = 'x'")


@pytest.mark.parametrize(
    ("odd", "left"),
    [
        ("", [("a", "UK"), ("b", "DE")]),
        ("b,DE,Twice\n", [("a", "UK"), ("b", "DE")]),
        ("c,fr ,Small\n", [("a", "UK"), ("b", "DE"), ("c", "FR")]),
    ],
    ids=["as it is", "repeated", "other spelling"],
)
def test_large_files_are_parsed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: str, left: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr("datagen.sources.columns.LARGE", 1)
    put(tmp_path / "m2/sessions_train.csv", "prev_items,next_item,locale\n['a'],b,UK\n")
    lines = "\n".join(line + "," * 8 for line in f"a,UK,One\nb,DE,Two\n{odd}".splitlines())
    put(tmp_path / "m2/products_train.csv", f"{HEAD}\n{lines}\n")
    query = "select id, locale from m2.products"
    plain, told = rows(tmp_path, "m2", query)
    with duckdb.connect() as connection:
        relation = seed_files.scan(
            *(connection, "products", [tmp_path / "m2/products_train.csv"], SOURCES["m2"].TABLES["products"]),
            *(print, tmp_path / "parsed.parquet"),
        )
    assert "read_csv" not in relation
    kept, told_first = rows(tmp_path, "m2", query, tmp_path / "columns")
    assert [line for line in told_first if "into columns, once" not in line] == told
    assert sorted(plain) == sorted(kept) == left
    assert not [path for path in (tmp_path / "columns").iterdir() if path.name.startswith(".")]


def test_columns_of_large_files_are_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datagen.sources.columns.LARGE", 1)
    for name, row in (("Toys.jsonl", REVIEW), ("meta_Toys.jsonl", ITEM)):
        put(tmp_path / "reviews" / name, json.dumps(row) + "\nnot json\n")
    query = "select rating from reviews.reviews"
    plain, told = rows(tmp_path, "reviews", query)
    first, told_first = rows(tmp_path, "reviews", query, tmp_path / "columns")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "columns").iterdir()}
    again, told_again = rows(tmp_path, "reviews", query, tmp_path / "columns")
    assert plain == first == again == [(4.0,)]
    assert told == told_again
    assert [line for line in told_first if "into columns, once" not in line] == told
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "columns").iterdir()} == kept
    put(tmp_path / "reviews" / "Toys.jsonl", json.dumps({**REVIEW, "rating": 2.0}))
    assert rows(tmp_path, "reviews", query, tmp_path / "columns")[0] == [(2.0,)]
    assert len(list((tmp_path / "columns").iterdir())) == len(kept)


def test_what_fails_of_several_files_is_said_of_them_all(tmp_path: Path) -> None:
    for name in ("law_dev.csv", "art_dev.csv"):
        put(tmp_path / name, "Is this a whole line?,a,b,c,d,A\n")
    paths, [(name, table)] = sorted(tmp_path.glob("*.csv")), SOURCES["mmlu"].TABLES.items()
    with duckdb.connect() as connection, pytest.raises(UserError, match=r"art_dev\.csv and 1 more: cannot"):
        seed_files.scan(connection, name, paths, table, print, tmp_path / "gone" / "parsed.parquet")
