"""Asking by the Batch API: half the price, within a day, over as many restarts as it takes.

What is sent is noted in the ledger before it is sent, so that a later run of the same command waits for it
and sends nothing twice. Replies are matched by their ids, never by their order, and kept together with the
note that their batch is done. What failed is sent again, alone; what fails three times is left to single
calls.
"""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from sqlite3 import Connection
from typing import Any, NamedTuple

from datagen.console.progress import Progress, Say
from datagen.console.typed import typed
from datagen.errors import OverBudget, UserError
from datagen.teacher import ledger
from datagen.teacher.api_key import VARIABLE, api_key
from datagen.teacher.ask import Ask, Teacher
from datagen.teacher.budget import BATCH_SHARE, Price, price_of, tokens_of
from datagen.teacher.calls import FORMS, TIMEOUT, body_of, lacks_of, needs_price, settled
from datagen.teacher.raw_reply import BROKEN, read
from datagen.teacher.server import by_proxy, without_key

POLL = 30.0
"""Seconds between two looks at a batch."""

ROUNDS = 3
"""Batches that an ask goes into before it is left to a single call."""

MOST_ASKS, MOST_BYTES = 20_000, 100_000_000
"""The size of a batch; OpenAI takes 50,000 asks and 200 MB."""

_MARK = "shoptalk"
"""The name in a batch's metadata under which ours stands, by which a batch is found again."""

_TABLES = """
create table if not exists batch (name text primary key, id text, server text, recipe text, done integer);
create table if not exists batched (
    batch text not null, key blob not null, step text not null, request text not null, worst real not null,
    primary key (batch, key)
) without rowid;
"""


class _Lacking(NamedTuple):
    """An ask that the ledger lacks, as it will be sent."""

    ask: Ask
    key: bytes
    request: str
    worst: float


def fill(
    teacher: Teacher, asks: Sequence[Ask], path: Path, *, recipe: str, progress: Progress, say: Say
) -> None:
    """Get replies to what the ledger lacks of these asks by batches, and wait for them.

    Says so and does nothing where the server has no Batch API. Raises UserError where the server refuses the
    key or a whole batch, OverBudget before a batch that could pass the limit of costs.
    """
    needs_price(teacher)
    with ledger.opened(path) as connection, ledger.readable(path):
        for statement in _TABLES.split(";"):
            connection.execute(statement)
        batches = _Batches(teacher, connection, path, recipe, progress, say)
        failed: Counter[bytes] = Counter()
        with batches.client:
            while lacking := batches.wait(asks, failed):
                while lacking:
                    sent = batches.send(lacking)
                    if sent is None:
                        return
                    if not sent:
                        break  # the limit of costs lets no more out at a time
                    lacking = lacking[sent:]
    if left := sum(times >= ROUNDS for times in failed.values()):
        say(f"{left:,} asks failed in {ROUNDS} batches: they are sent one by one")


