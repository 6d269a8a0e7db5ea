"""Questions from a few products with ESCI's quirks: what once went wrong in the shipped recipes."""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen.pipeline.sampling import draw
from datagen.recipe.load import load
from datagen.schema import TaskType
from datagen.sources import esci
from datagen.sources.database import open_seeds
from datagen.sources.query import columns_of
from datagen.sources.sample import write_sample

ARROW = {"BIGINT": pa.int64(), "VARCHAR": pa.string()}
PRODUCT = {"product_locale": "us", "product_title": "Some kind of thing, large", "product_brand": "Acme"}


def write(folder: Path, table: str, rows: Sequence[dict[str, Any]]) -> None:
    columns = {name: ARROW[kind] for name, kind in esci.TABLES[table].columns.items()}
    filled = [{name: row.get(name) for name in columns} for row in rows]
    pq.write_table(pa.Table.from_pylist(filled, pa.schema(columns.items())), folder / esci.TABLES[table].file)


def write_products(folder: Path, products: Sequence[dict[str, Any]], queries: Sequence[str]) -> Path:
    """Seeds of these products, the first of which is exact for all queries."""
    seeds = folder / "seeds"
    (seeds / "esci").mkdir(parents=True)
    full = [{"product_id": f"P{place}", **PRODUCT, **product} for place, product in enumerate(products)]
    first = {"product_id": "P0", "product_locale": full[0]["product_locale"], "esci_label": "E"}
    asked = [{**first, "query": query, "query_id": place} for place, query in enumerate(queries)]
    write(seeds / "esci", "products", full)
    write(seeds / "esci", "examples", [{"split": "train", "example_id": 0, **row} for row in asked])
    (seeds / "esci" / esci.TABLES["sources"].file).write_text("query_id,source\n")
    return seeds


def rows_of(
    folder: Path, name: str, products: Sequence[dict[str, Any]], queries: Sequence[str] = ("thing",)
) -> list[dict[str, Any]]:
    """What the task `recipe/task` makes of the products, the first of which is exact for all queries."""
    recipe_name, _, task_name = name.partition("/")
    seeds, recipe = write_products(folder, products, queries), load(recipe_name)
    task, path = recipe.tasks[task_name], folder / "drawn.arrow"
    with open_seeds(recipe.sources, seeds, recipe.seed, tables=recipe.tables) as opened:
        draw(
            opened, task_name, task.query, list(columns_of(opened.of(task_name), task.query)), 1000, 0.0, path
        )
    with pa.OSFile(str(path)) as file:
        found: list[dict[str, Any]] = pa.ipc.open_file(file).read_all().to_pylist()
    return found


@pytest.mark.parametrize(
    ("locale", "title", "color", "entities"),
    [
        ("us", "Pullover Hoodie for Men, Navy Blue, Large", "Navy Blue", ["Navy Blue"]),
        ("es", "Anillo de acero para mujer, oro rosa", "Oro rosa", ["oro rosa"]),
        ("es", "Bikini de rayas para mujer (Verde Rosa,L)", "Verde Rosa", None),
        ("us", "Striped Socks for Women, Black White", "Black White", None),
        ("us", "Maxi Dress for Girls (Size 3-4, Dark Green)", "Dark Green", ["Dark Green"]),
        ("us", "Maxi Dress for Girls (Size 3-4, Dark Green)", "Green", None),
        ("us", "Bathroom Wall Art, Sage Green Plants, Set of 4", "Green", None),
        ("es", "Cortinas opacas para el salón, azul marino", "Azul", None),
    ],
)
def test_two_colours_are_not_one_and_a_part_of_one_is_none(
    tmp_path: Path, locale: str, title: str, color: str, entities: list[str] | None
) -> None:
    product = {"product_locale": locale, "product_title": title, "product_color": color}
    rows = rows_of(tmp_path, "esci_ner/color_in_title", [product])
    assert [row["entities"] for row in rows] == ([entities] if entities else [])


