"""The sample shop: labels that can be read off the text, and the same bytes from the same call."""

import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import duckdb
import pyarrow.parquet as pq
import pytest
from rapidfuzz import fuzz, process

from datagen.errors import UserError
from datagen.sources import esci
from datagen.sources.sample import english, japanese, spanish, write_sample
from datagen.sources.sample.asks import judge, pick
from datagen.sources.sample.catalogue import LOCALES, Feature, ProductType, catalogue
from datagen.sources.sample.ecinstruct import write_ecinstruct
from datagen.sources.sample.esci import SCHEMAS, write_esci
from datagen.sources.sample.market import (
    FEWEST,
    LANGUAGES,
    MOST,
    Block,
    Listing,
    _judgements,
    ask,
    product_code,
    stock,
)
from datagen.sources.sample.spanish import agree, agree_color, plural
from datagen.sources.sample.traits import draw, tell

TYPES = list(catalogue().types.values())


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """A marketplace of some 16,000 judgements, as three views."""
    folder = tmp_path_factory.mktemp("market")
    write_sample(folder, 16_000)
    connection = duckdb.connect()
    for name, table in esci.TABLES.items():
        connection.execute(f"create view {name} as from '{folder / 'esci' / table.file}'")
    return connection


@pytest.fixture(scope="module")
def listings() -> list[tuple[int, ProductType, list[Listing]]]:
    """Thirty listings of every type in every locale, as (locale, type, listings)."""
    shelves = [stock(Block(TYPES, locale, 0, 3), 30 * len(TYPES), 0) for locale in range(len(LOCALES))]
    return [(locale, kind, shelf[kind.key]) for locale, shelf in enumerate(shelves) for kind in TYPES]


def only(connection: duckdb.DuckDBPyConnection, query: str) -> object:
    """The one value that a query gives."""
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


# Layout


def test_columns_and_types_are_the_publishers(tmp_path: Path) -> None:
    write_sample(tmp_path, 1000)
    for table in ("examples", "products"):
        file = tmp_path / "esci" / esci.TABLES[table].file
        described = duckdb.connect().execute(f"describe from '{file}'").fetchall()
        assert {name: kind for name, kind, *_ in described} == esci.TABLES[table].columns
        assert pq.read_schema(file).equals(SCHEMAS[table])
    sources = (tmp_path / "esci" / esci.TABLES["sources"].file).read_text(encoding="utf-8")
    assert sources.splitlines()[0] == "query_id,source"
    assert sorted(path.name for path in (tmp_path / "esci").glob("shopping*")) == sorted(
        table.file for table in esci.TABLES.values()
    )


@pytest.mark.parametrize(
    "broken",
    [
        "select * from products where not regexp_full_match(product_id, 'B0[0-9A-Z]{8}')",
        "select 1 from products group by product_id, product_locale having count(*) > 1",
        "select * from examples anti join products using (product_id, product_locale)",
        "select * from examples where split not in ('train', 'test')",
        "select * from examples where esci_label not in ('E', 'S', 'C', 'I')",
        "select 1 from examples group by query_id having count(distinct (query, product_locale, split)) > 1",
        "select 1 from examples group by query, product_locale having count(distinct query_id) > 1",
        "select 1 from examples group by query_id, product_id having count(*) > 1",
        "select 1 from examples group by example_id having count(*) > 1",
        f"select 1 from examples group by query_id having count(*) not between {FEWEST} and {MOST}",
        "select 1 from examples group by query_id having count(*) filter (esci_label = 'E') = 0",
        "select * from (select distinct query_id from examples) full join sources using (query_id)"
        " where coalesce(source, '') not in ('other', 'negations', 'parse_pattern', 'behavioral', 'nlqec')",
        "select * from products where product_title is null or product_title <> trim(product_title)",
    ],
)
def test_no_row_breaks_the_layout(market: duckdb.DuckDBPyConnection, broken: str) -> None:
    assert market.execute(broken).fetchall() == []


def test_ids_repeat_across_locales_only(market: duckdb.DuckDBPyConnection) -> None:
    shared = only(market, "select count(*) - count(distinct product_id) from products")
    assert isinstance(shared, int)
    assert shared > 100


def test_no_two_numbers_share_a_product_id() -> None:
    numbers = random.Random(0).sample(range(2**33), 200_000)
    assert len({product_code(number) for number in numbers}) == len(numbers)


