"""Rendering of a batch: each row stands alone, and rejects are counted with their reasons."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datagen.errors import UserError
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
        ({"language": "fr"}, "no_wording_in_language"),
    ],
)
def test_what_cannot_be_asked_is_left_out_with_its_reason(
    job: Job, changes: dict[str, Any], reason: str
) -> None:
    examples, rejects = word(batch(row(1, **changes), row(2)), job)
    assert (examples["key"].to_pylist(), rejects["reason"].to_pylist()) == (["us/2"], [reason])


def test_a_template_that_cannot_print_a_value_names_the_row(job: Job) -> None:
    job.template.write_text(
        "{{ query | join(', ') | first | length | first }}\n{{ listing }}", encoding="utf-8"
    )
    with pytest.raises(UserError, match="row us/1: the template cannot be rendered"):
        word(batch(row(1, query=1.5)), job)