def test_a_query_for_a_shade_asks_for_more_than_its_colour(tmp_path: Path) -> None:
    queries = ["dark green curtains", "green curtains"]
    rows = rows_of(tmp_path, "esci_ner/color_in_query", [{"product_color": "Green"}], queries)
    assert [(row["text"], row["entities"]) for row in rows] == [("green curtains", ["green"])]


BULLETS = {
    "us": ["Fits pots of up to 8 inch", "Steel that does not rust", "Holds 20 pounds with ease"],
    "es": ["Para macetas de hasta 20 cm", "Acero que no se oxida nunca", "Soporta hasta nueve kilos"],
    "jp": [
        "直径二十センチまでの植木鉢に対応しています",
        "錆びにくい鋼を使った頑丈なつくりです",
        "九キロまでの重さに耐えられるので安心です",
    ],
}


@pytest.mark.parametrize(
    ("locale", "line"),
    [
        ("us", "30 days money back guarantee, no questions asked"),
        ("us", "A great gift for Mom on her birthday"),
        ("us", "Item Package Weight: 0.875 lb"),
        ("us", "Made in United States"),
        ("us", "高品質な原材料を使った色鉛筆です、初心者にもおすすめです"),
        ("es", "Hundreds of secrets to discover and puzzles to solve"),
        ("es", "País de origen: España, con agua del mar"),
        ("es", "Ver descripción del producto para obtener más información."),
        ("jp", "商品重量: 約六百三十八グラム、箱も袋も付属の品も含みます"),
        ("jp", "Works with Alexa and Google Assistant"),
        ("jp", "《지적 대화를 위한 넓고 얕은 지식》 2"),
        ("jp", "到着後三十日以内なら返品返金いたします、お気軽にどうぞ"),
    ],
)
def test_lines_of_any_page_or_another_language_are_nobodys_bullet_points(
    tmp_path: Path, locale: str, line: str
) -> None:
    """Twelve products share the same kind of line; one of them has too few of its own to be asked about."""
    shared = [
        {
            "product_title": f"Thing{place:02} {place}",
            "product_bullet_point": "\n".join(
                [*(f"{place} {text} Thing{place:02}" for text in BULLETS[locale]), f"{place} {line}"]
            ),
        }
        for place in range(12)
    ]
    shared[3]["product_bullet_point"] = "\n".join([*BULLETS[locale][:2], line])
    products = [{**product, "product_locale": locale} for product in shared]
    rows = rows_of(tmp_path, "esci_retrieval/bullets_of_product", products)
    assert len(rows) == 8, "the last ones have too few after them"
    assert all("P3" not in row["key"] for row in rows)
    assert not any(line in bullet for row in rows for bullet in row["positives"] + row["negatives"])


def test_bullet_points_of_products_of_one_kind_are_not_told_apart(tmp_path: Path) -> None:
    """What they are stands in their titles, be it before a comma or in brackets."""
    kinds = ["Planter, {}", "({}) Planter", *["Thing{:02} {}"] * 6]
    products = [
        {
            "product_title": kinds[place % 8].format(place, place),
            "product_bullet_point": "\n".join(
                f"{place} {text} {'Planter' if place % 8 < 2 else f'Thing{place:02}'}"
                for text in BULLETS["us"]
            ),
        }
        for place in range(40)
    ]
    rows = rows_of(tmp_path, "esci_retrieval/bullets_of_product", products)
    asked = [row for row in rows if "Planter" in row["title"]]
    assert asked
    assert not [text for row in asked for text in row["negatives"] if int(text.split()[0]) % 8 < 2]


