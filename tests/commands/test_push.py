"""Uploads to the hub: said before they are done, private, without rejects, and never with the token shown."""

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from datagen.commands.push import described, planned
from datagen.commands.verify import published
from datagen.errors import UserError

TOKEN = "hf_this_is_a_secret"
COMMIT = "https://huggingface.co/datasets/me/shop/commit/1"


class Hub(ThreadingHTTPServer):
    """As much of the Hugging Face hub as an upload asks; what it got is kept."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.created: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()
        self.private = True
        self.refuses = False


class Answers(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        found: Any = {"id": "me/shop", "private": self.server.private, "siblings": [], "sha": "0" * 40}
        self.answer([] if "/tree/" in self.path else found)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.tokens.add(self.headers.get("Authorization"))
        if self.server.refuses:
            self.answer({"error": "You have no rights here"}, 403)
        elif self.path.endswith("/api/repos/create"):
            self.server.created.append(json.loads(body))
            self.answer(
                {"url": f"http://127.0.0.1:{self.server.server_port}/datasets/me/shop", "id": "me/shop"}
            )
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            self.answer(
                {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}
            )
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer({"commitUrl": COMMIT, "commitOid": "1", "success": True})
        else:
            self.answer({}, 200)

    def answer(self, value: Any, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def run(shop_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shop_run, tmp_path / "shop"))


def pushed(
    hub: Hub | None, *arguments: str, token: str | None = TOKEN, home: Path
) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))
    }
    environment |= {"HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    environment |= {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}"} if hub else {"HF_HUB_OFFLINE": "1"}
    environment |= {"HF_TOKEN": token} if token else {}
    command = [sys.executable, "-m", "datagen.cli", "push", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


def test_nothing_is_sent_before_it_is_asked_for(hub: Hub, run: Path, tmp_path: Path) -> None:
    result = pushed(hub, str(run), "me/shop", home=tmp_path)
    assert result.returncode == 0
    assert result.stdout.splitlines()[0] == "me/shop, a private data set of the Hugging Face hub:"
    assert "data/train-00000-of-00001.parquet" in result.stdout
    assert "README.md" in result.stdout
    assert "esci: Apache-2.0" in result.stdout
    assert "invented seeds (esci)" in result.stdout
    assert result.stdout.splitlines()[-1] == "Nothing was sent. Say --yes to send it"
    assert not hub.created
    assert not hub.files


def test_what_was_said_is_sent_and_no_more(hub: Hub, run: Path, tmp_path: Path) -> None:
    result = pushed(hub, str(run), "me/shop", "--yes", home=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == COMMIT
    [created] = hub.created
    assert (created["type"], created["visibility"]) == ("dataset", "private")
    names = [name for name in published(run) if not name.startswith("rejects/")]
    assert sorted(hub.files) == names
    assert all(hub.files[name] == (run / name).read_bytes() for name in names)
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in result.stdout + result.stderr


def test_a_public_repository_gets_nothing_unless_that_is_said(hub: Hub, run: Path, tmp_path: Path) -> None:
    hub.private = False
    result = pushed(hub, str(run), "me/shop", "--yes", home=tmp_path)
    assert result.returncode == 1
    assert "it is there and public. Say --public" in result.stderr
    assert not hub.files
    result = pushed(hub, str(run), "me/shop", "--yes", "--public", home=tmp_path)
    assert result.returncode == 0, result.stderr
    assert hub.files


def test_a_refusal_is_one_line_without_the_token(hub: Hub, run: Path, tmp_path: Path) -> None:
    hub.refuses = True
    result = pushed(hub, str(run), "me/shop", "--yes", home=tmp_path)
    assert result.returncode == 1
    assert "me/shop: the hub did not take it" in result.stderr
    assert "Traceback" not in result.stderr
    assert TOKEN not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("token", "message"), [(None, "no token for the Hugging Face hub"), (TOKEN, "did not take it")]
)
def test_without_a_token_or_a_network_it_says_what_to_do(
    run: Path, tmp_path: Path, token: str | None, message: str
) -> None:
    result = pushed(None, str(run), "me/shop", "--yes", token=token, home=tmp_path)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_run_that_has_changed_is_not_sent(run: Path) -> None:
    (run / "README.md").write_text("mine")
    with pytest.raises(UserError, match=r"not as it was built, so it is not sent:\n  README.md"):
        planned(run, "me/shop")


@pytest.mark.parametrize("name", ["shop", "a/b/c", "/shop", "me/"])
def test_a_name_that_is_none_is_refused(run: Path, name: str) -> None:
    with pytest.raises(UserError, match="your_name/shop"):
        planned(run, name)


def test_public_is_said_loudly(run: Path) -> None:
    assert "PUBLIC" in next(iter(described(planned(run, "me/shop", private=False))))
