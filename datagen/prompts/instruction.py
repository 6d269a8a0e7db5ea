"""The instruction of a prompt, told apart from the texts that it is about.

Such texts stand in quotes, or on lines such as `Query: blue shoes`. They are set aside because a shop's own
text may say anything.
"""

import re

_WITHIN = r"((?:[^\n{0}]{{0,2000}}+{0}(?=[^\W_])){{0,50}}+[^\n{0}]{{0,2000}}+)"
"""What stands in quotes that end with this mark, which is an apostrophe before a letter."""

_QUOTED = re.compile(
    rf"""(?<![^\W_])(?:'{_WITHIN.format("'")}'|"{_WITHIN.format('"')}"|‘{_WITHIN.format("’")}’)(?![^\W_])"""
    r"|“([^\n”]{0,2000}+)”|«([^\n»]{0,2000}+)»|「([^\n」]{0,2000}+)」|『([^\n』]{0,2000}+)』"
)
"""Quotes of one line, of bounded length: a thousand marks that open and never close cost no minute."""

_LABELLED = re.compile(
    r"^[ \t]*(?P<label>[^\W\d_][\w /-]{0,30}?)[ ]?[:：][ \t]*(?P<text>\S[^\n]*)$", re.MULTILINE
)
_INSTRUCTS = re.compile(
    r"instructions?|tasks?|questions?|answer|output|anweisung|aufgabe|frage|antwort|ausgabe|instrucci[oó]n|tarea"
    r"|pregunta|respuesta|salida|consigne|t[aâ]che|r[eé]ponse|sortie|istruzion[ei]|compito|domanda|risposta"
    r"|指示|質問|出力|答え|回答",
    re.IGNORECASE,
)
"""Labels of lines that are of the instruction."""

_INPUT = re.compile(r"inputs?|eingabe|entrada|entr[eé]e|入力", re.IGNORECASE)
"""Labels of lines that are data, or the instruction where there is no other: `Input: Explain the Handbag`."""

_BARE_LABEL = re.compile(r"^[ \t]*+\w*+[ \t]*+[:：]?+[ \t]*+$", re.MULTILINE)
"""Possessive, as a line of blanks would otherwise be shared out between the three in every way."""


_SECOND = re.compile(r"[.!?]\s+(?=\S)|[。！？]\s*(?=\S)|(?<=[^\W\dA-ZÀ-Þ_])[ \t]+(?=[A-ZÀ-Þ][^\W\dA-ZÀ-Þ_])")
"""Where a sentence ends, or a capital begins one without such a sign: `blue shoes Rank the products`."""


def split(outside: str) -> tuple[str, list[str]]:
    """The instruction, and the texts that it is about."""
    data: list[str] = []

    def line(match: re.Match[str]) -> str:
        if _INSTRUCTS.fullmatch(match["label"]):
            return match[0]
        data.append(match["text"])
        return ""

    def quote(match: re.Match[str]) -> str:
        text = next(filter(None, match.groups()), "")
        if len(text) <= 24 and len(text.split()) <= 2:
            return match[0]  # a name in the instruction: entity type 'product type'
        data.append(text)
        return " "

    said = _LABELLED.sub(line, outside)
    if not _BARE_LABEL.sub("", said).strip():
        inputs = [match["text"] for match in _LABELLED.finditer(outside) if _INPUT.fullmatch(match["label"])]
        named = set(inputs)
        data = [text for text in data if text not in named]
        said = "\n".join([*inputs, said])
        if not inputs:  # all on one line: `Query: blue shoes. Rank the products`
            said = "\n".join([*map(second, data), said])
    return _QUOTED.sub(quote, said), data


def second(text: str) -> str:
    """What stands behind the first sentence, or behind what looks like one; empty where nothing does."""
    end = _SECOND.search(text)
    return text[end.end() :] if end else ""


def passages(prompt: str) -> tuple[list[str], list[str]]:
    """What stands behind labels (`Query: blue shoes`), and what stands in quotes."""
    labelled = [match["text"].strip() for match in _LABELLED.finditer(prompt)]
    quoted = [next(filter(None, match.groups()), "") for match in _QUOTED.finditer(prompt)]
    return labelled, quoted
