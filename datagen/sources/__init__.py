"""The registry of seed sources: one module each, all with the same names.

NAME        as a recipe's `sources:` and SQL write it
LICENSE     SPDX id (or a plain word where the publisher grants none); travels with every row
HOMEPAGE    where the publisher describes the files
Options     pydantic model of what a recipe may set for the source
TABLES      seed table -> the publisher's file name and columns
views       SQL that turns the files into seed tables, with the options applied
from_hub    downloads the source and writes it in the publisher's layout
"""

from types import ModuleType

from datagen.sources import esci

SOURCES: dict[str, ModuleType] = {"esci": esci}
