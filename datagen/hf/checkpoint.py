"""Checks of a model folder, before anything is loaded; its config and its fingerprint.

Such a folder is in Hugging Face layout: `config.json`, weights as safetensors, a tokenizer with a chat
template.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datagen.errors import UserError
from datagen.hf.hub import OWN_CODE, allowed, fetched, is_hub_name
from datagen.storage.files import check_link, read_json

ORIGIN = "shoptalk.json"
"""In a model that finetune wrote: how options are chosen with it and, if merged, what it was made from."""

PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
"""Other formats of weights, which are refused."""

_SAMPLE = 2**20
_AGAIN = "Copy or save the model again"


def checked(folder: Path, name: str | None = None) -> Path:
    """The folder, checked to hold a model that can be loaded; `name` is what it was called, if not so.

    Raises UserError where it does not, or would run code of its own and is not allowed to by name.
    """
    whole(folder)
    if has_own_code(folder) and name not in allowed() and folder.resolve() not in map(_place, allowed()):
        raise UserError(
            f"{folder}: its config.json names Python code of its own (`auto_map`), which would run here. "
            f"Where you trust its author, allow it by name: {OWN_CODE}={name or folder}"
        )
    return folder


def has_own_code(folder: Path) -> bool:
    """Whether a model's config asks to run Python code that comes with the model."""
    files = [folder / name for name in ("config.json", "tokenizer_config.json")]
    return any(read_json(file, _AGAIN).get("auto_map") for file in files if file.is_file())


def _place(name: str) -> Path:
    return Path(name).expanduser().resolve()


def whole(folder: Path) -> Path:
    """The folder, checked to have all files of a model. Raises UserError where it has not."""
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        merged = folder / "merged"
        todo = "" if merged.is_dir() else f"Run: finetune merge {folder}; then "
        raise UserError(
            f"{folder}: an adapter, not a whole model. {todo or 'Its merged model is there: '}name {merged}"
        )
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no model: it has no config.json. Name the folder that holds one")
    _check_weights(folder)
    _check_tokenizer(folder)
    return folder


def check_whole(file: Path, todo: str) -> None:
    """Raises UserError, with what to do, where a file of weights is missing or cut off, as its head tells."""
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError:
        raise UserError(
            "safetensors is not installed, and weights are read by it. Run: pip install -e '.[finetune]' to "
            "train, '.[infer-cpu]' to answer (where there is a GPU: '.[infer]')"
        ) from None
    try:
        with safe_open(file, framework="numpy"):
            pass
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file}: not a whole file of weights ({error}). {todo}") from None


def weight_files(folder: Path) -> list[Path]:
    """The safetensors of a model, by name."""
    return sorted(folder.glob("model*.safetensors"))


def config(folder: Path) -> dict[str, Any]:
    """A model's `config.json`; a model that also sees or hears has its text part's in it."""
    whole = read_json(folder / "config.json", _AGAIN)
    return {**whole, **(whole.get("text_config") or {})}


def chooses_by(folder: Path) -> str:
    """How options are chosen with a model: by `text` if it was trained so, else by `number`.

    Raises UserError where its ORIGIN says something else.
    """
    origin = folder / ORIGIN
    found = read_json(origin, _AGAIN).get("choose", "number") if origin.is_file() else "number"
    if found not in ("number", "text"):
        raise UserError(
            f"{origin}: `choose` is number or text, not {json.dumps(found)}. Merge the model again"
        )
    return str(found)


def fingerprint(files: Iterable[Path]) -> str:
    """Hex sha256 of files and names; of weights, of their size and a MiB from start, middle and end.

    All of 145 GB would take minutes, and two models of one shape already differ in every such piece.
    """
    digest = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            if path.suffix != ".safetensors":
                digest.update(file.read())
                continue
            for start in (0, size // 2, size - _SAMPLE):
                file.seek(max(start, 0))
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def _check_weights(folder: Path) -> None:
    files = weight_files(folder)
    if not files:
        pickled = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
        if pickled:
            raise UserError(
                f"{folder}: only pickled weights ({', '.join(pickled)}), which can run code when they are "
                "opened. Save the model as safetensors: `save_pretrained` does, where you trust its author"
            )
        raise UserError(
            f"{folder}: no weights (model*.safetensors) in it. Copy them there, or save the model again"
        )
    index = folder / "model.safetensors.index.json"
    wanted = set(read_json(index, _AGAIN).get("weight_map", {}).values()) if index.is_file() else set()
    if missing := wanted - {file.name for file in files}:
        raise UserError(
            f"{folder}: {len(missing)} of its {len(wanted)} weight files are missing, {min(missing)} first. "
            "Copy or save the model again"
        )
    for file in files:
        check_whole(file, _AGAIN)


def _check_tokenizer(folder: Path) -> None:
    settings = folder / "tokenizer_config.json"
    if not settings.is_file():
        raise UserError(
            f"{folder}: no tokenizer in it (tokenizer_config.json). Copy the base model's files there"
        )
    said = read_json(settings, _AGAIN)
    if not (
        said.get("chat_template") or any(folder.glob("chat_template*")) or any(folder.glob("*chat_templates"))
    ):
        raise UserError(
            f"{folder}: its tokenizer has no chat template, so nothing says what a turn looks like. "
            "Take an instruct model, or put the template into chat_template.jinja"
        )
    if not said.get("eos_token"):
        raise UserError(
            f"{folder}: its tokenizer has no end token, so an answer would never end. "
            "Set `eos_token` in tokenizer_config.json"
        )


def model_folder(name: str) -> Path:
    """The folder of a model, fetched if the name is one of the Hugging Face hub. Raises UserError."""
    folder = Path(name).expanduser()
    check_link(folder)
    if not folder.exists() and is_hub_name(name):
        folder = fetched(name)
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such model folder. Name a folder with config.json and safetensors in it, such as "
            "finetune/runs/NAME/merged, or a model of the hub, as in: Qwen/Qwen2-0.5B-Instruct. "
            "`finetune base smollm2-135m` prints the folder of the embedded model"
        )
    return checked(folder, name)


def share_weights(folder: Path) -> None:
    """Let those read the weights who may read what lies beside: safetensors writes for their owner alone."""
    beside = next(file for file in sorted(folder.glob("*.json")) if file.is_file())
    for file in folder.glob("*.safetensors"):
        shutil.copymode(beside, file)


def folder_fingerprint(folder: Path) -> str:
    """Hex digest of a model's configuration, tokenizer and weights."""
    files = [file for suffix in ("json", "jinja", "safetensors") for file in folder.glob(f"*.{suffix}")]
    return fingerprint(sorted(files))
