"""The responses to prepared questions: decoded by the engine, or chosen by log-likelihood."""

import itertools
from collections.abc import Sequence
from typing import Any, Protocol

from infer.serve.engine import Request, Response, Text
from infer.serve.prepare import Prepared


class Answerer(Protocol):
    """The methods of an engine that are used here."""

    tokenizer: Any

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        """One response for each request, in their order."""

    def likelihoods(self, texts: Sequence[Text]) -> list[float]:
        """The log-likelihood of each text, in their order."""


def ask(engine: Answerer, prepared: Sequence[Prepared]) -> list[Response]:
    """One response for each question, as it is handed in; an empty one where it cannot be asked."""
    written = iter(engine.answer([one.request for one in prepared if one.request]))
    likely = iter(engine.likelihoods([text for one in prepared if one.weighed for text in one.weighed.texts]))
    responses = []
    for one in prepared:
        if one.weighed:
            texts = one.weighed.texts
            answer = one.weighed.answer(list(itertools.islice(likely, len(texts))))
            responses.append(Response(answer, sum(len(text.ids) for text in texts), 0, "stop"))
        elif one.request:
            response = next(written)
            responses.append(response._replace(text=one.finished(response.text)))
        else:
            responses.append(Response("", 0, 0, ""))
    return responses