@pytest.mark.parametrize("mark", ["✅ {} - ", "【{}】", "[{}] ", "★ {}: ", "{} – ", "- {}："])
def test_bullet_points_are_not_known_by_their_marks(tmp_path: Path, mark: str) -> None:
    """One of twelve products marks its own as no other does."""
    texts = [[f"{place} {text} Thing{place:02}" for text in BULLETS["us"]] for place in range(12)]
    texts[0] = [f"Good Shape: {text}" for text in texts[0]]
    lines = [*texts]
    lines[0] = [text.replace("Good Shape: ", mark.format("Good Shape")) for text in texts[0]]
    products = [
        {"product_title": f"Thing{place:02} {place}", "product_bullet_point": "\n".join(own)}
        for place, own in enumerate(lines)
    ]
    rows = rows_of(tmp_path, "esci_retrieval/bullets_of_product", products)
    shown = {bullet for row in rows for bullet in row["positives"] + row["negatives"]}
    assert shown & set(texts[0])
    assert shown <= {text for own in texts for text in own}


def drawn_from_market(folder: Path, seeds: Path, name: str) -> list[dict[str, Any]]:
    """All rows that the task `recipe/task` makes of a market."""
    recipe_name, _, task_name = name.partition("/")
    recipe, path = load(recipe_name), folder / "drawn.arrow"
    query = recipe.tasks[task_name].query
    with open_seeds(recipe.sources, seeds, recipe.seed, tables=recipe.tables) as opened:
        draw(opened, task_name, query, list(columns_of(opened.of(task_name), query)), 100_000, 0.0, path)
    with pa.OSFile(str(path)) as file:
        found: list[dict[str, Any]] = pa.ipc.open_file(file).read_all().to_pylist()
    return found


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up market that is large enough for choices."""
    folder = tmp_path_factory.mktemp("market")
    write_sample(folder, 12_000)
    return folder


def test_products_that_do_not_fit_share_words_with_the_query(market: Path, tmp_path: Path) -> None:
    rows = drawn_from_market(tmp_path, market, "esci_retrieval/products_for_query")
    english = [row for row in rows if row["language"] == "en"]
    assert english
    for row in english:
        words = [word.removesuffix("s") for word in row["query"].lower().split()]
        near = [title for title in row["negatives"] if any(word in title.lower() for word in words)]
        assert len(near) >= 4, row["key"]


def test_any_bullet_point_of_a_product_is_wrong_for_others(market: Path, tmp_path: Path) -> None:
    rows = drawn_from_market(tmp_path, market, "esci_retrieval/bullets_of_product")
    wrong = {text for row in rows for text in row["negatives"]}
    assert len(wrong) > 1.3 * len(rows), "one of each product would be known to be wrong"


def test_bullet_points_that_are_wrong_are_right_elsewhere(market: Path, tmp_path: Path) -> None:
    rows = drawn_from_market(tmp_path, market, "esci_retrieval/bullets_of_product")
    right = {text for row in rows for text in row["positives"]}
    wrong = [text for row in rows for text in row["negatives"]]
    assert sum(text in right for text in wrong) > 0.9 * len(wrong)


@pytest.mark.parametrize(
    ("locale", "title", "query", "asked"),
    [
        ("jp", "水虫クリーム 30g 3個セット", "クリーム 水虫", True),
        ("jp", "水虫クリーム 30g 3個セット", "水虫薬", False),  # half of it: as often wrong as right
        ("es", "Sudadera de Jack Skellington", "gorro jack skellington", False),
        ("jp", "外付けハードディスク 500GB テレビ録画", "hdd 500", False),
        ("jp", "フェンダー Affinity ストラトキャスター 黒", "affinity", False),  # printed by the title
        ("jp", "絶体絶命 単行本", "太陽はうごかない", False),
        ("jp", "究極のアコースティック・ブルース", "guitar", False),
        ("es", "Rompecabezas de madera para niños", "puzle madera", False),  # no exact title has this word
        ("es", "Rompecabezas de madera para niños", "niños rompecabezas", True),
        ("es", "Láminas para pared de dormitorio", "cuadros para enmarcar", False),
    ],
)
def test_a_query_to_guess_has_something_to_do_with_the_title(
    tmp_path: Path, locale: str, title: str, query: str, asked: bool
) -> None:
    product = {"product_locale": locale, "product_title": title}
    rows = rows_of(tmp_path, "esci_generation/query_for_foreign_product", [product], [query])
    assert [row["reference"] for row in rows] == [query] * asked


def test_headings_about_the_seller_or_too_long_ones_are_not_asked_for(tmp_path: Path) -> None:
    lines = [
        "Fast Shipping: Leaves our house on the day after you have ordered it",
        "Pls Note: Wash it by hand in cold water and hang it up to dry",
        "Made To Last For Many Long Years: Steel that does not rust, even at sea",
        "Great Gift: She will love it, and so will everybody whom you know",
    ]
    products = [{"product_bullet_point": line} for line in lines]
    lines.append("Easy Grip: Whoever takes it in wet hands is sure to keep it")  # could stand before anything
    lines.append("Easy To Use: As easy to put away as it is to take out, for all")  # tells of half of it
    lines.append("Rustiest Steel: Steel that rusts like none that you have had")
    lines.append("Rust Proof: Proof against rust in rain or at sea for many years")
    products.append({"product_bullet_point": "\n".join(lines)})
    lines = ["Faux Leather Chairs: Leather that looks and feels like that of a cow"]  # names the product
    products.append({"product_bullet_point": lines[0], "product_title": "Dining Chair"})
    rows = rows_of(tmp_path, "esci_generation/feature_heading", products)
    assert [(row["key"], row["reference"]) for row in rows] == [("P4", "rust proof")]


@pytest.mark.parametrize("task", ["feature_heading", "feature_by_heading"])
def test_a_heading_is_in_train_or_in_test(tmp_path: Path, task: str) -> None:
    """Many products share their features' texts: what products in test ask could be learnt by heart."""
    lines = [
        "Rust Proof: Steel that does not rust at all, which we have proof of",
        "Easy Grip: You grip it firmly, and easily when it is wet",
        "Two Lids: Keeps two lids of both sizes where you find them",
    ]
    products = [{"product_bullet_point": "\n".join(lines)}] * 20
    rows = rows_of(tmp_path, f"esci_generation/{task}", products)
    assert len(rows) == 20 or task == "feature_heading"
    assert task != "feature_heading" or max(Counter(row["reference"] for row in rows).values()) <= 6
    heading = "reference" if task == "feature_heading" else "heading"
    assert all(row["groups"][0] == f"heading:{row[heading]}" for row in rows)
    assert all(row["groups"][1] == f"product:us:{row['key']}" for row in rows)


