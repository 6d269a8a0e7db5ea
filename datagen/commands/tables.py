"""The tables and summaries that the commands print."""

import math
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from datagen.commands.preview import TaskPlan, TaskPreview
from datagen.console.text import aside, block, heading, shortened, table, with_counts
from datagen.console.typed import typed
from datagen.recipe.model import Recipe
from datagen.reject_reasons import SPARE, explain, left_out
from datagen.reports.shortcuts import Measured
from datagen.teacher.ask import Teacher
from datagen.teacher.budget import BATCH_SHARE, price_date, price_of
from datagen.teacher.estimate import Estimate
from datagen.teacher.ledger import Spend

_NAMED = 5
"""Tasks that a line names."""


def previewed(found: TaskPreview) -> str:
    """One task's rows, and its rejects by reason with a key of each to look at."""
    title = f"{found.name}: {found.task.type.value}, {found.task.track.value}, {found.task.metric}"
    parts = [heading(title)]
    for row in found.rows:
        about = aside(f"{row.id}  {row.side}, {row.language}, wording {row.wording}")
        answer = f"{row.gold}   {aside(f'read as {row.read!r}, score {row.score:g}')}"
        parts.append("\n".join([about, block("asked", row.prompt, 8), block("gold", answer, 8)]))
    reasons = Counter(reason for _, reason in found.rejects)
    lines = [f"{len(found.rejects)} of {found.looked_at} rows looked at would be left out"]
    if not found.looked_at:
        lines = ["its query gives no rows from these seeds"]
    for reason, count in reasons.most_common():
        key = next(key for key, of in found.rejects if of == reason)
        why = found.details.get(key) or explain(reason)
        lines.append(f"  {reason} {count}, such as key {shortened(key, 60)}: {why}")
    if found.shortcuts:
        lines.append(_shortcuts(found.shortcuts))
    return "\n\n".join([*parts, "\n".join(lines)])


def _shortcuts(measured: Measured) -> str:
    """The shortcuts of a task in one line, the best first."""
    scores = [f"{family} {score:.2f} ({shortened(how, 50)})" for family, how, score in measured.found]
    dice = [f"dice {measured.chance:.2f}"] if measured.chance else []
    return f"shortcuts in {measured.rows:,} rows: " + ", ".join([*scores, *dice])


def planned(plans: Iterable[TaskPlan]) -> str:
    """The expected rows by task, and their totals."""
    plans = list(plans)
    headers = [
        "task",
        "query gives",
        "wanted",
        "pass",
        "train",
        "test",
        "tokens a row",
        "main reasons against",
    ]
    rows = sum(plan.rows for plan in plans)
    tokens = sum(plan.rows * plan.tokens for plan in plans)
    size = sum(plan.rows * plan.size for plan in plans)
    looked_at = max((plan.looked_at for plan in plans), default=0)
    return "\n".join(
        [
            table(headers, [_plan_row(plan) for plan in plans]),
            f"about {rows:,} rows, {_rough(tokens).strip()} tokens, {_rough(size)}B of Parquet",
            aside(f"Judged by up to {looked_at} rows a task; duplicates show only when all rows are there."),
        ]
    )


_SHORT_SHOWN = 8
"""Tasks with too few rows of which it says why."""

_ROWS_SHOWN = 60
"""Tasks that a build lists; those of larger mixtures are added up by recipe."""


