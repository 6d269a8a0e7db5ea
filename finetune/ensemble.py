"""Ensembles: one adapter that adds to the base the weighted sum of what several trainings added.

The matrices of all members stand side by side, so the sum is exact and the ranks add up; or a singular value
decomposition keeps the largest part of it in a smaller rank. Trainings of all weights become their weighted
mean. The result is a run like that of a training, for merge, WiSE-FT and questions.
"""

import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from datagen.errors import UserError
from datagen.hf.checkpoint import ORIGIN, check_whole, fingerprint, weight_files
from datagen.storage.files import check_room, full_disk, sha256, write_json
from datagen.storage.folder_lock import held
from finetune import lora
from finetune.base_models import published
from finetune.lora import Pair, read_adapter, read_settings
from finetune.merge import again, base_in
from finetune.run_file import CHECKPOINTS, LOCK, RUN, check_there, read, whole_path
from finetune.tensors import Change, check_finite, progress_bar, rewrite, tensors_of, write

_KEPT = ("choose", "max_length")
"""Settings of the members that hold for what is made of them."""


class Member(NamedTuple):
    """A finished training, or a checkpoint of one, and its weight in the sum."""

    folder: Path
    lock: dict[str, Any]
    weight: float

    @property
    def todo(self) -> str:
        """What to do where its files are damaged."""
        return again(self.folder, self.lock)


class Ensemble(NamedTuple):
    """The run that was written; `error` is the share of the sum that a smaller rank left out."""

    run: Path
    rank: int | None
    error: float | None
    weight: float
    """Of all members together."""

    @property
    def notices(self) -> list[str]:
        """What a person should know of it, in lines."""
        found = []
        if abs(self.weight - 1) > 1e-9:
            found.append(
                f"the weights add up to {self.weight:g}, so it moves that many times as far from the base"
            )
        if self.error is not None:
            found.append(f"relative error of rank {self.rank}: {self.error:.2%} of the sum (Frobenius norm)")
        return found


def ensemble(
    members: Sequence[Path], run: Path, weights: Sequence[float] | None = None, rank: int | None = None
) -> Ensemble:
    """Write the run that adds up its members, each by its weight (1/n each), if it is not there.

    Raises UserError where a member is not finished or not whole, where they cannot be added up, where the
    folder `run` holds something else, or the disk has no room.
    """
    found = check_members(members, weights)
    if rank is not None and not _is_adapter(found[0]):
        raise UserError(f"--rank {rank}: {found[0].folder} trained all weights, which have no rank")
    said = _said(found, rank, run)
    there = _there(run, said)
    if there:
        return there
    unfinished = run.with_name(f".{run.name}.unfinished")
    with full_disk(run), held(unfinished, f"{run} is being made"):
        there = _there(run, said)
        if there:
            return there
        try:
            made, error = _make(found, said, rank, unfinished)
            unfinished.rename(run)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return Ensemble(run, made, error, sum(member.weight for member in found))


def _make(members: list[Member], said: dict[str, Any], rank: int | None, folder: Path) -> tuple[Any, Any]:
    """Write the run's files, `run.json` last; its rank, and its error."""
    for left in folder.iterdir():  # by a killed one
        if not left.name.startswith(".lock"):
            left.unlink()
    made: int | None = None
    error: float | None = None
    if _is_adapter(members[0]):
        made, error = _adapters(members, folder, rank)
    else:
        _write_means(members, folder)
    for file in members[0].folder.glob("*"):
        if file.name.startswith(("tokenizer", "chat_template")):
            shutil.copyfile(file, folder / file.name)
    said["config"] |= {"rank": made, "alpha": made} if made else {}
    settings = yaml.safe_dump(said["config"], sort_keys=False)
    (folder / "config.yaml").write_text(settings, encoding="utf-8")
    (folder / "README.md").write_text(_card(members, said, made, error), encoding="utf-8")
    write_json(said | {"error": error}, folder / RUN)
    for lock in folder.glob(".lock*"):
        lock.unlink()
    return made, error


def check_members(folders: Sequence[Path], weights: Sequence[float] | None) -> list[Member]:
    """The members, each with its weight. Raises UserError where they cannot be added up."""
    if weights is not None and len(weights) != len(folders):
        raise UserError(f"--weights: {len(weights)} of them for {len(folders)} members. Give one for each")
    if not all(map(math.isfinite, weights or [])):
        raise UserError("--weights: a weight is a plain number, such as 0.25")
    shares = weights or [1 / len(folders)] * len(folders)
    found = [Member(folder, _lock(folder), share) for folder, share in zip(folders, shares, strict=True)]
    first, *others = found
    for other in others:
        for what, agree, told in (
            ("were trained from different bases", lambda of: of.lock["base_sha256"], _base),
            ("choose options in different ways", _choose, _choose),
            ("train an adapter and all weights", _how, _how),
        ):
            if agree(first) != agree(other):
                both = " and ".join(f"{of.folder} ({told(of)})" for of in (first, other))
                raise UserError(f"{both} {what}: they cannot be added up. Name trainings that agree in it")
    return found


