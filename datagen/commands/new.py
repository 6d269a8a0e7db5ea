"""The starter recipe and template that `datagen new` writes. They build on the sample shop at once.

Some are written out in `starters/`, with comments, where the shipped tasks are too much to begin with. For
another source or type they are those of the shipped task with the shortest query, so that whatever a
starter shows is what works.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from duckdb import DuckDBPyConnection

from datagen.config.document import Document, read
from datagen.errors import UserError
from datagen.paths import find, folders, names
from datagen.schema import TaskType
from datagen.sources import SOURCES
from datagen.sources.database import open_layout
from datagen.sources.query import STEPS, reads
from datagen.suggest import among

STARTERS = Path(__file__).parent / "starters"
"""Recipes `<source>.<type>.yaml` of one task over one staging table, and templates. NAME is their name."""

ORIGIN = """\
# `datagen check {name}` names every mistake, `datagen preview {name}` shows a few rows.
# `datagen sources NAME` lists a source's tables, `datagen sources NAME.TABLE` prints rows of one.
# Begun from the task `{task}` of `{recipe}`, where a comment says why its answers are right.
# Seeds of your own: `datagen preview {name} --seeds DIR`.
"""

MIXTURE = "kddcup24"

ROWS = 500
"""Rows of a starter that was copied."""


class Model(NamedTuple):
    """A shipped task to start from, and the tables of its recipe that it reads."""

    document: Document
    task: str
    tables: list[str]
    sources: set[str]

    def value(self, key: str) -> Any:
        """What the task says, or its recipe for all of its tasks."""
        return self.document.data["tasks"][self.task].get(key, self.document.data.get(key))

    def length(self) -> tuple[int, int, str]:
        """Sources and words that one has to read to understand it."""
        texts = [self.value("query"), *(self.document.data["tables"][name] for name in self.tables)]
        return len(self.sources), sum(len(re.findall(r"\w+", text)) for text in texts), self.task


def write_starter(
    name: str, source: str = "esci", task_type: TaskType = TaskType.MULTIPLE_CHOICE, folder: Path = Path()
) -> list[Path]:
    """Write `recipes/<name>.yaml` and its template below `folder`; gives their paths.

    Raises UserError for a name that no recipe may have or that one has, where a file is there already, or
    where no task that ships asks for this type from this source.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise UserError(f"`{name}`: a recipe's name is lower-case letters, digits and `_`, a letter first")
    written = STARTERS / f"{source}.{task_type}.yaml"
    if written.is_file():
        recipe = written.read_text(encoding="utf-8").replace("NAME", name)
        template = written.with_suffix(".j2").read_text(encoding="utf-8")
    else:
        recipe, template = _copied(name, _model(source, task_type))
    texts = {
        folder / "recipes" / f"{name}.yaml": recipe,
        folder / "templates" / task_type / f"{name}.j2": template,
    }
    for path in texts:
        if path.exists():
            raise UserError(f"{path} is there already. Take another name, or move it away")
    if name in names("recipes"):
        raise UserError(f"`{name}` is a recipe that ships with shoptalk. Take another name")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def _model(source: str, task_type: TaskType) -> Model:
    """The shipped task of this source and type that is the shortest to read."""
    if source not in SOURCES:
        raise UserError(f"`{source}` is no seed source: {among(source, SOURCES)}")
    models = [
        model for model in _models() if source in model.sources and model.value("type") in set(TaskType)
    ]
    known = [(model, TaskType(model.value("type"))) for model in models]
    found = [model for model, kind in known if kind is task_type]
    if not found:
        kinds = ", ".join(sorted({kind.value for _, kind in known}))
        raise UserError(
            f"no task that ships is a {task_type} from {source}. From {source} there are: {kinds}"
        )
    return min(found, key=Model.length)


@cache
def _models() -> list[Model]:
    """All tasks of the recipes that `kddcup24` includes, as a user's own may lie in the folder of those."""
    shipped = folders("recipes")[1:]
    included = read(find("recipes", MIXTURE, shipped)).data["include"]
    documents = [read(find("recipes", name, shipped)) for name in included]
    documents = [document for document in documents if not document.problems]
    with open_layout({}) as connection:  # which parses; what the queries read need not be there
        return [model for document in documents for model in _models_of(document, connection)]


def _models_of(document: Document, connection: DuckDBPyConnection) -> Iterator[Model]:
    tables: dict[str, set[str]] = {}
    for name, select in document.data.get("tables", {}).items():
        tables[name] = _reads(connection, select, tables)
    for task, keys in document.data.get("tasks", {}).items():
        found = _reads(connection, keys["query"], tables)
        if any(name.startswith(STEPS) for name in found):  # a teacher's tables, which a starter has not
            continue
        own = [name for name in tables if name in found]
        yield Model(document, task, own, {name.partition(".")[0] for name in found} & SOURCES.keys())


def _reads(connection: DuckDBPyConnection, select: str, tables: dict[str, set[str]]) -> set[str]:
    """The tables that a query reads, be it by the recipe's own."""
    direct = reads(connection, select)
    return direct.union(*(tables[name] for name in direct & tables.keys()))


def _copied(name: str, model: Model) -> tuple[str, str]:
    """The texts of a recipe with this one task, and of its template."""
    document = model.document
    kind = model.value("type")
    sources = {source: document.data["sources"][source] for source in sorted(model.sources)}
    head = yaml.safe_dump(
        {"name": name, "description": f"Begun from {model.task}: say in a sentence what it teaches."},
        allow_unicode=True,
        sort_keys=False,
        width=1000,
    )
    head += f"sources: {yaml.safe_dump(sources, default_flow_style=True, width=1000)}"
    tables = "".join(_block(document, ("tables", table)) for table in model.tables)
    task = _block(document, ("tasks", model.task), {"template": f"{kind}/{name}.j2", "rows": ROWS})
    keys = [(key, model.value(key)) for key in ("type", "track", "language") if model.value(key)]
    stated = "".join(
        f"    {key}: {value}\n" for key, value in keys if key not in document.data["tasks"][model.task]
    )
    task = re.sub(rf"(?m)^  {model.task}:\n", lambda match: match[0] + stated, task)
    template = find("templates", model.value("template"), folders("templates")[1:]).read_text("utf-8")
    recipe = ORIGIN.format(name=name, task=model.task, recipe=document.path.stem) + head
    recipe += (f"tables:\n{tables}" if tables else "") + f"tasks:\n{task}"
    return recipe, template


def _block(document: Document, loc: tuple[str, str], changed: dict[str, Any] | None = None) -> str:
    """The lines of a table or a task, and with other values for some keys.

    The comment before a task stays behind: it may tell of others beside it.
    """
    lines = document.text.splitlines()
    first = document.keys[loc][0] - 1
    while loc[0] == "tables" and lines[first - 1].startswith("  #"):
        first -= 1
    last = document.nodes[loc].end_mark.line
    last += not lines[last - 1 : last] or document.nodes[loc].end_mark.column > 2
    kept = lines[first:last]
    while kept and (not kept[-1].strip() or kept[-1].startswith("  #")):
        kept.pop()
    text = "\n".join(kept) + "\n"
    for key, value in (changed or {}).items():
        text = re.sub(rf"(?m)^    {key}: .*$", f"    {key}: {value}", text, count=1)
    return text
