"""The folder of seed files behind a user's `--seeds`.

sample     the made-up shop, written once to runs/seeds/sample-<hash of its generator>/
hub        fetched once to runs/seeds/hub/<source>/, its revision noted in runs/seeds/hub/<source>.json.
           Where options choose among files, each choice has a folder; runs/seeds/hub/of-<hash>/ links there
a folder   as it is: one subfolder a source, with the publisher's files
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from datagen.console.progress import Say
from datagen.errors import UserError
from datagen.sources import SOURCES
from datagen.storage.files import beside, drop_left
from datagen.suggest import nearest

SAMPLE, HUB = "sample", "hub"


def find_seeds(
    where: str, sources: Mapping[str, BaseModel], runs: Path, say: Say = lambda text: None
) -> Path:
    """The folder behind `where`; what is missing of the sample or the hub's sources is written there first.

    Raises UserError where there is no such folder, or the hub cannot be reached.
    """
    if where == SAMPLE:
        return made_up(runs / "seeds", "sample", say)
    if where == HUB:
        return _hub(sources, runs / "seeds" / "hub", say)
    folder = Path(where).expanduser()
    if not folder.is_dir():
        near = nearest(where, (SAMPLE, HUB))
        meant = f"Did you mean `{near}`? " if near else ""
        raise UserError(
            f"seeds {where}: no such folder. {meant}Give `sample`, `hub`, or a folder with one subfolder a "
            f"source, as in {folder / 'esci'}/"
        )
    return folder


def remember(run: Path, seeds: Path) -> None:
    """Note where the seeds of a run lie; beside the run, since a run's own files name no place."""
    note = _note(run)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{seeds.resolve()}\n", encoding="utf-8")


def remembered(run: Path) -> Path | None:
    """Where the seeds of a run lay when it was built; None where nobody noted it, or they are gone."""
    note = _note(run)
    seeds = Path(note.read_text(encoding="utf-8").strip()) if note.is_file() else None
    return seeds if seeds and seeds.is_dir() else None


def _note(run: Path) -> Path:
    return run.parent / "seeds" / f"of-{run.name}.txt"


def made_up(home: Path, size: Literal["sample", "full"], say: Say) -> Path:
    """The folder below `home` that holds the made-up shop in this size, written first if it is not there."""
    from datagen.sources import sample

    folder = home / f"{size}-{_hash_of(Path(sample.__file__).parent)}"
    if not folder.is_dir():
        say("Making up a shop to take seeds from, once ...")
        with _whole(folder) as unfinished:
            sample.write_sample(unfinished, size)
    return folder


def _hash_of(folder: Path) -> str:
    """A short hash of all that the generator is made of: another generator, another sample."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".yaml", ".csv", ".json"):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _hub(sources: Mapping[str, BaseModel], home: Path, say: Say) -> Path:
    """The folder with the hub's copy of each source; links lead to those that options choose from."""
    folders = {source: _fetched(source, options, home, say) for source, options in sources.items()}
    names = [folder.name for folder in folders.values()]
    if names == list(sources):
        return home
    linked = home / f"of-{hashlib.sha256(' '.join(names).encode()).hexdigest()[:12]}"
    linked.mkdir(exist_ok=True)
    for source, folder in folders.items():
        with suppress(FileExistsError):
            (linked / source).symlink_to(folder.resolve(), target_is_directory=True)
    return linked


def _fetched(source: str, options: BaseModel, home: Path, say: Say) -> Path:
    """The folder of one source, fetched first if it is not there."""
    module = SOURCES[source]
    if not module.HUB_ID:
        raise UserError(
            f"seeds hub: {source} is not on the hub. "
            f"Get its files from {module.HOMEPAGE} and give their folder"
        )
    chosen = options.model_dump(include=set(module.FILES_BY), exclude_defaults=True)
    digest = hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:12]
    folder = home / (f"{source}-{digest}" if chosen else source)
    if not folder.is_dir():
        revision = _revision(source, home / f"{source}.json")
        say(f"Fetching {module.HUB_ID}, once ...")
        with _whole(folder) as unfinished:
            try:
                module.from_hub(unfinished, revision, options, say)
            except OSError as error:
                raise _unreachable(source, error) from error
    return folder


def _revision(source: str, note: Path) -> str:
    """The hub's commit that the note beside the source names; where there is none, today's is noted."""
    if note.is_file():
        return str(json.loads(note.read_text(encoding="utf-8"))["revision"])
    from huggingface_hub import HfApi

    repository = SOURCES[source].HUB_ID
    try:
        revision = str(HfApi().dataset_info(repository).sha)
    except Exception as error:  # the client's HTTP library, and with it the errors, changes with its version
        raise _unreachable(source, error) from error
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps({"repository": repository, "revision": revision}) + "\n", encoding="utf-8")
    return revision


def _unreachable(source: str, error: Exception) -> UserError:
    return UserError(
        f"seeds hub: {SOURCES[source].HUB_ID} could not be fetched ({str(error).splitlines()[0]}). "
        f"Is the network there? `sample` and a folder of original files need none"
    )


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder to fill, renamed to `folder` when it is whole; if another process was first, its one stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    drop_left(folder.parent)
    unfinished = Path(tempfile.mkdtemp(prefix=beside(folder).name, dir=folder.parent))
    unfinished.chmod(0o755)  # mkdtemp lets nobody else read
    try:
        yield unfinished
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
