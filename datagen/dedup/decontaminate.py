"""Decontamination: the rows that ask what an evaluation question asks, on which no model should be trained.

Rows and questions are compared by content, as `dedup` does it: a row's fields, options and answer, a
question's passages, list and answer. Texts are sets of words, of pairs of characters in Japanese. A word
weighs the more, the fewer prompts hold it, so that the wording of instructions hardly counts. What share of
a text's weight stands in another is its coverage: most of it from 70 %, half from 50 %, some from 30 %.

A row is contaminated by a question when all of this holds:

1. The question tells most of the fields that the row shows, and half of each or more, outside of its list.
2. The question lists most of the row's options, or is known to have most of its answer, whatever else the two
   list. Where a row lists nothing and the question's answer is known, its own has some of that. Where either
   lists nothing and no answer is known, points 1 and 3 decide.
3. The row has half or more of the question's passages, or of its instruction where there is nothing else;
   and half of what it lists or, where the answers decide, some of its answers.

Two options, or two answers, are one where either holds most of the other. Order counts nowhere, neither of
words nor of options. A row about the same product that asks something else stays, and so does one whose
query is another.

Texts are compared where they share two of their rarest words; each pair of a row and a question that comes of
it is then checked by the definition above.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from datagen.dedup.content import Content, Read, joined
from datagen.dedup.normalize import fold
from datagen.dedup.ragged import Bools, Hashes, Ints, Lists, distinct, ranges, sorted_unique
from datagen.dedup.words import BITS, LEAST, Floats, weights_of, words_of

MOST, HALF, SOME = 0.7, 0.5, 0.3
"""The coverage from which a text holds most, half or some of another."""

PROMPTS = 5_000
"""About how many prompts tell which words are common: the first ones, as the order of ids is a shuffle."""

SHOWN = 300
"""Characters of the question that a reject keeps."""

_RAREST = 6  # words of a text that it is found by
_PAIRS = 100_000  # of texts that are compared at a time: bounds the memory for their words
_CROWDED = 64  # texts that share two words, or questions that share a text: no candidates by these alone
_WORD = (1 << BITS) - 1
_OUTSIDE, _LISTED, _ANSWER, _ASIDE = 1, 2, 4, 8


class Evaluation(NamedTuple):
    """One question of an evaluation set, and where it stands."""

    place: str
    prompt: str
    instruction: str
    passages: tuple[str, ...]  # that the instruction is about
    options: tuple[str, ...]
    answers: tuple[str, ...]  # none where they are not known


class _Asked(NamedTuple):
    """The texts of all questions: for each part of one, the question, its text and its role."""

    questions: int
    words: Lists  # of each distinct text
    question: Ints
    text: Ints
    role: Ints


class _Told(NamedTuple):
    """The distinct words of each question, with all roles in which they stand there."""

    codes: Ints  # question << BITS | word, ascending
    roles: Ints
    starts: Ints  # of each question


class _Both(NamedTuple):
    """Rows and questions, the words of their texts, and what words and texts weigh."""

    content: Content
    words: Lists
    asked: _Asked
    told: _Told
    weights: Floats  # of words
    weight: Floats  # of the rows' texts
    asked_weight: Floats  # of the questions' texts


def contaminated(
    parts: Sequence[Read], prompts: pa.ChunkedArray, evaluations: Sequence[Evaluation]
) -> list[str | None]:
    """For each row of `parts` the question that it repeats, with its place; None where there is none.

    `prompts` are those of the rows, a chunk for each part. They tell which words are common, and which fields
    of its template a row shows.
    """
    rows = sum(len(part.ids) for part in parts)
    found: list[str | None] = [None] * rows
    if not rows or not evaluations:
        return found
    each = -(-PROMPTS // len(prompts.chunks))
    some = pa.concat_arrays([chunk.slice(0, each) for chunk in prompts.chunks])
    both = _both(joined(parts, np.arange(rows)), _asked(evaluations), some)
    for row, question in _repeats(both, prompts):
        evaluation = evaluations[question]
        shown = " ".join(evaluation.prompt.split())
        found[row] = f"{evaluation.place}: {shown[:SHOWN]}{' [...]' if len(shown) > SHOWN else ''}"
    return found


def _asked(evaluations: Sequence[Evaluation]) -> _Asked:
    texts: list[str] = []
    question, role = [], []
    for number, one in enumerate(evaluations):
        outside = _OUTSIDE | _ASIDE if one.passages or one.options else _OUTSIDE
        parts = [(one.instruction, outside), *((text, _OUTSIDE) for text in one.passages)]
        parts += [*((text, _LISTED) for text in one.options), *((text, _ANSWER) for text in one.answers)]
        for text, of_text in parts:
            texts.append(text)
            question.append(number)
            role.append(of_text)
    numbered = fold(pa.array(texts, pa.large_string()))[0].dictionary_encode()
    text = numbered.indices.to_numpy().astype(np.int64)
    columns = (np.array(question, np.int64), text, np.array(role, np.int64))
    return _Asked(len(evaluations), words_of(numbered.dictionary), *columns)


def _both(content: Content, asked: _Asked, prompts: pa.Array) -> _Both:
    words, told = words_of(content.texts), _told(asked)
    of_prompts = distinct(words_of(fold(prompts.cast(pa.large_string()))[0]), 1 << BITS)
    in_prompts, in_questions = (
        np.bincount(values, minlength=1 << BITS) for values in (of_prompts.values, told.codes & _WORD)
    )
    weights = weights_of(in_prompts, len(prompts), in_questions, asked.questions)
    weight, asked_weight = (
        _sum(lists.rows(), weights[lists.values], len(lists.starts) - 1) for lists in (words, asked.words)
    )
    return _Both(content, words, asked, told, weights, weight, asked_weight)


def _told(asked: _Asked) -> _Told:
    of_part = asked.words.take(asked.text)
    part = of_part.rows()
    codes, back = np.unique(asked.question[part] << BITS | of_part.values, return_inverse=True)
    roles = np.zeros(len(codes), np.int64)
    for bit in (_OUTSIDE, _LISTED, _ANSWER):
        roles[back[(asked.role[part] & bit) > 0]] |= bit
    aside = np.ones(len(codes), bool)
    aside[back[(asked.role[part] & _ASIDE) == 0]] = False
    starts = np.searchsorted(codes, np.arange(asked.questions + 1) << BITS)
    return _Told(codes, roles | np.where(aside, _ASIDE, 0), starts)


def _repeats(both: _Both, prompts: pa.ChunkedArray) -> list[tuple[int, int]]:
    """Each contaminated row with the question that it repeats most of."""
    near = _near_texts(both)
    ours, theirs = _coverage(both, *np.divmod(near, len(both.asked_weight)))
    alike = near[(ours >= MOST) & (theirs >= MOST)]
    rows, questions = np.divmod(_candidates(both, near[ours >= HALF], alike), both.asked.questions)
    passed, core = _answered_alike(both, alike, rows, questions)
    rows, questions, core = rows[passed], questions[passed], core[passed]
    if not len(rows):
        return []
    seen, at = np.unique(rows, return_inverse=True)
    shown = fold(prompts.take(pa.array(seen)).combine_chunks().cast(pa.large_string()))[0]
    told = _fields_told(both, rows, questions, shown.take(pa.array(at)))
    rows, questions, core, at = rows[told], questions[told], core[told], at[told]
    share = _repeated(both, questions, core, words_of(shown).take(at), rows)
    best: dict[int, tuple[float, int]] = {}
    for row, question, of in zip(rows.tolist(), questions.tolist(), share.tolist(), strict=True):
        if of > best.get(row, (0.0, 0))[0]:
            best[row] = (of, question)
    return [(row, question) for row, (_, question) in best.items()]


# ---- candidates ----


def _near_texts(both: _Both) -> Ints:
    """Pairs of texts with two of the rarest words in common: row's text * number of the others + other."""
    asked, weights = both.asked, both.weights
    known = np.zeros(1 << BITS, bool)
    known[asked.words.values] = True
    order = np.flatnonzero(known)
    rank = np.zeros(1 << BITS, np.int64)
    rank[order[np.argsort(-weights[order], kind="stable")]] = np.arange(len(order))

    outside = np.zeros(len(both.asked_weight), bool)
    outside[asked.text[(asked.role & _OUTSIDE) > 0]] = True
    found = [*_keys(asked.words, known, rank), _single(asked.words.where(outside[asked.words.rows()]), rank)]
    text, key = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((text, key))
    text, key = text[order], key[order]
    keys, first, count = np.unique(key, return_index=True, return_counts=True)
    usable = count <= _CROWDED
    keys, first, count = keys[usable], first[usable], count[usable]
    if not len(keys):
        return np.zeros(0, np.int64)

    covered = _sum(both.words.rows(), (weights * known)[both.words.values], len(both.weight))
    open_ = np.flatnonzero(covered >= HALF * both.weight)
    held = np.zeros(1 << 24, bool)  # a fast first look: of those that it holds, most are there
    held[_place(keys)] = True
    pairs = [np.zeros(0, np.int64)]
    for mine, wanted in _keys(both.words.take(open_), known, rank):
        likely = held[_place(wanted)]
        mine, wanted = mine[likely], wanted[likely]
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        hit = keys[at] == wanted
        mine, at = open_[mine[hit]], at[hit]
        others = text[ranges(first[at], count[at])]
        pairs.append(sorted_unique(np.repeat(mine, count[at]) * len(both.asked_weight) + others))
    return sorted_unique(np.concatenate(pairs))


