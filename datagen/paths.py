"""The search path of recipes and templates.

A user's own `recipes/` and `templates/` in the working directory come before those that ship with
the package. So a copy changes one of ours without touching the install.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from datagen.errors import UserError
from datagen.suggest import among

Kind = Literal["recipes", "templates"]

BESIDE = ".reworded.j2"
"""How a file ends that stands beside a template and is none of its own."""

SUFFIXES: dict[Kind, str] = {"recipes": ".yaml", "templates": ".j2"}


def folders(kind: Kind) -> list[Path]:
    """The folders that hold files of this kind, first wins."""
    return [Path(kind), _shipped(kind)]


def find(kind: Kind, name: str, places: Sequence[Path] | None = None) -> Path:
    """The file of `name` (`esci_mcq`, `ranking/by_query.j2`) in the first of `places` that has it.

    `places` defaults to `folders(kind)`. Raises UserError with the nearest name where none has it.
    """
    suffix = SUFFIXES[kind]
    relative = Path(name if name.endswith(suffix) else name + suffix)
    if relative.is_absolute() or ".." in relative.parts:
        raise UserError(f"`{name}` leads out of {kind}/: name a file below it")
    places = folders(kind) if places is None else places
    for folder in places:
        if (folder / relative).is_file():
            return folder / relative
    known = names(kind, places)
    beside = [other for other in known if Path(other).parent == relative.parent]
    part = (lambda other: Path(other).stem) if beside else str  # a folder's name would make any two alike
    own = f". One of your own is {kind}/{relative.as_posix()}" if kind == "templates" else ""
    raise UserError(f"no {kind[:-1]} `{name}`: {among(name, beside or known, part)}{own}")


def names(kind: Kind, places: Sequence[Path] | None = None) -> list[str]:
    """All names that `find` knows, sorted: recipes without their suffix, templates as paths with it."""
    suffix = SUFFIXES[kind]
    places = folders(kind) if places is None else places
    files = [(folder, file) for folder in places for file in folder.rglob(f"*{suffix}")]
    found = {file.relative_to(folder).as_posix() for folder, file in files}
    names = (name.removesuffix(suffix) if kind == "recipes" else name for name in found)
    return sorted(name for name in names if not name.endswith(BESIDE))


def _shipped(kind: Kind) -> Path:
    """Inside the package when it is installed, beside it in a checkout."""
    inside = Path(__file__).parent / kind
    return inside if inside.is_dir() else Path(__file__).parent.parent / kind
