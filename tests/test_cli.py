"""The `datagen` command as people use it: every subcommand's help, output and exit code."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from datagen.cli import main
from datagen.commands.verify import published
from datagen.console.app import Commands
from datagen.schema import TaskType
from datagen.shopbench.questions import read_questions
from datagen.sources import SOURCES
from datagen.sources.database import tables_of
from datagen.storage.manifest import read_manifest

DATAGEN = [sys.executable, "-c", "from datagen.cli import main; main()"]


@pytest.fixture
def here(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of one's own, with the recipe `shop` and its seeds."""
    shutil.copytree(shop, tmp_path / "work", ignore=shutil.ignore_patterns("runs"))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def output(*arguments: str) -> str:
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["buidl"], 2, "Error: No such command 'buidl'. Did you mean 'build'?"),
        (["--hlep"], 2, "Error: No such option"),
        (["build"], 2, "Error: Missing argument 'RECIPE'"),
        (
            ["build", "shop", "--rows", "0"],
            1,
            "error: `0` is no whole number above 0: write ROWS=5000",
        ),
        (
            ["plan", "shop", "--rows", "1,000"],
            1,
            "`1,000` is no whole number above 0: write ROWS=5000",
        ),
        (["build", "shop", "--workers", "x"], 1, "write WORKERS=2 (or --workers 2)"),
        (["build", "shop", "--sedes", "sample"], 2, "--seeds"),
        (["build", "shpo"], 1, "did you mean `shop`?"),
        (["build", "shop", "--seeds", "nowhere"], 1, "error: seeds nowhere: no such folder"),
        (
            ["build", "shop", "--seeds", "."],
            1,
            "shopping_queries_dataset_products.parquet, shopping_queries_d",
        ),
        (["preview", "shop", "--seeds", "seeds", "--task", "brnad"], 1, "did you mean `brand`?"),
        (["verify", "runs/none"], 1, "error: runs/none: no such run, nor is there one of that name in runs/"),
        (["verify", "shop"], 1, "error: shop: no such run yet: `make data RECIPE=shop` builds it"),
        (["show", " "], 2, "Error: Invalid value for 'ID|KEY': it is empty"),
        (["show", "0123", "--run", "recipes"], 1, "recipes is not a finished run"),
        (["new", "Mine"], 1, "lower-case letters"),
        (["sources", "--write-sample", "made", "--size", "huge"], 1, "sample, full, or a number"),
        (["sources", "--size", "full"], 1, "--size is that of the seeds to write"),
        (["sources", "esic"], 1, "no source `esic`: did you mean `esci`?"),
        (["sources", "items"], 1, "no source `items`: did you mean `reviews.items`?"),
        (["sources", "esic.titles"], 1, "no source `esic`: did you mean `esci`?"),
        (["sources", "esci.tiltes"], 1, "no table `esci.tiltes`: did you mean `esci.titles`?"),
        (["sources", "MMLU"], 1, "no source `MMLU`: did you mean `mmlu`?"),
        (["sources", "ESCI.TITLED"], 1, "no source `ESCI`: did you mean `esci`?"),
        (["build", "shop", "--sources", ","], 1, "names none: write some of esci, or leave it out"),
        (["build", "shop", "--licenses", " "], 1, "names none: write some of Apache-2.0, none granted: "),
        (
            ["build", "shop", "--licenses", ",none granted: research use"],
            1,
            "no task is left with none granted",
        ),
        (["build", "shop", "--licenses", "none Apache"], 1, "`Apache` is the licence of no source"),
        (["build", "shop", "--sources", "esc"], 1, "`esc` is none of shop's: did you mean `esci`?"),
        (["build", "shop", "--sources", "ESCI"], 1, "`ESCI` is none of shop's: did you mean `esci`?"),
        (["sources", "esci.titles", "--seeds", "nowhere"], 1, "error: seeds nowhere: no such folder"),
        (["sources", "--check", "nowhere"], 1, "nowhere: no such folder"),
        (["sources", "--check", "."], 1, "none of the folders esci, "),
    ],
)
def test_a_mistake_is_explained_in_one_line(
    here: Path, arguments: list[str], code: int, message: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if not line.startswith(("Usage:", "Try "))]
    assert len([line for line in lines if line]) == 1


def test_a_bug_keeps_its_traceback() -> None:
    @click.group(cls=Commands)
    def group() -> None:
        pass

    @group.command()
    def wrong() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(group, ["wrong"], catch_exceptions=False)


