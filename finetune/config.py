"""The config of a training: every setting with its type, default and meaning, and how a file is loaded.

A config says what is trained and how; the data set is named beside it. The table of `docs/finetune.md` is
written from the model below, so that a setting and its default are declared once.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from datagen.config.document import Document, Problem, read
from datagen.config.messages import validate
from datagen.errors import UserError
from datagen.suggest import among

CONFIGS = Path(__file__).parent / "configs"


class Config(BaseModel):
    """How a model is trained on the train split of a data set."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    base: str = Field(
        default="smollm2-135m",
        min_length=1,
        description="model to start from: `smollm2-135m`, a folder, or a model of the Hugging Face hub",
    )
    rank: int | None = Field(
        default=16,
        gt=0,
        description="rank of the adapter (LoRA) of all linear layers but the last; null: no adapter, all "
        "weights are trained",
    )
    alpha: int = Field(default=32, gt=0, description="what the adapter adds is scaled by `alpha` / `rank`")
    dropout: float = Field(
        default=0.0, ge=0, le=0.9, description="share of an adapter's inputs that training drops"
    )
    four_bit: bool = Field(
        default=False,
        description="keep the base in 4 bits while its adapter is trained (QLoRA); needs a GPU and a `rank`",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="numbers to compute in; auto is bfloat16 where the machine multiplies them in hardware",
    )
    lr: float = Field(default=1e-3, gt=0, description="highest learning rate of AdamW, after the warm-up")
    warmup_steps: int = Field(
        default=10, ge=0, description="steps from 0 to `lr`, which then falls by a cosine"
    )
    weight_decay: float = Field(default=0.01, ge=0, description="AdamW's decoupled weight decay")
    clip: float = Field(default=1.0, gt=0, description="largest norm of a step's gradient")
    epochs: int = Field(default=1, gt=0, description="how often each row is seen")
    choose: Literal["number", "text"] = Field(
        default="number",
        description="how options and candidates are chosen: by number, as the grader reads it, or by text: "
        "such questions are then asked without their list, and answered by the text of a right option. For "
        "small models; a run of infer does the same",
    )
    rows: int | None = Field(default=None, gt=0, description="most rows to train on; null: all of them")
    minutes: float | None = Field(
        default=None,
        gt=0,
        description="time of the whole training, model loading and test losses included: a few steps are "
        "timed, and as many tokens are taken as fit, once; null: no limit. Where `token_budget` is set, that "
        "decides",
    )
    token_budget: int | None = Field(
        default=None,
        gt=0,
        description="most tokens to train on in an epoch, whole rows: the same training on every machine; "
        "null: what `minutes` allow",
    )
    max_length: int = Field(
        default=3072,
        gt=0,
        description="longest prompt and answer in tokens, at most what the base can read; longer rows are "
        "left out",
    )
    batch_rows: int = Field(default=16, gt=0, description="rows of one step, over all processes")
    micro_batch_tokens: int | None = Field(
        default=None,
        gt=0,
        description="tokens that go through the model at once, padding included; a longer row goes alone; "
        "null: 3,072 on a CPU, 16,384 on a GPU",
    )
    gradient_checkpointing: bool = Field(
        default=False, description="save memory by computing activations twice: about a fifth slower"
    )
    eval_rows: int = Field(
        default=64, gt=0, description="most rows of the test split to take the test loss on"
    )
    eval_every: int = Field(default=50, gt=0, description="steps between test losses, each with a checkpoint")
    keep_checkpoints: int | None = Field(
        default=None,
        gt=0,
        description="checkpoints that stay in the run's folder `checkpoints/`, the last ones, to be "
        "averaged by `finetune ensemble`; null: none",
    )
    patience: int | None = Field(
        default=None,
        gt=0,
        description="test losses without a new best after which training stops and the best one is kept; "
        "null: never",
    )
    seed: int = Field(default=2024, ge=0, le=2**32 - 1, description="shapes order, first weights and dropout")
    report_to: Literal["tensorboard"] | None = Field(
        default=None, description="also log there, into the run's folder `tensorboard/`"
    )

    @field_validator("four_bit")
    @classmethod
    def _only_with_an_adapter(cls, four_bit: bool, info: ValidationInfo) -> bool:
        if four_bit and info.data.get("rank", 0) is None:
            advice = (
                "weights of 4 bits are not trained themselves. Give a `rank`, such as 16, or set it to false"
            )
            raise PydanticCustomError("no_adapter", "{advice}", {"advice": advice})
        return four_bit


def load(config: str, settings: Iterable[str] = ()) -> Config:
    """The config of this name, or in this `.yaml` file, with `key=value` settings in place of its own.

    A value is read as JSON, and as text where it is none. Raises UserError with every problem of the file, or
    of the settings.
    """
    document = read(_locate(config))
    found = validate(document, Config, document.data)
    if document.problems or found is None:
        raise UserError("\n".join(["the config cannot be used:", *map(str, sorted(document.problems))]))
    return _changed(found, list(settings))


def dump(config: Config) -> str:
    """The config as YAML, every default filled in."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text


def names() -> list[str]:
    """All configs that ship with the project."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Which values of two plain mappings differ, in words: `lr: 0.001 then, 0.01 now`."""
    return [
        f"{key}: {json.dumps(old.get(key))} then, {json.dumps(new.get(key))} now"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    ]


def _locate(config: str) -> Path:
    if "/" in config or config.endswith(".yaml"):
        if not Path(config).is_file():
            raise UserError(f"{config}: no such file. Give a config's name ({', '.join(names())}) or a file")
        return Path(config)
    if config not in names():
        raise UserError(f"no config `{config}`: {among(config, names())}")
    return CONFIGS / f"{config}.yaml"


def _changed(config: Config, settings: Sequence[str]) -> Config:
    """The config with the settings of a command line."""
    data = config.model_dump(mode="json")
    document = Document(Path("--set"))
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not (key and sign):
            raise UserError(f"--set {setting}: write a key and its value, as in `--set lr=1e-4`")
        data[key] = _value(text)
    changed = validate(document, Config, data)
    if changed is None:
        raise UserError("\n  ".join(["--set:", *map(_said, document.problems)]))
    return changed


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _said(problem: Problem) -> str:
    return f"{problem.code}: {problem.message}"
