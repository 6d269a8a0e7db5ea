"""The preparation of questions for the engine; what had to be changed in one is noted.

A prompt is data. Text that looks like one of the tokenizer's special tokens is spelled apart, so that it
cannot end a turn. What a text file cannot hold becomes `?`. A prompt that is too long loses its middle,
since the instruction stands at its beginning or its end.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from datagen.classify.task_type import Guess, classify
from datagen.errors import UserError
from datagen.prompts.chat import prompt_ids, special_tokens
from datagen.prompts.cloze import CHOICES, unlisted
from datagen.schema import TaskType
from infer.serve.constraints import constraint, finished, kind, stops, unconstrained
from infer.serve.engine import Request
from infer.serve.loglikelihood import LONGEST, MOST, Weighed, weighed

UNKNOWN = Guess(TaskType.GENERATION, (), "", "en")
"""The guess where a prompt could not be read."""

LEFT_OUT = "\n...\n"

_READ = 2**15
"""Characters at a prompt's ends that rules read, more than a context holds: a megabyte may take minutes."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A question as it is asked: by a `request`, or by what is `weighed`.

    Without both it can't be asked at all; `problem` says why. Beside one of them it says what was changed:
    `prompt_cut`, `option_cut` or `characters_replaced`.
    """

    guess: Guess
    request: Request | None = None
    weighed: Weighed | None = None
    problem: str | None = None

    @property
    def constraint(self) -> str:
        """The kind of its constraint, empty where it is not asked."""
        return "text" if self.weighed else kind(self.request.constraint) if self.request else ""

    def finished(self, text: str) -> str:
        """The answer within a decoded text."""
        return finished(self.guess, text)


def guessed(prompt: str, is_multiple_choice: bool | None) -> Guess:
    """The guess for any prompt; UNKNOWN, with the problem, where it cannot be read.

    Raises UserError where a package is missing.
    """
    try:
        return classify(_read(printable(prompt)), is_multiple_choice)
    except ImportError as error:  # of all prompts, which would silently be taken for generation
        raise UserError(f"{error.name} is not installed. Run: pip install -e .") from error
    except Exception as error:  # one prompt never takes the others with it; it still gets an answer
        return replace(UNKNOWN, problem=" ".join(f"{type(error).__name__}: {error}".split())[:200])


def prepare(
    tokenizer: Any,
    prompt: str,
    guess: Guess,
    context: int,
    constrained: bool = True,
    choose: str = "number",
) -> Prepared:
    """How a prompt is asked, within `context` tokens of prompt and answer.

    `choose` is how options are chosen, by `number` or by `text`; it is by number without a list to read,
    or with one of more than MOST.
    """
    text = printable(prompt)
    if not text.strip():
        return Prepared(guess, problem="empty_prompt")
    by_text = choose == "text" and constrained and guess.task_type in CHOICES
    problem = None if text == prompt else "characters_replaced"
    try:
        asked = unlisted(_read(text), guess.task_type) if by_text else None
        if asked and len(asked.texts) <= MOST:
            most = min(LONGEST, context // 2)
            options = [
                tokenizer.encode(plain(tokenizer, option), add_special_tokens=False) for option in asked.texts
            ]
            if any(len(option) > most for option in options):
                problem = "option_cut"
            options = [option[:most] for option in options]
            room = context - max(map(len, options)) - 1  # vLLM wants room for a token to write
            ids, whole = _fitted(tokenizer, guess.task_type, asked.prompt, room)
            whole = whole and len(text) <= _READ
            request, weights = None, weighed(tokenizer, guess.task_type, ids, asked, options)
        else:
            limits = constraint(guess) if constrained else unconstrained(guess)
            ids, whole = _fitted(tokenizer, guess.task_type, text, context - limits.max_tokens)
            request, weights = Request(ids, limits, stops(guess)), None
    except Exception as error:  # as above: an unforeseen text is this question's problem alone
        return Prepared(guess, problem=f"failed: {type(error).__name__}: {error}"[:200])
    return Prepared(guess, request, weights, problem if whole else "prompt_cut")


def printable(text: str) -> str:
    """The text with halves of surrogate pairs, which UTF-8 has not, as `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


def plain(tokenizer: Any, text: str) -> str:
    """The text with the tokenizer's special tokens spelled apart: `<|im_end|>` becomes `< |im_end|>`."""
    special = special_tokens(tokenizer)
    if not any(token in text for token in special):
        return text
    pattern = "|".join(map(re.escape, sorted(special, key=len, reverse=True)))
    return re.sub(pattern, lambda match: f"{match[0][0]} {match[0][1:]}", text)


def _read(text: str) -> str:
    """The part of a text that the rules read."""
    return text if len(text) <= _READ else text[: _READ // 2] + LEFT_OUT + text[-_READ // 2 :]


def _fitted(tokenizer: Any, task_type: TaskType, text: str, limit: int) -> tuple[list[int], bool]:
    """The ids of a prompt, and whether it is whole: else as much of both its ends as fits.

    Raises ValueError where nothing does.
    """
    text = plain(tokenizer, text)
    ids = prompt_ids(tokenizer, task_type, text)
    kept = len(text)
    while len(ids) > limit:
        if kept <= 0:
            raise ValueError(f"without a question, its chat has {len(ids)} tokens, of at most {limit}")
        kept = int(kept * min(limit / len(ids), 1) * 0.95)
        head = text[: kept // 2].rstrip()
        tail = text[len(text) - kept // 2 :].lstrip()
        ids = prompt_ids(tokenizer, task_type, plain(tokenizer, head + LEFT_OUT + tail))
    return ids, kept == len(text)
