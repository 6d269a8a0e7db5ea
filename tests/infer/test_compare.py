"""The comparison of runs: who beats whom, and which difference is too small to tell."""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from datagen.errors import UserError
from datagen.schema import TaskType
from datagen.shopbench.questions import COPY, Asked, to_table
from infer.cli import main
from infer.scoring.compare import FEWEST, compare, differs, mark, notices, page, table, verdicts
from infer.scoring.score import plan, scores

_RNG = random.Random(7)
GOLD = [_RNG.randrange(4) for _ in range(300)]
QUESTIONS = [
    Asked(
        str(number),
        f"Which of these is <{number}>?\n0. a\n1. b\n2. c\n3. d\nAnswer:",
        True,
        f"task{number % 3}",
        TaskType.MULTIPLE_CHOICE,
        "reasoning",
        "accuracy",
        gold,
        "en",
    )
    for number, gold in enumerate(GOLD)
]


def right_in(share: float) -> list[str]:
    """Answers of which a share is right, spread evenly over tasks; the others are wrong."""
    return [
        str(gold if (number // 3) % 100 < 100 * share else (gold + 1) % 4) for number, gold in enumerate(GOLD)
    ]


def run(folder: Path, answers: Sequence[str], questions: Sequence[Asked] = QUESTIONS, **about: Any) -> Path:
    (folder / "answers").mkdir(parents=True)
    pq.write_table(to_table(questions), folder / COPY)
    rows = pa.table({"id": [question.id for question in questions][: len(answers)], "raw": list(answers)})
    pq.write_table(rows, folder / "answers" / "00000.parquet")
    (folder / "run.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    about: dict[str, Any] = {
        "seconds": 12.5,
        "answered": 300,
        "peak_memory_gib": 3.4,
        "constrained": True,
        "model": {"path": "m"},
    }
    return [
        run(tmp_path / "base", ["1"] * 300, **about),
        run(tmp_path / "tuned", right_in(0.8), **about, choose="text"),
        run(tmp_path / "twin", right_in(0.8)),
    ]


def test_the_table_says_who_beats_whom(three: list[Path]) -> None:
    found = compare(three)
    text = table(found)
    base, tuned, twin, *changes = verdicts(found)
    assert base.startswith("base does not beat the best trivial answers over all: ")
    assert base.endswith("it does not beat them in multiple_choice")
    assert tuned.startswith("tuned beats the best trivial answers over all: 0.800 [")
    assert changes[0].startswith("tuned is better than base over all: +0.")
    assert all(line in text for line in (base, tuned, twin, *changes))
    overall = found.rows[0]
    assert [mark(overall, place) for place in range(3)] == ["=", "+", "+"]
    assert [row.group for row in found.rows] == ["over all", "track", "task type", "task", "task", "task"]
    assert [row.questions for row in found.rows] == [300, 300, 300, 100, 100, 100]


def test_equal_runs_cannot_be_told_apart(three: list[Path]) -> None:
    found = compare([three[1], three[2]])
    assert verdicts(found)[-1] == "twin cannot be told from tuned over all: +0.000 [+0.00, +0.00]"
    assert mark(found.rows[0], 1) == ""


def test_a_difference_is_judged_question_by_question() -> None:
    """Five questions in a hundred more are sure where all others are answered alike, but not by intervals."""
    planned = plan(QUESTIONS)
    low, high = (of.overall for of in scores(planned, [right_in(0.5), right_in(0.55)]))
    assert low.high > high.low
    assert differs(low, high) == 1
    assert differs(high, low) == -1


def test_few_questions_are_not_marked(tmp_path: Path) -> None:
    few = QUESTIONS[: FEWEST - 1]
    golds = [str(question.target) for question in few]
    found = compare([run(tmp_path / "a", ["x"] * len(few), few), run(tmp_path / "b", golds, few)])
    assert mark(found.rows[0], 1) == ""


def test_one_run_is_compared_with_trivial_answers(three: list[Path]) -> None:
    assert "tuned beats the best trivial answers" in table(compare([three[1]]))


def test_runs_are_compared_on_what_both_were_asked(three: list[Path], tmp_path: Path) -> None:
    short = run(tmp_path / "short", right_in(0.8)[:90], QUESTIONS[:90])
    found = compare([three[1], short])
    assert found.rows[0].questions == 90
    assert notices(found) == ["compared on the 90 questions that all were asked; some had 210 more"]
    other = [QUESTIONS[0].__class__("x", "?", True, "", TaskType.MULTIPLE_CHOICE, "", "accuracy", 1, None)]
    with pytest.raises(UserError, match="no question in common"):
        compare([three[1], run(tmp_path / "other", ["1"], other)])
    same_id = [QUESTIONS[0].__class__("1", "?", True, "", TaskType.MULTIPLE_CHOICE, "", "accuracy", 1, None)]
    with pytest.raises(UserError, match="other questions under the same ids"):
        compare([three[1], run(tmp_path / "same", ["1"], same_id)])


def test_missing_answers_are_told(tmp_path: Path) -> None:
    found = compare([run(tmp_path / "cut", right_in(1.0)[:200])])
    assert notices(found) == ["cut: 100 questions have no answer: each counts as empty"]
    assert found.rows[0].runs[0].score == pytest.approx(2 / 3, abs=0.01)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run of infer"):
        compare([tmp_path])


@pytest.mark.parametrize("content", ["[]", '{"seconds":'])
def test_a_half_written_record_is_named(tmp_path: Path, content: str) -> None:
    folder = run(tmp_path / "run", ["1"] * 300)
    (folder / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=rf"{folder}/run\.json: not .* Remove {folder}, or name another"):
        compare([folder])


def test_the_page_tells_who_chose_by_text(three: list[Path]) -> None:
    text = page(compare(three))
    assert text.count("<td>constrained</td>") == text.count("<td>constrained, options by text</td>") == 1


def test_the_page_is_written_into_a_new_folder(tmp_path: Path) -> None:
    place = tmp_path / "new" / "page.html"
    few = run(tmp_path / "run", ["1"] * 3, QUESTIONS[:3])
    result = CliRunner().invoke(main, ["compare", str(few), "--page", str(place)], catch_exceptions=False)
    assert result.exit_code == 0
    assert place.is_file()


def test_a_page_that_cannot_be_written_is_said_in_a_line(three: list[Path]) -> None:
    place = three[0] / "run.json" / "page.html"
    result = CliRunner().invoke(main, ["compare", str(three[0]), "--page", str(place)])
    assert result.exit_code == 1
    assert f"error: {place}: cannot be written (" in result.stderr


def test_runs_of_one_name_are_told_by_their_folders(three: list[Path], tmp_path: Path) -> None:
    again = run(tmp_path / "elsewhere" / "tuned", right_in(0.3))
    names = [of.name for of in compare([three[1], again]).runs]
    assert names == [f"{tmp_path.name}/tuned", "elsewhere/tuned"]


def test_the_command_prints_a_table_and_writes_a_page(three: list[Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["compare", *map(str, three)], catch_exceptions=False)
    assert (result.exit_code, result.stderr) == (0, "")
    assert click.unstyle(table(compare(three))) in result.stdout
    assert (tmp_path / "compare.html").read_text(encoding="utf-8") == page(compare(three))


def test_the_command_prints_an_object_that_is_not_rounded(three: list[Path], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["compare", *map(str, three), "--json"], catch_exceptions=False)
    assert result.stderr == f"\n{tmp_path}/compare.html shows it\n"
    printed, found = json.loads(result.stdout), compare(three)
    assert list(printed) == ["best trivial", "base", "tuned", "twin"]
    for name, of in zip(printed, [found.trivial.scores, *found.scores], strict=True):
        assert printed[name]["overall"] == {
            "score": of.overall.score,
            "low": of.overall.low,
            "high": of.overall.high,
        }
        for group, values in (("tracks", of.tracks), ("task_types", of.task_types), ("tasks", of.tasks)):
            assert {key: value["score"] for key, value in printed[name][group].items()} == {
                key: value.score for key, value in values.items()
            }
    base, tuned, twin = (printed[name]["overall"]["score"] for name in ("base", "tuned", "twin"))
    gain = printed["tuned"]["changes"]
    assert set(gain) == {"best trivial", "base", "twin"}
    assert gain["base"]["score"] == pytest.approx(tuned - base)
    assert gain["base"]["low"] < tuned - base < gain["base"]["high"]
    assert gain["twin"]["score"] == pytest.approx(tuned - twin)
    task = printed["tuned"]["tasks"]["task1"]
    assert (task["score"], task["n"], task["metric"]) == (0.8, 100, "accuracy")
    assert 0.7 < task["low"] < 0.8 < task["high"] < 0.9


def test_the_page_stands_alone_and_shows_everything(three: list[Path]) -> None:
    found = compare(three)
    text = page(found)
    assert not re.search(r"<(script|link|img|iframe)|https?://|url\(|@import", text)
    for line in verdicts(found):
        assert line in text.replace("&#39;", "'")
    assert "12.5" in text
    assert "3.4" in text
    assert text.count("<svg") == len(found.rows)
    assert "tuned right, base wrong" in text
    assert "base right, tuned wrong" in text
    assert "is &lt;" in text  # a prompt is text, not markup
    assert page(compare(three)) == text


def test_tasks_of_one_question_each_leave_room_for_chance(tmp_path: Path) -> None:
    alone = [replace(question, task=f"task{number}") for number, question in enumerate(QUESTIONS[:30])]
    half = [str(gold if number % 2 else (gold + 1) % 4) for number, gold in enumerate(GOLD[:30])]
    found = compare([run(tmp_path / "base", ["9"] * 30, alone), run(tmp_path / "half", half, alone)])
    score = found.rows[0].runs[1]
    assert score.score == 0.5
    assert score.high - score.low == pytest.approx(
        4 * 0.5 / 30**0.5, abs=0.1
    )  # as of 30 questions of one task
    few = compare(
        [run(tmp_path / "one", ["9", "9"], alone[:2]), run(tmp_path / "two", [half[0], half[1]], alone[:2])]
    )
    assert "cannot be told from" in verdicts(few)[2]
