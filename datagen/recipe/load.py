"""Loading of recipes: a name becomes a checked and frozen `Recipe` with every default filled in.

A mixture becomes a `Recipe` with the tasks of all recipes that it includes, so everything downstream
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
from datagen.errors import UserError
from datagen.paths import find, folders
from datagen.recipe.model import INHERITED, Common, Mixture, Recipe
from datagen.sources import SOURCES
from datagen.storage.files import sha256
from datagen.suggest import among

NO_EVALUATION = "no such file. Name a file of evaluation questions, from where the command runs"


class RecipeError(UserError):
    """A recipe that cannot be used; `problems` are all that was found, in the order of the files."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(["the recipe cannot be used:", *map(str, problems)]))
        self.problems = list(problems)


def load(recipe: str) -> Recipe:
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


def gather(path: Path, trail: tuple[str, ...] = ()) -> tuple[Recipe | None, list[Document]]:
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
    return recipe, [document]


def _inherit(document: Document) -> None:
    """Give each task the keys that the file says once for all of them, and notes which."""
    tasks = document.data.get("tasks")
    for label, task in tasks.items() if isinstance(tasks, dict) else ():
        for name in INHERITED:
            if isinstance(task, dict) and name in document.data and name not in task:
                task[name] = document.data[name]
                document.inherited.add(("tasks", label, name))


def scaled(recipe: Recipe, rows: int) -> Recipe:
    """The same recipe with `rows` rows in all, shared out as before, at least one a task."""
    shares = share(rows, [task.rows for task in recipe.tasks.values()])
    tasks = {
        name: task.model_copy(update={"rows": count})
        for (name, task), count in zip(recipe.tasks.items(), shares, strict=True)
    }
    return recipe.model_copy(update={"tasks": tasks})


def share(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to `weights`, each at least 1; their sum is `total` if that is enough.

    By largest remainder; what the smallest ones need to reach 1 is taken from the largest.
    """
    exact = [total * weight / sum(weights) for weight in weights]
    counts = [max(1, int(part)) for part in exact]
    nearest = sorted(range(len(counts)), key=lambda i: (counts[i] - exact[i], i))
    for i in nearest[: max(0, total - sum(counts))]:
        counts[i] += 1
    while sum(counts) > max(total, len(counts)):
        counts[counts.index(max(counts))] -= 1
    return counts


def resolved(recipe: Recipe, seeds: Mapping[str, Any]) -> dict[str, Any]:
    """All that shapes the data set, as plain data for `recipe.lock.yaml`.

    `seeds` are the hashes of the seed files, as `Seeds.hashes` gives them.
    """
    templates = sorted({task.template for task in recipe.tasks.values()})
    return {
        "shoptalk": metadata.version("shoptalk"),
        "recipe": recipe.model_dump(mode="json"),
        "templates": {name: sha256(find("templates", name)) for name in templates},
        "evaluation": {name: evaluation_hash(name) for name in recipe.decontaminate},
        "seeds": dict(seeds),
    }


def evaluation_hash(name: str) -> str:
    """sha256 of a file of evaluation questions. Raises UserError where there is no such file."""
    if not Path(name).is_file():
        raise UserError(f"{name}: {NO_EVALUATION}")
    return sha256(Path(name))


def with_evaluation(recipe: Recipe, files: Sequence[str]) -> Recipe:
    """The same recipe, decontaminated of these files as well."""
    return recipe.model_copy(update={"decontaminate": list(dict.fromkeys([*recipe.decontaminate, *files]))})


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


def _gather_mixture(document: Document, trail: tuple[str, ...]) -> tuple[Recipe | None, list[Document]]:
    parts, documents = [], [document]
    for path in _included(document, trail):
        part, inner = gather(path, trail)
        parts += [part] if part else []
        documents += inner
    mixture = _checked(document, Mixture)
    if mixture is None:
        return None, documents
    _check_weights(document, mixture)
    if len(parts) < len(mixture.include):
        return None, documents
    sources = _common_sources(document, mixture, parts)
    if document.problems:
        return None, documents
    tasks = {
        f"{part.name}.{name}": task
        for part, rows in zip(parts, share(mixture.rows, _weights(mixture, parts)), strict=True)
        for name, task in scaled(part, rows).tasks.items()
    }
    tables = {f"{part.name}.{name}": select for part in parts for name, select in part.tables.items()}
    shared = {name: getattr(mixture, name) for name in Common.model_fields}
    files = [name for part in (mixture, *parts) for name in part.decontaminate]
    shared["decontaminate"] = list(dict.fromkeys(files))  # what one part is judged by, the whole is
    # Not validated again: a name with a dot is for a mixture's tasks and tables alone, no file may have it.
    return Recipe.model_construct(**shared, sources=sources, tables=tables, tasks=tasks), documents


def _included(document: Document, trail: tuple[str, ...]) -> Iterator[Path]:
    """Files of the included recipes; notes names that lead nowhere, in a circle, or stand twice."""
    include = document.data["include"]
    entries = include if isinstance(include, list) else []
    for index, name in enumerate(entries):
        place = document.value(("include", index))
        if not isinstance(name, str):
            continue  # the model says so
        if name in trail:
            circle = " -> ".join([*trail[trail.index(name) :], name])
            document.problem(place, "include_cycle", f"`{name}` includes itself ({circle}): take it out")
        elif name in entries[:index]:
            message = f"`{name}` is included twice: set its share by `weights`"
            document.problem(place, "duplicate_include", message)
        else:
            try:
                yield find("recipes", name, [document.path.parent, *folders("recipes")])
            except UserError as error:
                document.problem(place, "unknown_recipe", str(error))


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


def _check_weights(document: Document, mixture: Mixture) -> None:
    """Note weights of recipes that are not included, and included recipes without one."""
    for name in mixture.weights:
        if name not in mixture.include:
            message = f"`{name}` is not included: {among(name, mixture.include)}"
            document.problem(document.key(("weights", name)), "unknown_weight", message)
    missing = [name for name in mixture.include if name not in mixture.weights]
    if mixture.weights and missing:
        message = f"no weight for {', '.join(missing)}: give each included recipe one, or none of them"
        document.problem(document.key(("weights",)), "missing_weight", message)


def _weights(mixture: Mixture, parts: Sequence[Recipe]) -> list[float]:
    """The share of each part: its weight, or its own rows where the mixture has none."""
    if mixture.weights:
        return [mixture.weights[name] for name in mixture.include]
    return [sum(task.rows for task in part.tasks.values()) for part in parts]
