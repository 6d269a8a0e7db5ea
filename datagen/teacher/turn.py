"""The turn of a run to ask a server: one run of a ledger at a time, so that none pays for what another gets.

Only who has something to ask takes a turn; what the ledger answers needs none.
"""

from hashlib import blake2b
from pathlib import Path
from types import TracebackType

from datagen.console.progress import Say
from datagen.teacher.ask import Teacher

FOLDER = ".kept/asking"
"""Beside the ledger: a lock for each server and model. A process that was killed holds none."""


class Turn:
    """One run's turn, from the first `take` to its end."""

    def __init__(self, teacher: Teacher, ledger: Path, say: Say) -> None:
        from filelock import FileLock

        name = blake2b(f"{teacher.server} {teacher.model}".encode(), digest_size=8).hexdigest()
        self._folder = ledger.parent / FOLDER
        self._lock = FileLock(self._folder / f"{name}.lock", thread_local=False)
        self._teacher, self._say = teacher, say

    def take(self) -> bool:
        """Wait for the turn, where it is not held yet; whether the ledger may hold more since then."""
        from filelock import Timeout

        if self._lock.is_locked:
            return False
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            self._say(
                f"Another run asks {self._teacher.model} just now: this one waits, so that nothing is paid"
                " for twice ..."
            )
            self._lock.acquire()
        return True

    def __enter__(self) -> "Turn":
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._lock.release()
