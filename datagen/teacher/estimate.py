"""The cost of asks before any is sent: what the ledger holds, and what the rest will take."""

import json
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from sqlite3 import Connection
from typing import Any, NamedTuple

from datagen.prompts.token_estimate import estimated_tokens
from datagen.teacher import ledger
from datagen.teacher.ask import Ask, Teacher
from datagen.teacher.budget import BATCH_SHARE, price_of, tokens_of
from datagen.teacher.calls import settled

_CHUNK = 500

_SHARE_OUT = 0.25
"""Of `max_tokens`, what a reply takes of which nothing is known."""


class Estimate(NamedTuple):
    """One step's asks, how many of them the ledger answers, and what the others will take.

    `most_usd` is the cost where each reply is as long as it may be. Dollars are None where no price is known.
    `reply` is the tokens of one reply, and `by` how these are known: by the `ledger`, by the `schema`, or by
    a `guess`.
    """

    step: str
    asks: int
    held: int
    tokens_in: int
    tokens_out: int
    usd: float | None
    most_usd: float | None
    batch_usd: float | None
    reply: float
    by: str


def estimates(teacher: Teacher, asks: Iterable[Ask], path: Path, scale: float = 1.0) -> list[Estimate]:
    """An estimate for each step, in the order in which the steps come. It calls nothing.

    `scale` is how many asks there will be for each of these, where they are a sample.
    """
    counts: dict[str, list[int]] = {}
    schemas: dict[str, dict[str, Any] | None] = {}
    with ExitStack() as stack:
        connection = stack.enter_context(ledger.opened(path)) if path.is_file() else None
        rest, words = iter(asks), set[bytes]()
        while chunk := list(islice(rest, _CHUNK)):
            keys = [ledger.key_of(ledger.request_of(teacher, ask)) for ask in chunk]
            known = ledger.find(connection, keys) if connection else {}
            for ask, key in zip(chunk, keys, strict=True):
                count = counts.setdefault(ask.step, [0, 0, 0])
                schemas[ask.step] = ask.schema
                count[0] += 1
                if key in words or settled(known.get(key, []), ask.schema):
                    count[1] += 1  # the same words are asked once
                else:
                    count[2] += tokens_of(ask)
                words.add(key)
        return [
            _estimate(teacher, step, count, *_of_reply(teacher, step, schemas[step], connection), scale)
            for step, count in counts.items()
        ]


def _estimate(teacher: Teacher, step: str, count: list[int], reply: float, by: str, scale: float) -> Estimate:
    asks, held, tokens_in = count
    price = price_of(teacher)
    calls = (asks - held) * scale
    tokens = round(tokens_in * scale), round(calls * reply)
    usd = price and price.of(*tokens)
    return Estimate(
        *(step, round(asks * scale), round(held * scale), *tokens),
        *(usd, price and price.of(tokens[0], round(calls * teacher.max_tokens))),
        None if usd is None else usd * BATCH_SHARE,
        *(reply, by),
    )


def _of_reply(
    teacher: Teacher, step: str, schema: dict[str, Any] | None, connection: Connection | None
) -> tuple[float, str]:
    """The tokens of a step's reply, and by what they are known."""
    known = ledger.tokens_out(connection, step, teacher.model) if connection else None
    if known is not None:
        return known, "ledger"
    properties = (schema or {}).get("properties", {})
    if properties and all("enum" in one for one in properties.values()):  # such as a judge's score
        longest = {
            name: max(one["enum"], key=lambda value: len(str(value))) for name, one in properties.items()
        }
        return estimated_tokens(json.dumps(longest)), "schema"
    return teacher.max_tokens * _SHARE_OUT, "guess"
