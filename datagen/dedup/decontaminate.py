"""Decontamination: the rows that ask what an evaluation question asks, on which no model should be trained.

Rows and questions are compared by content, as `dedup` does it: a row's fields, options and answer, a
question's passages, list and answer. Both are sets of words, of pairs of characters in Japanese. A word
weighs the more, the fewer prompts hold it, so that the wording of instructions hardly counts. What share of
a text's weight stands in another is its coverage.

A row is contaminated by a question when all of this holds:

1. The question tells most of the row's fields, and half of each or more, outside of what it lists.
2. The question lists most of the row's options; or it is known to be answered by most of the row's answer,
   whatever else the two list. Where a row lists nothing and the question's answer is known, either answer
   has something of the other.
3. The row has half or more of the question: of its passages, and of what it lists or, where the answers
   decide, of its answers. An instruction counts where there is nothing else.

Order counts nowhere, neither of words nor of options. A row about the same product that asks something else
stays, and so does one whose query is another.

Candidate pairs share two of the rarest words of a text with one of the question's. Each pair is then checked
by the definition above.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datagen.dedup.content import Content, Read, joined
from datagen.dedup.normalize import buffers_of, fold
from datagen.dedup.ragged import Bools, Hashes, Ints, Lists, distinct, mixed, ranges, sorted_unique, starts_of

MOST, HALF, SOME = 0.7, 0.5, 0.3
"""The coverage from which a text holds most, half or some of another."""

OFTEN, LEAST = 0.2, 0.5
"""Share of prompts from which a word weighs least, and what it weighs; a word of one in 1,000 weighs 5.3."""

FEW = 3
"""Questions that may share a word and all be about it; what more of them share is wording."""

PROMPTS = 5_000
"""About how many prompts tell which words are common: the first ones, as the order of ids is a shuffle."""

SHOWN = 300
"""Characters of the question that a reject keeps."""

_BITS = 22  # of a word's number: of 100,000 words, one in forty shares its number with another
_RAREST = 6  # words of a text that it is found by
_CROWDED = 64  # questions that share two words: no candidates
_LIKELY = 0.3  # least share of a row, by weight of its texts, that are candidates
_CHUNK = 4096  # texts that are cut into words at a time
_BASE = np.uint64(0x9E3779B97F4A7C15)
_BACK = np.uint64(pow(0x9E3779B97F4A7C15, -1, 2**64))
_OUTSIDE, _LISTED, _ANSWER, _INSTRUCTS = 1, 2, 4, 8

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


class Evaluation(NamedTuple):
    """One question of an evaluation set, and where it stands."""

    place: str
    prompt: str
    instruction: str
    passages: tuple[str, ...]  # that the instruction is about
    options: tuple[str, ...]
    answers: tuple[str, ...]  # none where they are not known


class _Asked(NamedTuple):
    """Texts of all questions: the words, the question, and the role of each."""

    words: Lists
    question: Ints
    role: Ints


class _Words(NamedTuple):
    """Distinct words of each question with all roles in which they stand there."""

    codes: Ints  # question << _BITS | word, ascending
    roles: Ints
    starts: Ints  # of each question


def contaminated(
    parts: Sequence[Read], prompts: pa.ChunkedArray, evaluations: Sequence[Evaluation]
) -> list[str | None]:
    """For each row of `parts` the question that it repeats, with its place; None where there is none.

    `prompts` are those of the rows, a chunk for each part. They tell which words are common, and which fields
    of its template a row shows.
    """
    rows = sum(len(part.ids) for part in parts)
    told: list[str | None] = [None] * rows
    if not rows or not evaluations:
        return told
    each = -(-PROMPTS // len(prompts.chunks))
    some = pa.concat_arrays([chunk.slice(0, each) for chunk in prompts.chunks]).cast(pa.large_string())
    content, asked = joined(parts, np.arange(rows)), _asked(evaluations)
    weights = _weights(asked, words_of(fold(some)[0]), len(evaluations))
    search = _Search(content, words_of(content.texts), weights, asked, len(evaluations))
    for row, question in search.found(prompts):
        evaluation = evaluations[question]
        shown = " ".join(evaluation.prompt.split())
        told[row] = f"{evaluation.place}: {shown[:SHOWN]}{' [...]' if len(shown) > SHOWN else ''}"
    return told


def words_of(texts: pa.LargeStringArray) -> Lists:
    """The words of folded texts, as numbers below 1 << _BITS; a plural's last s is cut off."""
    offsets, data = buffers_of(texts)

    def cut(start: int) -> Lists:
        ends = offsets[start : start + _CHUNK + 1]
        return _cut(data[ends[0] : ends[-1]], ends - ends[0])

    with ThreadPoolExecutor(2) as pool:
        parts = list(pool.map(cut, range(0, len(texts), _CHUNK)))
    if not parts:
        return Lists(np.zeros(0, np.int64), np.zeros(1, np.int64))
    counts = np.concatenate([part.counts() for part in parts])
    return Lists(np.concatenate([part.values for part in parts]), starts_of(counts))


