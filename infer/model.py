"""A model's name in, a folder that can be served out, and a hash of all that shapes its answers."""

from pathlib import Path

from datagen import model_folder as folders
from datagen.errors import UserError


def model_folder(name: str) -> Path:
    """The folder of a model, fetched if the name is one of the Hugging Face hub. Raises UserError."""
    folder = Path(name).expanduser()
    if not folder.exists() and folders.is_hub_name(name):
        folder = folders.fetched(name)
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such model folder. Name a folder with config.json and safetensors in it, such as "
            "finetune/runs/NAME/merged, or a model of the hub, as in: Qwen/Qwen2-0.5B-Instruct"
        )
    return folders.checked(folder)


def fingerprint(folder: Path) -> str:
    """Hex digest of a model's configuration, tokenizer and weights."""
    files = [file for suffix in ("json", "jinja", "safetensors") for file in folder.glob(f"*.{suffix}")]
    return folders.fingerprint(sorted(files))
