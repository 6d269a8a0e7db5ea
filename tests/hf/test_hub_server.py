"""Seeds from a hub that is a server on this machine: at one revision, and resumed where it broke off."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

REVISION = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "McAuley-Lab/Amazon-Reviews-2023"
REVIEW = {
    "rating": 5.0, "title": "Good", "text": "It holds.", "asin": "A1", "parent_asin": "A1", "user_id": "U1",
    "timestamp": 1, "helpful_vote": 0, "verified_purchase": True,
}  # fmt: skip
ITEM = {
    "parent_asin": "A1", "main_category": "Toys", "title": "A kite", "average_rating": 5.0,
    "rating_number": 1,
    "features": [], "description": [], "price": "3.50", "store": None, "categories": [], "details": {},
}  # fmt: skip
FILES = {
    f"raw/{part}_categories/{prefix}{category}.jsonl": (json.dumps(row | {"title": category}) + "\n").encode()
    * (copies if part == "review" else 1)
    for part, prefix, row in (("review", "", REVIEW), ("meta", "meta_", ITEM))
    for category, copies in (("Toys_and_Games", 10), ("Office_Products", 10), ("Books", 150_000))
}
"""Half of the books are more than the client writes at once, which is 10 MB."""

FETCH = """
import sys
from pathlib import Path
from datagen.errors import UserError
from datagen.sources import SOURCES
from datagen.sources.database import open_seeds
from datagen.sources.locate import find_seeds
options = {"reviews": SOURCES["reviews"].Options(category=sys.argv[2].split() or None)}
try:
    seeds = find_seeds("hub", options, Path(sys.argv[1]), print)
except UserError as error:
    sys.exit(str(error))
with open_seeds(options, seeds, 7) as opened:
    query = "select category, count(*) from reviews.reviews group by 1 order by 1"
    print(opened.connection.execute(query).fetchall())
"""


class Hub(ThreadingHTTPServer):
    """A hub with one data set. `asked` are its requests; `breaks` are files that it sends half of, once."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, str]] = []
        self.breaks: set[str] = set()
        self.claims: dict[str, int] = {}

    def size(self, name: str) -> int:
        return self.claims.get(name, len(FILES[name]))


class Handler(BaseHTTPRequestHandler):
    """What the hub's client asks for: a revision, a tree of files, and the files."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((self.command, path, self.headers.get("Range", "")))
        if path.startswith(f"/api/datasets/{REPOSITORY}/tree/"):
            named = [(name, self.server.size(name), _sha(name)) for name in FILES]
            self.as_json([{"type": "file", "path": name, "size": n, "oid": oid} for name, n, oid in named])
        elif path.startswith(f"/api/datasets/{REPOSITORY}"):
            siblings = [{"rfilename": name, "size": self.server.size(name)} for name in FILES]
            self.as_json({"id": REPOSITORY, "sha": REVISION, "siblings": siblings})
        elif path.startswith(f"/datasets/{REPOSITORY}/resolve/{REVISION}/"):
            self.as_file(path.partition(f"{REVISION}/")[2])
        else:
            self.send_error(404)

    def as_json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def as_file(self, name: str) -> None:
        data = FILES[name]
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if first else 200)
        self.send_header("ETag", f'"{_sha(name)}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Accept-Ranges", "bytes")
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str((self.server.size(name) if not first else len(data)) - first))
        self.end_headers()
        if self.command == "GET":
            half = name in self.server.breaks
            self.server.breaks.discard(name)
            self.wfile.write(data[first : len(data) // 2] if half else data[first:])
            self.close_connection = self.close_connection or half


def _sha(name: str) -> str:
    return hashlib.sha1(FILES[name]).hexdigest()


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()


def fetch(hub: Hub, folder: Path, categories: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The client reads its settings when it is imported, so it is in a process of its own."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_address[1]}",
        "HF_HOME": str(folder / "cache"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HTTP_PROXY": "", "HTTPS_PROXY": "", "http_proxy": "", "https_proxy": "", "NO_PROXY": "127.0.0.1",
        **variables,
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", FETCH, str(folder), categories],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_only_what_is_chosen_is_fetched_at_one_revision(hub: Hub, tmp_path: Path) -> None:
    done = fetch(hub, tmp_path, "Toys_and_Games Books")
    assert done.returncode == 0, done.stderr
    assert "4 of 4 files to download" in done.stdout
    assert "[('Books', 150000), ('Toys_and_Games', 10)]" in done.stdout
    assert not any("Office" in path for _, path, _ in hub.asked)
    note = tmp_path / "seeds" / "hub" / "reviews.json"
    assert json.loads(note.read_text(encoding="utf-8")) == {"repository": REPOSITORY, "revision": REVISION}
    hub.asked.clear()
    assert fetch(hub, tmp_path, "Books Toys_and_Games").returncode == 0
    done = fetch(hub, tmp_path, "Toys_and_Games Books")
    assert "download" not in done.stdout
    other = fetch(hub, tmp_path, "Toys_and_Games Office_Products")
    assert "2 of 4 files to download" in other.stdout
    assert "[('Office_Products', 10), ('Toys_and_Games', 10)]" in other.stdout


def test_a_download_that_broke_off_goes_on(hub: Hub, tmp_path: Path) -> None:
    name = "raw/review_categories/Books.jsonl"
    hub.breaks.add(name)
    first = fetch(hub, tmp_path, "Books")
    done = first if first.returncode == 0 else fetch(hub, tmp_path, "Books")
    assert "[('Books', 150000)]" in done.stdout, done.stderr
    ranges = [asked for _, path, asked in hub.asked if path.endswith(name) and asked]
    assert [text for text in ranges if int(text.removeprefix("bytes=").removesuffix("-")) >= 10_000_000]


def test_nothing_is_fetched_that_is_too_large_or_not_chosen(hub: Hub, tmp_path: Path) -> None:
    name = "raw/review_categories/Books.jsonl"
    hub.claims[name] = 8_000_000_000
    done = fetch(hub, tmp_path, "Books")
    assert "8.0 GB to download, more than the 5 GB" in done.stderr
    assert "HUB_GB=9" in done.stderr
    assert "not a number of gigabytes" in fetch(hub, tmp_path, "Books", HUB_GB="lots").stderr
    assert "more than the 1e-06 GB" in fetch(hub, tmp_path, "Toys_and_Games", HUB_GB="0.000001").stderr
    assert "say which categories to fetch" in fetch(hub, tmp_path, "").stderr
    assert "has no raw/review_categories/Bokos.jsonl" in fetch(hub, tmp_path, "Bokos").stderr
    assert not any(method == "GET" and path.endswith(".jsonl") for method, path, _ in hub.asked)
    assert [path.name for path in (tmp_path / "seeds" / "hub").iterdir()] == ["reviews.json"]
