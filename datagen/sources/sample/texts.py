"""The general questions of `mmlu.yaml` and instructions of `alpaca.yaml`, in their publishers' layouts."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import yaml

from datagen.sources import alpaca

DEV, TEST = 5, 2
"""Questions of each subject in `dev` and in `test`; the others stand in `val`."""

AUXILIARY = ("race",)
"""Files that have no splits, and stand in `auxiliary_train`."""


def write_mmlu(folder: Path, seed: int = 7) -> None:
    """Write `data/{dev,val,test,auxiliary_train}/*.csv` into `folder`, right options evenly in all places."""
    for subject, text in _read("mmlu.yaml").items():
        rng = random.Random(f"{seed}/{subject}")
        rows = []
        for number, line in enumerate(text.strip().splitlines()):
            question, right, *wrong = line.split(" | ")
            options, place = rng.sample(wrong, 3), number % 4
            rows.append([question, *options[:place], right, *options[place:], "ABCD"[place]])
        if subject in AUXILIARY:
            parts = {f"auxiliary_train/{subject}.csv": rows}
        else:
            cut = {"dev": rows[:DEV], "val": rows[DEV:-TEST], "test": rows[-TEST:]}
            parts = {f"{split}/{subject}_{split}.csv": part for split, part in cut.items()}
        for name, part in parts.items():
            path = folder / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(part)


def write_alpaca(folder: Path) -> None:
    """Write `alpaca_data_cleaned.json` into `folder`."""
    columns = list(alpaca.TABLES["rows"].columns)
    rows = [dict(zip(columns, row, strict=True)) for row in _read("alpaca.yaml")]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / alpaca.TABLES["rows"].file
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=4), encoding="utf-8")


def _read(name: str) -> Any:
    """A YAML file beside this module."""
    return yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
