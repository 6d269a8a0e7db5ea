"""Whether reading a text takes time in proportion to its length, whatever it is made of.

Every compiled pattern of the three packages is tried, and every function through which foreign text passes.
"""

import functools
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

import datagen
import finetune
import infer
from datagen import dedup
from datagen.classify import task_type
from datagen.pipeline import filters
from datagen.prompts import cloze, instruction, options
from datagen.prompts.token_estimate import estimated_tokens
from datagen.schema import TaskType
from infer.scoring.parsers import GRADERS
from infer.serve import constraints, prepare

LENGTH = 5_000
NOTICED = 0.02
"""CPU seconds for LENGTH characters from which growth is measured: with the square, it takes more."""
GROWTH = 9
"""How much longer four times the length may take: four times, and noise; with the square it is sixteen."""

RUNS = [
    *" \t\n\r\u3000\u00a07３٣'\"‘“「«,;.:：!?|-_*・()[{}<>/\\#%+a゙ああ亜É😀",
    *("\r\n", " \n", "\t ", "' ", " 'a", ' "a', "“a ", "a ", "a:", ": ", "a:\n", " a: b\n", "'a' "),
    *("1 ", "1. ", "1) ", "0. a\n1. b\n", "(A) ", "A. ", "A. a\n", "a,", "1,", "1 to 2 ", "- a\n", ".a"),
    *("Input: a\n", "options:\n", "options: "),
    *("option ", "list: ", "select ", "number of ", "yes ", "which "),
    *("answer ", "find a ", "rank, ", "{#", "番号", "選", "は、", "[0] ", "one two. ", "a | ", "iv. ", "x; "),
]  # fmt: skip
"""What texts are made of, over and over."""

ENDS = [("", "!"), ("a: ", "\n"), ("---", "a")]
"""What stands before and behind, in the way of a match; behind the first begins no run."""


def texts(length: int) -> Iterator[str]:
    for run in RUNS:
        for before, behind in ENDS if run in " \t\n7a:-" else ENDS[:1]:
            yield before + run * (length // len(run)) + behind


def patterns() -> dict[str, re.Pattern[str]]:
    """Every pattern that a module of the packages holds, in a tuple, list or mapping too, by its place."""
    found: dict[str, re.Pattern[str]] = {}

    def look(place: str, value: object) -> None:
        if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
            found[place] = value
        elif isinstance(value, dict | tuple | list):
            for key, each in value.items() if isinstance(value, dict) else enumerate(value):
                look(f"{place}.{key}", each)

    for package in (datagen, finetune, infer):
        for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            try:
                module = importlib.import_module(each.name)
            except ImportError:
                continue  # torch, vllm
            for name, value in vars(module).items():
                if not name.startswith("__"):
                    look(f"{each.name}.{name}", value)
    return {place: pattern for place, pattern in found.items() if pattern.pattern}


PATTERNS = patterns()


def unlisted(text: str) -> Any:
    """The text as a question around a list, so that its sentences are looked at."""
    return cloze.unlisted(f"{text}\n0. a\n1. b\n{text}", TaskType.MULTIPLE_CHOICE)


def reasons(text: str) -> Any:
    column = pa.array([text])
    return filters.reasons(column, column, column, pa.array(["es"]), max_tokens=10, language=True)


def dedup_of(text: str) -> Any:
    """Two rows that differ by a word, so that they are compared word by word."""
    texts = [text, f"{text} b"]
    rows = {"id": ["0", "1"], "kind": ["k", "k"], "fields": [[each] for each in texts]}
    rows |= {"options": [[], []], "answer": ["x", "x"]}
    options = pa.array(rows.pop("options"), pa.list_(pa.string()))
    return dedup.decide([dedup.read(pa.table(rows).append_column("options", options))], 0.85)


FUNCTIONS: dict[str, Callable[[str], Any]] = {
    "classify": lambda text: task_type.classify(text, None),
    "listed": options.listed,
    "split": instruction.split,
    "passages": instruction.passages,
    "estimated_tokens": estimated_tokens,
    "filters": reasons,
    "leaked": lambda text: filters.leaked(
        TaskType.MULTIPLE_CHOICE, "", [text, text], [text[: LENGTH // 2], "b"], 0
    ),
    "dedup": dedup_of,
    "first_sentence": lambda text: constraints.finished(prepare.UNKNOWN, text),
    "unlisted": unlisted,
    **{f"{grader} {kind.value}": parse for grader, of in GRADERS.items() for kind, parse in of.items()},
}
"""Functions that read foreign text, by name."""


def tried(pattern: re.Pattern[str], text: str) -> None:
    pattern.match(text)
    for _ in pattern.finditer(text):
        pass


def seconds(reads: Callable[[str], Any], text: str, times: int = 1) -> float:
    """The least CPU time of some tries: other work beside makes a try longer, nothing makes it shorter."""
    found = []
    for _ in range(times):
        start = time.process_time()
        reads(text)
        found.append(time.process_time() - start)
    return min(found)


def faster_than_text(reads: Callable[[str], Any]) -> list[str]:
    """The texts on which `reads` takes GROWTH times as long and more where they are four times as long."""
    found = []
    for short, text, long in zip(texts(LENGTH // 10), texts(LENGTH), texts(4 * LENGTH), strict=True):
        if seconds(reads, short) > NOTICED and seconds(reads, short, 3) > NOTICED:
            found.append(f"{text[:20]!r}...: {seconds(reads, short):.2f} s for {len(short)} characters")
        elif seconds(reads, text) > NOTICED and seconds(reads, text, 3) > NOTICED:
            once, more = seconds(reads, text, 3), seconds(reads, long, 3)
            if more > GROWTH * once:
                found.append(f"{text[:20]!r}...: {once:.2f} s, {more:.2f} s for four times the length")
    return found


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_takes_more_time_than_text(name: str) -> None:
    assert faster_than_text(functools.partial(tried, PATTERNS[name])) == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_no_function_takes_more_time_than_text(name: str) -> None:
    assert faster_than_text(FUNCTIONS[name]) == []
