"""The reader of questions: from a run's test split, or from files in ShopBench's forms.

`read_questions` gives a list of `Asked` from any of these:

    runs/<recipe>/      a data set of datagen: its test split, where a row's id is the question's id
    FILE.jsonl          ShopBench's form, one JSON object a line: `input_field`, and where known
                        `output_field`, `task_name`, `task_type`, `metric`, `is_multiple_choice`, `track`;
                        the question's id is its line's number
    data.zip, data/     the public release, Shopping MMLU: `skills/*.json`, each in ShopBench's form;
                        the id is the skill and the line's number
    infer/runs/<name>/  the questions of a run of infer: its questions.parquet (`to_table`)
"""

import json
import math
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datagen.errors import UserError
from datagen.schema import SCHEMA_VERSION, TaskType, Track
from datagen.storage.manifest import MANIFEST, read_manifest, run_folder

COPY = "questions.parquet"
"""The file in which a run of infer keeps its questions."""

ANSWERS_FOLDER = "answers"
"""The folder in which it keeps their answers."""

TABLE = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("is_multiple_choice", pa.bool_()),
        pa.field("task", pa.string(), nullable=False),
        pa.field("task_type", pa.string()),
        pa.field("track", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("target", pa.string(), metadata={"description": "as JSON; null where it is unknown"}),
        pa.field("language", pa.string()),
    ]
)
"""Columns of `questions.parquet`: the fields of `Asked`."""

TRACKS = {
    "amazon-kdd-cup-24-understanding-shopping-concepts": Track.CONCEPTS.value,
    "amazon-kdd-cup-24-shopping-knowledge-reasoning": Track.REASONING.value,
    "amazon-kdd-cup-24-user-behavior-alignment": Track.BEHAVIOR.value,
    "amazon-kdd-cup-24-multi-lingual-abilities": Track.LANGUAGES.value,
}
"""ShopBench's names of its tracks, in our words."""


_DIGITS = 1000
"""Digits of a number that nobody meant; Python converts 4,300."""

