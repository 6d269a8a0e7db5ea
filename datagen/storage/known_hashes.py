"""Hashes of large files, noted in a file, so that what is unchanged is read once."""

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from datagen.errors import UserError
from datagen.storage.files import read_json, sha256, write_json


def sha256_of(paths: Iterable[Path], note: Path) -> dict[Path, str]:
    """Hex digest of each file's bytes, from the JSON file `note` where size and times are as they were."""
    paths = list(paths)
    known = _noted(note)
    looks = {path: look(path) for path in paths}
    unknown = [path for path in paths if known.get(str(path.resolve()), [""])[:-1] != looks[path]]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        found = dict(zip(unknown, threads.map(sha256, unknown), strict=True))
    if unknown:
        known |= {str(path.resolve()): [*looks[path], digest] for path, digest in found.items()}
        own = note.with_name(f"{note.stem}-{os.getpid()}.json")  # another build may write its own just now
        write_json({path: each for path, each in known.items() if Path(path).is_file()}, own, sort_keys=True)
        own.rename(note)
    return {path: known[str(path.resolve())][-1] for path in paths}


def look(path: Path) -> list[str]:
    """What changes when a file does: the kernel sets the last time, whatever the others are set to."""
    stat = path.stat()
    return [str(number) for number in (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)]


def _noted(note: Path) -> dict[str, list[str]]:
    try:
        return read_json(note, "") if note.is_file() else {}
    except UserError:  # it is damaged, and written anew
        return {}
