"""OpenAI's chat API, as far as it is served here: the bodies that are read and those that are sent.

The last user message is the question. The system message is the one that the model was trained with, and
answers are held to what a question admits; so other messages and sampling settings are left out of account,
and named in the reply. What asks for another form of answer is refused.
"""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from datagen.tasks import TASKS
from infer.serve.prepare import printable
from infer.serve.waiting import Answered, Question

MOST_BYTES = 2**20
"""Bytes of a body; a question that fits into no context has fewer."""

FREE = "start the server with --plain for free answers"

_REFUSED: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "tools": ([],),
    "functions": ([],),
    "response_format": ({"type": "text"},),
    "structured_outputs": (),
}
"""Fields that ask for another form of answer, and the values that don't."""

_READ = {"model", "messages", "stream", "stream_options", "is_multiple_choice", *_REFUSED}


class Refused(Exception):
    """A request that is not answered: HTTP status, OpenAI's code for it, and the field where there is one."""

    def __init__(self, status: int, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param

    def body(self) -> dict[str, Any]:
        """The error in OpenAI's form."""
        kind = {429: "rate_limit_error"}.get(
            self.status, "invalid_request_error" if self.status < 500 else "server_error"
        )
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


@dataclass(frozen=True, slots=True)
class Chat:
    """A request that is answered: the question, how the reply is sent, and what is left out of account."""

    question: Question
    stream: bool
    with_usage: bool
    ignored: list[str]


def read_chat(content: bytes, model: str) -> Chat:
    """The request in a body. Raises Refused, with what to change."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "invalid_json", f"the body is not JSON ({error})") from None
    if not isinstance(body, dict):
        raise Refused(
            400, "invalid_json", 'the body is no JSON object, as {"model": ..., "messages": [...]} is'
        )
    if not isinstance(body.get("model"), str):
        raise Refused(400, "missing_model", f"`model` is missing: it is `{model}` here", "model")
    if body["model"] != model:
        asked = printable(body["model"])[:100]
        raise Refused(
            404, "model_not_found", f"the model `{asked}` is not served here: name `{model}`", "model"
        )
    for name, harmless in _REFUSED.items():
        if body.get(name) is not None and body[name] not in harmless:
            raise Refused(
                400, "unsupported_value", f"`{name}` is not served here: leave it out, or {FREE}", name
            )
    told, streams, options = (body.get(name) for name in ("is_multiple_choice", "stream", "stream_options"))
    for name, value in (("is_multiple_choice", told), ("stream", streams)):
        if not (value is None or isinstance(value, bool)):
            raise Refused(400, "invalid_value", f"`{name}` is neither true nor false", name)
    prompt, place = _question(body.get("messages"))
    others = [f"messages[{number}]" for number in range(len(body["messages"])) if number != place]
    return Chat(
        Question(prompt, told),
        bool(streams),
        isinstance(options, dict) and bool(options.get("include_usage")),
        others + sorted(printable(name)[:100] for name in body.keys() - _READ),
    )


def _question(messages: Any) -> tuple[str, int]:
    """The text of the last user message, and its place."""
    if not (isinstance(messages, list) and all(isinstance(one, dict) for one in messages)):
        raise Refused(400, "invalid_value", "`messages` is no list of messages", "messages")
    place = next((n for n in reversed(range(len(messages))) if messages[n].get("role") == "user"), None)
    if place is None:
        raise Refused(400, "missing_question", "`messages` has no message of the role `user`", "messages")
    content, where = messages[place].get("content"), f"messages[{place}].content"
    if isinstance(content, list):
        texts = [part.get("text") for part in content if _is_text(part)]
        if len(texts) < len(content):
            raise Refused(400, "invalid_value", f"`{where}` holds something else than texts", where)
        content = "\n".join(texts)
    if not isinstance(content, str):
        raise Refused(400, "invalid_value", f"`{where}` is no text", where)
    if not content.strip():
        raise Refused(400, "empty_question", f"`{where}` is empty: write a question", where)
    return content, place


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def reply(model: str, chat: Chat, answered: Answered) -> dict[str, Any]:
    """The body that answers. Raises Refused where the question could not be asked at all."""
    prepared, response = answered
    if prepared.request is None and prepared.weighed is None:
        raise Refused(400, "cannot_be_asked", f"the question can't be asked: {prepared.problem}", "messages")
    message = {"role": "assistant", "content": response.text, "refusal": None}
    kind = prepared.guess.task_type
    return {
        **_head(model, "chat.completion"),
        "choices": [
            {"index": 0, "message": message, "finish_reason": response.reason or "stop", "logprobs": None}
        ],
        "usage": {
            "prompt_tokens": response.prompt_tokens,
            "completion_tokens": response.tokens,
            "total_tokens": response.prompt_tokens + response.tokens,
        },
        "shoptalk": {
            "task_type": kind.value,
            "constraint": prepared.constraint,
            "numbers": list(prepared.guess.numbers),
            "value": TASKS[kind].parse(response.text),
            "problem": prepared.problem,
            "ignored": chat.ignored,
        },
    }


def chunks(whole: dict[str, Any], with_usage: bool) -> Iterator[dict[str, Any]]:
    """A reply as a stream sends it: the answer in one piece, then how it ended."""
    choice = whole["choices"][0]
    head = {**whole, "object": "chat.completion.chunk"} | ({"usage": None} if with_usage else {})
    if not with_usage:
        del head["usage"]
    delta = {"role": "assistant", "content": choice["message"]["content"]}
    for told, reason in ((delta, None), ({}, choice["finish_reason"])):
        yield {**head, "choices": [{"index": 0, "delta": told, "finish_reason": reason, "logprobs": None}]}
    if with_usage:
        yield {**head, "choices": [], "usage": whole["usage"]}


def models(model: str, created: int) -> dict[str, Any]:
    """The list of the one model."""
    return {"object": "list", "data": [model_entry(model, created)]}


def model_entry(model: str, created: int) -> dict[str, Any]:
    """The model as an entry of the list."""
    return {"id": model, "object": "model", "created": created, "owned_by": "shoptalk"}


def _head(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}
