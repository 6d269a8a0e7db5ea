"""The seed sources by name: one module each, all with the names of `source.Source`."""

from datagen.sources import esci
from datagen.sources.source import Source

SOURCES: dict[str, Source] = {"esci": esci}
