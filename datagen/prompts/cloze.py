"""The cloze form of a question: no list of options, and an answer by an option's text, not its number.

A small model knows which text is likely after a question long before it can say the text's number. So it
can be trained on the right text, and asked how likely each text is (`choose: text` in a training config,
`--choose text` of `infer run`). Training and serving both take the question from here.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from datagen.prompts.instruction import split
from datagen.prompts.options import Listed, listed
from datagen.schema import TaskType
from datagen.tasks.question import numbered

UNANSWERED = "Answer:"
"""A question that asks nothing: how likely a text is after it tells how common the text is by itself."""

_UNFIT = re.compile(
    r"\bodd (?:one|item|product) out\b|\bout of place\b|\btaken? off\b|\bshould be removed\b"
    r"|\b(?:does|do|is|are|was|were|would|should|could) ?n(?:o|['’])t"
    r" (?:fit|belong|match|apply|accept|what|relevant|related|similar|an? (?:\w+ )?(?:fit|match|kind|type)\b)"
    r"|\bwhich (?:one )?(?:does|is) ?n(?:o|['’])t\?"
    r"|\bdoes ?n(?:o|['’])t answer\b"  # not "do not answer with words"
    r"|\bthe (?:wrong|unfit\w*|irrelevant) (?:\w+ )?(?:result|product|item|option)\b"
    r"|\bwhich (?:\w+ ){0,5}(?:is|are) (?:the )?(?:least|irrelevant|unrelated)\b"
    r"|\b(?:passt|passen|gehört|gehören|entspricht) nicht\b|\bnicht (?:passt|passen|(?:dazu)?gehört)\b"
    r"|\bfällt aus der reihe\b"
    r"|\bno (?:encaja|responde|lo es[?]|se ajusta|corresponde|pertenece|es lo que)|\bsobra\b|\bintruso\b"
    r"|\bquitar de los resultados\b"
    r"|\bne (?:correspond|convient|va) pas\b|\bn['’]appartient pas\b|\bintrus\b"
    r"|\bnon (?:corrisponde|appartiene|è adatt|c['’]entra)|\bfuori posto\b"
    r"|合わない|合ってい?ない|外すべき|求められていない|当てはまらない|適さない|[一合]致しない"
    r"|(?:仲間|なかま)(?:外|はず)れ|関係の?ない",
    re.IGNORECASE,
)
"""An instruction that asks for what does not fit, in English, German, Spanish, French, Italian, Japanese."""

_FORM = re.compile(
    r"\A(?:(?:please |only |just )*(?:answer|give|reply|respond|write|output|return|print|state|generate|mark"
    r"|provide|you should|there should be|do not|don['’]t|each \w+ and its)\b"
    r".*\b(?:numbers?|digits?|ind(?:ex|ices)|letters?|commas?|comma-separated|permutations?|explanations?|results)\b"
    r"|do not include\b.*\b(?:answer|output|response|reply)\b"
    r"|(?:antworte|gib|schreib|nenn)\w*\b.*\b(?:nummern?|ziffern?|zahl(?:en)?|komma\w*)\b"
    r"|(?:responde|contesta|escribe|indica|da|devuelve)\b.*\b(?:números?|cifras?|comas?)\b"
    r"|(?:réponds|répondez|donne[sz]?|écri\w+)\b.*\b(?:numéros?|chiffres?|virgules?)\b"
    r"|(?:rispondi|scrivi|indica)\b.*\b(?:numer[oi]|cifr[ae]|virgol[ae])\b"
    r"|[^「『番]*番号[^「『]*?(?:答え|書|出力|示|並べ|返)"
    r"|説明(?:は|や)[^。]*(?:不要|書かないで))",
    re.IGNORECASE,
)
"""A sentence, by its beginning, that says how numbers are written: of no use where none is."""

_ASKS = re.compile(
    r"\b(?:numbers?|ind(?:ex|ices)|letters?) of .{0,200}\b(?:that|which|who|whose|best|most|least)\b"
    r"|\bnummern? de[rs]\b.{0,200}, (?:d(?:as|ie|er|en)|welche[rs]?)\b"
    r"|\b(?:números?|numéros?|numer[oi]) d\w+ .{0,200}\b(?:que|mejor|qui|che|miglior\w*)\b"
    r"|選(?!択肢)|見つけ|並べ替え|順に",
    re.IGNORECASE,
)
"""A sentence that says whose number is asked for, or in what order: the question, or part of it."""

_SENTENCE = re.compile(r"[^\n.!?。！？]*(?:[.!?](?!\s)[^\n.!?。！？]*)*[.!?。！？]?[ \t]*\n*")
_QUOTE = re.compile(r"[\"'“”‘’「」『』«»]")

_GAP = re.compile(r"\n{3,}")

CHOICES = (TaskType.MULTIPLE_CHOICE, TaskType.RANKING, TaskType.RETRIEVAL)
"""Task types whose answers are numbers of what is listed."""


class Unlisted(NamedTuple):
    """A question without its list and what it says of numbers; `texts` are what it listed, in that order.

    `numbers` are theirs, as the grader counts: letters and marks from 0 for options, else from 1. `unfit` is
    true where the question wants the text that does not fit, the least likely one; an order is best first.
    """

    prompt: str
    texts: tuple[str, ...]
    numbers: tuple[int, ...]
    unfit: bool


def unlisted(prompt: str, task_type: TaskType, choices: Sequence[str] | None = None) -> Unlisted | None:
    """The question of one of CHOICES to answer by text; None where it lists no two texts to choose from.

    `choices` are what a row of ours lists; another's question has its list read off its text.
    """
    first = _first_number(task_type)
    found = listed(prompt) if choices is None else own_list(prompt, choices, task_type)
    if len(found.texts) < 2 or not all(found.texts):
        return None
    rest = _GAP.sub("\n\n", found.outside).strip()
    numbers = found.numbers or tuple(range(first, first + len(found.texts)))
    unfit = task_type is not TaskType.RANKING and bool(_UNFIT.search(split(rest)[0]))
    return Unlisted(_without_form(rest), found.texts, numbers, unfit)


def own_list(prompt: str, choices: Sequence[str], task_type: TaskType) -> Listed:
    """The list of a prompt that was worded here, as `{{ listing }}` printed it; none where it did not."""
    first = _first_number(task_type)
    listing = numbered(list(choices), first)
    if not choices or listing not in prompt:
        return Listed((), "", (), prompt)
    before, _, after = prompt.partition(listing)
    numbers = tuple(range(first, first + len(choices)))
    return Listed(numbers, "number", tuple(choices), f"{before}\n{after}")


def _first_number(task_type: TaskType) -> int:
    return 0 if task_type is TaskType.MULTIPLE_CHOICE else 1


def _without_form(text: str) -> str:
    """The text without sentences such as `Answer with the number only.`, but for its first and for quotes.

    Line breaks stay, so that what stands at the beginning of a line (`Answer:`) still does.
    """
    kept: list[str] = []
    for match in _SENTENCE.finditer(text):
        sentence = match[0]
        if not kept or _tells(sentence):
            kept.append(sentence)
        elif sentence.endswith("\n"):
            kept[-1] = kept[-1].rstrip(" \t")
            kept.append(sentence[len(sentence.rstrip("\n")) :])
    return _GAP.sub("\n\n", "".join(kept)).strip()


def _tells(sentence: str) -> bool:
    """Whether a text says anything but how to write numbers."""
    return bool(_QUOTE.search(sentence) or not _FORM.match(sentence.lstrip()) or _ASKS.search(sentence))
