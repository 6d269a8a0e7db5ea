"""The quotas of a mixture's tasks: who gives the rows that another lacks.

A task that runs dry leaves its share to its neighbours: the tasks that are weighed by the same keys, then
those by the first of these, then all. They give in proportion to their own share, as far as they have rows.
For that each task has a reserve beside the rows that are drawn at once, and a recipe of its own for what
is rejected of these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from datagen.pipeline.sampling import SIDES, SPARE, Cell, Drawn


def dealt(
    wanted: Mapping[str, int], capacity: Mapping[str, int], groups: Mapping[str, Sequence[str]]
) -> dict[str, int]:
    """The rows of each task: what is wanted of it as far as it has them, and its part of what others lack."""
    given = {task: min(rows, capacity[task]) for task, rows in wanted.items()}
    if not groups:
        return given
    for depth in range(max(map(len, groups.values())), -1, -1):
        neighbours: dict[tuple[str, ...], list[str]] = {}
        for task in wanted:
            neighbours.setdefault(tuple(groups[task][:depth]), []).append(task)
        for tasks in neighbours.values():
            missing = sum(wanted[task] - given[task] for task in tasks)
            room = {task: capacity[task] - given[task] for task in tasks}
            for task, rows in _spread(missing, room, wanted).items():
                given[task] += rows
    return given


def _spread(missing: int, room: Mapping[str, int], wanted: Mapping[str, int]) -> dict[str, int]:
    """`missing` rows over tasks in proportion to what is wanted of them, none more than it has room for."""
    more = dict.fromkeys(room, 0)
    while missing > 0 and (open_ := [task for task in room if more[task] < room[task]]):
        whole = sum(max(1, wanted[task]) for task in open_)
        left = missing
        for task in open_:
            rows = min(room[task] - more[task], missing * max(1, wanted[task]) // whole, left)
            more[task] += rows
            left -= rows
        if left == missing:  # fewer rows than tasks
            for task in open_[:left]:
                more[task] += 1
            left -= len(open_[:left])
        missing = left
    return more


@dataclass(frozen=True, slots=True)
class Supply:
    """What tasks can give: rows `drawn` so far, and batches in `reserve`, by task and side."""

    groups: Mapping[str, Sequence[str]]
    wanted: dict[Cell, int]
    drawn: dict[Cell, int]
    reserve: dict[Cell, list[tuple[int, int]]]

    @classmethod
    def of(cls, drawn: Mapping[str, Drawn], groups: Mapping[str, Sequence[str]]) -> "Supply":
        """The supply after the queries; a recipe that is no mixture has no groups."""
        cells = [(task, side) for task in drawn for side in SIDES]
        return cls(
            groups,
            {(task, side): drawn[task].wanted[side] for task, side in cells},
            {(task, side): drawn[task].drawn[side] for task, side in cells},
            {(task, side): [*drawn[task].reserve.get(side, {}).items()] for task, side in cells},
        )

    def quotas(self, passed: Mapping[Cell, int]) -> dict[Cell, int]:
        """The rows to keep of each task and side, where so many passed all checks."""
        found = {}
        for side in SIDES:
            wanted = {task: rows for (task, of), rows in self.wanted.items() if of == side}
            capacity = {task: passed.get((task, side), 0) for task in wanted}
            for task, rows in dealt(wanted, capacity, self.groups).items():
                found[task, side] = rows
        return found

    def in_sight(self) -> dict[Cell, int]:
        """What would pass if nothing were wrong with the rows drawn."""
        return {cell: min(rows, self.wanted[cell]) for cell, rows in self.drawn.items()}

    def lacking(self, passed: Mapping[Cell, int]) -> dict[Cell, int]:
        """The rows that have to be drawn beyond those that passed, as far as the reserve holds them."""
        shares = {
            cell: passed.get(cell, 0) / rows if rows else 1 / (1 + SPARE) for cell, rows in self.drawn.items()
        }
        shares = {cell: min(share, 1 / (1 + SPARE)) for cell, share in shares.items()}
        within = {
            cell: passed.get(cell, 0) + int(shares[cell] * sum(rows for _, rows in batches))
            for cell, batches in self.reserve.items()
        }
        more = {cell: rows - passed.get(cell, 0) for cell, rows in self.quotas(within).items()}
        return {cell: round(rows / shares[cell]) for cell, rows in more.items() if rows > 0}

    def take(self, rows: Mapping[Cell, int]) -> list[tuple[str, int]]:
        """So many rows out of the reserve, in whole batches: the task and the number of each."""
        taken = []
        for (task, side), wanted in rows.items():
            reserve = self.reserve[task, side]
            while wanted > 0 and reserve:
                number, size = reserve.pop(0)
                self.drawn[task, side] += size
                wanted -= size
                taken.append((task, number))
        return taken
