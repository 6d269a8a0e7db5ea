"""The marks that stand for locked texts while a teacher words a prompt anew: `[[1]]`, `[[2]]`.

Equal texts have one mark. A prompt between the two is a `Marked` text.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

MARK = re.compile(r"\[\[(\d{1,3})\]\]")

_JINJA = re.compile(r"\{\{(?:(?!\{\{).)*?\}\}|\{%(?:(?!\{%).)*?%\}|\{#(?:(?!\{#).)*?#\}", re.DOTALL)
_STATEMENT = re.compile(r"\{%[-+]?\s*(\w+)")


class Marked(NamedTuple):
    """A prompt whose locked texts are marks, and these texts, that of `[[1]]` first."""

    text: str
    locked: tuple[str, ...]

    def filled(self, text: str) -> str:
        """Another text with the locked texts in the places of their marks; marks of no text stay."""
        texts = {f"[[{number}]]": locked for number, locked in enumerate(self.locked, 1)}
        return MARK.sub(lambda mark: texts.get(mark[0], mark[0]), text)


def of_pieces(pieces: Sequence[str]) -> Marked | None:
    """A prompt given as words and locked texts in turns; None where its own words hold such marks."""
    if any("[[" in words or "]]" in words for words in pieces[::2]):
        return None
    numbers: dict[str, int] = {}
    parts = [
        f"[[{numbers.setdefault(piece, len(numbers) + 1)}]]" if place % 2 and piece else piece
        for place, piece in enumerate(pieces)
    ]
    return Marked("".join(parts), tuple(numbers))


def of_wording(text: str) -> Marked | None:
    """A template's wording with its Jinja locked: each slot, and each block as a whole."""
    pieces, start, opened, depth = [], 0, 0, 0
    for found in _JINJA.finditer(text):
        statement = _STATEMENT.match(found[0])
        name = statement[1] if statement else ""
        if not depth:
            pieces.append(text[start : found.start()])
            opened = found.start()
        depth += (name in ("if", "for")) - (name in ("endif", "endfor"))
        if not depth:
            pieces.append(text[opened : found.end()])
            start = found.end()
    return of_pieces([*pieces, text[start:]])
