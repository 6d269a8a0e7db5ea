"""The body of a call: an ask in the server's words, as far as the server knows them."""

import json
import re
from collections.abc import Set
from typing import Any

from datagen.teacher.ask import OPENAI, Ask, Teacher

FORMS = ("json_schema", "json_object", "text")
"""How JSON is asked for, from the strictest; a server that refuses one is asked in the next."""


def body_of(teacher: Teacher, ask: Ask, form: str, lacks: Set[str]) -> dict[str, Any]:
    """The body of a call: an ask in the server's words, without the parameters that it `lacks`."""
    limit = "max_completion_tokens" if "max_tokens" in lacks else "max_tokens"
    words: dict[str, Any] = {"model": teacher.model, "messages": list(ask.messages)}
    words[limit] = teacher.max_tokens
    if "temperature" not in lacks:
        words["temperature"] = teacher.temperature
    if ask.schema is None:
        return words
    if form == "json_schema":
        name = re.sub(r"\W", "_", ask.step)[:64] or "reply"
        schema = {"name": name, "schema": ask.schema, "strict": True}
        words["response_format"] = {"type": "json_schema", "json_schema": schema}
        return words
    told = f"Reply with JSON that fits this JSON Schema, and nothing else:\n{json.dumps(ask.schema)}"
    first, *rest = ask.messages
    if first["role"] == "system":
        words["messages"] = [{**first, "content": f"{first['content']}\n\n{told}"}, *rest]
    else:
        words["messages"] = [{"role": "system", "content": told}, first, *rest]
    if form == "json_object":
        words["response_format"] = {"type": "json_object"}
    return words


def lacks_of(teacher: Teacher) -> set[str]:
    """The parameters that OpenAI's reasoning models refuse; what others refuse shows in their first reply."""
    reasons = teacher.server == OPENAI and re.match(r"o\d|gpt-5", teacher.model)
    return {"max_tokens", "temperature"} if reasons else set()
