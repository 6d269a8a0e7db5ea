"""The build of a data set: its stages in order, and nothing else.

    draw       a task's query -> work/drawn/<task>.arrow          (sampling)
    word       batches of it  -> work/parts/<task>/NNNNN.arrow    (render and filters, in worker processes)
    keep       all examples   -> work/reasons/<task>/NNNNN.arrow  (dedup, decontamination, selection)
    write      kept, rejected -> work/data, work/rejects          (shards, in worker processes)
    publish    moved to the run's folder; the manifest is written last

Every file is renamed into place when it is whole, so a killed build goes on where it stopped.
"""

import os
import shutil
from collections import Counter
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from datagen import dedup
from datagen.console.progress import Progress, Say
from datagen.dedup.decontaminate import Evaluation, contaminated
from datagen.errors import UserError
from datagen.pipeline import selection, shards
from datagen.pipeline.evaluation import read_evaluations
from datagen.pipeline.lockfile import LOCK, replaces
from datagen.pipeline.render import Job, job_of, ready, word_part
from datagen.pipeline.sampling import Drawn, draw, read_drawn
from datagen.pipeline.shards import Constants, Part
from datagen.pipeline.shared_tables import shared, turns
from datagen.pipeline.workers import finish, pool
from datagen.recipe.load import fingerprint, resolved
from datagen.recipe.model import Recipe
from datagen.reject_reasons import NOT_RENDERED
from datagen.reports import shortcuts
from datagen.reports.card import CARD, write_card
from datagen.reports.report import REPORT, write_report
from datagen.sources import SOURCES
from datagen.sources.database import SPILL_PREFIX, Seeds, open_seeds, sources_of
from datagen.sources.query import columns_of
from datagen.storage.files import batches, full_disk, read_arrow, write_arrow
from datagen.storage.folder_lock import held
from datagen.storage.manifest import MANIFEST, file_facts, read_manifest, shard_files, write_manifest

LIBRARIES = ("duckdb", "jinja2", "pyarrow", "rapidfuzz", "rensa")
"""Packages whose releases may change the bytes of a run."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The build as all stages see it: the recipe, the folders, and the job of each task."""

    recipe: Recipe
    run: Path
    work: Path
    jobs: dict[str, Job]
    constants: dict[str, Constants]
    lock: dict[str, Any]
    made_up: list[str]
    evaluations: list[Evaluation]
    drawn: dict[str, Drawn] = field(default_factory=dict)


