"""Seeds of the publishers' sizes, for benchmarks: the sample shop many times over, each time in other words.

DuckDB does the whole. In the copy number k every long word is written in a cipher of its own and every id
begins with a code of its own, so that copies are neither duplicates nor near, but `ALIKE` ones, and what one
id or word joins in the sample it joins in each copy. They read like no language: nothing can be learnt from
them.
"""

import random
import shutil
from pathlib import Path

import duckdb

from datagen.sources.query import quoted
from datagen.sources.seed_files import table_files

COPIES: dict[str, dict[str, int]] = {
    "esci": {"examples": 2_621_288, "products": 1_814_924, "sources": 130_652},
    "m2": {"sessions": 3_606_249, "products": 1_410_675},
    "reviews": {"reviews": 5_000_000, "items": 500_000},
    "ecinstruct": {"rows": 264_000},
    "mmlu": {"questions": 115_700},
    "alpaca": {"rows": 51_760},
}
"""Rows of each table: the publishers', of the reviews a part."""

ALIKE = {"m2": 64}
"""How many copies of a source are written in the same words, one by default.

What shoppers of a marketplace look at together shows by words and brands that come again. Of its millions
of sessions some thousands are drawn, so few of a copy."""

SHARED = {"m2": 20}
"""Copies of a source that are in the words of ESCI's, which has fewer: both sell the same products.

Every other copy of the sessions is of these products: else one in twenty saw a product with a query."""

IDS = ("product_id", "id", "next_item", "asin", "parent_asin")
LISTED_IDS = ("prev_items",)
NUMBERS = ("example_id", "query_id")
PEOPLE = ("user_id",)
KEPT = (
    "product_locale", "locale", "esci_label", "small_version", "large_version", "split", "source",
    "price", "rating", "timestamp", "helpful_vote", "verified_purchase", "average_rating",
    "rating_number", "details", "categories", "main_category", "answer", "task", "setting",
    "options", "output", "size", "model",
)  # fmt: skip
OPTIONS = ("column1", "column2", "column3", "column4")
"""Columns by how a copy writes them; any other one holds words. Of MMLU's options short words and numbers
are the copy's own, too: else what is right would come again."""

SWAPPED = (
    "aeiou",
    "bcdfghjklmnpqrstvwxyz",
    "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロ",
    "0123456789",
)
"""A copy writes a letter of a long word as another one of its group."""

_PLAIN = "".join(SWAPPED) + "".join(SWAPPED[:2]).upper()
_HIDDEN = "".join(chr(0xE000 + place) for place in range(len(_PLAIN)))
"""What stands for these letters in the base's long words: characters for private use, which no text has."""

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST_COPIES = len(_LETTERS) ** 2


def multiply(sample: Path, folder: Path) -> None:
    """Write every source of the sample in `sample` into `folder`, in its publisher's layout and size."""
    from datagen.sources import SOURCES
    from datagen.sources.source import MADE_UP

    for source, sizes in COPIES.items():
        if not (sample / source).is_dir():
            continue
        for name, rows in sizes.items():
            files = table_files(sample / source, SOURCES[source].TABLES[name])
            share = rows // len(files)
            for path in files:
                target = folder / path.relative_to(sample)
                target.parent.mkdir(parents=True, exist_ok=True)
                _copy(
                    *(path, target, share, SOURCES[source].TABLES[name].headed),
                    *(ALIKE.get(source, 1), SHARED.get(source, 0), name == "sessions"),
                )
        shutil.copy(sample / source / MADE_UP, folder / source / MADE_UP)


