"""The work that questions make: sequences, tokens to read and to say, counted before a model is loaded.

Questions are batched, worded and constrained as in a run. Tokens that a sequence shares with an earlier one
of its batch are read once, in whole blocks, as the engine does it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datagen.shopbench.questions import Asked
from infer.batches import schedule
from infer.serve.engine import begin_alike
from infer.serve.prepare import Prepared, prepare


class Load(NamedTuple):
    """Work of one batch, or of several.

    `read` are tokens of prompts that are computed, `given` all of them; `said` those of answers, at most;
    `weighed` tokens of texts whose likelihood is asked for, which are computed, too.
    """

    questions: int = 0
    sequences: int = 0
    given: int = 0
    read: int = 0
    said: int = 0
    weighed: int = 0
    longest: int = 0
    """Tokens of the longest sequence with its answer."""
    cut: int = 0
    """Questions that are too long for the context, and lose their middle."""

    def __add__(self, other: "Load") -> "Load":  # type: ignore[override]
        both = [one + another for one, another in zip(self, other, strict=True)]
        return Load(*both)._replace(longest=max(self.longest, other.longest))


def loads(
    asked: Sequence[Asked], tokenizer: Any, context: int, size: int, block: int, choose: str
) -> Iterator[Load]:
    """The work of each batch of a run that asks these questions, in batches of `size`."""
    for batch in schedule(Path(), asked, size):
        prepared = [
            prepare(tokenizer, question.prompt, guess, context, choose=choose)
            for question, guess in zip(batch.asked, batch.guesses, strict=True)
        ]
        yield load(prepared, block)


def load(prepared: Sequence[Prepared], block: int) -> Load:
    """The work of questions that are sent together."""
    requests = [one.request for one in prepared if one.request]
    texts = [text for one in prepared if one.weighed for text in one.weighed.texts]
    alike = begin_alike(texts, block)
    distinct = sorted({tuple(text.ids) for text in texts})
    seen: set[int] = set()
    read = sum(_computed(request.ids, block, seen) for request in requests)
    seen = set()
    weighed = sum(_computed(ids, block, seen, fresh=ids in alike) for ids in distinct)
    longest = max(
        [
            *(len(request.ids) + request.constraint.max_tokens for request in requests),
            *(len(ids) + 1 for ids in distinct),
            0,
        ]
    )
    return Load(
        questions=len(prepared),
        sequences=len(requests) + len(distinct),
        given=sum(len(request.ids) for request in requests) + sum(map(len, distinct)),
        read=read,
        said=sum(request.constraint.max_tokens for request in requests),
        weighed=weighed,
        longest=longest,
        cut=sum(one.problem == "prompt_cut" for one in prepared),
    )


def _computed(ids: Sequence[int], block: int, seen: set[int], fresh: bool = False) -> int:
    """Tokens of a prompt that no block seen before holds; its own blocks are seen from then on.

    The last token is always computed, as it gives the first one said.
    """
    whole, key, known = (len(ids) - 1) // block, 0, True
    shared = 0
    for number in range(whole):
        key = hash((key, tuple(ids[number * block : (number + 1) * block])))
        known = known and key in seen
        shared += known
        seen.add(key)
    return len(ids) - (0 if fresh else shared * block)
