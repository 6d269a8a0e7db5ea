"""The questions of `esci_mcq` against their judgements: one right option, and wrong ones that are wrong.

What is right and wrong is worked out here anew from the seed tables, not with the recipe's SQL.
"""

import html
import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen.pipeline.render import job_of, word
from datagen.pipeline.sampling import draw
from datagen.recipe.load import load
from datagen.sources import esci
from datagen.sources.database import open_seeds
from datagen.sources.query import columns_of

JUDGEMENTS = 30_000
"""Enough for 6,000 questions in all."""

ENOUGH = 500
"""Fewer questions than this say nothing of shares and correlations."""

OPTIONS = 4
CRITICAL = 16.27  # chi-squared with 3 degrees of freedom: 1 in 1,000 uniform samples is further off
RELATIONS = {"exact": "E", "substitute": "S", "complement": "C", "irrelevant": "I"}
TASKS = ["best_match", "relation", "odd_one_out", "query_for_product", "missed_attribute"]


@dataclass(frozen=True)
class Asked:
    """One question: its key's parts, what it shows, its options as listed, the right one's position."""

    key: tuple[str, ...]
    fields: list[str]
    options: list[str]
    right: int

    @property
    def wrong(self) -> list[str]:
        return self.options[: self.right] + self.options[self.right + 1 :]


Questions = dict[str, list[Asked]]


class Judged:
    """The judgements of one seed folder, looked up by what a question shows: titles and queries."""

    def __init__(self, seeds: Path) -> None:
        files = {name: seeds / "esci" / table.file for name, table in esci.TABLES.items()}
        products = pq.read_table(files["products"]).to_pylist()
        titles = {
            (row["product_locale"], row["product_id"]): fold(html.unescape(row["product_title"]))
            for row in products
        }
        self.brands = {
            (row["product_locale"], row["product_id"]): fold(row["product_brand"]) for row in products
        }
        self.of_pair: dict[tuple[str, str, str], str] = {}
        self.of_title: defaultdict[tuple[str, str], defaultdict[str, set[str]]] = defaultdict(
            lambda: defaultdict(set)
        )
        self.of_query: defaultdict[tuple[str, str], defaultdict[str, set[str]]] = defaultdict(
            lambda: defaultdict(set)
        )
        self.queries: dict[tuple[str, str], str] = {}
        for row in pq.read_table(files["examples"]).to_pylist():
            locale, query_id, product, label = (
                str(row[name]) for name in ("product_locale", "query_id", "product_id", "esci_label")
            )
            self.of_pair[locale, query_id, product] = label
            self.of_title[locale, query_id][titles[locale, product]].add(label)
            self.of_query[locale, product][fold(row["query"])].add(label)
            self.queries[locale, query_id] = fold(row["query"])
        self.exact_for: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self.unfit_for: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for (locale, query_id, product), label in self.of_pair.items():
            sets = self.exact_for if label == "E" else self.unfit_for if label in "CI" else None
            if sets is not None:
                sets[locale, self.queries[locale, query_id]].add(product)


def fold(text: str | None) -> str:
    return " ".join((text or "").split()).casefold()


@pytest.fixture(scope="module", params=["made up", "real"])
def seeds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "real":
        return Path(request.getfixturevalue("real")) / "seeds"
    from datagen.sources.sample import write_sample

    folder = tmp_path_factory.mktemp("market")
    write_sample(folder, JUDGEMENTS)
    return folder


@pytest.fixture(scope="module")
def questions(seeds: Path, tmp_path_factory: pytest.TempPathFactory) -> Questions:
    """All questions that the recipe can ask of the seeds, in the form in which a model reads them."""
    recipe, folder = load("esci_mcq"), tmp_path_factory.mktemp("drawn")
    asked: Questions = {}
    with open_seeds(recipe.sources, seeds, recipe.seed, tables=recipe.tables) as opened:
        for name, task in recipe.tasks.items():
            path = folder / f"{name}.arrow"
            columns = list(columns_of(opened.of(name), task.query))
            draw(opened, name, task.query, columns, 10**6, recipe.split.test, path)
            with pa.OSFile(str(path)) as file:
                reader = pa.ipc.open_file(file)
                batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
            rows = [row for batch in batches for row in word(batch, job_of(recipe, name))[0].to_pylist()]
            asked[name] = [
                Asked(tuple(row["key"].split("/")), row["fields"], row["options"], int(row["target"]))
                for row in rows
            ]
    return asked


@pytest.fixture(scope="module")
def judged(seeds: Path) -> Judged:
    return Judged(seeds)