def built(manifest: Mapping[str, Any], recipe: Recipe, run: Path, seconds: float | None) -> str:
    """What a build kept and left out, and where it lies; `seconds` None where it was built before."""
    tasks = {name: manifest["tasks"][name] for name in recipe.tasks}
    kept = sum(sum(task["kept"].values()) for task in tasks.values())
    done = (
        f"built in {seconds:.1f} s" if seconds is not None else "already built from the same recipe and seeds"
    )
    headers = ["task", "wanted", "train", "test", "spare", "left out", "main reasons"]
    rows = _task_rows(tasks)
    if len(rows) > _ROWS_SHOWN:
        headers[0], rows = "recipe", _by_recipe(rows, tasks)
    lines = [heading(f"{recipe.name}: {kept:,} rows, {done}"), table(headers, rows)]
    short = [f"{name}: {why}" for name, task in tasks.items() if (why := _shortfall(task))]
    lines += short[:_SHORT_SHOWN]
    if len(short) > _SHORT_SHOWN:
        lines.append(f"{len(short) - _SHORT_SHOWN} more tasks have fewer rows than wanted, too")
    if dry := next((name for name, task in tasks.items() if not any(task["available"].values())), None):
        seeds = "" if manifest["made_up"] else " --seeds DIR"
        preview = f"{_command()} preview {recipe.name} --task {dry}{seeds}"
        lines.append(f"`{preview}` counts the rows that such a query reads")
    wanted = sum(sum(task["wanted"].values()) for task in tasks.values())
    if kept < wanted and len(tasks) > 1:
        lines.append(f"{kept:,} of {wanted:,} rows: {wanted - kept:,} are missing in all")
    more = {name: rows for name, task in tasks.items() if (rows := sum(task["taken_over"].values()))}
    if more:
        most = sorted(more, key=lambda name: -more[name])[:_NAMED]
        others = f" and {len(more) - _NAMED} more" if len(more) > _NAMED else ""
        lines.append(
            f"{sum(more.values()):,} rows that tasks lack were taken over by others: "
            + with_counts({name: more[name] for name in most})
            + others
        )
    if manifest["contaminated"]:
        of_sets = with_counts(manifest["contaminated"])
        lines.append(f"contaminated rows ask what these evaluation sets ask: {of_sets}")
    if manifest["made_up"]:
        lines.append("its seeds are the made-up shop: good for trying things out, not for training")
    history = f"`{_command()} show ID --run {run}` shows the history of a row"
    lines += [
        f"{run}/report.html shows it, {history}. To use it:",
        f'  datasets.load_dataset("{run}")',
    ]
    return "\n".join(lines)


def costs(teacher: Teacher, estimates: Sequence[Estimate]) -> str:
    """What asking a teacher will cost, by step, before anything is asked."""
    headers = ["step", "asks", "in the ledger", "tokens in", "tokens out", "a reply"]
    rows: list[list[Any]] = []
    for one in estimates:
        tokens = [one.tokens_in, one.tokens_out, f"{one.reply:,.0f} by {one.by}"]
        rows.append([one.step, one.asks, one.held, *tokens, one.usd, one.most_usd, one.batch_usd])
    whole = [*(sum(row[i] for row in rows) for i in range(1, 5)), ""]
    whole += [math.fsum(row[i] or 0.0 for row in rows) for i in range(6, 9)]
    if any(row[6] is None for row in rows):
        rows = [[*row[:6], "", "", ""] for row in rows]
        whole[5:] = ["", "", ""]
    how = f"prices of {price_date()}"
    if price_of(teacher) is None:
        how = f"the price of {teacher.model} is unknown: give it by {typed('--price', 'in,out')}"
    elif teacher.price is not None:
        how = "prices as given"
    elif teacher.local:
        how = "a server of your own: its tokens cost nothing"
    text = f"{teacher.model} at {teacher.server}: {how}. Nothing was asked, and nothing was paid"
    lines = [table([*headers, "$", "at most $", "by batch $"], [*rows, ["all", *whole]])]
    if any(one.by == "guess" for one in estimates):
        lines.append(
            aside("by guess: no reply of that step is known yet, so a quarter of the longest stands for it")
        )
    return "\n".join([*lines, aside(text)])


def over_limit(teacher: Teacher, estimates: Iterable[Estimate], spent: float) -> list[str]:
    """A line where the asks cost more than is allowed; `spent` are the recipe's dollars so far."""
    share = BATCH_SHARE if teacher.batch else 1.0
    usd = spent + share * math.fsum(one.usd or 0.0 for one in estimates)
    if teacher.max_cost_usd is None or usd <= teacher.max_cost_usd:
        return []
    enough = typed("--max-cost", f"{math.ceil(1.2 * usd)}")
    return [
        f"the limit is ${teacher.max_cost_usd:g}, and a whole build takes about ${usd:.2f}: it stops before"
        f" that, keeps what is paid for, and goes on with {enough}; fewer rows ({typed('--rows', '1000')})"
        " take less"
    ]


def spending(spends: Sequence[Spend]) -> str:
    """The teacher's replies by recipe, step and model, with what they cost."""
    if not spends:
        return "no reply yet: a build with a teacher asks for some, and they are kept here"
    headers = ["recipe", "step", "model", "replies", "tokens in", "tokens out", "$"]
    rows: list[list[Any]] = [
        [one.recipe, one.step, one.model, one.replies, one.tokens_in, one.tokens_out, one.usd]
        for one in spends
    ]
    rows.append(
        [
            "all",
            "",
            "",
            *(sum(row[i] for row in rows) for i in range(3, 6)),
            math.fsum(row[6] for row in rows),
        ]
    )
    lines = [table(headers, rows)]
    if imported := sum(one.imported for one in spends):
        lines.append(aside(f"imported, and not paid for here: {imported:,} replies"))
    if unpriced := sum(one.unpriced for one in spends):
        lines.append(aside(f"of unknown price, and not in the sum: {unpriced:,} replies"))
    return "\n".join(lines)


