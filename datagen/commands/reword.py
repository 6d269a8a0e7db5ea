"""New wordings of a recipe's templates: asked of a teacher, tried on real rows, written beside the template.

A person reads the file and commits it; builds then use its wordings after the template's own.
"""

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from datagen.console.progress import Say
from datagen.console.text import aside, heading, shortened, table
from datagen.errors import UserError
from datagen.paths import find
from datagen.pipeline.render import Job, job_of, word
from datagen.pipeline.rewriting import LEDGER, missing, reworder_of
from datagen.pipeline.sampling import draw
from datagen.pipeline.shared_tables import shared, turns
from datagen.prompts.template import TemplateError, Wording, load_template, reworded_path
from datagen.recipe.model import Loaded
from datagen.recipe.narrow import tasks_named
from datagen.schema import LANGUAGES
from datagen.sources.database import open_seeds
from datagen.sources.query import columns_of
from datagen.storage.files import write_text
from datagen.tasks import TASKS
from datagen.tasks.question import one_line
from datagen.teacher import reword
from datagen.teacher.ask import Ask, Reply
from datagen.teacher.client import asked
from datagen.teacher.gates import GATES, row_problem
from datagen.teacher.marks import Marked, of_wording

ROWS = 300
"""Rows of a task that are drawn, so that some in each language are among them."""

TRIED = 25
"""Rows that each new wording is tried on."""

CALLS = 6
"""Calls for one template in one language, at most."""

MISREAD = 0.05
"""Share of the rows that may be read in another way than in the wording that stood there."""


@dataclass(slots=True)
class Reworded:
    """What became of one template: its new wordings by language, and why others were left out."""

    template: str
    path: Path
    model: str = ""
    kept: dict[str, list[str]] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, str]] = field(default_factory=list)
    calls: int = 0
    lacking: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Trial:
    """Rows of a task in one language, and how they are rendered."""

    job: Job
    batch: pa.RecordBatch


def rewordings(
    recipe: Loaded,
    seeds: Path,
    runs: Path,
    wordings: int,
    task: str | None = None,
    *,
    say: Say = lambda text: None,
) -> Iterator[Reworded]:
    """Ask for new wordings of each template of the recipe, or of one task's; files are written as they come.

    Raises UserError where the recipe has no such task, or a file holds wordings of another teacher.
    """
    names = tasks_named(recipe, task)
    teacher = reworder_of(recipe)
    if lacks := missing(recipe, runs):
        raise UserError(lacks)

    def asking(asks: Iterable[Ask]) -> Iterator[Reply]:
        return asked(teacher, asks, runs / LEDGER, recipe=recipe.name, say=say)

    of_templates: dict[str, list[str]] = {}
    for name in names:
        of_templates.setdefault(recipe.tasks[name].template, []).append(name)
    for template in of_templates:
        _check_teacher(find("templates", template), teacher.model)
    trials: dict[str, list[_Trial]] = {}
    with (
        open_seeds(recipe.sources, seeds, recipe.seed, tables=recipe.tables, say=say) as opened,
        tempfile.TemporaryDirectory(prefix="shoptalk-reword-") as folder,
    ):
        of_tasks = turns(opened, {name: recipe.tasks[name].query for name in names})
        path = Path(folder) / "drawn.arrow"
        for name in names:
            sql, rows = recipe.tasks[name].query, ROWS
            with shared(opened, name, of_tasks[name]):
                draw(opened, name, sql, list(columns_of(opened.of(name), sql)), rows, 0.0, path)
            trials.setdefault(recipe.tasks[name].template, []).extend(_trials(job_of(recipe, name), path))
    works = [
        _Work(template, of_template, teacher.model, wordings) for template, of_template in trials.items()
    ]
    for number in range(CALLS):
        wanted = [found for work in works if (found := work.asks(number))]
        if not wanted:
            break
        asks = [one.ask for found in wanted for one in found]
        replies = iter(list(asking(asks)))  # all templates' at once
        for found in wanted:
            for one in found:
                one.take(next(replies))
    for work in works:
        yield work.ended()


def _check_teacher(path: Path, model: str) -> None:
    others = {wording.teacher for wording in load_template(path).wordings} - {None, model}
    if others:
        place = reworded_path(path)
        raise UserError(f"{place}: worded by {others.pop()}. Move it away to ask {model} instead")


def _trials(job: Job, drawn: Path) -> Iterator[_Trial]:
    with pa.OSFile(str(drawn)) as file:
        table = pa.ipc.open_file(file).read_all()
    if "language" not in table.column_names:
        table = table.append_column("language", pa.repeat(job.language, table.num_rows))
    for language in LANGUAGES:
        rows = table.filter(pc.equal(table["language"], language)).slice(0, TRIED).combine_chunks()
        if rows.num_rows:
            yield _Trial(replace(job, language=language), rows.to_batches()[0])


class _Work:
    """What is done for one template: a call for each of its languages in each round, until it has enough."""

    def __init__(self, template: str, trials: Sequence[_Trial], model: str, wordings: int) -> None:
        path = find("templates", template)
        self.found = Reworded(template, reworded_path(path), model)
        self.languages: list[_Language] = []
        own: dict[str, list[tuple[Marked, Wording]]] = {}
        for wording in load_template(path).wordings:
            if marked := of_wording(wording.text):
                own.setdefault(wording.language or "en", []).append((marked, wording))
        for language, of_language in own.items():
            rows = [one for one in trials if of_language[0][1].language in (None, one.job.language)]
            rows.sort(key=lambda one: one.job.language != language)
            if rows:
                self.found.kept[language] = []
                self.languages.append(_Language(self.found, language, of_language, rows, wordings))
            else:
                self.found.lacking[language] = "no row in this language to try them on"

    def asks(self, number: int) -> list["_Asked"]:
        """The asks of a round, one for each language that lacks wordings and has one more to start from."""
        return [one for language in self.languages if (one := language.asked(number))]

    def ended(self) -> Reworded:
        """What became of the template, written beside it."""
        for language in self.languages:
            if language.lacks > 0:
                self.found.lacking[language.name] = f"{language.lacks} of {language.wordings}"
        if any(self.found.kept.values()):
            _write(self.found)
        return self.found


