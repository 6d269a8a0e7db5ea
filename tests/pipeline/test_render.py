"""Rendering of a batch: each row stands alone, and rejects are counted with their reasons."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datagen.pipeline.render import SLOT_CHARACTERS, Job, word
from datagen.schema import TaskType

TEMPLATE = "{{ query }}?\n{{ listing }}\n--- es\n¿{{ query }}?\n{{ listing }}\n"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    path = tmp_path / "templates" / "multiple_choice" / "t.j2"
    path.parent.mkdir(parents=True)
    path.write_text(TEMPLATE, encoding="utf-8")
    return Job(7, "t", TaskType.MULTIPLE_CHOICE, "accuracy", "en", path, 3072, True)


def row(number: int, **changes: Any) -> dict[str, Any]:
    plain = {
        "key": f"us/{number}",
        "side": "train",
        "groups": [f"query:us:{number}"],
        "language": "en",
        "query": f"red mug number {number}",
        "correct": f"Red stoneware mug, model {number}",
        "distractors": ["Blue glass bowl", "Green steel pan", "White bath towel"],
    }
    return plain | changes


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows))


def test_a_row_is_worded_the_same_in_any_batch(job: Job) -> None:
    together, _ = word(batch(*(row(number) for number in range(20))), job)
    alone = [word(batch(row(number)), job)[0] for number in range(20)]
    assert pa.concat_tables(alone).sort_by("id").equals(together)


def test_another_seed_is_another_choice(job: Job) -> None:
    def answers(seed: int) -> list[str]:
        changed = replace(job, seed=seed)
        examples, _ = word(batch(*(row(number) for number in range(30))), changed)
        found: list[str] = examples.sort_by("key")["answer"].to_pylist()
        return found

    assert answers(7) == answers(7)
    assert answers(7) != answers(8)


def test_rows_come_in_the_order_of_their_ids(job: Job) -> None:
    examples, _ = word(batch(*(row(number) for number in range(20))), job)
    assert examples["id"].to_pylist() == sorted(examples["id"].to_pylist())


def test_a_wording_of_another_language_is_not_used(job: Job) -> None:
    examples, _ = word(batch(*(row(number) for number in range(50))), job)
    assert set(examples["wording"].to_pylist()) == {0}


def test_a_title_with_line_breaks_stays_one_line(job: Job) -> None:
    examples, _ = word(batch(row(1, correct="Red mug\n\n9. Answer: 9\u2028end")), job)
    assert examples["prompt"][0].as_py().count("\n") == 4
    assert "Red mug 9. Answer: 9 end" in examples["prompt"][0].as_py()


def test_an_answer_keeps_the_lines_of_what_it_lists(job: Job, tmp_path: Path) -> None:
    text = "Buy:\r\n\n1. Milk,\n  fresh\n 2. 500\ngrams of rye\n- Tea"
    written = replace(job, task_type=TaskType.GENERATION, metric="rougel", template=tmp_path / "list.j2")
    written.template.write_text("What is on the list?", encoding="utf-8")
    rows = batch(*(row(number, reference=said) for number, said in enumerate([text, None, "a\nb"])))
    examples, _ = word(rows, written)
    assert sorted(examples["answer"].to_pylist()) == [
        "Buy:\n1. Milk, fresh\n2. 500 grams of rye\n- Tea",
        "a b",
    ]
    examples, _ = word(rows, replace(written, metric="bleu"))
    assert examples["answer"].to_pylist() == ["Buy: 1. Milk, fresh 2. 500 grams of rye - Tea"]


def test_a_key_is_kept_as_the_query_gives_it(job: Job) -> None:
    examples, _ = word(batch(row(1, key=" us/1"), row(1, key="us/1")), job)
    assert sorted(examples["key"].to_pylist()) == [" us/1", "us/1"]
    assert len(set(examples["id"].to_pylist())) == 2


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"query": None}, "null_slot"),
        ({"query": " "}, "empty_slot"),
        ({"query": "Red stoneware mug, model 1"}, "answer_leaked"),
        ({"query": "mug <|im_end|>"}, "special_token"),
        ({"query": "mug \x07"}, "control_character"),
        ({"query": "x" * (SLOT_CHARACTERS + 1)}, "too_long"),
        ({"query": "mug " * 5000}, "too_long"),
        ({"distractors": ["Red  Stoneware mug, model 1", "b", "c"]}, "repeated_option"),
        ({"distractors": None}, "missing_value"),
        ({"language": "ja"}, "wrong_language"),
        ({"language": "pt"}, "no_wording_in_language"),
    ],
)
def test_what_cannot_be_asked_is_left_out_with_its_reason(
    job: Job, changes: dict[str, Any], reason: str
) -> None:
    examples, rejects = word(batch(row(1, **changes), row(2)), job)
    assert (examples["key"].to_pylist(), rejects["reason"].to_pylist()) == (["us/2"], [reason])


def worded(job: Job, template: str, **columns: Any) -> tuple[list[str], list[tuple[str, Any]]]:
    """The first line of each prompt, and (reason, detail) of each reject, of rows with these columns."""
    job.template.write_text(f"{template}\n\n{{{{ listing }}}}", encoding="utf-8")
    rows = [row(number) for number in range(max(map(len, columns.values())))]
    table = batch(*rows)
    for name, values in columns.items():
        table = table.append_column(name, values if isinstance(values, pa.Array) else pa.array(values))
    examples, rejects = word(table, replace(job, check_language=False))
    assert examples.num_rows + rejects.num_rows == len(rows)
    lines = [prompt.split("\n")[0] for prompt in examples.sort_by("key")["prompt"].to_pylist()]
    return lines, list(zip(rejects["reason"].to_pylist(), rejects["detail"].to_pylist(), strict=True))


def test_a_row_that_cannot_be_rendered_is_left_out_alone(job: Job) -> None:
    lines, [(reason, detail)] = worded(
        job, "{{ names | join(', ') }}{{ names[1] }}", names=[["a", "b"], ["c"]]
    )
    assert lines == ["a, bb"]
    assert reason == "not_rendered"
    assert detail == "multiple_choice/t.j2:1: UndefinedError: list object has no element 1"


def test_a_value_that_no_template_prints_is_left_out_with_advice(job: Job) -> None:
    lines, [(reason, detail)] = worded(job, "{{ names }}", names=[["a", "b"]])
    assert (lines, reason) == ([], "not_rendered")
    assert "join a list" in detail


@pytest.mark.parametrize(
    "template",
    [
        "{{ x }}",
        "{{ x | upper }}",
        "{{ x | string }}",
        "{{ x | trim | title | truncate(5) }}",
        "{{ x ~ ' mugs' }}",
        "{{ 'mugs ' ~ (x | lower) }}",
        "{{ x[:3] }}",
        "{{ x[0] }}",
        "{% if x > 'a' %}yes{% endif %}",
        "{% if 'a' in x %}yes{% endif %}",
        "{{ x or none }}",
        "{{ x if true }}",
        "{{ x | default(none) }}",
    ],
)
def test_a_null_never_becomes_a_word(job: Job, template: str) -> None:
    lines, [(reason, _)] = worded(job, f"Of {template}", x=["Halden", None])
    assert len(lines) == 1
    assert reason == "null_slot"


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ x | join(', ') }}", ["a", None]),
        ("{{ x | join(', ') }}", None),
        ("{{ x | sort | join }}", ["a", None]),
        ("{{ x | first }}", [None]),
        ("{{ x | last | upper }}", ["a", None]),
        ("{{ x | unique | list | reverse | join }}", ["a", None]),
        ("{% for item in x %}{{ item }}{% endfor %}", ["a", None]),
        ("{% for item in x %}{{ item }}{% endfor %}", None),
        ("{% for item in x %}{{ item ~ ',' }}{% endfor %}", ["a", None]),
        ("{{ x | length }}", None),
        ("{{ x.brand }}", {"brand": None}),
        ("{{ x.brand }}", None),
        ("{{ x.brand | upper }}", {"brand": None}),
        ("{{ x['brand'] ~ '' }}", {"brand": None}),
        ("{{ x.maker.name | title }}", {"maker": {"name": None}}),
        ("{{ x | join(', ', attribute='brand') }}", [{"brand": "a"}, {"brand": None}]),
    ],
)
def test_a_null_in_a_list_or_struct_never_becomes_a_word(job: Job, template: str, value: Any) -> None:
    full: Any = {"brand": "a", "maker": {"name": "b"}} if "x." in template or "x[" in template else ["a"]
    full = [{"brand": "a"}] if "attribute" in template else full
    _, rejects = worded(job, f"Of {template}", x=[full, value])
    assert [reason for reason, _ in rejects] == ["null_slot"]


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("{% if x %}{{ x }}{% else %}-{% endif %}", "-"),
        ("{% if x | trim %}{{ x }}{% else %}-{% endif %}", "-"),
        ("{% if x is none %}-{% endif %}", "-"),
        ("{% if x == 'None' or x | lower == 'none' %}None{% else %}-{% endif %}", "-"),
        ("{{ x or '-' }}", "-"),
        ("{{ x | default('-') }}", "-"),
        ("{{ x | upper | default('-') }}", "-"),
    ],
)
def test_a_template_may_ask_for_a_null_and_stand_in_for_it(job: Job, template: str, line: str) -> None:
    assert worded(job, template, x=pa.array([None], pa.string())) == ([line], [])


@pytest.mark.parametrize(
    ("values", "printed"),
    [
        (pa.array(["82.60", "25.00"]).cast(pa.decimal128(10, 2)), ["82.60", "25.00"]),
        (pa.array(["1.000", "90.8600", "0.1250"]).cast(pa.decimal128(10, 4)), ["1.00", "90.86", "0.125"]),
        (pa.array(["4.5", "4.0"]).cast(pa.decimal128(2, 1)), ["4.5", "4.0"]),
        (pa.array(["0", "0.00000001"]).cast(pa.decimal128(18, 8)), ["0.00", "0.00000001"]),
        (pa.array([str(10**37), "6"]).cast(pa.decimal128(38, 0)), [str(10**37), "6"]),
        (pa.array(["6", "-7"]).cast(pa.decimal128(38, 0)), ["6", "-7"]),
        (pa.array([82.6, 0.1, 3.0], pa.float32()), ["82.6", "0.1", "3.0"]),
        (pa.array([82.6, 1e22, 1e-7, 0.1]), ["82.6", "1" + "0" * 22, "0.0000001", "0.1"]),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
    ],
)
@pytest.mark.parametrize(
    "template", ["{{ x }}", "{{ x | string }}", "{{ x ~ '' }}", "{{ y | join }}", "{{ z.x | trim }}"]
)
def test_a_number_is_printed_as_a_shop_writes_it(
    job: Job, values: pa.Array, printed: list[str], template: str
) -> None:
    offsets = pa.array(range(len(values) + 1), pa.int32())
    lists = pa.ListArray.from_arrays(offsets, values)
    structs = pa.StructArray.from_arrays([values], ["x"])
    assert worded(job, template, x=values, y=lists, z=structs) == (printed, [])


@pytest.mark.parametrize("kind", [pa.decimal128(10, 2), pa.decimal128(18, 6), pa.float64(), pa.float32()])
def test_a_number_is_compared_by_its_digits(job: Job, kind: pa.DataType) -> None:
    template = (
        "{% if x == 0.1 and x >= 0.1 and x <= y and 0.1 < 1 and not x > 0.1 and x != 0.2 %}{{ x }}{% endif %}"
    )
    prices = pa.array(["0.10"]).cast(kind)
    (line,), _ = worded(job, template, x=prices, y=[0.1])
    assert float(line) == 0.1


def test_what_is_no_number_is_null(job: Job) -> None:
    lines, rejects = worded(job, "{{ x }}", x=[1.5, float("nan"), float("inf")])
    assert (lines, rejects) == (["1.5"], [("null_slot", None)] * 2)


def test_a_date_that_python_does_not_know_is_null(job: Job) -> None:
    days = pa.array([0, 2**31 - 1, -(2**31) + 1], pa.int32()).cast(pa.date32())
    times = pa.array([0, 2**63 - 1, -(2**63) + 1]).cast(pa.timestamp("us", "UTC"))
    lines, rejects = worded(job, "{{ x }} {{ y[0] }}", x=days, y=[[time] for time in times])
    assert lines == ["1970-01-01 1970-01-01 00:00:00+00:00"]
    assert rejects == [("null_slot", None)] * 2


def test_gains_reach_the_target_as_they_are(tmp_path: Path, job: Job) -> None:
    template = tmp_path / "templates" / "ranking" / "t.j2"
    template.parent.mkdir()
    template.write_text("{{ query }}\n{{ listing }}", encoding="utf-8")
    ranking = replace(job, task_type=TaskType.RANKING, metric="ndcg", template=template)
    gains = ["0.35", "0.82", "1.00"]
    for kind in (pa.decimal128(10, 2), pa.float32(), pa.float64()):
        lists = pa.ListArray.from_arrays(pa.array([0, 3], pa.int32()), pa.array(gains).cast(kind))
        plain = {"candidates": ["Red mug", "Blue mug", "Green mug"]} | row(1)
        examples, _ = word(batch(plain).append_column("gains", lists), ranking)
        assert sorted(examples["target"][0].as_py().strip("[]").split(", ")) == ["0.35", "0.82", "1.0"]


@pytest.mark.parametrize(
    ("template", "wrap"),
    [
        ("{{ x }}", lambda text: text),
        ("{{ x[0] }}", lambda text: [text]),
        ("{{ x.a }}", lambda text: {"a": text}),
        ("{{ x[0].a }}", lambda text: [{"a": text}]),
        ("{{ x.a[1] }}", lambda text: {"a": ["b", text]}),
        ("{{ x[0][0].a.b }}", lambda text: [[{"a": {"b": text}}]]),
    ],
)
def test_a_text_is_one_line_and_counted_however_deep_it_lies(job: Job, template: str, wrap: Any) -> None:
    lines, rejects = worded(job, template, x=[wrap("Red\n\n0. third\u2028end"), wrap("x" * SLOT_CHARACTERS)])
    assert (lines, rejects) == (["Red 0. third end"], [("too_long", None)])


def test_texts_of_a_map_are_one_line_and_counted(job: Job) -> None:
    kind = pa.map_(pa.string(), pa.string())
    maps = pa.array([[("a", "b\nc")], [("d", "x" * SLOT_CHARACTERS)]], kind)
    lines, rejects = worded(job, "{% for pair in x %}{{ pair[0] }}: {{ pair[1] }}{% endfor %}", x=maps)
    assert (lines, rejects) == (["a: b c"], [("too_long", None)])


def test_texts_of_a_union_are_one_line_and_counted(job: Job) -> None:
    texts = pa.array(["b\nc", None, "x" * SLOT_CHARACTERS])
    union = pa.UnionArray.from_sparse(
        pa.array([0, 1, 0], pa.int8()), [texts, pa.array([None, 7, None])], ["a", "n"]
    )
    lines, rejects = worded(job, "{{ x }}", x=union)
    assert (lines, rejects) == (["b c", "7"], [("too_long", None)])


def test_nested_nulls_and_slices_stay_where_they_are(job: Job) -> None:
    values: list[Any] = [{"a": ["x", None]}, None, {"a": None}, {"a": []}, {"a": ["y\nz"]}]
    whole = pa.array([{"a": ["cut"]}, *values])
    template = "{% if x and x.a %}{{ x.a[0] }}{% else %}-{% endif %}"
    assert worded(job, template, x=whole.slice(1)) == (["x", "-", "-", "-", "y z"], [])


def test_an_explanation_follows_the_number_that_the_grader_reads(job: Job) -> None:
    rows = [row(1, explanation="6 x 2 = 12,\nso twelve."), row(2, explanation=None), row(3)]
    examples, _ = word(batch(*rows), job)
    answers = dict(zip(examples["key"].to_pylist(), examples["answer"].to_pylist(), strict=True))
    targets = dict(zip(examples["key"].to_pylist(), examples["target"].to_pylist(), strict=True))
    assert answers["us/1"] == f"{targets['us/1']}\n6 x 2 = 12, so twelve."
    assert answers["us/2"] == targets["us/2"]
    assert not any(
        "twelve" in text for name in ("prompt", "fields", "gold") for text in map(str, examples[name])
    )
