"""The pace of answering within a time limit: shorter answers before dropped ones, and none left out.

The limit says how many questions of which type will come. What a question costs is counted in tokens: those
that are read, and those that are written. How many seconds either takes is measured
call by call. When the questions to come would not be done in time, answers are cut to a
share of their length, as little as will do. When the smallest share does not do either, the types that cost
most are answered by rule (`infer.serve.fallback`), so that the most questions reach the model.
"""

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from datagen.errors import UserError
from datagen.schema import TaskType
from datagen.shopbench.limits import SECONDS_A_QUESTION, Limit, from_object
from datagen.storage.files import read_json
from infer.serve.engine import Response
from infer.serve.fallback import ruled
from infer.serve.prepare import Prepared
from infer.serve.respond import Answerer, ask

VARIABLE = "SHOPTALK_LIMIT"
"""The environment's limit, as JSON, in the place of the submission's own."""

SPARE = 0.05
"""Share of the time that is not planned for: work beside, and the last call's error."""

SHARES = (1.0, 0.75, 0.5, 0.375, 0.25, 0.125)
"""Shares of an answer's usual length, tried in turn."""

SHORTEST = 6
"""Tokens that an answer has at least."""

WRITTEN = 4
"""Tokens that are read in the time of one that is written, sixteen answers side by side; until measured."""

PRIOR = 0.02
"""The weight of WRITTEN against all that was measured."""

SAFE = 0.7
"""Share of the time of a call that its forecast may take."""

FORGET = 0.9
"""What a measurement weighs after each later one."""

SHORTENED, BY_RULE, FAILED = "answer_shortened", "time_up", "failed"
"""What was done to an answer: it was cut short, or it is a rule's, as time is short or the engine failed."""


def limit_of(file: Path) -> Limit:
    """The limit that the environment gives, else a submission's file. Raises UserError where it is none."""
    said = os.environ.get(VARIABLE)
    if said is None:
        return from_object(read_json(file, "Write the submission again"), str(file))
    try:
        return from_object(json.loads(said), VARIABLE)
    except ValueError as error:
        raise UserError(f"{VARIABLE}: not JSON ({error})") from None


class _Usual(NamedTuple):
    """What a question of a type usually reads and writes, in tokens, and the most that it may write.

    The last is 0 where an answer has no length to choose.
    """

    read: float
    written: float
    most: float


class _Rates:
    """Seconds a token read and a token written, fitted to calls by least squares; late ones weigh most."""

    def __init__(self) -> None:
        self.read = self.written = 0.0
        self._sums = [0.0] * 5

    def add(self, read: float, written: float, seconds: float) -> None:
        """Fit anew, with one call more."""
        products = (read * read, read * written, written * written, read * seconds, written * seconds)
        self._sums = [FORGET * a + b for a, b in zip(self._sums, products, strict=True)]
        rr, rw, ww, rs, ws = self._sums
        # As if a few calls had said WRITTEN: such as are all alike tell no two rates
        weight = PRIOR * (rr / WRITTEN**2 + ww) + 1e-9
        rr, rw, ww = rr + weight * WRITTEN**2, rw - weight * WRITTEN, ww + weight
        determinant = rr * ww - rw * rw
        self.read, self.written = (rs * ww - ws * rw) / determinant, (ws * rr - rs * rw) / determinant
        if self.written < 0:
            self.read, self.written = rs / rr, 0.0
        elif self.read < 0:
            self.read, self.written = 0.0, ws / ww


