"""The last stage of a build: its files in the run's folder, with card, report, lock and manifest."""

import shutil
from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from datagen.pipeline import rewriting, shards, steps
from datagen.pipeline.evaluation import rows_by_set
from datagen.pipeline.lockfile import LOCK
from datagen.pipeline.plan import Plan, kept_for_later
from datagen.pipeline.quotas import Supply
from datagen.pipeline.sampling import SIDES, Cell
from datagen.pipeline.worded import Worded
from datagen.pipeline.workers import finish
from datagen.recipe.load import fingerprint
from datagen.reports import shortcuts
from datagen.reports.card import CARD, write_card
from datagen.reports.report import REPORT, write_report
from datagen.schema import SHARD
from datagen.storage.files import read_json
from datagen.storage.manifest import MANIFEST, file_facts, read_manifest, shard_files, write_manifest
from datagen.tasks import generation


def publish(plan: Plan, supply: Supply, quotas: Mapping[Cell, int], made: Worded) -> dict[str, Any]:
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
    home = kept_for_later(plan)
    home.parent.mkdir(exist_ok=True)
    plan.kept.folder.rename(home)
    shutil.rmtree(plan.work.parent)
    return read_manifest(plan.run)


def _shortcuts(plan: Plan, made: Worded) -> dict[str, Path]:
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
