"""The server of answers, asked over HTTP as clients do: by OpenAI's own, by broken ones, and by many."""

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

pytest.importorskip("uvicorn", reason="needs the extra `infer` or `infer-cpu`")

import openai

from datagen.schema import TaskType
from datagen.shopbench.questions import Asked
from infer.scoring.grade import grade
from infer.serve.app import Server, app, server, unheard
from infer.serve.constraints import constraint
from infer.serve.engine import Request, Response
from infer.serve.port import listening
from infer.serve.prepare import Prepared, guessed
from infer.serve.waiting import Answer, Answered, Line, Question

CHOICE = "Which one is a lamp?\n0. red chair\n1. blue lamp\n2. green mug\nAnswer: "
KNOWN = Asked("7", CHOICE, True, "lamps", TaskType.MULTIPLE_CHOICE, "", "accuracy", 1, "en")
CHAT = "/v1/chat/completions"


class Served(NamedTuple):
    """A server that runs, and its line."""

    port: int
    line: Line
    server: Server

    def ask(self, body: Any, path: str = CHAT, method: str = "POST", **headers: str) -> tuple[int, Any, Any]:
        """Status, body and headers of the reply to a body, which is sent as it is where it is bytes."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as to:
            to.request(method, path, sent, headers)
            reply = to.getresponse()
            return reply.status, json.loads(reply.read()), reply.headers

    def chat(self, text: str) -> tuple[int, Any, Any]:
        return self.ask({"model": "m", "messages": [{"role": "user", "content": text}]})

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key="none", max_retries=0)


Start = Callable[..., Served]


def echo(questions: Sequence[Question]) -> list[Answered]:
    """Answers with the last word of each question."""
    found = []
    for prompt, told in questions:
        if "fail" in prompt:
            raise RuntimeError("the engine broke")
        guess = guessed(prompt, told)
        prepared = Prepared(guess, Request([1, 2], constraint(guess)))
        found.append(Answered(prepared, Response(prompt.split()[-1], 2, 1, "stop")))
    return found


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts servers, which end with the test."""
    with contextlib.ExitStack() as ends:

        def start(answer: Answer = echo, most: int = 100, asked: Sequence[Asked] = ()) -> Served:
            at, up = listening(0), threading.Event()
            line = Line(answer, at_once=8, most=most)
            serving = server(app(line, "m", asked, grade), up.set, lambda: None)
            thread = threading.Thread(target=serving.run, args=([at],))
            port = at.getsockname()[1]
            thread.start()

            def end() -> None:
                serving.should_exit = True
                thread.join(20)
                line.close()

            ends.callback(end)
            assert up.wait(20)
            return Served(port, line, serving)

        yield start


@pytest.fixture
def held() -> tuple[Answer, threading.Event, threading.Event]:
    """An answer that begins, which the first event tells, and waits for the second."""
    begun, go_on = threading.Event(), threading.Event()

    def answer(questions: Sequence[Question]) -> list[Answered]:
        begun.set()
        assert go_on.wait(20)
        return echo(questions)

    return answer, begun, go_on


def test_openais_client_works_as_it_is(start: Start) -> None:
    client = start().client()
    assert [model.id for model in client.models.list()] == ["m"]
    assert client.models.retrieve("m").id == "m"
    reply = client.chat.completions.create(
        model="m",
        messages=[{"role": "system", "content": "be brief"}, {"role": "user", "content": CHOICE + "1"}],
        temperature=0.7,
        extra_body={"is_multiple_choice": True},
    )
    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == ("1", "stop")
    assert reply.usage
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens) == (2, 3)
    said = reply.model_extra and reply.model_extra["shoptalk"]
    assert said["task_type"] == "multiple_choice"
    assert said["constraint"] == "choice"
    assert (said["numbers"], said["value"], said["problem"]) == ([0, 1, 2], 1, None)
    assert said["ignored"] == ["messages[0]", "temperature"]


