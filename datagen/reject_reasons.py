"""The reasons why a row is rejected: every code, with a sentence that explains it.

Every code that a `Reject` or a stage gives a row stands here.
"""

from collections.abc import Mapping

SPARE = "over_rows"
"""The one reason that finds no fault with a row: it was drawn as a spare and not needed."""

NOT_RENDERED = "not_rendered"
"""The reason of a row that its template fails on: the reject's detail holds the error."""

CONTAMINATED = "contaminated"
"""The reason of a row that repeats an evaluation question: the reject's detail holds that."""

STAGES = {
    "teacher": {
        "not_asked": "there was no teacher to ask, and the ledger has no reply",
        "reply_cut": "the teacher's reply was cut off by its length",
        "reply_refused": "the teacher refused",
        "empty_reply": "the teacher's reply is empty",
        "reply_of_other_form": "the teacher's reply is not of the form asked for",
        "empty_label": "the teacher found nothing, or says so",
        "label_too_long": "a label is a sentence",
        "label_with_signs": "a label has signs that no word has, as of a path or of JSON",
        "label_from_instruction": "a label is of the instruction, and not of the row",
        "label_not_in_text": "a label does not stand in the row's texts word for word",
        "repeated_label": "a label stands twice",
        "answer_length": "the answer has fewer or more words than its step allows",
        "answer_about_itself": "the answer talks of itself, its data or who writes it",
        "answer_in_other_language": "the answer is not in the row's language",
        "answer_repeats": "the answer says one word over and over",
        "answer_copied": "the answer repeats a text of its row",
        "unfounded_number": "an answer or a label has a number that its row lacks",
        "unfounded_name": "an answer or a label has a name that its row lacks",
        "judged_poor": "the judge finds the answer poor",
    },
    "question": {
        "missing_value": "a required column of the query is null",
        "too_few_options": "fewer than two candidates",
        "too_many_options": "a multiple choice has at most 10 candidates, a ranking 5, a retrieval 20",
        "answer_out_of_range": "the answer points at no option",
        "empty_option": "a candidate is blank",
        "repeated_option": "two candidates are the same but for case and spacing",
        "gains_do_not_match_options": "not one gain for each candidate",
        "gain_out_of_range": "a gain is below 0 or above 1000",
        "no_order": "all gains are equal, so any order is right",
        "too_few_positives": "no candidate is right",
        "too_many_positives": "more right candidates than the three numbers that the grader reads",
        "too_few_negatives": "fewer than four candidates: naming three is always right",
        "positive_among_negatives": "a candidate is both right and wrong",
        "no_entity": "there is nothing to cite",
        "empty_entity": "an entity is blank",
        "entity_with_comma": "an entity holds a comma, which the grader splits at",
        "entity_not_in_text": "an entity does not stand in the text as it is written",
        "entity_inside_word": "an entity is only a part of a word of the text",
        "entity_reads_as_list": "the grader would read the entities as a Python list",
        "repeated_entity": "an entity stands twice in the answer",
        "empty_reference": "the reference is blank",
        "reference_too_long": "the reference is longer than the 5000 characters that the grader reads",
        "reference_of_several_lines": "BLEU reads the first line alone",
        "reference_too_short_for_bleu": "BLEU needs four tokens, or even the same text scores 0",
        "reference_without_ascii_words": "ROUGE knows ASCII letters and digits alone",
    },
    "wording": {
        "no_wording_in_language": "the template has no wording for the row's language",
        "null_slot": "a slot that the template prints is null, or has a null in it",
        NOT_RENDERED: "the template fails on this row's values",
        "empty_slot": "a slot that the template prints is empty",
    },
    "answer": {
        "answer_leaked": "the prompt prints the answer",
        "gold_scores_below_one": "the gold answer would not score 1.0",
        "gold_not_admitted": "the decoder's constraint would not admit the gold answer",
    },
    "text": {
        "empty": "nothing is asked or answered",
        "control_character": "a control or text-direction character that a reader cannot see",
        "special_token": "text that imitates a chat template's own tokens",
        "too_long": "more text than a training context holds",
        "wrong_language": "the seed text is not in the row's language: what the query's `language` says",
    },
    "evaluation": {
        CONTAMINATED: "asks what a question of an evaluation set asks",
    },
    "content": {
        "duplicate": "the same content as another row, or a prompt that reads the same",
        "near_duplicate": "nearly the same content as another row, with the same answer",
        "label_conflict": "the same content as another row, with another answer: both go",
    },
    "split": {
        "crosses_split": "shares a query or product with a row of the test split",
    },
    "rows": {
        "key_used_up": "its query or product has as many rows as `max_per_key` allows",
        SPARE: "a spare: its task has enough rows without it",
    },
}
"""The stages that a row passes, in order, each with its reasons for rejecting a row."""

REASONS = {code: text for stage in STAGES.values() for code, text in stage.items()}
"""All codes with their sentences."""


def explain(reason: str) -> str:
    """The sentence of a code; the code itself where it is not known."""
    return REASONS.get(reason, reason.replace("_", " "))


def left_out(rejected: Mapping[str, int]) -> int:
    """How many rows were left out for a fault, of those by reason: all but spare ones."""
    return sum(rows for reason, rows in rejected.items() if reason != SPARE)


def stage_of(reason: str) -> str:
    """The stage at which a row is left out for this reason."""
    return next((stage for stage, codes in STAGES.items() if reason in codes), "question")
