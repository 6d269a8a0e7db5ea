"""The recipe's data model: every key with its type, its default and its meaning.

A file is a `Recipe` with tasks, or a `Mixture` that blends other recipes; `recipe.load` makes either a
`Loaded` recipe. The tables of `docs/recipe.md` are written from these models.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from datagen.schema import TaskType, Track
from datagen.suggest import among
from datagen.tasks import TASKS, generation

Name = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]*$", title="a name of lower-case letters, digits and `_`, a letter first"),
]

Sources = Annotated[dict[str, SerializeAsAny[BaseModel]], Field(title="sources by name, such as `esci: {}`")]


Language = Literal["en", "de", "es", "fr", "it", "ja"]

INHERITED = ("type", "track", "language")
"""Keys of a task that a recipe may say once for all of its tasks."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Task(_Model):
    """One kind of question: where its rows come from, what shape they have, how they are worded."""

    type: TaskType = Field(strict=False, description="shape of the question and of its answer")
    track: Track = Field(strict=False, description="ShopBench's skill that the task trains")
    template: str = Field(
        min_length=1,
        title="a file such as `ranking/best.j2`",
        description="file below `templates/`, in its type's folder",
    )
    rows: int = Field(gt=0, description="rows wanted; fewer come out where the query has fewer fair ones")
    query: str = Field(
        min_length=1,
        title="one SELECT",
        description="one SELECT over the recipe's and the sources' tables; its columns are the slots",
    )
    metric: str = Field(
        default="",
        validate_default=True,
        title="a metric of the type",
        description="one of the type's metrics, by default its first",
    )
    language: Language = Field(
        default="en", description="language of the rows, where the query has no column `language`"
    )
    shortcut: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="score of what answers without skill, above which a build warns; null: no bound",
    )

    bilingual: bool = Field(
        default=False, description="rows hold two languages, so that no text is rejected for its own"
    )

    @field_validator("template")
    @classmethod
    def _in_the_folder_of_its_type(cls, template: str, info: ValidationInfo) -> str:
        kind = info.data.get("type")
        if kind and not template.startswith(f"{kind}/"):
            advice = f"a template of this type stands in `{kind}/`"
            raise PydanticCustomError("template_folder", "{advice}", {"advice": advice})
        return template

    @field_validator("metric")
    @classmethod
    def _known_to_its_type(cls, metric: str, info: ValidationInfo) -> str:
        kind = info.data.get("type")
        known = TASKS[kind].METRICS if kind else (metric,)
        if metric and metric not in known:
            raise PydanticCustomError("unknown_metric", "{advice}", {"advice": among(metric, known)})
        return metric or known[0]

    @field_validator("shortcut")
    @classmethod
    def _of_a_metric_that_a_build_scores(cls, shortcut: float | None, info: ValidationInfo) -> float | None:
        metric = info.data.get("metric", "")
        if shortcut is not None and generation.embeds(metric):
            advice = f"a build does not score by {metric}, which takes a model: leave the bound out"
            raise PydanticCustomError("unmeasured_shortcut", "{advice}", {"advice": advice})
        return shortcut


