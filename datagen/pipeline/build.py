"""The build of a data set: its stages in order, and nothing else.

    draw       a task's query -> a file of its rows              (sampling)
    word       batches of it  -> examples and rejects            (render and filters, in worker processes)
    keep       all examples   -> reasons against some            (worded, selection, quotas)
    rewrite    a share of them -> new prompts by a teacher       (rewriting)
    write      kept, rejected -> data, rejects                   (shards, in worker processes)
    publish    moved to the run's folder; the manifest is written last             (publish)

Every file is renamed into place when it is whole, so a killed build goes on where it stopped. The first two
leave theirs for the next build (kept_work).
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from datagen.console.progress import Progress, Say
from datagen.errors import UserError
from datagen.pipeline import rewriting, selection, shards, steps
from datagen.pipeline.evaluation import evaluations_of_tests, own_tests
from datagen.pipeline.lockfile import replaces
from datagen.pipeline.plan import Plan, plan_of, prepare
from datagen.pipeline.publish import publish
from datagen.pipeline.quotas import Supply
from datagen.pipeline.render import ready
from datagen.pipeline.rewriting import LEDGER, rewriter_of
from datagen.pipeline.sampling import SIDES, Cell, draw, read_drawn
from datagen.pipeline.shards import Part
from datagen.pipeline.shared_tables import shared, turns
from datagen.pipeline.worded import Worded
from datagen.pipeline.workers import finish, pool
from datagen.recipe.load import fingerprint
from datagen.recipe.model import Loaded
from datagen.reject_reasons import NOT_RENDERED
from datagen.sources.database import SPILL_PREFIX, Seeds, open_seeds
from datagen.sources.query import columns_of
from datagen.storage.files import batches, full_disk, read_arrow, write_arrow, write_json
from datagen.storage.folder_lock import held
from datagen.storage.manifest import MANIFEST, read_manifest
from datagen.teacher.ask import Ask, Reply
from datagen.teacher.client import asked

ROUNDS = 3
"""How often the reserve is drawn from, where duplicates leave too few rows."""

LACKING = 0.01
"""Share of a mixture's rows that have to lack for another round: below, neighbours' spare rows do."""

PASSING = 0.97
"""Of a mixture's rows in words, the share that is likely to be no duplicate of another."""