def _base(member: Member) -> str:
    return f"{member.lock['config']['base']}, weights {member.lock['base_sha256'][:12]}"


def _how(member: Member) -> str:
    return "an adapter" if _is_adapter(member) else "all weights"


def _card(members: list[Member], said: dict[str, Any], rank: int | None, error: float | None) -> str:
    lost = f", which leaves out {error:.2%} of the sum" if error is not None else ""
    lines = [f"- {of.weight:g} x `{of.folder.name}`, trained on {of.lock['data']}" for of in members]
    made_up = f"Part of the data is made up: {', '.join(said['made_up'])}." if said["made_up"] else ""
    return "\n".join(
        [
            f"# A sum of trainings of {published(said['config']['base'])}",
            "",
            f"What each added to the base, times its weight{f' (rank {rank}{lost})' if rank else ''}:",
            "",
            *lines,
            "",
            f"The cards of these say under which licences their data stands. {made_up}".rstrip(),
            "",
        ]
    )


def _is_adapter(member: Member) -> bool:
    return member.lock["config"]["rank"] is not None


def _choose(member: Member) -> str:
    return str(member.lock["config"].get("choose", "number"))


def _lock(folder: Path) -> dict[str, Any]:
    """The record of a finished training, or of that which a checkpoint is of."""
    check_there(folder)
    if folder.absolute().parent.name == CHECKPOINTS:
        run = folder.absolute().parent.parent
        return read(run / (RUN if (run / RUN).is_file() else LOCK))
    return read(folder / RUN)


def _said(members: list[Member], rank: int | None, run: Path) -> dict[str, Any]:
    """What the run is, before it is made: the same members, weights and rank are the same run."""
    first = members[0].lock
    kept = {key: first["config"][key] for key in _KEPT if key in first["config"]}
    names = [
        {"run": _from(run, member.folder), "weight": member.weight, "sha256": _digest(member)}
        for member in members
    ]
    return {
        "config": kept | {"base": whole_path(first["config"]["base"]), "rank": None},
        "data": ", ".join(dict.fromkeys(member.lock["data"] for member in members)),
        "made_up": sorted({name for member in members for name in member.lock.get("made_up", [])}),
        "data_sha256": [member.lock["data_sha256"] for member in members],
        "base_sha256": first["base_sha256"],
        "ensemble": {"members": names, "rank": rank},
    }


def _from(run: Path, member: Path) -> str:
    """The path of a member from the run on: it holds from wherever the run is read, and moved with both."""
    return os.path.relpath(member.resolve(), run.resolve())


def _digest(member: Member) -> str:
    if _is_adapter(member):
        check_whole(member.folder / lora.WEIGHTS, member.todo)
        return sha256(member.folder / lora.WEIGHTS)
    files = weight_files(member.folder)
    for file in files or [member.folder / "model.safetensors"]:
        check_whole(file, member.todo)
    return fingerprint(files)


def _there(run: Path, said: dict[str, Any]) -> Ensemble | None:
    """The ensemble, where this very one is there. Raises UserError where something else is."""
    if not run.exists():
        return None
    if not (run / RUN).is_file():
        raise UserError(f"{run} is in the way: it holds no finished training. Give --name, or delete it")
    found = read(run / RUN)
    if _identity(found) != _identity(said):
        raise UserError(
            f"{run} is of other members or weights. Give this one a --name of its own, or delete it"
        )
    weight = sum(of["weight"] for of in found["ensemble"]["members"])
    return Ensemble(run, found["config"]["rank"], found["error"], weight)


def _identity(said: dict[str, Any]) -> Any:
    """What makes a run the same: not the place of its members."""
    told = said.get("ensemble") or {"members": [], "rank": None}
    return [(of["sha256"], of["weight"]) for of in told["members"]], told["rank"]


