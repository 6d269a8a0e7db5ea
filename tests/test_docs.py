"""The documentation against the project: make targets, commands and their options, recipes, files, links."""

import json
import os
import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from click import Command, Context, Group

import datagen.cli
import finetune.cli
import infer.cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
HELP = [line[3:] for line in MAKEFILE.splitlines() if line.startswith("## ")]
TARGETS = set(" ".join(re.findall(r"^\.PHONY: (.*)", MAKEFILE, re.MULTILINE)).split())
FIRST = {"trained", "made", "named"}
"""Checks that other targets begin with; nobody types them."""

CLIS = {"datagen": datagen.cli.main, "finetune": finetune.cli.main, "infer": infer.cli.main}
VARIABLES = set(re.findall(r"^([A-Z_]+) =", MAKEFILE, re.MULTILINE))


def commands(page: Path) -> list[str]:
    """Lines that a page tells its reader to type: after `$ ` in a block, or alone in `backticks`."""
    text = page.read_text(encoding="utf-8")
    typed = re.findall(r"^\$ (.+)", text, re.MULTILINE)
    typed += re.findall(rf"`((?:make|{'|'.join(CLIS)}) [^`]+)`", text)
    return [re.sub(r"\s+#.*|[\[\]]", "", line) for line in typed]


SHOWN = [pytest.param(command, id=f"{page.name}: {command}") for page in PAGES for command in commands(page)]


def make_words(command: str) -> list[str]:
    return shlex.split(command)[1:] if command.startswith("make ") else []


@pytest.mark.parametrize("command", [*SHOWN, *[line for line in HELP if line.startswith("make ")]])
def test_a_shown_make_command_is_in_the_makefile(command: str) -> None:
    for word in make_words(command):
        name, sign, value = word.partition("=")
        assert name in (VARIABLES if sign else TARGETS)
        if name == "RECIPE":
            assert value in ("brands", "meant") or (ROOT / "recipes" / f"{value}.yaml").is_file()
        if name == "NAME" and "bench" in make_words(command):
            assert all((ROOT / "benchmarks" / f"{one}.py").is_file() for one in value.split("|"))


@pytest.mark.parametrize("command", SHOWN)
def test_a_shown_command_is_in_its_cli(command: str) -> None:
    program, *words = command.split()
    if program not in CLIS or not words:
        return
    main = CLIS[program]
    assert isinstance(main, Group)
    known = main if words[0].startswith("-") else main.commands[words[0]]
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options(known)


def options(command: Command) -> set[str]:
    context = Context(command)
    return {name for parameter in command.get_params(context) for name in parameter.opts}


@pytest.mark.parametrize("target", sorted(TARGETS - FIRST - {"help"}))
def test_make_help_explains_every_target_with_an_example(target: str) -> None:
    examples = [number for number, line in enumerate(HELP) if re.match(rf"make {target}\b", line)]
    assert len(examples) == 1
    assert HELP[examples[0] + 1].startswith("    ")


def test_make_alone_prints_the_help() -> None:
    run = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert set(HELP) <= set(run.stdout.splitlines())
    assert all(recipe.stem in run.stdout for recipe in (ROOT / "recipes").glob("*.yaml"))


def test_answers_are_named_alike_by_a_shell_that_completes_folders() -> None:
    names = []
    for end in ("", "/"):
        infer = ["make", "-n", "infer", f"ADAPTER=finetune/runs/mine{end}", f"QUESTIONS=runs/esci_ner{end}"]
        run = subprocess.run(infer, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        names.append(re.findall(r"--name '(.+?)'", run.stdout))
    assert names == [["mine-on-esci_ner-5min/base", "mine-on-esci_ner-5min/tuned"]] * 2


def test_a_training_is_asked_of_its_own_data_set(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"data": "numbers"}, indent=2), encoding="utf-8")
    asked = []
    for more in ([], ["RECIPE=esci_ner"]):
        infer = ["make", "-n", "infer", f"ADAPTER={tmp_path}", *more]
        found = subprocess.run(infer, cwd=ROOT, capture_output=True, text=True, check=True)
        asked += re.findall(r"--questions '(runs/\S+)'", found.stdout)
    assert asked == ["runs/numbers", "runs/esci_ner"]