def test_every_task_asks_something(questions: Questions, seeds: Path) -> None:
    assert list(questions) == TASKS
    if seeds.name == "seeds":
        pytest.skip("real seeds are as many as they are")
    assert all(questions.values())


@pytest.mark.parametrize("task", TASKS)
def test_four_options_that_all_differ(questions: Questions, task: str) -> None:
    for asked in questions[task]:
        assert len({fold(option) for option in asked.options}) == len(asked.options) == OPTIONS, asked


def test_best_match_is_the_only_exact_product_shown(questions: Questions, judged: Judged) -> None:
    for asked in questions["best_match"]:
        locale, query_id, product = asked.key
        labels = judged.of_title[locale, query_id]
        assert judged.of_pair[locale, query_id, product] == "E", asked
        assert "E" in labels[fold(asked.options[asked.right])], asked
        for wrong in asked.wrong:
            assert labels[fold(wrong)], f"not judged for the query: {wrong}"
            assert "E" not in labels[fold(wrong)], asked


def test_nobody_is_asked_what_is_absent(questions: Questions) -> None:
    """Judges often took a product for exact that has what is not wanted."""
    shown = [fold(field) for asked in questions["best_match"] for field in asked.fields]
    assert not [text for text in shown if re.match(r".*\bwithout\b", text) and len(text) < 60]


def test_odd_one_is_the_only_product_that_does_not_fit(questions: Questions, judged: Judged) -> None:
    for asked in questions["odd_one_out"]:
        locale, query_id, product = asked.key
        labels = judged.of_title[locale, query_id]
        assert judged.of_pair[locale, query_id, product] in "SCI", asked
        assert "E" not in labels[fold(asked.options[asked.right])], asked
        assert all("E" in labels[fold(fitting)] for fitting in asked.wrong), asked


@pytest.mark.parametrize("task", ["best_match", "odd_one_out"])
def test_two_questions_a_query_at_most_and_no_option_in_both(questions: Questions, task: str) -> None:
    of_query: defaultdict[tuple[str, str], list[Asked]] = defaultdict(list)
    for asked in questions[task]:
        of_query[asked.key[0], asked.key[1]].append(asked)
    for rows in of_query.values():
        assert len(rows) <= 2, rows
        options = [fold(option) for asked in rows for option in asked.options]
        assert len(set(options)) == len(options), rows


@pytest.mark.parametrize("task", ["best_match", "odd_one_out", "query_for_product"])
def test_counting_words_answers_seven_in_ten_at_most(questions: Questions, task: str) -> None:
    """By plain words of the query (or the title) that an option has; ties are shared.

    An exact product must have half of the query's words, or its judgement is not believed.
    """
    rows = questions[task]
    if len(rows) < ENOUGH:
        pytest.skip(f"{len(rows)} questions tell nothing")
    won = 0.0
    for asked in rows:
        common = [len(words(option) & words(" ".join(asked.fields))) for option in asked.options]
        best = min(common) if task == "odd_one_out" else max(common)
        won += (common[asked.right] == best) / common.count(best)
    assert won / len(rows) < 0.72


@pytest.mark.parametrize("task", ["best_match", "odd_one_out"])
def test_most_wrong_options_share_a_word_with_the_query(questions: Questions, task: str) -> None:
    rows = [asked for asked in questions[task] if asked.key[0] != "jp"]
    if len(rows) < ENOUGH:
        pytest.skip(f"{len(rows)} questions tell nothing")
    amiss = [[asked.options[asked.right]] if task == "odd_one_out" else asked.wrong for asked in rows]
    near = [
        bool(words(option) & words(" ".join(asked.fields)))
        for asked, options in zip(rows, amiss, strict=True)
        for option in options
    ]
    assert sum(near) / len(near) > 0.5


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", fold(text)))


def test_relation_is_the_label_of_the_pair(questions: Questions, judged: Judged) -> None:
    for asked in questions["relation"]:
        locale, query_id, product = asked.key
        assert set(asked.options) == set(RELATIONS), asked
        assert judged.of_pair[locale, query_id, product] == RELATIONS[asked.options[asked.right]], asked


def test_query_of_a_product_is_the_only_one_it_answers(questions: Questions, judged: Judged) -> None:
    """A wrong one has a lesser label for the product, or an exact product that is unfit for the right one."""
    for asked in questions["query_for_product"]:
        locale, product = asked.key
        labels, right = judged.of_query[locale, product], fold(asked.options[asked.right])
        assert "E" in labels[right], asked
        for wrong in map(fold, asked.wrong):
            assert "E" not in labels[wrong], asked
            elsewhere = judged.exact_for[locale, wrong] & judged.unfit_for[locale, right]
            assert labels[wrong] or elsewhere, f"nobody judged this wrong: {wrong}, {asked}"


