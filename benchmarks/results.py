"""The results of a family of models: a base, trainings of it, their ensemble, WiSE-FT and 4 bits.

    make results ADAPTERS="finetune/runs/a finetune/runs/b" QUESTIONS="runs/esci_all file.jsonl" [LIMIT=500]

Each step is a command of `finetune` or `infer`, which does nothing where its work is there: what was cut off
goes on. The page is written from the runs alone.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from datagen.errors import UserError
from datagen.hf.checkpoint import weight_files
from finetune import quantize
from finetune.packed import dequantize
from finetune.run_file import RUN
from infer import run_file
from infer.scoring.compare import Comparison, brief, compare, mark

RUNS = Path("infer/runs")
ALPHAS = (0.5,)

_INTRO = """# Results

One base, trainings of it, and what is made of these, on {sets}. In brackets stand 95 % intervals; + and -
mark what is above and below the base for sure, = what is no better than the best answers that need no model,
which were chosen on these very questions. Scores over all are means of tasks, as ShopBench takes them.
[The log of experiments](experiments.md) says what each training saw.

The page is written by `{command}` ({machine})."""

_FREE = "With nothing that holds the model to answers that parse, by number:"


class Model(NamedTuple):
    """One line of the tables."""

    name: str
    folder: str


class Few(NamedTuple):
    """How many questions of each source are asked, how many 4 bits are calibrated on, and of what source.

    None: as usual, and the first source of questions.
    """

    limit: int | None
    samples: int | None
    calibrate: Path | None

    def options(self) -> list[object]:
        """The numbers as options of `finetune quantize`."""
        return [
            word
            for name, of in zip(("--limit", "--samples"), self, strict=False)
            if of
            for word in (name, of)
        ]


def family(adapters: Sequence[Path], calibration: Path, few: Few, name: str) -> list[Model]:
    """Every model of the family, each made where it is not there yet; the base comes first."""
    found = [Model("base", _printed("finetune", "base", adapters[0]))]
    found += [Model(adapter.name, _printed("finetune", "merge", adapter)) for adapter in adapters]
    whole, merged = adapters[0], found[1].folder
    if len(adapters) > 1:
        whole = Path(_printed("finetune", "ensemble", *adapters, "--name", name))
        merged = _printed("finetune", "merge", whole)
        found.append(Model("ensemble", merged))
    for alpha in ALPHAS:
        found.append(Model(f"WiSE-FT {alpha:g}", _printed("finetune", "wise-ft", whole, "--alpha", alpha)))
    # However much it loses: that is what the table is to show
    packed = Path(
        _printed("finetune", "quantize", merged, "--questions", calibration, "--margin", 1, *few.options())
    )
    return [*found, Model("4 bits", str(packed if quantize.answers_packed() else _plain(packed)))]


def answered(model: Model, questions: Path, limit: int | None, choose: str | None) -> Path:
    """The folder of the model's answers; `choose` is by what, None where nothing constrains them."""
    name = "-".join([model.name, *([] if choose else ["free"])]).replace(" ", "-")
    run = Path("results") / questions.resolve().stem / name
    how = ["--choose", choose] if choose else ["--unconstrained"]
    most = ["--limit", limit] if limit else []
    _printed("infer", "run", model.folder, "--questions", questions, "--name", run, *how, *most)
    return RUNS / run


def scores(found: Comparison, names: Sequence[str], groups: Sequence[str]) -> str:
    """A table of the models' scores, a column for each row of the comparison in these groups."""
    rows = [row for row in found.rows if row.group in groups]
    heads = ["", *(f"{row.name.replace('_', ' ')} ({row.questions:,})" for row in rows)]
    lines = [["best trivial", *(brief(row.trivial) for row in rows)]]
    for place, name in enumerate(names):
        lines.append([name, *(f"{brief(row.runs[place])} {mark(row, place)}".strip() for row in rows)])
    return _markdown(heads, lines)


