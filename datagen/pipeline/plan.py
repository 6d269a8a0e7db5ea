"""A build as all of its stages see it: the recipe, the folders, and the job of each task."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datagen.dedup.decontaminate import Evaluation
from datagen.pipeline import rewriting
from datagen.pipeline.evaluation import read_evaluations
from datagen.pipeline.kept_work import Kept, kept_work, made_with
from datagen.pipeline.render import Job, job_of
from datagen.pipeline.sampling import Drawn
from datagen.pipeline.shards import Constants, Part
from datagen.pipeline.steps import Filled
from datagen.prompts.template import teachers_of
from datagen.recipe.load import fingerprint, resolved
from datagen.recipe.model import Loaded
from datagen.recipe.narrow import sources_by_task, steps_by_task
from datagen.sources import SOURCES
from datagen.sources.database import files_of, hashes_of, made_up, paths_of
from datagen.storage.known_hashes import HASHES, sha256_of


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


def plan_of(recipe: Loaded, run: Path, seeds: Path, filled: Filled) -> Plan:
    """The plan of a recipe's build into `run`, from the seeds below `seeds`; nothing is drawn yet."""
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


def kept_for_later(plan: Plan) -> Path:
    """Where the work of a build waits for the next one: a run's own folder holds what is published alone."""
    return plan.run.parent / ".kept" / plan.run.name


def prepare(plan: Plan) -> None:
    """Get out what the last build kept, and drop the last stages' work of another recipe or other seeds."""
    home = kept_for_later(plan)
    if home.is_dir():
        shutil.rmtree(plan.kept.folder, ignore_errors=True)
        plan.kept.folder.parent.mkdir(parents=True, exist_ok=True)
        home.rename(plan.kept.folder)
    for folder in plan.work.parent.glob("*"):
        if folder not in (plan.work, plan.kept.folder):
            shutil.rmtree(folder, ignore_errors=True)
    plan.work.mkdir(parents=True, exist_ok=True)
