"""The recall, precision and speed of `datagen.dedup` on planted repeats: a table per kind of edit, then JSON.

    make bench NAME=dedup [ROWS=200000]

The rows are questions of five task types about the sample shop. Of these, 5 % become repeats of other rows
by the edits in REPEATS, 0.5 % contradict another row, and 5 % are lookalikes (LOOKALIKES): they look like
another row without asking the same, and neither of the two may be removed for the other.

- recall: share of the planted repeats and contradictions that were removed (of a repeat one of two rows, of a
  contradiction both).
- strict precision: share of the removed rows that were planted as such.
- precision: the same, but a row that nobody planted counts as right where `near_by_hand`, a slow second
  implementation of the definition, calls it a repeat of the row that it was removed for. The shop itself has
  such rows: products in several shops, queries typed twice with a slip.
- missed: of a sample of the rows that stay, how many `near_by_hand` calls a repeat of any other that stays.

Typos spare digits and words of one or two letters, where they would make another size or model; each typo is
in a word of its own. Words are dropped only from texts of eight or more.
"""

import argparse
import itertools
import json
import os
import random
import re
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import psutil
import pyarrow as pa
from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from datagen import dedup
from datagen.sources.sample.esci import write_esci

ROWS = 200_000
RUNS = 3
NEAR = 0.85
SEED = 11
SAMPLE = 300

LABELS = ["exact match", "substitute", "complement", "irrelevant"]
GAINS = {"E": 3, "S": 2, "C": 1, "I": 0}
WISHES = [
    "foldable",
    "waterproof",
    "vintage",
    "cordless",
    "scented",
    "magnetic",
    "wide",
    "stackable",
    "quilted",
]


@dataclass(frozen=True, slots=True)
class Product:
    """What is sold; brand and colour are empty where its page does not tell."""

    title: str
    bullets: str
    brand: str
    color: str


@dataclass(frozen=True, slots=True)
class Question:
    """The content of a row; its answer is in the gains of the options, or written out."""

    kind: str
    fields: list[str]
    options: list[str]
    gains: list[int]
    answer: str = ""
    brands: tuple[str, ...] = ()

    def gold(self) -> str:
        """The answer as content."""
        if self.answer:
            return self.answer
        if self.kind == "ranking":
            return "\n".join(f"{gain} {text}" for gain, text in zip(self.gains, self.options, strict=True))
        return "\n".join(text for gain, text in zip(self.gains, self.options, strict=True) if gain)


Shelf = list[tuple[Product, str]]
Edit = Callable[[Question, random.Random], Question]


# ---- questions about the sample shop ----


def market(queries: int, products: int) -> tuple[list[tuple[str, Shelf]], list[str]]:
    """Queries of the sample shop, each with its judged products, and all names of colours."""
    with tempfile.TemporaryDirectory() as folder:
        write_esci(Path(folder), queries=queries, products=products, seed=SEED)
        rows = (
            duckdb.connect()
            .execute(
                f"""
            select query_id, query, esci_label, product_title, coalesce(product_bullet_point, ''),
                   coalesce(product_brand, ''), coalesce(product_color, '')
            from '{folder}/*examples.parquet'
            join '{folder}/*products.parquet' using (product_id, product_locale)
            order by example_id
            """
            )
            .fetchall()
        )
    shelves: dict[tuple[int, str], Shelf] = defaultdict(list)
    for query_id, query, label, *page in rows:
        shelves[query_id, query].append((Product(*page), label))
    return [(query, shelf) for (_, query), shelf in shelves.items()], sorted({row[6] for row in rows} - {""})