_EXAMPLE = '{"input_field": "Which ...?", "output_field": 0, "task_type": "multiple-choice"}'


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, and what is known about it.

    `task_type`, `metric` and `target` are for scoring alone: answers are given without looking at them.
    `task`, `track` and `metric` are empty, the others None, where the source does not tell.
    """

    id: str
    prompt: str
    is_multiple_choice: bool | None
    task: str
    task_type: TaskType | None
    track: str
    metric: str
    target: Any
    language: str | None


def read_questions(source: Path) -> list[Asked]:
    """The questions of a data set, a ShopBench-form file, Shopping MMLU, or a run's copy, in their order.

    A data set below runs/ may be named without it. Raises UserError where there are none, or where one cannot
    be read: with file and line.
    """
    if not source.exists() and not source.suffix:
        source = run_folder(source)
    if not source.exists():
        raise UserError(
            f"{source}: no such file or folder. Name a JSON Lines file of questions, or a run that "
            "`make data` has built, as in: runs/esci_mcq"
        )
    if source.is_dir() and (source / COPY).exists():
        found = _of_copy(source / COPY)
    elif source.is_dir():
        found = _of_run(source) if (source / MANIFEST).exists() else _of_release(source)
    elif source.suffix == ".zip":
        found = _of_release(source)
    elif source.suffix == ".parquet":
        found = _of_copy(source)
    else:
        found = _of_lines(source.read_bytes(), str(source), "")
    if not found:
        raise UserError(f"{source}: holds no question")
    return found


def to_table(asked: Iterable[Asked]) -> pa.Table:
    """The questions as a table of the schema TABLE."""
    rows = [
        {
            **{name: getattr(question, name) for name in TABLE.names},
            "target": None if question.target is None else json.dumps(question.target, ensure_ascii=False),
        }
        for question in asked
    ]
    return pa.Table.from_pylist(rows, schema=TABLE)


def from_table(table: pa.Table) -> list[Asked]:
    """The questions of a table that `to_table` made. Raises UserError where it is another."""
    if table.schema.names != TABLE.names:
        raise UserError(
            f"a table of questions has the columns {', '.join(TABLE.names)}; this one has "
            f"{', '.join(table.schema.names)}. Name the data set's folder instead of one of its files"
        )
    return [
        Asked(
            **{
                **row,
                "task_type": row["task_type"] and TaskType(row["task_type"]),
                "target": None if row["target"] is None else json.loads(row["target"]),
            }
        )
        for row in table.to_pylist()
    ]


def read_rows(content: bytes, place: str, example: str) -> Iterator[tuple[int, Any]]:
    """Each line's number and what it holds, of JSON Lines; blank lines hold nothing.

    Raises UserError where a line is not JSON, with `example` of one that is.
    """
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8-sig"))  # some editors put a mark before the first line
        except UnicodeDecodeError as error:
            raise UserError(f"{place}:{number}: not UTF-8 ({error}). Save the file in UTF-8") from None
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{place}:{number}: not JSON ({error}). Each line is one object, as in: {example}"
            ) from None
        yield number, row


def whole(value: Any) -> Any:
    """A value as it was before a table of floats: 3.0 is 3, and what is no number is nothing."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _of_copy(path: Path) -> list[Asked]:
    try:
        return from_table(pq.read_table(path))
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a whole Parquet file ({error}). Copy or write it again") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _of_run(run: Path) -> list[Asked]:
    """The test split of a data set, in the order of its ids."""
    listed = [name for name in read_manifest(run)["files"] if name.startswith("data/test-")]
    if not listed:
        raise UserError(
            f"{run}: has no test split. Give its recipe one, as in `split: {{test: 0.1}}`, and build it again"
        )
    columns = ["id", "prompt", "task", "task_type", "track", "language", "metric", "target"]
    found = []
    for file in (run / name for name in sorted(listed)):
        if not file.is_file():
            raise UserError(f"{file}: no such file, though the manifest names it. Build the run again")
        try:
            whole = pq.ParquetFile(file)
        except (pa.ArrowInvalid, OSError):
            raise UserError(f"{file}: not a whole Parquet file. Build the run again") from None
        version = (whole.schema_arrow.metadata or {}).get(b"shoptalk.schema_version", b"none").decode()
        if version != str(SCHEMA_VERSION):
            raise UserError(
                f"{file}: written in schema version {version}, this is {SCHEMA_VERSION}. Build the run again"
            )
        table = whole.read(columns)
        user = pc.struct_field(pc.list_element(table["prompt"].combine_chunks(), 1), "content")
        for row in table.set_column(1, "prompt", user).to_pylist():
            kind = TaskType(row.pop("task_type"))
            found.append(
                Asked(
                    **{**row, "target": json.loads(row["target"])},
                    task_type=kind,
                    is_multiple_choice=kind is TaskType.MULTIPLE_CHOICE,
                )
            )
    return found


def _of_release(source: Path) -> list[Asked]:
    """Shopping MMLU's questions, by skill: from its data.zip, or the folder that it unpacks to."""
    found = []
    for place, skill, content in _skills(source):
        found += _of_lines(content, place, f"{skill}:", track=_track_of_skill(skill))
    return found


def _skills(source: Path) -> list[tuple[str, str, bytes]]:
    """The place, the name and the content of each skill's file, by name."""
    if source.is_dir():
        paths = sorted([*source.glob("skills/*.json"), *source.glob("data/skills/*.json")])
        files = [(str(path), path.stem, path.read_bytes()) for path in paths]
        missing = "neither manifest.json (a data set that `make data` has finished) nor skills/*.json"
    else:
        try:
            with zipfile.ZipFile(source) as archive:
                names = sorted(name for name in archive.namelist() if Path(name).match("skills/*.json"))
                names = [name for name in names if not name.startswith("__MACOSX")]
                files = [(f"{source}: {name}", Path(name).stem, archive.read(name)) for name in names]
        except (zipfile.BadZipFile, zlib.error, RuntimeError) as error:  # the last of what has a password
            raise UserError(
                f"{source}: not a zip file that can be read ({error}). Fetch it again, or name its folder"
            ) from None
        missing = "no skills/*.json"
    if not files:
        raise UserError(f"{source}: has {missing} (Shopping MMLU's data) in it")
    return files


