"""Merging: a finished training as a plain model folder, or a model between it and its base (WiSE-FT).

WiSE-FT (https://arxiv.org/abs/2109.01903) with share A gives weights (1 - A) base + A tuned; for an
adapter, base + A x scale x its two matrices' product. Some rows of one tensor are in memory at a time, so a
72B model needs little more than a small one. What was cut off goes on with the next file of weights.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datagen.errors import UserError
from datagen.hf.checkpoint import (
    ORIGIN,
    check_whole,
    checked,
    config,
    fingerprint,
    has_own_code,
    weight_files,
    whole,
)
from datagen.storage.checksums import SUMS, read_sums, write_sums
from datagen.storage.files import check_room, full_disk, sha256, writable, write_json
from datagen.storage.folder_lock import held
from finetune.base_models import base_model
from finetune.lora import WEIGHTS, read_adapter
from finetune.run_file import RUN, read
from finetune.tensors import Change, Rows, Tensor, check_finite, progress_bar, rewrite, tensors_of

_WORDS, _OUTPUT = "model.embed_tokens.weight", "lm_head.weight"
_FILES = ("*.json", "*.jinja", "*.txt", "*.model")

Changes = Callable[[str], Change | None]
"""The name of a weight to what becomes of its rows; None where it keeps its bits."""


def merge(run: Path) -> Path:
    """Write the tuned model into `RUN/merged/`, if it is not there; raises what `wise_ft` does.

    The folder of a model, which has nothing to merge, is given as it is.
    """
    if not (run / RUN).is_file() and (run / "config.json").is_file():
        return checked(run)
    return _written(run, 1.0, run / "merged")


def wise_ft(run: Path, alpha: float) -> Path:
    """Write (1 - alpha) base + alpha tuned into `RUN/wise-ft-<alpha>/`, if it is not there.

    An alpha of 0 gives the base's own bits. Raises UserError where alpha is no share, the run is not finished
    or not whole, was made for other weights than the base has, or the disk is full.
    """
    check_share(alpha)
    return _written(run, alpha, share_folder(run, alpha))


def share_folder(run: Path, alpha: float) -> Path:
    """Where the model of a share of a training lies."""
    return run / f"wise-ft-{alpha:g}"


def check_share(alpha: float) -> None:
    """Raises UserError where alpha is no share, also for NaN."""
    if not 0 <= alpha <= 1:
        raise UserError(f"alpha {alpha:g}: a share of what was learnt is from 0 to 1")


def check_room_for(base: Path, folders: Sequence[Path]) -> None:
    """Raises UserError where the disk has no room for those models of a base that are not there yet."""
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing:
        size = sum(file.stat().st_size for file in weight_files(base))
        check_room(writable(missing[0].parent.parent), len(missing) * size)


def base_of(run: Path) -> Path:
    """The folder of the base that a finished training started from.

    Raises UserError where the run is not finished, or its base has other weights now.
    """
    return base_in(read(run / RUN), run)


def base_in(lock: dict[str, Any], run: Path) -> Path:
    """The base that the record of a training names. Raises UserError where it has other weights now."""
    base = base_model(lock["config"]["base"])
    if fingerprint(weight_files(base)) != lock["base_sha256"]:
        raise UserError(
            f"{run}: made for another base than {base} holds: its weights are others. "
            f"Bring back the base that it was trained from, or delete {run} and train again"
        )
    return base


def _written(run: Path, alpha: float, folder: Path) -> Path:
    lock, base = read(run / RUN), base_of(run)
    todo, origin = again(run, lock), {"alpha": alpha, **origin_of(run)}
    if _is_there(folder, origin):
        return folder
    how = _adapter if lock["config"]["rank"] else _mean
    changes = how(run, tensors_of(*weight_files(base)), alpha, todo)
    copied = _copied(run, base)
    with full_disk(folder), held(run, f"{run} is being merged"):
        if not _is_there(folder, origin):  # else another process was faster
            _write(weight_files(base), copied, changes, folder, origin)
    return folder


def origin_of(run: Path) -> dict[str, Any]:
    """What the models of a training are made from. Raises UserError where its weights are not whole."""
    lock = read(run / RUN)
    tuned = run / (WEIGHTS if lock["config"]["rank"] else "model.safetensors")
    for file in [tuned] if lock["config"]["rank"] else weight_files(run) or [tuned]:
        check_whole(file, again(run, lock))
    return {
        "choose": lock["config"].get("choose", "number"),
        "base_sha256": lock["base_sha256"],
        "tuned_sha256": sha256(tuned) if tuned.is_file() else fingerprint(weight_files(run)),
    }


def again(run: Path, lock: dict[str, Any]) -> str:
    """What to do where a run is not whole."""
    return f"Delete {run} and {'make it' if 'ensemble' in lock else 'train'} again"


def _is_there(folder: Path, origin: dict[str, Any]) -> bool:
    """Whether the folder holds this very model; what lies beside the weights is read again."""
    if _origin(folder) != origin or not _is_whole(folder):
        return False
    small = {name: of for name, of in _sums(folder).items() if not name.endswith(".safetensors")}
    return bool(small) and all(sha256(folder / name) == of for name, of in small.items())


def _copied(run: Path, base: Path) -> dict[str, Path]:
    """The files beside the weights, by name. Raises UserError where one cannot be read."""
    found = {
        file.name: file
        for source in (base, run)
        for pattern in (*_FILES, *(["*.py"] if has_own_code(base) else []))
        for file in source.glob(pattern)
        if source is base or file.name.startswith(("tokenizer", "chat_template"))
    }
    found.pop(ORIGIN, None)
    for file in found.values():
        try:
            file.open("rb").close()
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror}). Copy it again") from None
    return found


def _write(
    weights: list[Path], copied: dict[str, Path], changes: Changes, folder: Path, origin: dict[str, Any]
) -> None:
    """Write the weights and what else a model folder holds; its sums last, then its name."""
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    if _origin(unfinished) != origin:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        write_json(origin, unfinished / ORIGIN)
    try:
        _write_weights(weights, unfinished, changes)
        for name, file in copied.items():
            shutil.copyfile(file, unfinished / name)
        sums = {file.name: sha256(file) for file in (unfinished / name for name in {*copied, ORIGIN})}
        write_sums(unfinished, _sums(unfinished) | sums)
    finally:
        if not (unfinished / SUMS).is_file():  # nothing that is worth to go on with
            shutil.rmtree(unfinished)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _write_weights(files: list[Path], folder: Path, changes: Changes) -> None:
    """Write each file of weights anew, but for those that a killed process has written already.

    Raises UserError where the disk has no room for them.
    """
    done = _sums(folder)
    missing = [file for file in files if file.name not in done]
    total, left = (sum(file.stat().st_size for file in of) for of in (files, missing))
    check_room(folder.parent, left)
    with progress_bar("weights", total, total - left) as bar:
        for file in missing:
            done[file.name] = rewrite(file, folder / file.name, changes, bar.update)
            write_sums(folder, done)


def _sums(folder: Path) -> dict[str, str]:
    """The files that are in the folder, written down with their sums."""
    return {name: digest for name, digest in read_sums(folder).items() if (folder / name).is_file()}


def _origin(folder: Path) -> Any:
    try:
        return json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _is_whole(folder: Path) -> bool:
    try:
        return bool(whole(folder))
    except UserError:
        return False


def _adapter(run: Path, base: dict[str, Tensor], alpha: float, todo: str) -> Changes:
    """What an adapter makes of each weight. Raises UserError where they do not fit together."""
    import torch

    pairs = read_adapter(run, todo)
    _check_fit(run, base, {name: pair.shape for name, pair in pairs.items()}, todo)

    def change(name: str) -> Change | None:
        if name not in pairs or not alpha:
            return None
        pair = pairs[name]
        a, b = pair.a.read().float(), pair.b.read().float()
        return lambda rows, old: torch.addmm(old.float(), b[rows], a, alpha=alpha * pair.scale)

    return change


def _mean(run: Path, base: dict[str, Tensor], alpha: float, todo: str) -> Changes:
    """The tuned weights themselves, or a mean of them and the base's."""
    tuned = tensors_of(*weight_files(run))
    if _OUTPUT in base and _OUTPUT not in tuned and config(run).get("tie_word_embeddings"):
        tuned[_OUTPUT] = tuned[_WORDS]  # a base may hold its one matrix twice; a training saves it once
    if missing := sorted(base.keys() - tuned.keys()):
        raise UserError(f"{run}: has no `{missing[0]}`, which its base has. {todo}")
    _check_fit(run, base, {name: tensor.shape for name, tensor in tuned.items()}, todo)
    check_finite(tuned.values(), todo)

    def change(name: str) -> Change | None:
        def mean(rows: Rows, old: Any) -> Any:
            new = tuned[name].read(rows)
            return new if alpha == 1 else (1 - alpha) * old.float() + alpha * new.float()

        return mean if alpha else None

    return change


def _check_fit(run: Path, base: dict[str, Tensor], shapes: dict[str, tuple[int, ...]], todo: str) -> None:
    if strange := sorted(shapes.keys() - base.keys()):
        raise UserError(f"{run}: adapts `{strange[0]}`, which the base has not. {todo}")
    for name, shape in shapes.items():
        if base[name].shape != shape:
            raise UserError(
                f"{run}: `{name}` has the shape {list(base[name].shape)} in the base, not {list(shape)}. "
                + todo
            )
        if not base[name].computable:
            raise UserError(
                f"{base[name].file}: `{name}` holds {base[name].type}: nothing can be added to a quantised "
                "model. Train from the one that it was made of"
            )