def questions_about(query: str, shelf: Shelf, colors: list[str], rng: random.Random) -> Iterator[Question]:
    """Questions of all types that a query and the products judged for it allow."""
    right = [item for item, label in shelf if label == "E"]
    wrong = [item for item, label in shelf if label != "E"]
    brands = tuple(item.brand for item, _ in shelf)
    if right and len(wrong) > 2:
        for item in right[:3]:
            listed = [item, *rng.sample(wrong, 3)]
            titles = [listing.title for listing in listed]
            yield Question("multiple_choice", [query], titles, [1, 0, 0, 0], brands=brands)
    for item, label in rng.sample(shelf, min(4, len(shelf))):
        gains = [int(label == letter) for letter in GAINS]
        yield Question("multiple_choice", [query, item.title], LABELS, gains, brands=brands)
    listing = rng.sample(shelf, min(5, len(shelf)))
    titles, gains = [item.title for item, _ in listing], [GAINS[label] for _, label in listing]
    if len({*gains}) > 1:
        yield Question("ranking", [query], titles, gains, brands=brands)
    if right and len(wrong) > 6:
        chosen = right[:3] + rng.sample(wrong, 7)
        gains = [1] * len(right[:3]) + [0] * 7
        yield Question("retrieval", [query], [item.title for item in chosen], gains, brands=brands)
    item, _ = rng.choice(shelf)
    for name in filter(None, (item.brand.lower(), item.color.lower())):
        if name in query:
            yield Question("named_entity_recognition", [query], [], [], name, brands)
    if item.brand and item.brand in item.title:
        yield Question("named_entity_recognition", [item.title], [], [], item.brand, brands)
    if item.color and item.color in item.title:
        others = rng.sample([color for color in colors if color != item.color], 3)
        yield Question("multiple_choice", [item.title], [item.color, *others], [1, 0, 0, 0], brands=brands)
    if item.bullets:
        yield Question("generation", [item.title, item.bullets], [], [], query, brands)