def test_check_names_each_problem_with_its_place(here: Path) -> None:
    recipe = here / "recipes" / "broken.yaml"
    text = (here / "recipes" / "shop.yaml").read_text(encoding="utf-8")
    recipe.write_text(
        text.replace("name: shop", "name: broken").replace("track: user", "trakc: user"), encoding="utf-8"
    )
    result = run("check", "broken", "shop")
    assert result.exit_code == 1
    found = result.stdout.splitlines()
    assert all(re.match(r"recipes/broken\.yaml:\d+:\d+: [a-z_]+: .", line) for line in found[:-1])
    assert found[-1] == "shop: ok"
    assert result.stderr == f"error: {len(found) - 1} problems to solve\n"


def test_check_looks_at_all_recipes(here: Path) -> None:
    assert "shop: ok" in run("check").stdout.splitlines()


def test_no_command_starts_with_a_broken_recipe(here: Path) -> None:
    template = here / "templates" / "ranking" / "order_of_fit.j2"
    template.write_text("{{ nothing }}", encoding="utf-8")
    for command in ("plan", "preview", "build"):
        result = run(command, "shop", "--seeds", "seeds")
        assert result.exit_code == 1
        assert "templates/ranking/order_of_fit.j2:1:" in result.stderr
    assert not (here / "runs").exists()


def test_a_query_that_fails_on_the_seeds_is_named_with_its_line(here: Path) -> None:
    recipe = here / "recipes" / "shop.yaml"
    text = recipe.read_text(encoding="utf-8")
    broken = text.replace("(not fits), 3, query_id)", "(not fits), 3, query::int)", 1)
    assert broken != text
    recipe.write_text(broken, encoding="utf-8")
    mixture = "name: mix\ndescription: One.\ninclude: [shop]\nrows: 100\n"
    (here / "recipes" / "mix.yaml").write_text(mixture, encoding="utf-8")
    task = text.splitlines().index("  best_match:")
    line = next(at for at, words in enumerate(text.splitlines(), 1) if at > task and "query: |" in words) + 1
    for command in ("plan", "preview", "build"):
        for name, owner in (("shop", ""), ("mix", "shop.")):
            stderr = run(command, name, "--seeds", "seeds").stderr
            assert stderr.startswith(
                f"error: recipes/shop.yaml:{line}: task {owner}best_match: its query failed"
            )


def test_preview_shows_every_task_with_gold_parse_and_score(here: Path) -> None:
    text = output("preview", "shop", "--seeds", "seeds", "--rows", "2")
    assert all(kind.value in text for kind in TaskType)
    assert text.count("score 1") == 10
    assert re.search(r"entity_not_in_text \d+, such as key \S+: an entity does not stand in the text", text)
    assert len(re.findall(r"^shortcuts in \d+ rows: \w+ [01]\.\d\d \(", text, re.MULTILINE)) == 5
    assert output("preview", "shop", "--seeds", "seeds", "--task", "brand").count("score 1") == 3


def test_plan_tells_what_to_expect(here: Path) -> None:
    text = output("plan", "shop", "--seeds", "seeds", "--rows", "1000")
    assert re.search(r"^best_match +\d+ +235 ", text, re.MULTILINE)
    assert re.search(r"^about [\d,]+ rows, \d+ k tokens, \d+ kB of Parquet$", text, re.MULTILINE)


def test_build_says_what_came_out_and_how_to_use_it(here: Path) -> None:
    text = output("build", "shop", "--seeds", "seeds")
    manifest = read_manifest(here / "runs" / "shop")
    kept = sum(sum(task["kept"].values()) for task in manifest["tasks"].values())
    assert re.match(rf"shop: {kept} rows, built in [\d.]+ s\n", text)
    assert 'datasets.load_dataset("runs/shop")' in text
    assert "already built" in output("build", "shop", "--seeds", "seeds")


def test_build_names_the_command_as_it_can_be_typed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(here / ".venv" / "bin" / "python"))
    monkeypatch.setenv("PATH", str(here / "bin"))
    for folder, typed in [("elsewhere", "datagen"), (".venv/bin", ".venv/bin/datagen"), ("bin", "datagen")]:
        (here / folder).mkdir(parents=True)
        (here / folder / "datagen").touch(mode=0o755)
        assert f"`{typed} show ID --run runs/shop`" in output("build", "shop", "--seeds", "seeds")


