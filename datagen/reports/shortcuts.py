"""Shortcuts: answers to a task's questions that take no understanding, and what they score.

    constant    the best answer that is the same for all questions; of entities and texts, the most frequent
    place       the options as they are listed, or from the last to the first (of rankings and retrievals)
    words       the option with most or fewest words in common with the question, or with the other options
    length      the longest or the shortest option
    history     the option that was right most often, or wrong least often, or listed with this row's other
                options most or least often, in the task's other rows
    copy        words of the question itself, as entities or as a text

Each is scored by the metric of its task; of a family the best counts. What answers a task teaches the task.
Constants and histories are of all rows, and the other answers are given to the first `READ` of them: ids are
hashes, so these are a sample. Metrics that embed texts are left out, as a build loads no model.
"""

import itertools
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datagen.prompts.cloze import CHOICES, own_list
from datagen.prompts.instruction import passages
from datagen.schema import TaskType
from datagen.storage.files import write_json
from datagen.tasks import TASKS, generation, retrieval

if TYPE_CHECKING:
    from datagen.recipe.model import Task

READ = 2_500
"""Rows of a task whose words are counted."""

TEXTS = 300
"""Rows of a task whose answers are compared as texts, which takes a thousand times as long as numbers."""

JUDGED = 200
"""Train rows of a task from which on its bound is held: in a few, luck answers well."""

SIDE = "train"
"""The side of a run that is measured."""

FAMILIES = ("constant", "place", "words", "length", "history", "copy")

_DECIMALS = 4  # of a score: sums may differ in the last bits from one processor to another

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Shortcut(NamedTuple):
    """The best of a family, and its score by the task's metric."""

    family: str
    how: str
    score: float