def build(
    recipe: Recipe,
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
        with open_seeds(
            *(recipe.sources, seeds, recipe.seed),
            tables=recipe.tables,
            threads=cores,
            spill=run,
            columns=runs / "seeds" / "columns",
            say=say,
        ) as opened:
            plan = _plan(recipe, run, opened, read_evaluations(recipe, opened))
            if (run / MANIFEST).is_file():
                manifest = _readable_manifest(run)
                if manifest and manifest["fingerprint"] == fingerprint(plan.lock):
                    shutil.rmtree(plan.work.parent, ignore_errors=True)  # of a build killed right at its end
                    return manifest
                say(replaces(run, manifest, plan.lock))
            _drop_other_work(plan.work)
            with pool(cores, sum(task.rows for task in recipe.tasks.values())) as executor:
                for _ in range(cores):  # workers start while the first query runs, which leaves cores idle
                    executor.submit(ready)
                parts, worded = _draw_and_word(plan, opened, executor, report)
                if not parts:
                    raise UserError(_nothing_kept(plan, parts))
                texts = _read(plan, parts, worded, report)
                for fault in _faults(plan, parts):
                    say(fault)
                ids = _keep(plan, parts, texts, report)
                _write(plan, parts, ids, executor, report)
            return _publish(plan)


def _plan(recipe: Recipe, run: Path, opened: Seeds, evaluations: list[Evaluation]) -> Plan:
    lock = resolved(recipe, opened.hashes()) | {"made_with": _made_with()}
    jobs, constants = {}, {}
    for name, task in recipe.tasks.items():
        jobs[name] = job_of(recipe, name)
        names = sources_of(opened, name, task.query)
        constants[name] = Constants(
            *(task.type, task.track.value, task.metric, task.template),
            *(names, tuple(SOURCES[source].LICENSE for source in names)),
        )
    work = run / "work" / fingerprint(lock)[:16]
    return Plan(recipe, run, work, jobs, constants, lock, opened.made_up(), evaluations)


def _readable_manifest(run: Path) -> dict[str, Any] | None:
    """The manifest of a finished run; None for one of another version, or damaged: it is built anew."""
    try:
        return read_manifest(run)
    except UserError:
        return None


def _made_with() -> dict[str, str]:
    """The code and the releases that the bytes of a run depend on."""
    code = blake2b(digest_size=8)
    package = Path(__file__).parents[1]
    for path in sorted(path for path in package.rglob("*") if path.suffix in (".py", ".sql", ".csv", ".j2")):
        code.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return {"code": code.hexdigest()} | {name: metadata.version(name) for name in LIBRARIES}


def _draw_and_word(
    plan: Plan, opened: Seeds, executor: Executor, report: Progress
) -> tuple[list[Part], dict[Path, Future[None]]]:
    """Run the queries one by one while workers render batches already drawn; gives the unfinished ones."""
    futures: dict[Path, Future[None]] = {}
    parts: list[Part] = []
    paths = {name: plan.work / "drawn" / f"{name}.arrow" for name in plan.jobs}
    missing = {name: plan.recipe.tasks[name].query for name, path in paths.items() if not path.is_file()}
    of_tasks = turns(opened, missing)
    for number, (name, job) in enumerate(plan.jobs.items()):
        report("query", number, len(plan.jobs))
        path = paths[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in missing:
            sql = missing[name]
            columns = list(columns_of(opened.of(name), sql))
            with shared(opened, name, of_tasks[name]):
                draw(opened, name, sql, columns, plan.recipe.tasks[name].rows, plan.recipe.split.test, path)
        plan.drawn[name] = read_drawn(path)
        for batch in range(batches(path)):
            part = _part(plan.work, name, batch)
            parts.append(part)
            if not part.examples.is_file():
                futures[part.examples] = executor.submit(
                    word_part, path, batch, job, part.examples, part.rejects
                )
    report("query", len(plan.jobs), len(plan.jobs))
    return parts, futures


def _read(
    plan: Plan, parts: list[Part], worded: dict[Path, Future[None]], report: Progress
) -> list[dedup.Read]:
    """Wait for each part and read it for dedup. Later, all cores but one would be idle meanwhile."""
    texts = []
    report("word", 0, len(parts))
    for done, part in enumerate(parts, start=1):
        if part.examples in worded:
            worded[part.examples].result()
        examples = read_arrow(part.examples).select(["id", "fields", "options", "gold"])
        # one title has a brand and a colour to find: the same content, two questions
        kind = pa.repeat(plan.recipe.tasks[part.task].template, examples.num_rows)
        rows = examples.rename_columns(["id", "fields", "options", "answer"]).append_column("kind", kind)
        texts.append(dedup.read(rows))
        report("word", done, len(parts))
    return texts


def _part(work: Path, task: str, batch: int) -> Part:
    name = f"{task}/{batch:05}.arrow"
    return Part(task, work / "parts" / name, work / "rejected" / name, work / "reasons" / name)


def _keep(plan: Plan, parts: list[Part], texts: list[dedup.Read], report: Progress) -> dict[str, list[str]]:
    """Decide which examples stay; gives the sorted ids of those, by side."""
    report("keep", 0, 1)
    tables = [_sided(part) for part in parts]
    quota = {(task, side): rows for task, drawn in plan.drawn.items() for side, rows in drawn.wanted.items()}
    examples = pa.concat_tables(tables)
    repeats = dedup.decide(texts, plan.recipe.dedup.near)
    if plan.evaluations:
        prompts = pa.chunked_array([read_arrow(part.examples)["prompt"].combine_chunks() for part in parts])
        repeats = selection.decontaminated(repeats, contaminated(texts, prompts, plan.evaluations))
    decisions = selection.decide(examples, repeats, quota)
    start = 0
    for part, table in zip(parts, tables, strict=True):
        write_arrow(decisions.slice(start, table.num_rows), part.reasons)
        start += table.num_rows
    kept = examples.select(["id", "side"]).filter(decisions["reason"].is_null()).sort_by("id")
    ids = {side: kept["id"].filter(pc.equal(kept["side"], side)).to_pylist() for side in ("train", "test")}
    report("keep", 1, 1)
    return ids


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
            "`datagen preview` shows single rows",
        )
    )


def _publish(plan: Plan) -> dict[str, Any]:
    """Check the accounts, move what is written to the run's folder, write the manifest, drop the work."""
    tasks: dict[str, dict[str, Any]] = {}
    for task, found in shards.counts(plan.work, plan.jobs).items():
        drawn = plan.drawn[task]
        tasks[task] = {**asdict(drawn), **found}
        kept, rejected = sum(found["kept"].values()), sum(found["rejected"].values())
        if sum(drawn.drawn.values()) != kept + rejected:
            raise AssertionError(
                f"task {task}: {drawn.drawn} rows drawn, but {kept} kept and {rejected} rejected"
            )
    (plan.run / MANIFEST).unlink(missing_ok=True)
    for name in ("data", "rejects"):
        shutil.rmtree(plan.run / name, ignore_errors=True)
        if any((plan.work / name).iterdir()):
            (plan.work / name).rename(plan.run / name)
    train = [path for path in shard_files(plan.run) if path.name.startswith(shortcuts.SIDE)]
    measured = shortcuts.of_run(train, plan.recipe.tasks)
    for name, counts in tasks.items():
        counts["shortcuts"] = measured[name].as_json() if name in measured else None
    lock = yaml.safe_dump(plan.lock, allow_unicode=True, sort_keys=False, width=110)
    (plan.run / LOCK).write_text(lock, encoding="utf-8")
    manifest = {
        "recipe": plan.recipe.name,
        "fingerprint": fingerprint(plan.lock),
        "tasks": tasks,
        "made_up": plan.made_up,
        "evaluation": dict(Counter(evaluation.place.rpartition(":")[0] for evaluation in plan.evaluations)),
    }
    write_card(plan.run, plan.recipe, manifest)
    write_report(plan.run, plan.recipe, manifest, lock)
    files = [path.relative_to(plan.run).as_posix() for path in plan.run.glob("*/*.parquet")]
    manifest["files"] = file_facts(plan.run, [*files, LOCK, CARD, REPORT])
    write_manifest(plan.run, manifest)
    shutil.rmtree(plan.work.parent, ignore_errors=True)
    return read_manifest(plan.run)


def _drop_other_work(work: Path) -> None:
    """Work of another recipe or other seeds is of no use to this build."""
    for folder in work.parent.glob("*"):
        if folder != work:
            shutil.rmtree(folder, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
