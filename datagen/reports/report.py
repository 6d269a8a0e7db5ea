"""The report of a run: one page, `report.html`, that loads nothing and runs no script.

The same run gives the same bytes: the page holds no time, host or path.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jinja2 import Environment, StrictUndefined

from datagen.console.text import with_counts
from datagen.prompts.token_estimate import estimated_tokens
from datagen.recipe.model import Recipe, Task
from datagen.reject_reasons import CONTAMINATED, SPARE, explain
from datagen.reports.card import limited
from datagen.reports.shortcuts import FAMILIES, exceeded
from datagen.schema import LANGUAGES, TaskType
from datagen.storage.files import read_shard
from datagen.storage.manifest import shard_files
from datagen.teacher.gates import GATES

REPORT = "report.html"

LOOKED_AT = 5_000
"""Rows whose text is read: the first ones, as the order of ids is a shuffle."""

EXAMPLES = 3
"""Rows of each task that are printed."""

TWINS = 4
"""Pairs of near-duplicates that are printed."""

BINS = 12
"""Columns of a chart of lengths."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Columns to draw: what they count, and their labels and heights; `even` marks an even share."""

    title: str
    bars: list[tuple[str, int]]
    even: bool = False

    @property
    def top(self) -> int:
        """The highest column."""
        return max((count for _, count in self.bars), default=0) or 1

    @property
    def mean(self) -> float:
        """The height of all columns if they were even."""
        return sum(count for _, count in self.bars) / max(len(self.bars), 1)


def write_report(run: Path, recipe: Recipe, manifest: Mapping[str, Any], lock: str) -> None:
    """Write `report.html` into a run whose shards are in place; `lock` is its lockfile, which it prints."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"words": _words, "count": "{:,}".format}
    source = (Path(__file__).parent / "report.html.j2").read_text(encoding="utf-8")
    made = _made_of(run)
    tasks, shortcuts = _tasks(run, recipe, manifest, _languages(made)), _shortcuts(recipe, manifest)
    page = environment.from_string(source).render(
        recipe=recipe,
        fingerprint=manifest["fingerprint"][:16],
        totals={name: sum(task[name] for task in tasks) for name in ("train", "test", "spare", "left_out")},
        tasks=tasks,
        most_drawn=max(task["drawn"] for task in tasks),
        reasons=_reasons(manifest),
        shortcuts=shortcuts,
        families=[name for name in FAMILIES if any(name in task.get("families", ()) for task in shortcuts)],
        steps=_steps(manifest),
        shares=_shares(made, recipe),
        twins=_twins(run),
        lock=lock,
        made_up=manifest["made_up"],
        notes=_licence_notes(recipe),
        looked_at=min(LOOKED_AT, sum(task["train"] + task["test"] for task in tasks)),
    )
    (run / REPORT).write_text(page, encoding="utf-8")


def _licence_notes(recipe: Recipe) -> list[str]:
    """What the licences of the recipe's sources do not allow."""
    closed, none = (", ".join(names) for names in limited(recipe.sources))
    return [
        *([f"No commercial use: {closed} forbids it."] if closed else []),
        *([f"Without a licence: {none} may serve research."] if none else []),
    ]


def _tasks(
    run: Path, recipe: Recipe, manifest: Mapping[str, Any], languages: Mapping[str, Counter[str]]
) -> list[dict[str, Any]]:
    sample = _first_rows(shard_files(run))
    return [
        _counts(manifest["tasks"][name])
        | _looks(task, sample.filter(pc.equal(sample["task"], name)))
        | {"name": name, "task": task, "languages": Chart("Language", languages[name].most_common())}
        for name, task in recipe.tasks.items()
    ]


def _first_rows(files: Iterable[Path]) -> pa.Table:
    """The first rows of the run, with the columns that are looked at."""
    columns = ["id", "task", "language", "wording", "prompt", "completion"]
    batches = (batch for file in files for batch in pq.ParquetFile(file).iter_batches(columns=columns))
    found, rows = [], 0
    while rows < LOOKED_AT and (batch := next(batches, None)) is not None:
        found.append(batch.slice(0, LOOKED_AT - rows))
        rows += found[-1].num_rows
    return pa.Table.from_batches(found)