def _keys(texts: Lists, known: Bools, rank: Ints) -> list[tuple[Ints, Ints]]:
    """Pairs of the rarest known words of each text, or the word of a text that has one: text, key."""
    words = texts.where(known[texts.values])
    words = distinct(Lists(rank[words.values], words.starts), 1 << BITS)
    text = words.rows()
    rare = np.arange(len(text)) - words.starts[text] < _RAREST
    alone = words.counts()[text] == 1
    found = [(text[alone], words.values[alone] << BITS | words.values[alone])]
    text, word = text[rare], words.values[rare]
    for gap in range(1, _RAREST):
        same = text[gap:] == text[:-gap]
        found.append((text[gap:][same], word[:-gap][same] << BITS | word[gap:][same]))
    return found


def _single(texts: Lists, rank: Ints) -> tuple[Ints, Ints]:
    """The rarest words of texts with several, one by one: a field may be a single word of them."""
    words = distinct(Lists(rank[texts.values], texts.starts), 1 << BITS)
    text = words.rows()
    rare = (np.arange(len(text)) - words.starts[text] < _RAREST) & (words.counts()[text] > 1)
    return text[rare], words.values[rare] << BITS | words.values[rare]


def _place(keys: Ints) -> Hashes:
    return (keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)


def _coverage(both: _Both, texts: Ints, others: Ints) -> tuple[Floats, Floats]:
    """What share of either text of each pair stands in the other."""
    parts = [slice(at, at + _PAIRS) for at in range(0, len(texts) or 1, _PAIRS)]
    found = [_coverage_of_part(both, texts[part], others[part]) for part in parts]
    ours, theirs = (np.concatenate(side) for side in zip(*found, strict=True))
    return ours, theirs