_SIMPLE = ("string", "span", "int", "float", "bool", "list<string>", "list<span>")
COLUMN_KINDS = ", ".join(f"`{kind}`" for kind in _SIMPLE)
"""What a column that the teacher fills may hold; a span is a string that stands in the text word for word."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def _column_kind(kind: Any) -> Any:
    """The kind of a column as the recipe writes it, if it is one."""
    if not is_kind(kind):
        advice = (
            f"write one of {COLUMN_KINDS}; a list of the words that it may be; "
            "or `[{name: string, value: span}]`, a list of records"
        )
        raise PydanticCustomError("column_kind", "{advice}", {"advice": advice})
    return kind


def is_kind(kind: Any) -> bool:
    """Whether a recipe may write this as the kind of a column that the teacher fills."""
    record = kind[0] if isinstance(kind, list) and len(kind) == 1 else None
    if isinstance(record, dict):
        named = all(isinstance(name, str) and _NAME.fullmatch(name) for name in record)
        known = all(part in ("string", "span") or _words(part) for part in record.values())
        return bool(record) and named and known
    return kind in _SIMPLE or _words(kind)


def _words(kind: Any) -> bool:
    """Whether this is a list of different words, of which a column holds one."""
    words = kind if isinstance(kind, list) else []
    texts = [word for word in words if isinstance(word, str) and word.strip() == word != ""]
    return len({*texts}) == len(words) > 1


ColumnKind = Annotated[Any, AfterValidator(_column_kind), Field(title=f"one of {COLUMN_KINDS}")]


class _Step(_Model):
    """A table that the teacher fills, a row for each row of a query."""

    query: str = Field(
        min_length=1,
        title="one SELECT",
        description="one SELECT over the sources' tables and earlier steps; `key` names a row, and what is"
        " no `groups`, `split` or `language` is shown to the teacher",
    )
    template: str = Field(
        min_length=1,
        title="a file such as `teacher/product_type.j2`",
        description="file below `templates/`, in the folder `teacher`: what the teacher is to do with a row",
    )
    rows: int = Field(gt=0, description="rows to ask about, drawn from all that the query gives")
    language: Language = Field(
        default="en", description="language of the rows, where the query has no column `language`"
    )

    judge: str | None = Field(
        default=None,
        title="a file such as `teacher/judge.j2`",
        description="template of a second question: how good is what was filled in, from 1 to 5? Below 4 it"
        " is out",
    )

    @field_validator("template", "judge")
    @classmethod
    def _in_the_folder_of_the_teacher(cls, template: str | None) -> str | None:
        return template and _teacher_template(template)


def _teacher_template(template: str) -> str:
    if not template.startswith("teacher/"):
        advice = "a template for the teacher stands in `teacher/`"
        raise PydanticCustomError("template_folder", "{advice}", {"advice": advice})
    return template


class Extract(_Step):
    """A table `extracted.<name>`: labels that the teacher reads out of seed texts."""

    columns: dict[Name, ColumnKind] = Field(
        min_length=1,
        title="kinds by name",
        description="columns that the teacher fills, each with its kind; a list of the words that it may be;"
        " or `[{aspect: span, sentiment: [good, bad]}]`, a list of records. A `span` stands in the row's"
        " texts word for word",
    )


class Answer(_Step):
    """A table `answered.<name>` with a column `reference`: texts that the teacher writes."""

    min_words: int = Field(default=4, gt=0, description="fewest words of an answer")
    max_words: int = Field(default=80, gt=0, description="most words of an answer")
    candidates: int = Field(
        default=1,
        ge=1,
        le=8,
        description="answers asked for each row; of those that pass the checks the one that agrees best with "
        "the others is kept",
    )


Dollars = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Teacher(_Model):
    """Who fills the tables of `extract` and `answer`."""

    model: str = Field(default="gpt-4o", min_length=1, description="model, as its server calls it")
    base_url: str | None = Field(
        default=None,
        exclude=True,
        description="an OpenAI-compatible server, such as `http://localhost:8000/v1`; null: OpenAI's own",
    )
    max_cost_usd: float | None = Field(
        default=25, ge=0, exclude=True, description="a build stops before it spends more; null: no limit"
    )
    price: tuple[Dollars, Dollars] | None = Field(
        default=None,
        strict=False,
        exclude=True,
        title="two numbers, such as `[2.5, 10]`",
        description="dollars a million tokens, in and out; null: those of the table that ships",
    )
    judge: str | None = Field(
        default=None, min_length=1, description="model of the same server that judges; null: the same"
    )
    batch: bool = Field(
        default=False, exclude=True, description="ask by the Batch API: half the price, within a day"
    )


class Filters(_Model):
    """What a row must pass to be kept."""

    max_tokens: int = Field(default=3072, gt=0, description="longest prompt and answer together, in tokens")
    language: bool = Field(default=True, description="reject text that is not in the row's language")


class Dedup(_Model):
    """Which rows count as the same question."""

    near: float | None = Field(
        default=0.85,
        ge=0.5,
        le=1,
        description="similarity of texts from which two rows are near-duplicates; null: exact copies only",
    )


class Split(_Model):
    """How rows are shared out between train and test."""

    test: float = Field(
        default=0.1,
        ge=0,
        le=0.5,
        description="share of rows in the test split; more of a task's, where train has too few for the rest",
    )


class Reword(_Model):
    """What `datagen reword` asks a teacher for."""

    wordings: int = Field(gt=0, le=50, description="new wordings of each template, in each of its languages")


class Rewrite(_Model):
    """Which prompts a teacher writes anew."""

    share: float = Field(
        gt=0, le=1, description="share of each task's rows; where the new prompt fails a check, the old stays"
    )


class Common(_Model):
    """What every recipe file has."""

    name: Name = Field(description="the file's name without `.yaml`")
    description: str = Field(min_length=1, description="one sentence for people: what is asked, from what")
    seed: int = Field(
        default=2024, ge=0, description="shapes every random choice: another seed, another data set"
    )
    filters: Filters = Field(default=Filters(), description="what a row must pass to be kept")
    dedup: Dedup = Field(default=Dedup(), description="which rows count as the same question")
    split: Split = Field(default=Split(), description="how rows are shared out between train and test")
    teacher: Teacher = Field(
        default=Teacher(),
        exclude=True,
        description="the model that fills `extracted.` and `answered.` tables",
    )
    licenses: list[str] = Field(
        default=[],
        description="licences of rows: tasks over sources under others are left out; empty: any",
    )
    max_per_key: int | None = Field(
        default=None,
        gt=0,
        description="rows of one name in `groups` (a product, a query), in all tasks; null: any number",
    )
    reword: Reword | None = Field(
        default=None, description="new wordings of templates, asked for by `datagen reword`"
    )
    rewrite: Rewrite | None = Field(
        default=None, description="prompts that a teacher writes anew; null, or no teacher: none"
    )
    decontaminate: list[Annotated[str, Field(min_length=1)]] = Field(
        default=[],
        title="a list of files",
        description="files of evaluation questions: rows that ask what one of these asks are left out",
    )


class Recipe(Common):
    """Tasks over seed sources: all that shapes a data set but the seeds and templates themselves."""

    sources: Sources = Field(min_length=1, description="seed sources, each with its options")
    type: TaskType | None = Field(
        default=None, strict=False, exclude=True, description="type of the tasks that do not say theirs"
    )
    track: Track | None = Field(
        default=None, strict=False, exclude=True, description="track of the tasks that do not say theirs"
    )
    language: Language | None = Field(
        default=None, exclude=True, description="language of the tasks that do not say theirs"
    )
    extract: dict[Name, Extract] = Field(
        default={},
        title="tables by name",
        description="tables `extracted.<name>` that the teacher fills with labels",
    )
    answer: dict[Name, Answer] = Field(
        default={},
        title="tables by name",
        description="tables `answered.<name>` that the teacher fills with references",
    )
    tables: dict[Name, Annotated[str, Field(min_length=1, title="one SELECT")]] = Field(
        default={},
        title="SELECTs by name",
        description="tables that the recipe's queries share; a later one may read an earlier one",
    )
    tasks: dict[Name, Task] = Field(min_length=1, title="tasks by name", description="the kinds of question")


class Mixture(Common):
    """Other recipes blended: their tasks become tasks named `<recipe>.<task>`."""

    include: list[str] = Field(min_length=1, description="recipes to blend, or single tasks as `recipe.task`")
    exclude: list[str] = Field(
        default=[], description="what is left out of that: recipes, single tasks, sources, types or tracks"
    )
    rows: int = Field(gt=0, description="rows of the whole")
    weights: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default={},
        title="numbers by name",
        description="share of each recipe or task included, source, type or track; without, in proportion to "
        "the recipes' own rows",
    )
    sources: Sources = Field(
        default={}, description="options of sources that hold for all included recipes, in place of their own"
    )


class Loaded(Recipe):
    """A recipe as `recipe.load` gives it: what was worked out for it stands beside its own keys."""

    @property
    def steps(self) -> dict[str, Extract | Answer]:
        """The tables that a teacher fills, by the names that queries call them, in their order."""
        extracts = {f"extracted.{name}": step for name, step in self.extract.items()}
        return extracts | {f"answered.{name}": step for name, step in self.answer.items()}

    @property
    def selects(self) -> dict[str, str]:
        """The queries of all tables that are not the sources': the teacher's, then the recipe's own."""
        return {name: step.query for name, step in self.steps.items()} | self.tables

    replays: bool = Field(default=False, exclude=True)
    """Whether no teacher is asked, and what the ledger holds is all: so in a recipe out of a run's lock."""

    left_out: dict[str, str] = Field(default={}, exclude=True)
    """Tasks that were left out by their sources or licences, with the reason."""

    groups: dict[str, list[str]] = Field(default={}, exclude=True)
    """In a mixture, what each task is weighed by: its recipe, or the keys of `weights` that it counts for."""