_MadeOf = dict[str, Counter[tuple[str, ...]]]
"""Rows of each task by language, sources and licences, as (language, source ..., "", licence ...)."""


def _languages(made_of: _MadeOf) -> dict[str, Counter[str]]:
    """Rows of each language, by task."""
    found: dict[str, Counter[str]] = defaultdict(Counter)  # a task may have no row
    for task, made in made_of.items():
        for (language, *_), rows in made.items():
            found[task][LANGUAGES.get(language, language)] += rows
    return found


def _made_of(run: Path) -> _MadeOf:
    found: _MadeOf = defaultdict(Counter)
    for file in shard_files(run):
        table = read_shard(file, ["task", "language", "source", "license"])
        made_of = [pc.binary_join(table[name], "\n") for name in ("source", "license")]
        flat = pa.table(
            [table["task"], table["language"], *made_of], names=["task", "language", "of", "under"]
        )
        for row in flat.group_by(flat.column_names).aggregate([([], "count_all")]).to_pylist():
            made = (row["language"], *row["of"].split("\n"), "", *row["under"].split("\n"))
            found[row["task"]][made] += row["count_all"]
    return found


def shares(run: Path, recipe: Recipe) -> dict[str, Counter[str]]:
    """Rows of a run by type, track, language, source and licence; a row of two sources counts for both."""
    return _shares(_made_of(run), recipe)


def _shares(made_of: _MadeOf, recipe: Recipe) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {
        name: Counter() for name in ("type", "track", "language", "source", "licence")
    }
    for name, made in made_of.items():
        for (language, *rest), rows in made.items():
            sources, licences = rest[: rest.index("")], rest[rest.index("") + 1 :]
            task = recipe.tasks[name]
            found["type"][_words(task.type.value)] += rows
            found["track"][_words(task.track.value)] += rows
            found["language"][LANGUAGES.get(language, language)] += rows
            found["source"].update(dict.fromkeys(sources, rows))
            found["licence"].update(dict.fromkeys(sorted(set(licences)), rows))
    return found


def _twins(run: Path) -> list[dict[str, str]]:
    """Some rows that were left out as nearly the same as another one, each with that one."""
    files = sorted((run / "rejects").glob("*.parquet"))
    pairs = [
        {"task": row["task"], "out": row["prompt"], "answer": row["answer"], "of": row["detail"]}
        for file in files
        for row in pq.read_table(file, filters=[("reason", "=", "near_duplicate")]).slice(0, 1).to_pylist()
    ][:TWINS]
    wanted = pa.array([pair["of"] for pair in pairs], pa.string())
    kept: dict[str, str] = {}
    for file in shard_files(run) if pairs else []:
        rows = pq.read_table(file, columns=["id", "prompt"], filters=pc.field("id").isin(wanted)).to_pylist()
        kept |= {row["id"]: row["prompt"][-1]["content"] for row in rows}
    return [pair | {"kept": kept[pair["of"]]} for pair in pairs if pair["of"] in kept]


def _counts(counts: Mapping[str, Any]) -> dict[str, Any]:
    reasons = Counter(counts["rejected"])
    spare = reasons.pop(SPARE, 0)
    kept = {side: counts["kept"].get(side, 0) for side in ("train", "test")}
    of_all = {"wanted": sum(counts["wanted"].values()), "drawn": sum(counts["drawn"].values())}
    return {**kept, **of_all, "spare": spare, "left_out": reasons.total(), "reasons": _ranked(reasons)}


def _looks(task: Task, rows: pa.Table) -> dict[str, Any]:
    """Charts and examples from some rows of one task."""
    prompts, answers = _content(rows["prompt"], 1), _content(rows["completion"], 0)
    whole = pc.binary_join_element_wise(prompts, answers, "\n").to_pylist()
    tokens = [estimated_tokens(text) for text in whole]
    wordings = sorted(Counter(rows["wording"].to_pylist()).items())
    return {
        "tokens": round(sum(tokens) / max(len(tokens), 1)),
        "charts": [
            Chart("Length in tokens, about", binned(tokens)),
            _answers(task.type, answers.to_pylist()),
            Chart("Wording", [(str(number), count) for number, count in wordings]),
        ],
        "examples": rows.slice(0, EXAMPLES).to_pylist(),
    }