def test_build_says_where_there_are_more_tasks_than_rows(here: Path) -> None:
    result = run("build", "shop", "--seeds", "seeds", "--rows", "3")
    assert result.stderr == "warning: rows: 3 asked for, but the recipe has 5 tasks: each gets 1 row\n"


def test_build_warns_of_what_answers_a_task_without_skill(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = here / "recipes" / "shop.yaml"
    text = recipe.read_text(encoding="utf-8")
    text = text.replace("    rows: 40\n", "    rows: 40\n    shortcut: 0.1\n", 1)
    recipe.write_text(text.replace("    rows: 60\n", "    rows: 60\n    shortcut: 1\n", 1), encoding="utf-8")
    assert run("build", "shop", "--seeds", "seeds").stderr == ""  # too few rows to say so
    monkeypatch.setattr("datagen.reports.shortcuts.JUDGED", 30)
    for _ in range(2):  # also where it is built already
        result = run("build", "shop", "--seeds", "seeds")
        assert result.exit_code == 0
        assert re.fullmatch(
            r"warning: task best_match: a shortcut scores \d\.\d\d \(\w+: .+\), "
            r"above its bound, `shortcut: 0.1`\n",
            result.stderr,
        )


def test_build_says_what_it_replaces_and_why(here: Path) -> None:
    build = ["build", "shop", "--seeds", "seeds"]
    output(*build, "--rows", "30")
    recipe = here / "recipes" / "shop.yaml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("seed: 7", "seed: 8"), encoding="utf-8")
    with (here / "templates" / "ranking" / "order_of_fit.j2").open("a", encoding="utf-8") as file:
        file.write("---\n{{ listing }}\nBest first for: {{ query }}\n")
    warnings = run(*build, "--rows", "20").stderr.splitlines()
    assert warnings == [
        "warning: runs/shop: its 30 rows are replaced when this build ends (30 were asked for, now 20; "
        "the recipe has changed; templates/ranking/order_of_fit.j2 has changed). "
        "To keep them, stop it by Ctrl-C and build elsewhere: `datagen build shop --runs try`"
    ]
    output(*build, "--rows", "20")  # the same again: nothing to say


@pytest.mark.parametrize("text", ['{"schema_version": 0}', "damaged"])
def test_build_replaces_a_run_that_it_cannot_read(here: Path, text: str) -> None:
    build = ["build", "shop", "--seeds", "seeds", "--rows", "30"]
    output(*build)
    (here / "runs" / "shop" / "manifest.json").write_text(text, encoding="utf-8")
    result = run(*build)
    assert result.stdout.startswith("shop: 30 rows, built in")
    assert "warning: runs/shop: its rows are replaced" in result.stderr


def test_build_says_why_a_task_is_short_of_rows(here: Path) -> None:
    text = output("build", "shop", "--seeds", "seeds", "--rows", "4000")
    assert re.search(r"^\w+: \d+ rows? fewer than wanted: ", text, re.MULTILINE)


def test_show_and_verify_find_the_seeds_of_a_run_again(here: Path) -> None:
    output("build", "shop", "--seeds", "seeds", "--rows", "30")
    row = pq.read_table(here / "runs/shop/data")["id"][0].as_py()
    assert "the same prompt" in output("show", row, "--run", "runs/shop")
    assert "the same bytes" in output("verify", "runs/shop", "--rebuild")
    (here / "seeds").rename(here / "elsewhere")
    assert run("verify", "runs/shop", "--rebuild").exit_code == 1
    assert "the same bytes" in output("verify", "runs/shop", "--rebuild", "--seeds", "elsewhere")


def test_show_takes_the_run_that_was_built_last_and_names_it(here: Path) -> None:
    assert run("show", "0123").stderr.startswith("error: runs: no finished run below it: `make data RECIPE=")
    text = (here / "recipes" / "shop.yaml").read_text(encoding="utf-8").replace("name: shop", "name: other")
    (here / "recipes" / "other.yaml").write_text(text, encoding="utf-8")
    for name, built in [("shop", 100), ("other", 200), ("shop", 300)]:
        output("build", name, "--seeds", "seeds", "--rows", "30")
        os.utime(here / "runs" / name / "manifest.json", (built, built))
        row = pq.read_table(here / "runs" / name / "data")["id"][0].as_py()
        assert output("show", row).startswith(f"{row} in runs/{name}\n")


def test_verify_lists_all_that_is_wrong(here: Path) -> None:
    output("build", "shop", "--seeds", "seeds", "--rows", "30")
    (here / "runs" / "shop" / "README.md").unlink()
    (here / "runs" / "shop" / "data" / "train-extra.parquet").write_bytes(b"")
    result = run("verify", "runs/shop")
    assert result.exit_code == 1
    assert [line.split(":")[0].strip() for line in result.stderr.splitlines()[1:]] == [
        "data/train-extra.parquet",
        "README.md",
    ]


def test_a_new_recipe_builds_at_once(here: Path) -> None:
    wrote = output("new", "mine")
    assert re.findall(r"^  datagen (\w+) mine$", wrote, re.MULTILINE) == ["check", "preview", "build"]
    assert output("check", "mine") == "mine: ok\n"
    assert "    shortcut: " in (here / "recipes" / "mine.yaml").read_text(encoding="utf-8")
    assert output("build", "mine").startswith("mine: 500 rows")  # without a warning of a shortcut
    result = run("new", "mine")
    assert result.exit_code == 1
    assert "recipes/mine.yaml is there already" in result.stderr


def test_a_new_recipe_does_not_hide_one_of_ours(here: Path) -> None:
    result = run("new", "esci_mcq")
    assert result.exit_code == 1
    assert "`esci_mcq` is a recipe that ships" in result.stderr
    assert not (here / "recipes" / "esci_mcq.yaml").exists()


@pytest.mark.parametrize(
    "command", [["build", "shop", "--runs"], ["sources", "--size", "1000", "--write-sample"]]
)
def test_a_place_that_can_be_no_folder_is_named(here: Path, command: list[str]) -> None:
    result = run(*command, "recipes/shop.yaml/runs")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: recipes/shop.yaml/runs: no folder can be made there (Not a directory). Name another\n"
    )


