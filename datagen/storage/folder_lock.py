"""The lock that keeps a folder to one process at a time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datagen.errors import UserError
from datagen.storage.files import writable


@contextmanager
def held(folder: Path, doing: str) -> Iterator[None]:
    """Hold the folder, which is made if need be, for this process.

    Raises UserError where another process holds it, with its number and what it is `doing`, such as
    `runs/esci_mcq is being built`; and where no folder can be made. A process that was killed holds nothing.
    """
    from filelock import FileLock, Timeout

    writable(folder)
    holder = folder / ".lock.json"
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{doing} by {_who(holder)}. Wait for it, or stop it; what it has done so far is kept"
        ) from None
    try:
        holder.write_text(f"process {os.getpid()} on {os.uname().nodename}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _who(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8") or "another process"
    except OSError:  # it has begun or ended just now
        return "another process"