def distinct_questions(count: int, rng: random.Random) -> tuple[list[Question], list[str]]:
    """`count` questions of which no two ask the same, and all names of colours."""
    stock, colors = market(queries=max(count // 9, 300), products=max(count // 4, 5000))
    found: dict[tuple[object, ...], Question] = {}
    while len(found) < count:
        for query, shelf in stock:
            for asked in questions_about(query, shelf, colors, rng):
                found.setdefault((asked.kind, *asked.fields, frozenset(asked.options)), asked)
    return rng.sample(list(found.values()), count), colors


# ---- edits that leave the question what it was ----

LETTERS = r"[a-zA-Záéíóúñ]{3,}|[ァ-ヺー]{3,}"
WORD = r"(?<!\S)[^\W\d_]+(?!\S)"
TWO_WORDS = r"(?<!\S)[^\W\d_]+ [^\W\d_]+(?!\S)"


def change(
    asked: Question,
    rng: random.Random,
    pattern: str,
    edit: Callable[[str], str],
    count: int = 1,
    fewest: int = 1,
) -> Question:
    """Edit up to `count` matches of `pattern`, any with equal chance, in texts of `fewest` words or more.

    Options that are labels or colours stay as they are.
    """
    options = asked.options if "".join(asked.options[1:2])[30:] else []
    texts = asked.fields + options
    places = [
        (index, match.span())
        for index, text in enumerate(texts)
        if len(text.split()) >= fewest
        for match in re.finditer(pattern, text)
    ]
    for index, (start, end) in sorted(rng.sample(places, min(count, len(places))), reverse=True):
        text = texts[index]
        texts[index] = " ".join((text[:start] + edit(text[start:end]) + text[end:]).split())
    fields, changed = texts[: len(asked.fields)], texts[len(asked.fields) :]
    return replace(asked, fields=fields, options=changed or asked.options)


def typos(count: int) -> Edit:
    """Misspell `count` words of three letters or more, wherever they stand."""
    return lambda asked, rng: change(asked, rng, LETTERS, lambda word: misspell(word, rng), count)


def misspell(word: str, rng: random.Random) -> str:
    """A word with one letter changed, dropped, added or swapped with the next."""
    at = rng.randrange(len(word) - 1)
    letter = rng.choice("abcdefghijklmnopqrstuvwxyz" if word[0] < "ァ" else "ーンスルト")
    changed = (
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at:],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    )
    return rng.choice(changed)


def drop_word(asked: Question, rng: random.Random) -> Question:
    """Leave out a word without digits, of a text of eight words or more."""
    return change(asked, rng, WORD, lambda _: "", fewest=8)


def swap_words(asked: Question, rng: random.Random) -> Question:
    """Turn two neighbours around."""
    return change(asked, rng, TWO_WORDS, lambda pair: " ".join(pair.split()[::-1]))


def restyle(asked: Question, rng: random.Random) -> Question:
    """Other case, punctuation and spaces."""
    styles: list[Callable[[str], str]] = [str.upper, str.lower, "“{}”".format, "{} !".format]
    styles += [lambda text: text.replace(" ", "  "), lambda text: text.replace(", ", " | ")]
    fields, options = (
        [rng.choice(styles)(text) for text in texts] for texts in (asked.fields, asked.options)
    )
    return replace(asked, fields=fields, options=options)


def reorder(asked: Question, rng: random.Random) -> Question:
    """The same options in another order."""
    order = rng.sample(range(len(asked.options)), len(asked.options))
    options, gains = [asked.options[place] for place in order], [asked.gains[place] for place in order]
    return replace(asked, options=options, gains=gains)


REPEATS: dict[str, Edit] = {
    "other wording": lambda asked, rng: replace(asked),
    "case, punctuation": restyle,
    "options reordered": reorder,
    "1 typo": typos(1),
    "2 typos": typos(2),
    "3 typos": typos(3),
    "word dropped": drop_word,
    "words swapped": swap_words,
    "2 typos, style, order": lambda asked, rng: reorder(restyle(typos(2)(asked, rng), rng), rng),
}


# ---- edits that make another question ----


def other_number(asked: Question, rng: random.Random) -> Question:
    """Another size, pack or model."""
    return change(asked, rng, r"\d+", lambda digits: str(int(digits) + rng.randrange(1, 9)))


def other_color(colors: list[str]) -> Edit:
    """Another colour, in one place."""
    pattern = r"(?i)(?<!\w)(?:" + "|".join(sorted(map(re.escape, colors), key=len, reverse=True)) + r")(?!\w)"

    def edit(asked: Question, rng: random.Random) -> Question:
        return change(asked, rng, pattern, lambda old: unlike(old, colors, rng))

    return edit


def unlike(old: str, colors: list[str], rng: random.Random) -> str:
    """A colour of the same script that shares no word with another."""
    words = set(old.lower().split())
    others = [
        new for new in colors if new.isascii() == old.isascii() and not words & set(new.lower().split())
    ]
    return rng.choice(others or colors)


def other_brand(asked: Question, rng: random.Random) -> Question:
    """Another brand, in one place."""
    old, new = rng.choice(asked.brands), rng.choice(asked.brands)
    if not old or not new or misspelt(old.casefold(), new.casefold()):
        return asked
    return change(asked, rng, rf"(?<!\w){re.escape(old)}(?!\w)", lambda _: new)


def other_query(asked: Question, rng: random.Random) -> Question:
    """The same products, looked for with one wish more, with another answer."""
    if asked.kind != "multiple_choice":
        return asked
    gains = asked.gains[1:] + asked.gains[:1]
    return replace(asked, fields=[f"{asked.fields[0]} {rng.choice(WISHES)}", *asked.fields[1:]], gains=gains)


def other_wish(asked: Question, rng: random.Random) -> Question:
    """The same products and answer, looked for with one wish more, in a query of up to four words."""
    if len(asked.fields[0].split()) > 4 or not asked.fields[0].isascii():
        return asked
    return replace(asked, fields=[f"{rng.choice(WISHES)} {asked.fields[0]}", *asked.fields[1:]])


def lookalikes(questions: list[Question], colors: list[str]) -> dict[str, Edit]:
    """Edits after which a question asks for something else."""

    def other_options(asked: Question, rng: random.Random) -> Question:
        twin = rng.choice(questions)
        if asked.options == LABELS or twin.kind != asked.kind or len(twin.options) != len(asked.options):
            return asked
        return replace(asked, options=twin.options, gains=twin.gains)

    return {
        "other number": other_number,
        "other colour": other_color(colors),
        "other brand": other_brand,
        "one wish more": other_wish,
        "other query, answer": other_query,
        "other products": other_options,
    }


def contradict(asked: Question, rng: random.Random) -> Question:
    """The same question in another style, with another answer."""
    other = restyle(asked, rng)
    if asked.answer:
        return replace(other, answer=rng.choice(WISHES))
    gains = asked.gains[1:] + asked.gains[:1]
    return replace(other, gains=gains)


CONTRADICTION = "other answer"


# ---- the definition, written a second time ----


def near_by_hand(one: Question, other: Question) -> bool:
    """Whether two questions are near, text by text."""
    return (
        one.kind == other.kind
        and len(one.fields) == len(other.fields)
        and all(map(near_text, one.fields, other.fields))
        and near_sets(one.gold().split("\n"), other.gold().split("\n"))
        and near_sets(one.options, other.options)
    )


def contradicts(one: Question, other: Question) -> bool:
    """Whether two questions ask the same, but for case and punctuation, and answer otherwise."""
    asked = [
        (item.kind, *map(plain, item.fields), frozenset(map(plain, item.options))) for item in (one, other)
    ]
    answers = [{plain(line) for line in item.gold().split("\n")} for item in (one, other)]
    return asked[0] == asked[1] and answers[0] != answers[1]


def near_sets(ours: list[str], theirs: list[str]) -> bool:
    """Whether each text has a near one on the other side."""
    return all(any(near_text(a, b) for b in theirs) for a in ours) and all(
        any(near_text(a, b) for a in ours) for b in theirs
    )


def near_text(one: str, other: str) -> bool:
    """Whether two texts are near: as alike as NEAR, the same numbers, no word replaced, few missing."""
    one, other = plain(one), plain(other)
    ours, theirs = words(one), words(other)
    alike = max(fuzz.ratio(one, other), fuzz.token_sort_ratio(one, other)) >= 100 * NEAR
    if re.findall(r"\d+", one) != re.findall(r"\d+", other) or not alike:
        return False
    fewest = max(len(ours), len(theirs)) // 8
    ours, theirs = (
        list((Counter(ours) - Counter(theirs)).elements()),
        list((Counter(theirs) - Counter(ours)).elements()),
    )
    for a, b in itertools.product(tuple(ours), tuple(theirs)):
        if a in ours and b in theirs and misspelt(a, b):
            ours.remove(a)
            theirs.remove(b)
    if ours and theirs:
        return misspelt("".join(ours), "".join(theirs))
    return len(ours + theirs) <= fewest


def plain(text: str) -> str:
    """Without case and most punctuation."""
    return " ".join(re.sub(r"[^\w%+#$=<>.]|\.(?!\d)", " ", text.casefold()).split())


def words(text: str) -> list[str]:
    """Words, and runs of one script where Japanese puts no space."""
    return re.findall(r"[ぁ-ゖ]+|[ァ-ヺー]+|[㐀-鿿々]+|[^\sぁ-ゖァ-ヺー㐀-鿿々]+", text)


def misspelt(one: str, other: str) -> bool:
    """Whether one may be the other with a typo for every four letters."""
    return OSA.distance(one, other) <= (max(len(one), len(other)) + 1) // 4


# ---- the benchmark ----


@dataclass(frozen=True, slots=True)
class Planted:
    """A row made from another: its edit, and the places of both."""

    edit: str
    source: int
    copy: int


def plant(rows: int, rng: random.Random) -> tuple[list[Question], list[Planted]]:
    """Questions, and the rows made from some of them, each of which is the source of one at most."""
    shares = (rows // 20, rows // 20, rows // 200)
    questions, colors = distinct_questions(rows - sum(shares), rng)
    tables: list[dict[str, Edit]] = [REPEATS, lookalikes(questions, colors), {CONTRADICTION: contradict}]
    sources = iter(rng.sample(range(len(questions)), len(questions)))
    planted = []
    for table, count in zip(tables, shares, strict=True):
        for name, edit in itertools.islice(itertools.cycle(table.items()), count):
            source = next(sources)
            while (copy := edit(questions[source], rng)) == questions[source] and name != "other wording":
                source = next(sources)
            planted.append(Planted(name, source, len(questions)))
            questions.append(copy)
    return questions, planted


def as_table(questions: list[Question], rng: random.Random) -> pa.Table:
    """Questions as `decide` takes them, in their order, with random ids."""
    return pa.table(
        {
            "id": [f"{rng.getrandbits(128):032x}" for _ in questions],
            "kind": [asked.kind for asked in questions],
            "fields": pa.array([asked.fields for asked in questions], pa.list_(pa.string())),
            "options": pa.array([asked.options for asked in questions], pa.list_(pa.string())),
            "answer": [asked.gold() for asked in questions],
        }
    )


def missed(questions: list[Question], kept: list[int], rng: random.Random) -> float:
    """Share of a sample of the kept rows that is a repeat of any other kept row, by brute force."""
    firsts = [" ".join(sorted(words(plain(questions[row].fields[0])))) for row in kept]
    picked = rng.sample(range(len(kept)), min(SAMPLE, len(kept)))
    alike = process.cdist(
        [firsts[at] for at in picked], firsts, scorer=fuzz.ratio, score_cutoff=70, workers=-1
    )
    bad = 0
    for at, scores in zip(picked, alike, strict=True):
        others = (questions[kept[place]] for place in scores.nonzero()[0].tolist() if place != at)
        bad += any(near_by_hand(questions[kept[at]], other) for other in others)
    return bad / max(len(picked), 1)


def measure(table: pa.Table) -> tuple[pa.Table, list[float], float]:
    """What is decided, the seconds of RUNS calls, and the most memory that the first adds, in MiB."""
    process_, done, peak = psutil.Process(), threading.Event(), [0]
    before = process_.memory_info().rss

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], process_.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        decided = dedup.decide([dedup.read(table)], NEAR)
        seconds.append(time.perf_counter() - start)
        done.set()
    watcher.join()
    return decided, seconds, (peak[0] - before) / 2**20


def report(
    questions: list[Question], planted: list[Planted], table: pa.Table, decided: pa.Table
) -> dict[str, float]:
    """Print how each edit fared; give recall and both kinds of precision."""
    place = {name: row for row, name in enumerate(table["id"].to_pylist())}
    of = [None if name is None else place[name] for name in decided["of"].to_pylist()]
    total, hits = Counter[str](), Counter[str]()
    fair, foul = set[int](), set[int]()
    for made in planted:
        total[made.edit] += 1
        if made.edit in REPEATS or made.edit == CONTRADICTION:
            removed = [row for row in (made.source, made.copy) if of[row] is not None]
            hits[made.edit] += len(removed) > (made.edit == CONTRADICTION)
            fair |= {made.source, made.copy}
        elif of[made.copy] == made.source or of[made.source] == made.copy:
            hits[made.edit] += 1
            foul |= {made.source, made.copy}
    print(f"{'rows made from another by':<26}{'rows':>8}{'removed':>9}")
    for edit, count in total.items():
        print(f"{edit:<26}{count:>8}{hits[edit] / count:>9.2%}")
    removed = [row for row, other in enumerate(of) if other is not None]
    unplanted = [row for row in removed if row not in fair]
    right = 0
    for row in unplanted:
        twin = questions[of[row] or 0]
        right += row not in foul and (near_by_hand(questions[row], twin) or contradicts(questions[row], twin))
    wanted = [edit for edit in total if edit in REPEATS or edit == CONTRADICTION]
    return {
        "recall": sum(hits[edit] for edit in wanted) / max(sum(total[edit] for edit in wanted), 1),
        "precision": 1 - (len(unplanted) - right) / max(len(removed), 1),
        "strict_precision": 1 - len(unplanted) / max(len(removed), 1),
    }


def main() -> None:
    """Plant, decide, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=int(os.environ.get("ROWS") or ROWS))
    rows: int = parser.parse_args().rows
    rng = random.Random(SEED)
    print(f"Making {rows:,} questions about the sample shop ...", file=sys.stderr)
    questions, planted = plant(rows, rng)
    table = as_table(questions, rng)
    decided, seconds, memory = measure(table)
    found = report(questions, planted, table, decided)
    kept = [row for row, reason in enumerate(decided["reason"].to_pylist()) if reason is None]
    median = statistics.median(seconds)
    characters = statistics.mean(
        sum(map(len, [*asked.fields, *asked.options, asked.gold()])) for asked in questions
    )
    for name, value in found.items():
        print(f"{name.replace('_', ' '):<26}{value:>17.2%}")
    share, sample = missed(questions, kept, rng), min(SAMPLE, len(kept))
    print(f"{'missed, by brute force':<26}{share:>17.2%}  of {sample} rows that stay")
    print(f"{'rows removed':<26}{rows - len(kept):>17,}  of {rows:,}, {characters:.0f} characters each")
    print(
        f"{'seconds':<26}{median:>17.2f}  median of {RUNS}: " + ", ".join(f"{took:.2f}" for took in seconds)
    )
    print(f"{'memory':<26}{memory:>13.0f} MiB  beyond the rows themselves")
    rounded = {key: round(value, 4) for key, value in found.items()}
    print(json.dumps(rounded | {"seconds": round(median, 2), "rows": rows}))


if __name__ == "__main__":
    main()
