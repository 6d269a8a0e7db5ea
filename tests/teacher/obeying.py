"""A server of chat completions that replies as a function of the request says."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Says = Callable[[dict[str, Any]], str]
"""The text of a reply, by the request's body."""


@contextmanager
def serving(says: Says) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The server's address, and the bodies of all requests that it got."""
    heard: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            heard.append(body)
            message = {"role": "assistant", "content": says(body)}
            usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            reply = {"choices": choices, "model": body["model"], "usage": usage, "object": "chat.completion"}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(reply).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", heard
    finally:
        server.shutdown()
        server.server_close()


def asked_about(body: dict[str, Any]) -> dict[str, Any]:
    """The data that a request asks about."""
    found: dict[str, Any] = json.loads(body["messages"][-1]["content"].split("\n")[1])
    return found
