"""How much of an evaluation set is found among rows: a table, then JSON.

    make bench NAME=decontaminate [ROWS=20000]

The rows are those of the recipe esci_all over the sample shop. Some are evaluation questions as well:

- exact: the row's prompt and answer as they are.
- reordered: the row's options in another order, and two neighbours changed places in each text of five words.
- reworded: the row's texts under an instruction of no template, and one word in eight of each left out,
  misspelt or another.

A row that is no question is clean. `false_positive_share` is the share of clean rows that are left out;
`stranger_share` that of clean rows which share no query and no product with any question.
"""

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from datagen import dedup
from datagen.commands import preview
from datagen.dedup.decontaminate import Evaluation, contaminated
from datagen.recipe.load import load, scaled
from datagen.schema import TaskType
from datagen.shopbench.evaluation import parsed
from datagen.sources.locate import find_seeds
from datagen.tasks.question import numbered

ROWS = 20_000
SHARE = 20
"""One row in so many is a question."""

SEED = 20240715
INSTRUCTIONS = (
    "Have a look at the following and respond.\n{fields}\n{listing}\nOutput:",
    "Input: {fields}\n{listing}\nAnswer:",
    "{fields}\n\nWhat is right here?\n{listing}\nAnswer: ",
    "You are asked about this by a customer: {fields}\n{listing}",
    "Instruction: solve the shopping exercise.\nInput: {fields}\n{listing}\nOutput: ",
)
KINDS = ("exact", "reordered", "reworded")

Row = dict[str, Any]


def main() -> None:
    """Plant, decide, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    wanted: int = parser.parse_args().rows
    print(f"Wording {wanted:,} rows ...", file=sys.stderr)
    rows = list(worded(wanted))
    rng = random.Random(SEED)
    planted = {
        place: KINDS[number % 3]
        for number, place in enumerate(rng.sample(range(len(rows)), len(rows) // SHARE))
    }
    words = sorted(
        {word for row in rng.sample(rows, min(1000, len(rows))) for word in " ".join(row["fields"]).split()}
    )
    questions = [question(rows[place], kind, str(place), words, rng) for place, kind in planted.items()]
    table = pa.table(
        {
            "id": [row["id"] for row in rows],
            "kind": [row["task"] for row in rows],
            "fields": pa.array([row["fields"] for row in rows], pa.list_(pa.string())),
            "options": pa.array([row["options"] for row in rows], pa.list_(pa.string())),
            "answer": [row["gold"] for row in rows],
        }
    )
    parts, prompts = [dedup.read(table)], pa.chunked_array([[row["prompt"] for row in rows]])
    start = time.perf_counter()
    told = contaminated(parts, prompts, questions)
    seconds = time.perf_counter() - start
    report(rows, planted, told, seconds)


def worded(wanted: int) -> Iterator[Row]:
    """The rows that a build would draw, as they are between the stages, with their task."""
    recipe = scaled(load("esci_all"), wanted)
    with tempfile.TemporaryDirectory() as folder:
        seeds = find_seeds("sample", recipe.sources, Path(folder), lambda text: None)
        counts = {name: task.rows for name, task in recipe.tasks.items()}
        for name, _, examples, _ in preview.worded(recipe, seeds, counts, lambda text: None):
            for row in examples.slice(0, counts[name]).to_pylist():
                yield {**row, "task": name, "type": recipe.tasks[name].type}


def question(row: Row, kind: str, place: str, words: list[str], rng: random.Random) -> Evaluation:
    """The row as an evaluation question, worded in one of three ways."""
    prompt, target = row["prompt"], json.loads(row["target"])
    first = 0 if row["type"] is TaskType.MULTIPLE_CHOICE else 1
    if kind == "exact":
        return parsed(prompt, place, row["type"], target)
    options = list(row["options"])
    fields = [line for text in row["fields"] for line in text.split("\n") if line in prompt]
    order = rng.sample(range(len(options)), len(options))
    moved = [options[place] for place in order]
    if options and isinstance(target, int):
        target = order.index(target)
    elif options and row["type"] is TaskType.RETRIEVAL:
        target = [order.index(number - 1) + 1 for number in target]
    if kind == "reordered":
        prompt = prompt.replace(
            numbered(options, first), numbered([swapped(text, rng) for text in moved], first)
        )
        for text in fields:
            prompt = prompt.replace(text, swapped(text, rng))
    else:
        fields, moved = ([reworded(text, words, rng) for text in texts] for texts in (fields, moved))
        form = rng.choice(INSTRUCTIONS)
        prompt = form.format(fields="\n".join(fields), listing=numbered(moved, first))
    return parsed(prompt, place, row["type"], target)


def swapped(text: str, rng: random.Random) -> str:
    """The text with two neighbours turned around, where it has five words."""
    parts = text.split(" ")
    if len(parts) >= 5:
        at = rng.randrange(len(parts) - 1)
        parts[at : at + 2] = parts[at + 1], parts[at]
    return " ".join(parts)


def reworded(text: str, words: list[str], rng: random.Random) -> str:
    """The text with about one word in eight left out, misspelt or another; a letter in eight of Japanese."""
    blank = "" if re.search("[ぁ-ヺ一-龠]", text) else " "
    parts = text.split(" ") if blank else re.findall(r"[a-zA-Z0-9]+|.", text)
    for at in rng.sample(range(len(parts)), len(parts) // 8):
        parts[at] = rng.choice(["", parts[at][:-2] + parts[at][-1:], rng.choice(words)])
    return blank.join(part for part in parts if part or not blank)


def report(rows: list[Row], planted: dict[int, str], told: list[str | None], seconds: float) -> None:
    """Print how each kind fared, and what clean rows were taken."""
    total = Counter(planted.values())
    found = Counter(kind for place, kind in planted.items() if told[place] is not None)
    groups = {group for place in planted for group in rows[place]["groups"] or ()}
    clean = [place for place in range(len(rows)) if place not in planted]
    strangers = [place for place in clean if not groups.intersection(rows[place]["groups"] or ())]
    print(f"{'questions':<30}{'asked':>8}{'found':>9}")
    for kind in KINDS:
        print(f"{kind:<30}{total[kind]:>8}{found[kind] / max(total[kind], 1):>9.2%}")
    shares = {}
    for name, places in (("false_positive_share", clean), ("stranger_share", strangers)):
        shares[name] = sum(told[place] is not None for place in places) / max(len(places), 1)
        print(f"{name.replace('_', ' '):<30}{len(places):>8}{shares[name]:>9.2%}")
    print(f"{'seconds':<30}{seconds:>17.2f}  {len(rows):,} rows, {len(planted):,} questions")
    result: dict[str, float] = {f"found_{kind}": found[kind] / max(total[kind], 1) for kind in KINDS}
    rounded = {name: round(value, 4) for name, value in (result | shares).items()}
    print(json.dumps(rounded | {"rows": len(rows), "questions": len(planted), "seconds": round(seconds, 2)}))


if __name__ == "__main__":
    main()
