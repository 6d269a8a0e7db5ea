"""Downloads of models and data sets from the Hugging Face hub."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from datagen.console.progress import Say
from datagen.errors import UserError

_WANTED = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors")


def is_hub_name(name: str) -> bool:
    """Whether the name may be a model of the Hugging Face hub, such as `Qwen/Qwen2-0.5B-Instruct`."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def fetched(name: str) -> Path:
    """The folder of a model of the Hugging Face hub. Raises UserError where it cannot be fetched."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(_WANTED)))
    except (OSError, ValueError) as error:  # the hub's own errors are among these
        raise UserError(
            f"{name}: neither a folder nor to be had from the hub ({str(error).splitlines()[0]}). "
            "Name a folder that is there, or see to its spelling and the network"
        ) from None


def dataset_files(
    repository: str, revision: str, patterns: Sequence[str], folder: Path, say: Say = lambda text: None
) -> None:
    """Put the files of a data set that match any of `patterns` into `folder`, as they are at a revision.

    `say` is told their size before they are fetched. That is into the hub's own cache, so that a download
    that was cut off goes on there, and draws a bar. Raises OSError where the hub does not give them.
    """
    from huggingface_hub import snapshot_download

    try:
        files = snapshot_download(
            repository, repo_type="dataset", revision=revision, allow_patterns=[*patterns], dry_run=True
        )
        missing = [file for file in files if file.will_download]
        size = sum(file.file_size or 0 for file in missing)
        say(f"{repository}: {len(missing)} of {len(files)} files to download, {size / 1e6:,.1f} MB")
        cached = Path(
            snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=[*patterns])
        )
    except Exception as error:  # the client's HTTP library, and with it the errors, changes with its version
        raise OSError(str(error)) from error
    if not files:
        raise OSError(f"it has no {' or '.join(patterns)} at {revision}")
    for file in files:
        target = folder / file.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        source = (cached / file.filename).resolve()
        try:
            os.link(source, target)
        except OSError:  # another disk, or one without links
            shutil.copyfile(source, target)
