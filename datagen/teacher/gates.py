"""The gates of what a teacher has worded anew: why it does not ask what was asked before.

Two texts are compared, with marks for all that is locked. What they say of meaning rests on the template's
own wordings: the words that most of these share are what is asked for.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

from rapidfuzz.fuzz import partial_ratio, ratio

from datagen.classify.task_type import classify
from datagen.prompts.instruction import passages
from datagen.prompts.language import likeliest
from datagen.prompts.options import listed
from datagen.schema import TaskType
from datagen.teacher.marks import MARK

GATES = {
    "not_asked": "there was no teacher to ask, and the ledger has no reply",
    "cut": "the reply was cut off by its length",
    "refused": "the teacher refused",
    "empty": "the reply is empty",
    "failed": "there was no reply of the form asked for",
    "marks": "a locked text is lost, doubled or made up",
    "mark_moved": "a locked text has lost the line, the label or the quotes that set it apart",
    "numbers": "a number is lost or made up",
    "quoted": "a quoted word of the question is lost",
    "names": "it names something that the question does not",
    "tells_answer": "it says what the answer is",
    "about_itself": "it talks of its wording",
    "near_copy": "nearly the same as a wording that is there",
    "length": "much shorter or longer than the wordings that are there",
    "language": "it is in another language",
    "meaning": "it lacks what the question is about",
    "from_data": "it takes a word out of the shop's texts",
    "list_broken": "the list is read in another way",
    "misread": "the task type is read in another way",
    "leaked": "it prints the answer",
    "gold": "the gold answer does not score 1.0",
    "not_a_template": "the template language does not allow it",
    "not_rendered": "it cannot be rendered on a real row",
}
"""Every reason for which a new wording is left out, with a sentence that explains it."""

NEAR = 0.9
"""Similarity from which two wordings are one."""

SHARED, FEWEST = 0.85, 4
"""Share of the wordings, of so many at least, that a word stands in which all of them mean."""

FORMAL = frozenset(
    (
        *(
            "answe",
            "outpu",
            "reply",
            "respo",
            "give",
            "write",
            "which",
            "what",
            "that",
            "this",
            "these",
            "with",
        ),
        *(
            "from",
            "them",
            "than",
            "only",
            "your",
            "antwo",
            "ausga",
            "welch",
            "diese",
            "respu",
            "salid",
            "cuál",
        ),
        *("escri", "este", "estos", "répon", "sorti", "quel", "quell", "cette", "rispo", "quale", "quest"),
        *("答", "出力", "書", "次"),
    )
)
"""Stems of words that are of any prompt, so that none has to have them."""

KEPT = 0.3
"""Share of a wording's words that its new wording keeps, beside such words."""

KNOWN = 0.5
"""Share of a new wording's words that its template knows in some wording."""

SHORTEST, LONGEST = 0.4, 2.0
"""Characters of a new wording, as shares of the shortest and the longest that are there."""

STEM = 5
"""Letters by which words are compared: `product` and `products` are one."""

WHOLE, WITHIN = 40, 0.95
"""Characters of a text that may count as copied into another one, and how like it that has to be."""

LINE = 30
"""Characters of a line whose language is told."""

SURE = 0.5
"""Score from which the detector of languages is believed."""

