"""An OpenAI-compatible server that follows a script: replies known beforehand, and faults by a seed.

    python tests/teacher/scripted_server.py '{"faults": 0.5, "latency": 0.1}'

It prints its address, and serves until it is ended. What it replies to an ask depends on the ask's words
alone (`reply_to`); whether a call meets a fault, on the seed, the ask, and how often it was asked before.
`/stats` tells what was asked and what was delivered whole. A call whose `Idempotency-Key` was delivered
before is answered again, and not paid for again. It stands on the standard library alone.
"""

import argparse
import asyncio
import json
import random
import re
import runpy
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

FAULTS = (
    "429",
    "429_retry_after",
    "500",
    "503",
    "reset",
    "hang",
    "drip",
    "truncated",
    "wrong_schema",
    "no_choices",
    "another",
    "duplicate",
)

HARMLESS = ("drip", "duplicate")
"""Faults that deliver a whole and right reply."""

OF_CONTENT = ("truncated", "wrong_schema", "no_choices", "another")
"""Faults of the reply itself: a call with the same `Idempotency-Key` gets the same reply."""

SCHEMA = {
    "type": "object",
    "properties": {"echo": {"type": "string"}, "digest": {"type": "string"}},
    "required": ["echo", "digest"],
    "additionalProperties": False,
}
"""The schema that replies to asks with a schema are of."""


def reply_to(said: str, with_schema: bool) -> str:
    """The one right reply to a user's message."""
    digest = sha256(said.encode()).hexdigest()[:12]
    return json.dumps({"echo": said, "digest": digest}) if with_schema else f"{said} -> {digest}"


def completion(name: str, said: str, content: str) -> dict[str, Any]:
    """A chat completion; content such as `finish:length` is a reply that ended so."""
    finish = content.removeprefix("finish:") if content.startswith("finish:") else "stop"
    message = {"role": "assistant", "content": content}
    return {
        "id": f"chatcmpl-{name}",
        "object": "chat.completion",
        "model": "m-1",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": len(said) // 4 + 1, "completion_tokens": len(content) // 4 + 1},
    }


@dataclass
class Script:
    """What the server does, and what it did."""

    faults: float = 0.0
    latency: float = 0.0
    seed: int = 0
    kinds: tuple[str, ...] = FAULTS
    hang: float = 30.0
    key: str = ""
    models: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    context: int = 0
    says: dict[str, str] = field(default_factory=dict)
    replies: str = ""  # a Python file whose `reply` gives the text for a list of messages
    most: int = 0
    batches: bool = False
    batch_looks: int = 1
    refuses_batch: str = ""
    echo_key: str = ""  # `alone` or `far` along an error's message, or in its `replies`
    module: dict[str, Any] = field(default_factory=dict)

    asked: Counter[str] = field(default_factory=Counter)
    usable: Counter[str] = field(default_factory=Counter)
    paid: Counter[str] = field(default_factory=Counter)
    met: Counter[str] = field(default_factory=Counter)
    names: list[tuple[str, str, bool]] = field(default_factory=list)
    delivered: set[str] = field(default_factory=set)
    spoilt: dict[str, str] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    authorizations: set[str] = field(default_factory=set)
    refused: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    batch: dict[str, dict[str, Any]] = field(default_factory=dict)
    at_once: int = 0
    most_at_once: int = 0

    def fault(self, said: str) -> str:
        """The fault that this call meets, if any."""
        chance = random.Random(f"{self.seed}/{said}/{self.asked[said]}")
        return chance.choice(self.kinds) if chance.random() < self.faults else ""

    def reply(self, messages: list[dict[str, str]]) -> str:
        """What the script's own file says; nothing where there is none."""
        if not self.replies:
            return ""
        if not self.module:
            self.module.update(runpy.run_path(self.replies))
        return str(self.module["reply"](messages))

    def stats(self) -> dict[str, Any]:
        """What was asked, delivered and paid for, by the words of the ask."""
        return {
            "asked": self.asked,
            "usable": self.usable,
            "paid": self.paid,
            "met": self.met,
            "most_at_once": self.most_at_once,
            "bodies": self.bodies[:10] + self.bodies[-10:],
            "authorizations": sorted(self.authorizations),
            "refused": self.refused,
            "batches": list(self.batch.values()),
        }


