"""The file SHA256SUMS in a folder, as `sha256sum` writes and checks it."""

from collections.abc import Mapping
from pathlib import Path

from datagen.storage.files import write_text

SUMS = "SHA256SUMS"


def read_sums(folder: Path) -> dict[str, str]:
    """The digest of each file that is listed, by its path in the folder; none where there is no list."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Write the list, which is whole under its name."""
    write_text("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())), folder / SUMS)
