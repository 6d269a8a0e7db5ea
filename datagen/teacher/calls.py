"""The calls to the teacher's server: many at a time, as many as it bears, each kept before it is used.

They run in a thread of their own. The `openai` package sends, retries and waits as the server says; here
stands what it lacks: a number of calls at once that halves when the server is busy and grows slowly, patience
beyond its retries, another form of asking for JSON where the server lacks one, and the limit of costs.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterable, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

from datagen.console.progress import Say
from datagen.console.typed import typed
from datagen.errors import OverBudget, UserError
from datagen.prompts.token_estimate import estimated_tokens
from datagen.suggest import among
from datagen.teacher import ledger
from datagen.teacher.api_key import VARIABLE, api_key
from datagen.teacher.ask import OPENAI, Ask, Teacher
from datagen.teacher.budget import price_of, tokens_of
from datagen.teacher.raw_reply import BROKEN, Read, read
from datagen.teacher.server import by_proxy, without_key

MOST = 64
"""Calls at once, at most."""

FIRST = 8
"""Calls at once in the beginning, one more for each that comes back until the server is busy; and at least.

Each waits on its own when it is told to, so that so few burden no server.
"""

TRIES = 5
"""Replies to one ask that are paid for, where none before was what was asked for."""

BROKEN_TRIES = 30
"""Replies to one ask that are no chat completions at all, before it is given up."""

TIMEOUT = 600.0
"""Seconds without a byte from the server after which a call is made anew."""

GIVE_UP = 900.0
"""Seconds without any reply after which the server is taken for gone."""

SILENCE = 60.0
"""Seconds of the same after which a line says so, and between two such lines."""

GIVE_UP_FIRST = 10.0
"""The same, for a server that nothing was heard of yet."""

LAST_REPLIES = 10.0
"""Seconds that an interrupted run waits for replies that are on their way, and will be paid for."""

FORMS = ("json_schema", "json_object", "text")
"""How JSON is asked for, from the strictest; a server that refuses one is asked in the next."""

FINAL = ("", "cut", "refused")
"""Reasons that another try would not change."""

BUSY = (429, 503)
"""Statuses of a server that has too much to do."""

TOLD = 3
"""Refused asks whose line is printed."""

_TOO_LONG = re.compile(
    r"context.{0,20}(?:length|window)|too (?:long|many tokens)|max_model_len", re.IGNORECASE
)

_OF_FORM = re.compile(r"response_format|json_schema|json_object|structured|schema|guided", re.IGNORECASE)


class Job(NamedTuple):
    """An ask on its way: its key in the ledger, what it got so far, and who waits for its reading."""

    ask: Ask
    key: bytes
    request: str
    before: tuple[str, ...]
    future: Future[Read]


def settled(raws: Sequence[str], schema: dict[str, Any] | None) -> Read | None:
    """The reading of an ask's replies; None where the ask is to be sent once more."""
    found = None
    for raw in raws:
        found = read(raw, schema)
        if found.reason in FINAL:
            return found
    return found if len(raws) >= TRIES else None


def needs_price(teacher: Teacher) -> None:
    """Raises UserError where the limit of costs cannot be kept, for want of a price."""
    limit = teacher.max_cost_usd
    if limit is not None and price_of(teacher) is None:
        raise UserError(
            f"the price of {teacher.model} is unknown, so the limit of ${limit:g} cannot be kept."
            f" Give its dollars a million tokens, in and out, as in {typed('--price', '2.5,10')}"
        )


def body_of(teacher: Teacher, ask: Ask, form: str, lacks: Set[str]) -> dict[str, Any]:
    """The body of a call: an ask in the server's words, without the parameters that it `lacks`."""
    limit = "max_completion_tokens" if "max_tokens" in lacks else "max_tokens"
    words: dict[str, Any] = {"model": teacher.model, "messages": list(ask.messages)}
    words[limit] = teacher.max_tokens
    if "temperature" not in lacks:
        words["temperature"] = teacher.temperature
    if ask.schema is None:
        return words
    if form == "json_schema":
        name = re.sub(r"\W", "_", ask.step)[:64] or "reply"
        schema = {"name": name, "schema": ask.schema, "strict": True}
        words["response_format"] = {"type": "json_schema", "json_schema": schema}
        return words
    told = f"Reply with JSON that fits this JSON Schema, and nothing else:\n{json.dumps(ask.schema)}"
    first, *rest = ask.messages
    if first["role"] == "system":
        words["messages"] = [{**first, "content": f"{first['content']}\n\n{told}"}, *rest]
    else:
        words["messages"] = [{"role": "system", "content": told}, first, *rest]
    if form == "json_object":
        words["response_format"] = {"type": "json_object"}
    return words