def _copy(
    path: Path, target: Path, rows: int, headed: bool, alike: int = 1, shared: int = 0, back: bool = False
) -> None:
    """Write about `rows` rows from those of one file into another one of its kind.

    The first `shared` copies have a cipher each, others `alike` ones; every other copy goes `back` to the ids
    of these.
    """
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    reader, form = {
        "parquet": ("read_parquet({})", "format parquet, compression zstd"),
        "csv": (
            f"read_csv({{}}, header = {headed}, all_varchar = true, nullstr = '')",
            f"format csv, header {headed}",
        ),
        "jsonl": ("read_json({}, format = 'newline_delimited', map_inference_threshold = -1)", "format json"),
        "json": ("read_json({}, format = 'array')", "format json, array true"),
    }[kind]
    with duckdb.connect(config={"preserve_insertion_order": False, "memory_limit": "3GB"}) as connection:
        source = f"from {reader.format(quoted(str(path)))}"
        columns = {name: type_ for name, type_, *_ in connection.execute(f"describe {source}").fetchall()}
        marked = ", ".join(
            f'{_marked(name, type_)} as "{name}"'
            for name, type_ in columns.items()
            if _of_words(name, headed)
        )
        connection.execute(
            f"create table base as select * {f'replace ({marked})' if marked else ''} {source}"
        )
        [(count,)] = connection.execute("select count(*) from base").fetchall()
        copies = min(MOST_COPIES, -(-rows // count))
        written = ", ".join(f'{_written(name, type_, headed)} as "{name}"' for name, type_ in columns.items())
        connection.execute("create table copies (k bigint, code varchar, cipher varchar, again bigint)")
        connection.executemany(
            "insert into copies values (?, ?, ?, ?)",
            [
                (
                    k,
                    _code(k // 2 % shared if goes_back else k),
                    _cipher(k if k < shared else k // alike + (MOST_COPIES if shared else 0)),
                    k // 2 // shared if goes_back else 0,
                )
                for k in range(copies)
                for goes_back in [back and k % 2 == 0]
            ],
        )
        connection.execute(
            f"copy (select {written} from base cross join copies limit {rows})"
            f" to {quoted(str(target))} ({form})"
        )


def _code(number: int) -> str:
    return "".join(_LETTERS[place] for place in divmod(number, len(_LETTERS)))


def _cipher(number: int) -> str:
    """What a copy writes for each letter of `_PLAIN`."""
    rng = random.Random(number)
    swapped = ["".join(rng.sample(letters, len(letters))) for letters in SWAPPED]
    return "".join(swapped) + "".join(swapped[:2]).upper()


def _written(name: str, kind: str, headed: bool) -> str:
    """SQL of a column in a copy."""
    column = f'"{name}"'
    if name in IDS:
        return f"code || {column}[3:]"
    if name in LISTED_IDS:
        # blanks tell what comes again apart, or else all that are alike would be drawn together
        own = rf"regexp_replace({column}, '''\w\w(\w+)''', '''' || code || '\1''', 'g')"
        return f"replace({own}, '[', '[' || repeat(' ', again))"
    if name in NUMBERS:
        return f"({column}::bigint + k * 10000000)::bigint"
    if name in PEOPLE:
        return f"{column} || code"
    if not _of_words(name, headed) or kind not in ("VARCHAR", "VARCHAR[]"):
        return column
    respelled = f"translate({{}}, '{_HIDDEN}', cipher)"
    return respelled.format(column) if kind == "VARCHAR" else _each(column, respelled)


def _of_words(name: str, headed: bool) -> bool:
    return name not in (*IDS, *LISTED_IDS, *NUMBERS, *PEOPLE, *KEPT) and (
        headed or name in ("column0", *OPTIONS)
    )


def _marked(name: str, kind: str) -> str:
    """SQL of a column with the letters of every long word hidden, of an option all: a copy writes its own."""
    column = f'"{name}"'
    own = r"[\p{{L}}\p{{N}}]+" if name in OPTIONS else r"\p{{L}}{{6,}}|[\p{{Katakana}}ー]{{4,}}"
    split = rf"regexp_replace({{}}, '({own})', chr(1) || '\1' || chr(1), 'g')"
    if name == "input":  # may be a JSON object, whose keys stay
        key = r"""'"\x01?(\w+)\x01?( ?)\x01?(\w*)\x01?(:?)": ', '"\1\2\3\4": ', 'g'"""
        split = f"regexp_replace({split}, {key})"
    hidden = (
        f"array_to_string(list_transform(string_split({split}, chr(1)),"
        f" lambda part, place: if(place % 2 = 0, translate(part, '{_PLAIN}', '{_HIDDEN}'), part)), '')"
    )
    return {"VARCHAR": hidden.format(column), "VARCHAR[]": _each(column, hidden)}.get(kind, column)


def _each(texts: str, change: str) -> str:
    return f"list_transform({texts}, lambda text: {change.format('text')})"
