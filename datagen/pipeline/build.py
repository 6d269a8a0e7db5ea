"""The build of a data set: its stages in order, and nothing else.

    draw       a task's query -> a file of its rows              (sampling)
    word       batches of it  -> examples and rejects            (render and filters, in worker processes)
    keep       all examples   -> reasons against some            (dedup, decontamination, selection, quotas)
    rewrite    a share of them -> new prompts by a teacher       (rewriting)
    write      kept, rejected -> data, rejects                   (shards, in worker processes)
    publish    moved to the run's folder; the manifest is written last

Every file is renamed into place when it is whole, so a killed build goes on where it stopped. The first two
leave theirs for the next build (kept_work).
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from datagen import dedup
from datagen.console.progress import Progress, Say
from datagen.dedup.decontaminate import Evaluation, contaminated
from datagen.errors import UserError
from datagen.pipeline import rewriting, selection, shards, steps
from datagen.pipeline.evaluation import evaluations_of_tests, own_tests, read_evaluations, rows_by_set
from datagen.pipeline.kept_work import Kept, kept_work, made_with
from datagen.pipeline.lockfile import LOCK, replaces
from datagen.pipeline.quotas import Supply
from datagen.pipeline.render import Job, content_of, job_of, ready, word_part
from datagen.pipeline.rewriting import LEDGER, rewriter_of
from datagen.pipeline.sampling import SIDES, Cell, Drawn, draw, read_drawn
from datagen.pipeline.shards import Constants, Part
from datagen.pipeline.shared_tables import shared, turns
from datagen.pipeline.steps import Filled
from datagen.pipeline.workers import finish, pool
from datagen.prompts.template import teachers_of
from datagen.recipe.load import fingerprint, resolved
from datagen.recipe.model import Loaded
from datagen.recipe.narrow import sources_by_task, steps_by_task
from datagen.reject_reasons import NOT_RENDERED
from datagen.reports import shortcuts
from datagen.reports.card import CARD, write_card
from datagen.reports.report import REPORT, write_report
from datagen.schema import SHARD
from datagen.sources import SOURCES
from datagen.sources.database import (
    SPILL_PREFIX,
    Seeds,
    files_of,
    hashes_of,
    made_up,
    open_seeds,
    paths_of,
)
from datagen.sources.query import columns_of
from datagen.storage.files import batches, full_disk, read_arrow, read_json, write_arrow, write_json
from datagen.storage.folder_lock import held
from datagen.storage.known_hashes import HASHES, sha256_of
from datagen.storage.manifest import MANIFEST, file_facts, read_manifest, shard_files, write_manifest
from datagen.tasks import generation
from datagen.teacher.ask import Ask, Reply
from datagen.teacher.client import asked

ROUNDS = 3
"""How often the reserve is drawn from, where duplicates leave too few rows."""

LACKING = 0.01
"""Share of a mixture's rows that have to lack for another round: below, neighbours' spare rows do."""

CONTENTS = b"contents"
"""In the metadata of what dedup said: the contents that it was asked about."""

PASSING = 0.97
"""Of a mixture's rows in words, the share that is likely to be no duplicate of another."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The build as all stages see it: the recipe, the folders, and the job of each task."""

    recipe: Loaded
    run: Path
    work: Path
    jobs: dict[str, Job]
    constants: dict[str, Constants]
    lock: dict[str, Any]
    made_up: list[str]
    kept: Kept
    filled: Filled
    drawn: dict[str, Drawn] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)

    def part(self, task: str, batch: int) -> Part:
        """The files of one batch."""
        name = f"{self.kept.worded[task]}/{batch:05}.arrow"
        examples, rejects = (self.kept.folder / folder / name for folder in ("parts", "rejected"))
        return Part(task, examples, rejects, self.work / "reasons" / task / f"{batch:05}.arrow")


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
        plan = _plan(recipe, run, seeds, filled)
        if (run / MANIFEST).is_file():
            manifest = _readable_manifest(run)
            same = manifest and manifest["fingerprint"] == fingerprint(plan.lock)
            if manifest and same and not rewriting.may_ask_more(recipe, manifest["steps"]):
                shutil.rmtree(plan.work, ignore_errors=True)  # of a build killed right at its end
                return manifest
            say(replaces(run, manifest, plan.lock))
        _prepare(plan)
        with pool(cores, sum(task.rows for task in recipe.tasks.values())) as executor:
            for _ in range(cores):  # workers start while the first query runs, which leaves cores idle
                executor.submit(ready)
            made = _Made(plan, executor, report)
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
            return _publish(plan, supply, quotas, made)