def test_the_module_is_the_command(here: Path) -> None:
    """`python -m datagen.cli` builds with several processes, which import it anew."""
    command = [sys.executable, "-m", "datagen.cli", "build", "shop", "--seeds", "seeds", "--workers", "2"]
    result = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=120, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("shop: ")


def test_every_command_takes_a_run_by_its_name(
    shop_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = ["--runs", str(shop_run.parent)]
    row = pq.read_table(next(shop_run.glob("data/*.parquet"))).to_pylist()[0]
    assert output("verify", "shop", *runs) == f"{shop_run}: as its manifest says\n"
    assert f"{row['id']} in {shop_run}" in output("show", row["id"], "--run", "shop", *runs)
    assert output("report", "--diff", "shop", "shop", *runs)
    assert output("export", "shop", "--format", "openai", *runs).startswith("exports/shop-openai/")
    assert "Nothing was sent" in output("push", "shop", "me/it", *runs)
    monkeypatch.chdir(shop_run.parents[1])
    assert read_questions(Path("shop")) == read_questions(Path("runs/shop"))


@pytest.mark.parametrize("of_all", [True, False], ids=["all", "one"])
def test_a_preview_without_rows_says_so_and_fails_as_a_build_does(here: Path, of_all: bool) -> None:
    recipe = here / "recipes" / "shop.yaml"
    text = recipe.read_text(encoding="utf-8")
    for table in ("products", "examples")[: 2 if of_all else 1]:
        text = text.replace(f"from esci.{table}", f"from (from esci.{table} where false) as {table}")
    recipe.write_text(text, encoding="utf-8")
    codes = []
    for command in ("preview", "build", "plan"):
        result = run(command, "shop", "--seeds", "seeds")
        codes.append(result.exit_code)
        assert bool(re.search("^error: recipe shop: .*no row ", result.stderr, re.M)) is of_all
        if command == "preview":
            assert "its query gives no rows from these seeds" in result.stdout
            told = r"^warning: \w+: its query gives no rows from these seeds\. Rows .*: esci\.\w+ [1-9]\d*"
            assert re.search(told, result.stderr, re.M)
    assert codes == [int(of_all)] * 3


def test_a_wrong_value_is_named_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = run("build", "esci_mcq", "--max-cost", "abc")
    assert (wrong.exit_code, "Invalid value for '--max-cost'" in wrong.stderr) == (2, True)
    monkeypatch.setenv("MAKELEVEL", "1")
    wrong = run("build", "esci_mcq", "--max-cost", "abc")
    assert (wrong.exit_code, wrong.stderr.startswith("error: MAX_COST: 'abc' is not ")) == (2, True)


def test_sources_lists_tables_and_writes_a_sample(here: Path) -> None:
    text = output("sources")
    for name, module in SOURCES.items():
        assert f"{name}  {module.LICENSE}\n" in text
        assert module.DOWNLOAD in text
        assert all(table.file in text for table in module.TABLES.values())
        full = output("sources", name)
        assert all(f"\n  {table}\n" in full for table in tables_of([name]) if not table.startswith("lists."))
    assert "\n    locale, language, query_id BIGINT, query, " in output("sources", "esci")
    assert output("sources", "m2").endswith("\nRows of a table: datagen sources m2.sessions\n")
    assert "\n  lists.colors          colors_in(text, language)" in output("sources", "lists")
    output("sources", "--write-sample", "made", "--size", "1000")
    assert output("build", "shop", "--seeds", "made", "--rows", "10").startswith("shop: ")


def test_sources_says_what_a_folder_lacks(here: Path) -> None:
    folder = here / "mine"
    shutil.copytree(here / "seeds" / "esci", folder / "esci")
    (folder / "alpaca").mkdir()
    assert "shopping_queries_dataset_products.parquet, " in output("sources", "--seeds", str(folder))
    (folder / "esci" / "shopping_queries_dataset_sources.csv").unlink()
    result = run("sources", "--check", str(folder))
    assert result.exit_code == 1
    whole = r"^esci  whole. Rows: examples: [\d,]+, products: [\d,]+, sources: [\d,]+\n  .*no such file, so"
    assert re.search(whole, result.stdout)
    assert "m2  not there. Put sessions_train.csv, products_train.csv into " in result.stdout
    assert f"\n  {SOURCES['m2'].DOWNLOAD}\n" in result.stdout
    assert re.search(r"alpaca  .*alpaca_data_cleaned\.json: no such file", result.stdout)
    assert "1 source cannot be read" in result.stderr


@pytest.fixture
def bigger(here: Path) -> tuple[Path, str]:
    """A build that takes a moment, by its folder and recipe."""
    recipe = here / "recipes" / "shop.yaml"
    recipe.write_text(
        re.sub(r"rows: \d+", "rows: 4000", recipe.read_text(encoding="utf-8")), encoding="utf-8"
    )
    return here, "shop"


def test_an_interrupted_build_says_so_and_goes_on_when_it_is_run_again(bigger: tuple[Path, str]) -> None:
    here, recipe = bigger
    work = here / "runs" / recipe / "work"
    pipe = subprocess.PIPE
    command = [*DATAGEN, "build", recipe, "--seeds", "seeds"]
    build = subprocess.Popen(command, cwd=here, stdout=pipe, stderr=pipe, text=True)
    while not list(work.glob("*/drawn/*.arrow")):
        assert build.poll() is None
        time.sleep(0.005)
    build.send_signal(signal.SIGINT)
    stdout, stderr = build.communicate(timeout=60)
    assert (build.returncode, stdout) == (130, "")
    assert stderr.strip() == "interrupted. What is done is kept: the same command goes on from there"
    assert work.is_dir()
    resumed = output("build", recipe, "--seeds", "seeds")
    assert "built in" in resumed
    output("build", recipe, "--seeds", "seeds", "--runs", "others")
    first, second = here / "runs" / recipe, here / "others" / recipe
    assert published(first) == published(second)
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in published(first))


def test_a_reader_that_stops_reading_is_no_error(here: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        sources = [*DATAGEN, "sources"]
        result = subprocess.run(
            sources, cwd=here, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert result.stderr == ""


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_terminal_of_eight_bits_gets_what_it_can_show(
    shop_run: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    rows = pq.read_table(shop_run / "data", filters=[("language", "=", "ja")]).to_pylist()
    command = [*DATAGEN, "show", rows[0]["id"], "--run", str(shop_run)]
    with (tmp_path / "out.txt").open("wb") as out:
        done = subprocess.run(
            command,
            stdout=out,
            stderr=subprocess.PIPE,
            env=os.environ | environment,
            cwd=shop_run.parents[1],  # where its templates are
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rows[0]["id"].encode() in (tmp_path / "out.txt").read_bytes()


@pytest.mark.parametrize("command", ["datagen", "finetune", "infer"])
def test_every_command_replaces_what_a_terminal_cannot_show(command: str) -> None:
    code = f"from {command}.cli import main; main.add_command(__import__('click').Command('say', " + (
        "callback=lambda: print('Taza 靴')"
    )
    code += ")); main(['say'])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=os.environ | {"PYTHONIOENCODING": "cp1252"}
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"Taza ?", b"")
