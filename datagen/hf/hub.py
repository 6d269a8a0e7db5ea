"""Downloads of models and data sets from the Hugging Face hub."""

import math
import os
import shutil
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from datagen.console.progress import Say
from datagen.errors import UserError

OWN_CODE = "REMOTE_CODE"
"""The environment's variable for the names of models, with commas between, whose own code may run."""

_WANTED = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors")


def is_hub_name(name: str) -> bool:
    """Whether the name may be a model of the Hugging Face hub, such as `Qwen/Qwen2-0.5B-Instruct`."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def allowed() -> list[str]:
    """The names of models whose own code may run."""
    return [name.strip() for name in os.environ.get(OWN_CODE, "").split(",") if name.strip()]


def fetched(name: str) -> Path:
    """The folder of a model of the Hugging Face hub. Raises UserError where it cannot be fetched."""
    from huggingface_hub import snapshot_download

    try:
        code = ["*.py"] if name in allowed() else []
        return Path(snapshot_download(name, allow_patterns=[*_WANTED, *code]))
    except (OSError, ValueError) as error:  # the hub's own errors are among these
        raise UserError(
            f"{name}: neither a folder nor to be had from the hub ({str(error).splitlines()[0]}). "
            "Name a folder that is there, or see to its spelling and the network"
        ) from None


LIMIT = "HUB_GB"
"""The environment's variable for the most gigabytes that one data set may take, and what it is unsaid."""

DEFAULT_GB = 5.0


def dataset_files(
    repository: str, revision: str, patterns: Sequence[str], folder: Path, say: Say = lambda text: None
) -> None:
    """Put the files of a data set that match any of `patterns` into `folder`, as they are at a revision.

    `say` is told their size before they are fetched. That is into the hub's own cache, so that a download
    that was cut off goes on there, and draws a bar. Raises OSError where the hub does not give them, and
    UserError where they are larger than what is fetched unasked.
    """
    from huggingface_hub import snapshot_download

    files = download_plan(repository, revision, patterns, say)
    try:
        cached = Path(
            snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=[*patterns])
        )
    except Exception as error:  # the client's HTTP library, and with it the errors, changes with its version
        raise OSError(str(error)) from error
    for name in files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = (cached / name).resolve()
        try:
            os.link(source, target)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, target)


def download_plan(
    repository: str, revision: str, patterns: Sequence[str], say: Say = lambda text: None
) -> list[str]:
    """The names of a data set's files that match any of `patterns`; `say` is told what is to be downloaded.

    Raises OSError where the hub does not tell or has none, and UserError where they are too large.
    """
    from huggingface_hub import snapshot_download

    try:
        files = snapshot_download(
            repository, repo_type="dataset", revision=revision, allow_patterns=[*patterns], dry_run=True
        )
    except Exception as error:  # as above
        raise OSError(str(error)) from error
    names = [file.filename for file in files]
    absent = [pattern for pattern in patterns if not any(fnmatch(name, pattern) for name in names)]
    if absent:
        raise OSError(f"it has no {' or '.join(absent)} at {revision}")
    missing = [file for file in files if file.will_download]
    size = sum(file.file_size or 0 for file in missing) / 1e9
    most = most_gigabytes()
    say(f"{repository}: {len(missing)} of {len(files)} files to download, {size * 1e3:,.1f} MB")
    if size > most:
        raise UserError(
            f"seeds hub: {repository}: {size:,.1f} GB to download, more than the {most:g} GB that are "
            f"fetched unasked. Choose less of it by the source's options, or allow it: "
            f"{LIMIT}={math.ceil(size)}"
        )
    return names


def most_gigabytes() -> float:
    """The most gigabytes to fetch of one data set. Raises UserError where the variable is no number."""
    told = os.environ.get(LIMIT) or str(DEFAULT_GB)
    try:
        return float(told)
    except ValueError:
        raise UserError(f"{LIMIT}={told}: not a number of gigabytes, such as {LIMIT}=20") from None