class _Batches:
    """The batches of one server, as the ledger notes them."""

    def __init__(
        self, teacher: Teacher, connection: Connection, path: Path, recipe: str, progress: Progress, say: Say
    ) -> None:
        import openai

        self.teacher, self.connection, self.path, self.recipe = teacher, connection, path, recipe
        self.progress, self.say = progress, say
        self.price = price_of(teacher) or Price(0.0, 0.0)
        self.key = api_key(teacher)
        with by_proxy():
            self.client = openai.OpenAI(
                api_key=self.key, base_url=teacher.server, timeout=TIMEOUT, max_retries=5
            )

    def lacking(self, asks: Iterable[Ask]) -> list[_Lacking]:
        """The asks that the ledger has no settled reply to, the same words once."""
        found: dict[bytes, _Lacking] = {}
        for ask in asks:
            request = ledger.request_of(self.teacher, ask)
            worst = self.price.of(2 * tokens_of(ask), self.teacher.max_tokens) * BATCH_SHARE
            key = ledger.key_of(request)
            found[key] = _Lacking(ask, key, request, worst)
        known = ledger.find(self.connection, list(found))
        return [one for key, one in found.items() if not settled(known.get(key, []), one.ask.schema)]

    def send(self, lacking: Sequence[_Lacking]) -> int | None:
        """Send as many as the limits of size and cost let, and say how many; None: there is no Batch API."""
        import openai

        chosen, lines = self._within_limits(lacking)
        if not chosen:
            return 0
        name = uuid.uuid4().hex
        with ledger.transaction(self.connection):
            self.connection.execute(
                "insert into batch values (?, null, ?, ?, 0)", [name, self.teacher.server, self.recipe]
            )
            rows = [(name, one.key, one.ask.step, one.request, one.worst) for one in chosen]
            self.connection.executemany("insert into batched values (?, ?, ?, ?, ?)", rows)
        try:
            batch = self._create(name, lines)
        except openai.APIStatusError as error:
            if error.status_code < 500:
                self._forget(name)  # it was never made
            if error.status_code in (401, 403):
                raise UserError(
                    f"{self.teacher.server} refuses the key ({error.status_code})."
                    f" Set {VARIABLE} to one that it takes"
                ) from None
            if error.status_code in (404, 405, 501):
                self.say(
                    f"{self.teacher.server} has no Batch API ({error.status_code} on /files):"
                    " asks are sent one by one, at the full price"
                )
                return None
            raise UserError(f"{self.teacher.server} takes no batch ({error.status_code})") from None
        except openai.APIConnectionError as error:
            raise _gone(self.teacher) from error
        self.connection.execute("update batch set id = ? where name = ?", [batch.id, name])
        self.say(
            f"Batch {batch.id}: {len(chosen):,} asks sent, replies come within a day."
            " Ctrl-C is safe: the same command goes on waiting ..."
        )
        return len(chosen)

    def _create(self, name: str, lines: list[bytes]) -> Any:
        file = self.client.files.create(file=(f"{name}.jsonl", b"".join(lines)), purpose="batch")
        return self.client.batches.create(
            input_file_id=file.id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata={_MARK: name},
        )

    def _within_limits(self, lacking: Sequence[_Lacking]) -> tuple[list[_Lacking], list[bytes]]:
        chosen: list[_Lacking] = []
        lines: list[bytes] = []
        query = "select coalesce(sum(worst), 0.0) from batched join batch on name = batch where recipe = ?"
        [on_its_way] = self.connection.execute(query, [self.recipe]).fetchone()
        size, cost = 0, ledger.spent(self.connection, self.recipe) + on_its_way
        limit = self.teacher.max_cost_usd
        for one in lacking[:MOST_ASKS]:
            body = body_of(self.teacher, one.ask, FORMS[0], lacks_of(self.teacher))
            line = {"custom_id": one.key.hex(), "method": "POST", "url": "/v1/chat/completions", "body": body}
            lines.append(json.dumps(line).encode() + b"\n")
            size, cost = size + len(lines[-1]), cost + one.worst
            if size > MOST_BYTES or (limit is not None and cost > limit):
                lines.pop()
                break
            chosen.append(one)
        if not chosen and not on_its_way:
            raise OverBudget(
                f"stopped before a batch that could pass the limit of ${limit or 0:g}. Every reply is kept:"
                f" with a higher limit ({typed('--max-cost')}) the same command goes on from there"
            )
        return chosen, lines

    def wait(self, asks: Sequence[Ask], failed: Counter[bytes]) -> list[_Lacking]:
        """Wait for all open batches of this server and recipe, keep their replies, and count what failed.

        Returns the asks to send.
        """
        import openai

        query = "select name, id from batch where server = ? and recipe = ? and not done"
        for name, batch_id in self.connection.execute(query, [self.teacher.server, self.recipe]).fetchall():
            try:
                batch_id = batch_id or self._found_again(name)
                if batch_id:
                    self._collect(name, self._ended(batch_id), failed)
                else:
                    self._forget(name)  # killed before it was sent
            except openai.NotFoundError:
                self.say(f"batch {batch_id} is gone from {self.teacher.server}: its asks are sent again")
                self._forget(name)
            except openai.APIConnectionError as error:
                raise _gone(self.teacher) from error
            except openai.APIStatusError as error:
                raise UserError(
                    f"{self.teacher.server} tells nothing of batch {batch_id} ({error.status_code})."
                    " It is not lost: run the same again later"
                ) from None
        return [one for one in self.lacking(asks) if failed[one.key] < ROUNDS]

    def _found_again(self, name: str) -> str | None:
        """The id of a batch that was sent by a run that was killed before it could note the id."""
        same = (
            batch.id
            for batch in self.client.batches.list(limit=100)
            if (batch.metadata or {}).get(_MARK) == name
        )
        return next(same, None)

    def _ended(self, batch_id: str) -> Any:
        while True:
            batch = self.client.batches.retrieve(batch_id)
            counts = batch.request_counts
            if counts:
                self.progress(f"batch {batch_id}", counts.completed + counts.failed, counts.total)
            if batch.status in ("completed", "expired", "cancelled"):
                return batch
            if batch.status == "failed":
                said = "; ".join(str(error.message) for error in (batch.errors and batch.errors.data) or [])
                said = without_key(said, self.key)
                self._forget(
                    self.connection.execute("select name from batch where id = ?", [batch_id]).fetchone()[0]
                )
                raise UserError(
                    f"{self.teacher.server} refused batch {batch_id}: {said[:300] or 'it says not why'}."
                    f" Nothing was paid for it; without {typed('--batch')} asks are sent one by one"
                )
            time.sleep(POLL)

    def _collect(self, name: str, batch: Any, failed: Counter[bytes]) -> None:
        """Keep a batch's replies and the note that it is done: both or neither."""
        query = "select key, step, request from batched where batch = ?"
        sent = {
            key.hex(): (key, step, request) for key, step, request in self.connection.execute(query, [name])
        }
        replies: dict[str, str] = {}
        strangers = 0
        for line in self._lines(batch):
            known = str(line.get("custom_id")) in sent
            strangers += not known
            if known and (raw := _raw(line.get("response"))):
                replies.setdefault(line["custom_id"], raw)
        entries = [self._entry(*sent[own], raw) for own, raw in replies.items()]
        with ledger.transaction(self.connection):
            mine = self.connection.execute("update batch set done = 1 where name = ? and not done", [name])
            if mine.rowcount:  # else another run collected it just now
                ledger.insert(self.connection, entries)
            self.connection.execute("delete from batched where batch = ?", [name])
        failed.update(key for own, (key, _, _) in sent.items() if own not in replies)
        without = len(sent) - len(replies)
        told = f"batch {batch.id} {batch.status}: {len(replies):,} replies, {without:,} asks without one"
        self.say(told + (f", {strangers:,} replies to asks that were not in it" if strangers else ""))

    def _lines(self, batch: Any) -> Iterator[dict[str, Any]]:
        """The lines of a batch's output; what is no JSON object is as good as missing."""
        if not batch.output_file_id:
            return
        content = self.client.files.content(batch.output_file_id).content.decode("utf-8", "replace")
        for line in without_key(content, self.key).split("\n"):
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(found, dict):
                yield found

    def _entry(self, key: bytes, step: str, request: str, raw: str) -> ledger.Entry:
        shaped = json.loads(request)
        reading = read(raw, None)
        return ledger.Entry(
            *(key, self.teacher.server, shaped["model"], self.recipe, step),
            FORMS[0] if shaped["schema"] is not None else "",
            *(raw, reading.tokens_in, reading.tokens_out),
            self.price.of(reading.tokens_in, reading.tokens_out) * BATCH_SHARE
            if price_of(self.teacher)
            else None,
            request,
        )

    def _forget(self, name: str) -> None:
        with ledger.transaction(self.connection):
            self.connection.execute("delete from batch where name = ?", [name])
            self.connection.execute("delete from batched where batch = ?", [name])


def _raw(response: Any) -> str:
    """The chat completion in a line's response, where there is one."""
    if not isinstance(response, dict) or response.get("status_code") != 200:
        return ""
    raw = json.dumps(response.get("body"), ensure_ascii=False)
    return "" if read(raw, None).reason == BROKEN else raw


def _gone(teacher: Teacher) -> UserError:
    return UserError(f"{teacher.server} gives no answer. No batch is lost: run the same again later")
