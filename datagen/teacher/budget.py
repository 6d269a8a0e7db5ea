"""What replies cost: the dated table of prices, and the worst that a call can cost before it is made."""

import functools
import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from datagen.console.typed import typed
from datagen.errors import UserError
from datagen.prompts.token_estimate import estimated_tokens
from datagen.teacher.ask import Ask, Teacher

_PRICES = Path(__file__).parent / "prices.yaml"

BATCH_SHARE = 0.5
"""What the Batch API takes of a price."""

_MILLION = 1_000_000

_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")

MESSAGE_TOKENS = 8
"""What a server adds around each message, at most."""


class Price(NamedTuple):
    """Dollars a million tokens."""

    tokens_in: float
    tokens_out: float

    def of(self, tokens_in: int, tokens_out: int) -> float:
        """Dollars for so many tokens."""
        return (tokens_in * self.tokens_in + tokens_out * self.tokens_out) / _MILLION


def price_of(teacher: Teacher) -> Price | None:
    """The teacher's price: the one given, nothing on this machine, else the table's; None: unknown."""
    if teacher.price is not None:
        return Price(*teacher.price)
    if teacher.local:
        return Price(0.0, 0.0)
    models = _table()["models"]
    known = models.get(teacher.model) or models.get(_DATED.sub("", teacher.model))
    return Price(*known) if known else None


def needs_price(teacher: Teacher) -> None:
    """Raises UserError where the limit of costs cannot be kept, for want of a price."""
    limit = teacher.max_cost_usd
    if limit is not None and price_of(teacher) is None:
        raise UserError(
            f"the price of {teacher.model} is unknown, so the limit of ${limit:g} cannot be kept."
            f" Give its dollars a million tokens, in and out, as in {typed('--price', '2.5,10')}"
        )


def price_date() -> str:
    """The day of the table of prices."""
    return str(_table()["date"])


@functools.cache
def _table() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(_PRICES.read_text(encoding="utf-8"))
    return loaded


def given_price(text: str) -> tuple[float, float]:
    """The price in `2.5,10`, as people type it: dollars a million tokens, in and out."""
    try:
        tokens_in, tokens_out = (float(part) for part in text.split(","))
    except ValueError:
        tokens_in = tokens_out = -1.0
    if not (0 <= tokens_in < math.inf and 0 <= tokens_out < math.inf):
        raise UserError(
            f"{typed('--price', text)}: give the dollars of a million tokens, in and out, as in"
            f" {typed('--price', '2.5,10')}"
        )
    return tokens_in, tokens_out


def tokens_of(ask: Ask) -> int:
    """About how many tokens an ask sends."""
    schema = estimated_tokens(json.dumps(ask.schema)) if ask.schema is not None else 0
    return schema + sum(MESSAGE_TOKENS + estimated_tokens(message["content"]) for message in ask.messages)
