"""The gates of answers, one by one: what passes each, what does not, and the best of several."""

import pytest

from datagen.reject_reasons import explain
from datagen.teacher.answer import best, problem

ROW = {
    "category": "Mugs",
    "products": [
        "Enamel Mug by Toff & Sons with a lid, 12.0 oz",
        "Two cups for tea, keeps it hot for 3 hours",
    ],
    "sold": 40,
}
RIGHT = "Such vessels hold a hot drink, and most people use one every morning at the table."


def gate(text: str, language: str = "en", instruction: str = "") -> str:
    return problem(text, ROW, language, (4, 30), instruction)


@pytest.mark.parametrize(
    "text",
    [
        RIGHT,
        "It holds 12 oz and keeps a drink hot for 3 hours.",
        "They are sold 40 times a day in this shop.",
        "The firm Toff makes such vessels of enamel for the table.",
        "Everybody drinks from one: It is the most common vessel for tea.",
        '"Who needs it?" People who drink tea or coffee in the morning.',
    ],
)
def test_what_is_right_passes(text: str) -> None:
    assert gate(text) == ""


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("de", "Solche Gefäße fassen ein heißes Getränk und stehen morgens auf dem Tisch."),
        ("es", "Estos recipientes sirven para tomar una bebida caliente cada mañana en la mesa."),
        ("ja", "温かい飲み物を入れて、毎朝の食卓で使うための器です。"),
    ],
)
def test_other_languages_pass_where_they_are_the_row_s(language: str, text: str) -> None:
    assert gate(text, language) == ""
    assert gate(text) == "answer_in_other_language" or language == "ja"


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("empty_reply", ""),
        ("answer_length", "2"),
        ("answer_length", "A hot drink."),
        ("answer_length", RIGHT * 3),
        ("answer_repeats", "Tea tea things: vessels, vessels, vessels and vessels."),
        ("answer_about_itself", "The answer is 40, as people drink tea from them."),
        ("answer_about_itself", '{"reference": "People drink tea from them."}'),
        ("answer_about_itself", "As an AI language model I cannot say what a mug is for."),
        ("answer_about_itself", "Sure, here is the sentence: people drink tea from such vessels."),
        ("answer_about_itself", "I'm sorry, but there is nothing that I can say about them."),
        ("answer_about_itself", "The data says that people drink tea from such vessels."),
        ("answer_about_itself", "A JSON object that holds a category and some of its products."),
        ("answer_about_itself", "What stands between <data> and </data> is about vessels for tea."),
        ("answer_in_other_language", "Estos recipientes sirven para tomar una bebida caliente cada mañana."),
        ("answer_copied", "Two cups for tea, keeps it hot for 3 hours"),
        ("answer_copied", "Enamel Mug by Toff & Sons with a lid"),
        ("answer_copied", "People want to have two cups for tea, keeps it hot, in the morning."),
        ("unfounded_number", "Such vessels hold 16 oz of a hot drink at the table."),
        ("unfounded_number", "Such vessels cost $9.99 and hold a hot drink at the table."),
        ("unfounded_name", "Such vessels are best bought at Contoso, where tea is at home."),
        ("unfounded_name", "Such vessels are best bought at BESTMUGS dot example, where tea is at home."),
    ],
)
def test_what_is_not_is_named(reason: str, text: str) -> None:
    assert gate(text) == reason
    assert explain(reason)


def test_a_copy_of_the_instruction_says_nothing_of_the_row() -> None:
    told = "Tell a shopper what kind of things these are and what people use them for."
    assert gate(told, instruction=f"Your task: {told} Name no brand.") == "answer_copied"
    assert gate(RIGHT, instruction=told) == ""


def test_the_best_agrees_most_with_the_others() -> None:
    assert best(["one"]) == 0
    said = ["people drink tea from it", "ships carry tea to it", "people drink hot tea from it"]
    assert best(said) == 0
    assert best(["it flies", "people drink tea", "people drink tea"]) == 1  # the first of equals