def test_the_readme_recipe_builds_and_teaches_no_shortcut(tmp_path: Path) -> None:
    [recipe] = re.findall(r"```yaml\n(.*?)```", PAGES[0].read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "meant.yaml").write_text(recipe, encoding="utf-8")
    build = [sys.executable, "-m", "datagen.cli", "build", "meant"]
    run = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (run.returncode, run.stderr) == (0, "")  # no warning of a shortcut above its bound
    assert "shortcut: " in recipe
    assert run.stdout.startswith("meant: 1,000 rows")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("data RECIPES=esci_mcq", "`RECIPES` is no option: did you mean `RECIPE`? Known: RECIPE SEEDS "),
        ("data ROW=5", "`ROW` is no option: did you mean `ROWS`?"),
        ("infer question=mine.jsonl", "`question` is no option: did you mean `QUESTIONS`?"),
        ("sft EPOCH=2", "`EPOCH` is no option: known: RECIPE "),
    ],
)
def test_make_refuses_an_option_that_it_does_not_have(words: str, told: str) -> None:
    run = subprocess.run(["make", "-n", *words.split()], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (2, "")
    assert told in run.stderr
    assert "`make help` explains them" in run.stderr


def test_a_recipe_is_no_target() -> None:
    run = subprocess.run(["make", "-n", "data", "esci_mcq"], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (2, "")
    assert "write RECIPE=esci_mcq" in run.stderr


def test_make_takes_what_is_its_own_or_stands_in_the_environment() -> None:
    words = ["-j2", "CC=gcc", "SHELL=/bin/sh", "CFLAGS=-O2", "MAKEFLAGS=-s", "HF_TOKEN=x", "OPENAI_API_KEY=x"]
    environment = {**os.environ, "RECIPES": "x", "ROW": "5"}
    run = subprocess.run(
        ["make", "-n", "data", *words], cwd=ROOT, capture_output=True, text=True, env=environment
    )
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("name", ["runtime", "finetune", "infer", "dev", "quantize"])
def test_make_says_what_it_installs_and_lets_pip_show_progress_on_a_terminal(name: str) -> None:
    printed = {}
    for terminal in ("", "/dev/tty"):
        install = ["make", "-n", "-B", f".venv/{name}"]
        environment = {**os.environ, "MAKE_TERMERR": terminal}
        run = subprocess.run(install, cwd=ROOT, capture_output=True, text=True, env=environment, check=True)
        lines = [" ".join(line.split()) for line in run.stdout.splitlines()]
        printed[terminal] = [line for line in lines if line.startswith("echo") or "pip install" in line]
    assert [line.split()[:2] for line in printed[""][:2]] == [["echo", "'Making"], ["echo", "'Installing"]]
    assert all(" install -qq " in line for line in printed[""][2:])
    assert printed["/dev/tty"] == [line.replace(" -qq", "") for line in printed[""]]


def test_every_option_that_the_makefile_reads_is_known_to_it() -> None:
    [known] = re.findall(r"^OPTIONS = (.+)$", MAKEFILE, re.MULTILINE)
    assert set(re.findall(r"^([A-Z_]+) =$", MAKEFILE, re.MULTILINE)) <= set(known.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("data LIMIT=3", "`make data` does not read LIMIT. It takes: RECIPE SEEDS ROWS "),
        ("data sft LIMIT=3", "`make data sft` does not read LIMIT. It takes: RECIPE SEEDS ROWS "),
        ("clean ROWS=3", "`make clean` does not read ROWS. It takes: no option."),
        ("sft RECIPE='b c'", "RECIPE=b c is no name"),
        ("sft RECIPE='x;ls'", "RECIPE=x;ls is no name"),
        ("data RECIPE=a:b", "RECIPE=a:b is no name"),
        ('infer NAME="it\'s"', "NAME=it's is no name"),
        ("sft CONFIG='$HOME'", "CONFIG=$HOME is no name"),
        ("sft NAME='a#b'", "NAME=a#b is no name"),
        ('data SEEDS="it\'s"', "SEEDS=it's holds a quote"),
        ("data DECONTAMINATE='$HOME/a'", "DECONTAMINATE=$HOME/a holds a quote or a `$`"),
        ("data RECIPE=", "RECIPE= is empty"),
        ("serve ADAPTER=' '", "ADAPTER= is empty"),
        ("ROWS=3", "`make` alone prints help: say what is to be made with ROWS"),
    ],
)
def test_make_says_what_a_target_takes(words: str, told: str) -> None:
    run = subprocess.run(["make", "-n", *shlex.split(words)], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (2, "")
    assert told in run.stderr


@pytest.mark.parametrize(
    "words",
    ["sft ROWS=9 NAME='my try'", "data infer LIMIT=3 TEACHER=x ROWS=", "test ARGS='-k \"a\"'", "CC=gcc"],
)
def test_make_takes_what_one_of_its_targets_reads(words: str) -> None:
    run = subprocess.run(["make", "-n", *shlex.split(words)], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_a_recipe_that_is_named_by_its_file_is_trained_on_where_it_was_built() -> None:
    sft = ["make", "-n", "sft", "RECIPE=recipes/alpaca.yaml"]
    run = subprocess.run(sft, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "train 'smollm2-135m' --data 'runs/alpaca'" in run.stdout
    assert run.stdout.count("datagen build 'recipes/alpaca.yaml'") <= 1  # there may be one here


def test_a_file_with_blanks_in_its_name_is_one_file(tmp_path: Path) -> None:
    whole = tmp_path / "my eval.jsonl"
    for given in (whole, tmp_path / "a b"):
        whole.touch()
        data = ["make", "-n", "data", f"DECONTAMINATE={given}"]
        run = subprocess.run(data, cwd=ROOT, capture_output=True, text=True, check=True)
        files = re.findall(r"--decontaminate '(.+?)'", run.stdout)
        assert files == ([str(given)] if given == whole else str(given).split())


JOINED = MAKEFILE.replace("\\\n", " ")
RULES = dict(re.findall(r"^([\w./$()]+):(?!=)(.*(?:\n\t.*)*)", JOINED, re.MULTILINE))
"""What stands in the rule of each target: what it needs, and its lines."""

DEFINED = dict(re.findall(r"^(\w+) = (.*)", JOINED, re.MULTILINE))


def options_read(text: str, seen: frozenset[str] = frozenset()) -> set[str]:
    """The options that a rule reads: in its lines, in what it needs, and in the target that it makes."""
    variables = set(re.findall(r"\$\((\w+)", text)) - seen
    needed = {word for word in re.split(r"[\s,]+|\)(?=\s|$)", text.partition("\n")[0]) if word in RULES} - (
        TARGETS - FIRST
    )
    needed |= set(re.findall(r"\$\(MAKE\) --\S+ (\w+)", text))
    found = variables & set(DEFINED["OPTIONS"].split())
    for name in variables:
        found |= options_read(f"\n{DEFINED.get(name, '')}", seen | {name})
    for target in needed - seen:
        found |= options_read(RULES[target], seen | {target})
    return found


@pytest.mark.parametrize("target", sorted(TARGETS - FIRST))
def test_a_target_takes_every_option_that_its_rule_reads(target: str) -> None:
    takes = DEFINED.get(f"{target}_takes", "")
    while "$(" in takes:
        takes = re.sub(r"\$\((\w+)\)", lambda match: DEFINED[match[1]], takes)
    assert options_read(RULES[target]) <= set(takes.split())


def test_the_readme_shows_what_a_build_prints(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "datagen.cli", "build", "esci_mcq"]
    run = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True)
    printed = re.sub(r"built in [\d.]+ s", "built in 5.2 s", run.stdout).partition("runs/esci_mcq/report")[0]
    shown = [line.rstrip() for line in printed.splitlines()]
    assert "\n".join(shown) in PAGES[0].read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    paths = re.findall(r"`((?:datagen|templates|recipes|docs|benchmarks|tests)/[\w./-]*)`", text)
    missing += [path for path in paths if not (ROOT / path).exists()]
    assert missing == []


def test_the_changelog_has_this_version() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    assert f"\n## {setup['metadata']['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_ci_runs_the_commands_of_the_readme() -> None:
    run = re.findall(
        r"^step (make .+?)(?: ARGS=.+)?$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert run[0] == "make data RECIPE=esci_mcq"
    assert set(run) <= set(commands(ROOT / "README.md"))


def test_ci_runs_the_tests_before_anything_installs_torch_and_after() -> None:
    run = re.findall(r"^step make (\w+)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert "test" in run[: run.index("sft")]
    assert run[-1] == "test"


def test_each_recipe_of_the_examples_has_a_name_of_its_own() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    started = set(re.findall(r"`datagen new (\w+)", text))
    written = re.findall(r"^```yaml\nname: (\w+)$", text, re.MULTILINE)
    # a reader's own recipes lie in the same folder: those that git holds are shipped
    files = ["git", "ls-files", "recipes"]
    listed = subprocess.run(files, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    shipped = {Path(line).stem for line in listed.stdout.splitlines()}
    assert "esci_mcq" in shipped
    assert len(started) == 1
    assert len(written) == len({*written} - started - shipped) > 2
