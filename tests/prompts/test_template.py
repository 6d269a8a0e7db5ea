"""Templates: what compiles, what is refused at which line, and seed text that stays a value."""

from collections.abc import Callable
from pathlib import Path

import pytest

from datagen.errors import Reject
from datagen.prompts.chat import chat
from datagen.prompts.template import TemplateError, load_template
from datagen.schema import TaskType

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, macros: str | None = None) -> Path:
        folder = tmp_path / "templates" / "multiple_choice"
        folder.mkdir(parents=True, exist_ok=True)
        if macros is not None:
            (folder.parent / "_macros.j2").write_text(macros, encoding="utf-8")
        path = folder / "x.j2"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_wordings_are_separated_by_dashes_and_may_be_for_one_language(write: Write) -> None:
    template = load_template(write("One {{ a }}\n---\nTwo {{ b }}\n--- es\nTres {{ a }}\n--- ja\n四\n"))
    assert [wording.language for wording in template.wordings] == [None, None, "es", "ja"]
    assert template.choices("en") == [0, 1]
    assert template.choices("es") == [0, 1, 2]
    assert template.slots == ("a", "b")
    assert template.lines == {"a": 1, "b": 3}


def test_the_first_wording_may_be_for_one_language(write: Write) -> None:
    assert load_template(write("--- es\nUno\n")).wordings[0].language == "es"


@pytest.mark.parametrize(
    "hostile", ["{{ 7*7 }}", "{% for i in x %}", "{# gone #}", "---", "<b>&amp;</b>", "é\u200f😀"]
)
def test_seed_text_is_printed_as_it_is(write: Write, hostile: str) -> None:
    template = load_template(write("Before {{ a }} after"))
    assert template.render(0, {"a": hostile}) == f"Before {hostile} after"


def test_a_null_slot_rejects_the_row_where_it_is_printed_only(write: Write) -> None:
    template = load_template(write("{% if a %}{{ a }}{% else %}none{% endif %}\n---\n{{ a }}"))
    assert template.render(0, {"a": None}) == "none"
    with pytest.raises(Reject, match="null_slot"):
        template.render(1, {"a": None})


@pytest.mark.parametrize("value", [["a", "b"], {"a": 1}, b"a"])
def test_no_value_is_printed_as_python_writes_it(write: Write, value: object) -> None:
    template = load_template(write("{{ a | join(', ') }}\n---\n{{ a }}"))
    with pytest.raises(TypeError, match="cannot be printed"):
        template.render(1, {"a": value})
    assert template.render(0, {"a": ["b", "c"]}) == "b, c"


def test_a_byte_order_mark_is_no_part_of_a_prompt(write: Write) -> None:
    assert load_template(write("\ufeff{{ a }}")).render(0, {"a": "b"}) == "b"


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ("a\n{{ b", (2, 1), "template_syntax"),
        ("a\n{% for i in range(9) %}{% endfor %}", (2, 13), "template_call"),
        ("{{ 2 * 3 }}", (1, 1), "template_computes"),
        ("{{ a ** 9 }}", (1, 1), "template_computes"),
        ("a\n---\n{{ a.__class__ }}", (3, 1), "template_computes"),
        ("{{ a['__class__'] }}", (1, 1), "template_computes"),
        ("{% set x = [1] %}", (1, 1), "template_computes"),
        ('{% include "/etc/passwd" %}', (1, 1), "template_computes"),
        ("{{ a|center(99999999) }}", (1, 6), "unknown_filter"),
        ("{% for a in b %}{% for c in d %}x{% endfor %}{% endfor %}", (1, 1), "nested_loop"),
        ("a\n---\n\n---\nb", (2, 1), "empty_wording"),
        ("", (1, 1), "empty_wording"),
        ("{{ a is red }}", (1, 9), "template_syntax"),
        ("{% if a %}\n{{ b is red }}{% endif %}", (2, 9), "template_syntax"),
        ("{% for loop in a %}{% endfor %}", (1, 1), "template_syntax"),
        ("--- de\nx", (1, 5), "unknown_language"),
        ("a\n--- es-ES\nb", (2, 5), "unknown_language"),
        ("a\n-----\nb", (2, 5), "unknown_language"),
    ],
)
def test_what_a_template_may_not_do_is_named_at_its_line(
    write: Write, text: str, place: tuple[int, int], code: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        load_template(write(text))
    [flaw] = caught.value.flaws
    assert (flaw.line, flaw.column) == place
    assert flaw.code == code


def test_all_flaws_of_a_template_are_told_at_once(write: Write) -> None:
    path = write("{{ a + 1 }}{{ a - 1 }}\n{{ b|shout }}\n---\n---fr\n{% if a %}\n---\n{{ f(a) }}")
    with pytest.raises(TemplateError) as caught:
        load_template(path)
    assert [(flaw.line, flaw.code) for flaw in caught.value.flaws] == [
        (1, "template_computes"),
        (2, "unknown_filter"),
        (3, "empty_wording"),
        (4, "unknown_language"),
        (5, "template_syntax"),
        (7, "template_call"),
    ]


def test_macros_that_have_changed_change_what_is_printed(write: Write) -> None:
    for mark in ("!", "?"):
        path = write("{{ loud(a) }}", macros="{% macro loud(x) %}{{ x }}" + mark + "{% endmacro %}")
        assert load_template(path).render(0, {"a": "b"}) == f"b{mark}"


def test_macros_serve_every_template_and_can_only_print(write: Write) -> None:
    path = write("{{ quoted(a) }}", macros='{% macro quoted(x) %}"{{ x }}"{% endmacro %}')
    assert load_template(path).render(0, {"a": "b"}) == '"b"'


def test_a_macro_that_loops_is_refused(write: Write) -> None:
    path = write("{{ m(a) }}", macros="{% macro m(x) %}{% for i in x %}{% endfor %}{% endmacro %}")
    with pytest.raises(TemplateError, match="macro_computes"):
        load_template(path)


def test_the_chat_names_the_task_type() -> None:
    system, user = chat(TaskType.NAMED_ENTITY_RECOGNITION, "Which brand?")
    assert system["content"] == (
        "You are a helpful online shopping assistant. Your task is named entity recognition."
    )
    assert user == {"role": "user", "content": "Which brand?"}
