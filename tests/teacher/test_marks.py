"""Marks: what is locked comes back as it was, wherever a new text puts it."""

import pytest

from datagen.teacher.marks import of_pieces, of_wording


def test_equal_texts_have_one_mark() -> None:
    marked = of_pieces(["Is ", "red", " like ", "blue", " or ", "red", "?"])
    assert marked
    assert marked.text == "Is [[1]] like [[2]] or [[1]]?"
    assert marked.filled("[[2]], [[1]]") == "blue, red"


@pytest.mark.parametrize("value", ["[[1]]", "[[2]]", "]] [[", "{{ x }}"])
def test_a_text_that_looks_like_a_mark_stays_a_text(value: str) -> None:
    marked = of_pieces(["Find ", value, " in ", "this", "."])
    assert marked
    assert marked.text == "Find [[1]] in [[2]]."
    assert marked.filled("In [[2]]: [[1]]!") == f"In this: {value}!"


def test_words_that_look_like_marks_cannot_be_marked() -> None:
    assert of_pieces(["Keep [[1]] and ", "red", ""]) is None


def test_slots_and_whole_blocks_of_a_template_are_locked() -> None:
    text = (
        "Find {{ a | upper }}\n{% if b %}\nin {{ b }}{% if c %}!{% endif %}\n{% endif %}\nby {{ a | upper }}"
    )
    marked = of_wording(text)
    assert marked
    assert marked.text == "Find [[1]]\n[[2]]\nby [[1]]"
    assert marked.filled(marked.text) == text