def test_a_title_to_write_is_no_longer_than_asked_for(tmp_path: Path) -> None:
    bullets = "Steel pan that does not rust\nFits pots of all the usual sizes\nHolds " + "20 pounds, " * 6
    long, short = " ".join(["Pan"] * 31), " ".join(["Pan"] * 30)
    products = [{"product_title": title, "product_bullet_point": bullets} for title in (long, short)]
    rows = rows_of(tmp_path, "esci_generation/title_from_features", products)
    assert [row["reference"] for row in rows] == [short]


def test_no_title_is_written_from_a_parcel_or_for_an_unknown_brand(tmp_path: Path) -> None:
    parcel = ["Country Of Origin: China", "Item Package Weight: 5.5 lb", "Model Number: 933-3632"]
    own = [f"A large thing: {bullet}" for bullet in BULLETS["us"]]
    products = [
        {"product_bullet_point": "\n".join([*parcel, *own[:2]])},
        {"product_bullet_point": "\n".join([*parcel, *own]), "product_brand": "Unknown"},
        {"product_bullet_point": "\n".join(own)},
    ]
    rows = rows_of(tmp_path, "esci_generation/title_from_features", products)
    told = {row["key"]: (row["brand"], row["bullets"]) for row in rows}
    assert told == {"P1": (None, own), "P2": ("Acme", own)}


