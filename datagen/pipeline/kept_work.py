"""The work that a build leaves for the next one: what each task's query gave, and its rows in words.

    drawn/<task>-<hash>.arrow          rows of the query, with counts beside it
    {parts,rejected}/<task>-<hash>/    examples and rejects of each batch of them
    decided/<hash>.arrow               what dedup said of all examples, or decontamination
    tests/<source>-<hash>.json         the questions of a source's own test
    shortcuts/<task>-<hash>.json       what answers a task's rows without skill

They lie in the run's `work/kept/` while it is built, and in `runs/.kept/<recipe>/` until the next build. A
hash is of all that shapes the content, so that a build that needs the same finds it, be it one that was
killed, or one of a changed recipe. What a build has not used is dropped at its end.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from datagen.pipeline.evaluation import tested
from datagen.pipeline.render import Job
from datagen.recipe.model import Loaded
from datagen.recipe.narrow import steps_by_task, tables_read
from datagen.storage.package_code import code_files, code_hash

LIBRARIES = ("duckdb", "jinja2", "pyarrow", "rapidfuzz", "rensa")
"""Packages whose releases may change the bytes of a run."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The files of each task below `folder`: what its query gave, and the folder name of its examples.

    `tests` are the files of the sources' own tests.
    """

    folder: Path
    drawn: dict[str, Path]
    worded: dict[str, str]
    tests: dict[str, Path]

    def drop_others(self, others: Iterable[Path]) -> None:
        """Remove what is neither a task's of this build nor among the `others` that it has read."""
        used = {*self.tests.values(), *others}
        used |= {file for path in self.drawn.values() for file in (path, path.with_suffix(".json"))}
        used |= {self.folder / part / name for part in ("parts", "rejected") for name in self.worded.values()}
        for path in self.folder.glob("*/*"):
            if path not in used:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def made_with() -> dict[str, str]:
    """The code and the releases that the bytes of a run depend on."""
    return {"code": code_hash(code_files())} | {name: metadata.version(name) for name in LIBRARIES}


def kept_work(
    recipe: Loaded,
    folder: Path,
    jobs: Mapping[str, Job],
    sources: Mapping[str, tuple[str, ...]],
    seeds: Mapping[str, Any],
    templates: Mapping[str, str],
    filled: Mapping[str, str],
) -> Kept:
    """Where each task's work is, or will be; `seeds`, `templates`, `filled` are hashes, `sources` by task."""
    staged = {path.stem: path for path in code_files() if path.suffix == ".sql" and path.stem in seeds}
    common = {
        "code": code_hash([path for path in code_files() if path not in staged.values()]),
        "made_with": [metadata.version(name) for name in LIBRARIES],
        "seed": recipe.seed,
        "test": recipe.split.test,
        "mixture": bool(recipe.groups),
    }
    of_source = {
        source: {
            "seeds": seeds[source],
            "options": options.model_dump(mode="json"),
            "staged": code_hash([staged[source]]) if source in staged else "",
        }
        for source, options in recipe.sources.items()
    }
    tests = {
        source: folder / "tests" / f"{source}-{_hash(common | of_source[source])}.json"
        for source in tested(recipe)
    }
    steps = steps_by_task(recipe)
    drawn, worded = {}, {}
    for name, task in recipe.tasks.items():
        shape: dict[str, Any] = {
            "task": name,
            "query": task.query,
            "rows": task.rows,
            "tables": tables_read(recipe.tables, {name: task.query}),
            "filled": {step: filled[step] for step in sorted(steps[name])},
            "sources": {source: of_source[source] for source in sources[name]},
        }
        first = _hash(common | shape)
        job = jobs[name]
        wording = [job.task_type, job.metric, job.language, job.max_tokens, job.check_language, job.rewrite]
        second = _hash([first, *wording, templates[task.template]])
        drawn[name] = folder / "drawn" / f"{name}-{first}.arrow"
        worded[name] = f"{name}-{second}"
    return Kept(folder, drawn, worded, tests)


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
