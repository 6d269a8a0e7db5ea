"""Reasons for rejects: those that the code gives are explained, and no others."""

import ast
import re
from pathlib import Path

from datagen import reject_reasons, tasks
from datagen.reject_reasons import CONTAMINATED, NOT_RENDERED, REASONS, SPARE, STAGES, explain, stage_of

PACKAGE = Path(reject_reasons.__file__).parent
MODULES = [path for path in PACKAGE.rglob("*.py") if path.name != "reject_reasons.py"]


def test_every_reject_is_explained() -> None:
    raised = {code for path in MODULES for code in re.findall(r'Reject\("(\w+)"\)', path.read_text("utf-8"))}
    problems = set(re.findall(r'return "(\w+)"', Path(tasks.__file__).read_text("utf-8")))
    assert raised | problems <= set(REASONS)


def test_every_explained_reason_stands_in_the_code() -> None:
    trees = [ast.parse(path.read_text("utf-8")) for path in MODULES]
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert set(REASONS) - {CONTAMINATED, NOT_RENDERED, SPARE} - texts == set()  # these by their constants


def test_a_stage_knows_its_reasons() -> None:
    assert all(stage_of(code) == stage for stage, codes in STAGES.items() for code in codes)
    assert stage_of(SPARE) == list(STAGES)[-1]


def test_an_unknown_code_explains_itself() -> None:
    assert explain("too_blue") == "too blue"
