"""Tests of the ledger: what it keeps, whom it refuses, and how a team shares it."""

import json
import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from datagen.cli import main
from datagen.errors import UserError
from datagen.teacher import ledger
from datagen.teacher.ask import Ask, Teacher
from datagen.teacher.client import asked
from tests.teacher.scripted_server import scripted

ROOT = Path(__file__).parents[2]


def entry(number: int, recipe: str = "r", usd: float | None = 0.5, text: str = "hello") -> ledger.Entry:
    asks = Ask(str(number), "extract.types", ({"role": "user", "content": f"wörd {number}"},))
    request = ledger.request_of(Teacher("m", base_url="http://x/v1"), asks)
    raw = json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
    key = ledger.key_of(request)
    return ledger.Entry(key, "http://x/v1", "m", recipe, asks.step, "", raw, 10, 20, usd, request)


def filled(path: Path, *entries: ledger.Entry) -> Path:
    with ledger.opened(path) as connection:
        ledger.add(connection, entries)
    return path


def rows(path: Path) -> list[tuple[object, ...]]:
    with ledger.opened(path) as connection:
        query = "select key, number, recipe, step, form, raw, tokens_in, tokens_out, usd, request from reply"
        return sorted(connection.execute(query))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["ledger", *arguments], catch_exceptions=False)


def test_replies_are_found_by_their_keys_in_their_order(tmp_path: Path) -> None:
    other = entry(1, text="other")
    with ledger.opened(tmp_path / "t.sqlite") as connection:
        ledger.add(connection, [entry(i) for i in range(1200)])
        ledger.add(connection, [other])
        found = ledger.find(connection, [entry(i).key for i in range(1100, 1300)] + [other.key])
    assert len(found) == 101
    assert found[other.key] == [entry(1).raw, other.raw]


def test_a_ledger_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = filled(tmp_path / "t.sqlite", entry(1))
    with sqlite3.connect(path) as connection:
        connection.execute(f"pragma user_version = {ledger.VERSION + 1}")
    with pytest.raises(UserError, match=r"t.sqlite: written by a later version .*Update shoptalk"):
        filled(path, entry(2))


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.sqlite").write_text("something else\n" * 1000)
    with pytest.raises(UserError, match=r"t.sqlite: no ledger of replies"):
        filled(tmp_path / "t.sqlite", entry(2))


def test_a_full_disk_is_told_and_what_was_kept_stays(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom datagen.teacher.client import *\n"
        "asks = [Ask(str(i), 's', ({'role': 'user', 'content': str(i) * 900},)) for i in range(400)]\n"
        "try:\n    list(asked(Teacher('m', sys.argv[1]), asks, Path(sys.argv[2]), recipe='r'))\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    path = tmp_path / "t.sqlite"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))

    with scripted() as server:
        command = [sys.executable, "-c", code, server.address, str(path)]
        full = subprocess.run(
            command, cwd=ROOT, preexec_fn=limit, capture_output=True, text=True, timeout=120, check=True
        )
        assert "UserError" in full.stdout
        assert "t.sqlite: the disk is full. What is paid is kept: free some space" in full.stdout
        subprocess.run(command, cwd=ROOT, timeout=120, check=True)
        with ledger.opened(path) as connection:
            assert connection.execute("select count(*) from reply").fetchone() == (400,)


def test_a_ledger_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    if not os.geteuid():
        pytest.skip("root writes everywhere")
    path = filled(tmp_path / "t.sqlite", entry(1))
    path.chmod(0o400)
    with pytest.raises(UserError, match="it cannot be written"):
        filled(path, entry(2))


def test_the_command_shows_spending_by_recipe_step_and_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = run()
    assert (missing.exit_code, missing.stderr.startswith("error: runs/teacher.sqlite: no ledger yet")) == (
        1,
        True,
    )
    filled(Path("runs/teacher.sqlite"), *(entry(i) for i in range(4)), entry(9, "other", None))
    shown = run().stdout.splitlines()
    assert [line.split() for line in shown[1:4]] == [
        ["other", "extract.types", "m", "1", "10", "20", "0.00"],
        ["r", "extract.types", "m", "4", "40", "80", "2.00"],
        ["all", "5", "50", "100", "2.00"],
    ]
    assert shown[4] == "of unknown price, and not in the sum: 1 replies"


def test_a_team_shares_replies_as_json_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    filled(Path("runs/teacher.sqlite"), *(entry(i) for i in range(700)), entry(3, text="again"))
    assert run("--export", "replies.jsonl").stdout == "replies.jsonl: 701 replies\n"
    shared = run("--runs", "theirs", "--import", "replies.jsonl").stdout
    assert shared == "theirs/teacher.sqlite: 701 replies came, 0 were there before\n"
    assert rows(Path("theirs/teacher.sqlite")) == rows(Path("runs/teacher.sqlite"))
    again = run("--runs", "theirs", "--import", "replies.jsonl").stdout
    assert again == "theirs/teacher.sqlite: 0 replies came, 701 were there before\n"
    with ledger.opened(Path("theirs/teacher.sqlite")) as connection:
        assert ledger.spent(connection, "r") == 0
    assert run("--runs", "theirs", "--export", "back.jsonl").exit_code == 0
    assert Path("back.jsonl").read_bytes() == Path("replies.jsonl").read_bytes()


@pytest.mark.parametrize("line", ["no json", "[]", '{"request": {}}', "{}", '{"request": 7, "raw": "x"}'])
def test_a_line_that_is_no_reply_is_named_and_nothing_is_taken_over(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    filled(Path("runs/teacher.sqlite"), *(entry(i) for i in range(3)))
    run("--export", "replies.jsonl")
    with Path("replies.jsonl").open("a") as file:
        file.write(line + "\n")
    result = run("--runs", "theirs", "--import", "replies.jsonl")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: replies.jsonl:4: no reply that `datagen ledger --export` wrote")
    assert rows(Path("theirs/teacher.sqlite")) == []


def test_imported_replies_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    filled(Path("runs/teacher.sqlite"), entry(1))
    run("--export", "replies.jsonl")
    run("--runs", "theirs", "--import", "replies.jsonl")
    ask = Ask("1", "another.step", ({"role": "user", "content": "wörd 1"},))
    [reply] = asked(Teacher("m", "http://x/v1"), [ask], Path("theirs/teacher.sqlite"), recipe="other")
    assert (reply.text, reply.from_ledger) == ("hello", True)
