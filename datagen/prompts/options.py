"""The list of options or candidates in a prompt: its numbers, its texts, and the text around it.

Items are numbered (`0. `, `1) `, `(2) `, `Option 3: `), lettered (`A. `, `b) `), or only marked (`- `, or
lines below `Options:`).
"""

import itertools
import re
import unicodedata
from dataclasses import dataclass

_WORD = r"(?i:(?:option|choice|candidate|kandidat|opci[oó]n|candidato?|choix|opzione|選択肢|候補)[ \t]*)"
_CLOSING = r"[.):：、．）\]】](?!\d)"
_MARK = rf"[(\[【（]?({{}}){_CLOSING}[ \t]*(?=\S)"
_BEFORE = rf"(?:^|(?<=[:：]\s){{}})[ \t]*{_WORD}?"
_LINE_MARK = rf"[(\[【（]?({{}})(?:{_CLOSING}|[ \t]+[-–—=][ \t])[ \t]*(?=\S)"
_WITHIN = rf"(?:^|(?<=[\s|;/])){_MARK}"
_BRACKETED = r"(?:^|(?<=[\s|;/]))[(\[【（]({})[)\]】）][ \t]*(?=\S)"
_NAMED = rf"(?:^|(?<=[\s|;/])){_WORD}({{}})[ \t]*[-–—=.):：、．）][ \t]*(?=\S)"

_DIGITS = "[0-9０-９]{1,2}"
_LETTERS = "[A-JＡ-Ｊ]"
_SMALL_LETTERS = "[a-j]"
_KANA = "[アイウエオカキクケコ]"
_KANAS = _KANA.strip("[]")
_ROMANS = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_ROMAN = "(?i:i{1,3}|iv|vi{0,3}|ix|x)"


def _marks(form: str, mark: str, before: str = "") -> re.Pattern[str]:
    return re.compile(before + form.format(mark), re.MULTILINE)


_FORMS = (
    (_marks(_LINE_MARK, _DIGITS, _BEFORE.format("|(?<=[:：])")), "number", 2),
    (_marks(_LINE_MARK, _LETTERS, _BEFORE.format("")), "letter", 2),
    (_marks(_LINE_MARK, _SMALL_LETTERS, _BEFORE.format("")), "letter", 2),
    (_marks(_LINE_MARK, _KANA, _BEFORE.format("")), "letter", 2),
    (_marks(_LINE_MARK, _ROMAN, _BEFORE.format("")), "roman", 2),
    (_marks(_NAMED, _DIGITS), "number", 2),
    (_marks(_NAMED, rf"{_LETTERS}|{_SMALL_LETTERS}"), "letter", 2),
    (_marks(r"(?:^|(?<=[\s:：、。？]))({})[ \t]*(?=\S)", "[①-⑳]"), "number", 2),
    (_marks(_BRACKETED, _DIGITS), "number", 2),
    (_marks(_BRACKETED, _LETTERS), "letter", 2),
    (_marks(_WITHIN, _DIGITS), "number", 3),
    (_marks(_WITHIN, _LETTERS), "letter", 3),
    (_marks(_WITHIN, _SMALL_LETTERS), "letter", 3),
    (_marks(_WITHIN, _KANA), "letter", 3),
    (_marks(_WITHIN, _ROMAN), "roman", 3),
)
"""How items begin, what by, and how many there have to be: on lines of their own first, then within one."""

_BULLET = re.compile(r"^[ \t]*(?:[-*–—→✓‣►▶▪▫◦][ \t]+|[•・●○■□◆◇][ \t]*)(?=\S)", re.MULTILINE)
_OPTIONS = r"options|choices|candidates|optionen|auswahl|opciones|choix|opzioni|選択肢|候補"
_OPENING = re.compile(
    rf"^[^\n]*\b(?:(?P<options>{_OPTIONS})|list|lista|liste|elenco)[^\n]{{0,30}}[:：][ \t]*\n",
    re.IGNORECASE | re.MULTILINE,
)
_OPENING_OF_LINE = re.compile(rf"(?<!\w)(?:{_OPTIONS})(?: \([^()\n]{{0,40}}\))?[ \t]*[:：]", re.IGNORECASE)
_BETWEEN = re.compile("[;|；]")
_PROMPT_END = re.compile(r"^[ \t]*\w+(?: \([^)\n]*\))?[ \t]*[:：][ \t]*$")


@dataclass(frozen=True, slots=True)
class Listed:
    """What a prompt lists.

    `numbers` are the printed ones, empty where items have letters or marks. `marks` is what items
    begin with: `number`, `letter` (Roman ones, too), `line`, `option` for what stands behind the word
    `Options:` without marks, or empty where nothing is listed. `texts` are the items
    without their marks, `outside` is the rest of the prompt.
    """

    numbers: tuple[int, ...]
    marks: str
    texts: tuple[str, ...]
    outside: str


def listed(prompt: str) -> Listed:
    """The options or candidates of a prompt. Of several lists it is the last from 0, else the longest."""
    for pattern, marks, fewest in _FORMS:
        found = {match.start(): match for match in pattern.finditer(prompt)}
        chain = _longest_chain([(place, _value(match[1], marks)) for place, match in found.items()])
        if len(chain) >= fewest or (len(chain) == 2 and _asked_before(prompt, chain[0][0])):
            numbers = tuple(number for _, number in chain) if marks == "number" else ()
            kind = "letter" if marks == "roman" else marks
            return _cut(prompt, [found[place] for place, _ in chain], kind, numbers)
    bullets = list(_BULLET.finditer(prompt))
    if len(bullets) > 1:
        return _cut(prompt, bullets, "line", ())
    if opening := _OPENING.search(prompt):
        lines = list(itertools.takewhile(_is_item, prompt[opening.end() :].split("\n")))
        if len(lines) > 1:
            rest = prompt[opening.end() + len("\n".join(lines)) :]
            texts = tuple(line.strip() for line in lines)
            marks = "option" if opening["options"] else "line"
            return Listed((), marks, texts, prompt[: opening.end()] + rest)
    return _in_a_line(prompt) or Listed((), "", (), prompt)


def _in_a_line(prompt: str) -> Listed | None:
    """What a line lists behind the word `Options:`, parted by `;` or `|`."""
    start = 0
    for line in prompt.split("\n"):
        end = start + len(line)
        opening = _OPENING_OF_LINE.search(line) if _BETWEEN.search(line) else None
        if opening:
            texts = tuple(filter(None, map(str.strip, _BETWEEN.split(line[opening.end() :]))))
            if len(texts) > 1:
                return Listed((), "option", texts, prompt[: start + opening.start()] + prompt[end:])
        start = end + 1
    return None


def _asked_before(prompt: str, place: int) -> bool:
    """Whether a question ends there: two items on its line are options, too."""
    return prompt[:place].rstrip()[-1:] in ("?", "？")


def _value(mark: str, marks: str) -> int:
    mark = unicodedata.normalize("NFKC", mark)
    if marks == "roman":
        return _ROMANS.index(mark.lower())
    if mark in _KANAS:
        return _KANAS.index(mark)
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
    texts = tuple(
        prompt[mark.end() : stop].strip().rstrip("|;；").rstrip()
        for mark, stop in zip(marks, ends, strict=True)
    )
    return Listed(numbers, kind, texts, prompt[:first] + "\n" + prompt[end:])


def _is_item(line: str) -> bool:
    return bool(line.strip()) and not _PROMPT_END.match(line)
