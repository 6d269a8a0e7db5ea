"""The questions that a model is quantised by: those it is calibrated on, and those it is scored on.

They are worded and tokenized as in training and in serving (`prompts.chat`, `prompts.cloze`). Of a data set
the train split calibrates, question and answer, and the test split is scored. Any other source is parted:
what calibrates is not scored.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datagen.classify.task_type import classify
from datagen.errors import UserError
from datagen.hf.checkpoint import chooses_by
from datagen.prompts.chat import prompt_ids, special_tokens
from datagen.prompts.cloze import CHOICES, unlisted
from datagen.shopbench.questions import Asked, read_questions
from datagen.storage.manifest import MANIFEST
from finetune.base_models import load_tokenizer
from finetune.dataset import read_split

LONGEST = 2048
"""Tokens of a sequence; ShopBench's questions have at most some 2,000."""

MEASURED = 50
"""Rows of the test split whose answers the perplexity is of."""


class Tokens(NamedTuple):
    """Token ids; those from `start` on are the answer."""

    ids: list[int]
    start: int


class Questions(NamedTuple):
    """Sequences to calibrate on and to measure the perplexity of, and questions to score."""

    calibration: list[Tokens]
    measured: list[Tokens]
    scored: list[Asked]


def questions(model: Path, source: Path, samples: int, limit: int) -> Questions:
    """At most so many `samples` to calibrate on, and `limit` questions to score.

    Raises UserError where there are too few for both.
    """
    tokenizer, choose = load_tokenizer(model), chooses_by(model)
    asked = read_questions(source)
    if (source / MANIFEST).is_file():
        calibration = _rows(source, "train", tokenizer, samples, choose)
        return Questions(
            calibration, _rows(source, "test", tokenizer, MEASURED, choose), _turns(asked)[:limit]
        )
    first = min(samples, len(asked) // 2)
    mixed = _turns(sorted(asked, key=lambda question: hashlib.sha256(question.id.encode()).hexdigest()))
    sequences = [_sequence(question, tokenizer, choose) for question in mixed[:first]]
    calibration = [of for of in sequences if of and len(of.ids) <= LONGEST]
    if not calibration:
        raise UserError(
            f"{source}: {len(asked)} questions are too few to calibrate on some and score others, or "
            f"longer than {LONGEST} tokens. Name more, or a data set, as in: --questions runs/esci_mcq"
        )
    return Questions(calibration, [], mixed[first : first + limit])


def write(sequences: Sequence[Tokens], path: Path) -> str:
    """Write sequences as JSON Lines; gives the sha256 of what was written."""
    text = "".join(json.dumps(of._asdict()) + "\n" for of in sequences)
    path.write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def _rows(run: Path, side: str, tokenizer: Any, rows: int, choose: str) -> list[Tokens]:
    split = read_split(run, side, tokenizer, LONGEST, rows, choose=choose)
    return [Tokens(row["input_ids"], row["completion_mask"].index(1)) for row in split.rows.to_pylist()]


def _sequence(asked: Asked, tokenizer: Any, choose: str) -> Tokens | None:
    """A question as it will be asked, and with `choose: text` one of its texts; None where it cannot be."""
    kind = classify(asked.prompt, asked.is_multiple_choice).task_type
    prompt, text = asked.prompt, ""
    if choose == "text" and kind in CHOICES and (cloze := unlisted(asked.prompt, kind)):
        place = int(hashlib.sha256(asked.id.encode()).hexdigest(), 16) % len(cloze.texts)
        prompt, text = cloze.prompt, cloze.texts[place]
    if any(token in prompt or token in text for token in special_tokens(tokenizer)):
        return None
    ids = prompt_ids(tokenizer, kind, prompt)
    return Tokens([*ids, *tokenizer.encode(text, add_special_tokens=False)], len(ids))


def _turns(asked: Sequence[Asked]) -> list[Asked]:
    """The first question of every task, then the second of each, and so on."""
    seen: Counter[str] = Counter()
    turns = []
    for question in asked:
        turns.append(seen[question.task])
        seen[question.task] += 1
    return [question for _, question in sorted(zip(turns, asked, strict=True), key=lambda pair: pair[0])]