def lacks_of(teacher: Teacher) -> set[str]:
    """The parameters that OpenAI's reasoning models refuse; what others refuse shows in their first reply."""
    reasons = teacher.server == OPENAI and re.match(r"o\d|gpt-5", teacher.model)
    return {"max_tokens", "temperature"} if reasons else set()


class Calls:
    """The calls of one run, from the first `put` to `end`."""

    def __init__(self, teacher: Teacher, path: Path, recipe: str, say: Say) -> None:
        self._teacher, self._path, self._recipe, self._say = teacher, path, recipe, say
        self._price, self._key = price_of(teacher), api_key(teacher)
        self._spent = self._reserved = 0.0
        self._form = 0
        self._lacks = lacks_of(teacher)
        self._told: set[str] = set()
        self._limit, self._slow_start, self._cut_at = float(FIRST), True, 0.0
        self._heard_at, self._heard, self._warned_at = time.monotonic(), False, 0.0
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._entries: asyncio.Queue[tuple[ledger.Entry, asyncio.Future[None]] | None] = asyncio.Queue()
        self._calls: set[asyncio.Task[None]] = set()
        self._flying = 0
        self._changed, self._stop = asyncio.Event(), asyncio.Event()
        self._patience = 0.0
        self._open: set[Future[Read]] = set()
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._ended = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="teacher", daemon=True)

    def put(self, jobs: Iterable[Job]) -> None:
        """Take asks to send, in their order. Raises what ended the calls, if they ended."""
        jobs = list(jobs)
        if not self._thread.ident:
            needs_price(self._teacher)
            self._thread.start()
        with self._lock:
            if self._ended:
                raise self._error or RuntimeError("the calls have ended")
            self._open.update(job.future for job in jobs)
            self._loop.call_soon_threadsafe(self._take, jobs)

    def end(self, patience: float = 0.0) -> None:
        """Send nothing more; wait `patience` seconds for replies on their way, and keep what has come."""
        if not self._thread.ident:
            self._loop.close()
            return
        with self._lock:
            self._patience = patience
            if not self._ended:
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    # What follows runs in the thread of the calls.

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                try:
                    runner.run(self._all())
                except BaseException as error:
                    self._error = self._error or error
                with self._lock:
                    self._ended = True
        finally:
            for future in self._open:
                if not future.done():
                    future.set_exception(self._error or RuntimeError("the calls have ended"))

    def _take(self, jobs: list[Job]) -> None:
        for job in jobs:
            self._jobs.put_nowait(job)

    def _fail(self, error: BaseException) -> None:
        """Stop all calls; the first error is the one that is told."""
        self._error = self._error or error
        self._stop.set()

    async def _all(self) -> None:
        with ledger.opened(self._path) as connection, ThreadPoolExecutor(1, "ledger") as writer:
            self._spent = ledger.spent(connection, self._recipe)
            writing = asyncio.create_task(self._write(connection, writer))
            try:
                async with self._client() as client:
                    sending = asyncio.create_task(self._send(client))
                    stopping = asyncio.create_task(self._stop.wait())
                    await asyncio.wait({sending, stopping}, return_when=asyncio.FIRST_COMPLETED)
                    stopping.cancel()
                    if sending.done() and (error := sending.exception()):
                        self._error = self._error or error
                    sending.cancel()
                    if self._calls and self._patience and not self._error:
                        await asyncio.wait(self._calls, timeout=self._patience)
                    for call in self._calls:
                        call.cancel()
                    await asyncio.gather(*self._calls, return_exceptions=True)
            finally:
                self._entries.put_nowait(None)
                await writing

    def _client(self) -> AbstractAsyncContextManager[Any]:
        import openai

        async def listen(response: Any) -> None:
            if response.status_code in BUSY:
                self._slow_down()

        with by_proxy():
            client: AbstractAsyncContextManager[Any] = openai.AsyncOpenAI(
                api_key=self._key,
                base_url=self._teacher.server,
                timeout=openai.Timeout(TIMEOUT, connect=min(TIMEOUT, 10.0)),
                http_client=openai.DefaultAioHttpClient(event_hooks={"response": [listen]}),
            )
        return client

    async def _send(self, client: Any) -> None:
        while True:
            job = await self._jobs.get()
            worst = self._worst(job.ask)
            while self._stop.is_set() or self._flying >= int(self._limit) or not self._affordable(worst):
                self._changed.clear()
                await self._changed.wait()
            self._flying += 1
            self._reserved += worst
            call = asyncio.create_task(self._one(client, job, worst))
            self._calls.add(call)
            call.add_done_callback(self._done)

    def _done(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not call.cancelled() and (error := call.exception()):
            self._fail(error)  # retrieved here, or asyncio prints it

    def _worst(self, ask: Ask) -> float:
        """The most dollars that a call may cost."""
        return self._price.of(2 * tokens_of(ask), self._teacher.max_tokens) if self._price else 0.0

    def _affordable(self, worst: float) -> bool:
        """Whether another call keeps the limit, whatever it and those on their way cost."""
        limit = self._teacher.max_cost_usd
        if limit is None or self._spent + self._reserved + worst <= limit:
            return True
        if self._flying:
            return False  # those on their way may cost less
        raise OverBudget(
            f"stopped before a call that could pass the limit of ${limit:g}: {self._recipe} has spent"
            f" ${self._spent:.4f}, and a call to {self._teacher.model} may cost ${worst:.4f}. Every reply"
            f" is kept: with a higher limit ({typed('--max-cost')}) the same command goes on from there"
        )

    async def _one(self, client: Any, job: Job, worst: float) -> None:
        """Get one reply, keep it, and read it; where it is not usable, the ask takes its turn again."""
        try:
            found = await self._reply(client, job)
            if isinstance(found, Read):
                return self._settle(job, found)
            raw, form, reading = found
            usd = self._price and self._price.of(reading.tokens_in, reading.tokens_out)
            self._spent += usd or 0.0
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                self._fail(error)
            raise
        finally:
            self._flying -= 1
            self._reserved -= worst
            self._changed.set()
        self._heard_at, self._heard = time.monotonic(), True
        self._limit = min(self._limit + (1 if self._slow_start else 1 / self._limit), MOST)
        entry = ledger.Entry(
            *(job.key, self._teacher.server, self._teacher.model, self._recipe, job.ask.step, form, raw),
            *(reading.tokens_in, reading.tokens_out, usd, job.request),
        )
        kept = self._loop.create_future()
        self._entries.put_nowait((entry, kept))
        await asyncio.shield(kept)
        job = job._replace(before=(*job.before, raw))
        outcome = settled(job.before, job.ask.schema)
        if outcome is None:
            self._jobs.put_nowait(job)
        else:
            self._settle(job, outcome)

    def _settle(self, job: Job, outcome: Read) -> None:
        with self._lock:
            self._open.discard(job.future)
        job.future.set_result(outcome)

    async def _write(self, connection: Any, writer: ThreadPoolExecutor) -> None:
        """Keep what has come, all of it at once, and only then tell those who wait."""
        more = True
        while more:
            batch = [await self._entries.get()]
            while not self._entries.empty():
                batch.append(self._entries.get_nowait())
            found = [pair for pair in batch if pair is not None]
            more = len(found) == len(batch)
            try:
                with ledger.readable(self._path):
                    entries = [entry for entry, _ in found]
                    await self._loop.run_in_executor(writer, ledger.add, connection, entries)
            except BaseException as error:
                self._fail(error)
                for _, kept in found:
                    if not kept.done():
                        kept.cancel()
                continue
            for _, kept in found:
                if not kept.done():
                    kept.set_result(None)

    async def _reply(self, client: Any, job: Job) -> tuple[str, str, Read] | Read:
        """A reply as it came with its form and reading, or why there is none."""
        import httpx2
        import openai

        form = self._form if job.ask.schema is not None else len(FORMS) - 1
        broken = 0
        for tries in range(1_000_000):
            name = f"shoptalk-{job.key.hex()}-{len(job.before)}"
            try:
                async with asyncio.timeout(6 * TIMEOUT):  # of a reply that drips
                    response = await client.post(  # not `chat.completions.create`, which takes 0.3 ms more
                        "/chat/completions",
                        cast_to=httpx2.Response,
                        body=body_of(self._teacher, job.ask, FORMS[form], self._lacks),
                        options={"headers": {"X-Request-Id": name, "Idempotency-Key": f"{name}-{broken}"}},
                    )
                raw = without_key(response.text, self._key)
                reading = read(raw, job.ask.schema)
                if reading.id.find("shoptalk-") >= 0 and name not in reading.id:
                    reading = Read("", BROKEN)  # to another ask
                if reading.reason != BROKEN:
                    self._degrade(form, job.ask)
                    form_name = FORMS[form] if job.ask.schema is not None else ""
                    return raw, form_name, _counted(reading, job.ask)
                broken += 1
                if broken >= BROKEN_TRIES:
                    return Read("", "failed: broken")
                await self._wait(tries, f"{self._teacher.server} sent what is no chat completion")
            except openai.APIStatusError as error:
                step = await self._refused(client, error, job.ask, form, tries)
                if isinstance(step, Read):
                    return step
                form += step
            except (openai.APIConnectionError, TimeoutError) as error:
                if not isinstance(error, openai.APIConnectionError) or isinstance(
                    error, openai.APITimeoutError
                ):
                    self._slow_down()
                await self._wait(tries, f"{self._teacher.server} gives no answer ({type(error).__name__})")
        raise AssertionError("a server that is gone is given up before")

    def _degrade(self, form: int, ask: Ask) -> None:
        """Keep to the form that the server took, and say so once."""
        if ask.schema is not None and form > self._form:
            self._form = form
            how = "in JSON mode" if FORMS[form] == "json_object" else "as plain text"
            self._say(
                f"{self._teacher.server} has no structured output for {self._teacher.model}:"
                f" it is asked {how}, and each reply is checked against the schema"
            )

    async def _refused(self, client: Any, error: Any, ask: Ask, form: int, tries: int) -> Read | int:
        """What an error's status calls for: a rejected ask, another form (1), or the same again (0)."""
        status, server = error.status_code, self._teacher.server
        said = without_key(str(error.message), self._key)[:300]
        if status in (401, 403):
            raise UserError(
                f"{server} refuses the key ({status}). Set {VARIABLE} to one that it takes"
            ) from None
        if status == 404:
            raise UserError(await self._unknown(client)) from None
        if error.code == "insufficient_quota":
            raise UserError(
                f"{server}: the account has no credit left ({error.code}). Every reply is kept"
            ) from None
        if status in (400, 413, 422):
            if status == 413 or error.code == "context_length_exceeded" or _TOO_LONG.search(said):
                return Read("", "failed: too_long")
            for name in ("max_tokens", "temperature"):
                if error.param == name and "unsupported" in str(error.code) and tries < len(FORMS):
                    self._lacks.add(name)
                    return 0
            if ask.schema is not None and form + 1 < len(FORMS) and _OF_FORM.search(said):
                return 1
            return self._bad(f"{server} refuses an ask of {ask.step} ({status}): {said}")
        if status < 500 and status not in (408, 409, 429):
            return self._bad(f"{server} refuses an ask of {ask.step} ({status}): {said}")
        await self._wait(tries, f"{server} is busy or broken ({status})", _retry_after(error))
        return 0

    def _bad(self, line: str) -> Read:
        """An ask that the server will not take; the first few lines are said."""
        if line not in self._told and len(self._told) < TOLD:
            self._told.add(line)
            self._say(line)
        return Read("", "failed: bad_request")

    async def _unknown(self, client: Any) -> str:
        """What to say where the server knows no such model or no such path."""
        server, model = self._teacher.server, self._teacher.model
        try:
            known = [without_key(one.id, self._key) async for one in client.models.list()]
        except Exception:  # whatever it is, the server is no OpenAI-compatible one
            return f"{server}: no OpenAI-compatible server is there (404). Most addresses end in /v1"
        if model in known:
            return f"{server} knows {model}, but has no /chat/completions (404)"
        return f"{server} has no model `{model}`: {among(model, known)}"

    async def _wait(self, tries: int, what: str, seconds: float = 0.0) -> None:
        """Wait before the same is sent again. Raises UserError where nothing was heard for too long."""
        silence = time.monotonic() - self._heard_at
        if silence > (GIVE_UP if self._heard else GIVE_UP_FIRST):
            raise UserError(f"{what}, for {silence:.0f} s. Every reply is kept: run the same again later")
        if silence > SILENCE and time.monotonic() - self._warned_at > SILENCE:
            self._warned_at = time.monotonic()
            self._say(f"{what}, for {silence:.0f} s: it is asked again for {GIVE_UP / 60:.0f} minutes in all")
        await asyncio.sleep(max(seconds, min(0.1 * 2 ** min(tries, 6), 5.0)))

    def _slow_down(self) -> None:
        """Halve the calls at once, but once for all the answers that tell of one jam."""
        now = time.monotonic()
        if now - self._cut_at >= 1:
            self._limit, self._slow_start, self._cut_at = max(self._limit / 2, FIRST), False, now


def _counted(reading: Read, ask: Ask) -> Read:
    """The reading with about its tokens, where the server does not tell them."""
    if reading.tokens_in or reading.tokens_out:
        return reading
    return reading._replace(tokens_in=tokens_of(ask), tokens_out=estimated_tokens(reading.text))


def _retry_after(error: Any) -> float:
    """Seconds that the server asks to wait, an hour at most."""
    try:
        return min(float(error.response.headers.get("retry-after", 0)), 3600.0)
    except ValueError:
        return 0.0
