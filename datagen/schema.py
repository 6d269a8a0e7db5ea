"""The schema of a row: its Arrow columns, and the values that they may hold.

The row is the interface between all stages and packages; `finetune` and `infer` read nothing else.
"""

from enum import StrEnum

import pyarrow as pa

SCHEMA_VERSION = 2
"""Raised when a column changes its name, type or meaning; written into every shard's metadata."""


class TaskType(StrEnum):
    """The five shapes of a ShopBench question."""

    MULTIPLE_CHOICE = "multiple_choice"
    RANKING = "ranking"
    RETRIEVAL = "retrieval"
    NAMED_ENTITY_RECOGNITION = "named_entity_recognition"
    GENERATION = "generation"


class Track(StrEnum):
    """ShopBench's four skills, as its paper names them."""

    CONCEPTS = "shopping_concept_understanding"
    REASONING = "shopping_knowledge_reasoning"
    BEHAVIOR = "user_behavior_alignment"
    LANGUAGES = "multilingual_abilities"


LANGUAGES = {
    "en": "English",
    "de": "German",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "ja": "Japanese",
}
"""ISO 639-1 codes that a row's `language` may hold, with their English names."""

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
"""A chat in the form that TRL's conversational prompt/completion data sets have."""

_COLUMNS: list[tuple[str, pa.DataType, str]] = [
    ("id", pa.string(), "hex hash of (recipe seed, task, wording, key): same recipe, same id"),
    ("prompt", MESSAGES, "system and user message"),
    ("completion", MESSAGES, "one assistant message: the gold answer as the grader reads it"),
    ("task", pa.string(), "name of the task in its recipe"),
    ("task_type", pa.string(), f"form of the question: {', '.join(TaskType)}"),
    ("track", pa.string(), f"ShopBench's skill: {', '.join(Track)}"),
    ("language", pa.string(), "ISO 639-1 code of the row's seed text"),
    ("metric", pa.string(), "ShopBench's metric name"),
    ("target", pa.string(), "ground truth as JSON, in the form of ShopBench's output_field"),
    ("source", pa.list_(pa.string()), "every seed source that fed the row"),
    ("license", pa.list_(pa.string()), "the licences of those sources, in the same order"),
    ("key", pa.string(), "seed key: enough to find the row's origin again"),
    ("template", pa.string(), "template file below templates/"),
    ("wording", pa.int32(), "position of the wording in its template, from 0"),
    ("teacher", pa.string(), "model that wrote part of the row; null where none did"),
    ("choices", pa.list_(pa.string()), "what the prompt lists, in its order; empty where it lists nothing"),
]

SHARD = pa.schema(
    [pa.field(name, kind, metadata={"description": text}) for name, kind, text in _COLUMNS],
    metadata={"shoptalk.schema_version": str(SCHEMA_VERSION)},
)
"""Columns of every file in `runs/<recipe>/data/`."""

REJECT = pa.schema(
    [
        pa.field("id", pa.string(), metadata={"description": "as a kept row has, if it got so far"}),
        pa.field("task", pa.string()),
        pa.field("key", pa.string()),
        pa.field("reason", pa.string(), metadata={"description": "why the row was not kept"}),
        pa.field(
            "detail", pa.string(), metadata={"description": "what it clashed with, or Jinja's words, or null"}
        ),
        pa.field("prompt", pa.string(), metadata={"description": "user message, if it got so far"}),
        pa.field("answer", pa.string(), metadata={"description": "gold answer, if it got so far"}),
        pa.field("seed", pa.string(), metadata={"description": "the query's row as JSON"}),
    ],
    metadata={"shoptalk.schema_version": str(SCHEMA_VERSION)},
)
"""Columns of every file in `runs/<recipe>/rejects/`."""
