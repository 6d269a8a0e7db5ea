"""The help of every command: instant, with every option explained and an example that works."""

import json
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import datagen.cli
import finetune.cli
import infer.cli

CLIS = {"datagen": datagen.cli.main, "finetune": finetune.cli.main, "infer": infer.cli.main}
COMMANDS = [(program, name) for program, main in CLIS.items() for name in main.commands]

SLOW_TO_IMPORT = {
    "datasets",
    "duckdb",
    "jinja2",
    "matplotlib",
    "numpy",
    "openai",
    "pandas",
    "pyarrow",
    "pydantic",
}
SLOW_TO_IMPORT |= {"accelerate", "peft", "torch", "transformers", "trl", "vllm"}


def help_of(*words: str) -> str:
    program, *arguments = words
    result = CliRunner().invoke(CLIS[program], [*arguments, "--help"], catch_exceptions=False)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.parametrize(("program", "name"), COMMANDS)
def test_the_help_of_a_command_has_an_example_that_it_understands(program: str, name: str) -> None:
    main = CLIS[program]
    assert isinstance(main, click.Group)
    command = main.commands[name]
    example = re.search(rf"^ +{program} (.+)$", help_of(program, name), re.MULTILINE)
    assert example
    words = example[1].split()
    assert words[0] == name
    command.make_context(name, words[1:]).close()
    assert all(option.help for option in command.params if isinstance(option, click.Option))


@pytest.mark.parametrize(("program", "name"), [pair for pair in COMMANDS if pair[0] != "datagen"])
def test_the_help_of_a_command_says_what_its_arguments_are(program: str, name: str) -> None:
    main = CLIS[program]
    assert isinstance(main, click.Group)
    command = main.commands[name]
    arguments = [of for of in command.params if isinstance(of, click.Argument)]
    names = re.findall("[A-Z]+", " ".join(of.make_metavar(click.Context(command)) for of in arguments))
    assert names
    assert [word for word in names if not re.search(rf"\b{word} is\b", command.help or "")] == []


@pytest.mark.parametrize("program", CLIS)
def test_the_summary_of_every_command_fits_its_line(program: str) -> None:
    assert "..." not in help_of(program).split("Commands:")[1]


@pytest.mark.parametrize("arguments", [["--help"], ["COMMAND", "--help"]], ids=["all", "one"])
@pytest.mark.parametrize("program", CLIS)
def test_help_loads_nothing_that_takes_time(program: str, arguments: list[str]) -> None:
    command = {"datagen": "build", "finetune": "train", "infer": "run"}[program]
    words = [command if word == "COMMAND" else word for word in arguments]
    code = (
        f"import json, sys\nfrom {program}.cli import main\n"
        f"try:\n    main({words})\nexcept SystemExit:\n    pass\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert SLOW_TO_IMPORT & set(json.loads(done.stdout.splitlines()[-1])) == set()