def _plan(recipe: Loaded, run: Path, seeds: Path, filled: Filled) -> Plan:
    evaluations = read_evaluations(recipe)
    files = files_of(recipe.sources, seeds)
    hashes = hashes_of(files, sha256_of(paths_of(files), run.parent / "seeds" / HASHES))
    lock = resolved(recipe, hashes) | {"made_with": made_with()}
    if filled.hashes:
        lock["teacher"] = _teacher(recipe) | {"tables": filled.hashes}
    elif recipe.rewrite and not rewriting.missing(recipe, run.parent):
        lock["teacher"] = _teacher(recipe)
    jobs, constants = {}, {}
    sources, of_steps = sources_by_task(recipe), steps_by_task(recipe)
    for name, task in recipe.tasks.items():
        jobs[name] = job_of(recipe, name)
        constants[name] = Constants(
            *(task.type, task.track.value, task.metric, task.template),
            *(sources[name], tuple(SOURCES[source].LICENSE for source in sources[name])),
            teachers_of(jobs[name].template),
            recipe.teacher.model if of_steps[name] else None,
        )
    kept = kept_work(recipe, run / "work" / "kept", jobs, sources, hashes, lock["templates"], filled.hashes)
    work = run / "work" / fingerprint(lock)[:16]
    made = made_up(recipe.sources, seeds)
    return Plan(recipe, run, work, jobs, constants, lock, made, kept, filled, evaluations=evaluations)


def _teacher(recipe: Loaded) -> dict[str, Any]:
    return {name: getattr(recipe.teacher, name) for name in ("model", "base_url", "judge")}


def _readable_manifest(run: Path) -> dict[str, Any] | None:
    """The manifest of a finished run; None for one of another version, or damaged: it is built anew."""
    try:
        return read_manifest(run)
    except UserError:
        return None


class _Made:
    """The batches of a build, as they are put into words: in the order in which they were asked for."""

    def __init__(self, plan: Plan, executor: Executor, report: Progress) -> None:
        self.plan, self.executor, self.report = plan, executor, report
        self.parts: list[Part] = []
        self.decided: list[Path] = []
        self._at_work: dict[Path, Future[None]] = {}
        self._contents: list[str] = []
        self._texts: dict[int, dedup.Read] = {}
        self._known = _known_contents(plan)

    def add(self, task: str, batch: int) -> None:
        """Have a batch put into words, where it is not there yet."""
        part = self.plan.part(task, batch)
        self.parts.append(part)
        if not part.examples.is_file():
            drawn, job = self.plan.kept.drawn[task], self.plan.jobs[task]
            self._at_work[part.examples] = self.executor.submit(
                word_part, drawn, batch, job, part.examples, part.rejects
            )

    def wait(self) -> None:
        """Wait for all batches, and read those that no earlier build saw: later, cores would be idle."""
        total = len(self.parts)
        self.report("word", len(self._contents), total)
        for number in range(len(self._contents), total):
            part = self.parts[number]
            if part.examples in self._at_work:
                self._at_work.pop(part.examples).result()
            self._contents.append(f"{content_of(part.examples)} {self.plan.recipe.tasks[part.task].template}")
            if self._contents[number] not in self._known:
                self._read(number)
            self.report("word", number + 1, total)

    def repeats(self) -> pa.Table:
        """What dedup says of all examples, from a file where an earlier build asked the same."""
        near = self.plan.recipe.dedup.near
        path = _decided(self.plan, self._contents)
        if not path.is_file():
            texts = [self._read(number) for number in range(len(self.parts))]
            found = dedup.decide(texts, near)
            write_arrow(found.replace_schema_metadata({CONTENTS: "\n".join(self._contents)}), path)
        self.decided.append(path)
        return read_arrow(path).cast(dedup.RESULT)

    def contaminated(self) -> list[str | None]:
        """For each example the evaluation question that it repeats, from a file where it was asked before."""
        tests = [repr(evaluation) for evaluation in self.plan.evaluations]
        worded = [str(part.examples.relative_to(self.plan.kept.folder)) for part in self.parts]
        path = _decided(self.plan, [*tests, *worded])
        if not path.is_file():
            texts = [self._read(number) for number in range(len(self.parts))]
            prompts = [read_arrow(part.examples)["prompt"].combine_chunks() for part in self.parts]
            of = contaminated(texts, pa.chunked_array(prompts), self.plan.evaluations)
            found = pa.table({"of": pa.array(of, pa.string())}).replace_schema_metadata({CONTENTS: ""})
            write_arrow(found, path)
        self.decided.append(path)
        repeated: list[str | None] = read_arrow(path)["of"].to_pylist()
        return repeated

    def _read(self, number: int) -> dedup.Read:
        if number not in self._texts:
            part = self.parts[number]
            examples = read_arrow(part.examples).select(["id", "fields", "options", "gold"])
            # one title has a brand and a colour to find: the same content, two questions
            kind = pa.repeat(self.plan.recipe.tasks[part.task].template, examples.num_rows)
            rows = examples.rename_columns(["id", "fields", "options", "answer"]).append_column("kind", kind)
            self._texts[number] = dedup.read(rows)
        return self._texts[number]


