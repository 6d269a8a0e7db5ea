"""The teacher as others ask it: asks in, one reply to each, in their order.

    for reply in asked(teacher, asks, Path("runs/teacher.sqlite"), recipe="aspects"): ...

The ledger answers first, and what it lacks is asked of the server. Nothing here reads a recipe: asks are
plain data.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sized
from concurrent.futures import Future
from itertools import islice
from pathlib import Path
from sqlite3 import Connection
from typing import NamedTuple

from datagen.console.progress import Progress, Say
from datagen.errors import UserError
from datagen.teacher import ledger
from datagen.teacher.api_key import available
from datagen.teacher.ask import NOT_IN_LEDGER, Ask, Reply, Teacher
from datagen.teacher.batch_api import fill
from datagen.teacher.calls import LAST_REPLIES, Calls, Job
from datagen.teacher.raw_reply import Read, settled
from datagen.teacher.turn import Turn

__all__ = ["Ask", "Reply", "Teacher", "asked", "available"]

_CHUNK = 500
"""Asks that are looked up in the ledger at a time."""

_AHEAD = 4_000
"""Asks that are sent before the first of them is given out; those that are slow delay no other."""


def asked(
    teacher: Teacher,
    asks: Iterable[Ask],
    path: Path,
    *,
    recipe: str,
    progress: Progress = lambda stage, done, total: None,
    say: Say = lambda text: None,
) -> Iterator[Reply]:
    """Every ask's reply, in the order of the asks, from the ledger at `path` or else from the server.

    Where the server cannot be asked for want of a key, the ledger answers alone, and what it lacks is counted
    in one line. Raises UserError where there is neither key nor ledger, and where the server refuses the key
    or does not know the model; OverBudget before a call that could pass the limit of costs.
    """
    missing = available(teacher)
    if missing and not path.is_file():
        raise UserError(missing)
    total = len(asks) if isinstance(asks, Sized) else 0
    given = left_out = 0
    with ledger.opened(path) as connection, Turn(teacher, path, say) as turn:
        if teacher.batch and not missing:
            turn.take()
            asks = list(asks)
            fill(teacher, asks, path, recipe=recipe, progress=progress, say=say)
        calls = None if missing else Calls(teacher, path, recipe, say)
        try:
            for reply in _in_order(teacher, asks, connection, calls, turn):
                given += 1
                left_out += reply.reason == NOT_IN_LEDGER
                progress(f"asking {teacher.model}", given, max(total, given))
                yield reply
        finally:
            if calls:
                calls.end(LAST_REPLIES)
    if left_out:
        say(f"{left_out:,} of {given:,} asks are not in {path} and are left out: {missing}")


def held(teacher: Teacher, asks: Iterable[Ask], path: Path) -> Iterator[Reply]:
    """Every ask's reply as far as the ledger has it; nobody is asked, and no ledger is made."""
    if not path.is_file():
        yield from (Reply(ask.key, "", NOT_IN_LEDGER, teacher.model, 0, 0, False) for ask in asks)
        return
    with ledger.opened(path) as connection:
        yield from _in_order(teacher, asks, connection)


class _Waiting(NamedTuple):
    """An ask, its key in the ledger, and its reading, which may be yet to come."""

    ask: Ask
    key: bytes
    reading: Future[Read] | Read
    from_ledger: bool


def _in_order(
    teacher: Teacher,
    asks: Iterable[Ask],
    connection: Connection,
    calls: Calls | None = None,
    turn: Turn | None = None,
) -> Iterator[Reply]:
    rest, more = iter(asks), True
    waiting: deque[_Waiting] = deque()
    flying: dict[bytes, Future[Read]] = {}
    while more or waiting:
        if more and len(waiting) < _AHEAD:
            chunk = list(islice(rest, _CHUNK))
            more = len(chunk) == _CHUNK
            found, jobs = _looked_up(teacher, chunk, connection, calls is not None, flying)
            if jobs and turn and turn.take():  # another run has asked meanwhile, perhaps for the same
                found, jobs = _looked_up(teacher, chunk, connection, calls is not None, flying)
            if calls and jobs:
                flying |= {job.key: job.future for job in jobs}
                calls.put(jobs)
            waiting.extend(found)
        while waiting and (not more or len(waiting) >= _AHEAD or _known(waiting[0])):
            first = waiting.popleft()
            reading = first.reading if isinstance(first.reading, Read) else first.reading.result()
            flying.pop(first.key, None)
            yield Reply(
                *(first.ask.key, reading.text, reading.reason, reading.model or teacher.model),
                *(reading.tokens_in, reading.tokens_out, first.from_ledger),
            )


def _known(waiting: _Waiting) -> bool:
    return isinstance(waiting.reading, Read) or waiting.reading.done()


def _looked_up(
    teacher: Teacher,
    asks: list[Ask],
    connection: Connection,
    may_ask: bool,
    flying: Mapping[bytes, Future[Read]],
) -> tuple[list[_Waiting], list[Job]]:
    """The asks with their readings from the ledger, and those to send, as it lacks them: same words once."""
    requests = [ledger.request_of(teacher, ask) for ask in asks]
    keys = [ledger.key_of(request) for request in requests]
    known = ledger.find(connection, [key for key in keys if key not in flying])
    found: list[_Waiting] = []
    jobs: dict[bytes, Job] = {}
    for ask, request, key in zip(asks, requests, keys, strict=True):
        before = tuple(known.get(key, ()))
        reading = settled(before, ask.schema)
        if key in flying or key in jobs:
            found.append(_Waiting(ask, key, flying[key] if key in flying else jobs[key].future, True))
        elif reading is not None:
            found.append(_Waiting(ask, key, reading, True))
        elif not may_ask:
            found.append(_Waiting(ask, key, Read("", NOT_IN_LEDGER), False))
        else:
            jobs[key] = Job(ask, key, request, before, Future())
            found.append(_Waiting(ask, key, jobs[key].future, False))
    return found, [*jobs.values()]
