"""Loading of recipes: a name becomes a checked and frozen `Loaded` recipe with every default filled in.

A mixture becomes one with the tasks of all recipes that it includes, so everything downstream
knows one shape. Queries and templates are checked in `recipe.check`.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from datagen.config.document import Document, Problem, read
from datagen.config.messages import validate
from datagen.console.typed import typed
from datagen.errors import UserError
from datagen.paths import find, folders
from datagen.prompts.template import reworded_path
from datagen.recipe.model import INHERITED, Answer, Common, Extract, Loaded, Mixture, Recipe
from datagen.recipe.narrow import known_license, narrowed, only, sources_by_task, steps_by_task
from datagen.recipe.rows import share
from datagen.recipe.shares import BadWeights, first_names, fitted, known_names, labels, no_name, tasks_by_key
from datagen.schema import TaskType, Track
from datagen.sources import SOURCES
from datagen.storage.files import sha256
from datagen.suggest import among
from datagen.teacher.server import address_problem

ASKED_A_ROW = 4
"""Rows that a teacher is asked about, for each that the task which wants most of them wants."""

_Step = TypeVar("_Step", Extract, Answer)

NO_EVALUATION = "no such file. Name a file of evaluation questions, from where the command runs"


class RecipeError(UserError):
    """A recipe that cannot be used; `problems` are all that was found, in the order of the files."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(["the recipe cannot be used:", *map(str, problems)]))
        self.problems = list(problems)


def load(recipe: str) -> Loaded:
    """The recipe of this name, or in this `.yaml` file; a mixture is resolved to its tasks.

    Raises RecipeError with every problem of its keys and values, UserError where there is no such file.
    """
    loaded, documents = gather(locate(recipe))
    problems = {problem for document in documents for problem in document.problems}
    if problems or loaded is None:
        raise RecipeError(sorted(problems))
    return loaded


def locate(recipe: str) -> Path:
    """The file of a recipe given by name or by path. Raises UserError where there is none."""
    if "/" not in recipe and not recipe.endswith(".yaml"):
        return find("recipes", recipe)
    if not Path(recipe).is_file():
        raise UserError(f"{recipe}: no such file. Give a recipe's name (`esci_mcq`) or the path of its file")
    return Path(recipe)


def query_place(recipe: str, query: str) -> str:
    """`file:line` of a task's or a table's query, in the recipe of this name or in one that it includes."""
    path = locate(recipe)
    owner, name = [path.stem, *query.split(".")][-2:]
    _, documents = gather(path)
    document = next(document for document in documents if document.path.stem == owner)
    is_task = ("tasks", name, "query") in document.nodes
    line, _ = document.inside(("tasks", name, "query") if is_task else ("tables", name), 1, 1)
    return f"{document.path}:{line}"


def gather(path: Path, trail: tuple[str, ...] = ()) -> tuple[Loaded | None, list[Document]]:
    """A recipe, and all documents that it stands on with their problems, its own first.

    The recipe is None where any of them has problems. `trail` names the mixtures that led here.
    """
    document = read(path)
    _inherit(document)
    if "include" in document.data:
        if "tasks" in document.data:
            del document.data["tasks"]
            message = "a recipe has `tasks` or `include`: give these tasks a file of their own and include it"
            document.problem(document.key(("tasks",)), "tasks_and_include", message)
        return _gather_mixture(document, (*trail, path.stem))
    recipe = _checked(document, Recipe)
    return _with_licenses(document, Loaded.model_construct(**dict(recipe)) if recipe else None), [document]


def _inherit(document: Document) -> None:
    """Give each task the keys that the file says once for all of them, and notes which."""
    tasks = document.data.get("tasks")
    for label, task in tasks.items() if isinstance(tasks, dict) else ():
        for name in INHERITED:
            if isinstance(task, dict) and name in document.data and name not in task:
                task[name] = document.data[name]
                document.inherited.add(("tasks", label, name))


