"""The speed of answering: vLLM as `infer run` sets it up, beside transformers; a table, then JSON.

    make bench NAME=engine [ROWS=100]

Both answer test questions of all five types with the embedded model, in one precision, greedily; one after
the other, each in a process of its own, without the time of loading. transformers' `generate` gets batches
of questions of about one length, padded on the left, with one limit on the answer. Its answers are free, and
as long as vLLM's may be: the tokens that it says more are counted for it.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from build import built_from_sample

from datagen.shopbench.questions import Asked, read_questions
from finetune.base_models import base_model
from infer.batches import balanced
from infer.predict import predict
from infer.serve.engine import Request, settings
from infer.serve.prepare import guessed, prepare

ROWS = 100
MODEL = "smollm2-135m"
RECIPE = "esci_all"
TOGETHER = 32  # questions that `generate` gets at once


class Took(NamedTuple):
    """Seconds, tokens read and said, and the share of answers that parse and name what is listed."""

    seconds: float
    read: int
    said: int
    parsed: float | None

    @property
    def tokens_per_second(self) -> float:
        """Tokens read and said."""
        return (self.read + self.said) / self.seconds


def main() -> None:
    """Measure both on the same questions and print what came out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    folder = base_model(MODEL)
    with tempfile.TemporaryDirectory() as work:
        asked = balanced(read_questions(built_from_sample(Path(work), RECIPE)), rows)
        vllm, transformers = _alone(with_vllm, folder, asked), _alone(with_transformers, folder, asked)
    chosen = settings(folder)
    print(f"{MODEL}, {len(asked)} questions, {chosen.device}, {chosen.dtype}")
    print(f"{'':<14}{'seconds':>9}{'questions/s':>13}{'tokens/s':>10}{'read':>9}{'said':>8}")
    for name, took in (("vLLM", vllm), ("transformers", transformers)):
        print(
            f"{name:<14}{took.seconds:>9.1f}{len(asked) / took.seconds:>13.2f}{took.tokens_per_second:>10.0f}"
            f"{took.read:>9,}{took.said:>8,}"
        )
    found = {"vllm_tokens_per_second": vllm, "transformers_tokens_per_second": transformers}
    rates = {name: round(took.tokens_per_second, 1) for name, took in found.items()}
    print(json.dumps(rates | {"parsed_share": vllm.parsed}))


def with_vllm(folder: Path, asked: list[Asked]) -> Took:
    """A run of `infer run`."""
    with tempfile.TemporaryDirectory() as runs:
        done = predict(asked, str(folder), Path(runs) / "run")
    parsed = sum(done["parsed"].values()) / len(done["parsed"])
    return Took(done["seconds"], done["prompt_tokens"], done["tokens"], round(parsed, 4))


def with_transformers(folder: Path, asked: list[Asked]) -> Took:
    """The same prompts through `generate`."""
    chosen = settings(folder)  # before torch is imported: it sets how idle threads wait
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    dtype = {"half": torch.float16, "auto": "auto"}.get(chosen.dtype) or getattr(torch, chosen.dtype)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(chosen.device).eval()
    start, read, said = time.monotonic(), 0, 0
    for together in _sorted_batches(tokenizer, asked, chosen.context):
        padded = tokenizer.pad(
            {"input_ids": [request.ids for request in together]}, padding_side="left", return_tensors="pt"
        ).to(chosen.device)
        longest = max(request.constraint.max_tokens for request in together)
        with torch.inference_mode():
            out = model.generate(**padded, do_sample=False, max_new_tokens=longest)
        answers = out[:, padded["input_ids"].shape[1] :]
        read += sum(len(request.ids) for request in together)
        said += int((answers != tokenizer.pad_token_id).sum())
    return Took(time.monotonic() - start, read, said, None)


def _sorted_batches(tokenizer: Any, asked: list[Asked], context: int) -> Iterator[list[Request]]:
    """The requests for the questions, those of one length together."""
    prepared = [
        prepare(tokenizer, question.prompt, guessed(question.prompt, question.is_multiple_choice), context)
        for question in asked
    ]
    requests = [one.request for one in prepared if one.request]
    requests.sort(key=lambda request: (request.constraint.max_tokens, len(request.ids)))
    for start in range(0, len(requests), TOGETHER):
        yield requests[start : start + TOGETHER]


def _alone(measure: Callable[[Path, list[Asked]], Took], folder: Path, asked: list[Asked]) -> Took:
    """The measure, taken in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        return executor.submit(measure, folder, asked).result()


if __name__ == "__main__":
    main()