def _track_of_skill(skill: str) -> str:
    """The track that a skill's file is of, by words of its name; the name itself where none tells."""
    words = {"concept": Track.CONCEPTS, "reason": Track.REASONING, "behav": Track.BEHAVIOR}
    words |= {"lingual": Track.LANGUAGES, "language": Track.LANGUAGES}
    return next((track.value for word, track in words.items() if word in skill.lower()), skill)


def _of_lines(content: bytes, place: str, prefix: str, track: str = "") -> list[Asked]:
    """The questions of JSON Lines in ShopBench's form; an id is `prefix` and the line's number."""
    return [
        _of_row(row, f"{place}:{number}", f"{prefix}{number}", track)
        for number, row in read_rows(content, place, _EXAMPLE)
    ]


def _of_row(row: Any, place: str, name: str, track: str) -> Asked:
    row = {name: of for name, of in row.items() if of == of} if isinstance(row, dict) else {}  # without NaN
    prompt = row.get("input_field")
    if not isinstance(prompt, str) or not prompt.strip():
        raise UserError(f"{place}: no text under `input_field`, where ShopBench's form has the question")
    _check_characters({**row, "input_field": ""}, place)  # a prompt is asked with `?` in their place
    kind = _task_type(row.get("task_type"), place)
    flag = row.get("is_multiple_choice")
    if flag is None and kind is not None:
        flag = kind is TaskType.MULTIPLE_CHOICE  # ShopBench tells it of every question
    if not (flag is None or isinstance(flag, bool)):
        raise UserError(f"{place}: is_multiple_choice {flag!r}: neither true nor false")
    said = str(row.get("track") or track)
    return Asked(
        id=name,
        prompt=prompt,
        is_multiple_choice=flag,
        task=str(row.get("task_name") or ""),
        task_type=kind,
        track=TRACKS.get(said, said),
        metric=str(row.get("metric") or ""),
        target=_target(row.get("output_field"), kind, place),
        language=str(row["language"]) if row.get("language") else None,
    )


def _target(value: Any, kind: TaskType | None, place: str) -> Any:
    """The right answer; numbers of options as such, which a table may hold as floats."""
    if (
        kind is TaskType.MULTIPLE_CHOICE
        and isinstance(value, str)
        and len(value) > _DIGITS
        and value.isdecimal()
    ):
        raise UserError(
            f"{place}: output_field is a number of {len(value):,} digits. Write the right option's"
        )
    if kind is TaskType.RETRIEVAL and isinstance(value, list):
        return [whole(number) for number in value]
    return whole(value) if kind is TaskType.MULTIPLE_CHOICE else value


def _check_characters(row: dict[str, Any], place: str) -> None:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except RecursionError:
        raise UserError(
            f"{place}: lists or objects in one another, too deep to write. Take them out"
        ) from None
    except UnicodeEncodeError as error:
        half = ascii(error.object[error.start])[1:-1]
        raise UserError(
            f"{place}: half of a surrogate pair ({half}), which is no character. Take it out"
        ) from None


def _task_type(value: Any, place: str) -> TaskType | None:
    """The task type that a row names, with `-` or `_`; None where it names none."""
    if value is None or value == "":
        return None
    try:
        return TaskType(str(value).replace("-", "_"))
    except ValueError:
        raise UserError(
            f"{place}: task_type {value!r}: not one of {', '.join(kind.value for kind in TaskType)}"
        ) from None