def build(
    recipe: Loaded,
    seeds: Path,
    runs: Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """Build `recipe` from the seeds below `seeds` into `runs/<recipe name>`; gives the manifest.

    A run that is already built from the same recipe, templates, seeds and version is left as it is;
    another one is replaced at the end, after a line to `say`.
    Raises UserError where the recipe, the seeds or the disk do not allow it.
    """
    cores = workers or os.cpu_count() or 1
    report = progress or (lambda stage, done, total: None)
    run = runs / recipe.name
    with full_disk(run), held(run, f"{run} is being built"):
        for spilt in run.glob(f"{SPILL_PREFIX}*"):  # by a build that was killed
            shutil.rmtree(spilt, ignore_errors=True)
        recipe, filled = steps.fill(recipe, seeds, runs, threads=cores, spill=run, progress=report, say=say)
        plan = plan_of(recipe, run, seeds, filled)
        if (run / MANIFEST).is_file():
            manifest = _readable_manifest(run)
            same = manifest and manifest["fingerprint"] == fingerprint(plan.lock)
            if manifest and same and not rewriting.may_ask_more(recipe, manifest["steps"]):
                shutil.rmtree(plan.work, ignore_errors=True)  # of a build killed right at its end
                return manifest
            say(replaces(run, manifest, plan.lock))
        prepare(plan)
        with pool(cores, sum(task.rows for task in recipe.tasks.values())) as executor:
            for _ in range(cores):  # workers start while the first query runs, which leaves cores idle
                executor.submit(ready)
            made = Worded(plan, executor, report)
            missing = {
                name: recipe.tasks[name].query
                for name, path in plan.kept.drawn.items()
                if not path.is_file() or not path.with_suffix(".json").is_file()
            }
            tests = {name: path for name, path in plan.kept.tests.items() if not path.is_file()}
            if missing or tests:
                with open_seeds(
                    *(recipe.sources, seeds, recipe.seed),
                    tables=recipe.tables,
                    filled=filled.tables,
                    threads=cores,
                    spill=run,
                    columns=runs / "seeds" / "columns",
                    say=say,
                ) as opened:
                    _draw_and_word(plan, opened, missing, made)
                    for source, path in tests.items():
                        write_json({"texts": own_tests(opened, source)}, path)
            else:
                _draw_and_word(plan, None, {}, made)
            plan.evaluations.extend(evaluations_of_tests(plan.kept.tests))
            if not made.parts:
                raise UserError(_nothing_kept(plan, made.parts))
            supply = Supply.of(plan.drawn, recipe.groups)
            _word_more(plan, supply, made)
            for fault in _faults(plan, made.parts):
                say(fault)
            ids, quotas = _keep(plan, supply, made)
            _write_anew(plan, made, say)
            _write(plan, made.parts, ids, executor, report)
            return publish(plan, supply, quotas, made)


def _readable_manifest(run: Path) -> dict[str, Any] | None:
    """The manifest of a finished run; None for one of another version, or damaged: it is built anew."""
    try:
        return read_manifest(run)
    except UserError:
        return None


def _draw_and_word(plan: Plan, opened: Seeds | None, missing: Mapping[str, str], made: Worded) -> None:
    """Run the queries one by one while workers render batches already drawn."""
    recipe = plan.recipe
    of_tasks = turns(opened, missing) if opened else {}
    for number, (name, path) in enumerate(plan.kept.drawn.items()):
        made.report("query", number, len(plan.jobs))
        path.parent.mkdir(parents=True, exist_ok=True)
        if opened and name in missing:
            sql, rows, test = missing[name], recipe.tasks[name].rows, recipe.split.test
            with shared(opened, name, of_tasks[name]):
                columns = list(columns_of(opened.of(name), sql))
                draw(*(opened, name, sql, columns, rows, test, path), reserve=True, mixed=bool(recipe.groups))
        drawn = plan.drawn[name] = read_drawn(path)
        reserve = {number for numbers in drawn.reserve.values() for number in numbers}
        for batch in range(batches(path)):
            if batch not in reserve:
                made.add(name, batch)
    made.report("query", len(plan.jobs), len(plan.jobs))


def _word_more(plan: Plan, supply: Supply, made: Worded) -> None:
    """Draw from the reserve what tasks lack, in rows and then in words."""
    for task, batch in supply.take(supply.lacking(supply.in_sight())):
        made.add(task, batch)
    made.wait()
    passing = PASSING if supply.groups else 1
    while True:
        worded: Counter[Cell] = Counter()
        for part in made.parts:
            for found in read_arrow(part.examples)["side"].value_counts().to_pylist():
                worded[part.task, found["values"]] += found["counts"]
        more = supply.take(supply.lacking({cell: int(rows * passing) for cell, rows in worded.items()}))
        if not more:
            return
        for task, batch in more:
            made.add(task, batch)
        made.wait()


def _keep(plan: Plan, supply: Supply, made: Worded) -> tuple[dict[str, list[str]], dict[Cell, int]]:
    """Decide which examples stay; gives the sorted ids of those, by side, and the rows of each task."""
    made.report("keep", 0, 1)
    for left in reversed(range(ROUNDS)):
        examples = pa.concat_tables([_sided(part) for part in made.parts])
        repeats = made.repeats()
        if plan.evaluations:
            repeats = selection.decontaminated(repeats, made.contaminated())
        repeats = selection.same_prompts(examples, repeats, made.prompts())
        decisions = selection.decide(examples, repeats, plan.recipe.max_per_key)
        passed = selection.counted(examples, decisions)
        lacking = supply.lacking(passed)
        enough = LACKING * sum(supply.wanted.values()) if supply.groups else 0
        if not left or sum(lacking.values()) <= enough:
            break
        for task, batch in supply.take(lacking):
            made.add(task, batch)
        made.wait()
    quotas = supply.quotas(passed)
    decisions = selection.trimmed(examples, decisions, quotas)
    start = 0
    for part in made.parts:
        rows = read_arrow(part.examples).num_rows
        write_arrow(decisions.slice(start, rows), part.reasons)
        start += rows
    kept = examples.select(["id", "side"]).filter(decisions["reason"].is_null()).sort_by("id")
    ids = {side: kept["id"].filter(pc.equal(kept["side"], side)).to_pylist() for side in SIDES}
    made.report("keep", 1, 1)
    return ids, quotas


def _write_anew(plan: Plan, made: Worded, say: Say) -> None:
    """Have a teacher write a share of the prompts anew, where the recipe says so and there is one."""
    recipe = plan.recipe
    if recipe.rewrite is None:
        return
    teacher, ledger = rewriter_of(recipe), plan.run.parent / LEDGER
    missing = rewriting.missing(recipe, plan.run.parent)
    if missing:
        say(f"rewrite: no prompt is written anew: {missing}")
        return

    def asking(asks: Iterable[Ask]) -> Iterator[Reply]:
        return asked(teacher, asks, ledger, recipe=recipe.name, progress=made.report, say=say)

    made.parts = rewriting.rewrite(
        *(made.parts, plan.jobs, plan.kept.worded, teacher, asking),
        *((plan.kept.folder / "rewritten", plan.work / "rewritten"), made.executor),
    )


def _sided(part: Part) -> pa.Table:
    table = read_arrow(part.examples).select(["id", "side", "groups"])
    return table.append_column("task", pa.repeat(part.task, table.num_rows))


def _write(
    plan: Plan, parts: list[Part], ids: dict[str, list[str]], executor: Executor, report: Progress
) -> None:
    """Write shards and rejects; those that are there already are left."""
    if not any(ids.values()):
        raise UserError(_nothing_kept(plan, parts))
    futures = []
    for side, of_side in ids.items():
        bounds = shards.shard_bounds(of_side)
        for number, bound in enumerate(bounds):
            path = plan.work / "data" / f"{side}-{number:05}-of-{len(bounds):05}.parquet"
            path.parent.mkdir(exist_ok=True)
            if not path.is_file():
                futures.append(executor.submit(shards.write_shard, path, side, bound, parts, plan.constants))
    for task in plan.jobs:
        path = plan.work / "rejects" / f"{task}.parquet"
        path.parent.mkdir(exist_ok=True)
        own = [part for part in parts if part.task == task]
        if not path.is_file() and shards.has_rejects(own):
            futures.append(executor.submit(shards.write_rejects, path, task, own))
    finish(futures, partial(report, "write"))


def _faults(plan: Plan, parts: list[Part]) -> list[str]:
    """For each task whose template fails on all rows that reach it, where and why: no row is to blame."""
    faults = []
    for task, job in plan.jobs.items():
        own = [part for part in parts if part.task == task]
        if not own or any(read_arrow(part.examples).num_rows for part in own):
            continue
        rejects = pa.concat_tables([read_arrow(part.rejects) for part in own])
        details = rejects.filter(pc.equal(rejects["reason"], NOT_RENDERED))["detail"]
        if len(details):
            faults.append(f"{job.template}: task {task}: the template cannot be rendered: {details[0]}")
    return faults


def _nothing_kept(plan: Plan, parts: list[Part]) -> str:
    drawn = sum(sum(of_task.drawn.values()) for of_task in plan.drawn.values())
    reasons: Counter[str] = Counter()
    for part in parts:
        for path in (part.rejects, part.reasons):
            reasons.update(filter(None, read_arrow(path)["reason"].to_pylist()))
    why = (
        ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        or "the queries give no rows"
    )
    return ". ".join(
        (
            f"recipe {plan.recipe.name}: no row was kept of {drawn} drawn ({why})",
            *_faults(plan, parts),
            f"`datagen preview {plan.recipe.name}` "
            + ("shows single rows" if reasons else "counts what they read, with the same `--seeds`"),
        )
    )
