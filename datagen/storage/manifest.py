"""The manifest of a run: its counts and the hashes of its files, written last."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from datagen.errors import UserError
from datagen.paths import names
from datagen.schema import SCHEMA_VERSION
from datagen.storage.files import read_json, sha256, write_json
from datagen.suggest import among

MANIFEST = "manifest.json"


def file_facts(folder: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """Bytes and sha256 of the named files below `folder`, and the rows of those that are Parquet."""
    facts: dict[str, dict[str, Any]] = {}
    for name in sorted(names):
        path = folder / name
        facts[name] = {"bytes": path.stat().st_size, "sha256": sha256(path)}
        if path.suffix == ".parquet":
            facts[name]["rows"] = pq.read_metadata(path).num_rows
    return facts


def write_manifest(run: Path, manifest: Mapping[str, Any]) -> None:
    """Write `manifest.json`: from then on the run is done."""
    write_json({"schema_version": SCHEMA_VERSION, **manifest}, run / MANIFEST, sort_keys=True)


def read_manifest(run: Path) -> dict[str, Any]:
    """The manifest of a finished run. Raises UserError where there is none, or one of another schema."""
    path = run / MANIFEST
    if not path.is_file():
        name = run.resolve().stem
        near = [*sorted(run.glob(f"*/{MANIFEST}")), Path("runs", name, MANIFEST)]
        found = next((other.parent for other in near if other.is_file()), None)
        if found:
            advice = f"name one, as in {found}"
        elif name in names("recipes"):
            advice = f"`make data RECIPE={name}` makes it one"
        else:
            advice = among(name, _finished(Path("runs")))
        raise UserError(f"{path}: no such file. {run} is not a finished run: {advice}")
    manifest = read_json(path, "Build the run again")
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise UserError(
            f"{path}: written in schema version {manifest.get('schema_version')}, this is {SCHEMA_VERSION}. "
            "Build the run again"
        )
    return manifest


def run_folder(name: Path, runs: Path = Path("runs")) -> Path:
    """The folder of a run that is named by its path, or as `esci_mcq` by its place below `runs`.

    Raises UserError where neither is there. A folder that holds no finished run is left to `read_manifest`.
    """
    places = [name, runs / name]
    for there in (lambda place: (place / MANIFEST).is_file(), Path.exists):
        if found := next(filter(there, places), None):
            return found
    if name.name in names("recipes"):
        raise UserError(f"{name}: no such run yet: `make data RECIPE={name.name}` builds it")
    raise UserError(
        f"{name}: no such run, nor is there one of that name in {runs}/: {among(name.name, _finished(runs))}"
    )


def _finished(runs: Path) -> list[str]:
    return sorted(path.parent.relative_to(runs).as_posix() for path in runs.glob(f"*/{MANIFEST}"))


def latest_run(runs: Path) -> Path:
    """The run below `runs` that was built last. Raises UserError where there is none."""
    built = sorted(runs.glob(f"*/{MANIFEST}"), key=lambda path: path.stat().st_mtime)
    if not built:
        raise UserError(
            f"{runs}: no finished run below it: `make data RECIPE=esci_mcq` makes one, --run names another"
        )
    return built[-1].parent


def shard_files(run: Path) -> list[Path]:
    """The data files of a run: train before test, each in the order of its ids."""
    return [path for side in ("train", "test") for path in sorted((run / "data").glob(f"{side}-*.parquet"))]