@pytest.mark.parametrize(
    ("locale", "title", "lines"),
    [
        ("es", "Maceta grande de acero", ["País de origen: España", "Dimensiones del paquete: 20 x 20 cm"]),
        ("jp", "頑丈な鋼の植木鉢 大型", ["【梱包サイズ】約33cm×42cm×81cm", "商品重量：約六点三八キログラム"]),
    ],
)
def test_no_foreign_title_is_written_from_a_parcel(
    tmp_path: Path, locale: str, title: str, lines: list[str]
) -> None:
    texts = [[*lines, BULLETS[locale][0]], BULLETS[locale]]
    products = [
        {"product_locale": locale, "product_title": title, "product_bullet_point": "\n".join(own)}
        for own in texts
    ]
    rows = rows_of(tmp_path, "esci_generation/title_from_foreign_features", products)
    assert [row["bullets"] for row in rows] == [BULLETS[locale]]


SAYS = "A large thing for plants of any height."


@pytest.mark.parametrize(
    ("description", "reference"),
    [
        (f"<b>Pot</b><br>{SAYS} It has four feet of steel.", f"{SAYS} It has four feet of steel."),
        (f"<p>{SAYS} Holds <b>1.5 l</b> of water. Please write to us!</p>", None),  # the page tells no 1.5 l
        (f"<p>{SAYS} Holds <b>a lot</b> of water. Please write to us!</p>", f"{SAYS} Holds a lot of water."),
        (f"{SAYS} It goes well with a bowl by Kettelund.", None),
        (f"We are a family of potters. {SAYS} It has four feet of steel.", None),
        ("Acme was born at the sea. It has been true to its passions ever since, all the time.", None),
        ("Item type: thing, large. Box dimensions: 14 x 3 x 11 inch, and a weight of 3 lbs.", None),
        (f"{SAYS} It¡¯s a pot that has four feet of steel.", None),
        (
            f"{SAYS} It’s a pot that has four feet of steel.",
            f"{SAYS} It’s a pot that has four feet of steel.",
        ),
        (f"{SAYS[2:]} It has four feet of steel that no rain will ever harm.", None),
        (f"{SAYS[:-1]} and of any size, of steel that no rain or frost will ever harm.", None),
    ],
)
def test_a_description_is_of_the_product_in_full_sentences(
    tmp_path: Path, description: str, reference: str | None
) -> None:
    product = {"product_title": "Acme kind of thing, large", "product_description": description}
    rows = rows_of(tmp_path, "esci_generation/description", [product])
    assert [row["reference"] for row in rows] == ([reference] if reference else [])


@pytest.mark.parametrize(
    ("locale", "title", "fits"),
    [
        ("us", "Silicone Baking Mat, Set of 2", True),
        ("us", "Tapete de silicona para hornear, juego de 2", False),
        ("us", "OOKU水彩色鉛筆48色セット", False),
        ("us", "Baking Mat that donâ€™t stick, Set of 2", False),
        ("es", "The North Face Camiseta Easy, hombre", True),
        ("es", "Cookware Set with Pots and Pans, 15 pieces", False),
        ("jp", "SwitchBot スマートリモコン ハブミニ", True),
        ("jp", "SwitchBot Hub Mini Smart Remote", False),
    ],
)
@pytest.mark.parametrize("task", ["title_from", "query_for"])
def test_an_answer_in_the_titles_language_is_in_the_shops(
    tmp_path: Path, task: str, locale: str, title: str, fits: bool
) -> None:
    """The prompt asks for the language of the title, or of the bullet points, which are in the shop's."""
    bullets = "\n".join(bullet * 2 for bullet in BULLETS[locale])
    product = {
        "product_locale": locale,
        "product_title": title,
        "product_brand": title,
        "product_bullet_point": bullets,
    }
    foreign = "" if locale == "us" else "foreign_"
    name = f"{task}_{foreign}{'features' if task == 'title_from' else 'product'}"
    query = " ".join(reversed(title.lower().split(maxsplit=2)[:2]))
    assert bool(rows_of(tmp_path, f"esci_generation/{name}", [product], [query])) == fits


