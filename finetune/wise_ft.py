"""The sweep over shares of a training (WiSE-FT): each model answers the same questions, which choose one.

    RUN/sweep-<questions>/
      alpha-0/ alpha-0.5/ ...   runs of infer
      sweep.json   sweep.png    scores with intervals, and the choice; compare.html

Models are written and asked one after another; what was killed goes on where it stopped.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datagen.console.progress import Say
from datagen.console.text import table
from datagen.errors import UserError
from datagen.shopbench.questions import read_questions
from datagen.storage.files import full_disk, write_json
from datagen.storage.folder_lock import held
from finetune.merge import base_of, check_room_for, check_share, wise_ft
from finetune.scored import counted, few, infer

RESULT, PLOT = "sweep.json", "sweep.png"


class Sweep(NamedTuple):
    """The shares with their scores, as `infer compare --json` tells them, and the share that scores best."""

    folder: Path
    scores: dict[float, dict[str, Any]]
    best: float

    @property
    def warnings(self) -> list[str]:
        """What speaks against the choice: few questions, and ends that it is not surely better than."""
        found = []
        if told := few(counted(self.scores[self.best]["tasks"])):
            found.append(f"{told}: true intervals are wider, the choice may be chance. Ask more of them")
        for end, name in ((0.0, "the base (alpha 0)"), (1.0, "the whole training (alpha 1)")):
            change = self.scores[self.best]["changes"].get(_name(end))
            if end != self.best and change and change["low"] <= 0:
                found.append(
                    f"alpha {self.best:g} cannot be told from {name}: {change['score']:+.3f} "
                    f"[{change['low']:+.3f}, {change['high']:+.3f}]. Ask more questions to be sure"
                )
        return found


def sweep(run: Path, alphas: Sequence[float], questions: Path, limit: int | None, say: Say) -> Sweep:
    """Have the models of all shares answer the questions.

    Raises UserError as `wise_ft` does, and where `infer` cannot answer or score.
    """
    alphas = sorted(set(alphas))
    for alpha in alphas:
        check_share(alpha)
    if not any(question.target is not None for question in read_questions(questions)):
        raise UserError(
            f"{questions}: no question has a right answer, so none can choose a share. Name others"
        )
    check_room_for(base_of(run), [run / f"wise-ft-{alpha:g}" for alpha in alphas])
    of = "-".join([questions.resolve().stem, *([str(limit)] if limit else [])])
    folder = run / f"sweep-{of}"
    with full_disk(folder), held(folder, f"{folder} is being answered into"):
        for number, alpha in enumerate(alphas, start=1):
            say(f"alpha {alpha:g}, {number} of {len(alphas)}")
            asked = ["--questions", questions, *(["--limit", limit] if limit else [])]
            named = ["--name", _name(alpha), "--runs", folder]
            infer("run", wise_ft(run, alpha), *asked, *named)
        answered = [folder / _name(alpha) for alpha in alphas]
        told = json.loads(infer("compare", *answered, "--json", "--page", folder / "compare.html"))
        scores = {alpha: told[_name(alpha)] for alpha in alphas}
        # Of equal ones the nearest to the base, which forgets least
        best = max(alphas, key=lambda alpha: (scores[alpha]["overall"]["score"], -alpha))
        found = Sweep(folder, scores, best)
        _plot(found, told["best trivial"]["overall"]["score"])
        alike = {f"{alpha:g}": of for alpha, of in scores.items()}
        write_json(
            {"questions": str(questions), "best": best, "warnings": found.warnings, "scores": alike},
            folder / RESULT,
        )
    return found


def told(found: Sweep) -> str:
    """The scores as a table: over all and by task type."""
    kinds = list(next(iter(found.scores.values()))["task_types"])
    rows = [
        [
            f"{alpha:g}{' *' if alpha == found.best else ''}",
            *(_brief(of) for of in (scores["overall"], *(scores["task_types"][kind] for kind in kinds))),
        ]
        for alpha, scores in found.scores.items()
    ]
    return table(["alpha", "over all", *(kind.replace("_", " ") for kind in kinds)], rows)


def _brief(of: dict[str, float]) -> str:
    return f"{of['score']:.3f} [{of['low']:.2f}, {of['high']:.2f}]"


def _name(alpha: float) -> str:
    return f"alpha-{alpha:g}"


def _plot(found: Sweep, trivial: float) -> None:
    """Draw the scores over the shares, with their intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    alphas = list(found.scores)
    groups = {"over all": [of["overall"] for of in found.scores.values()]}
    for kind in next(iter(found.scores.values()))["task_types"]:
        groups[kind.replace("_", " ")] = [of["task_types"][kind] for of in found.scores.values()]
    for number, (name, points) in enumerate(groups.items()):
        middle = [of["score"] for of in points]
        if name == "over all":
            axes.fill_between(
                alphas, [of["low"] for of in points], [of["high"] for of in points], color="C0", alpha=0.15
            )
            axes.plot(alphas, middle, "o-", color="C0", linewidth=2, label="over all, 95 % interval")
        elif len(groups) > 2:  # else the one type is all
            axes.plot(alphas, middle, "--", color=f"C{number}", linewidth=1, label=name)
    axes.axhline(trivial, color="0.6", linewidth=1, linestyle=":", label="best trivial answers, over all")
    axes.axvline(found.best, color="0.8", linewidth=1, zorder=0)
    axes.set(xlabel="alpha (0: base, 1: tuned)", ylabel="score", title=found.folder.parent.name)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(found.folder / PLOT, dpi=120)
