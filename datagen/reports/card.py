"""The dataset card: the README.md of a run that the Hugging Face hub and `load_dataset` read.

The same run gives the same bytes: the card holds no time, host or path.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from datagen.recipe.model import Loaded
from datagen.recipe.narrow import left_out_lines
from datagen.reject_reasons import explain, left_out
from datagen.schema import LANGUAGES, SHARD, TaskType
from datagen.sources import SOURCES
from datagen.storage.manifest import shard_files

CARD = "README.md"

HUB_LICENSES = frozenset(("apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-4.0"))
"""Licences that the hub knows by this name; any other is `other` there."""

CATEGORIES = {
    TaskType.MULTIPLE_CHOICE: "multiple-choice",
    TaskType.RANKING: "text-ranking",
    TaskType.RETRIEVAL: "text-retrieval",
    TaskType.NAMED_ENTITY_RECOGNITION: "token-classification",
    TaskType.GENERATION: "text-generation",
}
"""The hub's task category for each task type."""

SIZES = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
"""The hub's words for how many rows there are, below each bound."""

SHOWN = 2_000
"""Characters of a message that an example shows."""

USE = """\
Each row is a chat with its gold answer (`prompt`, `completion`), in the form that TRL trains on, and what a
grader needs (`metric`, `target`). `datasets.load_dataset` opens this folder.\
"""

MADE_UP = """\
**Invented seeds.** What this was made from ({sources}) was made up by shoptalk, in the layout of the
publisher's files: good for trying things out, not for training.\
"""

NON_COMMERCIAL = """\
**No commercial use.** {sources} may not be used commercially, so neither may these rows as a whole, nor, as
most read it, a model trained on them. `LICENSES=` builds the rest without.\
"""

UNLICENSED = """\
**Without a licence.** The publisher of {sources} grants none: its rows may serve research, and passing them
on is at your own risk. `LICENSES=` builds the rest without.\
"""

LIMITS = """\
- Answers are as right as the labels of the seeds; nobody has read every row.
- Lengths are estimates, not counts of one tokenizer.
- Duplicates are compared by spelling: the same question in other words, or another language, is a second one.
- Prompts quote product texts and queries as they were found, with their errors, claims and brand names.\
"""


def write_card(run: Path, recipe: Loaded, manifest: Mapping[str, Any]) -> None:
    """Write `README.md` into a run whose shards are in place."""
    shards = shard_files(run)
    languages = _languages(shards)
    matter = yaml.safe_dump(_front_matter(recipe, manifest, languages), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{matter}---",
        f"# {recipe.name}",
        recipe.description,
        *([MADE_UP.format(sources=", ".join(manifest["made_up"]))] if manifest["made_up"] else []),
        _counted(recipe, manifest, languages),
        USE,
        f"## Tasks\n\n{_tasks(recipe, manifest)}",
        *filter(None, [_taken_over(manifest)]),
        *_taught(recipe, manifest),
        *([f"Of the recipe, this is {'; '.join(left_out_lines(recipe))}."] if recipe.left_out else []),
        f"## One row of each type\n\n{_examples(shards)}",
        f"## Columns\n\n{_columns()}",
        f"## Licences\n\n{_licences(recipe)}",
        f"## How it was made\n\n{_making(recipe, manifest)}",
        f"## Known limits\n\n{LIMITS}",
    ]
    (run / CARD).write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _taught(recipe: Loaded, manifest: Mapping[str, Any]) -> list[str]:
    """What a teacher wrote: the tables that some tasks stand on, and prompts."""
    lines = []
    tables = {name: counts for name, counts in manifest["steps"].items() if "available" in counts}
    for name, counts in tables.items():
        why = ", ".join(f"{explain(reason)} ({rows:,})" for reason, rows in counts["rejected"].items())
        lines.append(
            f"- `{name}`: {counts['asked']:,} of {counts['available']:,} rows asked, {counts['kept']:,} kept"
            + (f"; left out: {why}" if why else "")
        )
    model = recipe.teacher.model
    told = f"{model} filled these tables; its replies passed checks, and no person has read them:"
    anew = sum(counts["kept"] for name, counts in manifest["steps"].items() if name not in tables)
    prompts = [f"{anew:,} prompts were written anew by {model}, and passed checks."] if anew else []
    return ["\n".join([told, "", *lines]), *prompts] if lines else prompts


def _front_matter(recipe: Loaded, manifest: Mapping[str, Any], languages: Iterable[str]) -> dict[str, Any]:
    sides = _sides(manifest)
    files = [{"split": side, "path": f"data/{side}-*.parquet"} for side, rows in sides.items() if rows]
    names = {SOURCES[source].LICENSE.lower() for source in recipe.sources}
    licences = sorted({name if name in HUB_LICENSES else "other" for name in names})
    types = [kind for kind in TaskType if any(task.type is kind for task in recipe.tasks.values())]
    rows = sum(sides.values())
    fingerprint = manifest["fingerprint"][:16]
    return {
        "pretty_name": recipe.name,
        # `datasets` caches by folder name and configs alone: without the description, another build's rows
        "configs": [
            {"config_name": "default", "description": f"fingerprint {fingerprint}", "data_files": files}
        ],
        "license": licences[0] if len(licences) == 1 else licences,
        "language": list(languages),
        "task_categories": [CATEGORIES[kind] for kind in types],
        "size_categories": [next((word for bound, word in SIZES if rows < bound), "1M<n<10M")],
        "tags": ["e-commerce", "shopping", "instruction-tuning", "shopbench"],
    }


def _sides(manifest: Mapping[str, Any]) -> dict[str, int]:
    return {
        side: sum(task["kept"].get(side, 0) for task in manifest["tasks"].values())
        for side in ("train", "test")
    }


