"""A model's name in, a folder that can be served out: config, safetensors, tokenizer with chat template.

All that can be wrong with a folder is found by looking at its files, before anything is loaded.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from datagen.errors import UserError

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")

_WANTED = ("*.json", "*.jinja", "*.txt", "*.model", "*.safetensors")
_SAMPLES, _SAMPLE_BYTES = 64, 2**16


def model_folder(name: str) -> Path:
    """The folder of a model, fetched if the name is one of the Hugging Face hub. Raises UserError."""
    folder = Path(name).expanduser()
    if not folder.exists() and name.count("/") == 1 and not name.startswith((".", "/", "~")):
        folder = _fetched(name)
    _check(folder)
    return folder


def fingerprint(folder: Path) -> str:
    """Hex digest of a model's configuration, tokenizer and weights.

    Of a file of weights it takes the size and 64 pieces spread over it: reading 145 GB takes minutes,
    and a model that was trained otherwise differs in every layer.
    """
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.jinja"), *folder.glob("*.safetensors")]):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            whole = path.suffix != ".safetensors" or size <= _SAMPLES * _SAMPLE_BYTES
            for place in [0] if whole else range(0, size, size // _SAMPLES):
                file.seek(place)
                digest.update(file.read(-1 if whole else _SAMPLE_BYTES))
    return digest.hexdigest()


def config(folder: Path) -> dict[str, Any]:
    """A model's `config.json`; a model that also sees or hears has its text part's in it."""
    whole = _json(folder / "config.json")
    return {**whole, **whole.get("text_config", {})}


def _check(folder: Path) -> None:
    """Raises UserError at what keeps the folder from being served."""
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such model folder. Name a folder with config.json and safetensors in it, such as "
            "finetune/runs/NAME/merged, or a model of the hub, as in: Qwen/Qwen2-0.5B-Instruct"
        )
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        merged = folder / "merged"
        todo = "" if merged.is_dir() else f"Run: finetune merge {folder}; then "
        raise UserError(
            f"{folder}: an adapter, not a whole model. {todo or 'Its merged model is there: '}name {merged}"
        )
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json in it, so it is no model. Name the folder that has one")
    _check_weights(folder)
    _check_tokenizer(folder)


def _check_weights(folder: Path) -> None:
    found = {path.name for path in folder.glob("*.safetensors")}
    if not found:
        pickled = sorted(path.name for pattern in PICKLED for path in folder.glob(pattern))
        if pickled:
            raise UserError(
                f"{folder}: only pickled weights ({', '.join(pickled)}), which can run code when they are "
                "opened. Save the model as safetensors: `save_pretrained` does, where you trust its author"
            )
        raise UserError(
            f"{folder}: no weights (*.safetensors) in it. Copy them there, or save the model again"
        )
    index = folder / "model.safetensors.index.json"
    wanted = set(_json(index).get("weight_map", {}).values()) if index.is_file() else set()
    if wanted - found:
        raise UserError(
            f"{folder}: {len(wanted - found)} of its {len(wanted)} weight files are missing, "
            f"{min(wanted - found)} first. Copy or save the model again"
        )


def _check_tokenizer(folder: Path) -> None:
    settings = folder / "tokenizer_config.json"
    if not settings.is_file():
        raise UserError(
            f"{folder}: no tokenizer in it (tokenizer_config.json). Copy the base model's files there"
        )
    said = _json(settings)
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


def _json(path: Path) -> dict[str, Any]:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}). Copy or save the model again") from None
    return read if isinstance(read, dict) else {}


def _fetched(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(_WANTED)))
    except (OSError, ValueError) as error:  # the hub's own errors are among these
        raise UserError(
            f"{name}: neither a folder here nor to be had from the hub ({str(error).splitlines()[0]})"
        ) from None
