"""The `datagen` command: its subcommands, arguments and exit codes.

Results go to stdout, progress to stderr.

    0    done
    1    the user can fix it: `error: ...`, one line or a list, no traceback
    2    wrong usage
    3    stopped before a call that could cost more than allowed; what is paid for is kept
    130  interrupted; what is done is kept

Everything heavier than click is imported inside the command that needs it.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal, cast

import click

from datagen.commands.given import own_seeds, placed, recipe_named, seeds_of
from datagen.commands.options import LICENSES, ROWS, RUNS, SEEDS, SOURCES, WORKERS, asks_a_teacher
from datagen.console.app import Commands
from datagen.console.progress import progress_bars, warn
from datagen.errors import UserError


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="shoptalk", message="%(version)s")
def main() -> None:
    """Build instruction sets from recipes and public shopping data.

    \b
    Examples:
      datagen new my_recipe        a recipe of your own, ready to build
      datagen preview esci_mcq     a few rows of every task, in seconds
      datagen build esci_mcq       the data set runs/esci_mcq
    """


@main.command()
@click.argument("recipes", nargs=-1, metavar="[RECIPE]...")
def check(recipes: tuple[str, ...]) -> None:
    """Check recipes, and name every problem with its line.

    Without a RECIPE, all recipes are checked.

    \b
    Example:
      datagen check esci_mcq
    """
    from datagen.paths import names
    from datagen.recipe.check import check_all

    problems = 0
    for recipe, found in check_all(recipes or names("recipes")):
        problems += len(found)
        click.echo("\n".join(map(str, found)) if found else f"{recipe}: ok")
    if problems:
        raise UserError(f"{problems} problem{'s' if problems > 1 else ''} to solve")


@main.command()
@click.argument("recipe")
@SEEDS
@ROWS
@SOURCES
@LICENSES
@asks_a_teacher
def plan(
    recipe: str,
    seeds: str,
    rows: int | None,
    sources: str | None,
    licenses: str | None,
    **teacher: Any,
) -> None:
    """Estimate the rows, tokens and bytes of a build, and its costs.

    \b
    Example:
      datagen plan esci_mcq --rows 50000
    """
    from datagen.commands.plan import of_build
    from datagen.recipe.load import with_teacher

    loaded = with_teacher(recipe_named(recipe, rows, sources, licenses), **teacher)
    where = seeds_of(seeds, loaded, Path("runs"))
    with placed(recipe):
        for text in of_build(loaded, where, Path("runs"), say=warn):
            click.echo(text)


@main.command()
@click.argument("recipe")
@SEEDS
@click.option("--rows", type=click.IntRange(1), default=3, show_default=True, help="Rows of each task.")
@click.option("--task", metavar="NAME", help="Only this task.")
@SOURCES
@LICENSES
@asks_a_teacher
def preview(
    recipe: str,
    seeds: str,
    rows: int,
    task: str | None,
    sources: str | None,
    licenses: str | None,
    **teacher: Any,
) -> None:
    """Print a few rows of every task, and the grade of their answers.

    With --teacher or --base-url, print instead what a teacher would be asked about them, and for how much.
    Nothing is asked.

    \b
    Example:
      datagen preview esci_mcq --task best_match --rows 10
      datagen preview reworded --teacher gpt-4o
    """
    from datagen.commands import plan, preview, tables
    from datagen.recipe.load import with_teacher

    loaded = recipe_named(recipe, None, sources, licenses)
    where = seeds_of(seeds, loaded, Path("runs"))
    with placed(recipe):
        if teacher["model"] or teacher["base_url"]:
            loaded = with_teacher(loaded, **teacher)
            for text in plan.of_asks(loaded, where, Path("runs"), rows, task, say=warn):
                click.echo(text)
            return
        shown = 0
        for number, found in enumerate(preview.preview(loaded, where, rows, task, say=warn)):
            click.echo(("\n" if number else "") + tables.previewed(found))
            shown += len(found.rows)
    if not shown:
        raise UserError(
            f"recipe {recipe}: no row to show, as none would be kept. `datagen sources NAME.TABLE` prints "
            "rows that a query reads"
        )


@main.command()
@click.argument("recipe")
@SEEDS
@ROWS
@SOURCES
@LICENSES
@RUNS
@WORKERS
@click.option(
    "--decontaminate",
    multiple=True,
    metavar="FILE",
    help="Evaluation questions: rows that ask the same are left out. May be given several times.",
)
@asks_a_teacher
@click.option("--batch", is_flag=True, help="Ask the teacher by the Batch API: half the price, within a day.")
def build(
    recipe: str,
    seeds: str,
    rows: int | None,
    sources: str | None,
    licenses: str | None,
    runs: Path,
    workers: int | None,
    decontaminate: tuple[str, ...],
    **teacher: Any,
) -> None:
    """Build a recipe's data set, or resume a build that stopped.

    \b
    Examples:
      datagen build esci_mcq --seeds ~/seeds --rows 50000
      datagen build esci_all --licenses 'Apache-2.0 MIT'
      datagen build esci_mcq --decontaminate shopping_mmlu/data.zip
      datagen build aspects --teacher my-model --base-url http://localhost:8000/v1
    """
    from datagen.commands import tables
    from datagen.pipeline import build
    from datagen.recipe.load import with_evaluation, with_teacher
    from datagen.recipe.narrow import only
    from datagen.reports import shortcuts
    from datagen.sources import locate
    from datagen.storage.files import writable

    loaded = with_evaluation(
        recipe_named(recipe, rows, sources, licenses, runs / ".kept" / "checked-recipes"), decontaminate
    )
    loaded = with_teacher(loaded, **teacher)
    start = time.monotonic()
    where = seeds_of(seeds, loaded, writable(runs))
    with placed(recipe), progress_bars() as (progress, stages):
        manifest = build.build(loaded, where, runs, workers=workers, progress=progress, say=warn)
    loaded = only(loaded, manifest["tasks"])  # without those that want a teacher, where there is none
    for line in shortcuts.over_bounds(loaded.tasks, manifest["tasks"]):
        warn(line)
    run = runs / loaded.name
    locate.remember(run, where)
    click.echo(tables.built(manifest, loaded, run, time.monotonic() - start if stages else None))


@main.command()
@click.argument("recipe")
@click.option("--task", metavar="NAME", help="Only the template of this task.")
@click.option(
    "--wordings",
    type=click.IntRange(1, 50),
    help="New wordings of each template, in each of its languages. [default: the recipe's, or 8]",
)
@SEEDS
@RUNS
@asks_a_teacher
def reword(
    recipe: str,
    task: str | None,
    wordings: int | None,
    seeds: str,
    runs: Path,
    **teacher: Any,
) -> None:
    """Ask a teacher for new wordings of a recipe's templates.

    They are tried on real rows, and those that pass are written beside the template. Read that file: builds
    use what stands in it.

    \b
    Example:
      datagen reword esci_mcq --task best_match --teacher gpt-4o
    """
    from datagen.commands import reword
    from datagen.recipe.load import with_teacher
    from datagen.storage.files import writable

    loaded = with_teacher(recipe_named(recipe), **teacher)
    where = seeds_of(seeds, loaded, writable(runs))
    number = wordings or (loaded.reword.wordings if loaded.reword else 8)
    with placed(recipe):
        for found in reword.rewordings(loaded, where, runs, number, task, say=warn):
            click.echo(reword.told(found))


@main.command()
@click.argument("name", metavar="ID|KEY")
@click.option(
    "--run", type=click.Path(path_type=Path), help="The run. [default: the one in --runs that was built last]"
)
@RUNS
@click.option("--task", metavar="NAME", help="Task of the row, where several tasks have its key.")
@click.option(
    "--seeds",
    metavar="sample|hub|DIR",
    help="Where the run's seeds are. [default: where its build found them]",
)
def show(name: str, run: Path | None, runs: Path, task: str | None, seeds: str | None) -> None:
    """Show the history of one row, from its seeds to its grade.

    Name the row by its id, the beginning of its id, or its key. Rejected rows are found by their key.

    \b
    Example:
      datagen show 3f9a --run esci_mcq
    """
    from datagen.commands.show import show
    from datagen.storage.manifest import latest_run, run_folder

    if not name.strip():
        raise click.BadParameter(
            "it is empty. Name an id, the beginning of one, or a key", param_hint="'ID|KEY'"
        )
    run = run_folder(run, runs) if run else latest_run(runs)
    click.echo(show(run, name, own_seeds(run, seeds), task))


@main.command()
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.option(
    "--diff",
    "pair",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="RUN RUN",
    help="Two runs to set side by side.",
)
@RUNS
def report(run: Path | None, pair: tuple[Path, Path] | None, runs: Path) -> None:
    """Name a run's report.html, or set two runs side by side.

    RUN is a folder, or the name of one in --runs. Two are compared by tasks and by what they are made of.

    \b
    Examples:
      datagen report esci_mcq
      datagen report --diff esci_small esci_all
    """
    from datagen.pipeline.lockfile import read_lock, recipe_of
    from datagen.reports.difference import difference
    from datagen.storage.manifest import read_manifest, run_folder

    if run and not pair:
        page = run_folder(run, runs) / "report.html"
        if not page.is_file():
            read_manifest(page.parent)  # which tells what is no finished run
            raise UserError(f"{page}: no such file. Build the run again")
        click.echo(page)
        return
    if run or not pair:
        raise UserError(
            "report: name one run, as in `report esci_mcq`, or two, as in `report --diff RUN RUN`"
        )
    first, second = pair = run_folder(pair[0], runs), run_folder(pair[1], runs)
    recipes = recipe_of(read_lock(first)), recipe_of(read_lock(second))
    click.echo(difference(pair, recipes, (read_manifest(first), read_manifest(second))))


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--rebuild", is_flag=True, help="Build it again in a temporary folder and compare byte by byte."
)
@click.option(
    "--seeds",
    metavar="sample|hub|DIR",
    help="Where the run's seeds are. [default: where its build found them]",
)
@RUNS
@WORKERS
def verify(run: Path, rebuild: bool, seeds: str | None, runs: Path, workers: int | None) -> None:
    """Compare a run with its manifest, or with a new build.

    RUN is a folder, or the name of one in --runs.

    \b
    Example:
      datagen verify esci_mcq --rebuild
    """
    from datagen.commands import verify
    from datagen.storage.manifest import run_folder

    run = run_folder(run, runs)
    problems = verify.problems(run)
    if rebuild and not problems:
        where = own_seeds(run, seeds)
        if where is None:
            raise UserError(f"{run}: its seeds are not where they were. Name their place by --seeds")
        with progress_bars() as (progress, _):
            problems = verify.differences(run, where, workers=workers, progress=progress)
    if problems:
        raise UserError("\n  ".join([f"{run} is not as it was built:", *problems]))
    click.echo(f"{run}: " + ("built again, the same bytes" if rebuild else "as its manifest says"))


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    required=True,
    type=click.Choice(["shopbench", "alpaca", "sharegpt", "openai"]),
    help="ShopBench's questions with their answers, or what other trainers read.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the files. [default: exports/<name of the run>-<format>]",
)
@RUNS
def export(run: Path, form: str, out: Path | None, runs: Path) -> None:
    """Write a run as JSON Lines, a file for each shard.

    RUN is a folder, or the name of one in --runs.

    \b
    Example:
      datagen export esci_mcq --format alpaca
    """
    from datagen.commands.export import export
    from datagen.storage.manifest import run_folder

    run = run_folder(run, runs)
    with progress_bars() as (progress, _):
        for path in export(run, form, out or Path("exports") / f"{run.resolve().name}-{form}", progress):
            click.echo(path)


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("repository")
@click.option("--yes", is_flag=True, help="Send it. Without, only what would be sent is printed.")
@click.option("--public", is_flag=True, help="Let everybody read it. Without, a new repository is private.")
@RUNS
def push(run: Path, repository: str, yes: bool, public: bool, runs: Path) -> None:
    """Upload a run to the Hugging Face hub, with its card.

    RUN is a folder, or the name of one in --runs. Rows that were left out stay here.
    The token is the one of `hf auth login`, or HF_TOKEN.

    \b
    Example:
      datagen push esci_mcq your_name/esci_mcq --yes
    """
    from datagen.commands.push import described, planned, push
    from datagen.storage.manifest import run_folder

    upload = planned(run_folder(run, runs), repository, private=not public)
    for line in described(upload):
        click.echo(line)
    click.echo(push(upload) if yes else "Nothing was sent. Say --yes to send it")


@main.command()
@RUNS
@click.option(
    "--export", "to", type=click.Path(path_type=Path), metavar="FILE", help="Write all replies as JSON Lines."
)
@click.option(
    "--import",
    "source",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Take over the replies of such a file; nothing is paid for them.",
)
def ledger(runs: Path, to: Path | None, source: Path | None) -> None:
    """Show what the teacher's replies cost, by recipe, step and model.

    All replies lie in teacher.sqlite below the folder of runs. A team shares them as JSON Lines.

    \b
    Examples:
      datagen ledger
      datagen ledger --export replies.jsonl
    """
    from datagen.commands.tables import spending
    from datagen.pipeline.rewriting import LEDGER
    from datagen.teacher import ledger

    path = runs / LEDGER
    if source:
        came, before = ledger.import_lines(path, source)
        click.echo(f"{path}: {came:,} replies came, {before:,} were there before")
    if to:
        click.echo(f"{to}: {ledger.export_lines(path, to):,} replies")
    if not source and not to:
        with ledger.existing(path) as connection:
            click.echo(spending(ledger.spend(connection)))


@main.command()
@click.argument("name", required=False)
def recipes(name: str | None) -> None:
    """List the recipes at hand, or the tasks of one.

    \b
    Example:
      datagen recipes m2_sessions
    """
    from datagen.commands import recipes

    click.echo(recipes.details(name) if name else recipes.overview())


@main.command()
@click.argument("name", required=False, metavar="[NAME|NAME.TABLE]")
@click.option(
    "--seeds",
    metavar="sample|hub|DIR",
    help="Seeds of a table's rows, by default sample. Without a table: say also which files are there.",
)
@click.option(
    "--check", "checked", type=click.Path(path_type=Path), metavar="DIR", help="Read DIR, say what is amiss."
)
@click.option(
    "--write-sample", type=click.Path(path_type=Path), metavar="DIR", help="Write made-up seeds into DIR."
)
@click.option(
    "--size",
    default="sample",
    show_default=True,
    metavar="sample|full|N",
    help="Size of made-up seeds, or N judgements.",
)
def sources(
    name: str | None, seeds: str | None, checked: Path | None, write_sample: Path | None, size: str
) -> None:
    """List the seed sources, their tables or rows, or make up seeds.

    Of the source NAME all tables are listed with their columns; of `lists`, the word lists and their macros.
    Of a table or a list, as in NAME.TABLE, the first rows are printed.

    \b
    Examples:
      datagen sources esci
      datagen sources reviews.items --seeds ~/seeds
      datagen sources --check seeds
      datagen sources --write-sample seeds --size full
    """
    if write_sample is None:
        from datagen.commands import sources

        if size != "sample":
            raise UserError("--size is that of the seeds to write: say where, as in --write-sample seeds")
        if checked is not None:
            text, broken = sources.check(checked)
            click.echo(text)
            if broken:
                raise UserError(f"{broken} source{'s' if broken > 1 else ''} cannot be read")
            return
        if name and "." in name:
            click.echo(sources.rows(name, seeds or "sample", warn))
        elif name:
            click.echo(sources.details(name))
        else:
            click.echo(sources.overview(Path(seeds) if seeds else None))
        return
    from datagen.sources import sample

    sample.write_sample(
        write_sample, int(size) if size.isdecimal() else cast(Literal["sample", "full"], size)
    )
    click.echo(f"{write_sample}: written. Build from it: datagen build esci_mcq --seeds {write_sample}")


@main.command()
@click.argument("name")
@click.option("--source", default="esci", show_default=True, metavar="NAME", help="Seed source of its rows.")
@click.option(
    "--type",
    "task_type",
    default="multiple_choice",
    show_default=True,
    type=click.Choice(["multiple_choice", "ranking", "retrieval", "named_entity_recognition", "generation"]),
    help="Shape of its questions.",
)
def new(name: str, source: str, task_type: str) -> None:
    """Write a recipe and a template to start from.

    They build on the made-up shop as they are.

    \b
    Example:
      datagen new my_recipe --source reviews --type ranking
    """
    from datagen.commands.new import write_starter
    from datagen.schema import TaskType

    for path in write_starter(name, source, TaskType(task_type)):
        click.echo(f"wrote {path}")
    click.echo(f"Next:\n  datagen check {name}\n  datagen preview {name}\n  datagen build {name}")


if __name__ == "__main__":
    main()
