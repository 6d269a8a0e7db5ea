"""Downloads of models from the Hugging Face hub."""

from pathlib import Path

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
