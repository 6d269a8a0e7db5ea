"""The pool of worker processes of a build.

Workers import what their function needs and no database, so they start fast. They take paths and give
nothing back, so no row is copied between processes.
"""

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import wait
from typing import Any

import pyarrow as pa

from datagen.errors import UserError

IN_PROCESS_ROWS = 20_000
"""A smaller build is done sooner in this process than workers start."""


@contextmanager
def pool(workers: int, rows: int) -> Iterator[Executor]:
    """The executor for a build of `rows` rows; an error in the block drops work that has not begun.

    Raises UserError where a worker was killed.
    """
    with _sheltered():
        # The first scalar imports pandas: Ctrl-C in it was lost, or left a lock that other threads waited for
        pa.scalar("")
    if workers == 1 or rows <= IN_PROCESS_ROWS:
        yield _InProcess()
        return
    executor = _Processes(workers)
    try:
        yield executor
    except BrokenProcessPool:  # from any call of the executor or of its futures
        raise UserError(
            "a worker process was killed, most likely for memory. What is done is kept: run the same again, "
            "with fewer WORKERS"
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)


def finish(futures: list[Future[None]], progress: Callable[[int, int], None]) -> None:
    """Wait for all, reporting how many of them are done. Raises the first error of any."""
    progress(0, len(futures))
    for done, future in enumerate(as_completed(futures), start=1):
        future.result()
        progress(done, len(futures))


class _Processes(ProcessPoolExecutor):
    """Worker processes that never see Ctrl-C, from their first moment on: their parent stops them."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers, mp_context=get_context("spawn"), initializer=_start)
        # All start at the first call, before Python watches them, as where they fork. One that started while
        # another died was not among those that Python ends then, and was waited for, for ever.
        self._safe_to_dynamically_spawn_children = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with _sheltered():  # the workers start here
            try:
                return super().submit(fn, *args, **kwargs)
            except OSError as error:
                if self._broken:  # while this call was on its way, so that it met closed pipes
                    raise BrokenProcessPool(self._broken) from error
                raise


@contextmanager
def _sheltered() -> Iterator[None]:
    """Hold Ctrl-C back until the block ends: a process that starts in it sees none, and is started whole."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    resource_tracker.ensure_running()  # its start would let signals through again
    came: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a new process takes it over
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
    if came:  # to a thread of DuckDB's, which our mask is not for
        signal.raise_signal(signal.SIGINT)


class _InProcess(Executor):
    """An executor that runs each task at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _start() -> None:
    """End when the parent does, however it ends, and collect no garbage.

    A worker's rows hold no cycles; looking for them costs a tenth of its time.
    """
    gc.disable()
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
