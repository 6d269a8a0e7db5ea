"""The rewriting of single prompts: what a teacher is asked for, and what is taken of its reply.

What a prompt prints of its row is a mark while it is with the teacher, who is shown it beside the prompt as
data. So no reply can change it, and what obeys it has nothing to gain but words, which the gates read.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from datagen.schema import LANGUAGES, TaskType
from datagen.tasks import TASKS
from datagen.teacher import gates
from datagen.teacher.ask import NOT_IN_LEDGER, Ask, Reply, object_schema
from datagen.teacher.data_message import messages
from datagen.teacher.marks import Marked, of_pieces

INSTRUCTION = """You write prompts for an online shop's assistant anew. `prompt` in the data is a prompt in \
{language}. It holds marks such as [[1]]; the texts that these stand for are in `texts`.
Write the prompt in other words in {language}: other sentences, in another order. It asks for exactly the \
same thing, and says in which form to answer as the prompt does. So "Look at [[1]].\\n[[2]]\\nAnswer in one \
word." may become "[[2]]\\nReply in a single word, after a look at [[1]]."
Keep every mark exactly as it is and exactly as often as in the prompt, on a line of its own where it stands \
on one, in quotes or behind a label where it stands so. Write no marks of your own, no words out of the \
texts, no facts, no examples and no numbers. Do not answer the prompt."""

FORM = 'Reply with a JSON object: {"prompt": "..."}'

SCHEMA = object_schema({"prompt": {"type": "string"}})

TEMPERATURE = 0.8
"""At 0 small models repeat what they are given."""

MOST_TOKENS = 512
"""Tokens of a reply: a prompt's own words and marks, some times over."""

SHOWN = 400
"""Characters of a locked text that the teacher is shown: enough to know what the prompt is about."""


class Row(NamedTuple):
    """A row whose prompt is to be written anew; `language` is that of its wording."""

    id: str
    task: str
    task_type: TaskType
    metric: str
    language: str
    pieces: Sequence[str]
    answer: str
    target: str
    options: Sequence[str]

    @property
    def prompt(self) -> str:
        """The prompt as it is."""
        return "".join(self.pieces)


def ask(row: Row) -> Ask:
    """The ask for one row, whose own words hold no marks."""
    marked = of_pieces(row.pieces)
    assert marked is not None
    texts = {f"[[{number}]]": text[:SHOWN] for number, text in enumerate(marked.locked, 1)}
    data = {"prompt": marked.text, "texts": texts}
    said = messages(INSTRUCTION.format(language=LANGUAGES[row.language]), data, FORM)
    return Ask(row.id, f"rewrite.{row.task}", said, SCHEMA)


def written_anew(row: Row, reply: Reply, wordings: Sequence[str]) -> tuple[str, str]:
    """The new prompt of a row, and why it is not taken: nothing where it is.

    `wordings` are the template's in the row's language, with marks.
    """
    if reply.reason:
        return "", "not_asked" if reply.reason == NOT_IN_LEDGER else reply.reason.partition(":")[0]
    marked = of_pieces(row.pieces)
    assert marked is not None
    words = json.loads(reply.text)["prompt"].strip()
    new = marked.filled(words)
    problem = (
        gates.words_problem(words, marked.text, (*wordings, marked.text), row.language)
        or gates.row_problem(new, row.prompt, row.task_type)
        or _answer_problem(row, words, marked, wordings)
    )
    return new, problem or ""


def _answer_problem(row: Row, words: str, marked: Marked, wordings: Sequence[str]) -> str | None:
    module, target = TASKS[row.task_type], json.loads(row.target)
    if module.score(module.parse(row.answer), target, row.metric) != 1.0:
        return "gold"
    own, before = gates.own_words(words), gates.own_words(marked.text)
    right = {
        TaskType.MULTIPLE_CHOICE: lambda: [row.options[target]],
        TaskType.GENERATION: lambda: [target],
        TaskType.NAMED_ENTITY_RECOGNITION: lambda: list(target),
    }.get(row.task_type, list)()
    if any(gates.holds(own, text) and not gates.holds(before, text) for text in right):
        return "leaked"
    if gates.from_data(words, [*marked.locked, *row.options, row.answer], (marked.text, *wordings)):
        return "from_data"
    return None