def _coverage_of_part(both: _Both, texts: Ints, others: Ints) -> tuple[Floats, Floats]:
    ours, theirs = both.words.take(texts), both.asked.words.take(others)
    mine, other = (lists.rows() << BITS | lists.values for lists in (ours, theirs))
    of_ours = _sum(ours.rows(), both.weights[ours.values] * _among(mine, other), len(texts))
    of_theirs = _sum(theirs.rows(), both.weights[theirs.values] * _among(other, mine), len(texts))
    return of_ours / both.weight[texts], of_theirs / both.asked_weight[others]


def _candidates(both: _Both, near: Ints, alike: Ints) -> Ints:
    """Pairs of a row and a question that may pass: row * number of questions + question.

    They share a field, of which the others may not be shown, or some of the options or of the answer.
    """
    content, asked = both.content, both.asked
    found = [np.zeros(0, np.int64)]
    for lists, pairs, role in (
        (content.fields, near, _OUTSIDE),
        (content.options, alike, _LISTED),
        (content.answers, alike, _ANSWER),
    ):
        part = np.flatnonzero(asked.role & role)
        part = part[np.argsort(asked.text[part], kind="stable")]
        mine, other = np.divmod(pairs, len(both.asked_weight))
        first = np.searchsorted(asked.text[part], other)
        count = np.searchsorted(asked.text[part], other, side="right") - first
        few = count <= _CROWDED
        question = asked.question[part[ranges(first[few], count[few])]]
        of_text = sorted_unique(np.repeat(mine[few], count[few]) * asked.questions + question)
        mine, question = np.divmod(of_text, asked.questions)

        order = np.argsort(lists.values, kind="stable")
        first = np.searchsorted(lists.values[order], mine)
        count = np.searchsorted(lists.values[order], mine, side="right") - first
        row = lists.rows()[order][ranges(first, count)]
        codes, back = np.unique(row * asked.questions + np.repeat(question, count), return_inverse=True)
        share = _sum(back, both.weight[np.repeat(mine, count)], len(codes))
        least = 0.0 if role == _OUTSIDE else SOME
        found.append(codes[share >= least * _of_rows(both, lists)[codes // asked.questions]])
    return sorted_unique(np.concatenate(found))


# ---- the definition ----


def _answered_alike(both: _Both, alike: Ints, rows: Ints, questions: Ints) -> tuple[Bools, Bools]:
    """Which pairs pass point 2; and where it is the answers that decide."""
    content, asked = both.content, both.asked
    answered, listing = (np.zeros(asked.questions, bool) for _ in range(2))
    answered[asked.question[asked.role == _ANSWER]] = True
    listing[asked.question[asked.role == _LISTED]] = True
    known = answered[questions]
    lists_any = content.options.counts()[rows] > 0
    same_list = _shared(both, content.options, alike, rows, questions, _LISTED) & lists_any
    same_answer = _shared(both, content.answers, alike, rows, questions, _ANSWER) & known
    passed = same_list | same_answer | ~(known | (lists_any & listing[questions]))
    free = np.flatnonzero(~lists_any & ~passed)
    answers = content.answers.take(rows[free])
    covered = _sum(answers.rows(), _covered(both, answers, questions[free], _ANSWER), len(free))
    passed[free] = covered >= SOME * _of_rows(both, content.answers)[rows[free]]
    return passed, known & ~same_list


def _shared(both: _Both, lists: Lists, alike: Ints, rows: Ints, questions: Ints, role: int) -> Bools:
    """Whether most of each row's texts in `lists` are, one by one, a text of the question in this role."""
    asked, size = both.asked, len(both.asked_weight)
    parts = np.unique(asked.question[asked.role == role] * size + asked.text[asked.role == role])
    of_pair = lists.take(rows)
    first = np.searchsorted(alike, of_pair.values * size)
    count = np.searchsorted(alike, (of_pair.values + 1) * size) - first
    text = np.repeat(np.arange(len(count)), count)
    other = alike[ranges(first, count)] % size
    there = _among(questions[of_pair.rows()][text] * size + other, parts)
    found = np.zeros(len(count), bool)
    found[text[there]] = True
    share = _sum(of_pair.rows(), both.weight[of_pair.values] * found, len(rows))
    shared: Bools = share >= MOST * _of_rows(both, lists)[rows]
    return shared


def _fields_told(both: _Both, rows: Ints, questions: Ints, shown: pa.Array) -> Bools:
    """Which pairs pass point 1. `shown` are the rows' folded prompts: a wording need not print all fields."""
    fields = both.content.fields.take(rows)
    pair = fields.rows()
    prompts, texts = shown.to_pylist(), both.content.texts.take(pa.array(fields.values)).to_pylist()
    prints = [text[:-1] in prompts[place] for place, text in zip(pair.tolist(), texts, strict=True)]
    weight = both.weight[fields.values] * np.array(prints, bool)
    found = _covered(both, fields, questions, _OUTSIDE) * (weight > 0)
    short = np.bincount(pair, found < HALF * weight, len(rows)) > 0
    told: Bools = ~short & (_sum(pair, found, len(rows)) >= MOST * _sum(pair, weight, len(rows)))
    return told


def _covered(both: _Both, lists: Lists, questions: Ints, role: int) -> Floats:
    """The weight of each text's words that stand in its pair's question, in this role."""
    of_text = both.words.take(lists.values)
    at = of_text.rows()
    codes = questions[lists.rows()][at] << BITS | of_text.values
    place = np.minimum(np.searchsorted(both.told.codes, codes), len(both.told.codes) - 1)
    there = (both.told.codes[place] == codes) & ((both.told.roles[place] & role) > 0)
    return _sum(at, both.weights[of_text.values] * there, len(lists.values))


def _repeated(both: _Both, questions: Ints, core: Bools, shown: Lists, rows: Ints) -> Floats:
    """The share of its question that each pair's row has, be it in its answer; 0 where it fails point 3."""
    told, answers = both.told, both.content.answers.take(rows)
    of_answers = both.words.take(answers.values)
    mine = np.concatenate([shown.rows(), answers.rows()[of_answers.rows()]]) << BITS
    mine |= np.concatenate([shown.values, of_answers.values])
    count = told.starts[questions + 1] - told.starts[questions]
    at = ranges(told.starts[questions], count)
    pair, word = np.repeat(np.arange(len(questions)), count), told.codes[at] & _WORD
    there, roles = _among(pair << BITS | word, mine), told.roles[at]
    total, held = np.zeros(len(questions)), np.zeros(len(questions))
    fails = np.zeros(len(questions), bool)
    for role, least, counts in ((_OUTSIDE, HALF, None), (_LISTED, HALF, ~core), (_ANSWER, SOME, core)):
        which = ((roles & role) > 0) & ((role != _OUTSIDE) | ((roles & _ASIDE) == 0))
        weight = both.weights[word] * (which if counts is None else which & counts[pair])
        whole, part = _sum(pair, weight, len(questions)), _sum(pair, weight * there, len(questions))
        fails |= part < least * whole
        total, held = total + whole, held + part
    share: Floats = held / np.maximum(total, LEAST) * ~fails
    return share


def _of_rows(both: _Both, lists: Lists) -> Floats:
    """The weight of each row's texts in `lists`."""
    return _sum(lists.rows(), both.weight[lists.values], len(lists.starts) - 1)


def _among(values: Ints, others: Ints) -> Bools:
    """Which values are among the others; np.isin hashes them, which takes four times as long."""
    others = np.sort(others)
    at = np.searchsorted(others, values)
    there: Bools = np.append(others, -1)[at] == values  # none is negative
    return there


def _sum(rows: Ints, values: Floats, count: int) -> Floats:
    """The sum of each row's values."""
    sums: Floats = np.bincount(rows, values, count).astype(np.float64)
    return sums
