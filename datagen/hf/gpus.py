"""GPUs as their makers' data sheets describe them, and how a number of them is written: `8x80`, `4xT4`."""

import re
from typing import NamedTuple

from datagen.errors import UserError
from datagen.suggest import among


class Gpu(NamedTuple):
    """Published figures of a GPU; those of speed are None where only its memory is known."""

    name: str
    gib: float
    """Of memory that a program sees; vendors say 16 GB for 15."""
    tflops: float | None = None
    """In 16 bits, dense."""
    memory_gb_s: float | None = None
    link_gb_s: float | None = None
    """To and from the other GPUs: NVLink's half, or PCIe's 16 lanes."""


PUBLISHED = (
    Gpu("T4", 15.0, 65, 320, 16),
    Gpu("L4", 22.5, 121, 300, 32),
    Gpu("A100-40", 39.5, 312, 1_555, 300),
    Gpu("L40S", 45.0, 362, 864, 32),
    Gpu("A100", 79.3, 312, 2_039, 300),
    Gpu("H100", 79.3, 989, 3_350, 450),
    Gpu("H200", 140.0, 989, 4_800, 450),
)

_BY_GB = {16: "T4", 24: "L4", 40: "A100-40", 48: "L40S", 80: "A100", 141: "H200"}
_WRITTEN = re.compile(r"(\d{1,4})x([A-Za-z0-9.-]{1,20})")


class Gpus(NamedTuple):
    """Some GPUs of one kind in one machine."""

    number: int
    gpu: Gpu
    by_size: bool = False
    """Whether a size was named, and a card taken for it."""

    @property
    def taken(self) -> str:
        """Which card was taken for a size, and how to name another, as the end of a line; else nothing."""
        if not self.by_size:
            return ""
        alike = [gpu.name for gpu in PUBLISHED if gpu.gib == self.gpu.gib and gpu != self.gpu]
        other = f"name it for another: {self.number}x{alike[0]}" if alike else "others differ in speed"
        return f", taken for that size ({other})"

    def __str__(self) -> str:
        return f"{self.number} x {self.gpu.name}"


def gpus(text: str) -> Gpus:
    """The GPUs that a text such as `8x80` or `4xT4` names: how many, and their gigabytes or their name.

    Raises UserError where it names none. Of a size that is not published here only the memory is known.
    """
    found = _WRITTEN.fullmatch(text.strip())
    if found is None or int(found[1]) == 0:
        raise UserError(
            f"--gpus {text}: write a number of GPUs, and the gigabytes or the name of one, as in 8x80 or 4xT4"
        )
    count, kind = int(found[1]), found[2]
    named = {gpu.name.lower(): gpu for gpu in PUBLISHED}
    if kind.lower() in named:
        return Gpus(count, named[kind.lower()])
    try:
        gigabytes = float(kind)
    except ValueError:
        gigabytes = 0
    if not 1 <= gigabytes <= 1_000:
        raise UserError(
            f"--gpus {text}: no GPU `{kind}`: {among(kind, [gpu.name for gpu in PUBLISHED])}. "
            "Or write the gigabytes of one, as in 8x80"
        )
    if gigabytes in _BY_GB:
        return Gpus(count, named[_BY_GB[int(gigabytes)].lower()], by_size=True)
    return Gpus(count, Gpu(f"{gigabytes:g} GB", round(gigabytes * 0.93, 1)))  # as of 16 GB a program sees 15
