"""Tests of asking the teacher: one reply to each ask, in order, and what servers refuse."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datagen.errors import OverBudget, UserError
from datagen.teacher import calls
from datagen.teacher.client import Ask, Reply, Teacher, asked, available
from tests.teacher.scripted_server import SCHEMA, reply_to, scripted

ROOT = Path(__file__).parents[2]


def ask(said: str, schema: dict[str, Any] | None = None) -> Ask:
    return Ask(said, "extract.types", ({"role": "user", "content": said},), schema)


def rows(number: int, schema: dict[str, Any] | None = None) -> list[Ask]:
    return [ask(f"row {i}", schema) for i in range(number)]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY_FILE", raising=False)
    return tmp_path / "teacher.sqlite"


def replies(teacher: Teacher, asks: list[Ask], path: Path, lines: list[str] | None = None) -> list[Reply]:
    return list(asked(teacher, asks, path, recipe="r", say=(lines if lines is not None else []).append))


def test_every_ask_gets_its_reply_in_order_and_is_asked_once(path: Path) -> None:
    with scripted() as server:
        teacher = Teacher("m", base_url=server.address)
        first = replies(teacher, rows(50), path)
        again = replies(teacher, rows(60), path)
        heard = server.stats()["asked"]
    assert [(reply.key, reply.text) for reply in first] == [
        (f"row {i}", reply_to(f"row {i}", False)) for i in range(50)
    ]
    assert [reply.from_ledger for reply in again] == [True] * 50 + [False] * 10
    assert heard == {f"row {i}": 1 for i in range(60)}


def test_the_same_words_are_asked_once_and_another_sample_again(path: Path) -> None:
    same = [ask("one"), ask("one")._replace(key="two"), ask("one")._replace(key="three", sample=1)]
    with scripted(latency=0.2) as server:
        found = replies(Teacher("m", base_url=server.address), same, path)
        assert server.stats()["asked"] == {"one": 2}
    assert [reply.key for reply in found] == ["one", "two", "three"]


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"temperature": 0.5},
        {"max_tokens": 7},
    ],
)
def test_what_shapes_a_reply_asks_anew(change: dict[str, Any], path: Path) -> None:
    with scripted() as server:
        teacher = Teacher("m", base_url=server.address)
        replies(teacher, [ask("one")], path)
        assert not replies(teacher._replace(**change), [ask("one")], path)[0].from_ledger
        assert not replies(teacher, [ask("one", SCHEMA)], path)[0].from_ledger


def test_a_long_list_of_asks_is_read_as_it_is_needed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datagen.teacher.client._CHUNK", 10)
    monkeypatch.setattr("datagen.teacher.client._AHEAD", 30)
    drawn = []

    def endless() -> Any:
        for number in range(10_000):
            drawn.append(number)
            yield ask(f"row {number}")

    with scripted() as server:
        found = asked(Teacher("m", base_url=server.address), endless(), path, recipe="r")
        assert [next(found).key for _ in range(5)] == [f"row {i}" for i in range(5)]
        found.close()  # type: ignore[attr-defined]
    assert len(drawn) <= 60


def test_without_key_or_ledger_one_line_says_what_is_missing(path: Path) -> None:
    with pytest.raises(UserError, match=r"no key for gpt-4o: set OPENAI_API_KEY, or .* --base-url"):
        replies(Teacher("gpt-4o"), rows(1), path)
    assert not path.exists()
    assert available(Teacher("m", base_url="http://localhost:1/v1")) == ""


def test_without_a_key_the_ledger_answers_what_it_holds(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted() as server:
        monkeypatch.setattr("datagen.teacher.ask.OPENAI", server.address)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        replies(Teacher("gpt-4o"), rows(3), path)
    monkeypatch.delenv("OPENAI_API_KEY")
    lines: list[str] = []
    found = replies(Teacher("gpt-4o"), rows(5), path, lines)
    assert [reply.reason for reply in found] == ["", "", "", *["failed: not_in_ledger"] * 2]
    [line] = lines
    assert line.startswith("2 of 5 asks are not in ")


def test_a_full_ledger_needs_no_server(path: Path) -> None:
    with scripted() as server:
        teacher = Teacher("m", base_url=server.address)
        first = replies(teacher, rows(20), path)
    again = replies(teacher, rows(20), path)
    assert [reply._replace(from_ledger=False) for reply in again] == first


def test_a_refused_key_stops_at_once(path: Path) -> None:
    with scripted(key="right") as server:
        with pytest.raises(UserError, match=r"refuses the key \(401\)\. Set OPENAI_API_KEY"):
            replies(Teacher("m", base_url=server.address), rows(200), path)
        assert server.stats()["refused"] <= calls.FIRST


def test_a_server_that_is_not_there_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "GIVE_UP_FIRST", 1.0)
    with pytest.raises(UserError, match=r"http://127.0.0.1:9/v1 gives no answer"):
        replies(Teacher("m", base_url="http://127.0.0.1:9/v1"), rows(3), path)


def test_an_unknown_model_is_told_with_the_nearest(path: Path) -> None:
    with scripted(models=["gpt-4o", "gpt-4o-mini"]) as server:
        with pytest.raises(UserError, match="has no model `gpt-4o-mni`: did you mean `gpt-4o-mini`"):
            replies(Teacher("gpt-4o-mni", base_url=server.address), rows(3), path)
        with pytest.raises(UserError, match="no OpenAI-compatible server"):
            replies(Teacher("m", base_url=server.address.removesuffix("/v1") + "/wrong"), rows(1), path)


@pytest.mark.parametrize(
    ("lacks", "how"),
    [(["json_schema"], "it is asked in JSON mode"), (["json_schema", "json_object"], "as plain text")],
)
def test_a_server_without_structured_output_is_asked_otherwise(
    lacks: list[str], how: str, path: Path
) -> None:
    lines: list[str] = []
    with scripted(lacks=lacks) as server:
        found = replies(Teacher("m", base_url=server.address), rows(100, SCHEMA), path, lines)
        bodies = server.stats()["bodies"]
    assert [json.loads(reply.text)["echo"] for reply in found] == [f"row {i}" for i in range(100)]
    [line] = lines
    assert how in line
    assert {body.get("response_format", {}).get("type") for body in bodies} >= {"json_schema"}


def test_fenced_json_is_json(path: Path) -> None:
    content = '```json\n{"echo": "a", "digest": "b"}\n```'
    with scripted(says={"a": content}, lacks=["json_schema", "json_object"]) as server:
        [found] = replies(Teacher("m", base_url=server.address), [ask("a", SCHEMA)], path)
    assert (found.text, found.reason) == ('{"echo": "a", "digest": "b"}', "")


@pytest.mark.parametrize(
    ("says", "reason", "times"),
    [
        ("finish:length", "cut", 1),
        ("finish:content_filter", "refused", 1),
        (" ", "empty", calls.TRIES),
        ("I'd rather not.", "failed: not_json", calls.TRIES),
        ('{"echo": 7}', "failed: not_of_schema", calls.TRIES),
    ],
)
def test_what_is_not_usable_is_rejected_with_its_reason_and_not_asked_again(
    says: str, reason: str, times: int, path: Path
) -> None:
    with scripted(says={"a": says}) as server:
        teacher = Teacher("m", base_url=server.address)
        [found] = replies(teacher, [ask("a", SCHEMA)], path)
        [again] = replies(teacher, [ask("a", SCHEMA)], path)
        assert server.stats()["asked"] == {"a": times}
    assert (found.reason, again) == (reason, found._replace(from_ledger=True))


def test_an_ask_that_is_too_long_is_rejected_alone(path: Path) -> None:
    with scripted(context=50) as server:
        found = replies(Teacher("m", base_url=server.address), [ask("x" * 80), ask("short")], path)
    assert [reply.reason for reply in found] == ["failed: too_long", ""]


def test_a_model_that_takes_other_parameters_is_asked_with_those(path: Path) -> None:
    with scripted(lacks=["max_tokens", "temperature"]) as server:
        found = replies(Teacher("m", base_url=server.address), rows(30), path)
        last = server.stats()["bodies"][-1]
    assert [reply.reason for reply in found] == [""] * 30
    assert (last["max_completion_tokens"], "temperature" in last) == (1024, False)


def test_a_busy_server_is_asked_by_fewer_calls_at_once(path: Path) -> None:
    with scripted(latency=0.05) as server:
        replies(Teacher("m", base_url=server.address), rows(400), path)
        quiet = server.stats()["most_at_once"]
    with scripted(latency=0.05, most=10) as server:
        found = replies(Teacher("n", base_url=server.address), rows(200), path)
        met = server.stats()["met"]
    assert quiet > 32
    assert [reply.reason for reply in found] == [""] * 200
    assert met["busy"] < 150


def test_the_limit_of_costs_stops_before_the_call_that_could_pass_it(path: Path) -> None:
    with scripted() as server:
        dear = Teacher("m", base_url=server.address, max_cost_usd=0.01, price=(0.0, 10.0), max_tokens=50)
        with pytest.raises(OverBudget, match=r"stopped before a call that could pass the limit of \$0.01"):
            replies(dear, rows(200), path)
        first = len(server.stats()["usable"])
        with pytest.raises(OverBudget, match="--max-cost"):
            replies(dear, rows(200), path)
        assert len(server.stats()["usable"]) == first  # what was spent before counts
        found = replies(dear._replace(max_cost_usd=1.0), rows(200), path)
        assert set(server.stats()["asked"].values()) == {1}
    assert sum(reply.from_ledger for reply in found) == first
    cost = sum(reply.tokens_out for reply in found[:first]) * 10.0 / 1e6
    assert 0.0085 < cost <= 0.01


def test_the_limit_needs_a_price(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with pytest.raises(UserError, match=r"the price of my-model is unknown.*--price 2.5,10"):
        replies(Teacher("my-model", max_cost_usd=1.0), rows(1), path)


SECRET = "sk-" + "4f6e1c9a" * 4

LEAKY = """
import sys
from pathlib import Path
from datagen.teacher import calls
from datagen.teacher.client import Ask, Teacher, asked
calls.TIMEOUT = calls.GIVE_UP_FIRST = 1.0
asks = [Ask(str(i), "s", ({"role": "user", "content": str(i)},)) for i in range(30)]
list(asked(Teacher("m", base_url=sys.argv[1]), asks, Path(sys.argv[2]), recipe="r", say=print))
raise SystemExit(open(f"/proc/{__import__('os').getpid()}/cmdline").read())
"""


@pytest.mark.parametrize(
    "script",
    [
        {},
        {"key": "another"},
        {"faults": 1.0, "hang": 2},
        {"context": 1},
        *({"echo_key": how} for how in ("alone", "far", "replies")),
    ],
)
@pytest.mark.parametrize("place", ["environment", "file"])
def test_the_key_appears_nowhere(script: dict[str, Any], place: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{SECRET}\n")
    named = {"OPENAI_API_KEY": SECRET} if place == "environment" else {"OPENAI_API_KEY_FILE": str(file)}
    with scripted(**script) as server:
        command = [sys.executable, "-X", "dev", "-c", LEAKY, server.address, str(tmp_path / "l" / "t.sqlite")]
        environment = {"PATH": "", "OPENAI_LOG": "debug", "PYTHONPATH": str(ROOT), **named}
        run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, cwd=ROOT)
        seen = server.stats()["authorizations"]
    assert seen == [f"Bearer {SECRET}"]
    assert "Traceback" in run.stderr or not script.get("key")
    kept = [found.read_bytes() for found in (tmp_path / "l").rglob("*") if found.is_file()]
    assert kept
    for text in [run.stdout.encode(), run.stderr.encode(), *kept]:
        assert SECRET.encode() not in text
        assert SECRET[:12].encode() not in text


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(
    "proxy", ["ftp://user:{}@127.0.0.1:9", "http://user:{}@[::1", "http://user:{}@127.0.0.1:9"]
)
def test_the_password_of_a_proxy_appears_nowhere(proxy: str, batch: bool, tmp_path: Path) -> None:
    environment = {"PATH": "", "OPENAI_LOG": "debug", "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": "x" * 20}
    environment["HTTP_PROXY"] = environment["http_proxy"] = proxy.format(SECRET)
    script = LEAKY.replace("base_url=sys.argv[1]", f"base_url=sys.argv[1], batch={batch}")
    command = [
        sys.executable,
        "-X",
        "dev",
        "-c",
        script,
        "http://shop.invalid/v1",
        str(tmp_path / "t.sqlite"),
    ]
    run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, cwd=ROOT)
    assert run.stderr.splitlines()[-1].startswith("datagen.errors.UserError: ")
    kept = [found.read_bytes() for found in tmp_path.rglob("*") if found.is_file()]
    assert SECRET not in run.stdout + run.stderr + str(kept)


def test_a_word_such_as_a_local_servers_key_stays_in_replies(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "row")
    with scripted() as server:
        [found] = replies(Teacher("m", base_url=server.address), rows(1), path)
    assert found.text == reply_to("row 0", False)


def test_a_server_that_falls_silent_is_told_of_and_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "GIVE_UP", 1.5)
    monkeypatch.setattr(calls, "SILENCE", 0.4)
    lines: list[str] = []
    with scripted() as server:
        found = asked(Teacher("m", base_url=server.address), rows(2_000), path, recipe="r", say=lines.append)
        next(found)
        server.process.kill()
        with pytest.raises(UserError, match=r"gives no answer .* run the same again later"):
            list(found)
    assert any("it is asked again for" in line for line in lines)