class Pace:
    """What is known of the time: how much is left, for which questions, and what a token takes."""

    def __init__(self, limit: Limit, began: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._end = began + (1 - SPARE) * limit.seconds
        self._left = Counter(limit.questions)
        self.clock = clock
        self._rates: dict[bool, _Rates] = {}  # by whether texts are weighed
        self._usual: dict[TaskType, _Usual] = {}
        self._weighed: dict[TaskType, bool] = {}
        self._credit: dict[TaskType, float] = defaultdict(float)

    @property
    def seconds_left(self) -> float:
        """Seconds until the end, without the spare."""
        return self._end - self.clock()

    @property
    def measured(self) -> bool:
        """Whether any call was timed."""
        return bool(self._rates)

    def shares(self, prepared: Sequence[Prepared]) -> list[float]:
        """The share of its length that each answer of a call may have; 0: a rule answers."""
        asked = [one.request is not None or one.weighed is not None for one in prepared]
        time_left = self.seconds_left
        if time_left <= 0:
            return [0.0] * len(prepared)
        if not self.measured:
            return [float(one) for one in asked]
        here = Counter(one.guess.task_type for one in prepared)
        left = {kind: max(self._left[kind], here[kind]) for kind in {*self._left, *here}}
        share = next((s for s in SHARES if self._forecast(left, s) <= time_left), SHARES[-1])
        reach = self._reach(left, share, time_left)
        shares = []
        for one, can in zip(prepared, asked, strict=True):
            kind = one.guess.task_type
            self._credit[kind] = min(self._credit[kind] + reach.get(kind, 1.0), 1.0 + reach.get(kind, 1.0))
            taken = can and self._credit[kind] >= 1 - 1e-9
            self._credit[kind] -= taken
            shares.append(share * taken)
        return self._fitting(prepared, shares, min(time_left, SAFE * SECONDS_A_QUESTION * len(prepared)))

    def took(
        self,
        prepared: Sequence[Prepared],
        shares: Sequence[float],
        responses: Sequence[Response],
        seconds: float,
    ) -> None:
        """Take down the time of a call of one kind: all decoded, or all weighed."""
        weighed = prepared[0].weighed is not None
        for one, share, response in zip(prepared, shares, responses, strict=True):
            kind, new = one.guess.task_type, _Usual(_read(one), response.tokens, _most(one))
            old = self._usual.get(kind, new)
            if share < 1:  # what it would have written is at least this
                new = new._replace(written=max(old.written, new.written))
            self._usual[kind] = _Usual(
                *(FORGET * a + (1 - FORGET) * b for a, b in zip(old, new, strict=True))
            )
            self._weighed[kind] = weighed
        self._rates.setdefault(weighed, _Rates()).add(
            sum(map(_read, prepared)), sum(response.tokens for response in responses), seconds
        )

    def answered(self, prepared: Sequence[Prepared]) -> None:
        """Count these questions as done."""
        self._left.subtract(one.guess.task_type for one in prepared)

    def _seconds(self, weighed: bool, read: float, written: float) -> float:
        """Seconds for so many tokens; by the other way's rates where this one was not measured yet."""
        rates = self._rates.get(weighed) or self._rates[not weighed]
        return rates.read * read + rates.written * written

    def _cost(self, kind: TaskType, share: float) -> float:
        """Seconds that a question of a type takes, at a share of the answer's length."""
        seen = self._usual.values()
        read, written, most = self._usual.get(kind) or _Usual(
            *(sum(of) / len(of) for of in zip(*seen, strict=True))
        )
        written = min(written, max(most * share, SHORTEST)) if most > SHORTEST else written
        return self._seconds(self._weighed.get(kind, False), read, written)

    def _forecast(self, left: dict[TaskType, int], share: float) -> float:
        return sum(count * self._cost(kind, share) for kind, count in left.items() if count > 0)

    def _reach(self, left: dict[TaskType, int], share: float, seconds: float) -> dict[TaskType, float]:
        """The part of each type's questions that the time is enough for, cheapest types first."""
        reach = {}
        for kind in sorted(left, key=lambda kind: self._cost(kind, share)):
            need = max(left[kind], 0) * self._cost(kind, share)
            reach[kind] = min(1.0, max(seconds, 0) / need) if need else 1.0
            seconds -= need
        return reach

    def _expected(self, one: Prepared, share: float) -> float:
        """Tokens that an answer is going to have: as its type usually has, but no more than it may."""
        most, usual = _written(one, share), self._usual.get(one.guess.task_type)
        return min(most, usual.written) if usual else most

    def _fitting(self, prepared: Sequence[Prepared], shares: list[float], seconds: float) -> list[float]:
        """The shares, made smaller where this call's own prompts would take longer than so many seconds."""

        def costs() -> list[float]:
            return [
                self._seconds(one.weighed is not None, _read(one), self._expected(one, share))
                if share
                else 0.0
                for one, share in zip(prepared, shares, strict=True)
            ]

        for smaller in SHARES[1:]:
            if sum(costs()) <= seconds:
                return shares
            shares = [min(share, smaller) for share in shares]
        while sum(found := costs()) > seconds:
            shares[found.index(max(found))] = 0.0
        return shares


def ask_within(
    engine: Answerer, pace: Pace, prepared: Sequence[Prepared], prompts: Sequence[str]
) -> list[tuple[Response, str | None]]:
    """A response to each question, in their order, and what the time limit did to it: nothing (None),
    SHORTENED or BY_RULE.
    """
    if not pace.measured and len(prepared) > 1:  # one question tells the pace of the others
        parts = ((prepared[:1], prompts[:1]), (prepared[1:], prompts[1:]))
        return [answer for part in parts for answer in ask_within(engine, pace, *part)]
    shares = pace.shares(prepared)
    responses: dict[int, Response] = {}
    for weighed in (False, True):
        places = [
            place
            for place, one in enumerate(prepared)
            if shares[place] and (one.weighed is not None if weighed else one.request is not None)
        ]
        if not places:
            continue
        start = pace.clock()
        found = ask(engine, [shortened(prepared[place], shares[place]) for place in places])
        pace.took(
            [prepared[place] for place in places],
            [shares[place] for place in places],
            found,
            pace.clock() - start,
        )
        responses |= dict(zip(places, found, strict=True))
    pace.answered(prepared)
    return [
        _told(responses.get(place), shares[place], one, prompts[place]) for place, one in enumerate(prepared)
    ]


def shortened(prepared: Prepared, share: float) -> Prepared:
    """The question with a shorter answer, where its answer has a length to choose."""
    if share == 1 or prepared.request is None or not _can_shrink(prepared):
        return prepared
    constraint = replace(prepared.request.constraint, max_tokens=_written(prepared, share))
    return replace(prepared, request=prepared.request._replace(constraint=constraint))


def _told(response: Response | None, share: float, one: Prepared, prompt: str) -> tuple[Response, str | None]:
    if response is None:
        asked = one.request is not None or one.weighed is not None
        return Response(ruled(prompt, one.guess), 0, 0, "rule"), BY_RULE if asked else None
    cut = share < 1 and response.reason == "length" and _can_shrink(one)
    return response, SHORTENED if cut else None


def _can_shrink(one: Prepared) -> bool:
    return one.request is not None and not (one.request.constraint.choices or one.request.constraint.regex)


def _most(one: Prepared) -> float:
    """The most tokens of an answer that has a length to choose; 0 for others."""
    return one.request.constraint.max_tokens if one.request and _can_shrink(one) else 0.0


def _written(one: Prepared, share: float) -> int:
    """Tokens that an answer has at most."""
    if one.request is None:
        return 0
    most = one.request.constraint.max_tokens
    return min(most, max(int(most * share), SHORTEST)) if _can_shrink(one) else most


def _read(one: Prepared) -> int:
    """Tokens to read; what stands before several texts once."""
    if one.weighed:
        texts = one.weighed.texts
        return sum(len(text.ids) - text.start for text in texts) + sum({text.start for text in texts})
    return len(one.request.ids) if one.request else 0