def test_a_stream_is_the_answer_in_one_piece(start: Start) -> None:
    chunks = list(
        start()
        .client()
        .chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": [{"type": "text", "text": "say ü"}]}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert [chunk.choices[0].delta.content for chunk in chunks if chunk.choices] == ["ü", None]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices] == [None, "stop"]
    assert chunks[-1].usage
    assert chunks[-1].usage.total_tokens == 3


def chat_with(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": "say this"}], **fields}


@pytest.mark.parametrize(
    ("body", "status", "code", "said"),
    [
        (b"", 400, "invalid_json", "not JSON"),
        (b'{"model"', 400, "invalid_json", "not JSON"),
        (b"\xff\x00", 400, "invalid_json", "not JSON"),
        (b"[" * 200_000, 400, "invalid_json", "not JSON"),
        ([], 400, "invalid_json", "no JSON object"),
        ({"messages": []}, 400, "missing_model", "`m`"),
        (chat_with(model="gpt-4o"), 404, "model_not_found", "`gpt-4o`"),
        (chat_with(model="\ud800"), 404, "model_not_found", "`?`"),
        (chat_with(messages="hello"), 400, "invalid_value", "`messages`"),
        (chat_with(messages=[7]), 400, "invalid_value", "`messages`"),
        (chat_with(messages=[]), 400, "missing_question", "`user`"),
        (chat_with(messages=[{"role": "user"}]), 400, "invalid_value", "`messages[0].content`"),
        (chat_with(messages=[{"role": "user", "content": " \n"}]), 400, "empty_question", "is empty"),
        (
            chat_with(messages=[{"role": "user", "content": [{"type": "image_url"}]}]),
            400,
            "invalid_value",
            "`messages[0].content`",
        ),
        (chat_with(n=2), 400, "unsupported_value", "`n`"),
        (chat_with(tools=[{}]), 400, "unsupported_value", "--plain"),
        (chat_with(response_format={"type": "json_object"}), 400, "unsupported_value", "`response_format`"),
        (chat_with(is_multiple_choice="yes"), 400, "invalid_value", "`is_multiple_choice`"),
        (chat_with(stream=1), 400, "invalid_value", "`stream`"),
        (b"x" * (2**20 + 1), 413, "too_large", "1,048,576 bytes"),
    ],
)
def test_what_is_wrong_with_a_request_is_told_as_openai_does(
    start: Start, body: Any, status: int, code: str, said: str
) -> None:
    served = start()
    found, told, _ = served.ask(body)
    assert (found, told["error"]["code"]) == (status, code)
    assert said in told["error"]["message"]
    assert told["error"]["type"] == "invalid_request_error"
    assert served.chat("say fine")[1]["choices"][0]["message"]["content"] == "fine"


def test_harmless_values_of_refused_fields_are_taken(start: Start) -> None:
    body = chat_with(n=1, tools=None, response_format={"type": "text"}, logprobs=False, stream=False)
    assert start().ask(body)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", CHAT, 405),
        ("GET", "/v1/models/x", 404),
        ("GET", "/questions/0", 404),
    ],
)
def test_other_places_are_told_as_openai_does(start: Start, method: str, path: str, status: int) -> None:
    found, told, _ = start().ask(b"", path, method)
    assert found == status
    assert told["error"]["message"]


def test_odd_texts_come_through(start: Start) -> None:
    served = start()
    for word in ("\x00", "\ud800", "日本語", "😀", "</script>", "a" * 100_000, "\u202e"):
        status, told, _ = served.chat(f"say {word}")
        assert status == 200
        assert told["choices"][0]["message"]["content"] == word


def test_each_of_many_clients_gets_its_own_answer(start: Start) -> None:
    served = start(most=1000)

    def ask(number: int) -> bool:
        told = served.chat(f"say {number}")[1]
        return bool(told["choices"][0]["message"]["content"] == str(number))

    with ThreadPoolExecutor(64) as clients:
        assert all(clients.map(ask, range(512)))
    assert served.line.answered == 512


def test_a_full_line_turns_questions_away_and_loses_none(
    start: Start, held: tuple[Answer, threading.Event, threading.Event]
) -> None:
    answer, begun, go_on = held
    served = start(answer, most=3)
    with ThreadPoolExecutor(12) as clients:
        first = clients.submit(served.chat, "say first")
        assert begun.wait(20)
        others = [clients.submit(served.chat, f"say {number}") for number in range(8)]
        away: list[Future[Any]] = []
        while len(away) < 5:
            away = [one for one in others if one.done()]
            time.sleep(0.01)
        for one in away:
            status, told, headers = one.result()
            assert (status, told["error"]["type"]) == (429, "rate_limit_error")
            assert 1 <= int(headers["Retry-After"]) <= 60
        go_on.set()
        assert first.result()[0] == 200
        statuses = [one.result()[0] for one in others]
    assert sorted(statuses) == [200] * 3 + [429] * 5


def test_openais_client_comes_again_by_itself(
    start: Start, held: tuple[Answer, threading.Event, threading.Event]
) -> None:
    answer, begun, go_on = held
    served = start(answer, most=1)
    with ThreadPoolExecutor(2) as clients:
        clients.submit(served.chat, "say first")
        assert begun.wait(20)
        clients.submit(served.chat, "say second")
        while len(served.line) < 1:
            time.sleep(0.01)
        threading.Timer(0.2, go_on.set).start()
        patient = served.client().with_options(max_retries=3)
        reply = patient.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "say third"}]
        )
    assert reply.choices[0].message.content == "third"


def test_who_hangs_up_is_not_waited_for(
    start: Start, held: tuple[Answer, threading.Event, threading.Event]
) -> None:
    answer, begun, go_on = held
    served = start(answer, most=1)
    with ThreadPoolExecutor(2) as clients:
        first = clients.submit(served.chat, "say first")
        assert begun.wait(20)
        body = json.dumps(chat_with()).encode()
        head = f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", served.port)) as gone:
            gone.sendall(head.encode() + body)
            while len(served.line) < 1:
                time.sleep(0.01)
        until, status = time.monotonic() + 20, 429
        last = None
        while status == 429 and time.monotonic() < until:
            last = clients.submit(served.chat, "say last")
            time.sleep(0.2)
            status = last.result()[0] if last.done() else 0
        go_on.set()
        assert first.result()[0] == 200
        assert last
        assert last.result()[1]["choices"][0]["message"]["content"] == "last"
    assert served.line.answered == 2


