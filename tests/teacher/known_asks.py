"""Asks to which the scripted server has one right reply each, every other one with a schema."""

from datagen.teacher.ask import Ask, Reply
from tests.teacher.scripted_server import SCHEMA, reply_to


def asks(number: int) -> list[Ask]:
    """So many asks, of different words."""
    return [
        Ask(
            f"key {i}", "extract.types", ({"role": "user", "content": f"row {i}"},), SCHEMA if i % 2 else None
        )
        for i in range(number)
    ]


def right(number: int) -> list[tuple[str, str, str]]:
    """What an asker goes on with where all is well."""
    return [(f"key {i}", reply_to(f"row {i}", bool(i % 2)), "") for i in range(number)]


def told(replies: list[Reply]) -> list[tuple[str, str, str]]:
    """What an asker goes on with."""
    return [(reply.key, reply.text, reply.reason) for reply in replies]