def test_a_sentence_to_copy_ends_where_it_ends_and_is_not_the_sellers(tmp_path: Path) -> None:
    lines = [
        "Bold Design: Nobody will overlook this bold print that?ll make you stand out. Get it now",
        "Customer Service: Write to us and our customer service will answer within a day",
        "Two Lids: Keeps lids of both sizes where you find them; each fits tightly! Yes",
        "Easy Grip: You grip it firmly, even when it is wet",
    ]
    products = [{"product_bullet_point": "\n".join(lines)}] * 30
    rows = rows_of(tmp_path, "esci_generation/feature_by_heading", products)
    told = {row["heading"]: row["reference"] for row in rows}
    assert set(told) == {"bold design", "two lids", "easy grip"}
    assert told["bold design"] == "Nobody will overlook this bold print that?ll make you stand out."
    assert told["two lids"] == "Keeps lids of both sizes where you find them; each fits tightly!"


@pytest.mark.parametrize(
    ("task", "locale", "line"),
    [
        ("title_from_features", "us", "Hecho de acero inoxidable para una vida larga"),
        ("title_from_foreign_features", "es", "Leichte und druckgeschäumte Zwischensohle"),
        ("title_from_foreign_features", "jp", "Works with Alexa and Google Assistant"),
    ],
)
def test_what_a_title_is_written_from_is_in_its_language(
    tmp_path: Path, task: str, locale: str, line: str
) -> None:
    own = [bullet * 2 for bullet in BULLETS[locale]]
    title = "植木鉢スタンド 三段 大きいサイズ" if locale == "jp" else "Bandeja metal L"
    product = {"product_locale": locale, "product_title": title, "product_brand": title}
    products = [{**product, "product_bullet_point": "\n".join([line, *own])}]
    rows = rows_of(tmp_path, f"esci_generation/{task}", products)
    assert [row["bullets"] for row in rows] == [own]


@pytest.mark.parametrize(
    ("title", "brand", "query", "kept"),
    [
        ("Cotton Crew Socks", "Acme", "cotton crew socks", True),
        ("Cotton Crew Socks", "Acme", "acme crew socks", True),  # the brand stands in its own column
        ("Cotton Crew Socks", "Acme", "cotton socks 12 pack", False),  # nothing tells of 12
        ("Cotton Crew Socks", "Acme", "wool slippers warm socks", False),
        ("Cotton Crew Socks, Adult Toy Vibrator", "Acme", "cotton crew socks", False),
        ("Calcetines para hombre con suela", "Acme", "calcetines hombre", False),
    ],
)
def test_exact_products_are_those_whose_pages_bear_it_out(
    tmp_path: Path, title: str, brand: str, query: str, kept: bool
) -> None:
    write_products(tmp_path, [{"product_title": title, "product_brand": brand}], [query])
    with open_seeds(load("esci_mcq").sources, tmp_path / "seeds", 1) as opened:
        found = opened.connection.execute("select backed from esci.titled").fetchall()
    assert found == [(True,)] if kept else found in ([], [(False,)])