def _decided(plan: Plan, contents: Sequence[str]) -> Path:
    """The file of what dedup says of these contents, in this order."""
    shape = [repr(plan.recipe.dedup.near), str(plan.lock["made_with"]), *contents]
    name = blake2b("\n".join(shape).encode(), digest_size=8).hexdigest()
    return plan.kept.folder / "decided" / f"{name}.arrow"


def _known_contents(plan: Plan) -> set[str]:
    """What an earlier build had before dedup: its decisions are likely to be there still."""
    found: set[str] = set()
    for path in plan.kept.folder.glob("decided/*.arrow"):
        found.update(read_arrow(path).schema.metadata[CONTENTS].decode().split("\n"))
    return found


def _draw_and_word(plan: Plan, opened: Seeds | None, missing: Mapping[str, str], made: _Made) -> None:
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


def _word_more(plan: Plan, supply: Supply, made: _Made) -> None:
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


def _keep(plan: Plan, supply: Supply, made: _Made) -> tuple[dict[str, list[str]], dict[Cell, int]]:
    """Decide which examples stay; gives the sorted ids of those, by side, and the rows of each task."""
    made.report("keep", 0, 1)
    for left in reversed(range(ROUNDS)):
        examples = pa.concat_tables([_sided(part) for part in made.parts])
        repeats = made.repeats()
        if plan.evaluations:
            repeats = selection.decontaminated(repeats, made.contaminated())
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


def _write_anew(plan: Plan, made: _Made, say: Say) -> None:
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
            "`datagen preview` shows single rows",
        )
    )