def _command() -> str:
    """`datagen` as it can be typed here: by its path where it is not on the PATH, as after `make data`."""
    beside = Path(sys.executable).with_name("datagen")
    if shutil.which("datagen") or not beside.is_file():
        return "datagen"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


def _plan_row(plan: TaskPlan) -> list[Any]:
    gives, wanted = sum(plan.available.values()), sum(plan.wanted.values())
    expected = [plan.expected["train"], plan.expected["test"]]
    return [
        plan.name,
        gives,
        wanted,
        f"{plan.share:.0%}",
        *expected,
        round(plan.tokens),
        _reasons(plan.reasons),
    ]


def _task_rows(tasks: Mapping[str, Any]) -> list[list[Any]]:
    rows = []
    for name, task in tasks.items():
        reasons = Counter(task["rejected"])
        spare = reasons.pop(SPARE, 0)
        kept = [task["kept"].get(side, 0) for side in ("train", "test")]
        rows.append([name, sum(task["wanted"].values()), *kept, spare, reasons.total(), _reasons(reasons)])
    return rows


def _by_recipe(rows: list[list[Any]], tasks: Mapping[str, Any]) -> list[list[Any]]:
    """The rows of a mixture's tasks, added up by the recipe that they come from."""
    sums: dict[str, list[int]] = {}
    reasons: dict[str, Counter[str]] = {}
    for (name, *numbers, _), task in zip(rows, tasks.values(), strict=True):
        recipe = name.rpartition(".")[0]
        sums[recipe] = [sum(pair) for pair in zip(sums.get(recipe, [0] * 5), numbers, strict=True)]
        reasons.setdefault(recipe, Counter()).update(task["rejected"])
    whole = ["all", *(sum(numbers) for numbers in zip(*sums.values(), strict=True)), ""]
    for counted in reasons.values():
        counted.pop(SPARE, 0)
    return [[name, *numbers, _reasons(reasons[name])] for name, numbers in sums.items()] + [whole]


def _shortfall(task: Mapping[str, Any]) -> str:
    """Why a task has fewer rows than wanted; nothing where it has them all."""
    kept, wanted, drawn, available = (
        sum(task[name].values()) for name in ("kept", "wanted", "drawn", "available")
    )
    if kept >= wanted:
        return ""
    short = f"{wanted - kept:,} row{'' if wanted - kept == 1 else 's'} fewer than wanted:"
    few = [
        side
        for side, number in task["wanted"].items()
        if number > task["available"][side] == task["drawn"][side]
    ]
    if few and task["rejected"].get(SPARE):
        given = ", ".join(f"{task['available'][side]:,} belong to {side}" for side in few)
        return f"{short} of the {available:,} rows that these seeds give, {given} by their groups or keys"
    lost = left_out(task["rejected"])
    if drawn == available:
        why = f", and {lost:,} of these were left out" if lost else ""
        return f"{short} its query gives {available:,} from these seeds{why}"
    spare = task["rejected"].get(SPARE)
    lacking = [side for side in task["wanted"] if task["kept"].get(side, 0) < task["wanted"][side]]
    if spare and len(lacking) == 1:
        other = next(side for side in task["wanted"] if side not in lacking)
        return (
            f"{short} {lost:,} of {drawn:,} drawn were left out, and the {spare:,} spare"
            f" belong to {other} by their groups or keys"
        )
    return (
        f"{short} {lost:,} of {drawn:,} drawn were left out, more than the spare ones make up for. "
        f"Its query gives {available - drawn:,} more: ask for more `rows`, or have it give only rows that "
        "can be kept"
    )


def _reasons(reasons: Mapping[str, int]) -> str:
    first = Counter(reasons).most_common(3)
    return ", ".join(f"{reason} {count:,}" for reason, count in first) + (", ..." if len(reasons) > 3 else "")


def _rough(number: float) -> str:
    """Two figures and a unit: 1234567 is `1.2 M`."""
    for unit in ("", "k", "M", "G"):
        if number < 1000 or unit == "G":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if number >= 10 or not unit else f"{number:.1f} {unit}"
