"""Tests of asking the teacher: one reply to each ask, in order, and nothing asked twice."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from datagen.errors import UserError
from datagen.teacher.client import Ask, Teacher, asked


@contextmanager
def echo() -> Iterator[tuple[str, list[str]]]:
    heard: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = body["messages"][-1]["content"]
            heard.append(said)
            message = {"role": "assistant", "content": f"re: {said}"}
            reply = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "model": "m-1"})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(reply.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", heard
    finally:
        server.shutdown()
        server.server_close()


def asks(number: int) -> list[Ask]:
    return [Ask(str(i), "extract.types", ({"role": "user", "content": f"row {i}"},)) for i in range(number)]


def test_every_ask_gets_its_reply_in_order_and_is_asked_once(tmp_path: Path) -> None:
    ledger = tmp_path / "teacher.sqlite"
    with echo() as (address, heard):
        teacher = Teacher("m", base_url=address)
        first = list(asked(teacher, asks(50), ledger, recipe="r"))
        again = list(asked(teacher, asks(60), ledger, recipe="r"))
    assert [(reply.key, reply.text) for reply in first] == [(str(i), f"re: row {i}") for i in range(50)]
    assert [reply.from_ledger for reply in again] == [True] * 50 + [False] * 10
    assert sorted(heard) == sorted(f"row {i}" for i in range(60))


def test_the_ledger_alone_answers_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match="no key for gpt-4o: set OPENAI_API_KEY"):
        list(asked(Teacher("gpt-4o"), asks(1), tmp_path / "teacher.sqlite", recipe="r"))
