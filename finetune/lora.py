"""An adapter on the disk: pairs of small matrices, and the scale of what each pair adds to a weight.

What a pair adds is scale x B A, B being `lora_B` and A `lora_A` of PEFT's file.
"""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from datagen.errors import UserError
from datagen.hf.checkpoint import check_whole
from finetune.tensors import Tensor, check_finite, tensors_of

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
PREFIX, A, B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"

_OTHER_KINDS = ("use_dora", "use_qalora", "fan_in_fan_out", "alpha_pattern", "lora_bias")
"""Settings of PEFT under which an adapter adds something else than scale x B A."""


class Pair(NamedTuple):
    """What is added to one weight: scale x b a."""

    a: Tensor
    b: Tensor
    scale: float

    @property
    def rank(self) -> int:
        """The columns of b, which are the rows of a."""
        return self.a.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the weight that it is added to."""
        return self.b.shape[0], self.a.shape[1]


def read_adapter(run: Path, todo: str) -> dict[str, Pair]:
    """The pairs of the adapter in a folder, by the weight that each one changes.

    Raises UserError, with what to do, where its files cannot be read, hold something else than such pairs, or
    numbers that are not finite.
    """
    check_whole(run / WEIGHTS, todo)
    settings = read_settings(run, todo)
    for key in _OTHER_KINDS:
        if settings.get(key):
            raise UserError(f"{run / SETTINGS}: `{key}` is set, and only plain LoRA can be added up. {todo}")
    tensors = tensors_of(run / WEIGHTS)
    found = {}
    for name, a in tensors.items():
        if name.endswith(A):
            partner = name.removesuffix(A) + B
            b = tensors.get(partner)
            if b is None or len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
                raise UserError(f"{run / WEIGHTS}: `{name}` and `{partner}` are no pair. {todo}")
            root = math.sqrt(a.shape[0]) if settings.get("use_rslora") else a.shape[0]
            weight = name.removeprefix(PREFIX).removesuffix(A) + ".weight"
            found[weight] = Pair(a, b, settings["lora_alpha"] / root)
    known = {tensor.name for pair in found.values() for tensor in (pair.a, pair.b)}
    if strange := sorted(tensors.keys() - known):
        raise UserError(f"{run / WEIGHTS}: `{strange[0]}` is no matrix of a plain LoRA. {todo}")
    check_finite((tensor for pair in found.values() for tensor in (pair.a, pair.b)), todo)
    return found


def read_settings(run: Path, todo: str) -> dict[str, Any]:
    """An adapter's settings, as PEFT wrote them. Raises UserError where it did not."""
    try:
        settings: dict[str, Any] = json.loads((run / SETTINGS).read_text(encoding="utf-8"))
        float(settings["lora_alpha"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{run}: its {SETTINGS} cannot be read ({error!r}). {todo}") from None
    return settings
