"""Fixtures and settings of all tests: no network, fixed random examples, real data where there is some."""

import os
import shutil
import signal
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings

from datagen.recipe.load import load
from datagen.recipe.model import Loaded

os.environ["HF_HUB_OFFLINE"] = "1"  # a test that would fetch something fails at once instead of hanging

# What a script runs in the background ignores Ctrl-C, and so do its children: tests that send it would wait.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: on a busy machine one slow example says nothing. The same examples on every run, so that a red
# build can be repeated; `make test ARGS=--hypothesis-profile=default` explores others.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")


os.environ.pop("MAKELEVEL", None)  # messages name options as the command has them, also in `make test`


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real seeds (`seeds/`) and questions (`shopbench/`) that $SHOPTALK_SHARED names.

    These may not be published with the project, so a test that wants them is skipped where they are missing.
    """
    folder = os.environ.get("SHOPTALK_SHARED")
    if not folder:
        pytest.skip("needs real data: set SHOPTALK_SHARED to its folder")
    return Path(folder)


def write_model_files(folder: Path) -> Path:
    """Write all files that a model folder has; their weights are whole, and those of no model."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"max_position_embeddings": 512}')
    (folder / "tokenizer_config.json").write_text('{"eos_token": "</s>", "chat_template": "x"}')
    save_file({"weight": np.arange(1000)}, folder / "model.safetensors")
    return folder


def byte_tokenizer(template: str) -> Any:
    """A tokenizer of bytes and the marks around turns, with this chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=0,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|im_end|>", chat_template=template
    )


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the recipe `shop`, its templates, and a small made-up market in `seeds/`.

    Tests look at it, and change only copies.
    """
    from datagen.sources.sample import write_sample

    folder = tmp_path_factory.mktemp("work") / "shop"
    shutil.copytree(Path(__file__).parent / "shop", folder)
    write_sample(folder / "seeds", 2000)
    return folder


@pytest.fixture(scope="session")
def shop_run(shop: Path) -> Path:
    """The recipe `shop`, built. Tests look at it, and change only copies."""
    from datagen.pipeline.build import build
    from datagen.recipe.load import load

    with chdir(shop):
        build(load("shop"), Path("seeds"), Path("runs"), workers=1)
    return shop / "runs" / "shop"


ROWS_A_TASK = 80
"""Rows of each task in `everything`, before some are held out."""


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every task of every recipe that ships, built from the whole sample. Tests only look at it.

    One process builds it for all: the others wait for its lock.
    """
    from datagen.pipeline.build import build
    from datagen.sources.locate import find_seeds

    several = "PYTEST_XDIST_WORKER" in os.environ
    folder = tmp_path_factory.getbasetemp().parent if several else tmp_path_factory.mktemp("once")
    with FileLock(folder / "everything.lock"):  # a finished run is left as it is
        build(all_tasks(), find_seeds("sample", {}, folder), folder, workers=1)
    return folder / "everything"


def all_tasks() -> Loaded:
    """The tasks of all recipes that ship, by `recipe.task`, with the same number of rows each.

    But those that stand on a teacher's tables: `test_teacher_recipes` builds these.
    """
    recipes = Path(__file__).parents[1] / "recipes"
    parts = [
        load(path.stem) for path in sorted(recipes.glob("*.yaml")) if "\ninclude:" not in path.read_text()
    ]
    parts = [part for part in parts if not part.steps]
    tasks = {
        f"{part.name}.{name}": task.model_copy(update={"rows": ROWS_A_TASK})
        for part in parts
        for name, task in part.tasks.items()
    }
    return parts[0].model_copy(
        update={
            "name": "everything",
            "description": "Every task that ships.",
            "sources": {name: source for part in parts for name, source in part.sources.items()},
            "tables": {
                f"{part.name}.{name}": select for part in parts for name, select in part.tables.items()
            },
            "tasks": tasks,
        }
    )