class Measured(NamedTuple):
    """The shortcuts of one task's `rows`, the best first.

    `options` are the fewest and the most of a question, and `chance` is what dice score: 0 without options.
    """

    rows: int
    options: tuple[int, int]
    chance: float
    found: tuple[Shortcut, ...]

    def as_json(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        found = [shortcut._asdict() for shortcut in self.found]
        return {"rows": self.rows, "options": list(self.options), "chance": self.chance, "found": found}


class Asked(NamedTuple):
    """How a task's answers are scored."""

    type: TaskType
    metric: str


class Rows(NamedTuple):
    """A task's rows: what each lists, its target, and of the first ones the prompt."""

    asked: Asked
    prompts: list[str]
    choices: pa.ChunkedArray
    targets: pa.ChunkedArray

    def measured(self) -> Measured:
        """Their shortcuts."""
        return of_rows(self.asked, self.prompts, self.choices, self.targets)


def write(path: Path, rows: Rows) -> None:
    """Measure some rows, and write what was found as JSON."""
    write_json(rows.measured().as_json(), path)


def of_run(files: Iterable[Path], tasks: Mapping[str, "Task"]) -> dict[str, Measured]:
    """The shortcuts of each task of which the shards have rows that can be scored."""
    return {name: rows.measured() for name, rows in rows_of(files, tasks).items()}


def rows_of(files: Iterable[Path], tasks: Mapping[str, "Task"]) -> dict[str, Rows]:
    """The rows of each task that can be scored, as far as the shards have any."""
    names = [name for name, task in tasks.items() if not generation.embeds(task.metric)]
    tables: dict[str, list[pa.Table]] = {name: [] for name in names}
    prompts: dict[str, list[str]] = {name: [] for name in names}
    for file in files:
        table = pq.read_table(file, columns=["task", "prompt", "choices", "target"])
        for name in names:
            rows = table.filter(pc.equal(table["task"], name))
            tables[name].append(rows.select(["choices", "target"]))
            read = rows["prompt"].slice(0, READ - len(prompts[name])).combine_chunks()
            prompts[name] += pc.struct_field(pc.list_element(read, 1), "content").to_pylist()
    found = {}
    for name in names:
        if prompts[name]:
            rows = pa.concat_tables(tables[name])
            asked = Asked(tasks[name].type, tasks[name].metric)
            found[name] = Rows(asked, prompts[name], rows["choices"], rows["target"])
    return found


def over_bounds(tasks: Mapping[str, "Task"], measured: Mapping[str, Any]) -> list[str]:
    """A line for each task whose best shortcut scores above its bound; `measured` is of its manifest."""
    lines = []
    for name, task in tasks.items():
        found = measured[name]["shortcuts"]
        if found and exceeded(task.shortcut, found):
            best = Shortcut(**found["found"][0])
            lines.append(
                f"task {name}: a shortcut scores {best.score:.2f} ({best.family}: {best.how}), "
                f"above its bound, `shortcut: {task.shortcut:g}`"
            )
    return lines


def exceeded(bound: float | None, measured: Mapping[str, Any]) -> bool:
    """Whether the best shortcut scores above a task's bound, in enough rows to say so."""
    return bound is not None and measured["rows"] >= JUDGED and measured["found"][0]["score"] > bound


def of_rows(
    task: "Task | Asked", prompts: Sequence[str], choices: pa.ChunkedArray, targets: pa.ChunkedArray
) -> Measured:
    """The shortcuts of rows that were worded here; of the last ones `prompts` may lack."""
    listed = choices.slice(0, len(prompts)).to_pylist()
    outside = [
        own_list(prompt, own, task.type).outside for prompt, own in zip(prompts[:READ], listed, strict=False)
    ]
    return measured(task.type, task.metric, outside, choices, targets)


def measured(
    kind: TaskType, metric: str, outside: Sequence[str], choices: pa.ChunkedArray, targets: pa.ChunkedArray
) -> Measured:
    """The shortcuts of one task's questions: what each lists (list<string>), and its target as JSON.

    `outside` is the text of the first questions without what they list: those that are answered one by one.
    """
    if kind in CHOICES:
        return _of_choices(_options(kind, choices, targets), outside, choices)
    return _of_texts(kind, metric, outside[:TEXTS], targets)


class _Options(NamedTuple):
    """The options of all questions, one after the other: of which `row`, in which `place`, of what `worth`.

    An answer is an order of a row's options. It scores the sum of their worth, each weighted by its rank.
    """

    counts: Ints
    row: Ints
    place: Ints
    worth: Floats
    right: Bools
    weights: Floats
    first: int
    """The number of the first option."""

    def head(self, rows: int) -> "_Options":
        """Those of the first rows."""
        end = int(self.counts[:rows].sum())
        columns = (self.row[:end], self.place[:end], self.worth[:end], self.right[:end])
        return _Options(self.counts[:rows], *columns, self.weights, self.first)

    def score(self, likely: Floats) -> float:
        """The mean score of naming the likely ones first; of those alike, what is listed first."""
        order = np.lexsort((self.place, -likely, self.row))
        rank = np.empty_like(order)
        rank[order] = self.place
        return float((self.worth * self.weights[rank]).sum()) / len(self.counts)

    def chance(self) -> float:
        """The mean score of any order."""
        whole = np.cumsum(self.weights)[self.counts - 1] / self.counts
        return float((self.worth * whole[self.row]).sum()) / len(self.counts)

    def constant(self) -> tuple[str, float]:
        """The order that is best for all questions, and its score.

        A sum over ranks is largest where what is worth most on average comes first.
        """
        worth = np.zeros((len(self.counts), len(self.weights)))
        worth[self.row, self.place] = self.worth
        order = np.argsort(-worth.mean(axis=0), kind="stable")[: np.count_nonzero(self.weights)]
        read = self.counts[:, None] > np.arange(
            len(order)
        )  # a grader reads as many numbers as there are options
        score = (worth[:, order] * read * self.weights[: len(order)]).sum(axis=1).mean()
        return ",".join(str(place + self.first) for place in order.tolist()), float(score)


def _options(kind: TaskType, choices: pa.ChunkedArray, targets: pa.ChunkedArray) -> _Options:
    counts = pc.list_value_length(choices).to_numpy().astype(np.int64)
    row = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    place = np.arange(len(row)) - starts[row]
    ranks = np.arange(counts.max())
    parts = pc.split_pattern(pc.utf8_trim(targets, '[] "'), ",")
    named = pc.utf8_trim_whitespace(pc.list_flatten(parts)).cast(pa.float64()).to_numpy()
    if kind is TaskType.RANKING:
        weights = 1 / np.log2(ranks + 2)
        gains = 2.0**named - 1
        falling = gains[np.lexsort((-gains, row))]
        ideal = np.bincount(row, falling * weights[place])
        best = np.maximum.reduceat(gains, starts)
        return _Options(counts, row, place, gains / ideal[row], gains == best[row], weights, 1)
    first, read = (0, 1) if kind is TaskType.MULTIPLE_CHOICE else (1, retrieval.READ)
    of_each = pc.list_value_length(parts).to_numpy().astype(np.int64)
    worth = np.zeros(len(row))
    worth[np.repeat(starts, of_each) + named.astype(np.int64) - first] = 1 / np.repeat(of_each, of_each)
    return _Options(counts, row, place, worth, worth > 0, (ranks < read).astype(float), first)


def _of_choices(options: _Options, outside: Sequence[str], choices: pa.ChunkedArray) -> Measured:
    few = options.head(len(outside))
    texts = choices.slice(0, len(outside))
    likely = {
        "words": _by_words(outside, texts.to_pylist()),
        "length": _by_length(pc.list_flatten(texts)),
        "history": _by_history(options, few, pc.list_flatten(choices)),
    }
    if np.count_nonzero(options.weights) > 1:
        place = few.place.astype(np.float64)
        likely["place"] = {"as listed": -place, "from the last": place}
    found = [Shortcut("constant", *options.constant())]
    for family, ways in likely.items():
        found.append(_best(family, {how: few.score(way) for how, way in ways.items()}))
    counts = (int(options.counts.min()), int(options.counts.max()))
    return _measured(len(options.counts), counts, options.chance(), found)


def _by_words(outside: Sequence[str], choices: Sequence[Sequence[str]]) -> dict[str, Floats]:
    """How likely each option is by its words; one counts the less, the more questions have it.

    So the words of an instruction count little, in whatever language.
    """
    questions = [_words(text) for text in outside]
    questions_with = Counter(word for words in questions for word in words)
    rarity = {word: log(len(questions) / count) for word, count in questions_with.items()}
    common, share, others = [], [], []
    for question, texts in zip(questions, choices, strict=True):
        options = [_words(text) for text in texts]
        options_with = Counter(word for words in options for word in words)
        for words in options:
            length = max(len(words), 1)
            shared = question & words
            common.append(
                sum([rarity[word] for word in sorted(shared)])
            )  # a set's order, and a sum, differ by run
            share.append(len(shared) / length)
            others.append((sum([options_with[word] for word in words]) - len(words)) / length)
    ways = {
        "{most} words of the question": np.array(common),
        "{most} of its words in the question": np.array(share),
        "{most} of its words in the other options": np.array(others),
    }
    return {
        way.format(most=most): sign * likely
        for way, likely in ways.items()
        for most, sign in (("most", 1), ("fewest", -1))
    }


def _by_length(texts: pa.ChunkedArray) -> dict[str, Floats]:
    length = pc.utf8_length(texts).to_numpy()
    return {"the longest": length, "the shortest": -length}


def _by_history(options: _Options, few: _Options, texts: pa.ChunkedArray) -> dict[str, Floats]:
    """How likely each option of the first rows is by what the same text was in other rows."""
    text = texts.dictionary_encode().combine_chunks().indices.to_numpy().astype(np.int64)
    often_right, often_wrong = np.bincount(text, options.right), np.bincount(text, ~options.right)
    text = text[: len(few.row)]
    together = _together(few, text)
    return {
        "right most often": often_right[text] - few.right,
        "wrong least often": ~few.right - often_wrong[text],
        "most often beside the others": together,
        "least often beside the others": -together,
    }


def _together(options: _Options, text: Ints) -> Floats:
    """How often each option stands beside the others of its row in other rows."""
    others = options.counts[options.row]
    left = np.repeat(np.arange(len(text)), others)
    starts, first = np.cumsum(others) - others, np.cumsum(options.counts) - options.counts
    right = np.arange(len(left)) - starts[left] + first[options.row[left]]
    pairs = text[left] * (text.max() + 1) + text[right]
    _, pair, often = np.unique(pairs, return_inverse=True, return_counts=True)
    beside = np.where(left == right, 0.0, often[pair] - 1.0)
    return np.bincount(left, beside, len(text))


def _of_texts(kind: TaskType, metric: str, prompts: Sequence[str], targets: pa.ChunkedArray) -> Measured:
    """Answers in words: the most frequent one, and what stands in the question."""
    wanted = [json.loads(target) for target in targets.slice(0, len(prompts)).to_pylist()]
    entities = kind is TaskType.NAMED_ENTITY_RECOGNITION
    frequent = min(targets.value_counts().to_pylist(), key=lambda pair: (-pair["counts"], pair["values"]))
    constant = json.loads(frequent["values"])
    if isinstance(constant, list):
        constant = ", ".join(constant) if entities else constant[0]
    abouts = [_about(prompt) for prompt in prompts]
    copies = {"what it is about": abouts}
    if entities:
        copies |= {
            how: [" ".join(about.split()[:words]) for about in abouts]
            for how, words in (("the first word", 1), ("the first two words", 2))
        }
    module = TASKS[kind]

    def score(answers: Sequence[str]) -> float:
        return module.overall([module.parse(answer) for answer in answers], wanted, metric)

    found = [
        Shortcut("constant", constant, score([constant] * len(prompts))),
        _best("copy", {how: score(answers) for how, answers in copies.items()}),
    ]
    return _measured(len(targets), (0, 0), 0.0, found)


def _about(prompt: str) -> str:
    """The text that a question is about: what stands behind a label or in quotes, else a line."""
    labelled, quoted = passages(prompt)
    return max(labelled + quoted or prompt.split("\n"), key=len)


_JAPANESE = re.compile("[ぁ-ヿ㐀-鿿々]+")
_WORD = re.compile(rf"{_JAPANESE.pattern}|[^\W_ぁ-ヿ㐀-鿿々]+")


def _words(text: str) -> set[str]:
    """The words of a text; of Japanese, which has no blanks, every two characters."""
    if text.isascii():
        return set(_WORD.findall(text.lower()))
    found: set[str] = set()
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if len(word) > 1 and _JAPANESE.match(word):
            found.update(map("".join, itertools.pairwise(word)))
        else:
            found.add(word)
    return found


def _best(family: str, scores: Mapping[str, float]) -> Shortcut:
    how = max(scores, key=lambda how: round(scores[how], _DECIMALS))
    return Shortcut(family, how, scores[how])


def _measured(rows: int, options: tuple[int, int], chance: float, found: Iterable[Shortcut]) -> Measured:
    rounded = [Shortcut(family, how, round(score, _DECIMALS)) for family, how, score in found]
    rounded.sort(key=lambda shortcut: -shortcut.score)
    return Measured(rows, options, round(chance, _DECIMALS), tuple(rounded))
