"""The sweep over shares of a training (WiSE-FT): each model answers the same questions, which choose one.

    RUN/sweep-<questions>/
      alpha-0/ alpha-0.5/ ...   runs of infer
      sweep.json   sweep.png    scores with intervals, and the choice; compare.html
      work.json                 what is swept, and the models that were written for it

One model is on the disk at a time, and in the end the chosen one: a model is removed when it has answered,
unless it was there before. What was killed goes on where it stopped.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datagen.console.progress import Say
from datagen.console.text import table
from datagen.errors import UserError
from datagen.shopbench.questions import Asked, read_questions
from datagen.storage.files import full_disk, read_json, write_json
from datagen.storage.folder_lock import held
from finetune.merge import check_share, origin_of, share_folder, wise_ft
from finetune.run_file import RUN
from finetune.scored import counted, few, infer

RESULT, PLOT, WORK = "sweep.json", "sweep.png", "work.json"


class Sweep(NamedTuple):
    """The shares with their scores, as `infer compare --json` tells them, and the share that scores best."""

    folder: Path
    scores: dict[float, dict[str, Any]]
    best: float
    removed: list[float]
    """The shares whose models were written, and are gone."""

    @property
    def model(self) -> Path:
        """The model of the best share."""
        return share_folder(self.folder.parent, self.best)

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
    """Have the models of all shares answer the questions; the best one's is there in the end.

    Raises UserError as `wise_ft` does, and where `infer` cannot answer or score.
    """
    alphas = sorted(set(alphas))
    for alpha in alphas:
        check_share(alpha)
    asked = read_questions(questions)
    if not any(question.target is not None for question in asked):
        raise UserError(
            f"{questions}: no question has a right answer, so none can choose a share. Name others"
        )
    of = "-".join([questions.resolve().stem, *([str(limit)] if limit else [])])
    folder = run / f"sweep-{of}"
    with full_disk(folder), held(folder, f"{folder} is being answered into"):
        work = _Work(run, folder, {**origin_of(run), "questions": _digest(asked)})
        for number, alpha in enumerate(alphas, start=1):
            if work.is_answered(alpha):
                continue
            say(f"alpha {alpha:g}, {number} of {len(alphas)}")
            most = ["--limit", limit] if limit else []
            named = ["--name", _name(alpha), "--runs", folder]
            infer("run", work.model(alpha), "--questions", questions, *most, *named)
            work.answered(alpha)
        answered = [folder / _name(alpha) for alpha in alphas]
        told = json.loads(infer("compare", *answered, "--json", "--page", folder / "compare.html"))
        scores = {alpha: told[_name(alpha)] for alpha in alphas}
        # Of equal ones the nearest to the base, which forgets least
        best = max(alphas, key=lambda alpha: (scores[alpha]["overall"]["score"], -alpha))
        work.keep(best)
        found = Sweep(folder, scores, best, [of for of in alphas if not share_folder(run, of).is_dir()])
        _plot(found, told["best trivial"]["overall"]["score"])
        alike = {f"{alpha:g}": of for alpha, of in scores.items()}
        write_json(
            {"questions": str(questions), "best": best, "warnings": found.warnings, "scores": alike},
            folder / RESULT,
        )
    return found


class _Work:
    """The models of a sweep: which have answered, and which were written for it and may be removed."""

    def __init__(self, run: Path, folder: Path, swept: dict[str, Any]) -> None:
        self._run, self._folder, self._file = run, folder, folder / WORK
        said = read_json(self._file, "Delete it") if self._file.is_file() else {}
        answered = said["answered"] if said.get("swept") == swept else []
        self._said = {"swept": swept, "written": said.get("written", []), "answered": answered}

    def is_answered(self, alpha: float) -> bool:
        """Whether a share's model has answered these very questions, so that it need not be there."""
        return alpha in self._said["answered"] and (self._folder / _name(alpha) / RUN).is_file()

    def model(self, alpha: float) -> Path:
        """The model of a share; that of another which was written for the sweep is removed before."""
        folder = share_folder(self._run, alpha)
        for other in self._said["written"]:
            if other != folder.name:
                shutil.rmtree(self._run / other, ignore_errors=True)
        if not folder.is_dir():
            self._said["written"] = [folder.name]
            write_json(self._said, self._file)
        return wise_ft(self._run, alpha)

    def answered(self, alpha: float) -> None:
        """Note that a share's model has answered."""
        self._said["answered"] = sorted({*self._said["answered"], alpha})
        write_json(self._said, self._file)

    def keep(self, alpha: float) -> None:
        """Have the model of a share there, and no other of the sweep; it is not the sweep's any more."""
        self.model(alpha)
        self._said["written"] = []
        write_json(self._said, self._file)


def _digest(asked: Sequence[Asked]) -> str:
    return hashlib.sha256(repr(asked).encode("utf-8", "surrogatepass")).hexdigest()


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


def notices(found: Sweep) -> Iterator[str]:
    """What a person should know of the choice, and where all of it lies."""
    for line in found.warnings:
        yield f"warning: {line}"
    yield f"{found.folder} holds the answers, the page compare.html and the plot {PLOT}"
    if found.removed:
        others, run = ", ".join(f"{share:g}" for share in found.removed), found.folder.parent
        yield f"the models of alpha {others} are removed; finetune wise-ft {run} --alpha writes one again"
    yield f"the model of alpha {found.best:g}, which scores best:"


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
