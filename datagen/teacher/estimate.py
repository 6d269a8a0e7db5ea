"""The cost of asks before any is sent: what the ledger holds, and what the rest will take."""

from collections.abc import Iterable
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from sqlite3 import Connection
from typing import NamedTuple

from datagen.teacher import ledger
from datagen.teacher.ask import Ask, Teacher
from datagen.teacher.budget import BATCH_SHARE, price_of, tokens_of
from datagen.teacher.calls import settled

_CHUNK = 500

_SHARE_OUT = 0.25
"""Of `max_tokens`, what a reply takes where no reply of its step is known."""


class Estimate(NamedTuple):
    """One step's asks, how many of them the ledger answers, and what the others will take.

    `most_usd` is the cost where each reply is as long as it may be. Dollars are None where no price is known.
    """

    step: str
    asks: int
    held: int
    tokens_in: int
    tokens_out: int
    usd: float | None
    most_usd: float | None
    batch_usd: float | None


def estimates(teacher: Teacher, asks: Iterable[Ask], path: Path, scale: float = 1.0) -> list[Estimate]:
    """An estimate for each step, in the order in which the steps come. It calls nothing.

    `scale` is how many asks there will be for each of these, where they are a sample.
    """
    counts: dict[str, list[int]] = {}
    with ExitStack() as stack:
        connection = stack.enter_context(ledger.opened(path)) if path.is_file() else None
        rest, words = iter(asks), set[bytes]()
        while chunk := list(islice(rest, _CHUNK)):
            keys = [ledger.key_of(ledger.request_of(teacher, ask)) for ask in chunk]
            known = ledger.find(connection, keys) if connection else {}
            for ask, key in zip(chunk, keys, strict=True):
                count = counts.setdefault(ask.step, [0, 0, 0])
                count[0] += 1
                if key in words or settled(known.get(key, []), ask.schema):
                    count[1] += 1  # the same words are asked once
                else:
                    count[2] += tokens_of(ask)
                words.add(key)
        return [
            _estimate(teacher, step, count, _reply_tokens(teacher, step, connection), scale)
            for step, count in counts.items()
        ]


def _estimate(teacher: Teacher, step: str, count: list[int], reply: float, scale: float) -> Estimate:
    asks, held, tokens_in = count
    price = price_of(teacher)
    calls = (asks - held) * scale
    tokens = round(tokens_in * scale), round(calls * reply)
    usd = price and price.of(*tokens)
    return Estimate(
        *(step, round(asks * scale), round(held * scale), *tokens),
        *(usd, price and price.of(tokens[0], round(calls * teacher.max_tokens))),
        None if usd is None else usd * BATCH_SHARE,
    )


def _reply_tokens(teacher: Teacher, step: str, connection: Connection | None) -> float:
    known = ledger.tokens_out(connection, step, teacher.model) if connection else None
    return teacher.max_tokens * _SHARE_OUT if known is None else known
