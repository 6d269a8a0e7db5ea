"""The loss plot and the model card of a training."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datagen.prompts.chat import system
from datagen.schema import TaskType
from finetune.base_models import EMBEDDED, published
from finetune.config import Config, dump

CARD = "README.md"
PLOT = "loss.png"
METRICS = "metrics.jsonl"

_TEMPLATE = Path(__file__).parent / "card.md.j2"


def write_plot(run: Path) -> None:
    """Draw the losses of `metrics.jsonl` over the steps."""
    from matplotlib.figure import Figure

    entries = [json.loads(line) for line in (run / METRICS).read_text(encoding="utf-8").splitlines()]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    train = [(entry["step"], entry["loss"]) for entry in entries if "loss" in entry]
    test = [(entry["step"], entry["eval_loss"]) for entry in entries if "eval_loss" in entry]
    axes.plot(*zip(*train, strict=True), color="0.75", linewidth=1, label="train, one step")
    axes.plot(*zip(*_smoothed(train), strict=True), color="C0", label="train, smoothed")
    axes.plot(*zip(*test, strict=True), "o-", color="C1", label="test")
    axes.set(xlabel="step", ylabel="loss (nats a token)", title=run.name)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(run / PLOT, dpi=120)


def write_card(
    run: Path,
    config: Config,
    licenses: Mapping[tuple[str, str], int],
    lock: Mapping[str, Any],
    result: Mapping[str, Any],
) -> None:
    """Write `README.md`: base, data, licences, settings, losses."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    embedded = EMBEDDED.get(config.base)
    text = environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        name=run.name,
        config=config,
        settings=dump(config),
        base=published(config.base),
        base_license=embedded.license if embedded else None,
        licenses=sorted((*pair, rows) for pair, rows in licenses.items()),
        lock=lock,
        result=result,
        system=system(TaskType.MULTIPLE_CHOICE),
    )
    (run / CARD).write_text(text.rstrip() + "\n", encoding="utf-8")


def _smoothed(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Each point with the mean of the tenth of all points that ends in it."""
    window = max(1, len(points) // 10)
    losses = [loss for _, loss in points]
    return [
        (step, sum(losses[max(0, i - window + 1) : i + 1]) / min(i + 1, window))
        for i, (step, _) in enumerate(points)
    ]
