"""The upload of a run to the Hugging Face hub, as a data set with its card."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from datagen.commands.verify import problems, published
from datagen.errors import UserError
from datagen.pipeline.lockfile import read_lock
from datagen.sources import SOURCES
from datagen.storage.manifest import read_manifest

KEPT_BACK = "rejects/"
"""Rows that were left out, with evaluation questions among their reasons: no part of a data set."""


class Upload(NamedTuple):
    """What is to go where: bytes by file, licences by source."""

    run: Path
    repository: str
    private: bool
    files: dict[str, int]
    licences: dict[str, str]
    made_up: list[str]


def planned(run: Path, repository: str, private: bool = True) -> Upload:
    """What an upload would send. Raises UserError where the run is not as it was built, or for a bad name."""
    if repository.count("/") != 1 or not all(repository.split("/")):
        raise UserError(
            f"{repository}: no repository of the hub. Name it as in: your_name/{run.resolve().name}"
        )
    manifest = read_manifest(run)
    found = problems(run)
    if found:
        raise UserError("\n  ".join([f"{run} is not as it was built, so it is not sent:", *found]))
    names = [name for name in published(run) if not name.startswith(KEPT_BACK)]
    sources = sorted(read_lock(run)["recipe"]["sources"])
    return Upload(
        *(run, repository, private),
        {name: (run / name).stat().st_size for name in names},
        {source: SOURCES[source].LICENSE for source in sources},
        manifest["made_up"],
    )


def push(upload: Upload) -> str:
    """Send it in one commit; gives the address. Raises UserError without a token, or if the hub refuses."""
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    if not get_token():
        raise UserError(
            "no token for the Hugging Face hub. Make one with write access at "
            "https://huggingface.co/settings/tokens, then run `hf auth login`, or set HF_TOKEN"
        )
    api = HfApi()
    try:
        api.create_repo(upload.repository, repo_type="dataset", private=upload.private, exist_ok=True)
        if upload.private and not api.dataset_info(upload.repository).private:
            raise UserError(
                f"{upload.repository}: it is there and public. Say --public to add to it, or name another"
            )
        return _send(api, upload)
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError, ValueError) as error:  # the last of a bad name
        why = str(error).strip().splitlines()[0]
        raise UserError(
            f"{upload.repository}: the hub did not take it ({why}). See to the token's rights and the network"
        ) from None


def _send(api: Any, upload: Upload) -> str:
    commit = api.upload_folder(
        repo_id=upload.repository,
        repo_type="dataset",
        folder_path=upload.run,
        allow_patterns=list(upload.files),
        delete_patterns=["data/*"],  # of a run with more shards
        commit_message=f"Add {read_manifest(upload.run)['recipe']}",
    )
    return str(commit.commit_url)


def described(upload: Upload) -> Iterable[str]:
    """What is to be sent, for a person to read before it is."""
    width = max(map(len, upload.files))
    seen = "private" if upload.private else "PUBLIC"
    yield f"{upload.repository}, a {seen} data set of the Hugging Face hub:"
    for name, size in upload.files.items():
        yield f"  {name:<{width}}  {size / 1e6:>10,.2f} MB"
    yield f"  {'in all':<{width}}  {sum(upload.files.values()) / 1e6:>10,.2f} MB"
    yield "Under the terms of all of these:"
    for source, licence in upload.licences.items():
        yield f"  {source}: {licence} ({SOURCES[source].HOMEPAGE})"
    if upload.made_up:
        yield f"Made from invented seeds ({', '.join(upload.made_up)}): for trying out, not for training."