_QUOTES = "\"'“”‘’«»「」『』„"
_NUMBERS = {
    word: number
    for words in (
        "zero two three four five six seven eight nine ten",
        "null zwei drei vier fünf sechs sieben acht neun zehn",
        "cero dos tres cuatro cinco seis siete ocho nueve diez",
        "zéro deux trois quatre cinq six sept huit neuf dix",
        "zero due tre quattro cinque sei sette otto nove dieci",
        "〇 二 三 四 五 六 七 八 九 十",
    )
    for number, word in zip((0, *range(2, 11)), words.split(), strict=True)
    if word not in ("null", "sei")  # words of their own, too
}
_PLACES = re.compile(
    r"\b(?:first|second|third|fourth|fifth|last|top|bottom|middle|erste\w*|zweite\w*|dritte\w*|letzte\w*"
    r"|primer[oa]?|segund[oa]|tercer[oa]?|[uú]ltim[oa]|premi[eè]re?|deuxi[eè]me|troisi[eè]me|derni[eè]re?"
    r"|prim[oa]|second[oa]|terz[oa])\b|最初|最後|先頭|[一二三四五]番目",
    re.IGNORECASE,
)
_TELLS = re.compile(
    r"\b(?:answer|response|option|choice|one|it|product) (?:is|must be|should be|has to be|:)"
    r" (?:right|correct|the (?:right|correct|answer))"
    r"|\b(?:correct|right|best) (?:answer|option|choice|one|product)s? (?:is|are|must|should be)\b"
    r"|\b(?:the )?answer is\b|\bis (?:correct|the (?:correct|right) (?:one|answer|option))\b"
    r"|\balways (?:answer|choose|say|pick|reply)\b|\b(?:antwort|lösung) ist\b|\brespuesta (?:correcta )?es\b"
    r"|\br[eé]ponse (?:correcte )?est\b|\brisposta (?:corretta )?[eè]\b"
    r"|(?:答え|正解|回答)は[^。\n]{0,20}です",
    re.IGNORECASE,
)
_ITSELF = re.compile(
    r"\b(?:re-?word|re-?phras|re-?writ|paraphras|wordings?\b|placeholder|json\b|in other words|as an ai"
    r"|instruction|marks?\b|prompt\b|here(?:'s| is| are)\b|sure\b|certainly\b|of course\b|thank|sorry\b"
    r"|umformulier|reformul)"
    r"|言い換え|書き換え|プレースホルダ",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+")
_JAPANESE = re.compile(r"[\u4e00-\u9fff々]+|[\u30a1-\u30ffー]+")
_CAPITAL = re.compile(r"[^\W_][,;]? ([A-ZÀ-Þ][\w-]*)")
_BARE_LABEL = re.compile(r"^[ \t]*(\w[\w ]{0,30})[:：][ \t]*$", re.MULTILINE)
_FULL_LABEL = re.compile(r"^[ \t]*(\w[\w ]{0,30})[:：][ \t]*[^\s\[]", re.MULTILINE)
_LINE_BREAK = re.compile(r"[\r\x0b\x0c\x85\u2028\u2029]")


def words_problem(new: str, old: str, wordings: Sequence[str], language: str) -> str | None:
    """Why `new` cannot stand for `old`, both with marks; None where it can.

    `wordings` are all that the template has in this language, `old` among them.
    """
    if not MARK.sub("", new).strip():
        return "empty"
    if _marks(new) != _marks(old) or _has_other_marks(new) or _LINE_BREAK.search(new):
        return "marks"
    if not _set_apart(old) <= _set_apart(new):
        return "mark_moved"
    if _numbers(new) != _numbers(old) or not _found(_PLACES, new) <= _found(_PLACES, "\n".join(wordings)):
        return "numbers"
    if not set(_quoted(old)) <= set(_quoted(new)):
        return "quoted"
    if (_TELLS.search(new) and not _TELLS.search(old)) or _fills_a_label(new, wordings):
        return "tells_answer"
    if not _found(_ITSELF, new) <= _found(_ITSELF, "\n".join(wordings)):
        return "about_itself"
    if language != "de" and not _names(new) <= _plain_words(wordings):
        return "names"
    if any(_is_near(_folded(new), _folded(other)) for other in (old, *wordings)):
        return "near_copy"
    lengths = [len(_folded(other)) for other in wordings]
    if not SHORTEST * min(lengths) <= len(_folded(new)) <= LONGEST * max(lengths):
        return "length"
    if _is_foreign(new, old, wordings, language):
        return "language"
    if not _means_the_same(new, old, wordings):
        return "meaning"
    return None


def row_problem(new: str, old: str, kind: TaskType) -> str | None:
    """Why a whole prompt is not read as the one that it stands for; None where it is."""
    was, now = listed(old), listed(new)
    if (was.texts, was.numbers, was.marks) != (now.texts, now.numbers, now.marks):
        return "list_broken"
    for told in {None, kind is TaskType.MULTIPLE_CHOICE}:
        before, after = classify(old, told), classify(new, told)
        if before.task_type is kind:
            if after.task_type is not kind or after.numbers != before.numbers:
                return "misread"
            if after.text != before.text:  # what entities are cited from
                return "misread"
    return None


def from_data(new: str, values: Iterable[str], known: Iterable[str]) -> bool:
    """Whether a prompt has a word of the shop's texts that no wording has, as what obeys them does."""
    own = _stems(_words(MARK.sub(" ", new)))
    data = _stems(word for value in values for word in _words(value))
    return bool(own & data - FORMAL - _stems(word for text in known for word in _words(text)))


def own_words(text: str) -> str:
    """A text with marks without them, folded."""
    return _folded(MARK.sub(" ", text))


def holds(own: str, text: str) -> bool:
    """Whether folded words hold a text."""
    return bool(_folded(text)) and f" {_folded(text)} " in f" {own} "


def _means_the_same(new: str, old: str, wordings: Sequence[str]) -> bool:
    words = _stems(_words(MARK.sub(" ", new)))
    if not words:
        return False
    asked = _stems(_words(MARK.sub(" ", old))) - FORMAL
    if len(words & asked) < KEPT * len(asked):
        return False
    counts, known = _vocabulary(tuple(wordings))
    if len(wordings) >= FEWEST:
        core = {word for word, count in counts if count >= SHARED * len(wordings)} - FORMAL
        if not core <= words:
            return False
    own = words - FORMAL
    return len(own & known) >= KNOWN * len(own)


@cache
def _vocabulary(wordings: tuple[str, ...]) -> tuple[tuple[tuple[str, int], ...], frozenset[str]]:
    """In how many wordings each word stands, and all words."""
    counts: Counter[str] = Counter()
    for text in wordings:
        counts.update(_stems(_words(MARK.sub(" ", text))))
    return tuple(sorted(counts.items())), frozenset(counts)


def _words(text: str) -> list[str]:
    """Words of four letters or more; in Japanese runs of kanji or katakana."""
    text = unicodedata.normalize("NFKC", text).lower()
    return [word for word in _WORD.findall(text) if len(word) > 3 and word < "\u3000"] + _JAPANESE.findall(
        text
    )


def _stems(words: Iterable[str]) -> set[str]:
    return {word[:STEM] for word in words}


def _marks(text: str) -> Counter[str]:
    return Counter(MARK.findall(text))


def _has_other_marks(text: str) -> bool:
    rest = MARK.sub("", text)
    return any(sign in rest for sign in ("[", "]", "{", "}", "<|", "\x02", "\x03", "\t"))


def _set_apart(text: str) -> set[tuple[str, str]]:
    """Marks that stand on lines of their own, or behind a label or within quotes up to their ends."""
    found = set()
    for line in text.split("\n"):
        for mark in MARK.finditer(line):
            before, after = line[: mark.start()].strip(), line[mark.end() :].strip()
            if not before and not after:
                found |= {(mark[1], "line"), (mark[1], "apart")}
            elif (before[-1:] in _QUOTES and after[:1] in _QUOTES and before and after) or (
                before[-1:] in (":", "：") and not after
            ):
                found.add((mark[1], "apart"))
    return found


def _numbers(text: str) -> set[int]:
    plain = unicodedata.normalize("NFKC", MARK.sub(" ", text)).lower()
    words = (_NUMBERS[word] for word in _WORD.findall(plain) if word in _NUMBERS)
    kanji = (_NUMBERS[sign] for sign in plain if sign in "二三四五六七八九十")
    return {*map(int, re.findall(r"\d{1,9}", plain)), *words, *kanji}


def _found(pattern: re.Pattern[str], text: str) -> set[str]:
    return {found.lower() for found in pattern.findall(text)}


def _quoted(text: str) -> list[str]:
    return [quote.strip() for quote in passages(text)[1] if not MARK.search(quote) and len(quote) < 40]


def _names(text: str) -> set[str]:
    """Words with a capital within a sentence, and single letters that are none of the language's words."""
    return {
        name.lower() for name in _CAPITAL.findall(MARK.sub("x", text)) if name not in ("I", "A", "O", "E")
    }


def _plain_words(wordings: Iterable[str]) -> set[str]:
    return {word.lower() for text in wordings for word in re.findall(r"[\w-]+", text)}


def _folded(text: str) -> str:
    return " ".join(re.findall(r"\w+|\[\[\d+\]\]", text.lower()))


def _is_near(new: str, other: str) -> bool:
    """Whether two texts are nearly the same, or one is the other with something before or behind it."""
    if ratio(new, other) >= NEAR * 100:
        return True
    return min(len(new), len(other)) > WHOLE and partial_ratio(new, other) >= WITHIN * 100


def _fills_a_label(new: str, wordings: Iterable[str]) -> bool:
    """Whether something stands behind a label, such as `Answer:`, that is bare in another wording."""
    bare = {label.casefold() for text in wordings for label in _BARE_LABEL.findall(text)}
    return any(label.casefold() in bare for label in _FULL_LABEL.findall(new))


def _is_foreign(new: str, old: str, wordings: Sequence[str], language: str) -> bool:
    """Whether the new text or a line of it is in another language than the old one."""
    if language == "ja":
        latin = {word.lower() for word in re.findall("[A-Za-z]{3,}", MARK.sub(" ", new))}
        return _language(new) != "ja" or not latin <= _plain_words(wordings)
    was = _language(old)
    lines = (line for line in new.split("\n") if len(MARK.sub("", line)) > LINE)
    return any(_language(text) not in ("", was) for text in (new, *lines))


def _language(text: str) -> str:
    """The language of a prompt's own words; empty where the detector is not sure."""
    plain = " ".join(MARK.sub(" ", text).split())
    if re.search("[\u3040-\u30ff]", plain):
        return "ja"
    found, score = likeliest(plain[:300])
    return found if score >= SURE else ""
