"""The seed sources by name: one module each, all with the names of `source.Source`."""

from datagen.sources import alpaca, ecinstruct, esci, m2, mmlu, reviews
from datagen.sources.source import Source

SOURCES: dict[str, Source] = {
    "esci": esci,
    "m2": m2,
    "reviews": reviews,
    "ecinstruct": ecinstruct,
    "mmlu": mmlu,
    "alpaca": alpaca,
}
