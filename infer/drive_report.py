"""The report on a drive: what was answered and how, and what all questions of the track would take."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datagen.console.text import duration
from datagen.schema import TaskType
from datagen.shopbench.limits import SECONDS_A_QUESTION, TRACKS
from datagen.shopbench.questions import Asked
from datagen.tasks import TASKS
from infer.serve.constraints import names_listed
from infer.serve.pace import BY_RULE, FAILED, SHORTENED, SPARE

SETTINGS = "submission.json"
LATE = "late"


class Times(NamedTuple):
    """Seconds of a drive: all, those of loading, and each batch's size with its own."""

    total: float
    loading: float | None
    batches: list[tuple[int, float]]


def summed(
    asked: Sequence[Asked], guesses: Sequence[Any], rows: Sequence[dict[str, Any]], times: Times
) -> dict[str, Any]:
    """Counts and times, as `run.json` keeps them."""
    by_id = {question.id: (question, guess) for question, guess in zip(asked, guesses, strict=True)}
    usable: dict[str, list[bool]] = {}
    for row in rows:
        question, guess = by_id[row["id"]]
        kind = question.task_type or guess.task_type
        usable.setdefault(kind.value, []).append(names_listed(guess, kind, TASKS[kind].parse(row["raw"])))
    slowest = max(times.batches, key=lambda batch: batch[1] / batch[0], default=None)
    return {
        "questions": {"rows": len(asked)},
        "finished": len(rows) == len(asked),
        "answered": len(rows),
        "left": len(asked) - len(rows),
        "late": sum(row["problem"] == LATE for row in rows),
        "shortened": sum(row["problem"] == SHORTENED for row in rows),
        "by_rule": sum(row["problem"] in (BY_RULE, FAILED) for row in rows),
        "unparsed": {kind: len(of) - sum(of) for kind, of in sorted(usable.items())},
        "parsed": {kind: sum(of) / len(of) for kind, of in sorted(usable.items())},
        "seconds": round(times.total, 1),
        "loading_seconds": None if times.loading is None else round(times.loading, 1),
        "slowest_batch": slowest and {"questions": slowest[0], "seconds": round(slowest[1], 2)},
        "seconds_a_question": {
            flag: round(sum(of) / len(of), 4)
            for flag, of in {
                name: [
                    row["seconds"]
                    for row in rows
                    if bool(by_id[row["id"]][0].is_multiple_choice) is is_choice
                ]
                for name, is_choice in (("multiple_choice", True), ("other", False))
            }.items()
            if of
        },
    }


def summary(done: dict[str, Any], run: Path) -> str:
    """The report on a drive."""
    limit = 60 * done["limit"]["minutes"]
    rows = done["questions"]["rows"]
    lines = [
        f"{run}: {done['answered']:,} of {rows:,} questions answered in {done['seconds']:,.0f} s of "
        f"{limit:,.0f} s"
        + (
            f", {done['loading_seconds']:.0f} s of them loading"
            if done["loading_seconds"] is not None
            else ""
        )
    ]
    if slowest := done["slowest_batch"]:
        lines.append(
            f"slowest batch: {slowest['questions']} questions in {slowest['seconds']:.1f} s, of "
            f"{SECONDS_A_QUESTION * slowest['questions']} s"
        )
    lines.append(f"late, so counted as empty: {done['late']:,}; left when time was up: {done['left']:,}")
    if done["shortened"] or done["by_rule"]:
        told = sum(done["limit"]["questions"].values())
        lines.append(
            f"answers that are shortened: {done['shortened']:,}; by rule, without the model: "
            f"{done['by_rule']:,}"
            + (
                f", as {told:,} questions are to come in {duration(limit)}, by {SETTINGS}. "
                "--time-limit gives these alone so long"
                if told > rows
                else ""
            )
        )
    unparsed = ", ".join(f"{kind} {count:,}" for kind, count in done["unparsed"].items())
    if unparsed:
        lines.append(f"answers that do not parse, or name what is not listed: {unparsed}")
    if told := _whole_track(done):
        lines.append(told)
    return "\n".join(lines)


def _whole_track(done: dict[str, Any]) -> str:
    """How long all questions of the track would take at this pace; empty where nothing tells."""
    track, pace = TRACKS.get(done["track"]), done["seconds_a_question"]
    if track is None or not pace:
        return ""
    choices = track.questions.get(TaskType.MULTIPLE_CHOICE, 0)
    counts = {"multiple_choice": choices, "other": sum(track.questions.values()) - choices}
    usual = sum(pace.values()) / len(pace)
    seconds = (done["loading_seconds"] or 0) + sum(
        count * pace.get(name, usual) for name, count in counts.items()
    )
    count = sum(counts.values())
    told = f"at this pace the {count:,} questions of {done['track']} take {duration(seconds)}"
    if seconds <= track.seconds:
        return f"{told} of its {duration(track.seconds)}"
    loading = done["loading_seconds"] or 0
    fit = max(0.0, (1 - SPARE) * track.seconds - loading) / (seconds - loading)
    return (
        f"{told}, and it has {duration(track.seconds)}: answers would be shortened, and where that does not "
        f"do up to {math.ceil((1 - fit) * count):,} of them be by rule"
    )