def _cut(data: Bytes, offsets: Ints) -> Lists:
    """Words between blanks; where characters have no blanks between them, each two neighbours."""
    blank = data <= 32
    lead = (data >= 0xE3) & (data <= 0xED)  # of three bytes: kana, kanji, hangul
    within = lead.copy()
    for step in (1, 2):
        within[step:] |= lead[:-step]
    letter = np.concatenate([[False], ~blank & ~within, [False]])
    edges = np.flatnonzero(letter[1:] != letter[:-1])
    starts, ends = edges[::2], edges[1::2]
    last, before = data[ends - 1], data[np.maximum(ends - 2, 0)]
    ends = ends - ((ends - starts > 3) & (last == ord("s")) & (before != ord("s")))
    if lead.any():
        at = np.flatnonzero(lead)
        follows = np.append(np.diff(at) == 3, False)
        alone = ~follows & ~np.append(False, follows[:-1])
        pairs = np.concatenate([at[follows], at[alone]])
        starts = np.concatenate([starts, pairs])
        ends = np.concatenate([ends, pairs + np.where(np.arange(len(pairs)) < follows.sum(), 6, 3)])
        order = np.argsort(starts, kind="stable")
        starts, ends = starts[order], ends[order]
    powers = np.full(len(data) + 1, _BASE, np.uint64)
    powers[0] = 1
    inverse = np.full(len(data) + 1, _BACK, np.uint64)
    inverse[0] = 1
    powers, inverse = np.cumprod(powers), np.cumprod(inverse)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum((data + np.uint64(1)) * powers[:-1])])
    hashes = mixed((sums[ends] - sums[starts]) * inverse[starts])
    return Lists((hashes >> np.uint64(64 - _BITS)).astype(np.int64), np.searchsorted(starts, offsets))


def _asked(evaluations: Sequence[Evaluation]) -> _Asked:
    texts: list[str] = []
    question, role = [], []
    for number, one in enumerate(evaluations):
        outside = _OUTSIDE | _INSTRUCTS if one.passages or one.options else _OUTSIDE
        parts = [(one.instruction, outside), *((text, _OUTSIDE) for text in one.passages)]
        parts += [*((text, _LISTED) for text in one.options), *((text, _ANSWER) for text in one.answers)]
        for text, place in parts:
            texts.append(text)
            question.append(number)
            role.append(place)
    folded, _ = fold(pa.array(texts, pa.large_string()))
    return _Asked(words_of(folded), np.array(question, np.int64), np.array(role, np.int64))