def test_what_is_asked_before_the_end_is_answered(
    start: Start, held: tuple[Answer, threading.Event, threading.Event]
) -> None:
    answer, begun, go_on = held
    served = start(answer)
    with ThreadPoolExecutor(2) as clients:
        first = clients.submit(served.chat, "say first")
        assert begun.wait(20)
        second = clients.submit(served.chat, "say second")
        while len(served.line) < 1:
            time.sleep(0.01)
        served.server.should_exit = True
        time.sleep(0.5)
        with pytest.raises(ConnectionRefusedError):
            served.chat("say third")
        go_on.set()
        assert [one.result()[1]["choices"][0]["message"]["content"] for one in (first, second)] == [
            "first",
            "second",
        ]


def test_a_question_that_fails_takes_no_other_with_it(start: Start) -> None:
    served = start()
    with ThreadPoolExecutor(8) as clients:
        texts = [f"say {number}" if number % 4 else "fail" for number in range(32)]
        replies = list(clients.map(served.chat, texts))
    assert [status for status, *_ in replies] == [200 if number % 4 else 500 for number in range(32)]
    told = replies[0][1]["error"]
    assert told["type"] == "server_error"
    assert "the engine broke" in told["message"]


def test_health_tells_where_nothing_is_answered_any_more(start: Start) -> None:
    served = start()
    assert served.ask(b"", "/health", "GET")[:2] == (200, {"status": "ok", "waiting": 0, "answered": 0})
    assert served.chat("fail")[0] == 500
    assert served.ask(b"", "/health", "GET")[0] == 503
    served.chat("say fine")
    assert served.ask(b"", "/health", "GET")[0] == 200


def test_many_connections_that_say_nothing_hold_up_nobody(start: Start) -> None:
    served = start()
    with contextlib.ExitStack() as idle:
        for number in range(300):
            one = idle.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            one.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" if number % 2 else b"")
        assert served.chat("say fine")[0] == 200


def test_garbage_and_other_hosts_are_refused(start: Start) -> None:
    served = start()
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as one:
        one.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in one.recv(1000).split(b"\r\n")[0]
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)) as to:
        to.request("GET", "/questions", headers={"Host": "elsewhere.example"})
        assert to.getresponse().status == 400
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)) as to:
        to.request("POST", CHAT, "{}", {"Origin": "https://elsewhere.example"})
        assert to.getresponse().status == 403


def test_known_questions_are_offered_and_graded(start: Start) -> None:
    other = Asked("8", "Explain it", None, "", None, "", "", None, None)
    served = start(asked=[KNOWN, other])
    said = served.ask(b"", "/questions", "GET")[1]
    assert said == {"tasks": [{"name": "", "count": 1}, {"name": "lamps", "count": 1}]}
    question = served.ask(b"", "/questions/1", "GET")[1]
    assert question == {"id": "7", "task": "lamps", "prompt": CHOICE, "is_multiple_choice": True}
    graded = served.chat(CHOICE)[1]["shoptalk"]["grade"]
    assert (graded["score"], graded["metric"], graded["target"]) == (0.0, "accuracy", 1)
    assert served.chat("Explain it")[1]["shoptalk"]["grade"]["score"] is None
    assert "grade" not in served.chat(CHOICE + "1")[1]["shoptalk"]


def test_a_failure_of_ours_is_told_as_openai_does(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def reply(*_: Any) -> None:
        raise KeyError("missing")

    monkeypatch.setattr("infer.serve.app.reply", reply)
    status, told, _ = start().chat("say this")
    assert (status, told["error"]["type"]) == (500, "server_error")
    assert "KeyError: 'missing'" in told["error"]["message"]


def test_the_page_stands_alone_and_sets_texts_as_texts(start: Start) -> None:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", start().port, timeout=20)) as to:
        to.request("GET", "/")
        reply = to.getresponse()
        page = reply.read().decode()
    assert reply.status == 200
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert not re.search(r"https?://|innerHTML|outerHTML|insertAdjacentHTML|document\.write", page)


def test_processes_started_unheard_outlive_ctrl_c() -> None:
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); input()"
    words = [sys.executable, "-c", code]
    with unheard():
        deaf = subprocess.Popen(words, stdin=subprocess.PIPE)
    hearing = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    time.sleep(1)
    deaf.send_signal(signal.SIGINT)
    hearing.send_signal(signal.SIGINT)
    hearing.communicate(timeout=20)
    assert hearing.returncode != 0
    deaf.communicate(b"\n", timeout=20)
    assert deaf.returncode == 0