def _publish(plan: Plan, supply: Supply, quotas: Mapping[Cell, int], made: _Made) -> dict[str, Any]:
    """Check the accounts, move what is written to the run's folder, write the manifest, drop the work."""
    tasks: dict[str, dict[str, Any]] = {}
    for task, found in shards.counts(plan.work, plan.jobs).items():
        drawn = {side: supply.drawn[task, side] for side in SIDES}
        wanted = plan.drawn[task].wanted
        more = {side: max(0, quotas[task, side] - wanted[side]) for side in SIDES}
        counts = {"available": plan.drawn[task].available, "wanted": wanted, "drawn": drawn}
        tasks[task] = {**counts, "taken_over": more, **found}
        kept, rejected = sum(found["kept"].values()), sum(found["rejected"].values())
        if sum(drawn.values()) != kept + rejected:
            raise AssertionError(f"task {task}: {drawn} rows drawn, but {kept} kept and {rejected} rejected")
    (plan.run / MANIFEST).unlink(missing_ok=True)
    for name in ("data", "rejects"):
        shutil.rmtree(plan.run / name, ignore_errors=True)
        if any((plan.work / name).iterdir()):
            (plan.work / name).rename(plan.run / name)
    steps.copy_rejects(plan.filled, plan.run / "rejects")
    measured = _shortcuts(plan, made)
    for name, of_task in tasks.items():
        path = measured.get(name)
        of_task["shortcuts"] = read_json(path, "Build the run again") if path else None
    lock = yaml.safe_dump(plan.lock, allow_unicode=True, sort_keys=False, width=110)
    (plan.run / LOCK).write_text(lock, encoding="utf-8")
    manifest = {
        "recipe": plan.recipe.name,
        "fingerprint": fingerprint(plan.lock),
        "tasks": tasks,
        "made_up": plan.made_up,
        "left_out": plan.recipe.left_out,
        "steps": plan.filled.counts | rewriting.outcome(made.parts),
        "evaluation": dict(Counter(evaluation.place.rpartition(":")[0] for evaluation in plan.evaluations)),
        "contaminated": rows_by_set(made.contaminated() if plan.evaluations else []),
    }
    write_card(plan.run, plan.recipe, manifest)
    write_report(plan.run, plan.recipe, manifest, lock)
    files = [path.relative_to(plan.run).as_posix() for path in plan.run.glob("*/*.parquet")]
    manifest["files"] = file_facts(plan.run, [*files, LOCK, CARD, REPORT])
    write_manifest(plan.run, manifest)
    shutil.rmtree(plan.work, ignore_errors=True)
    rewritten = [part.rewritten for part in made.parts if part.rewritten]
    plan.kept.drop_others([*made.decided, *measured.values(), *rewritten])
    home = _kept_for_later(plan)
    home.parent.mkdir(exist_ok=True)
    plan.kept.folder.rename(home)
    shutil.rmtree(plan.work.parent)
    return read_manifest(plan.run)


def _shortcuts(plan: Plan, made: _Made) -> dict[str, Path]:
    """The files of each task's shortcuts, if it can be scored; what is not known is measured by workers."""
    train = [path for path in shard_files(plan.run) if path.name.startswith(shortcuts.SIDE)]
    ids = pa.concat_tables([SHARD.empty_table().select(["task", "id"]), *(_ids(path) for path in train)])
    files = {}
    for name, task in plan.recipe.tasks.items():
        of_task = ids.filter(pc.equal(ids["task"], name))["id"]
        if len(of_task) and not generation.embeds(task.metric):
            rewritten = [part.rewritten.stem for part in made.parts if part.task == name and part.rewritten]
            shape = "\n".join([plan.kept.worded[name], *rewritten, *of_task.to_pylist()])
            digest = blake2b(shape.encode(), digest_size=8).hexdigest()
            files[name] = plan.kept.folder / "shortcuts" / f"{name}-{digest}.json"
    unknown = {name: plan.recipe.tasks[name] for name, path in files.items() if not path.is_file()}
    found = shortcuts.rows_of(train, unknown) if unknown else {}
    finish(
        [made.executor.submit(shortcuts.write, files[name], rows) for name, rows in found.items()],
        lambda done, total: None,
    )
    return files


def _ids(shard: Path) -> pa.Table:
    return pq.read_table(shard, columns=["task", "id"]).replace_schema_metadata(SHARD.metadata)


def _kept_for_later(plan: Plan) -> Path:
    """Where the work of a build waits for the next one: a run's own folder holds what is published alone."""
    return plan.run.parent / ".kept" / plan.run.name


def _prepare(plan: Plan) -> None:
    """Get out what the last build kept, and drop the last stages' work of another recipe or other seeds."""
    home = _kept_for_later(plan)
    if home.is_dir():
        shutil.rmtree(plan.kept.folder, ignore_errors=True)
        plan.kept.folder.parent.mkdir(parents=True, exist_ok=True)
        home.rename(plan.kept.folder)
    for folder in plan.work.parent.glob("*"):
        if folder not in (plan.work, plan.kept.folder):
            shutil.rmtree(folder, ignore_errors=True)
    plan.work.mkdir(parents=True, exist_ok=True)
