"""The record of a training: what shaped it, and whether its folder already holds the same one.

`lock.json` is written when a training starts; `run.json`, when it is done, adds the result.
"""

import hashlib
import json
from importlib import metadata
from pathlib import Path
from typing import Any

from datagen.errors import UserError
from datagen.hf.checkpoint import fingerprint, weight_files
from datagen.storage.files import check_link, sha256
from datagen.storage.manifest import MANIFEST, read_manifest
from datagen.suggest import among
from finetune.config import Config, differences

RUN = "run.json"
CHECKPOINTS = "checkpoints"
LOCK = f"{CHECKPOINTS}/lock.json"

RELEASES = ("shoptalk", "torch", "transformers", "trl", "peft")


def lock(config: Config, data: Path, base: Path) -> dict[str, Any]:
    """Everything that shapes a training, as plain data. Raises UserError where `data` is no finished run."""
    manifest = read_manifest(data)
    settings = config.model_dump(mode="json") | {"base": whole_path(config.base)}
    text = json.dumps(settings, sort_keys=True)
    return {
        "config": settings,
        "config_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "data": manifest["recipe"],
        "made_up": manifest["made_up"],
        "data_sha256": sha256(data / MANIFEST),
        "base_sha256": fingerprint(weight_files(base)),
        "releases": {name: metadata.version(name) for name in RELEASES},
    }


def whole_path(base: str) -> str:
    """The whole path of a base that is a folder, so that it is found from elsewhere, too."""
    return str(Path(base).resolve()) if Path(base).is_dir() else base


def is_done(run: Path, wanted: dict[str, Any]) -> bool:
    """Whether this very training is in the folder, done; False where it is half done, or nothing is there.

    Raises UserError where the folder holds another one, and says what differs.
    """
    for name, done in ((RUN, True), (LOCK, False)):
        path = run / name
        if path.is_file():
            found = changes(read(path), wanted)
            if found:
                what = "holds another training" if done else "holds the beginning of another training"
                listed = "\n  ".join([f"{run} {what}:", *found])
                raise UserError(f"{listed}\nGive this one a --name of its own, or delete {run}")
            return done
    if run.is_dir() and any(path.name != CHECKPOINTS for path in run.iterdir()):
        raise UserError(f"{run} is in the way: it holds no training. Give --name, or delete it")
    return False


def chosen_budget(run: Path) -> int | None:
    """The tokens that a training by `minutes` chose when it began in this folder; None: none did yet."""
    path = run / LOCK
    if not path.is_file():
        return None
    chosen: int | None = read(path).get("token_budget")
    return chosen


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The differences between two locks, in words; not of releases, as a training goes on after an update."""
    base = whole_path(before["config"]["base"])  # earlier releases kept it as typed
    found = differences(before["config"] | {"base": base}, now["config"])
    if before["data_sha256"] != now["data_sha256"]:
        same = before["data"] == now["data"]
        found.append(
            f"{now['data']} was built anew since"
            if same
            else f"data: {before['data']} then, {now['data']} now"
        )
    if before["base_sha256"] != now["base_sha256"] and base == now["config"]["base"]:
        found.append(f"the weights of {now['config']['base']} are others than then")
    return found


def check_there(run: Path) -> None:
    """Raises UserError where there is no such folder, with the trainings or checkpoints beside it."""
    check_link(run)
    if not run.is_dir():
        beside = [path for path in sorted(run.parent.glob("*")) if (path / RUN).is_file() or _is_kept(path)]
        known = among(run, map(str, beside), part=lambda name: Path(name).name)
        raise UserError(f"{run}: no such folder of a training: {known}. `finetune train` makes one")


def _is_kept(path: Path) -> bool:
    return path.parent.name == CHECKPOINTS and path.name.startswith("checkpoint-")


def read(path: Path) -> dict[str, Any]:
    """A lock, or a done run's `run.json`. Raises UserError where it cannot be read."""
    check_link(path)
    check_there(path.parent)
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found["config"], found["data"], found["data_sha256"], found["base_sha256"]
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file. {path.parent} is no finished training: `finetune train` makes one, "
            "or goes on with what was cut off"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not as a training wrote it ({error}). Name the folder of a training; where "
            f"{path.parent} is one, delete it and train again"
        ) from None
    return found
