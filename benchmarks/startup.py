"""The start-up time of `datagen --help`, and of `datagen check` of all recipes: a table, then JSON.

    make bench NAME=startup

Medians of fresh processes, after one that is not counted (it fills the disk's cache and writes bytecode).
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 7
DATAGEN = Path(sys.executable).with_name("datagen")
LIMITS = {"--help": 0.3, "check": 2.0}


def seconds(argument: str) -> list[float]:
    """Wall-clock seconds of RUNS processes, after one to warm up; CalledProcessError where one fails."""
    taken = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        subprocess.run([DATAGEN, argument], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - start)
    return taken[1:]


def main() -> None:
    """Measure both commands and print what came out."""
    medians = {}
    print(f"{'command':<16}{'median s':>10}{'min s':>10}{'max s':>10}{'limit s':>10}")
    for argument, limit in LIMITS.items():
        taken = seconds(argument)
        medians[argument] = round(statistics.median(taken), 3)
        row = [medians[argument], min(taken), max(taken), limit]
        print(f"{'datagen ' + argument:<16}" + "".join(f"{value:>10.2f}" for value in row))
    print(json.dumps({"help_seconds": medians["--help"], "check_seconds": medians["check"]}))


if __name__ == "__main__":
    main()
