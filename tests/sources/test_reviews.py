"""Reviews as they come: odd and broken lines, what is drawn and cleaned, and what is found in their texts."""

import json
from pathlib import Path
from typing import Any

import pytest

from datagen.sources.sample import write_sample
from datagen.sources.sample.items import items, purchases
from datagen.sources.sample.reviews import write_reviews
from tests.sources.test_layouts import ITEM, REVIEW, put, rows

PRODUCTS = 2_000


def seeds(folder: Path, reviews: list[Any]) -> Path:
    lines = [
        review if isinstance(review, str) else json.dumps({**REVIEW, "timestamp": place, **review})
        for place, review in enumerate(reviews)
    ]
    put(folder / "reviews" / "Toys.jsonl", "\n".join(lines) + "\n")
    put(folder / "reviews" / "meta_Toys.jsonl", json.dumps(ITEM) + "\n")
    return folder


def test_broken_lines_are_counted_and_odd_ones_left_out(tmp_path: Path) -> None:
    good = "A warm hat, and my ears have been warm since I got it."
    odd = [
        {"text": good},
        '{"rating": 5.0, "title": "cut o',
        "not json",
        {"text": good, "user_id": "U2"},
        {"text": "The same hat, but nobody knows what it is worth.", "rating": "N/A"},
        {"text": "A hat that is longer than any other one. " * 25_000},
        {"text": "No item is known by this id, and yet it is a review.", "parent_asin": "B404"},
        {"text": "Ein Hut für den Winter und für die kalten Tage."},
        {"text": None},
        {"text": "A hat\x00 with a sign that nobody can read in it."},
    ]
    found, told = rows(seeds(tmp_path, odd), "reviews", "select text from reviews.told order by 1")
    assert [str(text)[:12] for (text,) in found] == ["A hat\x00 with ", "A warm hat, ", "No item is k"]
    assert any("Toys.jsonl: 2 of its rows left out, which are no JSON objects" in line for line in told)


def test_texts_are_cleaned_and_no_user_is_in_them(tmp_path: Path) -> None:
    text = "Warm &amp; soft.<br /><br />My son&#39;s [[VIDEOID:abc]] favorite &#34;hat&#34;"
    where = seeds(tmp_path, [{"text": text, "title": "Warm &amp; soft"}])
    found, _ = rows(where, "reviews", "select text, headline, key, groups from reviews.told")
    assert found == [
        ('Warm & soft. My son\'s favorite "hat"', "Warm & soft", "B00/0", ["product:us:B00"]),
    ]
    [columns], _ = rows(where, "reviews", "select list(name) from pragma_table_info('reviews.told')")
    assert "user_id" not in str(columns)


@pytest.mark.parametrize(
    ("stars", "text", "snippets"),
    [
        (5.0, "The fit is perfect. It came on Monday.", [("size", "positive", "The fit is perfect")]),
        (5.0, "Great fit but the color is awful.", [("size", "positive", "Great fit")]),
        (5.0, "Great fit at first. The fit is terrible now.", []),
        (5.0, "The fit is not perfect to be honest.", []),
        (1.0, "The fit is perfect for a doll, I suppose.", []),
        (1.0, "The quality is poor!!! It came on Monday.", [("quality", "negative", "The quality is poor")]),
        (3.0, "The fit is perfect. It came on Monday.", []),
        (5.0, "Perfect fit and a beautiful color.", []),
        (5.0, "A little snug, but perfect.", []),
        (5.0, "These are pretty nice boots.", []),
        (5.0, "So, the quality is great.", [("quality", "positive", "the quality is great")]),
        (5.0, "Muy buen fit muy bonito y de buena calidad, perfect fit.", []),
    ],
)  # fmt: skip
def test_snippets_are_what_words_and_stars_agree_on(
    tmp_path: Path, stars: float, text: str, snippets: list[tuple[str, str, str]]
) -> None:
    query = "select aspect, sentiment, snippet from reviews.snippets order by all"
    found, _ = rows(seeds(tmp_path, [{"text": text, "rating": stars}]), "reviews", query)
    assert found == snippets


def test_the_samples_reviews_say_what_their_stars_do(tmp_path: Path) -> None:
    """Those of five stars praise, those of one complain, and the word lists find most of what they say."""
    write_sample(tmp_path, 2_000)
    found, _ = rows(
        tmp_path,
        "reviews",
        "select stars, avg(list_contains(opinions_in(text, 'en'), 'good')::int),"
        " avg(list_contains(opinions_in(text, 'en'), 'bad')::int),"
        " avg((len(aspects_in(text, 'en')) > 1)::int)"
        " from reviews.told group by stars order by stars",
    )
    good, bad, aspects = zip(*(row[1:] for row in found), strict=True)
    assert good[0] < 0.02 < 0.98 < good[4]
    assert bad[4] < 0.02 < 0.98 < bad[0]
    assert min(aspects) > 0.95


def test_the_same_reviews_are_written_again(tmp_path: Path) -> None:
    bought = purchases(items(PRODUCTS, 7), 7)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_reviews(tmp_path / name, bought)
    one, two = (
        [path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in ("one", "two")
    )
    assert one == two
    assert sum(data.count(b"\n") for data in one) == len(bought)