@dataclass(frozen=True, slots=True)
class _Language:
    """A template's wordings in one language, and the rows that new ones are tried on."""

    found: Reworded
    name: str
    own: Sequence[tuple[Marked, Wording]]
    rows: Sequence[_Trial]
    wordings: int

    @property
    def lacks(self) -> int:
        """How many wordings are still wanted."""
        there = sum(wording.teacher is not None for _, wording in self.own)
        return self.wordings - there - len(self.found.kept[self.name])

    @property
    def known(self) -> list[str]:
        """The texts of all wordings that there are by now."""
        return [text.text for text, _ in self.own] + kept_texts(self.found.kept[self.name])

    def asked(self, number: int) -> "_Asked | None":
        """The ask of this round, if there is to be one."""
        bases = [pair for pair in self.own if pair[1].teacher is None and len(pair[1].text) > 40] or self.own
        if self.lacks <= 0 or number >= len(bases):
            return None
        marked, wording = bases[number]
        ask = reword.ask(self.found.template, marked, self.known, self.name, self.lacks)
        return _Asked(self, ask, marked, wording)


@dataclass(frozen=True, slots=True)
class _Asked:
    """An ask for new wordings of one wording, and what is taken of its reply."""

    of: _Language
    ask: Ask
    marked: Marked
    wording: Wording

    def take(self, reply: Reply) -> None:
        """Keep the wordings that pass, and count why others do not."""
        found, kept = self.of.found, self.of.found.kept[self.of.name]
        found.calls += 1
        texts, reason = reword.wordings_of(reply)
        if reason:
            found.rejected[reason] += 1
        for text in texts:
            why = reword.problem(text, self.marked, self.of.known, self.of.name)
            why = why or _tried(text, self.marked, self.wording, self.of.rows)
            if why:
                found.rejected[why] += 1
                found.examples.append((why, text))
            elif self.of.lacks > 0:
                kept.append(self.marked.filled(text))


def kept_texts(kept: Iterable[str]) -> list[str]:
    """Wordings with marks for their Jinja."""
    return [marked.text for text in kept if (marked := of_wording(text))]


def _tried(text: str, base: Marked, wording: Wording, trials: Sequence[_Trial]) -> str | None:
    """Why a new wording fails where the one that it stands for does not, on real rows."""
    with tempfile.TemporaryDirectory(prefix="shoptalk-reword-") as folder:
        for number, trial in enumerate(trials):
            kind = trial.job.task_type
            try:
                new = _rendered(Path(folder) / f"{number}-new", base.filled(text), trial)
            except TemplateError:
                return "not_a_template"
            old = _rendered(Path(folder) / f"{number}-old", wording.text, trial)
            if old.keys() - new.keys():
                return "not_rendered"
            problems = [row_problem(new[key], old[key], kind) for key in old]
            found = Counter(problem for problem in problems if problem)
            if found.total() > MISREAD * len(old):
                return found.most_common(1)[0][0]
    return None


def _rendered(folder: Path, text: str, trial: _Trial) -> dict[str, str]:
    """The prompts of a trial's rows in one wording, by key."""
    path = folder / trial.job.task_type / "template.j2"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    shown = next((name for name in ("listing", "text") if name in TASKS[trial.job.task_type].SLOTS), None)
    if shown and shown not in load_template(path).slots:
        return {}
    examples, _ = word(trial.batch, replace(trial.job, template=path, rewrite=0.0))
    return dict(zip(examples["key"].to_pylist(), examples["prompt"].to_pylist(), strict=True))


def _write(found: Reworded) -> None:
    """Add the new wordings to the file beside the template."""
    text = found.path.read_text("utf-8") if found.path.is_file() else f"{{# reworded by {found.model} #}}\n"
    empty = not found.path.is_file()
    for language, wordings in found.kept.items():
        for wording in wordings:
            head = "---" if language == "en" else f"--- {language}"
            text += ("" if empty and language == "en" else f"{head}\n") + wording.rstrip("\n") + "\n"
            empty = False
    write_text(text, found.path)
    load_template(find("templates", found.template))


def told(found: Reworded) -> str:
    """What became of one template, for people: counts by reason, with one wording of each."""
    shown = dict(reversed(found.examples))
    rows = [("kept", language, len(wordings), "") for language, wordings in found.kept.items()]
    for reason, count in found.rejected.most_common():
        rows.append(
            ("left out", f"{reason}: {GATES.get(reason, reason)}", count, one_line(shown.get(reason, "")))
        )
    text = [heading(f"templates/{found.template}") + aside(f"  {found.calls} calls")]
    text.append(table(("", "", "wordings", "as"), [(*row[:3], shortened(row[3], 100)) for row in rows]))
    text += [f"{language} lacks {why}" for language, why in found.lacking.items()]
    if any(found.kept.values()):
        text.append(f"wrote {found.path}: read it before a build does")
    return "\n".join(text)
