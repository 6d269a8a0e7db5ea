"""The server of `infer serve`: OpenAI's chat API on our answers, and a page to ask questions on.

    POST /v1/chat/completions   the answer to the last user message
    GET  /v1/models             the one model
    GET  /health                200, or 503 where the last questions all failed
    GET  /                      the page
    GET  /questions             how many questions each task has, of those that the server was given
    GET  /questions/7           one of them, without its right answer

Everything that can be wrong with a request gets an answer in OpenAI's form of an error.
"""

import asyncio
import json
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib import resources
from multiprocessing import resource_tracker
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route

from datagen.shopbench.questions import Asked
from infer.serve.chat_api import MOST_BYTES, Refused, chunks, model_entry, models, read_chat, reply
from infer.serve.port import HOST
from infer.serve.prepare import printable
from infer.serve.waiting import Full, Line

Grade = Callable[[Asked, str], dict[str, Any]]

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:"
)
"""What the page may load and ask: this server alone."""


def app(line: Line, model: str, asked: Sequence[Asked], grade: Grade) -> Starlette:
    """The routes. Answers to a question of `asked` are graded."""
    asked = sorted(asked, key=lambda question: question.task)
    tasks = Counter(question.task for question in asked)
    known: dict[str, Asked] = {}
    for question in asked:
        known.setdefault(question.prompt, question)
    grader = ThreadPoolExecutor(1)  # some metrics have a model of their own, which is to be loaded once
    created = int(time.time())

    async def chat(request: Request) -> Response:
        origin = request.headers.get("origin")
        if origin and origin.partition("//")[2] != request.headers.get("host"):
            raise Refused(403, "foreign_page", "a page of another site may not ask here")
        wanted = read_chat(await _body(request), model)
        start = time.monotonic()
        try:
            answer: asyncio.Future[Any] = asyncio.wrap_future(line.join(wanted.question))
        except Full as full:
            refused = Refused(429, "overloaded", str(full))
            return _json(refused.body(), refused.status, {"Retry-After": str(full.seconds)})
        gone: asyncio.Future[Any] = asyncio.ensure_future(
            request.receive()
        )  # which comes when the client hangs up
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if not answer.done():
            answer.cancel()
            raise ClientDisconnect
        if error := answer.exception():
            raise Refused(500, "failed", f"the question failed: {type(error).__name__}: {error}"[:300])
        whole = reply(model, wanted, answer.result())
        whole["shoptalk"]["seconds"] = round(time.monotonic() - start, 3)
        if found := known.get(wanted.question.prompt):
            text = whole["choices"][0]["message"]["content"]
            whole["shoptalk"]["grade"] = await asyncio.get_running_loop().run_in_executor(
                grader, grade, found, text
            )
        if wanted.stream:
            return StreamingResponse(_events(whole, wanted.with_usage), media_type="text/event-stream")
        return _json(whole)

    async def list_models(request: Request) -> Response:
        return _json(models(model, created))

    async def one_model(request: Request) -> Response:
        name = request.path_params["name"]
        if name != model:
            raise Refused(
                404, "model_not_found", f"the model `{name}` is not served here: name `{model}`", "model"
            )
        return _json(model_entry(model, created))

    async def health(request: Request) -> Response:
        said = {
            "status": "failing" if line.failing else "ok",
            "waiting": len(line),
            "answered": line.answered,
        }
        return _json(said, 503 if line.failing else 200)

    async def questions(request: Request) -> Response:
        return _json({"tasks": [{"name": name, "count": count} for name, count in tasks.items()]})

    async def one_question(request: Request) -> Response:
        number = request.path_params["number"]
        if number >= len(asked):
            raise Refused(404, "not_found", f"there are {len(asked)} questions, from 0")
        question = asked[number]
        said = {"id": question.id, "task": question.task, "prompt": question.prompt}
        return _json({**said, "is_multiple_choice": question.is_multiple_choice})

    html = (resources.files("infer.serve") / "page.html").read_text(encoding="utf-8")

    async def page(request: Request) -> Response:
        return HTMLResponse(html, headers={"Content-Security-Policy": _POLICY})

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/models", list_models),
            Route("/v1/models/{name:path}", one_model),
            Route("/health", health),
            Route("/questions", questions),
            Route("/questions/{number:int}", one_question),
            Route("/", page),
        ],
        # Else a page of another site could have a name of its own lead here, and read what the model says.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])],
        exception_handlers={
            Refused: _refused,
            HTTPException: _not_here,
            ClientDisconnect: _gone,
            Exception: _broken,
        },
    )


class Server(uvicorn.Server):  # type: ignore[misc]
    """uvicorn, which tells when it is `ready`, and when it is `leaving` and only waits for what was asked."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], leaving: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready, self._leaving = ready, leaving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the socket."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the socket, and wait for what is being answered."""
        self._leaving()
        await super().shutdown(sockets)


def server(served: Starlette, ready: Callable[[], None], leaving: Callable[[], None]) -> Server:
    """The server of an app."""
    config = uvicorn.Config(
        served,
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_keep_alive=75,  # longer than clients keep one, who else meet a connection that just closes
    )
    return Server(config, ready, leaving)


def run(serving: Server, at: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM; what was asked is answered, after a second one only what is in work."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else it would end us without a word
    with suppress(KeyboardInterrupt):  # uvicorn raises signals again, once all is done
        serving.run([at])


@contextmanager
def unheard() -> Iterator[None]:
    """Processes that start meanwhile, as vLLM's on GPUs, don't hear Ctrl-C, which terminals send to all."""
    resource_tracker.ensure_running()  # it would let Ctrl-C through again when it starts
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


async def _body(request: Request) -> bytes:
    """The body. Raises Refused where it is too large."""
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MOST_BYTES:
            raise Refused(413, "too_large", f"a question of more than {MOST_BYTES:,} bytes: shorten it")
    return content


async def _events(whole: dict[str, Any], with_usage: bool) -> AsyncIterator[str]:
    for chunk in chunks(whole, with_usage):
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A body in ASCII: what is no character in UTF-8, as half a surrogate pair, is sent all the same."""
    return Response(json.dumps(body), status, headers, "application/json")


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _json(error.body(), error.status)


async def _not_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    place = f"{request.method} {printable(request.url.path)[:100]}"
    code = error.detail.lower().replace(" ", "_")
    refused = Refused(error.status_code, code, f"{place}: {error.detail}. See docs/serve.md")
    return _json(refused.body(), refused.status, dict(error.headers or {}))


async def _broken(request: Request, error: Exception) -> Response:
    refused = Refused(500, "failed", f"the server failed: {type(error).__name__}: {error}"[:300])
    return _json(refused.body(), refused.status)


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it
