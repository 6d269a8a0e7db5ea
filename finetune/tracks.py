"""A file of models: several of them, each a weighted sum of the same trainings and a share of it (WiSE-FT).

adapters: {blend: finetune/runs/blend, concepts: finetune/runs/concepts}
models:
  concepts: {weights: {blend: 0.5, concepts: 0.5}, alpha: 0.75}
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from datagen.config.document import read
from datagen.config.messages import validate
from datagen.errors import UserError
from datagen.suggest import among
from finetune.ensemble import check_members, ensemble
from finetune.merge import base_in, check_room_for, wise_ft

_STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Model(BaseModel):
    """One model: the weight of each training in it, and the share of their sum."""

    model_config = _STRICT

    weights: dict[str, float] = Field(min_length=1)
    alpha: float = Field(default=1.0, ge=0, le=1)


class Models(BaseModel):
    """The trainings by a short name, and the models that are made of them."""

    model_config = _STRICT

    adapters: dict[str, str] = Field(min_length=1)
    models: dict[str, Model] = Field(min_length=1)


def load(file: Path) -> Models:
    """The models of a YAML file. Raises UserError with every problem of it."""
    if not file.is_file():
        raise UserError(f"{file}: no such file. Copy finetune/ensembles/tracks.yaml, and name your trainings")
    document = read(file)
    found = validate(document, Models, document.data)
    for name, model in found.models.items() if found else ():
        for member in model.weights:
            if found and member not in found.adapters:
                place = document.key(("models", name, "weights", member))
                document.problem(
                    place, "unknown_name", f"no adapter `{member}`: {among(member, found.adapters)}"
                )
    if document.problems or found is None:
        raise UserError("\n".join(["the models cannot be made:", *map(str, sorted(document.problems))]))
    return found


class Made(NamedTuple):
    """A model of the file that is written: its name there, what it is made of, and its folder."""

    name: str
    of: str
    folder: Path


def make(file: Path, runs: Path) -> Iterator[Made]:
    """Each model, as soon as it is written; those that are there are not written again.

    Their trainings are `runs/<file>-<model>`. All are checked, and the disk for room for all, before the
    first one is written.
    """
    models = load(file)
    named = {name: runs / f"{file.stem}-{name}" for name in models.models}
    folders = {
        name: [Path(models.adapters[of]) for of in model.weights] for name, model in models.models.items()
    }
    for name, model in models.models.items():
        first, *_ = check_members(folders[name], list(model.weights.values()))
    written = [named[name] / f"wise-ft-{model.alpha:g}" for name, model in models.models.items()]
    check_room_for(base_in(first.lock, first.folder), written)
    for name, model in models.models.items():
        run = ensemble(folders[name], named[name], list(model.weights.values())).run
        yield Made(name, _told(model), wise_ft(run, model.alpha))


def _told(model: Model) -> str:
    """What a model is made of: `0.5 blend + 0.5 concepts, a share of 0.75`."""
    added = " + ".join(f"{weight:g} {name}" for name, weight in model.weights.items())
    far = sum(model.weights.values())
    odd = f" (which add up to {far:g})" if abs(far - 1) > 1e-9 else ""
    return f"{added}{odd}, a share of {model.alpha:g}"
