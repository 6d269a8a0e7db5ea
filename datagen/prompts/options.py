"""The list of options or candidates in a prompt: its numbers, its texts, and the text around it.

Items are numbered (`0. `, `1) `, `(2) `, `Option 3: `), lettered (`A. `, `b) `), or only marked (`- `, or
lines below `Options:`).
"""

import itertools
import re
from dataclasses import dataclass

_MARK = r"[(\[【]?({})[.):：、．\]】](?!\d)[ \t]*(?=\S)"
_BEFORE = (
    r"(?:^|(?<=[:：]\s){})[ \t]*"
    r"(?i:(?:option|choice|candidate|kandidat|opci[oó]n|candidato?|choix|opzione|選択肢|候補)[ \t]*)?"
)
_NUMBER = re.compile(_BEFORE.format("|(?<=[:：])") + _MARK.format("[0-9０-９]{1,2}"), re.MULTILINE)
_LETTER = re.compile(_BEFORE.format("") + _MARK.format(r"[A-J]|[a-j](?=\))"), re.MULTILINE)
_NUMBER_WITHIN = re.compile(rf"(?<=\s){_MARK.format('[0-9０-９]')}")
_LETTER_WITHIN = re.compile(r"(?<=\s)\(?([A-J])\)[ \t]*(?=\S)")
_BULLET = re.compile(r"^[ \t]*[-*•‣・][ \t]+(?=\S)", re.MULTILINE)
_OPENING = re.compile(
    r"^[^\n]*\b(?:options|choices|candidates|list|optionen|auswahl|opciones|lista|choix|liste|opzioni|elenco"
    r"|選択肢|候補)[^\n]{0,30}[:：][ \t]*\n",
    re.IGNORECASE | re.MULTILINE,
)
_PROMPT_END = re.compile(r"^[ \t]*\w+(?: \([^)\n]*\))?[ \t]*[:：][ \t]*$")


@dataclass(frozen=True, slots=True)
class Listed:
    """What a prompt lists.

    `numbers` are the printed ones, empty where items have letters or marks. `marks` is what items
    begin with: `number`, `letter`, `line`, or empty where nothing is listed. `texts` are the items
    without their marks, `outside` is the rest of the prompt.
    """

    numbers: tuple[int, ...]
    marks: str
    texts: tuple[str, ...]
    outside: str


def listed(prompt: str) -> Listed:
    """The options or candidates of a prompt. Of several lists it is the last from 0, else the longest."""
    for pattern, marks, fewest in (
        (_NUMBER, "number", 2),
        (_LETTER, "letter", 2),
        (_NUMBER_WITHIN, "number", 3),
        (_LETTER_WITHIN, "letter", 3),
    ):
        found = {match.start(): match for match in pattern.finditer(prompt)}
        chain = _longest_chain([(place, _value(match[1])) for place, match in found.items()])
        if len(chain) >= fewest:
            numbers = tuple(number for _, number in chain) if marks == "number" else ()
            return _cut(prompt, [found[place] for place, _ in chain], marks, numbers)
    bullets = list(_BULLET.finditer(prompt))
    if len(bullets) > 1:
        return _cut(prompt, bullets, "line", ())
    if opening := _OPENING.search(prompt):
        lines = list(itertools.takewhile(_is_item, prompt[opening.end() :].split("\n")))
        if len(lines) > 1:
            rest = prompt[opening.end() + len("\n".join(lines)) :]
            texts = tuple(line.strip() for line in lines)
            return Listed((), "line", texts, prompt[: opening.end()] + rest)
    return Listed((), "", (), prompt)


def _value(mark: str) -> int:
    return int(mark) if mark.isdecimal() else ord(mark.upper()) - ord("A")


def _longest_chain(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The run of places whose numbers count up from 0 or 1: the last from 0, else the longest.

    Reviews and actions are numbered too, but options come after what they are about. One number
    between two may lack; what else does not count up is of an item's own text.
    """
    last = {number: step for step, (_, number) in enumerate(found)}
    chains = [_counting_up(found, start, last) for start, (_, number) in enumerate(found) if number <= 1]
    chains = [chain for chain in chains if len(chain) > 1]
    from_zero = [chain for chain in chains if chain[0][1] == 0]
    return from_zero[-1] if from_zero else max(reversed(chains), key=len, default=[])


def _counting_up(found: list[tuple[int, int]], start: int, last: dict[int, int]) -> list[tuple[int, int]]:
    """The run that begins at `start`; `last` tells where each number stands last."""
    chain = [found[start]]
    for step in range(start + 1, len(found)):
        _, number = found[step]
        if number == chain[0][1]:
            break  # another list begins
        ahead = number - chain[-1][1]
        if ahead == 1 or (ahead == 2 and last.get(number - 1, -1) < step):
            chain.append(found[step])
    return chain


def _cut(prompt: str, marks: list[re.Match[str]], kind: str, numbers: tuple[int, ...]) -> Listed:
    """The list whose items these marks begin, and which ends with the line of the last."""
    first, last = marks[0].start(), marks[-1]
    end = prompt.find("\n", last.start() + 1)
    end = len(prompt) if end < 0 else end
    ends = [*(mark.start() for mark in marks[1:]), end]
    texts = tuple(prompt[mark.end() : stop].strip() for mark, stop in zip(marks, ends, strict=True))
    return Listed(numbers, kind, texts, prompt[:first] + "\n" + prompt[end:])


def _is_item(line: str) -> bool:
    return bool(line.strip()) and not _PROMPT_END.match(line)
