"""A hash of the package's own code, for what has to be done again where it has changed."""

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def code_files() -> list[Path]:
    """All files of the package that may shape a row."""
    return sorted(path for path in _PACKAGE.rglob("*") if path.suffix in (".py", ".sql", ".csv", ".j2"))


def code_hash(files: Iterable[Path]) -> str:
    """Hex hash of these files' names and bytes."""
    code = blake2b(digest_size=8)
    for path in files:
        code.update(path.relative_to(_PACKAGE).as_posix().encode() + path.read_bytes())
    return code.hexdigest()
