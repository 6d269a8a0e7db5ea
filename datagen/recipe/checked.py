"""Notes of recipe files whose tasks passed their check: unchanged ones need no other, which saves seconds."""

import functools
from hashlib import blake2b
from pathlib import Path

from datagen.config.document import Document
from datagen.errors import UserError
from datagen.paths import find
from datagen.prompts.template import reworded_path
from datagen.storage.package_code import code_files, code_hash


def note_of(document: Document, notes: Path) -> tuple[Path, str]:
    """The note of a recipe file below `notes`, and what stands in it if nothing has changed since.

    That is a hash of all that a check of its tasks reads: code, file, templates; empty where one is missing.
    """
    shape = blake2b(_code().encode(), digest_size=16)
    shape.update(f"{document.path}\n{document.text}".encode())
    tasks = document.data.get("tasks")
    try:
        for name in sorted(
            {*_of_steps(document), *(task["template"] for task in tasks.values())} if tasks else ()
        ):
            path = find("templates", name)
            for file in filter(Path.is_file, (path, reworded_path(path))):
                shape.update(f"\n{file}\n".encode() + file.read_bytes())
    except (UserError, OSError, KeyError, TypeError, AttributeError):
        return notes / document.path.stem, ""
    return notes / document.path.stem, shape.hexdigest()


def _of_steps(document: Document) -> list[str]:
    steps = [step for kind in ("extract", "answer") for step in document.data.get(kind, {}).values()]
    return [name for step in steps for name in (step["template"], step.get("judge")) if name]


@functools.cache
def _code() -> str:
    return code_hash(code_files())