@pytest.mark.parametrize(
    ("query", "labels", "ranked"),
    [
        ("steel pan", "ESCI", True),
        ("steel pan", "SSCI", False),  # nothing is what is asked for
        ("I am looking for a pan that lasts for years and that my children can use, too.", "ESCI", False),
    ],
)
def test_an_exact_product_comes_first_where_products_are_ranked(
    tmp_path: Path, query: str, labels: str, ranked: bool
) -> None:
    titles = ["Steel Pan with Lid, for children years", "Pan, Iron", "Lid for a Pan", "Wool Socks"]
    seeds = write_products(tmp_path, [{"product_title": title} for title in titles], [])
    asked = {"product_locale": "us", "query": query, "example_id": 0, "split": "train"}
    judged = [
        {**asked, "query_id": nth, "product_id": f"P{place}", "esci_label": label}
        for nth in range(20)
        for place, label in enumerate(labels)
    ]
    write(seeds / "esci", "examples", judged)
    rows = drawn_from_market(tmp_path, seeds, "esci_ranking/products_for_query")
    assert {row["candidates"][row["gains"].index(1.0)] for row in rows} == set(titles[:1] * ranked)
    assert len(rows) < 15, "of those that words tell, half are left out"


PRICED = " under $20"


@pytest.fixture(scope="module")
def priced(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small made-up market, where every second query asks for a price."""
    seeds = Path(shutil.copytree(shop / "seeds", tmp_path_factory.mktemp("priced") / "seeds"))
    path = seeds / "esci" / esci.TABLES["examples"].file
    rows = pq.read_table(path).to_pylist()
    for row in rows:
        row["query"] += PRICED if row["query_id"] % 2 else ""
    write(seeds / "esci", "examples", rows)
    return seeds


@pytest.mark.parametrize("name", ["esci_mcq", "esci_ranking", "esci_retrieval", "esci_generation"])
def test_nobody_is_asked_which_product_has_a_price(priced: Path, tmp_path: Path, name: str) -> None:
    recipe = load(name)
    with open_seeds(recipe.sources, priced, recipe.seed, tables=recipe.tables) as opened:
        for label, task in recipe.tasks.items():
            columns = list(columns_of(opened.of(label), task.query))
            draw(opened, label, task.query, columns, 10_000, 0.0, tmp_path / label)
            with pa.OSFile(str(tmp_path / label)) as file:
                rows = pa.ipc.open_file(file).read_all().to_pylist()
            few = label in ("query_for_product", "queries_for_product")  # a small market
            assert rows or task.type is TaskType.RETRIEVAL or few, label
            assert not any(PRICED in str(row) for row in rows), label


@pytest.mark.parametrize(
    ("label", "query", "title", "kept"),
    [
        ("E", "ladybug memory game fat brain", "Flashing Cube Memory & Brain Game", False),  # three of five
        ("E", "melissa and doug grocery store", "Melissa & Doug Grocery Basket", False),
        ("E", "red bows for crafts", "Satin Bow for Craft, Red", True),
        ("S", "20 lb medicine ball", "Medicine Ball, 10 lb", True),
        ("C", "cafe fast food tray", "Plastic Cafe Food Tray, 18 x 14", False),
        ("C", "doxie go", "Doxie Go Carrying Case (with Pocket)", True),
        ("I", "inis perfume", "Perfume Bottle", False),
        ("I", "emerson microwave", "Adhesive Tape", True),
    ],
)
def test_a_judgement_that_words_do_not_bear_out_is_no_question(
    tmp_path: Path, label: str, query: str, title: str, kept: bool
) -> None:
    seeds = write_products(tmp_path, [{"product_title": title}], [query])
    judged = {"product_id": "P0", "product_locale": "us", "esci_label": label, "query": query, "query_id": 0}
    write(seeds / "esci", "examples", [{"split": "train", "example_id": 0, **judged}])
    recipe = load("esci_mcq")
    with open_seeds(recipe.sources, seeds, recipe.seed, tables=recipe.tables) as opened:
        found = opened.of("relation").execute(recipe.tasks["relation"].query).fetchall()
    assert bool(found) == kept


def test_having_all_words_does_not_tell_the_exact_product(market: Path, tmp_path: Path) -> None:
    rows = drawn_from_market(tmp_path, market, "esci_relations/is_exact")
    whole = [set(row["query"].lower().split()) <= set(row["title"].lower().split()) for row in rows]
    assert len(rows) > 100
    assert sum(whole) < 0.05 * len(rows)
