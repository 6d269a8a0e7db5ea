"""Merging: a finished training as a plain model folder, or a model between it and its base (WiSE-FT).

WiSE-FT (https://arxiv.org/abs/2109.01903) with share A gives weights (1 - A) base + A tuned; for an
adapter, base + A x scale x its two matrices' product. One file of the base is in memory at a time, so a 72B
model needs no more than a small one.
"""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datagen.errors import UserError
from datagen.hf.checkpoint import ORIGIN, check_whole, checked, config, fingerprint, weight_files
from datagen.storage.files import full_disk, sha256
from finetune.base_models import base_model
from finetune.run_file import RUN, read

_PREFIX = "base_model.model."
_WORDS, _OUTPUT = "model.embed_tokens.weight", "lm_head.weight"
_FILES = ("*.json", "*.jinja", "*.txt", "*.model")

Change = Callable[[str, Any], Any]
"""The name and float32 values of a weight to its new values."""


def merge(run: Path) -> Path:
    """Write the tuned model into `RUN/merged/`, if it is not there; raises what `wise_ft` does."""
    return _written(run, 1.0, run / "merged")


def wise_ft(run: Path, alpha: float) -> Path:
    """Write (1 - alpha) base + alpha tuned into `RUN/wise-ft-<alpha>/`, if it is not there.

    An alpha of 0 gives the base's own bits. Raises UserError where alpha is no share, the run is not finished
    or not whole, was made for other weights than the base has, or the disk is full.
    """
    if not 0 <= alpha <= 1:  # also NaN, which passes click's range
        raise UserError(f"alpha {alpha:g}: a share of what was learnt is from 0 to 1")
    return _written(run, alpha, run / f"wise-ft-{alpha:g}")


def base_of(run: Path) -> Path:
    """The folder of the base that a finished training started from.

    Raises UserError where the run is not finished, or its base has other weights now.
    """
    lock = read(run / RUN)
    base = base_model(lock["config"]["base"])
    if fingerprint(weight_files(base)) != lock["base_sha256"]:
        raise UserError(
            f"{run}: made for another base than {base} holds: its weights are others. "
            f"Bring back the base that it was trained from, or delete {run} and train again"
        )
    return base


def _written(run: Path, alpha: float, folder: Path) -> Path:
    lock, base = read(run / RUN), base_of(run)
    tuned = run / ("adapter_model.safetensors" if lock["config"]["rank"] else "model.safetensors")
    for file in [tuned] if lock["config"]["rank"] else weight_files(run) or [tuned]:
        check_whole(file, f"Delete {run} and train again")
    origin = {
        "alpha": alpha,
        "choose": lock["config"].get("choose", "number"),
        "base_sha256": lock["base_sha256"],
        "tuned_sha256": sha256(tuned) if tuned.is_file() else fingerprint(weight_files(run)),
    }
    if _origin(folder) == origin and _is_whole(folder):
        return folder
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with full_disk(folder):
            unfinished.mkdir()
            _write(run, lock, base, alpha, unfinished)
            (unfinished / ORIGIN).write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _write(run: Path, lock: dict[str, Any], base: Path, alpha: float, folder: Path) -> None:
    """Write the weights and what else a model folder holds."""
    change, known = _change(run, lock, alpha)
    written = _write_weights(base, folder, change if alpha else _identity)
    if known - written:
        raise UserError(
            f"{run}: adapts `{min(known - written)}`, which the base has not. Delete {run} and train again"
        )
    for source in (base, run):
        for file in (file for pattern in _FILES for file in source.glob(pattern)):
            if source is base or file.name.startswith(("tokenizer", "chat_template")):
                shutil.copyfile(file, folder / file.name)


def _origin(folder: Path) -> Any:
    try:
        return json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _is_whole(folder: Path) -> bool:
    try:
        return bool(checked(folder))
    except UserError:
        return False


def _write_weights(base: Path, folder: Path, change: Change) -> set[str]:
    """Write each file of weights anew, every tensor in the type that it had; the names of all tensors."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    names: set[str] = set()
    for file in weight_files(base):
        with safe_open(file, framework="pt") as weights:
            tensors = {name: _changed(change, name, weights.get_tensor(name)) for name in weights.keys()}  # noqa: SIM118
        save_file(tensors, folder / file.name, metadata={"format": "pt"})
        names |= tensors.keys()
    return names


def _changed(change: Change, name: str, weight: Any) -> Any:
    """The new weight; the same object where nothing changes, so that it keeps its bits."""
    new = change(name, weight)
    return weight if new is weight else new.to(weight.dtype).contiguous()


def _identity(name: str, weight: Any) -> Any:
    return weight


def _change(run: Path, lock: dict[str, Any], alpha: float) -> tuple[Change, set[str]]:
    """The change of each weight, and the names of the weights that change."""
    return _adapter(run, alpha) if lock["config"]["rank"] else _mean(run, alpha)


def _adapter(run: Path, alpha: float) -> tuple[Change, set[str]]:
    """The change that an adapter makes. It raises UserError where it is of another shape than the weight."""
    from safetensors.torch import load_file

    try:
        settings = json.loads((run / "adapter_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{run}: its adapter_config.json cannot be read ({error}). Delete {run} and train again"
        ) from None
    root = math.sqrt(settings["r"]) if settings.get("use_rslora") else settings["r"]
    scale = alpha * settings["lora_alpha"] / root
    matrices = load_file(run / "adapter_model.safetensors")

    def change(name: str, weight: Any) -> Any:
        key = _PREFIX + name.removesuffix(".weight")
        if f"{key}.lora_A.weight" not in matrices:
            return weight
        delta = matrices[f"{key}.lora_B.weight"].float() @ matrices[f"{key}.lora_A.weight"].float()
        if delta.shape != weight.shape:
            raise UserError(
                f"{run}: `{name}` has the shape {list(weight.shape)} in the base, not {list(delta.shape)}"
            )
        return weight.float() + scale * delta

    suffix = ".lora_A.weight"
    names = {
        key.removeprefix(_PREFIX).removesuffix(suffix) + ".weight" for key in matrices if key.endswith(suffix)
    }
    return change, names


def _mean(run: Path, alpha: float) -> tuple[Change, set[str]]:
    """The change to the tuned weights themselves, or to a mean of them and the base's."""
    from safetensors import safe_open

    files: dict[str, Path] = {}
    for file in weight_files(run):
        with safe_open(file, framework="pt") as weights:
            files |= dict.fromkeys(weights.keys(), file)
    tied = bool(config(run).get("tie_word_embeddings"))

    def change(name: str, weight: Any) -> Any:
        # A base may hold its one matrix of words twice; a training saves it once
        stored = _WORDS if tied and name == _OUTPUT and name not in files else name
        if stored not in files:
            raise UserError(f"{run}: has no `{name}`, which its base has. Delete {run} and train again")
        with safe_open(files[stored], framework="pt") as weights:
            tuned = weights.get_tensor(stored)
        return tuned if alpha == 1 else (1 - alpha) * weight.float() + alpha * tuned.float()

    return change, set(files)
