"""The reading of a server's raw replies: a text, or why there is none that is usable.

It runs on every use of a reply, fresh or from the ledger, so that a better reading never pays again.
"""

import functools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

BROKEN = "broken"
"""The reason of what no server should send: it says nothing of the model, and the same is asked again."""

TRIES = 5
"""Replies to one ask that are paid for, where none before was what was asked for."""

FINAL = ("", "cut", "refused")
"""Reasons that another try would not change."""

_FENCED = re.compile(r"\A\s*```[a-z]*\s*\n(.*)\n\s*```\s*\Z", re.DOTALL)


class Read(NamedTuple):
    """A reply's text, the reason against it, the model that wrote it and the tokens it took, if told."""

    text: str
    reason: str
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    id: str = ""


def read(raw: str, schema: dict[str, Any] | None) -> Read:
    """Read a chat completion's JSON."""
    try:
        body = json.loads(raw)
        choice = body["choices"][0]
        message = choice["message"]
        content, refusal, finish = message.get("content"), message.get("refusal"), choice.get("finish_reason")
        counts = body.get("usage") or {}
        tokens_in, tokens_out = _count(counts, "prompt_tokens"), _count(counts, "completion_tokens")
        whole = Read("", "", str(body.get("model") or ""), tokens_in, tokens_out, str(body.get("id")))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return Read("", BROKEN)
    if content is not None and not isinstance(content, str):
        return Read("", BROKEN)
    text, reason = content or "", ""
    if refusal or finish == "content_filter":
        text, reason = text or str(refusal or ""), "refused"
    elif finish == "length":
        reason = "cut"
    elif not text.strip():
        reason = "empty"
    elif schema is not None:
        text, reason = of_schema(text, schema)
    return whole._replace(text=text, reason=reason)


def settled(raws: Sequence[str], schema: dict[str, Any] | None) -> Read | None:
    """The reading of an ask's replies; None where the ask is to be sent once more."""
    found = None
    for raw in raws:
        found = read(raw, schema)
        if found.reason in FINAL:
            return found
    return found if len(raws) >= TRIES else None


def _count(usage: Mapping[str, Any], name: str) -> int:
    number = usage.get(name)
    return number if isinstance(number, int) and number >= 0 else 0


def of_schema(text: str, schema: dict[str, Any]) -> tuple[str, str]:
    """The JSON in a text, without a fence around it, and why it is not what the schema asks for."""
    fenced = _FENCED.match(text)
    text = (fenced[1] if fenced else text).strip()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text, "failed: not_json"
    return text, "" if _validator(json.dumps(schema)).is_valid(value) else "failed: not_of_schema"


@functools.lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(schema))