def _languages(shards: Iterable[Path]) -> list[str]:
    """The languages of the rows, in the schema's order."""
    found: set[str] = set()
    for shard in shards:
        found.update(pq.read_table(shard, columns=["language"])["language"].unique().to_pylist())
    return [language for language in LANGUAGES if language in found]


def _counted(recipe: Loaded, manifest: Mapping[str, Any], languages: Iterable[str]) -> str:
    sides = " and ".join(f"{rows:,} {side}" for side, rows in _sides(manifest).items())
    named = ", ".join(LANGUAGES[language] for language in languages)
    tasks = len(recipe.tasks)
    return f"{sides} rows, {tasks} task{'s' if tasks > 1 else ''}, in {named}."


def _tasks(recipe: Loaded, manifest: Mapping[str, Any]) -> str:
    rows = []
    for name, task in recipe.tasks.items():
        counts = manifest["tasks"][name]
        kept = [counts["kept"].get(side, 0) for side in ("train", "test")]
        kind = (_words(task.type), _words(task.track), task.metric)
        rows.append([name, *kind, *kept, left_out(counts["rejected"])])
    return _table(["task", "type", "skill", "metric", "train", "test", "left out"], rows)


def _taken_over(manifest: Mapping[str, Any]) -> str:
    """Which tasks of a mixture lack rows, and which have more than their share for it."""
    more = {name: sum(task["taken_over"].values()) for name, task in manifest["tasks"].items()}
    if not any(more.values()):
        return ""
    short = []
    for name, task in manifest["tasks"].items():
        kept, wanted = (sum(task[count].values()) for count in ("kept", "wanted"))
        short += [f"{name} has {kept:,} of {wanted:,} rows"] if kept < wanted else []
    given = [f"{name} {rows:,} more" for name, rows in more.items() if rows]
    return f"Where a task ran dry, its neighbours gave its rows: {'; '.join([*short, *given])}."


def _examples(shards: Sequence[Path]) -> str:
    """The first row of each task type, in the order of the types."""
    found = {}
    for shard in shards:
        kinds = pq.read_table(shard, columns=["task_type"])["task_type"]
        for kind in TaskType:
            position = pc.index(kinds, kind.value).as_py()
            if kind not in found and position >= 0:
                columns = ["task", "task_type", "prompt", "completion"]
                found[kind] = pq.read_table(shard, columns=columns).slice(position, 1).to_pylist()[0]
    return "\n\n".join(_example(found[kind]) for kind in TaskType if kind in found)


def _example(row: Mapping[str, Any]) -> str:
    messages = (*row["prompt"], *row["completion"])
    turns = [f"[{message['role']}]\n{_cut(message['content'])}" for message in messages]
    text = "\n\n".join(turns)
    fence = "`" * 3 if "```" not in text else "~" * 8
    return f"{_words(row['task_type']).capitalize()} (`{row['task']}`):\n\n{fence}text\n{text}\n{fence}"


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} [...]"


def _columns() -> str:
    rows = [[f"`{field.name}`", (field.metadata or {})[b"description"].decode()] for field in SHARD]
    return _table(["column", "what"], rows)


def _licences(recipe: Loaded) -> str:
    rows = [[name, SOURCES[name].LICENSE, SOURCES[name].HOMEPAGE] for name in sorted(recipe.sources)]
    head = "Every row names its sources and their licences. It is under the terms of all of them:"
    parts = [f"{head}\n\n{_table(['source', 'licence', 'publisher'], rows)}"]
    for names, text in zip(limited(recipe.sources), (NON_COMMERCIAL, UNLICENSED), strict=True):
        parts += [text.format(sources=", ".join(names))] if names else []
    return "\n\n".join(parts)


def limited(sources: Iterable[str]) -> tuple[list[str], list[str]]:
    """Those of some sources that forbid commercial use, and those whose publisher grants no licence."""
    licences = {name: SOURCES[name].LICENSE.lower() for name in sorted(sources)}
    return (
        [name for name, licence in licences.items() if "-nc" in licence],
        [name for name, licence in licences.items() if "none granted" in licence],
    )


def _making(recipe: Loaded, manifest: Mapping[str, Any]) -> str:
    near = f", near ones from a similarity of {recipe.dedup.near:g}" if recipe.dedup.near else ""
    text = (
        f"Built by shoptalk from the recipe `{recipe.name}` (fingerprint `{manifest['fingerprint'][:16]}`, "
        "a hash of recipe, templates, seeds and code); "
        "`recipe.lock.yaml` holds all of it, with hashes of templates and seeds. Duplicates were removed by "
        f"content{near}. Every gold answer was parsed and scored as ShopBench does; "
        "a row whose answer did not score 1.0 is not here."
    )
    if manifest.get("evaluation"):
        rows = manifest["contaminated"]
        sets = ", ".join(
            f"{name} ({count:,} questions, {rows.get(name, 0):,} rows)"
            for name, count in sorted(manifest["evaluation"].items())
        )
        text += f" Rows that ask what a question of these evaluation sets asks were left out: {sets}."
    reasons: Counter[str] = Counter()
    for task in manifest["tasks"].values():
        reasons.update(task["rejected"])
    if not reasons:
        return f"{text} No row was left out."
    ordered = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    rows = [[f"`{reason}`", count, explain(reason)] for reason, count in ordered]
    return f"{text} Rows left out are in `rejects/`:\n\n{_table(['left out', 'rows', 'because'], rows)}"


def _table(headers: list[str], rows: list[list[Any]]) -> str:
    cells = [
        [f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|") for cell in row]
        for row in rows
    ]
    rule = ["---:" if rows and isinstance(cell, int) else "---" for cell in (rows[0] if rows else headers)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [headers, rule, *cells])


def _words(name: str) -> str:
    return str(name).replace("_", " ")