def scaled(recipe: Loaded, rows: int) -> Loaded:
    """The same recipe with `rows` rows in all, shared out as before, at least one a task.

    A teacher is asked about no more rows than these can need: whoever wants few does not pay for all.
    """
    shares = share(rows, [task.rows for task in recipe.tasks.values()])
    tasks = {
        name: task.model_copy(update={"rows": count})
        for (name, task), count in zip(recipe.tasks.items(), shares, strict=True)
    }
    most = dict.fromkeys(recipe.steps, 0)
    for name, steps in steps_by_task(recipe).items():
        most |= {step: max(most[step], ASKED_A_ROW * tasks[name].rows) for step in steps}

    def bounded(kind: str, steps: Mapping[str, _Step]) -> dict[str, _Step]:
        rows_of = {name: min(step.rows, most[f"{kind}.{name}"] or step.rows) for name, step in steps.items()}
        return {name: step.model_copy(update={"rows": rows_of[name]}) for name, step in steps.items()}

    found = {"extract": bounded("extracted", recipe.extract), "answer": bounded("answered", recipe.answer)}
    return recipe.model_copy(update={"tasks": tasks, **found})


def resolved(recipe: Loaded, seeds: Mapping[str, Any]) -> dict[str, Any]:
    """All that shapes the data set, as plain data for `recipe.lock.yaml`.

    `seeds` are the hashes of the seed files, as `Seeds.hashes` gives them.
    """
    of_steps = [name for step in recipe.steps.values() for name in templates_of(step)]
    templates = sorted({*of_steps, *(task.template for task in recipe.tasks.values())})
    worked_out = {name: value for name in ("groups", "left_out") if (value := getattr(recipe, name))}
    return {
        "shoptalk": metadata.version("shoptalk"),
        "recipe": recipe.model_dump(mode="json"),
        **worked_out,
        "templates": {name: template_hash(name) for name in templates},
        "evaluation": {name: evaluation_hash(name) for name in recipe.decontaminate},
        "seeds": dict(seeds),
    }


def templates_of(step: Extract | Answer) -> list[str]:
    """The templates of a table that a teacher fills."""
    return [step.template, *([step.judge] if step.judge else [])]


def template_hash(name: str) -> str:
    """sha256 of a template, and of what a teacher has worded anew beside it."""
    path = find("templates", name)
    beside = reworded_path(path)
    if not beside.is_file():
        return sha256(path)
    return hashlib.sha256(f"{sha256(path)} {sha256(beside)}".encode()).hexdigest()


def evaluation_hash(name: str) -> str:
    """sha256 of a file of evaluation questions. Raises UserError where there is no such file."""
    if not Path(name).is_file():
        raise UserError(f"{name}: {NO_EVALUATION}")
    return sha256(Path(name))


def with_evaluation(recipe: Loaded, files: Sequence[str]) -> Loaded:
    """The same recipe, decontaminated of these files as well."""
    return recipe.model_copy(update={"decontaminate": list(dict.fromkeys([*recipe.decontaminate, *files]))})


def with_teacher(
    recipe: Loaded,
    model: str | None,
    base_url: str | None,
    max_cost: float | None = None,
    price: tuple[float, float] | None = None,
    batch: bool = False,
) -> Loaded:
    """The same recipe with another teacher, where any of these says so.

    Raises UserError where the server's address, given or the recipe's own, is none.
    """
    given: dict[str, Any] = {"model": model, "base_url": base_url, "max_cost_usd": max_cost}
    given |= {"price": price, "batch": batch or None}
    update = {name: value for name, value in given.items() if value is not None}
    teacher = recipe.teacher.model_copy(update=update)
    if teacher.base_url is not None and (problem := address_problem(teacher.base_url)):
        place = (
            "`teacher.base_url` of the recipe"
            if base_url is None
            else f"what stands in {typed('--base-url')}"
        )
        raise UserError(f"{place} {problem}")
    return recipe.model_copy(update={"teacher": teacher})


