"""The lightness of datagen: nothing in it imports a model library."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import datagen

MODEL_LIBRARIES = ["torch", "transformers", "trl", "peft", "vllm"]
MODULES = sorted(module.name for module in pkgutil.walk_packages(datagen.__path__, "datagen."))


def python(code: str) -> str:
    """The last line that a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip().splitlines()[-1]


def test_every_module_imports_without_the_model_libraries() -> None:
    blocked = f"import sys; sys.modules.update(dict.fromkeys({MODEL_LIBRARIES}))"  # None: cannot be imported
    imports = "\n".join(f"import {name}" for name in ["datagen", *MODULES])
    assert python(f"{blocked}\n{imports}\nprint('imported')") == "imported"


def test_the_block_above_blocks() -> None:
    with pytest.raises(AssertionError, match="ModuleNotFoundError"):
        python("import sys; sys.modules['torch'] = None; import torch")


def test_modules_are_found() -> None:
    assert {"datagen.cli", "datagen.tasks.ranking", "datagen.sources.esci"} <= set(MODULES)
    assert importlib.import_module("datagen").__doc__
