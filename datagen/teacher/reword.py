"""The rewording of templates: what a teacher is asked for, and what is taken of its replies.

A template's slots and blocks are marks while they are with the teacher, so that no new wording can change
them.
"""

import json
from collections.abc import Sequence

from datagen.schema import LANGUAGES
from datagen.teacher.ask import Ask, Reply, object_schema
from datagen.teacher.data_message import messages
from datagen.teacher.gates import words_problem
from datagen.teacher.marks import Marked

INSTRUCTION = """You write prompts for an online shop's assistant. `prompt` in the data is a prompt in \
{language}. It holds marks such as [[1]], which stand for texts that are filled in later; `also` are other \
wordings of the same prompt.
Write {count} new wordings of that prompt in {language}. Each asks for exactly the same thing, and says in \
which form to answer as the prompt does.
Keep every mark exactly as it is and exactly as often as in the prompt, on a line of its own where it stands \
on one, in quotes or behind a label where it stands so. Write no marks of your own, and add no facts, no \
examples and no numbers.
Make them differ in structure and in tone: short and long, questions and orders, with the data before the \
task or behind it. Do not answer the prompt."""

FORM = 'Reply with a JSON object: {"wordings": ["...", ...]}'

MOST_TOKENS = 2048
"""Tokens of a reply: eight wordings and more."""

SHOWN = 3
"""Other wordings that the teacher is shown."""


def ask(template: str, base: Marked, others: Sequence[str], language: str, count: int) -> Ask:
    """The ask for `count` new wordings of one wording, in a language by its code."""
    data = {"prompt": base.text, "also": [other for other in others if other != base.text][:SHOWN]}
    said = messages(INSTRUCTION.format(language=LANGUAGES[language], count=count), data, FORM)
    listed = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": count}
    key = f"{template} {language} {base.text}"
    return Ask(key, "reword", said, object_schema({"wordings": listed}))


def wordings_of(reply: Reply) -> tuple[list[str], str]:
    """The new wordings in a reply, with marks; or none, and why."""
    if reply.reason:
        return [], reply.reason.partition(":")[0]
    found = json.loads(reply.text)["wordings"]
    return [text.strip() for text in found if text.strip()], "" if found else "empty"


def problem(new: str, base: Marked, others: Sequence[str], language: str) -> str | None:
    """Why a new wording of `base` cannot be one of the template's; `others` are all that it has."""
    if "---" in new:
        return "not_a_template"
    return words_problem(new, base.text, others, language)