def fingerprint(resolved: Mapping[str, Any]) -> str:
    """Hex sha256 of plain data, whatever the order of its keys."""
    text = json.dumps(resolved, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


Kind = TypeVar("Kind", Recipe, Mixture)


def _checked(document: Document, kind: type[Kind]) -> Kind | None:
    """The document as a recipe or a mixture; None, with problems in the document, where it is neither."""
    if document.problems and not document.data:
        return None  # not even YAML: missing keys would only repeat that
    whole = validate(document, kind, {**document.data, **_checked_sources(document)})
    name = document.data.get("name")
    if isinstance(name, str) and name != document.path.stem:
        message = f"`{name}` is not the file's name: write `{document.path.stem}`, or rename the file"
        document.problem(document.value(("name",)), "name_mismatch", message)
    given = document.data.get("decontaminate")
    for index, file in enumerate(given if isinstance(given, list) else []):
        if isinstance(file, str) and file and not Path(file).is_file():
            document.problem(
                document.value(("decontaminate", index)), "unknown_file", f"`{file}`: {NO_EVALUATION}"
            )
    return None if document.problems else whole


def _checked_sources(document: Document) -> dict[str, dict[str, BaseModel]]:
    """`sources` with options as models of their source; nothing where the recipe's model is to complain."""
    given = document.data.get("sources")
    if not isinstance(given, dict):
        return {}
    checked = {}
    for name, options in given.items():
        if name not in SOURCES:
            message = f"`{name}` is no seed source: {among(name, SOURCES)}"
            document.problem(document.key(("sources", name)), "unknown_source", message)
        else:
            model = SOURCES[name].Options
            given_options = {} if options is None else options  # `esci:` alone is as good as `esci: {}`
            valid = validate(document, model, given_options, ("sources", name))
            checked[name] = model() if valid is None else valid
    return {"sources": checked} if checked or not given else {}


def _with_licenses(document: Document, recipe: Loaded | None) -> Loaded | None:
    """The recipe without what its own `licenses` leave out; notes licences that no source has."""
    if recipe is None:
        return None
    for index, name in enumerate(recipe.licenses):
        try:
            known_license(name)
        except UserError as error:
            document.problem(document.value(("licenses", index)), "unknown_license", str(error))
    if document.problems:
        return None
    try:
        return narrowed(recipe, licenses=recipe.licenses)
    except UserError as error:
        document.problem(document.value(("licenses",)), "nothing_licensed", str(error))
        return None


def _gather_mixture(document: Document, trail: tuple[str, ...]) -> tuple[Loaded | None, list[Document]]:
    parts, documents = [], [document]
    for path, names in _included(document, trail):
        part, inner = gather(path, trail)
        if part and names:
            part = _picked(document, part, names)
        parts += [part] if part else []
        documents += inner
    mixture = _checked(document, Mixture)
    if mixture is None:
        return None, documents
    if len(parts) < len(first_names(mixture.include)):
        _note_unknown_weights(document, mixture)
        return None, documents
    sources = _common_sources(document, mixture, parts)
    tasks = {f"{part.name}.{name}": task for part in parts for name, task in part.tasks.items()}
    tables = {f"{part.name}.{name}": select for part in parts for name, select in part.tables.items()}
    left_out = {f"{part.name}.{name}": why for part in parts for name, why in part.left_out.items()}
    blend = Loaded.model_construct(
        extract=_common_steps(document, parts, "extract"),
        answer=_common_steps(document, parts, "answer"),
        **{name: getattr(mixture, name) for name in Common.model_fields},
        sources=sources,
        tables=tables,
        tasks=tasks,
        left_out=left_out,
    )
    blend = _without_excluded(document, mixture, blend)
    groups = _weighed(document, mixture, blend)
    if document.problems:
        return None, documents
    files = [name for part in (mixture, *parts) for name in part.decontaminate]
    rows: dict[str, float] = {name: task.rows for name, task in blend.tasks.items()}
    shares = fitted(rows, groups, mixture.weights) if mixture.weights else [*rows.values()]
    shared = zip(blend.tasks.items(), share(mixture.rows, shares), strict=True)
    tasks = {name: task.model_copy(update={"rows": count}) for (name, task), count in shared}
    # what one part is judged by, the whole is
    blend = blend.model_copy(
        update={"tasks": tasks, "groups": groups, "decontaminate": list(dict.fromkeys(files))}
    )
    return _with_licenses(document, blend), documents


def _included(document: Document, trail: tuple[str, ...]) -> Iterator[tuple[Path, dict[str, int]]]:
    """Files of the included recipes, each with the places in `include` of the tasks that are asked for alone.

    Notes names that lead nowhere, in a circle, or stand twice.
    """
    include = document.data["include"]
    entries = include if isinstance(include, list) else []
    found: dict[str, dict[str, int]] = {}
    for index, entry in enumerate(entries):
        place = document.value(("include", index))
        if not isinstance(entry, str):
            continue  # the model says so
        name, _, task = entry.partition(".")
        if name in trail:
            circle = " -> ".join([*trail[trail.index(name) :], name])
            document.problem(place, "include_cycle", f"`{name}` includes itself ({circle}): take it out")
        elif entry in entries[:index] or (name in found and not (task and found[name])):
            message = f"`{entry}` is included twice: set its share by `weights`"
            document.problem(place, "duplicate_include", message)
        else:
            found.setdefault(name, {})
            if task:
                found[name][task] = index
    for name, tasks in found.items():
        try:
            yield find("recipes", name, [document.path.parent, *folders("recipes")]), tasks
        except UserError as error:
            index = next(
                i
                for i, entry in enumerate(entries)
                if isinstance(entry, str) and entry.partition(".")[0] == name
            )
            document.problem(document.value(("include", index)), "unknown_recipe", str(error))


def _picked(document: Document, part: Loaded, names: Mapping[str, int]) -> Loaded | None:
    """The tasks of a recipe that a mixture includes alone; notes those that it does not have."""
    for name, index in names.items():
        if name not in part.tasks:
            message = f"`{part.name}` has no task `{name}`: {among(name, part.tasks)}"
            document.problem(document.value(("include", index)), "unknown_task", message)
    return only(part, names) if names.keys() <= part.tasks.keys() else None


def _without_excluded(document: Document, mixture: Mixture, blend: Loaded) -> Loaded:
    """The mixture without the tasks that `exclude` names; notes names of no task, and where none is left."""
    found = tasks_by_key(mixture.exclude, blend, lambda: sources_by_task(blend))
    for index, key in enumerate(mixture.exclude):
        if not found[key]:
            message = f"`{key}` {no_name(key, known_names(mixture.include, blend), blend.tasks)}"
            document.problem(document.value(("exclude", index)), "unknown_exclude", message)
    kept = blend.tasks.keys() - {task for tasks in found.values() for task in tasks}
    if not kept:
        document.problem(document.key(("exclude",)), "nothing_left", "no task is left: name fewer")
        return blend
    return only(blend, kept)


def _weighed(document: Document, mixture: Mixture, blend: Loaded) -> dict[str, list[str]]:
    """What each task is weighed by; notes weights that mean nothing, and tasks without one."""
    if not mixture.weights:
        return {name: [name.rpartition(".")[0]] for name in blend.tasks}
    try:
        return labels(mixture.weights, mixture.include, blend, lambda: sources_by_task(blend))
    except BadWeights as bad:
        _note_weights(document, bad.unknown)
        if bad.missing:
            rule = "where one of a kind has a weight (recipes, sources, types or tracks), all need one"
            message = f"no weight for {', '.join(bad.missing)}: {rule}"
            document.problem(document.key(("weights",)), "missing_weight", message)
        return {}


def _note_unknown_weights(document: Document, mixture: Mixture) -> None:
    """Note weights that mean nothing, whatever the tasks of a recipe are that has problems of its own."""
    known = {*first_names(mixture.include), *SOURCES, *TaskType, *Track}
    unknown = [key for key in mixture.weights if key.partition(".")[0] not in known]
    _note_weights(document, {key: no_name(key, mixture.include) for key in unknown})


def _note_weights(document: Document, unknown: Mapping[str, str]) -> None:
    for name, why in unknown.items():
        document.problem(document.key(("weights", name)), "unknown_weight", f"`{name}` {why}")


def _common_steps(document: Document, parts: Sequence[Recipe], kind: str) -> dict[str, Any]:
    """The teacher's tables of all parts; notes names that mean one in this part and another in that."""
    steps: dict[str, Any] = {}
    for index, part in enumerate(parts):
        for name, step in getattr(part, kind).items():
            if steps.setdefault(name, step) != step:
                message = (
                    f"`{part.name}` has another `{kind}.{name}` than a recipe before it: rename it there"
                )
                document.problem(document.value(("include", index)), "step_conflict", message)
    return steps


def _common_sources(document: Document, mixture: Mixture, parts: Sequence[Recipe]) -> dict[str, BaseModel]:
    """The sources of all parts; notes options that differ between parts, unless the mixture sets its own."""
    sources = dict(mixture.sources)
    for index, part in enumerate(parts):
        for name, options in part.sources.items():
            if sources.setdefault(name, options) != options and name not in mixture.sources:
                message = (
                    f"`{part.name}` opens `{name}` with other options than a recipe before it: "
                    f"say here which hold, as `sources: {{{name}: ...}}`"
                )
                document.problem(document.value(("include", index)), "source_conflict", message)
    return sources