def _adapters(members: list[Member], run: Path, rank: int | None) -> tuple[int, float | None]:
    """Write one adapter of several; its rank, and the share of the sum that is lost by a smaller one."""
    adapters = [read_adapter(member.folder, member.todo) for member in members]
    weights = sorted({name for adapter in adapters for name in adapter})
    parts = {
        name: [
            (pair, member.weight)
            for adapter, member in zip(adapters, members, strict=True)
            if (pair := adapter.get(name))
        ]
        for name in weights
    }
    _check_shapes(members, adapters, weights)
    summed = max(sum(pair.rank for pair, _ in of) for of in parts.values())
    if rank is not None and rank > summed:
        raise UserError(f"--rank {rank}: the members' ranks add up to {summed}. Give less, or leave it out")
    made = rank or summed
    shapes: dict[str, tuple[int, ...]] = {}
    for name, [(pair, _), *_] in parts.items():
        key = lora.PREFIX + name.removesuffix(".weight")
        shapes |= {key + lora.A: (made, pair.shape[1]), key + lora.B: (pair.shape[0], made)}
    size = 4 * sum(map(math.prod, shapes.values()))
    check_room(run, size)
    lost = whole = 0.0
    later: dict[str, Any] = {}

    def values(key: str) -> Any:
        """A of a weight, which comes first, then its B."""
        nonlocal lost, whole
        if key in later:
            return later.pop(key)
        name = key.removeprefix(lora.PREFIX).removesuffix(lora.A) + ".weight"
        a, b = _side_by_side(parts[name])
        if rank:
            a, b, missing, all_of_it = _shortened(a, b, rank)
            lost, whole = lost + missing, whole + all_of_it
        a, b = _padded(a, b, made)
        if not (a.float().isfinite().all() and b.float().isfinite().all()):
            raise UserError(f"--weights: so large that `{name}` would hold numbers that are not finite")
        later[key.removesuffix(lora.A) + lora.B] = b
        return a

    with progress_bar("adapter", size) as bar:
        write(run / lora.WEIGHTS, shapes, values, bar.update)
    settings = read_settings(members[0].folder, members[0].todo)
    settings |= {
        "base_model_name_or_path": published(members[0].lock["config"]["base"]),
        "r": made,
        "lora_alpha": made,  # which makes the scale 1: each member's own is in the matrices
        "use_rslora": False,
        "rank_pattern": {},
        "lora_dropout": 0.0,
        "layers_to_transform": None,
        "layers_pattern": None,
        "target_modules": sorted({name.split(".")[-2] for name in weights}),
    }
    write_json(settings, run / lora.SETTINGS)
    return made, math.sqrt(lost / whole) if rank and whole else None


def _check_shapes(members: list[Member], adapters: list[dict[str, Pair]], weights: list[str]) -> None:
    for name in weights:
        shapes = {
            adapter[name].shape: member.folder
            for adapter, member in zip(adapters, members, strict=True)
            if name in adapter
        }
        if len(shapes) > 1:
            told = ", ".join(f"{list(shape)} in {folder}" for shape, folder in shapes.items())
            raise UserError(f"`{name}` has different shapes: {told}. Name trainings of one base")


def _side_by_side(parts: list[tuple[Pair, float]]) -> tuple[Any, Any]:
    """A and B of the weighted sum, whose product is the sum of the products."""
    import torch

    a = torch.cat([pair.a.read().double() for pair, _ in parts], dim=0)
    b = torch.cat([pair.b.read().double() * (weight * pair.scale) for pair, weight in parts], dim=1)
    return a, b


def _shortened(a: Any, b: Any, rank: int) -> tuple[Any, Any, float, float]:
    """A and B of a smaller rank that are nearest to their product; what is lost of its squares, and all.

    The decomposition is that of a small matrix: b a = q1 (r1 r2') q2', with q1 and q2 orthogonal.
    """
    import torch

    q1, r1 = torch.linalg.qr(b)
    q2, r2 = torch.linalg.qr(a.T)
    u, s, v = torch.linalg.svd(r1 @ r2.T, full_matrices=False)
    squares = s.square()
    root = s[:rank].sqrt()
    return (
        (v[:rank] * root[:, None]) @ q2.T,
        q1 @ (u[:, :rank] * root),
        float(squares[rank:].sum()),
        float(squares.sum()),
    )


def _padded(a: Any, b: Any, rank: int) -> tuple[Any, Any]:
    """The same product with as many rows and columns as the rank: what a weight has too few of is zeros."""
    from torch.nn.functional import pad

    missing = rank - a.shape[0]
    return pad(a, (0, 0, 0, missing)), pad(b, (0, missing))


def _write_means(members: list[Member], run: Path) -> None:
    """Write the base plus the weighted sum of what each member, of which all weights were trained, added."""
    parts = [tensors_of(*weight_files(member.folder)) for member in members]
    for part, member in zip(parts, members, strict=True):
        check_finite(part.values(), member.todo)
    weights = [member.weight for member in members]
    rest = 1 - sum(weights)
    if abs(rest) > 1e-9:  # what the members leave of the base, or take from it
        parts.append(tensors_of(*weight_files(base_in(members[0].lock, members[0].folder))))
        weights.append(rest)
    for name in sorted({name for of in parts[: len(members)] for name in of}):
        if len({of[name].shape if name in of else None for of in parts}) > 1:
            raise UserError(
                f"`{name}` is not the same in all members and their base. Name trainings of one base"
            )

    def change(name: str) -> Change:
        def mean(rows: slice, old: Any) -> Any:
            return sum(
                weight * of[name].read(rows).double() for weight, of in zip(weights, parts, strict=True)
            )

        return mean

    files = weight_files(members[0].folder)
    size = sum(file.stat().st_size for file in files)
    check_room(run, size)
    with progress_bar("weights", size) as bar:
        for file in files:
            rewrite(file, run / file.name, change, bar.update)
    for file in members[0].folder.glob("*.json"):
        if file.name not in (RUN, ORIGIN):
            shutil.copyfile(file, run / file.name)
    write_json({"choose": _choose(members[0])}, run / ORIGIN)
