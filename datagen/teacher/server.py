"""What a teacher's server is reached by, and what of it no line, ledger or traceback may show."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from datagen.errors import UserError

_SECRET = 8
"""Characters from which a key is one: local servers are given keys such as `x`, which texts hold as well."""


def address_problem(url: str) -> str:
    """What is wrong with an address to ask at; empty where nothing is. It does not repeat the address."""
    try:
        parts = urlsplit(url.strip())
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        return "is no address: write one such as http://localhost:8000/v1"
    if "@" in parts.netloc:
        return (
            "has a name or a password before its @, which the ledger, the lock and the list of processes"
            " would show: leave that out, and put the server's key into OPENAI_API_KEY"
        )
    if parts.query or parts.fragment:
        return "has more after its ? or #, which no server of OpenAI's kind reads: leave that out"
    return ""


def without_key(text: str, key: str) -> str:
    """A text that a server sent, without the key that it may have repeated."""
    return text.replace(key, "...") if len(key) >= _SECRET else text


@contextmanager
def by_proxy() -> Iterator[None]:
    """Turn what a client says of a proxy that cannot be used into a UserError that does not show it."""
    import httpx2

    try:
        yield
    except (ValueError, ImportError, httpx2.InvalidURL) as error:
        raise UserError(
            f"the proxy that the environment names cannot be used ({type(error).__name__}). Look at"
            " HTTP_PROXY, HTTPS_PROXY and ALL_PROXY: one is no address, or of a kind that is not known"
        ) from None
