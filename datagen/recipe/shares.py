"""The tasks of a mixture that a key names, and their shares, from its `weights`.

A key is a recipe, a task, a source, a type or a track. Keys of `weights` of one kind share out the whole
among themselves. Where there are two kinds, as sources and types, both hold: tasks are scaled for one and the
other in turn until nothing changes (iterative proportional fitting), as near as the tasks allow.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from datagen.recipe.model import Loaded, Task
from datagen.schema import TaskType, Track
from datagen.suggest import among

ROUNDS = 500
"""Of scaling, at most; shares that fit each other take some ten."""

NAME, SOURCE, TYPE, TRACK = "recipe", "source", "type", "track"


class BadWeights(Exception):
    """Keys that mean nothing, each with what to say of it, and what has no weight."""

    def __init__(self, unknown: Mapping[str, str], missing: Sequence[str]) -> None:
        super().__init__()
        self.unknown = dict(unknown)
        self.missing = list(missing)


def labels(
    weights: Mapping[str, float],
    include: Sequence[str],
    recipe: Loaded,
    sources: Callable[[], Mapping[str, tuple[str, ...]]],
) -> dict[str, list[str]]:
    """For each task of a mixture the keys of `weights` that it counts for, one of each kind.

    `sources` gives the sources of each task, where they are asked for. Raises BadWeights.
    """
    kinds = _kinds(weights, recipe)
    known = known_names(include, recipe)
    unknown = {key: no_name(key, known, recipe.tasks) for key in weights if key not in kinds}
    found: dict[str, list[str]] = {task: [] for task in recipe.tasks}
    missing: dict[str, None] = {}
    for kind in dict.fromkeys(kinds.values()):
        keys = [key for key in weights if kinds.get(key) == kind]
        options = _options(kind, recipe.tasks, sources)
        for task, names in options.items():
            label = next((key for key in _order(kind, keys, names) if key in names and key in keys), None)
            if label is None:
                missing[_named(kind, task, names, include)] = None
            else:
                found[task].append(label)
        used = {name for names in found.values() for name in names}
        unknown |= {key: f"is the {kind} of no task: leave it out" for key in keys if key not in used}
    if unknown or missing:
        raise BadWeights(unknown, list(missing))
    return found


def tasks_by_key(
    keys: Iterable[str], recipe: Loaded, sources: Callable[[], Mapping[str, tuple[str, ...]]]
) -> dict[str, list[str]]:
    """The tasks of a mixture that each key names, as those of `weights` do; none where it names nothing."""
    found: dict[str, list[str]] = {key: [] for key in keys}
    for key, kind in _kinds(found, recipe).items():
        found[key] = [task for task, named in _options(kind, recipe.tasks, sources).items() if key in named]
    return found


def known_names(include: Iterable[str], recipe: Loaded) -> list[str]:
    """What keys may name: what is included, sources, types and tracks."""
    shared = dict.fromkeys(str(name) for task in recipe.tasks.values() for name in (task.type, task.track))
    return [*include, *recipe.sources, *shared]


def no_name(key: str, known: Iterable[str], tasks: Iterable[str] = ()) -> str:
    """What to say of a key that names nothing; `tasks` are those that it may mean."""
    beside = [task for task in tasks if "." in key and first_names([task]) == first_names([key])]
    return f"is no recipe, task, source, type or track of the mixture: {among(key, beside or known)}"


def first_names(names: Iterable[str]) -> set[str]:
    """The recipes of some names, which may be of their tasks."""
    return {name.partition(".")[0] for name in names}


def fitted(
    rows: Mapping[str, float], labels: Mapping[str, Sequence[str]], weights: Mapping[str, float]
) -> list[float]:
    """The share of each task: in proportion to `rows` within a label, and to `weights` among labels."""
    shares = dict(rows)
    kinds = len(next(iter(labels.values()), ()))
    for _ in range(ROUNDS):
        most = 0.0
        for kind in range(kinds):
            sums: dict[str, float] = {}
            for task, of_task in labels.items():
                sums[of_task[kind]] = sums.get(of_task[kind], 0.0) + shares[task]
            whole = sum(weights[label] for label in sums)
            for task, of_task in labels.items():
                factor = weights[of_task[kind]] / whole / sums[of_task[kind]]
                most = max(most, abs(factor - 1))
                shares[task] *= factor
        if most < 1e-9:
            break
    return list(shares.values())


def _kinds(weights: Collection[str], recipe: Loaded) -> dict[str, str]:
    """The kind of each key; a name that a recipe and a source share is what the other keys are."""
    names = {".".join(parts[:end]) for parts in map(_parts, recipe.tasks) for end in range(1, len(parts) + 1)}
    by_kind = {
        NAME: names,
        SOURCE: set(recipe.sources),
        TYPE: {str(kind) for kind in TaskType},
        TRACK: {str(track) for track in Track},
    }
    alone = [[kind for kind, known in by_kind.items() if key in known] for key in weights]
    if [SOURCE] in alone and [NAME] not in alone:
        by_kind[NAME] = set()
    return {
        key: next(kind for kind, known in by_kind.items() if key in known)
        for key in weights
        if any(key in known for known in by_kind.values())
    }


def _options(
    kind: str, tasks: Mapping[str, Task], sources: Callable[[], Mapping[str, tuple[str, ...]]]
) -> dict[str, list[str]]:
    """What each task may count for: the longest name first."""
    if kind == SOURCE:
        return {task: list(read) for task, read in sources().items()}
    if kind == NAME:
        return {
            task: [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
            for task, parts in zip(tasks, map(_parts, tasks), strict=True)
        }
    return {name: [str(task.type if kind == TYPE else task.track)] for name, task in tasks.items()}


def _order(kind: str, keys: Iterable[str], names: Iterable[str]) -> Iterable[str]:
    """A task over two sources counts for the one that stands first in `weights`."""
    return keys if kind == SOURCE else names


def _named(kind: str, task: str, names: Sequence[str], include: Sequence[str]) -> str:
    """What has no weight, as it could stand in `weights`."""
    if kind == NAME:
        return next((name for name in names if name in include), task)
    return names[0] if names else f"{task}, which reads no source"


def _parts(task: str) -> list[str]:
    return task.split(".")