# Determinism


def digests(folder: Path) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("shopping*"))]


def test_same_bytes_in_another_process(tmp_path: Path) -> None:
    write_sample(tmp_path / "here", 1500)
    call = (
        "import sys; from pathlib import Path; from datagen.sources.sample import write_sample;"
        " write_sample(Path(sys.argv[1]), 1500)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run(
        [sys.executable, "-c", call, str(tmp_path / "there")],
        check=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    assert digests(tmp_path / "here") == digests(tmp_path / "there")


def test_another_seed_makes_another_market(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_sample(tmp_path / str(seed), 1000, seed)
    assert not set(digests(tmp_path / "1")) & set(digests(tmp_path / "2"))


def test_nothing_is_left_of_a_write_that_failed(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_esci(tmp_path, queries=50, products=700, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_every_product(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_esci(tmp_path, queries=50, products=1234, progress=lambda done, total: seen.append((done, total)))
    rows = pq.read_metadata(tmp_path / esci.TABLES["products"].file).num_rows
    assert seen[-1] == (1234, 1234)
    assert rows == 1234


@pytest.mark.parametrize("size", ["huge", 999, "", 0])
def test_unknown_sizes_are_named(tmp_path: Path, size: str | int) -> None:
    with pytest.raises(UserError, match=r"sample, full, or a number of judgements"):
        write_sample(tmp_path, size)  # type: ignore[arg-type]


class Everything(set[str]):
    """All texts there are."""

    def __contains__(self, text: object) -> bool:
        return True


def test_a_market_that_has_been_asked_everything_says_so() -> None:
    block = Block(TYPES[:2], 0, 0, 0)
    with pytest.raises(UserError, match="us: 5 different queries are too many for 16 products"):
        list(ask(block, stock(block, 16, 0), 5, Everything()))


# Shares


def test_label_mix_is_like_the_real_one(market: duckdb.DuckDBPyConnection) -> None:
    shares = dict(
        market.execute(
            "select esci_label, count(*) / sum(count(*)) over () from examples group by 1"
        ).fetchall()
    )
    assert 0.42 <= shares["E"] <= 0.65
    assert 0.20 <= shares["S"] <= 0.35
    assert 0.02 <= shares["C"] <= 0.07
    assert 0.08 <= shares["I"] <= 0.20


def test_empty_fields_are_as_common_as_in_the_real_data(market: duckdb.DuckDBPyConnection) -> None:
    columns = ("product_description", "product_bullet_point", "product_brand", "product_color")
    for column, share in zip(columns, (0.5, 0.16, 0.07, 0.35), strict=True):
        empty = only(market, f"select count(*) filter ({column} is null) / count(*) from products")
        assert empty == pytest.approx(share, abs=0.05), column


def test_brand_stands_in_most_titles(market: duckdb.DuckDBPyConnection) -> None:
    verbatim = only(market, "select avg(contains(product_title, product_brand)::int) from products")
    assert verbatim == pytest.approx(0.94, abs=0.03)


def test_titles_differ(listings: list[tuple[int, ProductType, list[Listing]]]) -> None:
    exact = near = every = 0
    for _, _, shelf in listings:
        titles = [listing.title for listing in shelf]
        every += len(titles)
        exact += len(titles) - len(set(titles))
        near += int(((process.cdist(titles, titles, scorer=fuzz.ratio) >= 90).sum(axis=1) > 1).sum())
    assert exact <= 0.001 * every
    assert near <= 0.01 * every


def test_a_near_miss_is_told_by_its_title() -> None:
    """Questions show titles: what makes a product exact stands there, and what makes it a near miss."""
    kinds = TYPES[:30]
    block = Block(kinds, 0, 0, 0)
    shelves = stock(block, 100 * len(kinds), 0)
    labels = Counter[tuple[str, bool]]()
    for turn in range(200):
        kind = block.kinds[turn % len(kinds)]
        rng = random.Random(turn)
        wished = shelves[kind.key][turn % 100]
        asks = pick(kind, wished.known, wished.titled, rng)
        for listing, label in _judgements(kind, asks, shelves, rng):
            if label in "ES":
                labels[label, judge([listing.titled], asks) == [label]] += 1
    assert labels["E", True] > 1000
    assert labels["S", True] > 500
    assert labels["E", False] == labels["S", False] == 0


# Labels against the text


def page(*texts: str | None) -> str:
    """All that a product's page says, in lower case."""
    return "\n".join(filter(None, texts)).lower()


def says(text: str, word: str, locale: int) -> bool:
    """Whether the word stands in the text, in Japanese anywhere, else between spaces or stops."""
    if locale == 2:
        return word.lower() in text
    return re.search(rf"(?<![\w-]){re.escape(word.lower())}(?![\w-])", text) is not None


def forms(phrase: str, locale: int) -> set[str]:
    """A phrase in all genders and numbers, where the language has them."""
    return {agree(phrase, form) for form in ("m", "f", "mp", "fp")} if locale == 1 else {phrase}


def plain(text: str, locale: int) -> str:
    return text.translate(spanish.NO_ACCENTS) if locale == 1 else text


def exact_pages(market: duckdb.DuckDBPyConnection, locale: int) -> dict[str, list[str]]:
    """Query -> the pages of its exact answers."""
    rows = market.execute(
        "select query, product_title, product_description, product_bullet_point, product_color"
        " from examples join products using (product_id, product_locale)"
        " where esci_label = 'E' and product_locale = ?",
        [LOCALES[locale]],
    ).fetchall()
    pages: dict[str, list[str]] = {}
    for query, *texts in rows:
        pages.setdefault(query, []).append(plain(page(*texts), locale))
    return pages


def attributes_only(query: str, locale: int) -> str:
    """A query without what only sounds like a colour or a material: uses, features, the thing's name."""
    text = plain(query.lower(), locale)
    phrases = {name.text for kind in TYPES for name in kind.names[locale]}
    phrases |= {use[locale] for kind in TYPES for use in kind.uses}
    phrases |= {variant[locale] for kind in TYPES for variant in kind.variants}
    for kind in TYPES:
        for feature in kind.features:
            phrases |= forms(feature.has[locale], locale)
            phrases |= {feature.part[locale]} if feature.part else set()
    for phrase in sorted(phrases, key=len, reverse=True):
        text = text.replace(plain(phrase.lower(), locale), " ")
    return text


@pytest.mark.parametrize("locale", range(3), ids=LOCALES)
def test_an_exact_answer_has_the_color_asked_for(market: duckdb.DuckDBPyConnection, locale: int) -> None:
    checked = 0
    for query, pages in exact_pages(market, locale).items():
        words = re.split(r"\s", attributes_only(query, locale))
        for family, asked in catalogue().colors_asked.items():
            typed = {plain(form, locale) for word in asked[locale] for form in forms(word, locale)}
            if typed & set(words):
                shown = {
                    plain(form.lower(), locale)
                    for form in forms(catalogue().shades[family][0].name[locale].lower(), locale)
                }
                for text in pages:
                    assert any(word in text for word in shown), (query, text)
                checked += 1
    assert checked > 10


@pytest.mark.parametrize("locale", range(3), ids=LOCALES)
def test_an_exact_answer_is_made_of_what_was_asked_for(
    market: duckdb.DuckDBPyConnection, locale: int
) -> None:
    materials = sorted(
        (names[locale].lower() for names in catalogue().materials.values()), key=len, reverse=True
    )
    checked = 0
    for query, pages in exact_pages(market, locale).items():
        wanted = attributes_only(query, locale)
        found = next(
            (word for word in materials if says(f" {wanted} ", f"{plain(word, locale)}", locale)), None
        )
        if found and (locale < 2 or found in re.split(r"\s", wanted)):
            for text in pages:
                assert says(text, plain(found, locale), locale), (query, text)
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("locale", range(3), ids=LOCALES)
def test_an_exact_answer_to_without_has_not_got_it(market: duckdb.DuckDBPyConnection, locale: int) -> None:
    parts = {feature.key: feature for kind in TYPES for feature in kind.features if feature.part}
    checked = 0
    for query, pages in exact_pages(market, locale).items():
        asked = [part for part in parts.values() if refused(plain(query.lower(), locale), part, locale)]
        if len(asked) == 1:
            checked += 1
            for text in pages:
                assert not offers(text, asked[0], locale), (query, text)
    assert checked > 3


def refused(query: str, feature: Feature, locale: int) -> bool:
    assert feature.part
    part = plain(feature.part[locale].lower(), locale)
    wordings = ((f"without {part}", f"no {part}"), (f"sin {part}",), (f"{part}なし",))[locale]
    return any(
        re.search(rf"{re.escape(wording)}(?!\w)" if locale < 2 else rf"(?<!\S){wording}", query)
        for wording in wordings
    )


def offers(text: str, feature: Feature, locale: int) -> bool:
    """Whether a page offers a feature; saying that it is lacking does not count."""
    if feature.lacks and feature.lack_lines:
        lines = (part for line in feature.lack_lines[locale] for part in (line.text, line.head) if part)
        for denial in (*lines, *forms(feature.lacks[locale], locale)):
            text = text.replace(plain(denial.lower(), locale), " ")
    return any(says(text, plain(form, locale), locale) for form in forms(feature.has[locale], locale))


def test_a_listing_is_silent_about_what_it_is_not_known_for(
    listings: list[tuple[int, ProductType, list[Listing]]],
) -> None:
    for locale, kind, shelf in listings:
        for listing in shelf:
            text = page(listing.title, listing.bullets, listing.description)
            for feature in kind.features:
                if listing.known.get(feature.key) is not True:
                    assert not offers(text, feature, locale), (LOCALES[locale], kind.key, feature.key, text)


@pytest.mark.parametrize(("locale", "language"), list(enumerate(LANGUAGES)), ids=LOCALES)
def test_a_title_tells_all_that_a_judge_reads_in_it(locale: int, language: ModuleType) -> None:
    rng = random.Random(4)
    for kind in TYPES * 3:
        told = tell(draw(kind, catalogue().brands[kind.department], rng), rng)
        text = re.sub(r"\s+", " ", language.title(told, rng).lower().replace("&amp;", "&"))
        words = catalogue()
        if told.branded:
            assert told.brand.name[locale].lower() in text
        if told.material:
            assert words.materials[told.material][locale].lower() in text
        if told.size is not None:
            assert kind.sizes[told.size][locale].lower() in text
        if told.variant is not None:
            assert kind.variants[told.variant][locale].lower() in text
        if told.color:
            assert any(color.lower() in text for color in colors(told.color.name[locale], locale))
        if told.audience:
            assert any(word.lower() in text for word in words.audiences[told.audience][locale])
        assert all(kind.uses[use][locale].lower() in text for use in told.uses)
        assert told.model.lower() in text
        assert told.pack == 1 or str(told.pack) in text
        for feature in (*told.has, *told.lacks):
            has = forms((feature.part or feature.has)[locale].lower(), locale) | forms(
                feature.has[locale].lower(), locale
            )
            assert any(
                form in text for form in has | forms((feature.lacks or feature.has)[locale].lower(), locale)
            )


def colors(name: str, locale: int) -> set[str]:
    return {agree_color(name, form) for form in ("m", "f", "mp", "fp")} if locale == 1 else {name}


# Languages

JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


@pytest.mark.parametrize(("locale", "least", "most"), [("us", 0, 0), ("es", 0, 0), ("jp", 0.999, 1)])
def test_script_of_a_locale(
    market: duckdb.DuckDBPyConnection, locale: str, least: float, most: float
) -> None:
    for table, column in (
        ("products", "product_title"),
        ("products", "product_bullet_point"),
        ("examples", "query"),
    ):
        texts = market.execute(
            f"select {column} from {table} where product_locale = '{locale}' and {column} is not null"
        ).fetchall()
        share = sum(bool(JAPANESE.search(text)) for (text,) in texts) / len(texts)
        assert least <= share <= most or (locale == "jp" and column == "query" and share > 0.98), column


@pytest.mark.parametrize(
    ("phrase", "form", "agreed"),
    [
        ("negro", "f", "negra"),
        ("negro", "fp", "negras"),
        ("azul", "mp", "azules"),
        ("gris", "fp", "grises"),
        ("marrón", "mp", "marrones"),
        ("rosa", "m", "rosa"),
        ("beige", "fp", "beige"),
        ("verde", "f", "verde"),
        ("impermeable", "fp", "impermeables"),
        ("resistente al agua", "mp", "resistentes al agua"),
        ("apto para lavavajillas", "f", "apta para lavavajillas"),
        ("lavable a máquina", "fp", "lavables a máquina"),
        ("blanqueador", "f", "blanqueadora"),
        ("con tapa", "fp", "con tapa"),
        ("antivaho", "fp", "antivaho"),
        ("antiadherente", "fp", "antiadherentes"),
    ],
)
def test_spanish_adjectives_agree(phrase: str, form: str, agreed: str) -> None:
    assert agree(phrase, form) == agreed


def test_spanish_colors_of_two_words_never_change() -> None:
    assert agree_color("azul marino", "fp") == "azul marino"


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("mochila", "mochilas"),
        ("sartén", "sartenes"),
        ("cojín para silla", "cojines para silla"),
        ("estuche escolar", "estuches escolares"),
        ("cable USB-C", "cables USB-C"),
        ("paraguas", "paraguas"),
        ("champú para perros", "champús para perros"),
        ("árbol para gatos", "árboles para gatos"),
        ("cepillo de dientes eléctrico", "cepillos de dientes eléctrico"),
    ],
)
def test_spanish_plurals(one: str, many: str) -> None:
    assert plural(one) == many


@pytest.mark.parametrize(
    ("one", "many"), [("watch", "watches"), ("chef knife", "chef knives"), ("scissors", "scissors")]
)
def test_english_plurals(one: str, many: str) -> None:
    assert english.plural(one) == many


def test_a_slip_of_the_finger_spares_the_word_without() -> None:
    rng = random.Random(1)
    slips = {english.slip("backpack without wheels", rng) for _ in range(200)}
    assert len(slips) > 20
    assert all(" without " in text for text in slips)


def test_japanese_slips_are_kana() -> None:
    rng = random.Random(1)
    assert {japanese.slip("リュック 防水", rng) for _ in range(20)} == {"りゅっく 防水"}


# The catalogue


def test_catalogue_is_as_large_as_promised() -> None:
    assert len(TYPES) >= 80
    assert sum(map(len, catalogue().brands.values())) >= 4000


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.key)
def test_a_type_is_whole(kind: ProductType) -> None:
    types = catalogue().types
    assert set(kind.complements) | set(kind.unlike) <= set(types)
    assert not set(kind.complements) & set(kind.unlike)
    assert kind.key not in {*kind.complements, *kind.unlike}
    assert kind.unlike, "no hard negatives"
    assert not [key for key in kind.unlike if kind.key in types[key].complements], "unlike what goes with it"
    assert len(kind.features) >= 3
    assert len(kind.lines) >= 2
    assert len({feature.key for feature in kind.features}) == len(kind.features)
    for words in (*kind.lines, *kind.uses):
        assert not JAPANESE.search(words[0] + words[1])
    assert all(JAPANESE.search(line[2]) for line in kind.lines)


@pytest.mark.parametrize("locale", range(3), ids=LOCALES)
def test_a_feature_is_told_in_several_ways(locale: int) -> None:
    """Bullet points that every seller shares could be learnt by heart."""
    features = {feature.key: feature for kind in TYPES for feature in kind.features}
    seen: set[str] = set()
    for feature in features.values():
        for lines in filter(None, (feature.lines, feature.lack_lines)):
            assert 2 <= len(lines[locale]) <= 4, feature.key
            assert len({line.head for line in lines[locale]}) == len(lines[locale]), feature.key
            for head, text in lines[locale]:
                assert bool(JAPANESE.search(text)) == (locale == 2), text
                assert text not in seen, text
                assert head is None or locale > 0 or head.lower() not in text.lower(), text
                seen.add(text)


@pytest.mark.parametrize("locale", range(3), ids=LOCALES)
def test_no_two_types_share_a_name(locale: int) -> None:
    names = [name.text.lower() for kind in TYPES for name in kind.names[locale]]
    assert len(names) == len(set(names))


def test_no_two_brands_share_a_name() -> None:
    for locale in range(3):
        names = [brand.name[locale].lower() for brands in catalogue().brands.values() for brand in brands]
        assert len(names) == len(set(names))


def test_what_ecinstruct_s_part_is_tested_on_is_asked_nowhere_else(tmp_path: Path) -> None:
    write_ecinstruct(tmp_path)
    asked: dict[bool, set[str]] = {True: set(), False: set()}
    for row in json.loads((tmp_path / "dataset.json").read_text(encoding="utf-8")):
        if row["task"] == "Answer_Generation":
            asked[row["split"] == "test"].add(json.loads(row["input"])["question"])
    assert asked[True]
    assert not asked[True] & asked[False]
