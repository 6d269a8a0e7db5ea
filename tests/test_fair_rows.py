"""Rows whose right option is right and whose wrong ones are wrong, from seeds of a few lines."""

import csv
from pathlib import Path
from typing import Any

import pytest

from datagen.prompts.template import load_template
from datagen.recipe.load import load
from datagen.sources.database import open_seeds
from tests.test_esci_rows import rows_of
from tests.test_item_rows import ITEM, REVIEW, read_lines, write_lines

Rows = list[dict[str, Any]]


def drawn(seeds: Path, recipe_name: str, task: str) -> Rows:
    """What a task makes of seeds, without its split."""
    recipe = load(recipe_name)
    with open_seeds(recipe.sources, seeds, recipe.seed, tables=recipe.tables) as opened:
        result = opened.of(task).execute(recipe.tasks[task].query)
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def test_a_question_without_options_asks_for_one_name(tmp_path: Path) -> None:
    folder = tmp_path / "mmlu" / "data" / "val"
    folder.mkdir(parents=True)
    asked = {
        "Which tool tightens a screw?": "A screwdriver",
        "What is the capital of Canada?": "Ottawa",
        "Which factor is cited as the cause of the war?": "Domestic concerns",
        "How did relations with Russia develop?": "Cautious support",
        "What do you use to measure flour?": "A kitchen scale",
        "What is meant by a grand strategy of that time?": "Striving for power in the whole of the world",
    }
    with (folder / "miscellaneous_val.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [question, right, "One", "Two", "Three", "A"] for question, right in asked.items()
        )
    found = {row["text"] for row in drawn(tmp_path, "mmlu", "open_question")}
    assert found == {"Which tool tightens a screw?", "What is the capital of Canada?"}


def test_what_reaches_far_is_laid_end_to_end(tmp_path: Path) -> None:
    titles = [
        "String Lights for Patios, 33 ft, Red",
        "HDTV Indoor Antenna + 16.5 ft Coax Cable, Black",
        "Indoor Fan with Longer 12 ft Cord",
        "HDMI Cable for Screens, 10 ft, Black",
    ]
    rows = rows_of(tmp_path, "numbers/reach", [{"product_title": title} for title in titles])
    assert [row["title"] for row in rows] == titles[:1]


@pytest.mark.parametrize("query", ["toy for large dogs", "toy for dogs"])
def test_an_audience_is_cited_whole(tmp_path: Path, query: str) -> None:
    rows = rows_of(
        tmp_path, "esci_ner/attribute_in_query", [{"product_title": "A Toy for Large Dogs"}], [query]
    )
    found = [row["entities"] for row in rows if row["kind"] == "audience"]
    assert found == ([] if "large" in query else [["dogs"]])


def test_no_entity_is_part_of_a_brand(tmp_path: Path) -> None:
    product = {"product_title": "Yellow Dog Collar of leather", "product_brand": "Yellow Dog Design"}
    rows = rows_of(tmp_path, "esci_ner/attribute_in_query", [product], ["yellow dog leather collar"])
    assert [row["entities"] for row in rows] == [["leather"]]


def test_titles_in_two_languages_tell_the_same_numbers(tmp_path: Path) -> None:
    def titles_of(english: str, spanish: str, folder: Path) -> Rows:
        home = {"product_id": "P0", "product_title": english}
        abroad = {"product_id": "P0", "product_title": spanish, "product_locale": "es"}
        return rows_of(folder, "esci_languages/title_in_language", [home, abroad])

    agreed = titles_of("Large leather case, 12 inch", "Funda grande de cuero, 12 pulgadas", tmp_path / "a")
    apart = titles_of("Large leather case, 12 inch", "Funda grande de cuero, 30 cm", tmp_path / "b")
    assert (bool(agreed), bool(apart)) == (True, False)


