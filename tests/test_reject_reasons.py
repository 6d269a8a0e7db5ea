"""The reject reasons: each that the code gives is explained, and each explained one is given."""

import re
from pathlib import Path

from datagen import dedup, tasks
from datagen.pipeline import filters, selection
from datagen.reject_reasons import REASONS, SPARE, STAGES, explain, stage_of

PACKAGE = Path(tasks.__file__).parents[1]


def given() -> set[str]:
    """Codes of all `Reject`s in the package, and those that the stages on whole columns use."""
    raised = {
        code
        for path in PACKAGE.rglob("*.py")
        for code in re.findall(r'Reject\("(\w+)"\)', path.read_text("utf-8"))
    }
    noted = {
        code
        for module in (dedup, filters, selection)
        for code in re.findall(r"^    (\w+)  +\w", module.__doc__ or "", re.MULTILINE)
    }
    returned = set(re.findall(r'return "(\w+)"', Path(tasks.__file__).read_text("utf-8")))
    return raised | noted | returned


def test_every_reason_is_explained() -> None:
    codes = {"duplicate", "near_duplicate", "label_conflict", "answer_leaked"} | given()
    assert codes == set(REASONS)


def test_a_stage_knows_its_reasons() -> None:
    assert all(stage_of(code) == stage for stage, codes in STAGES.items() for code in codes)
    assert stage_of(SPARE) == list(STAGES)[-1]


def test_an_unknown_code_explains_itself() -> None:
    assert explain("too_blue") == "too blue"