def _content(messages: pa.ChunkedArray, position: int) -> pa.Array:
    """The content of each chat's message at a position: 1 is the user's in a prompt, after the system's."""
    return pc.struct_field(pc.list_element(messages.combine_chunks(), position), "content")


def _answers(kind: TaskType, answers: list[str]) -> Chart:
    """Charts that tell whether an answer can be guessed without reading the question."""
    if kind is TaskType.GENERATION:
        return Chart("Characters of the answer", binned([len(answer) for answer in answers]))
    if kind is TaskType.NAMED_ENTITY_RECOGNITION:
        return Chart("Entities in the answer", _counted(answer.count(",") + 1 for answer in answers))
    if kind is TaskType.RETRIEVAL:
        numbers = (int(number) for answer in answers for number in answer.split(","))
        return Chart("Places of the right candidates", _counted(numbers), even=True)
    title = "Place of the right option" if kind is TaskType.MULTIPLE_CHOICE else "Place of the best candidate"
    firsts = (int(answer.partition("\n")[0].split(",")[0]) for answer in answers)  # steps may follow
    return Chart(title, _counted(firsts), even=True)


def _counted(numbers: Iterable[int]) -> list[tuple[str, int]]:
    return [(str(number), count) for number, count in sorted(Counter(numbers).items())]


def binned(values: list[int]) -> list[tuple[str, int]]:
    """Rows in bins of a round width; the last one holds all that is longer than 99 of 100 rows."""
    if not values:
        return []
    most = sorted(values)[int(len(values) * 0.99)] + 1
    width = next(step for step in _round_steps() if step * BINS >= most)
    counts = Counter(min(value // width, BINS - 1) for value in values)
    last = max(counts)
    return [(str(number * width), counts[number]) for number in range(last + 1)]


def _round_steps() -> Iterable[int]:
    return (figure * 10**power for power in range(9) for figure in (1, 2, 5))


def _reasons(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Reasons over all tasks, the most frequent first, each with its tasks; spare rows are not among them."""
    found: dict[str, Counter[str]] = {}
    for task, counts in manifest["tasks"].items():
        for reason, rows in counts["rejected"].items():
            if reason != SPARE:
                found.setdefault(reason, Counter())[task] += rows
    ordered = sorted(found.items(), key=lambda pair: (-pair[1].total(), pair[0]))
    told = {CONTAMINATED: f"{explain(CONTAMINATED)}: {with_counts(manifest['contaminated'])}"}
    return [
        {
            "code": code,
            "text": told.get(code) or explain(code),
            "rows": tasks.total(),
            "tasks": _ranked(tasks),
        }
        for code, tasks in ordered
    ]


def _steps(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the teacher was asked in each step, and what became of its replies."""
    return [
        {
            "name": name,
            **{key: step[key] for key in ("asked", "kept")},
            "rejected": [(reason, _why(reason), rows) for reason, rows in _ranked(Counter(step["rejected"]))],
            "examples": [
                example | {"why": _why(example["reason"])}
                for example in sorted(step["examples"], key=lambda example: example["reason"])
            ],
        }
        for name, step in sorted(manifest["steps"].items())
    ]


def _why(reason: str) -> str:
    return GATES.get(reason, explain(reason)) if reason else ""


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent first; equal ones by name, so that it does not matter how they were counted."""
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _shortcuts(recipe: Recipe, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each task's shortcuts by family, as far as they were measured."""
    found = []
    for name, task in recipe.tasks.items():
        measured = manifest["tasks"][name]["shortcuts"]
        rows = {"name": name, "metric": task.metric, "bound": task.shortcut, "measured": measured}
        if measured:
            rows |= {
                "options": "-".join(map(str, sorted(set(measured["options"])))),
                "families": {shortcut["family"]: shortcut for shortcut in measured["found"]},
                "best": measured["found"][0]["score"],
                "over": exceeded(task.shortcut, measured),
            }
        found.append(rows)
    return found


def _words(name: str) -> str:
    return str(name).replace("_", " ")
