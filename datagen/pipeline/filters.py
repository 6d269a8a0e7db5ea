"""The text filters: checks that read a rendered row's text, each with the reason that it gives.

    empty               nothing is asked or answered
    control_character   a control or text-direction character that a reader cannot see
    special_token       text that imitates a chat template's own tokens
    too_long            more tokens than a training context holds
    wrong_language      the seed text is not in the row's language
    answer_leaked       the prompt prints the answer

All but the last two are regular expressions over whole Arrow columns.
"""

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from datagen.prompts.language import likeliest
from datagen.prompts.token_estimate import estimated_tokens
from datagen.schema import LANGUAGES, TaskType
from datagen.tasks.question import one_line

CONTROL = (
    r"[\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{202a}-\x{202e}\x{2066}-\x{2069}\x{feff}\x{fffd}\x{fff9}-\x{fffb}]"
)
"""C0 and C1 controls, bidirectional overrides, byte order marks, and the sign of a decoding error."""

SPECIAL = (
    r"(?i)<\|[\w ]{1,40}\|>|<｜[^｜]{1,40}｜>|\[/?INST\]|<</?SYS>>|</?s>"
    r"|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>"
)
"""Turn and control tokens of the chat templates in use (ChatML, Llama, Mistral, Gemma, DeepSeek)."""

JAPANESE = r"[\p{Hiragana}\p{Katakana}\p{Han}]"
OTHER_SCRIPT = (
    r"[\p{Hiragana}\p{Katakana}\p{Han}\p{Hangul}\p{Cyrillic}\p{Arabic}\p{Hebrew}\p{Thai}\p{Greek}"
    r"\p{Devanagari}]"
)
LOOKS_OTHER = (
    r"(?i)[ñáéíóúü¿¡äößàâçèêëîïôûùœìò]|\b(?:de|para|con|del|los|las|el|y|sin|por"
    r"|und|mit|für|aus|der|die|das|von|et|avec|pour|les?|la|des|du|en|per|di|da|il|e)\W"
)
"""What English texts hardly have. The language model costs 50 microseconds a row, so it is asked only where
this disagrees with the row."""

DETECT_READS = 80
"""Characters of a text that the language model reads."""

DETECT_CHARACTERS = 30
DETECT_SCORE = 0.8
"""Shorter or less certain verdicts of the language model are guesses on product names."""

ENGLISH_SCORE = 0.6
"""English is told from this on: names of products, which it is sold by elsewhere, make it less certain."""


def _too_long(texts: pa.Array, max_tokens: int) -> pa.Array:
    """Which texts have more than `max_tokens`. A text has no more tokens than bytes, so few are counted."""
    long = pc.greater(pc.binary_length(texts), max_tokens).to_pylist()
    for position in [position for position, doubtful in enumerate(long) if doubtful]:
        long[position] = estimated_tokens(texts[position].as_py()) > max_tokens
    return pa.array(long, pa.bool_())


def reasons(
    prompts: pa.Array,
    answers: pa.Array,
    seed_texts: pa.Array,
    languages: pa.Array,
    *,
    max_tokens: int,
    language: bool,
) -> list[str | None]:
    """For each row the first reason to leave it out, or None. `seed_texts` is what it took from its seeds."""
    whole = pc.binary_join_element_wise(prompts, answers, "\n")
    either = pc.match_substring_regex(whole, f"{CONTROL}|{SPECIAL}")  # costs as much as one of the two
    checks: list[tuple[str, Any]] = [
        ("empty", pc.or_(_blank(prompts), _blank(answers))),
        ("control_character", pc.match_substring_regex(pc.if_else(either, whole, ""), CONTROL)),
        ("special_token", either),
        ("too_long", _too_long(whole, max_tokens)),
    ]
    if language:
        written = pc.if_else(pc.equal(languages, "ja"), seed_texts, answers)  # a title behind a long text
        wrong = [_wrong_language(texts, languages) for texts in (seed_texts, written)]
        checks.append(("wrong_language", pc.or_(*wrong)))
    found: list[str | None] = [None] * len(prompts)
    for reason, mask in reversed(checks):
        for position in pc.indices_nonzero(mask).to_pylist():
            found[position] = reason
    return found


def _blank(texts: pa.Array) -> pa.Array:
    return pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0)


def _wrong_language(texts: pa.Array, languages: pa.Array) -> pa.Array:
    japanese = pc.equal(languages, "ja")
    foreign = pc.if_else(pc.string_is_ascii(texts), "", texts)  # all that can hold another script
    looks_other = pc.match_substring_regex(pc.utf8_slice_codeunits(texts, 0, DETECT_READS), LOOKS_OTHER)
    doubtful = pc.and_(
        pc.invert(japanese),
        pc.or_(
            pc.match_substring_regex(foreign, OTHER_SCRIPT), pc.equal(looks_other, pc.equal(languages, "en"))
        ),
    )
    wrong = pc.and_(japanese, pc.invert(pc.match_substring_regex(foreign, JAPANESE))).to_pylist()
    for position in pc.indices_nonzero(doubtful).to_pylist():
        text = texts[position].as_py()
        wrong[position] = _other_script(text) or _other_language(text, languages[position].as_py())
    return pa.array(wrong, pa.bool_())


def _other_script(text: str) -> bool:
    """Whether in some line less than half of the letters are Latin: a title among longer options counts."""
    return any(_mostly_other(line) for line in text.split("\n"))


def _mostly_other(line: str) -> bool:
    letters = [character for character in line if character.isalpha()]
    return 2 * sum(character < "\u0250" for character in letters) < len(letters)


def _other_language(text: str, language: str) -> bool:
    """Whether the text is surely in another of the languages that rows have."""
    if len(text) < DETECT_CHARACTERS:
        return False
    found, score = likeliest(text[:DETECT_READS])
    return (
        found != language
        and found in LANGUAGES
        and score >= (ENGLISH_SCORE if found == "en" else DETECT_SCORE)
    )


def leaked(
    task_type: TaskType, metric: str, fields: Sequence[str], candidates: Sequence[str], target: Any
) -> bool:
    """Whether the free slots print the answer where the task type forbids it.

    Multiple choice: they hold the right option and no other. Generation: they hold the reference,
    save under rougel, where the answer is a phrase of the prompt. The other types answer with
    numbers, or with words that the text must hold.
    """
    if task_type is TaskType.MULTIPLE_CHOICE:
        right = candidates[target]
        for text in fields:  # loops, not any(): this runs for every row
            if right in text and _holds(text, right):
                return not any(
                    _holds(every, option) for every in fields for option in candidates if option != right
                )
        return False
    if task_type is TaskType.GENERATION and metric != "rougel":
        phrase = one_line(target) if "\n" in target else target  # slots are one line
        return any(_holds(text, phrase) for text in fields)
    return False


def _holds(text: str, phrase: str) -> bool:
    if phrase not in text:
        return False
    return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", text) is not None
