"""The house rules of every file: it says what it is, speaks of nothing else, is small, and is shipped."""

import ast
import re
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAX_BYTES = 500_000

RIDDLE = re.compile(r"\b(?:go|goes) in\b|\b(?:come|comes) out\b|\bin[,;] .*\bout\b", re.IGNORECASE)
"""A first sentence that says what goes in and comes out, and leaves a reader to guess what the module is."""

DRAWERS = {"utils", "util", "common", "base", "helpers", "helper", "misc"}

FOREIGN = {
    "a path of one machine": re.compile(r"(?<![\w.:/}*-])/(?:home|root|Users|work|opt|mnt|srv)/"),
    "a folder outside the project": re.compile(r"(?<![\w-])shared/|\.\./shared"),
    "a numbered ticket": re.compile(r"\bissue #?\d", re.IGNORECASE),
}

# The one script that knows where real data lies, and the file that spells out what is forbidden.
MAY_NAME_THEM = {".ci/run", "tests/test_house.py"}


def tracked() -> list[str]:
    """Files that git keeps or is about to be given, as paths from the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip("not a git checkout")
    return [name for name in run.stdout.split("\0") if name and (ROOT / name).is_file()]


def python_files() -> list[str]:
    return [name for name in tracked() if name.endswith(".py")]


def test_every_module_opens_with_a_sentence_about_itself() -> None:
    bad = []
    for name in python_files():
        docstring = ast.get_docstring(ast.parse((ROOT / name).read_text(encoding="utf-8"))) or ""
        first = docstring.partition("\n")[0]
        if not (len(first.split()) > 3 and first.endswith((".", ":"))) or RIDDLE.search(first):
            bad.append(f"{name}: {first!r}")
    assert bad == []


def test_no_module_is_a_drawer() -> None:
    assert [name for name in python_files() if DRAWERS & set(re.split(r"[/.]", name))] == []


@pytest.mark.parametrize("what", FOREIGN)
def test_the_project_speaks_of_itself_alone(what: str) -> None:
    places = []
    for name in set(tracked()) - MAY_NAME_THEM:
        text = (ROOT / name).read_bytes().decode("utf-8", errors="replace")
        places += [
            f"{name}:{number}: {line.strip()}"
            for number, line in enumerate(text.splitlines(), start=1)
            if FOREIGN[what].search(line)
        ]
    assert sorted(places) == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a path of one machine", "cd /ho" + "me/ann/shoptalk"),
        ("a folder outside the project", "SEEDS=../sha" + "red/seeds"),
        ("a numbered ticket", "see Iss" + "ue 3"),
    ],
)
def test_the_patterns_catch_what_they_are_for(what: str, line: str) -> None:
    assert FOREIGN[what].search(line)


def test_no_file_is_big() -> None:
    sizes = {name: (ROOT / name).stat().st_size for name in tracked()}
    assert {name: size for name, size in sizes.items() if size > MAX_BYTES} == {}


def test_every_file_of_the_package_is_installed() -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    packages = setup["options"]["packages"].split()
    data = {package: globs.split() for package, globs in setup["options.package_data"].items()}
    folders = {package: Path(package.replace(".", "/")) for package in packages}
    folders |= {"datagen.templates": Path("templates"), "datagen.recipes": Path("recipes")}

    def installed(file: Path) -> bool:
        if file.suffix == ".py":
            return file.parent in folders.values()
        return any(
            ROOT / file in (ROOT / folder).glob(glob)
            for package, folder in folders.items()
            for glob in data.get(package, [])
        )

    tops = ("datagen/", "finetune/", "infer/", "templates/", "recipes/")
    ours = [Path(name) for name in tracked() if name.startswith(tops)]
    assert [str(file) for file in ours if not installed(file)] == []
