"""Templates: what compiles, what is refused at which line, and seed text that stays a value."""

import re
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
    def write(text: str) -> Path:
        folder = tmp_path / "templates" / "multiple_choice"
        folder.mkdir(parents=True, exist_ok=True)
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
        ("--- pt\nx", (1, 5), "unknown_language"),
        ("a\n--- es-ES\nb", (2, 5), "unknown_language"),
        ("a\n-----\nb", (2, 1), "almost_separator"),
        ("{{ loop }}", (1, 1), "template_syntax"),
    ],
)
def test_what_a_template_may_not_do_is_named_at_its_line(
    write: Write, text: str, place: tuple[int, int], code: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        load_template(write(text))
    [fault] = caught.value.faults
    assert (fault.line, fault.column) == place
    assert fault.code == code


@pytest.mark.parametrize(
    "line",
    [
        *(" ---", "\t---", "\u00a0---", "\u3000---", "---\u00a0", "\ufeff---", "--- # note", "--- es # note"),
        *("---es!", "--- es, ja", "--- {# note #} x", "{# note #} ---", " --- es", "--", "-- es", "---- es"),
        *(
            "—",
            "—-",
            "—--",
            "–-",
            "———",
            "--—",
            "— es",
            "― spanish",
            "－－－",
            "−−−",
            "ーーー",
            "───",
            "- - -",
        ),
        *(
            '"---"',
            "`---`",
            "> ---",
            "# ---",
            "\\---",
            "--- Spanish",
            "--->",
            "x\u2028---",
            "---.",
            "---: es",
        ),
    ],
)
def test_a_line_that_is_almost_a_separator_is_told(write: Write, line: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load_template(write(f"One {{{{ a }}}}\n{line}\nTwo {{{{ a }}}}"))
    assert [
        (fault.line, fault.code) for fault in caught.value.faults if fault.code != "unknown_language"
    ] in (
        [(2, "almost_separator")],
        [],
    )


@pytest.mark.parametrize(
    ("line", "shown"),
    [(" ---", "` ---`"), ("\u00a0---", r"`\xa0---`"), ("----", "`----`"), ("----es", "`----es`")],
)
def test_what_is_wrong_about_a_separator_can_be_seen(write: Write, line: str, shown: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load_template(write(f"One {{{{ a }}}}\n{line}\nTwo {{{{ a }}}}"))
    [fault] = caught.value.faults
    assert (fault.line, fault.code) == (2, "almost_separator")
    assert fault.message.startswith(f"{shown} is no separator: ")


@pytest.mark.parametrize(
    "line",
    [
        *(
            "- one",
            "-",
            "— dijo ella",
            "—dijo—",
            "――商品",
            "-- or",
            "a --- b",
            "{{ a }} ---",
            "ー",
            "===",
            "___",
        ),
        *("{# --- #}", "{#\n --- es\n#}", "| --- | --- |", "-5 to -1", "--help"),
    ],
)
def test_a_line_of_text_is_no_separator(write: Write, line: str) -> None:
    assert len(load_template(write(f"One {{{{ a }}}}\n{line}\nTwo {{{{ a }}}}")).wordings) == 1


@pytest.mark.parametrize(
    "name",
    [
        *(
            "caller",
            "varargs",
            "kwargs",
            "self",
            "super",
            "namespace",
            "range",
            "dict",
            "lipsum",
            "cycler",
            "joiner",
        ),
        *(
            "context",
            "environment",
            "resolve",
            "undefined",
            "import",
            "class",
            "def",
            "lambda",
            "block",
            "macro",
        ),
        *(
            "printed",
            "wording_0",
            "_",
            "größe",
            "サイズ",
            "ﬁt",
            "Self",
            "varargs_",
            "recursive",
            "with",
            "ignore",
        ),
    ],
)
def test_a_slot_may_have_any_name_that_jinja_can_read(write: Write, name: str) -> None:
    template = load_template(
        write(
            f"{{{{ {name} }}}}, {{% for x in list %}}"
            f"{{{{ loop.index }}}}{{{{ {name} | upper }}}}{{% endfor %}}"
        )
    )
    assert template.slots == tuple(sorted((name, "list")))
    assert template.render(0, {name: "mug", "list": ["a", "b"]}) == "mug, 1MUG2MUG"


def test_a_name_may_be_a_slot_in_one_wording_and_of_a_loop_in_another(write: Write) -> None:
    template = load_template(
        write(
            "{{ x }}\n---\n{% for x in xs %}{{ x }}{% endfor %}\n---\n{% for xs in xs %}{{ xs }}{% endfor %}"
        )
    )
    assert [template.render(number, {"x": "a", "xs": ["b", "c"]}) for number in range(3)] == ["a", "bc", "bc"]


def test_all_faults_of_a_template_are_told_at_once(write: Write) -> None:
    path = write("{{ a + 1 }}{{ a - 1 }}\n{{ b|shout }}\n---\n---pt\n{% if a %}\n---\n{{ f(a) }}")
    with pytest.raises(TemplateError) as caught:
        load_template(path)
    assert [(fault.line, fault.code) for fault in caught.value.faults] == [
        (1, "template_computes"),
        (2, "unknown_filter"),
        (3, "empty_wording"),
        (4, "unknown_language"),
        (5, "template_syntax"),
        (7, "template_call"),
    ]


def test_the_chat_names_the_task_type() -> None:
    system, user = chat(TaskType.NAMED_ENTITY_RECOGNITION, "Which brand?")
    assert system["content"] == (
        "You are a helpful online shopping assistant. Your task is named entity recognition."
    )
    assert user == {"role": "user", "content": "Which brand?"}


def test_wordings_of_a_teacher_come_after_the_templates_own(write: Write) -> None:
    path = write("One {{ a }} {{ b }}\n")
    beside = path.with_suffix(".reworded.j2")
    beside.write_text("{# reworded by gpt-4o #}\nTwo {{ b }}\n--- es\nTres {{ a }} {{ b }}\n")
    template = load_template(path)
    assert [(wording.teacher, wording.language, wording.line) for wording in template.wordings] == [
        (None, None, 1),
        ("gpt-4o", None, 2),
        ("gpt-4o", "es", 4),
    ]
    assert template.render(1, {"a": "x", "b": "y"}) == "Two y"
    beside.unlink()
    assert len(load_template(path).wordings) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Two {{ a }}\n", "x.reworded.j2:1:1: template_syntax: its first line names who worded it"),
        (
            "{# reworded by m #}\nTwo {{ c }}\n",
            "x.reworded.j2:2:1: unknown_slot: no wording of x.j2 prints `c`",
        ),
        ("{# reworded by m #}\nTwo {{ a() }}\n", "x.reworded.j2:2:8: template_call"),
    ],
)
def test_faults_of_reworded_wordings_are_placed_in_their_file(write: Write, text: str, says: str) -> None:
    path = write("One {{ a }}\n")
    path.with_suffix(".reworded.j2").write_text(text)
    with pytest.raises(TemplateError, match=re.escape(says)):
        load_template(path)


def test_the_pieces_of_a_prompt_are_its_words_and_its_values(write: Write) -> None:
    text = 'Find "{{ a }}"\n{% if b %}\nby {{ b | upper }}\n{% endif %}\nin {{ c ~ "!" }}\n'
    template = load_template(write(text))
    slots = {"a": "{{ b }}", "b": "me", "c": "x"}
    pieces = template.pieces(0, slots)
    assert pieces == ['Find "', "{{ b }}", '"\nby ', "ME", "\nin ", "x!", ""]
    assert "".join(pieces) == template.render(0, slots)