class Connection:
    """One client's connection, request after request."""

    def __init__(self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.script, self.reader, self.writer = script, reader, writer

    async def serve(self) -> None:
        """Answer until the client or a fault closes it."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = {
                    name.strip().lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in head[1:] if line)
                }
                body = await self.reader.readexactly(int(headers.get("content-length", 0)))
                if not await self.answer(method, path, headers, body):
                    break
        self.writer.close()

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> bool:
        """Answer one request; whether the connection goes on."""
        script = self.script
        if path == "/stats":
            return await self.send(200, script.stats())
        script.authorizations.add(headers.get("authorization", ""))
        if script.echo_key in ("alone", "far"):
            far = "x" * (240 if script.echo_key == "far" else 0)
            return await self.fail(400, f"Bad request {far} with {headers['authorization']}")
        if script.key and headers.get("authorization") != f"Bearer {script.key}":
            script.refused += 1
            return await self.fail(401, "Incorrect API key provided", "invalid_api_key")
        if path == "/v1/models":
            return await self.send(200, {"object": "list", "data": [{"id": name} for name in script.models]})
        if method == "POST" and path == "/v1/chat/completions":
            script.at_once += 1
            if script.most and script.at_once > script.most:
                script.at_once -= 1
                script.met["busy"] += 1
                return await self.fail(429, "Rate limit reached", "rate_limit_exceeded")
            script.most_at_once = max(script.at_once, script.most_at_once)
            try:
                return await self.complete(json.loads(body), headers)
            finally:
                script.at_once -= 1
        if script.batches and path.startswith(("/v1/files", "/v1/batches")):
            return await self.batches(method, path.partition("?")[0], body)
        return await self.fail(404, "Not Found")

    async def batches(self, method: str, path: str, body: bytes) -> bool:
        """Take a file, make a batch of it, tell how it goes, give its output."""
        script = self.script
        if path == "/v1/files":
            whole = re.search(rb'name="file".*?\r\n\r\n(.*?)\r\n--', body, re.DOTALL)
            name = f"file-{len(script.files)}"
            script.files[name] = whole[1] if whole else b""
            return await self.send(200, {"id": name, "object": "file", "purpose": "batch"})
        if path.endswith("/content"):
            return await self.send_bytes(200, script.files[path.split("/")[-2]])
        if path == "/v1/batches" and method == "POST":
            asked = json.loads(body)
            name = f"batch_{len(script.batch)}"
            about = {"id": name, "object": "batch", "endpoint": asked["endpoint"], "created_at": 1}
            about |= {"completion_window": "24h", "status": "in_progress", "looks": 0, "output_file_id": None}
            script.batch[name] = about | {name: asked[name] for name in ("input_file_id", "metadata")}
            return await self.send(200, script.batch[name])
        if path == "/v1/batches":
            return await self.send(200, {"object": "list", "data": list(script.batch.values())})
        batch = script.batch[path.split("/")[-1]]
        batch["looks"] += 1
        if script.refuses_batch:
            errors = {"object": "list", "data": [{"code": "x", "message": script.refuses_batch}]}
            return await self.send(200, batch | {"status": "failed", "errors": errors})
        if batch["status"] == "in_progress" and batch["looks"] >= script.batch_looks:
            name = f"file-{len(script.files)}"
            script.files[name] = self.output(script.files[batch["input_file_id"]], batch["id"])
            batch |= {"status": "completed", "output_file_id": name}
        return await self.send(200, batch)

    def output(self, lines: bytes, batch: str) -> bytes:
        """A batch's output: in another order, with faults, doubled lines, and a line of another batch."""
        script = self.script
        out = []
        for line in map(json.loads, lines.splitlines()):
            said = line["body"]["messages"][-1]["content"]
            fault = script.fault(said)
            script.asked[said] += 1
            script.met[fault or "none"] += 1
            with_schema = "response_format" in line["body"]
            reply = completion(f"{batch}-{said}", said, script.says.get(said) or reply_to(said, with_schema))
            found = {
                "custom_id": line["custom_id"],
                "response": {"status_code": 200, "body": reply},
                "error": None,
            }
            if fault == "another":
                found["custom_id"] = "0" * 32
            elif fault == "no_choices":
                reply["choices"] = []
            elif fault and fault != "duplicate":
                found["response"] = {"status_code": 500, "body": {"error": {"message": "server error"}}}
            else:
                script.usable[said] += 1
                script.paid[said] += 1
            if fault == "hang":
                continue
            out += [found] * (2 if fault == "duplicate" else 1)
        random.Random(batch).shuffle(out)
        return b"".join(json.dumps(one).encode() + b"\n" for one in out)

    async def complete(self, asked: dict[str, Any], headers: dict[str, str]) -> bool:
        """Answer a chat completion, as the script says."""
        script = self.script
        script.bodies.append(asked)
        said = asked["messages"][-1]["content"]
        if script.models and asked["model"] not in script.models:
            return await self.fail(404, f"The model `{asked['model']}` does not exist", "model_not_found")
        form = asked.get("response_format", {}).get("type", "")
        if form in script.lacks:
            return await self.fail(400, f"response_format {form} is not supported")
        for name in ("max_tokens", "temperature"):
            if name in script.lacks and name in asked:
                return await self.fail(400, f"Unsupported: '{name}'", "unsupported_parameter", name)
        if script.context and len(said) > script.context:
            return await self.fail(400, "This model's maximum context length is", "context_length_exceeded")
        once = headers.get("idempotency-key", "")
        fault = script.spoilt.get(once) or script.fault(said)
        if fault in OF_CONTENT and once in script.delivered:
            fault = ""
        elif fault in OF_CONTENT and once:
            script.spoilt[once] = fault
        script.asked[said] += 1
        script.met[fault or "none"] += 1
        if script.latency:
            await asyncio.sleep(script.latency)
        name, with_schema = headers.get("x-request-id", ""), bool(form) or "JSON Schema" in str(asked)
        content = script.says.get(said) or script.reply(asked["messages"]) or reply_to(said, with_schema)
        if fault == "another" and script.names:
            name, other, with_schema = random.Random(said).choice(script.names)
            content = reply_to(other, with_schema)
        elif fault != "another":
            script.names.append((name, said, with_schema))
        good = not fault or fault in HARMLESS
        if fault == "wrong_schema":
            content = json.dumps({"result": script.asked[said]})
        if script.echo_key:
            content = f"{content} for {headers['authorization']}"
        reply = completion(name, said, content)
        if fault == "no_choices" or (fault == "wrong_schema" and not with_schema):
            reply["choices"] = []
        whole = await self.deliver(fault, reply)
        if good:
            script.usable[said] += 1
            script.paid[said] += once not in script.delivered or not once
            script.delivered.add(once)
        return whole

    async def deliver(self, fault: str, reply: dict[str, Any]) -> bool:
        """Send the reply, or what the fault makes of it."""
        if fault in ("429", "429_retry_after"):
            more = "Retry-After: 0.2\r\n" if fault == "429_retry_after" else ""
            return await self.fail(429, "Rate limit reached", "rate_limit_exceeded", more=more)
        if fault in ("500", "503"):
            return await self.fail(int(fault), "The server had an error")
        if fault == "hang":
            await asyncio.sleep(self.script.hang)
            return False
        text = json.dumps(reply).encode()
        if fault == "truncated":
            text = text[: len(text) // 2]
        sent = self.head(200, len(text)) + text
        if fault == "reset":
            self.writer.write(sent[: len(sent) - len(text) // 2])
            await self.writer.drain()
            self.writer.transport.abort()
            return False
        if fault == "drip":
            for start in range(0, len(sent), 40):
                self.writer.write(sent[start : start + 40])
                await self.writer.drain()
                await asyncio.sleep(0.02)
            return True
        self.writer.write(sent * (2 if fault == "duplicate" else 1))
        await self.writer.drain()
        return True

    def head(self, status: int, length: int, more: str = "") -> bytes:
        """A response up to its body."""
        kind = "Content-Type: application/json\r\n"
        return f"HTTP/1.1 {status} .\r\n{kind}{more}Content-Length: {length}\r\n\r\n".encode()

    async def send(self, status: int, body: dict[str, Any], more: str = "") -> bool:
        """Send a JSON body."""
        return await self.send_bytes(status, json.dumps(body).encode(), more)

    async def send_bytes(self, status: int, text: bytes, more: str = "") -> bool:
        """Send a body as it is."""
        self.writer.write(self.head(status, len(text), more) + text)
        await self.writer.drain()
        return True

    async def fail(
        self, status: int, message: str, code: str | None = None, param: str | None = None, more: str = ""
    ) -> bool:
        """Send an error as OpenAI words it."""
        error = {"message": message, "type": "error", "code": code, "param": param}
        return await self.send(status, {"error": error}, more)


class Server:
    """A running server, to its tests."""

    def __init__(self, address: str, process: subprocess.Popen[str]) -> None:
        self.address, self.process = address, process

    def stats(self) -> dict[str, Any]:
        """What it did so far."""
        with urllib.request.urlopen(self.address.removesuffix("/v1") + "/stats", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def scripted(**script: Any) -> Iterator[Server]:
    """A server of its own process for the block; the words are those of `Script`."""
    command = [sys.executable, str(Path(__file__)), json.dumps(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield Server(process.stdout.readline().strip(), process)
        finally:
            process.kill()


async def serve(script: Script) -> None:
    """Serve until the process ends."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Connection(script, reader, writer).serve()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)  # noqa: T201
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("script", nargs="?", default="{}", help="the fields of Script, as JSON")
    asyncio.run(serve(Script(**json.loads(parser.parse_args().script))))
