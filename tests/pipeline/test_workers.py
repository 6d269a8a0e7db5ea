"""The pool of worker processes: what it takes from Python's own, whose names are private."""

from concurrent.futures import ProcessPoolExecutor

from datagen.pipeline import workers


def test_the_private_names_of_the_pool_are_still_there() -> None:
    """Read in Python 3.11 to 3.13. Where this fails, read `ProcessPoolExecutor.submit` and `workers` anew."""
    pool = ProcessPoolExecutor(1)
    try:
        assert {"_safe_to_dynamically_spawn_children", "_broken"} <= vars(pool).keys()
        assert callable(pool._start_executor_manager_thread)
    finally:
        pool.shutdown()
    assert issubclass(workers._Processes, ProcessPoolExecutor)