def _weights(asked: _Asked, prompts: Lists, questions: int) -> Floats:
    """What each word weighs, by the share of prompts or of questions that hold it."""
    size = 1 << _BITS
    codes = sorted_unique(asked.question[asked.words.rows()] << _BITS | asked.words.values)
    in_questions = np.bincount(codes & (size - 1), minlength=size)
    seen = distinct(prompts, size)
    count = max(len(prompts.starts) - 1, 1)
    in_prompts = np.bincount(seen.values, minlength=size)
    share = np.maximum(in_prompts / max(count, 100), (in_questions - FEW) / max(questions, 100))
    rarest = 1 / max(count, questions, 1000)
    weights: Floats = np.maximum(np.log(OFTEN / np.maximum(share, rarest)), LEAST)
    return weights


class _Search:
    """The search for rows that repeat a question."""

    def __init__(
        self, content: Content, texts: Lists, weights: Floats, asked: _Asked, questions: int
    ) -> None:
        self.content, self.texts, self.weights, self.asked = content, texts, weights, asked
        self.questions = questions
        self.rows = len(content.kinds)
        self.weight = _sums(weights[texts.values], texts.starts)
        """Of each text."""

    def found(self, prompts: pa.ChunkedArray) -> list[tuple[int, int]]:
        """Each contaminated row with the question that it repeats most of."""
        rows, questions = np.divmod(self._likely(self._candidates()), self.questions)
        of_questions = self._words_of_questions()
        passed, core = self._same_answer(rows, questions, of_questions)
        rows, questions, core = rows[passed], questions[passed], core[passed]
        share = self._repeated(rows, questions, core, of_questions)
        enough = share >= HALF
        told = np.flatnonzero(enough)[self._told(rows[enough], questions[enough], of_questions, prompts)]
        best: dict[int, tuple[float, int]] = {}
        for row, question, of in zip(
            *(column[told].tolist() for column in (rows, questions, share)), strict=True
        ):
            if of > best.get(row, (0.0, 0))[0]:
                best[row] = (of, question)
        return [(row, question) for row, (_, question) in best.items()]

    # ---- candidates ----

    def _candidates(self) -> Ints:
        """Pairs of a text and a question with two rare words in common: text * questions + question."""
        known = np.zeros(1 << _BITS, bool)
        known[self.asked.words.values] = True
        known &= self.weights > LEAST
        words = np.flatnonzero(known)
        rank = np.zeros(1 << _BITS, np.int64)
        rank[words[np.argsort(-self.weights[words], kind="stable")]] = np.arange(len(words))
        of_questions = self._keys(self.asked.words, known, rank)
        alone = self._single(self.asked.words, known, rank, self.asked.role != _LISTED)
        codes = [(key, self.asked.question[text]) for text, key in (*of_questions, alone)]
        key, question = (np.concatenate(column) for column in zip(*codes, strict=True))
        order = np.lexsort((question, key))
        key, question = key[order], question[order]
        new = np.append(True, (np.diff(key) != 0) | (np.diff(question) != 0))[: len(key)]
        key, question = key[new], question[new]
        keys, first, count = np.unique(key, return_index=True, return_counts=True)
        usable = count <= _CROWDED
        keys, first, count = keys[usable], first[usable], count[usable]
        covered = _sums((self.weights * known)[self.texts.values], self.texts.starts)
        open_ = np.flatnonzero((self.weight > 0) & (covered >= HALF * self.weight))
        of_texts = self.texts.take(open_)
        pairs = [np.zeros(0, np.int64)]
        filter_ = _Filter(keys)
        for text, key in self._keys(of_texts, known, rank):
            text, key = (column[filter_.may_hold(key)] for column in (text, key))
            at = np.minimum(np.searchsorted(keys, key), max(len(keys) - 1, 0))
            hit = keys[at] == key if len(keys) else np.zeros(len(key), bool)
            text, at = open_[text[hit]], at[hit]
            questions = question[ranges(first[at], count[at])]
            pairs.append(sorted_unique(np.repeat(text, count[at]) * self.questions + questions))
        return sorted_unique(np.concatenate(pairs))

    def _keys(self, texts: Lists, known: Bools, rank: Ints) -> list[tuple[Ints, Ints]]:
        """Pairs of the rarest known words of each text, or the word of a text that has one: text, key."""
        words = texts.where(known[texts.values])
        words = distinct(Lists(rank[words.values], words.starts), 1 << _BITS)
        text = words.rows()
        place = np.arange(len(text)) - words.starts[text]
        text, word = text[place < _RAREST], words.values[place < _RAREST]
        found = []
        for gap in range(1, _RAREST):
            same = text[gap:] == text[:-gap]
            found.append((text[gap:][same], word[:-gap][same] << _BITS | word[gap:][same]))
        alone = words.counts()[text] == 1
        return [*found, (text[alone], word[alone] << _BITS | word[alone])]

    def _single(self, texts: Lists, known: Bools, rank: Ints, which: Bools) -> tuple[Ints, Ints]:
        """The rarest known words of some texts, one by one: a field may be a single word."""
        words = texts.where(known[texts.values] & which[texts.rows()])
        words = distinct(Lists(rank[words.values], words.starts), 1 << _BITS)
        text = words.rows()
        rarest = np.arange(len(text)) - words.starts[text] < _RAREST
        return text[rarest], words.values[rarest] << _BITS | words.values[rarest]

    def _likely(self, candidates: Ints) -> Ints:
        """Pairs of a row and a question that share a field, or enough of the options or of the answer.

        Given as row * questions + question. One field is enough, as the others may not be shown.
        """
        text, question = np.divmod(candidates, self.questions)
        found = [np.zeros(0, np.int64)]
        for lists in (self.content.fields, self.content.options, self.content.answers):
            order = np.argsort(lists.values, kind="stable")
            first = np.searchsorted(lists.values[order], text)
            count = np.searchsorted(lists.values[order], text, side="right") - first
            row = lists.rows()[order][ranges(first, count)]
            codes = row * self.questions + np.repeat(question, count)
            pairs, back = np.unique(codes, return_inverse=True)
            share = np.bincount(back, self.weight[np.repeat(text, count)], len(pairs))
            least = 0.0 if lists is self.content.fields else _LIKELY
            of_row = _sums(self.weight[lists.values], lists.starts)[pairs // self.questions]
            found.append(pairs[share >= least * of_row])
        return sorted_unique(np.concatenate(found))

    # ---- the definition ----

    def _same_answer(self, rows: Ints, questions: Ints, words: _Words) -> tuple[Bools, Bools]:
        """Which pairs list the same or are answered alike; and where answers decide."""
        answered = np.zeros(self.questions, bool)
        answered[self.asked.question[self.asked.role == _ANSWER]] = True

        def share(lists: Lists, roles: int) -> tuple[Floats, Floats]:
            of_pair = lists.take(rows)
            found, pair = self._covered(of_pair, questions, roles, words), of_pair.rows()
            return _sum(pair, found, len(rows)), _sum(pair, self.weight[of_pair.values], len(rows))

        has_options = self.content.options.counts()[rows] > 0
        of_options, options = share(self.content.options, _OUTSIDE | _LISTED)
        of_answers, answers = share(self.content.answers, _ANSWER)
        known = answered[questions] & (answers > 0)
        same_list = has_options & (of_options >= MOST * options)
        same_answer = known & (of_answers >= np.where(has_options, MOST, SOME) * answers)
        return same_list | same_answer | (~has_options & ~known), ~same_list & known

    def _told(self, rows: Ints, questions: Ints, words: _Words, prompts: pa.ChunkedArray) -> Bools:
        """Which pairs' questions tell the fields that the rows show."""
        fields = self.content.fields.take(rows)
        pair = fields.rows()
        shows = _shown(self.content.texts.take(pa.array(fields.values)), prompts.take(pa.array(rows[pair])))
        weight = self.weight[fields.values] * shows
        found = self._covered(fields, questions, _OUTSIDE, words) * shows
        short = np.bincount(pair, found < HALF * weight, len(rows)) > 0
        of_fields, all_fields = (_sum(pair, column, len(rows)) for column in (found, weight))
        told: Bools = ~short & (of_fields >= MOST * all_fields)
        return told

    def _words_of_questions(self) -> _Words:
        asked = self.asked
        at = asked.words.rows()
        codes = asked.question[at] << _BITS | asked.words.values
        unique, back = np.unique(codes, return_inverse=True)
        roles = np.zeros(len(unique), np.int64)
        role = asked.role[at]
        aside = np.bincount(back, (role & _INSTRUCTS) == 0, len(unique)) == 0
        for bit in (_OUTSIDE, _LISTED, _ANSWER):
            roles |= np.where(np.bincount(back, (role & bit) > 0, len(unique)) > 0, bit, 0)
        starts = np.searchsorted(unique, np.arange(self.questions + 1) << _BITS)
        return _Words(unique, roles | np.where(aside, _INSTRUCTS, 0), starts)

    def _covered(self, lists: Lists, questions: Ints, roles: int, words: _Words) -> Floats:
        """The weight of each text's words that stand in its pair's question, in one of the roles."""
        pair = lists.rows()
        of_text = self.texts.take(lists.values)
        at = of_text.rows()
        code = questions[pair][at] << _BITS | of_text.values
        place = np.minimum(np.searchsorted(words.codes, code), len(words.codes) - 1)
        there = (words.codes[place] == code) & ((words.roles[place] & roles) > 0)
        return _sum(at, self.weights[of_text.values] * there, len(lists.values))

    def _repeated(self, rows: Ints, questions: Ints, core: Bools, words: _Words) -> Floats:
        """The share of each pair's question that the row holds; of `core` without wrong options."""
        counts = words.starts[questions + 1] - words.starts[questions]
        at = ranges(words.starts[questions], counts)
        pair = np.repeat(np.arange(len(rows)), counts)
        role = words.roles[at]
        counted = (role & np.where(core, _OUTSIDE | _ANSWER, _OUTSIDE | _LISTED)[pair]) > 0
        word = words.codes[at] & ((1 << _BITS) - 1)
        weight = self.weights[word] * (counted & ((role & _INSTRUCTS) == 0))
        mine = []
        for lists in (self.content.fields, self.content.options, self.content.answers):
            of_pair = lists.take(rows)
            of_text = self.texts.take(of_pair.values)
            mine.append(of_pair.rows()[of_text.rows()] << _BITS | of_text.values)
        there = np.isin(pair << _BITS | word, np.concatenate(mine))
        total = np.bincount(pair, weight, len(rows))
        found: Floats = np.bincount(pair, weight * there, len(rows)) / np.maximum(total, 1e-9)
        return found


def _shown(fields: pa.Array, prompts: pa.ChunkedArray) -> Bools:
    """Which of the folded texts stand in their prompts: a wording need not print all of its template's."""
    if not len(fields):
        return np.zeros(0, bool)
    folded, _ = fold(prompts.combine_chunks().cast(pa.large_string()))
    pairs = zip(fields.to_pylist(), folded.to_pylist(), strict=True)
    return np.array([field[:-1] in prompt for field, prompt in pairs], bool)


class _Filter:
    """A fast first look at whether a number is among others; it may say yes of one that is not."""

    def __init__(self, keys: Ints) -> None:
        self.table = np.zeros(1 << 24, bool)
        self.table[self._place(keys)] = True

    def may_hold(self, keys: Ints) -> Bools:
        found: Bools = self.table[self._place(keys)]
        return found

    @staticmethod
    def _place(keys: Ints) -> Hashes:
        return (keys.astype(np.uint64) * _BASE) >> np.uint64(40)


def _sums(values: Floats, starts: Ints) -> Floats:
    """The sum of each list's values."""
    return _sum(np.repeat(np.arange(len(starts) - 1), np.diff(starts)), values, len(starts) - 1)


def _sum(rows: Ints, values: Floats, count: int) -> Floats:
    """The sum of each row's values."""
    return np.bincount(rows, values, count).astype(np.float64, copy=False)
