"""The OpenMP setting that lets waiting threads sleep instead of spin."""

import os


def sleep_while_waiting() -> None:
    """Have OpenMP's threads sleep between pieces of work, unless the user has said otherwise.

    They spin by default, which on a busy machine takes the cores from those that work: 49 questions took 64
    CPU seconds spinning, and 16 asleep. OpenMP reads this once: say it before torch is imported.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
