"""The tensors of safetensors files, read and written a few rows at a time.

safetensors itself writes a file only from tensors that are all in memory. Its form is simple: eight bytes
with the length of a JSON head, the head (name, type, shape and place of each tensor), then their bytes.
"""

import hashlib
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from datagen.errors import UserError

Rows = slice
"""Some rows of a tensor, first and after the last."""

Change = Callable[[Rows, Any], Any]
"""Rows of a tensor and what they hold, in its own type, to what they are to hold."""

_PART = 2**25
"""Bytes of a tensor that are worked on at once; in float32 and with copies some six times as many."""

_TYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""The types that can be computed with; whatever else a file holds is copied byte by byte."""


class Tensor(NamedTuple):
    """Where a tensor lies: its file, its first byte there, and how many there are."""

    file: Path
    name: str
    type: str
    shape: tuple[int, ...]
    start: int
    bytes: int

    @property
    def computable(self) -> bool:
        """Whether it holds plain numbers, and not those of a quantised model."""
        return self.type in _TYPES

    def rows(self) -> Iterator[Rows]:
        """All of its rows, as many at a time as are worked on at once."""
        count = self.shape[0] if self.shape else 1
        step = max(1, _PART * count // max(self.bytes, 1))
        for first in range(0, count, step):
            yield slice(first, min(first + step, count))

    def read(self, rows: Rows | None = None) -> Any:
        """Its rows as a torch tensor in its own type."""
        import torch

        return torch.frombuffer(self.raw(rows), dtype=getattr(torch, _TYPES[self.type])).reshape(
            self._shape(rows)
        )

    def is_finite(self) -> bool:
        """Whether no number of it is NaN or infinite; some rows are in memory at a time."""
        return all(bool(self.read(rows).isfinite().all()) for rows in self.rows())

    def raw(self, rows: Rows | None = None) -> bytearray:
        """The bytes of its rows."""
        row = self.bytes // self.shape[0] if self.shape else self.bytes
        rows = rows or slice(0, self.shape[0] if self.shape else 1)
        data = bytearray(row * (rows.stop - rows.start))
        with self.file.open("rb", buffering=0) as file:
            file.seek(self.start + row * rows.start)
            view = memoryview(data)
            while view and (count := file.readinto(view)):
                view = view[count:]
        if view:
            raise UserError(f"{self.file}: ends within `{self.name}`. Copy or save it again")
        return data

    def _shape(self, rows: Rows | None) -> tuple[int, ...]:
        return (rows.stop - rows.start, *self.shape[1:]) if rows and self.shape else self.shape


def tensors_of(*files: Path) -> dict[str, Tensor]:
    """The tensors of whole files by name, in the order of their bytes."""
    return {name: tensor for file in files for name, tensor in _read_head(file)[1].items()}


def check_finite(tensors: Iterable[Tensor], todo: str) -> None:
    """Raises UserError at the first number that is NaN or infinite, or that is no plain number."""
    for tensor in tensors:
        if not tensor.computable:
            raise UserError(f"{tensor.file}: `{tensor.name}` holds {tensor.type}, not plain numbers. {todo}")
        if not tensor.is_finite():
            raise UserError(f"{tensor.file}: `{tensor.name}` holds numbers that are not finite. {todo}")


def _read_head(file: Path) -> tuple[bytes, dict[str, Tensor]]:
    with file.open("rb") as opened:
        length = opened.read(8)
        head = length + opened.read(int.from_bytes(length, "little"))
    told = json.loads(head[8:])
    told.pop("__metadata__", None)
    found = {}
    for name, of in sorted(told.items(), key=lambda item: item[1]["data_offsets"]):
        start, end = of["data_offsets"]
        found[name] = Tensor(file, name, of["dtype"], tuple(of["shape"]), len(head) + start, end - start)
    return head, found


def rewrite(
    source: Path, target: Path, change: Callable[[str], Change | None], done: Callable[[int], object]
) -> str:
    """Write a file with the tensors of another one, each in its type and place; gives the file's sha256.

    `change` gives what is to become of a tensor, None where it keeps its bits. `done` is told the bytes
    written. The file is on the disk before it has its name. Raises UserError where a number would not be
    finite.
    """
    head, tensors = _read_head(source)

    def parts() -> Iterator[bytearray | memoryview]:
        for name, tensor in tensors.items():
            new = change(name)
            for rows in tensor.rows():
                yield tensor.raw(rows) if new is None else changed(tensor, new(rows, tensor.read(rows)))

    def changed(tensor: Tensor, value: Any) -> memoryview:
        value = _stored(value, tensor.type)
        if not value.isfinite().all():
            raise UserError(
                f"{source}: `{tensor.name}` would hold numbers that are not finite in {tensor.type}: this "
                "file holds some already, or what is added is too much. Take smaller weights, or train again"
            )
        return _bytes(value, tensor.type)

    return _write(target, head, parts(), done)


def write(
    target: Path,
    shapes: Mapping[str, tuple[int, ...]],
    values: Callable[[str], Any],
    done: Callable[[int], object],
) -> str:
    """Write a file of float32 tensors, of which one at a time is in memory; gives the file's sha256."""

    def parts() -> Iterator[memoryview]:
        for name, shape in shapes.items():
            value = values(name)
            assert tuple(value.shape) == tuple(shape)
            yield _bytes(value, "F32")

    return write_parts(target, shapes, "F32", parts(), done)


def write_parts(
    target: Path,
    shapes: Mapping[str, tuple[int, ...]],
    stored: str,
    parts: Iterable[bytearray | memoryview],
    done: Callable[[int], object],
) -> str:
    """Write a file of tensors of one type, whose bytes come in their order; gives the file's sha256."""
    told: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        size = _BYTES[stored] * math.prod(shape)
        told[name] = {"dtype": stored, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(told).encode()
    text += b" " * (-len(text) % 8)  # as safetensors has it, so that numbers begin where they may
    return _write(target, len(text).to_bytes(8, "little") + text, parts, done)


def progress_bar(what: str, total: int, done: int = 0) -> Any:
    """A bar of bytes, on a terminal and where it takes long."""
    from tqdm import tqdm

    return tqdm(
        total=total,
        initial=done,
        desc=what,
        unit="B",
        unit_scale=True,
        delay=1,
        leave=False,
        disable=None,
        file=sys.stderr,
    )


def _write(
    target: Path, head: bytes, parts: Iterable[bytearray | memoryview], done: Callable[[int], object]
) -> str:
    digest = hashlib.sha256(head)
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(head)
            for part in parts:
                file.write(part)
                digest.update(part)
                done(len(part))
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return digest.hexdigest()


def _stored(value: Any, stored: str) -> Any:
    import torch

    return value.to(getattr(torch, _TYPES[stored]))


def _bytes(value: Any, stored: str) -> memoryview:
    import torch

    plain = _stored(value, stored).contiguous().reshape(-1)
    return memoryview(plain.view(torch.uint8).numpy())