def test_a_wrong_title_names_nothing_that_the_review_tells(tmp_path: Path) -> None:
    told = {
        "Such great quality": "The quality is great, I will buy it again and again for all of us.",
        "Quality and a good price": "The quality is good and the price is a bargain for what you get.",
        "A very nice color": "What a nice color, I had not thought that it would look so well.",
        "Loud, awful noise": "It makes a loud noise all day, so that the neighbors came to ask.",
        "Easy to clean up": "It is easy to clean, a wet cloth and a minute of your time will do.",
        "Comfortable to wear": "So comfortable to wear the whole day long, I forgot that I had it on.",
    }
    reviews = [
        {**REVIEW, "title": title, "text": f"{text} {said}", "parent_asin": f"B{place:08}{nth}"}
        for nth, said in enumerate(["It was a present.", "I bought two of them.", "My aunt has one."])
        for place, (title, text) in enumerate(told.items())
    ]
    write_lines(tmp_path / "reviews" / "Toys.jsonl", reviews)
    write_lines(tmp_path / "reviews" / "meta_Toys.jsonl", [ITEM])
    rows = drawn(tmp_path, "reviews_texts", "title_of_review")
    assert len(rows) >= 3
    assert not [
        row
        for row in rows
        for title in row["distractors"]
        if "quality" in title.lower() and "quality" in row["text"]
    ]


def test_wrong_bullet_points_tell_of_their_own_products(tmp_path: Path) -> None:
    things = ["kettle", "curtain", "hammer", "guitar", "notebook", "pillow", "scooter", "blender", "lantern"]
    points = [
        "The {0} is made by hand",
        "A {0} for every week",
        "This {0} weighs two pounds",
        "Lasts {1} years or more",
    ]
    products = [
        {
            "product_title": f"{thing.title()} {place}",
            "product_bullet_point": "\n".join(points).format(thing, place + 2),
        }
        for place, thing in enumerate(things)
    ]
    rows = rows_of(tmp_path, "esci_retrieval/bullets_of_product", products)
    assert rows
    for row in rows:
        assert [bullet for bullet in row["positives"] if "Lasts" in bullet]
        assert not [bullet for bullet in row["negatives"] if "Lasts" in bullet]


