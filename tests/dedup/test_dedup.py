"""Deduplication: what counts as the same question, and an outcome that no order or thread changes."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen import dedup

Row = tuple[str, list[str], list[str], str]

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("kind", pa.string()),
        ("fields", pa.list_(pa.string())),
        ("options", pa.list_(pa.string())),
        ("answer", pa.string()),
    ]
)

KETTLE = "Marlow Enamel Stove Kettle with Whistle, Wooden Handle, 1.5 l, Forest Green"
SHIRT = "Tovik Linen Shirt for Men, Long Sleeve, Relaxed Fit, Chest Pocket, Navy, Size 42"
LAMP = "デスクライト LED 調光 タッチセンサー 折りたたみ式 USB充電 ホワイト 読書用"


def table(rows: list[Row]) -> pa.Table:
    """Rows of (kind, fields, options, answer) with ids in their order."""
    ids = [f"{place:04d}" for place in range(len(rows))]
    return pa.table([ids, *map(list, zip(*rows, strict=True))] if rows else [[]] * 5, schema=SCHEMA)


def decide(rows: pa.Table, near: float | None) -> pa.Table:
    return dedup.decide([dedup.read(rows)], near)


def reasons(*rows: Row, near: float | None = 0.85) -> list[str | None]:
    found: list[str | None] = decide(table(list(rows)), near)["reason"].to_pylist()
    return found


def ask(*fields: str, options: tuple[str, ...] = (), answer: str = "kettle", kind: str = "k") -> Row:
    return kind, list(fields), list(options), answer


def test_rows_that_all_contradict_each_other_leave_nothing_to_compare() -> None:
    assert reasons(ask(KETTLE, answer="a"), ask(KETTLE, answer="b")) == ["label_conflict"] * 2


SAME = "duplicate"
NEAR = "near_duplicate"
PAIRS: dict[str, tuple[Row, Row, str | None]] = {
    "the same": (ask(KETTLE), ask(KETTLE), SAME),
    "case": (ask(KETTLE), ask(KETTLE.upper(), answer="KETTLE"), SAME),
    "punctuation": (ask(KETTLE), ask(KETTLE.replace(", ", " | ") + "!"), SAME),
    "spaces": (ask(KETTLE), ask("  " + KETTLE.replace(" ", "   ")), SAME),
    "full width": (ask("ＬＥＤ　ｌａｍｐ"), ask("led lamp"), SAME),
    "typographic quotes": (ask("“men’s” shirt"), ask("\"men's\" shirt"), SAME),
    "options reordered": (ask("q", options=("a b", "c d", "e")), ask("q", options=("e", "a b", "c d")), SAME),
    "an option twice": (ask("q", options=("a b", "c d")), ask("q", options=("c d", "a b", "A B")), SAME),
    "answer reordered": (ask(KETTLE, answer="tin\nenamel"), ask(KETTLE, answer="enamel\ntin"), SAME),
    "typo": (ask(KETTLE), ask(KETTLE.replace("Whistle", "Wihstle")), NEAR),
    "typo in a first letter": (ask("amber kettle lid"), ask("zmber kettle lid"), NEAR),
    "typo in a short query": (ask("enamel kettle green"), ask("enamle kettle green"), NEAR),
    "typo in an option": (ask("hob", options=(KETTLE, SHIRT)), ask("hob", options=(SHIRT, KETTLE[1:])), NEAR),
    "a typo in each text": (
        ask("green kettle", options=(KETTLE, SHIRT), answer=KETTLE),
        ask("green ketle", options=(SHIRT, KETTLE[1:]), answer=KETTLE[1:]),
        NEAR,
    ),
    "word missing in a long text": (ask(KETTLE), ask(KETTLE.replace("Wooden ", "")), NEAR),
    "word missing in a query": (ask("wooden enamel kettle green"), ask("enamel kettle green"), None),
    "words moved": (ask("enamel kettle green"), ask("green enamel kettle"), NEAR),
    "space lost": (ask(KETTLE), ask(KETTLE.replace("Stove Kettle", "Stovekettle")), NEAR),
    "other colour": (ask(KETTLE), ask(KETTLE.replace("Green", "Brown")), None),
    "other brand": (ask(KETTLE), ask(KETTLE.replace("Marlow", "Hestor")), None),
    "other material": (ask(SHIRT), ask(SHIRT.replace("Linen", "Cotton")), None),
    "with, without": (ask(KETTLE), ask(KETTLE.replace("with", "without")), None),
    "men, women": (ask(SHIRT), ask(SHIRT.replace("Men", "Women")), None),
    "other number": (ask(SHIRT), ask(SHIRT.replace("42", "43")), None),
    "other decimal": (ask(KETTLE), ask(KETTLE.replace("1.5 l", "15 l")), None),
    "numbers swapped": (ask(f"{SHIRT} 3 x 5"), ask(f"{SHIRT} 5 x 3"), None),
    "range, not decimal": (ask("socks 3-5"), ask("socks 3.5"), None),
    "other sign": (ask("what is 3 + 5"), ask("what is 3 * 5"), None),
    "decimal comma": (ask("kettle 1,5 l"), ask("kettle 1.5 l"), SAME),
    "other option": (ask("hob", options=("tin pot", LAMP)), ask("hob", options=("wool scarf", LAMP)), None),
    "one option more": (ask("hob", options=("tin kettle",)), ask("hob", options=("tin kettle", LAMP)), None),
    "numbers swapped between options": (
        ask("hob", options=("tin kettle with lid mk1001", "wool blanket soft mk1002")),
        ask("hob", options=("tin kettle with lid mk1002", "wool blanket soft mk1001")),
        None,
    ),
    "only options shared": (
        ask(KETTLE, options=("exact", "substitute", "complement"), answer="exact"),
        ask(SHIRT, options=("exact", "substitute", "complement"), answer="exact"),
        None,
    ),
    "only a template shared": (
        ask("Which of the products below answers the query best?", "enamel kettle", answer=KETTLE),
        ask("Which of the products below answers the query best?", "linen shirt", answer=SHIRT),
        None,
    ),
    "near question, other answer": (ask(KETTLE, answer="exact"), ask(KETTLE[1:], answer="substitute"), None),
    "fields in other order": (ask("kettle", "shirt"), ask("shirt", "kettle"), None),
    "fields joined": (ask("kettle shirt"), ask("kettle", "shirt"), None),
    "an empty field more": (ask(KETTLE), ask(KETTLE, ""), None),
    "field is an option": (ask("kettle", options=("shirt",)), ask("shirt", options=("kettle",)), None),
    "other kind": (ask(KETTLE), ask(KETTLE, kind="other"), None),
    "nothing but an answer": (ask(), ask(), SAME),
    "empty texts": (ask("", answer=""), ask("", answer=""), SAME),
    "Japanese, the same": (ask(LAMP), ask(LAMP.replace(" ", "　") + "。"), SAME),
    "Japanese typo": (ask(LAMP), ask(LAMP.replace("センサー", "センター")), NEAR),
    "Japanese, other colour": (ask(LAMP), ask(LAMP.replace("ホワイト", "ブラック")), None),
    "Japanese, other kanji": (ask("赤い折りたたみ傘 軽量"), ask("青い折りたたみ傘 軽量"), None),
    "no accents": (ask("lámpara de mesa táctil para niños"), ask("lampara de mesa tactil para ninos"), NEAR),
    "other emoji": (ask("great lamp 👍"), ask("great lamp 👎"), None),
    "other punctuation alone": (ask("!"), ask("?"), None),
    "C and C++": (ask("book about C"), ask("book about C++"), None),
    "feet, inches": (ask("rug 5' x 9' wool"), ask('rug 5" x 9" wool'), None),
    "feet, nothing": (ask("rug 5' x 9' wool"), ask("rug 5 x 9 wool"), None),
    "feet in another dress": (ask("rug 5' x 9' wool"), ask("rug 5′ × 9′ wool"), SAME),
    "inches in another dress": (ask('rug 5" x 9" wool'), ask("rug 5” x 9'' wool"), SAME),
    "feet and inches": (ask("man 6'2\" tall"), ask("man 6 2 tall"), None),
    "a size in quotes": (ask('shirt "size 5" blue'), ask("shirt size 5 blue"), SAME),
    "all in quotes": (ask("“lamp 5”"), ask("'lamp 5'"), SAME),
    "a decade": (ask("the '90s lamp"), ask("the 90s lamp"), SAME),
    "one half": (ask("½ cup"), ask("1/2 cup"), SAME),
    "one half, one two": (ask("½ cup"), ask("1 2 cup"), None),
    "one and a half": (ask("1½ inch hose"), ask("11/2 inch hose"), None),
    "a power": (ask("10² tiles"), ask("102 tiles"), None),
    "a range in another dress": (ask("socks 3–5"), ask("socks 3 - 5"), SAME),
    "a range, two sizes": (ask("socks 3 - 5"), ask("socks 3 & 5"), None),
    "minus": (ask("freezer −18 °C"), ask("freezer -18 °c"), SAME),
    "full-width size": (ask("Ｍサイズ シャツ"), ask("Mサイズ シャツ"), SAME),
}  # fmt: skip


LONG = "Tovik Linen Shirt for Men Long Sleeve Relaxed Fit Chest Pocket Navy {} Regular Collar"
NIHON = "トヴィック リネンシャツ 長袖 ゆったり 胸ポケット付き {} 大人用 洗濯機対応"
UNLIKE = """
size XL / size XXL; S / M; XS / XL; 2XL / 2XS; XXL / XXXL; talla L / talla M; AA / AAA; 32DD / 32DDD
75C / 75D; 5 / 5s; VII / VIII; Mark II / Mark III; C / D; men / her; ja / no; A4 / A5; A4 / B4
RTX4070 / GTX4070; MK1001A / MK1001B; iPhone 12 / iPhone 13; iPhone 12 Pro / iPhone 12 Max; 10mm / 10cm
10 mm / 10 cm; 500mg / 500ml; 500 µg / 500 mg; 500µg / 500mg; 5ft / 5in
50% / 50; 50 % / 50 °; 20°C / 20°F; 20 °C / 20 °F; 20° / 20; S20+ / S20
#5 / 5; $5 / €5; 5' / 5"; 5'x9' / 5"x9"; 5 / 5"; ½ / ¼; 10² / 10³; 3-5 / 3&5
"""
UNLIKE_IN_JAPANESE = """
赤 / 青; 赤い / 青い; 赤傘軽量 / 青傘軽量; 黒革靴 / 白革靴; 大 / 小; 左用 / 右用; 5個 / 5枚; 100㎏ / 100㎎
５０％ / ５０; Mサイズ / Lサイズ; XLサイズ / XXLサイズ
"""


def pairs(text: str) -> list[list[str]]:
    return [pair.split(" / ") for line in text.strip().split("\n") for pair in line.split("; ")]


def test_a_small_word_or_mark_makes_another_product() -> None:
    for title, texts in ((LONG, UNLIKE), (NIHON, UNLIKE), (NIHON, UNLIKE_IN_JAPANESE)):
        for one, other in (map(title.format, pair) for pair in pairs(texts)):
            assert reasons(ask(one), ask(other)) == [None, None], (one, other)
            assert reasons(ask("a", answer=one), ask("a", answer=other))[0] == "label_conflict", (one, other)


def test_a_space_beside_a_number_makes_none() -> None:
    for one, other in pairs("10 mm / 10mm; iPhone 12 / iPhone12; XL / X L; 50% / 50 %; Mark II / MarkII"):
        assert reasons(ask(LONG.format(one)), ask(LONG.format(other))) == [None, NEAR], (one, other)


def test_rows_that_all_contradict_each_other_leave_none_to_compare() -> None:
    assert reasons(ask("a", answer="x"), ask("a", answer="y")) == ["label_conflict"] * 2


@pytest.mark.parametrize("what", PAIRS)
def test_verdict(what: str) -> None:
    one, other, expected = PAIRS[what]
    assert reasons(one, other) == [None, expected]
    assert reasons(other, one) == [None, expected]


def test_without_near_only_exact_repeats_go() -> None:
    assert reasons(ask(KETTLE), ask(KETTLE[1:]), ask(KETTLE.lower()), near=None) == [None, None, SAME]


def test_the_smallest_id_stays_and_is_named() -> None:
    rows = table([ask(KETTLE), ask(KETTLE.lower()), ask(KETTLE[:-1]), ask(SHIRT)])
    rows = rows.set_column(0, "id", pa.array(["d", "c", "b", "a"]))
    assert decide(rows, 0.85).to_pylist() == [
        {"reason": SAME, "of": "c"},
        {"reason": NEAR, "of": "b"},
        {"reason": None, "of": None},
        {"reason": None, "of": None},
    ]


def test_contradictions_all_go_and_name_what_they_contradict() -> None:
    rows = [ask(KETTLE, answer=answer) for answer in ("exact", "substitute", "Exact", "complement")]
    assert decide(table([*rows, ask(SHIRT)]), 0.85).to_pylist() == [
        {"reason": "label_conflict", "of": "0001"},
        {"reason": "label_conflict", "of": "0000"},
        {"reason": "label_conflict", "of": "0001"},
        {"reason": "label_conflict", "of": "0000"},
        {"reason": None, "of": None},
    ]


def test_a_row_near_to_a_contradiction_stays() -> None:
    rows = [ask(KETTLE, answer="exact"), ask(KETTLE, answer="irrelevant"), ask(KETTLE[1:], answer="exact")]
    assert reasons(*rows) == ["label_conflict", "label_conflict", None]


def test_a_row_is_removed_for_a_row_that_stays() -> None:
    """Each text is near those next to it in the chain, not those further on."""
    words = KETTLE.replace(",", "").split() + SHIRT.replace(",", "").split()[:5]
    chain = [" ".join(words[missing:]) for missing in range(5)]
    found = decide(table([ask(text) for text in chain]), 0.85).to_pylist()
    stay = [place for place, row in enumerate(found) if row["reason"] is None]
    assert 1 < len(stay) < len(chain)
    assert {int(row["of"]) for row in found if row["of"]} <= set(stay)


def letters(rng: random.Random, count: int) -> str:
    return "".join(rng.choices("abcdefghijklmnop", k=count))


def test_a_field_that_all_rows_share_hides_no_repeat() -> None:
    """A long instruction in every row would make all rows look alike."""
    rng = random.Random(1)
    instruction = (
        "Look at the title of the product and name the brand that makes it, as it stands there. " * 12
    )
    names = [letters(rng, 7) for _ in range(500)]
    titles = [" ".join(rng.sample(names, 5)) for _ in range(1500)]
    repeats = [title[:3] + "z" + title[4:] for title in titles[::10]]
    found = reasons(*(ask(instruction, title, answer="x") for title in titles + repeats))
    assert found == [None] * len(titles) + [NEAR] * len(repeats)


def test_a_crowd_of_lookalikes_is_told_apart() -> None:
    """Hundreds of rows that differ in one word fall into the same buckets; only the planted repeats go."""
    rng = random.Random(2)
    names = [letters(rng, 9) for _ in range(400)]
    rows = [ask(f"{name} {SHIRT}") for name in names]
    repeats = [ask(f"{name} {SHIRT.replace('Pocket', 'Pokcet')}") for name in names[::8]]
    found = reasons(*rows, *repeats)
    assert found[:400] == [None] * 400
    assert found[400:].count(NEAR) >= 0.9 * len(repeats)


def test_of_a_crowd_of_repeats_one_stays() -> None:
    """More rows in a bucket than are compared with each other at once."""
    rng = random.Random(4)
    rows = []
    for _ in range(200):
        at = rng.randrange(len(KETTLE) - 30)
        rows.append(ask(KETTLE[:at] + letters(rng, 1) + KETTLE[at + 1 :]))
    kept = table(rows).filter(decide(table(rows), 0.85)["reason"].is_null())
    assert len(kept) < 20
    assert decide(kept, 0.85)["reason"].null_count == len(kept)


WORDS = st.sampled_from(
    [
        "red",
        "bed",
        "kettle",
        "ketle",
        "green",
        "Green!",
        "shirt",
        "linen",
        "42",
        "43",
        "1.5",
        "傘",
        "赤い",
        "ブルー",
        "👍",
        "",
    ]
)
TEXTS = st.lists(WORDS, max_size=5).map(" ".join)
ROWS = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.lists(TEXTS, max_size=2),
        st.lists(TEXTS, max_size=3),
        st.sampled_from(["yes", "Yes", "no", "red kettle\ngreen shirt", "green shirt\nred ketle", ""]),
    ),
    max_size=25,
)


@settings(max_examples=80, deadline=None)
@given(ROWS, st.sampled_from([None, 0.7, 0.85, 1.0]), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(
    rows: list[Row], near: float | None, rng: random.Random
) -> None:
    straight = table(rows)
    order = rng.sample(range(len(rows)), len(rows))
    found = decide(straight.take(pa.array(order, pa.int64())), near).to_pylist()
    assert [found[order.index(place)] for place in range(len(rows))] == decide(straight, near).to_pylist()


@settings(max_examples=80, deadline=None)
@given(ROWS, st.sampled_from([None, 0.7, 0.85, 1.0]))
def test_what_stays_holds_no_repeat(rows: list[Row], near: float | None) -> None:
    kept = table(rows).filter(decide(table(rows), near)["reason"].is_null())
    assert decide(kept, near)["reason"].null_count == len(kept)


@settings(max_examples=50, deadline=None)
@given(ROWS)
def test_every_reason_names_another_row(rows: list[Row]) -> None:
    found = decide(table(rows), 0.85).to_pylist()
    for place, row in enumerate(found):
        assert (row["reason"] is None) == (row["of"] is None)
        if row["reason"] == "label_conflict":
            assert found[int(row["of"])]["reason"] == "label_conflict"
            assert int(row["of"]) != place
        elif row["reason"] == NEAR:
            assert int(row["of"]) < place
            assert found[int(row["of"])]["reason"] is None
        elif row["reason"] == SAME:
            assert int(row["of"]) < place


@settings(max_examples=80, deadline=None)
@given(st.text(), st.sampled_from([None, 0.85]))
def test_any_text_repeats_itself(text: str, near: float | None) -> None:
    """Whatever a title holds, it is told from nothing and equals itself."""
    row = ask(text, options=(text, "other"), answer=text)
    assert reasons(row, row, near=near) == [None, SAME]


def market(count: int) -> list[Row]:
    """Rows of which every fifth is a repeat with a typo, and many are alike."""
    rng = random.Random(3)
    rows: list[Row] = []
    for place in range(count):
        words = rng.choices(KETTLE.split() + SHIRT.split(), k=8)
        title = f"{rng.randrange(40)} {' '.join(words)}"
        if place % 5 == 4:
            title = rows[rng.randrange(place)][1][0] + "s"
        rows.append(ask(title, answer=rng.choice(("exact", "irrelevant"))))
    return rows


def test_many_rows_leave_no_repeat_either() -> None:
    rows = table(market(3000))
    found = decide(rows, 0.85)
    kept = rows.filter(found["reason"].is_null())
    assert len(kept) < len(rows) - 300
    assert decide(kept, 0.85)["reason"].null_count == len(kept)


@pytest.mark.parametrize("size", [1, 7, 300, 3000])
def test_rows_may_be_read_in_any_parts(size: int) -> None:
    rows = table(market(300))
    parts = [dedup.read(rows.slice(at, size)) for at in range(0, len(rows), size)]
    empty = dedup.read(rows.slice(0, 0))
    assert dedup.decide([empty, *parts, empty], 0.85) == decide(rows, 0.85)


SCRIPT = """
import hashlib, os, sys
cores = sorted(os.sched_getaffinity(0))[: int(sys.argv[1])]
os.sched_setaffinity(0, cores)
import test_dedup
found = test_dedup.decide(test_dedup.table(test_dedup.market(3000)), 0.85)
print(len(cores), hashlib.sha256(str(found.to_pylist()).encode()).hexdigest())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux pins a process to a core")
def test_threads_and_hash_seed_change_nothing() -> None:
    outcomes = []
    for cores, seed in (("1", "0"), ("2", "1")):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent)}
        command = [sys.executable, "-c", SCRIPT, cores]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        outcomes.append(run.stdout.split())
    assert outcomes[0][1] == outcomes[1][1]


def test_null_texts_read_as_empty() -> None:
    rows = pa.table([["a", "b"], ["k", "k"], [[None], [""]], [None, []], [None, ""]], schema=SCHEMA)
    assert decide(rows, 0.85)["reason"].to_pylist() == [None, SAME]


def test_result_has_the_schema_it_says() -> None:
    for rows in ([], [ask(KETTLE)]):
        assert decide(table(rows), 0.85).schema == dedup.RESULT