def test_missed_attribute_is_asked_of_a_substitute(questions: Questions, judged: Judged) -> None:
    """The product is a substitute for what the shown query asks; a brand that it misses is not its own."""
    for asked in questions["missed_attribute"]:
        locale, query_id, product = asked.key
        assert judged.of_pair[locale, query_id, product] == "S", asked
        query, shown = judged.queries[locale, query_id], [fold(field) for field in asked.fields]
        right = asked.options[asked.right]
        assert query in shown, asked
        if right in ("brand", "marca", "ブランド"):
            assert judged.brands[locale, product].split()[0] not in query.split(), asked


def test_whom_or_what_a_product_is_for_is_not_its_size(questions: Questions, judged: Judged) -> None:
    """`dog bed for large dogs` names no size of a bed, and a `baby bottle` is not for anybody else."""
    seen = 0
    for asked in questions["missed_attribute"]:
        query = judged.queries[asked.key[0], asked.key[1]]
        if re.search(r"\bfor (small|large) ", query) and not re.search(r"\d", query):
            assert asked.options[asked.right] != "size", asked
        if re.search(r"\bbaby\b", query):
            seen += 1
            assert "audience" not in asked.options, asked
    assert seen or len(questions["missed_attribute"]) < 10, "the made-up market asks for things for babies"


@pytest.mark.parametrize("task", [*TASKS, "all"])
def test_right_answers_stand_anywhere(questions: Questions, task: str) -> None:
    rows = [asked for name, of_task in questions.items() if task in (name, "all") for asked in of_task]
    if not rows:
        pytest.skip("real seeds are as many as they are")  # the made-up ones ask something of every task
    places = Counter(asked.right for asked in rows)
    expected = len(rows) / OPTIONS
    assert sum((places[place] - expected) ** 2 / expected for place in range(OPTIONS)) < CRITICAL, places


def test_the_made_up_market_gives_enough_questions_to_judge_positions_by(
    questions: Questions, seeds: Path
) -> None:
    if seeds.name == "seeds":
        pytest.skip("real seeds are as many as they are")
    assert sum(map(len, questions.values())) >= 6_000


@pytest.mark.parametrize("task", TASKS)
def test_length_does_not_tell_the_right_option(questions: Questions, task: str) -> None:
    """The rank of an option's length does not go with being right; the longest and shortest win seldom."""
    rows = questions[task]
    if len(rows) < ENOUGH:
        pytest.skip(f"{len(rows)} questions tell nothing")
    ranks = [[rank_of_length(option, asked.options) for option in asked.options] for asked in rows]
    right = [of_row[asked.right] for of_row, asked in zip(ranks, rows, strict=True)]
    correlation = pearson(
        [rank for of_row in ranks for rank in of_row],
        [float(place == asked.right) for asked in rows for place in range(OPTIONS)],
    )
    longest, shortest = (sum(rank == end for rank in right) / len(rows) for end in (OPTIONS - 1.0, 0.0))
    # Attributes are always the same words, and the short ones (brand, color, size) are missed more often.
    assert abs(correlation) < (0.2 if task == "missed_attribute" else 0.1)
    assert max(longest, shortest) < 0.35


@pytest.mark.parametrize("task", ["relation", "missed_attribute"])
def test_no_word_is_right_much_more_often_than_others(questions: Questions, task: str) -> None:
    """Where the options are the same in every question, always giving one of them is of little use."""
    rows = questions[task]
    if len(rows) < ENOUGH:
        pytest.skip(f"{len(rows)} questions tell nothing")
    answers = Counter(asked.options[asked.right] for asked in rows)
    assert answers.most_common(1)[0][1] / len(rows) < (0.3 if task == "relation" else 0.5), answers


def rank_of_length(option: str, options: list[str]) -> float:
    """How many options are shorter; ties share their ranks."""
    shorter = sum(len(other) < len(option) for other in options)
    same = sum(len(other) == len(option) for other in options)
    return shorter + (same - 1) / 2


def pearson(xs: list[float], ys: list[float]) -> float:
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    covariance = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    spread = sum((x - mean_x) ** 2 for x in xs) * sum((y - mean_y) ** 2 for y in ys)
    return covariance / math.sqrt(spread)