def test_a_question_needs_no_picture_and_its_signs_are_read_right(tmp_path: Path) -> None:
    folder = tmp_path / "mmlu" / "data" / "val"
    folder.mkdir(parents=True)
    asked = [
        "Which of the two tools tightens a screw?",
        "The spectrum shown in Fig. 4.25 is of which gas?",
        "Question below refers to the following situation:",
        "A set of orbitals is given above. How many of them are full?",
        "How large is Decker‚Äôs share of the income?",
    ]
    with (folder / "college_physics_val.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([question, "One", "Two", "Three", "Four", "A"] for question in asked)
    assert [row["text"] for row in drawn(tmp_path, "mmlu", "science")] == asked[:1]


def test_no_question_is_of_sex_or_of_a_book_that_is_not_shown(tmp_path: Path) -> None:
    folder = tmp_path / "mmlu" / "data" / "val"
    folder.mkdir(parents=True)
    asked = {
        "sociology": [
            "Which of these is a group of two?",
            "Is there a law against sex discrimination?",
            "What do surveys tell of sexual intercourse?",
            "What does the text's definition of a norm include?",
            "A norm refers to: (Chapter 10 p. 245)",
            "What is the best advice in this book?",
            "Whom does the poet praise in the passage above?",
        ],
        "human_sexuality": ["Which group was asked by that survey?"],
    }
    for subject, questions in asked.items():
        with (folder / f"{subject}_val.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([text, "One", "Two", "Three", "Four", "A"] for text in questions)
    found = {row["text"] for row in drawn(tmp_path, "mmlu", "society")}
    assert found == set(asked["sociology"][:2])


def test_a_wrong_snippet_has_no_word_that_may_tell_of_the_aspect(tmp_path: Path) -> None:
    told = [
        "It is beautiful", "So stylish and I love it", "What an attractive thing", "Very comfortable to wear",
        "The price is great", "Such great quality", "It arrived fast and the delivery was great",
        "The battery is great", "The sound is great", "Easy to clean and that is great",
        "The instructions are great", "The glasses are sturdy and look really great",
        "Great smooth appearance",
    ]  # fmt: skip
    reviews = [
        {**REVIEW, "text": f"{text}. I have no more to tell of it today.", "parent_asin": f"B{place:09}"}
        for place, text in enumerate(told)
    ]
    write_lines(tmp_path / "reviews" / "Toys.jsonl", [*reviews, *reviews])
    write_lines(tmp_path / "reviews" / "meta_Toys.jsonl", [ITEM])
    rows = drawn(tmp_path, "reviews_texts", "snippets_on_aspect")
    rows = [row for row in rows if row["aspect"] == "appearance"]
    assert rows
    assert not [text for row in rows for text in row["negatives"] if "look" in text or "appearance" in text]


def test_an_answer_is_a_query_without_misspelt_words(tmp_path: Path) -> None:
    film = {"product_title": "Father of the Bride, the film on a disc"}
    rod = {"product_title": "カーテンポール アイアン 180〜360cm ブラック", "product_locale": "jp"}
    for place, (product, right, wrong, task) in enumerate(
        [
            (film, "fathers", "fathes", "query_for_product"),
            (rod, "カーテンポール 黒", "カテンポール", "query_for_foreign_product"),
        ]
    ):
        rows = [
            row["reference"]
            for nth, query in enumerate([right, wrong])
            for row in rows_of(tmp_path / f"{place}{nth}", f"esci_generation/{task}", [product], [query])
        ]
        assert rows == [right]


@pytest.mark.parametrize(
    ("locale", "title", "query", "asked"),
    [
        ("jp", "スマホケース スポーツ スマホカバー サッカー", "スマホかばー スポーツ", False),
        ("jp", "スマホケース スポーツ スマホカバー サッカー", "スマホカバー スポーツ", True),
        ("jp", "防水携帯ケース", "放水 携帯", False),
        ("jp", "防水携帯ケース", "防水 携帯", True),
        ("jp", "水泳ゴーグル 子供用ゴーグル 競泳", "子供ゴーグル", True),
        ("es", "Puzzles de madera, juguete para niña y niños 4 años", "niña de 4 años", False),
        ("es", "Puzzles de madera, juguete para niña y niños 4 años", "juguete niña 4 años", True),
    ],
)
def test_a_query_to_write_is_well_spelt_and_names_a_thing(
    tmp_path: Path, locale: str, title: str, query: str, asked: bool
) -> None:
    product = {"product_title": title, "product_locale": locale}
    rows = rows_of(tmp_path, "esci_generation/query_for_foreign_product", [product], [query])
    assert bool(rows) == asked


@pytest.mark.parametrize(
    ("title", "total"),
    [
        ("Udon Noodles, 7.76 oz (Pack of 6)", "46.56 ounces"),
        ("Foil Containers with Lids, 1 lb (Pack of 55)", None),
        ("Laundry Detergent, 170 Loads, 255 Fl Oz (Pack of 2)", None),
    ],
)
def test_what_a_container_holds_is_no_total(tmp_path: Path, title: str, total: str | None) -> None:
    rows = rows_of(tmp_path, "numbers/total_amount", [{"product_title": title}])
    assert [row["correct"] for row in rows] == ([total] if total else [])


def test_a_number_of_a_brand_s_name_is_no_amount(tmp_path: Path) -> None:
    products = [
        {"product_title": "2L Lifestyle Pub Table, Ivory White", "product_brand": "2L Lifestyle"},
        {"product_title": "Pub Jug of 2L, Ivory White", "product_brand": "2L Lifestyle"},
    ]
    rows = rows_of(tmp_path, "numbers/amount_told", products)
    assert {row["title"]: row["correct"] for row in rows if "liters" in row["correct"]} == {
        "Pub Jug of 2L, Ivory White": "2 liters"
    }


@pytest.mark.parametrize(
    ("title", "kept"),
    [
        ("Acme Kettle of Steel, Black", True),
        ("Round Drop Pendant of Silver", False),
        ("Acme Kettle of Steel, Bla…", False),
    ],
)
def test_a_title_to_write_is_whole_and_told_in_part(tmp_path: Path, title: str, kept: bool) -> None:
    points = "The kettle boils a liter of water in a minute\nIts steel does not rust\n" + "A cord. " * 6
    product = {"product_title": title, "product_bullet_point": points}
    assert bool(rows_of(tmp_path, "esci_generation/title_from_features", [product])) == kept


def test_a_product_s_reviews_are_not_those_of_a_wrong_one(tmp_path: Path) -> None:
    titles = ["Star Stud Earrings for Parties", "Necklace and Stud Earring Jewelry Set"]
    titles += [
        f"{name} of Steel for Every Day" for name in ("Kettle", "Hammer", "Scooter", "Lantern", "Whisk")
    ]
    said = ["earrings and a necklace", "necklace", "kettle", "hammer", "scooter", "lantern", "whisk"]
    reviews = [
        {
            **REVIEW,
            "text": f"I took my {thing} with me {nth} times, what a joy it was to have.",
            "parent_asin": f"B{place:09}",
            "timestamp": nth,
        }
        for nth in range(3)
        for place, thing in enumerate(said)
    ]
    write_lines(tmp_path / "reviews" / "Toys.jsonl", reviews)
    items = [{**ITEM, "parent_asin": f"B{place:09}", "title": title} for place, title in enumerate(titles)]
    write_lines(tmp_path / "reviews" / "meta_Toys.jsonl", items)
    rows = [
        row for row in drawn(tmp_path, "reviews_texts", "product_of_review") if row["correct"] == titles[0]
    ]
    assert rows
    assert not [row for row in rows if titles[1] in row["distractors"]]


def test_options_do_not_differ_by_a_plural_alone(tmp_path: Path) -> None:
    groups = ["womens", "women", "mens", "men", "boys", "girls", "unisex-baby"]
    items = [
        {
            **ITEM,
            "parent_asin": f"B{place:09}",
            "title": f"{('Girls', 'Boys')[place % 2]} Jacket number {place}",
            "details": {"Department": groups[place % len(groups)]},
        }
        for place in range(70)
    ]
    write_lines(tmp_path / "reviews" / "meta_Toys.jsonl", items)
    write_lines(tmp_path / "reviews" / "Toys.jsonl", [REVIEW])
    rows = drawn(tmp_path, "reviews_attributes", "value_in_title")
    assert rows
    for row in rows:
        options = [row["correct"], *row["distractors"]]
        assert len({option.rstrip("s") for option in options}) == len(options), row


def test_stars_that_a_review_contradicts_are_not_asked_for(tmp_path: Path) -> None:
    told = {
        f"Mine is number {stars} and has a {'good lid' if stars > 3 else 'lid'}, as each has there.": stars
        for stars in range(1, 6)
    }
    for nth in range(9):
        told[f"It is awful and much too small, I had to send {nth} of them back."] = 4
        told[f"Its band does not go around the heads of {nth} of us, not at all."] = 5
        told[f"What a beautiful thing, all of us love it and have {nth} of them."] = 2
    reviews = [
        {**REVIEW, "title": "", "text": text, "rating": float(stars), "parent_asin": f"B{place:09}"}
        for place, (text, stars) in enumerate(told.items())
    ]
    write_lines(tmp_path / "reviews" / "Toys.jsonl", reviews)
    write_lines(tmp_path / "reviews" / "meta_Toys.jsonl", [ITEM])
    rows = drawn(tmp_path, "reviews_sentiment", "rating")
    assert {row["answer"] for row in rows} == {1, 2, 3, 4, 5}
    assert not [row["text"] for row in rows if "number" not in row["text"]]


def test_a_title_to_write_for_a_review_is_told_there_and_a_rated_one_says_something(tmp_path: Path) -> None:
    texts = {
        "Color of a lovely key chain": "Such a cute gift for my mother, who likes its engraving and color.",
        "Sturdy blocks of good color": "The blocks are sturdy and their color is good, my son builds towers.",
        "Blocks": "What else do you expect!!",
    }
    reviews = [
        {**REVIEW, "title": title, "text": text, "user_id": f"U{place}", "timestamp": place, "rating": 4.0}
        for place, (title, text) in enumerate(texts.items())
    ]
    write_lines(tmp_path / "reviews" / "Toys.jsonl", reviews)
    write_lines(tmp_path / "reviews" / "meta_Toys.jsonl", [ITEM])
    written = {row["reference"] for row in drawn(tmp_path, "reviews_texts", "review_title")}
    assert "Color of a lovely key chain" not in written
    assert "Sturdy blocks of good color" in written
    rated = {row["text"] for row in drawn(tmp_path, "reviews_sentiment", "rating")}
    assert texts["Sturdy blocks of good color"] in rated
    assert texts["Blocks"] not in rated


def test_what_a_pendant_is_made_of_is_no_color(tmp_path: Path) -> None:
    titles = ["Ash Holder Pendant of Sterling Silver for Her", "Water Bottle with a Lid in Silver for Her"]
    items = [
        {**ITEM, "title": title, "parent_asin": f"B{place:09}", "details": {"Color": "Silver"}}
        for place, title in enumerate(titles)
    ]
    write_lines(tmp_path / "reviews" / "meta_Toys.jsonl", items)
    write_lines(tmp_path / "reviews" / "Toys.jsonl", [REVIEW])
    found = {row["text"] for row in drawn(tmp_path, "reviews_attributes", "value_of_attribute")}
    assert found == {titles[1]}


def write_texts(seeds: Path, texts: list[str], **change: Any) -> Path:
    """A review a text, each of its own item."""
    reviews = [
        {**REVIEW, "text": text, "parent_asin": f"B{place:09}", **change} for place, text in enumerate(texts)
    ]
    write_lines(seeds / "reviews" / "Toys.jsonl", [*read_lines(seeds, "Toys.jsonl"), *reviews])
    write_lines(seeds / "reviews" / "meta_Toys.jsonl", [ITEM])
    return seeds


def test_few_complaints_are_not_the_wrong_options_of_all_praise(tmp_path: Path) -> None:
    praise = ["Great color", "Great smell", "Great taste", "Great sound", "Great price", "Great battery"]
    write_texts(tmp_path, [f"{text} for {days} days in a row" for text in praise for days in range(3, 30)])
    complaints = ["The material is awful, all of it", "The delivery was awful, all of it"]
    write_texts(tmp_path, complaints, rating=1.0, timestamp=1)
    rows = drawn(tmp_path, "reviews_sentiment", "aspect_snippet")
    assert 1 <= len(rows) <= 4


@pytest.mark.parametrize(
    ("text", "aspects"),
    [
        (
            "It is so warm and great. My aunt has one of these. I bought it in May. We went to Rome.",
            ["warmth"],
        ),
        (
            "The warm weather is great here. My aunt has one of these. I bought it in May. We went to Rome.",
            [],
        ),
        ("It is so warm and great. It was hot all day, too. I bought it in May. We went to Rome.", []),
        (
            "I love the other style as well. My aunt has one of these. I bought it in May. We went to Rome.",
            [],
        ),
    ],
)
def test_one_phrase_alone_tells_of_an_aspect(tmp_path: Path, text: str, aspects: list[str]) -> None:
    write_texts(tmp_path, [text])
    for task in ("keyphrase", "keyphrase_choice"):
        assert [row["aspect"] for row in drawn(tmp_path, "reviews_texts", task)] == aspects


def test_a_synonym_is_of_the_word_that_the_title_means(tmp_path: Path) -> None:
    """Not of a part of a longer one, of a shade, or of the size of a part."""
    titles = {
        "Sofa for Two of Faux Leather": "faux leather",
        "Armchair of Faux Leather": "faux leather",
        "Bench of Faux Leather": "faux leather",
        "Vanity with Two Large Drawers": None,
        "Long Socks with Stripes, Large": "large",
        "Watch Band (Rose Gold)": None,
        "Watch Band (Gold)": "gold",
        "Bulb of 60 Watts, Soft White": None,
        "Bulb of 60 Watts, White": "white",
        "Glasses for Red Wine": None,
    }
    rows = rows_of(tmp_path, "esci_values/value_synonym", [{"product_title": title} for title in titles])
    found = {row["title"]: row["word"] for row in rows}
    assert {title: found.get(title) for title in titles} == titles


@pytest.mark.parametrize(
    ("kind", "title", "bullet", "right"),
    [
        ("material", "Soap Bar for Dry Hair, Plastic Free", "Made without plastic", None),
        ("material", "Sectional Sofa of Faux Leather", "Made of faux leather", "faux leather"),
        ("material", "Woven Basket of Bamboo", "Made of bamboo", "bamboo"),
        ("audience", "Cloud Garland for a Baby Shower", "Made of paper", None),
        ("color", "Glass Bottle in Off White", "Made of glass", None),
        ("audience", "Tee with a Baby Bump", "Made of cotton", None),
        ("audience", "The Missing Women of the Isle", "Made of paper", None),
        ("audience", "Kid Safe Weed Killer for Lawns", "Made of vinegar", None),
        ("audience", "Car Mirror for a Baby in the Back", "Made of glass", "baby"),
    ],
)
def test_a_value_of_a_title_is_one_of_the_product(
    tmp_path: Path, kind: str, title: str, bullet: str, right: str | None
) -> None:
    page = {"product_title": title, "product_bullet_point": bullet, "product_color": "White"}
    others = [
        {
            "product_title": f"Soft {color} Thing of {stuff} for {name}",
            "product_bullet_point": f"Made of {stuff}",
            "product_color": color,
        }
        for name, stuff, color in [
            ("Dogs", "Silk", "Blue"),
            ("Cats", "Cotton", "Pink"),
            ("Women", "Wool", "Black"),
            ("Men", "Paper", "Green"),
        ]
    ]
    rows = rows_of(tmp_path, "esci_values/value_in_title", [page] * 4 + others)
    found = {row["correct"].lower() for row in rows if (row["kind"], row["title"]) == (kind, title)}
    assert found == ({right} if right else set())


@pytest.mark.parametrize(
    ("clause", "aspect", "phrase"),
    [
        ("It fits well and feels very good", "size", "It fits well"),
        ("Bought for my daughter, fits as expected", "size", "fits as expected"),
        ("But a very sturdy bag", "quality", "a very sturdy bag"),
        ("Warm and great", "warmth", "Warm and great"),
    ],
)
def test_a_phrase_about_an_aspect_tells_of_nothing_else(
    tmp_path: Path, clause: str, aspect: str, phrase: str
) -> None:
    write_texts(tmp_path, [f"My aunt has two of these. {clause}. We went to Rome with them and came back."])
    rows = drawn(tmp_path, "reviews_texts", "keyphrase")
    assert [(row["aspect"], row["reference"]) for row in rows] == [(aspect, phrase)]


def test_a_snippet_to_write_is_about_its_aspect_alone(tmp_path: Path) -> None:
    write_texts(tmp_path, ["They look great and fit great", "The fit is great, every time"])
    items = [{**ITEM, "parent_asin": f"B{place:09}"} for place in range(2)]
    write_lines(tmp_path / "reviews" / "meta_Toys.jsonl", items)
    rows = drawn(tmp_path, "reviews_texts", "write_snippet")
    assert [row["reference"] for row in rows] == ["The fit is great, every time"]


def test_what_is_not_good_is_no_average_review(tmp_path: Path) -> None:
    texts = ["It is awful to clean, and it is not a great one", "It is awful to clean, and it is pretty"]
    write_texts(tmp_path, texts, rating=3.0)
    write_texts(tmp_path, [f"A great bag, all {n} of us love it" for n in "345"], rating=5.0, timestamp=1)
    write_texts(tmp_path, [f"An awful bag, {n} of us hated it" for n in "345"], rating=1.0, timestamp=2)
    rows = drawn(tmp_path, "reviews_sentiment", "sentiment")
    assert [row["text"] for row in rows if row["answer"] == 1] == texts[1:]


@pytest.mark.parametrize(
    ("query", "entities"),
    [
        ("toilet paper bulk", []),
        ("paper plates bulk", ["paper"]),
        ("flower girl dress", []),
        ("girl dress long", ["girl"]),
        ("three women novel", []),
    ],
)
def test_a_word_of_the_wanted_thing_s_name_is_no_attribute(
    tmp_path: Path, query: str, entities: list[str]
) -> None:
    rows = rows_of(tmp_path, "esci_ner/attribute_in_query", [{"product_title": query.title()}], [query])
    assert [row["entities"][0] for row in rows] == entities


@pytest.mark.parametrize(
    ("kind", "asks"), [("audience", "Whom is it for?"), ("color", "What color does it have?")]
)
def test_nobody_asks_what_audience_a_product_has(kind: str, asks: str) -> None:
    template = load_template(Path("templates/multiple_choice/value_in_title.j2"))
    slots = dict.fromkeys(template.slots, "") | {
        "title": "Tea Mug",
        "kind": kind,
        "listing": "0. a\n1. b",
    }
    assert asks in template.render(0, slots)


@pytest.mark.parametrize("name", ["pieces_left", "packs_needed"])
def test_nobody_uses_up_a_toy(name: str) -> None:
    template = load_template(Path(f"templates/multiple_choice/{name}.j2"))
    slots = dict.fromkeys(template.slots, "3") | {"title": "Toy Bricks, 100 pieces"}
    asked = [template.render(place, slots) for place in range(len(template.wordings))]
    assert asked
    assert not [text for text in asked if "use" in text.lower()]


@pytest.mark.parametrize(("rival", "asked"), [("Crafty Minds", False), ("Mindful Craft", True)])
def test_a_title_that_begins_with_a_known_brand_may_tell_its_own(
    tmp_path: Path, rival: str, asked: bool
) -> None:
    title = "Crafty Minds Paper Journal for School"
    silent = [{"product_title": title, "product_brand": "Nordwell"}] * 20
    told = [
        {"product_title": f"{brand} Paper Journal for School", "product_brand": brand}
        for brand in [rival, *(f"Maker{nth}" for nth in range(90))]
    ]
    rows = rows_of(tmp_path, "esci_values/value_in_title", silent + told)
    assert bool([row for row in rows if row["title"] == title]) == asked


@pytest.mark.parametrize(
    ("title", "asked"),
    [("折りたたみ 自転車 20インチ (WHITE)", False), ("折りたたみ 自転車 20インチ (P008N)", True)],
)
def test_a_color_in_another_language_is_told(tmp_path: Path, title: str, asked: bool) -> None:
    here = {"product_locale": "jp", "product_brand": None}
    silent = [{**here, "product_title": title, "product_color": "ホワイト"}] * 20
    colors = ["ブラック", "レッド", "ブルー", "グリーン"] * 20
    told = [
        {**here, "product_title": f"防水の厚手カバー 自転車用 大きめ {color}", "product_color": color}
        for color in colors
    ]
    rows = rows_of(tmp_path, "esci_values/value_in_title", silent + told)
    assert bool([row for row in rows if (row["kind"], row["title"]) == ("color", title)]) == asked


def test_seeds_of_flax_are_no_linen(tmp_path: Path) -> None:
    titles = ["Proteína en polvo con semillas de lino", "Vestido largo para el verano de lino"]
    pages = [{"product_title": title, "product_locale": "es"} for title in titles]
    rows = rows_of(tmp_path, "esci_values/value_synonym", pages)
    assert [row["title"] for row in rows] == titles[1:]