def costs(runs: Sequence[Path], models: Sequence[Model]) -> str:
    """A table of what each model's answers took, and how many of them parse in the worst type."""
    lines = []
    for run, model in zip(runs, models, strict=True):
        said = run_file.read(run)
        weights = sum(file.stat().st_size for file in weight_files(Path(model.folder))) / 2**30
        pace = said["answered"] / max(said["seconds"], 0.1)
        figures = [
            f"{weights:.2f}",
            f"{said['seconds']:,.0f}",
            f"{pace:.2f}",
            f"{said['peak_memory_gib']:.1f}",
        ]
        lines.append([model.name, *figures, f"{min(said['parsed'].values()):.0%}"])
    return _markdown(["", "weights, GiB", "seconds", "questions/s", "memory, GiB", "parsed"], lines)


def page(adapters: Sequence[Path], questions: Sequence[Path], few: Few, name: str) -> str:
    """The whole page, as Markdown."""
    choose = _choose(adapters[0])
    models = family(adapters, few.calibrate or questions[0], few, name)
    base, best = models[0], models[-len(ALPHAS) - 2]
    sets = " and ".join(f"`{source.resolve().stem}`" for source in questions)
    parts = [_INTRO.format(sets=sets, command=_command(adapters, questions, few), machine=_machine())]
    for source in questions:
        runs = [answered(model, source, few.limit, choose) for model in models]
        found, names = compare(runs), [model.name for model in models]
        free = compare([answered(model, source, few.limit, None) for model in (base, best)])
        parts += [
            f"## {source.resolve().stem}",
            scores(found, names, ["over all", "task type"]),
            scores(found, names, ["track"]),
            _FREE,
            scores(free, [base.name, best.name], ["over all", "task type"]),
            costs(runs, models),
        ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Make what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--adapter", action="append", type=Path, required=True, metavar="RUN")
    parser.add_argument("--questions", action="append", type=Path, required=True, metavar="SOURCE")
    parser.add_argument("--limit", type=int, metavar="N", help="ask only N questions of each source")
    parser.add_argument("--samples", type=int, metavar="N", help="calibrate 4 bits on N sequences")
    parser.add_argument("--calibrate", type=Path, metavar="SOURCE", help="calibrate 4 bits on these")
    parser.add_argument("--name", default="ensemble", help="name of the ensemble's folder")
    parser.add_argument("--out", type=Path, default=Path("docs/results.md"))
    given = parser.parse_args()
    try:
        text = page(
            given.adapter, given.questions, Few(given.limit, given.samples, given.calibrate), given.name
        )
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
    given.out.write_text(text, encoding="utf-8")
    print(f"{given.out} has the results")


def _printed(command: str, *arguments: object) -> str:
    """The last line that a command prints; its own messages, and the end of this, where it fails."""
    print(f"{command} {' '.join(map(str, arguments))}", file=sys.stderr)
    done = subprocess.run(
        [sys.executable, "-m", f"{command}.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout.strip().splitlines()[-1]


def _plain(packed: Path) -> Path:
    """The same weights in a form that every machine answers with."""
    plain = packed.with_name(f"{packed.name}-plain")
    dequantize(packed, plain)
    return plain


def _choose(adapter: Path) -> str:
    try:
        said: dict[str, Any] = json.loads((adapter / RUN).read_text(encoding="utf-8"))
    except OSError:
        raise UserError(f"{adapter}: no finished training. `finetune train` makes one") from None
    return str(said["config"].get("choose", "number"))


def _command(adapters: Sequence[Path], questions: Sequence[Path], few: Few) -> str:
    runs, files = " ".join(map(str, adapters)), " ".join(source.name for source in questions)
    fewer = [f" {name}={of}" for name, of in zip(("LIMIT", "SAMPLES", "CALIBRATE"), few, strict=True) if of]
    return f'make results ADAPTERS="{runs}" QUESTIONS="{files}"{"".join(fewer)}'


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}"


def _markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    text: str = tabulate(lines, heads, tablefmt="github", disable_numparse=True)
    return text


if __name__ == "__main__":
    main()
