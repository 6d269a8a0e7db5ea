"""The plain data that the teacher is spoken to in: who it is, what it is asked, what it replied."""

from typing import Any, NamedTuple
from urllib.parse import urlsplit

OPENAI = "https://api.openai.com/v1"

NOT_IN_LEDGER = "failed: not_in_ledger"
"""The reason of a reply where there is no server to ask."""


class Teacher(NamedTuple):
    """Who is asked, and how.

    `price` is dollars a million tokens, in and out; None: the table's. `batch` asks by the Batch API, which
    takes half of it, and up to a day. With `replays`, nobody is asked: what the ledger holds is all.
    """

    model: str
    base_url: str | None = None
    max_cost_usd: float | None = None
    temperature: float = 0.0
    max_tokens: int = 1024
    price: tuple[float, float] | None = None
    batch: bool = False
    replays: bool = False

    @property
    def server(self) -> str:
        """The server's address, written one way."""
        return (self.base_url or OPENAI).strip().rstrip("/")

    @property
    def local(self) -> bool:
        """Whether the server runs on this machine or beside it, where no token costs money."""
        host = urlsplit(self.server).hostname or ""
        return host in ("localhost", "::1", "0.0.0.0") or host.startswith(("127.", "10.", "192.168."))


class Ask(NamedTuple):
    """One question. `key` is the asker's own; `sample` tells several replies to the same words apart."""

    key: str
    step: str
    messages: tuple[dict[str, str], ...]
    schema: dict[str, Any] | None = None
    sample: int = 0


class Reply(NamedTuple):
    """The one reply to an ask; `reason` says why it is not usable, and is empty where it is.

    A reason is `cut`, `refused`, `empty`, or `failed: ` and one of `not_json`, `not_of_schema`, `too_long`,
    `bad_request`, `not_in_ledger`. With a schema, `text` is the JSON alone.
    """

    key: str
    text: str
    reason: str
    model: str
    tokens_in: int
    tokens_out: int
    from_ledger: bool


def object_schema(properties: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of an object with these properties, all of them and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
