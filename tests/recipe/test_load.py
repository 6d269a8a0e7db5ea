"""Loading of recipes: typed, frozen and complete; mixtures with their tasks; lockfiles with all they need."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from datagen import paths
from datagen.errors import UserError
from datagen.recipe.check import check
from datagen.recipe.load import RecipeError, fingerprint, load, resolved, scaled
from datagen.recipe.model import INHERITED, Recipe
from datagen.recipe.rows import share
from datagen.schema import LANGUAGES, TaskType, Track
from datagen.sources import SOURCES

EXAMPLES = Path(__file__).parents[1] / "broken_recipes"


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own working directory with a few recipes and templates."""
    for folder in ("recipes", "templates"):
        shutil.copytree(EXAMPLES / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, **keys: Any) -> str:
    """Write a recipe that is like `good` but for some keys; None takes a key out."""
    data = yaml.safe_load(Path("recipes/good.yaml").read_text(encoding="utf-8")) | {"name": name} | keys
    data = {key: value for key, value in data.items() if value is not None}
    Path(f"recipes/{name}.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    return name


def mix(name: str = "blend", **keys: Any) -> Recipe:
    """The mixture of `good` and `other`, but for some keys."""
    keys = {"include": ["good", "other"], "rows": 10, "sources": None, "tasks": None} | keys
    return load(write(name, **keys))


def with_tasks(name: str, *rows: int, **keys: Any) -> str:
    """A recipe with a task like `good`'s for each number of rows."""
    task = yaml.safe_load(Path("recipes/good.yaml").read_text(encoding="utf-8"))["tasks"]["match"]
    return write(name, tasks={f"task{i}": task | keys | {"rows": count} for i, count in enumerate(rows)})


def test_every_default_is_filled_in() -> None:
    recipe = load("good")
    task = recipe.tasks["match"]
    assert (recipe.seed, recipe.filters.max_tokens, recipe.filters.language) == (2024, 3072, True)
    assert (recipe.dedup.near, recipe.split.test) == (0.85, 0.1)
    assert (task.metric, task.language) == ("accuracy", "en")
    assert (task.type, task.track) == (TaskType.MULTIPLE_CHOICE, Track.BEHAVIOR)
    assert recipe.sources == {"esci": SOURCES["esci"].Options(locale=["us"])}


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load("good").seed = 3


def test_dedup_by_exact_copies_alone_is_a_null() -> None:
    assert load(write("exact", dedup={"near": None})).dedup.near is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_task_may_have_any_language_of_a_row(language: str) -> None:
    assert load(with_tasks("speaks", 1, language=language)).tasks["task0"].language == language


def test_a_source_without_options_may_be_left_empty() -> None:
    assert load(write("all_locales", sources={"esci": None})).sources == {"esci": SOURCES["esci"].Options()}


def test_a_recipe_is_found_by_name_or_by_path(work: Path) -> None:
    assert load("good") == load("recipes/good.yaml") == load(str(work / "recipes" / "good.yaml"))


def test_a_recipe_that_is_nowhere_gets_the_nearest_name() -> None:
    with pytest.raises(UserError, match="no recipe `goood`: did you mean `good`"):
        load("goood")
    with pytest.raises(UserError, match=r"no/such\.yaml: no such file"):
        load("no/such.yaml")


def test_a_template_that_is_nowhere_gets_the_nearest_name_of_its_folder() -> None:
    with pytest.raises(
        UserError, match=r"`ranking/query_for_product\.j2`: did you mean `ranking/queries_for"
    ):
        paths.find("templates", "ranking/query_for_product.j2")
    with pytest.raises(UserError, match=r"no template `multiple_choice/nowhere\.j2`: known: "):
        paths.find("templates", "multiple_choice/nowhere.j2")


def test_load_tells_every_problem_too() -> None:
    with pytest.raises(RecipeError) as error:
        load(write("bad", seed=-1, tasks={}))
    assert [problem.code for problem in error.value.problems] == ["out_of_range", "empty_value"]
    assert all(str(problem) in str(error.value) for problem in error.value.problems)


def test_what_a_user_writes_wins_over_what_ships(work: Path) -> None:
    assert "esci_mcq" in paths.names("recipes")
    assert paths.find("recipes", "esci_mcq").parent != Path("recipes")
    shutil.copy(work / "recipes" / "good.yaml", work / "recipes" / "esci_mcq.yaml")
    assert paths.find("recipes", "esci_mcq") == Path("recipes/esci_mcq.yaml")


@pytest.mark.parametrize("name", ["../secrets", "/etc/passwd", "a/../../b"])
def test_a_name_does_not_lead_out_of_its_folder(name: str) -> None:
    with pytest.raises(UserError, match="leads out"):
        paths.find("templates", name)


@given(total=st.integers(1, 10**7), weights=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=40))
def test_shares_add_up_and_nobody_goes_empty(total: int, weights: list[float]) -> None:
    counts = share(total, weights)
    assert sum(counts) == max(total, len(weights))
    assert min(counts) >= 1
    if min(counts) > 1:  # nobody was lifted to 1 at the cost of others
        exact = [total * weight / sum(weights) for weight in weights]
        assert all(abs(count - part) < 1 + 1e-6 for count, part in zip(counts, exact, strict=True))


def test_rows_are_scaled_in_proportion() -> None:
    recipe = load(with_tasks("two", 300, 100))
    assert [task.rows for task in scaled(recipe, 40).tasks.values()] == [30, 10]
    assert [task.rows for task in scaled(recipe, 1).tasks.values()] == [1, 1]
    assert scaled(recipe, 400) == recipe


def test_fewer_rows_ask_less_of_a_teacher_and_more_rows_not_more() -> None:
    recipe = load("aspects")  # four tasks of 3,000 rows from one table of 3,000
    assert scaled(recipe, 200).extract["review_aspects"].rows == 4 * 50
    assert scaled(recipe, 100_000).extract["review_aspects"].rows == 3000


def test_a_mixture_comes_out_as_its_tasks() -> None:
    recipe = mix()
    assert list(recipe.tasks) == ["good.match", "other.match"]
    assert recipe.sources == load("good").sources
    assert (recipe.name, recipe.description) == ("blend", load("good").description)


def test_a_mixture_without_weights_keeps_the_proportions() -> None:
    with_tasks("other", 200, 100)
    assert {name: task.rows for name, task in mix(rows=40).tasks.items()} == {
        "good.match": 10,
        "other.task0": 20,
        "other.task1": 10,
    }


def test_weights_set_the_shares() -> None:
    recipe = mix(rows=1000, weights={"good": 3, "other": 1})
    assert [task.rows for task in recipe.tasks.values()] == [750, 250]


def test_a_mixture_brings_its_own_seed_and_settings() -> None:
    recipe = mix(seed=7, split={"test": 0.1}, filters={"max_tokens": 100})
    assert (recipe.seed, recipe.split.test, recipe.filters.max_tokens) == (7, 0.1, 100)


def test_a_mixture_settles_which_options_hold() -> None:
    options = SOURCES["esci"].Options(locale=["us", "jp"])
    recipe = mix(include=["good", "japanese"], sources={"esci": {"locale": ["us", "jp"]}})
    assert recipe.sources == {"esci": options}


def test_mixtures_mix() -> None:
    mix("inner", rows=10)
    assert list(mix("outer", include=["inner", "good"]).tasks) == [
        "inner.good.match",
        "inner.other.match",
        "good.match",
    ]


def test_the_lock_holds_every_key_and_the_templates() -> None:
    lock = resolved(load("good"), {"esci": {"examples": "ab12"}})
    beside = {*INHERITED, "teacher"}  # tasks hold the former; the latter is told where it wrote something
    assert set(lock["recipe"]) == set(Recipe.model_fields) - beside
    assert lock["recipe"]["sources"] == {"esci": {"locale": ["us"]}}
    assert lock["recipe"]["tasks"]["match"]["metric"] == "accuracy"
    assert list(lock["templates"]) == ["multiple_choice/match.j2"]
    assert lock["seeds"] == {"esci": {"examples": "ab12"}}
    assert yaml.safe_load(yaml.safe_dump(lock)) == lock


def test_the_fingerprint_is_of_what_counts() -> None:
    seeds = {"esci": {"examples": "ab12"}}
    before = fingerprint(resolved(load("good"), seeds))
    assert fingerprint(dict(reversed(resolved(load("good"), seeds).items()))) == before
    prints = {before, fingerprint(resolved(load("good"), {"esci": {"examples": "cd34"}}))}
    prints.add(fingerprint(resolved(load(write("good", seed=3)), seeds)))
    prints.add(fingerprint(resolved(load(write("good", seed=3, dedup={"near": 0.9})), seeds)))
    with Path("templates/multiple_choice/match.j2").open("a", encoding="utf-8") as template:
        template.write("{# changed #}")
    prints.add(fingerprint(resolved(load("good"), seeds)))
    assert len(prints) == 5


@settings(max_examples=40)
@given(data=st.data())
def test_no_slip_of_the_keyboard_crashes_the_check(data: st.DataObject) -> None:
    text = (EXAMPLES / "recipes" / "good.yaml").read_text(encoding="utf-8")
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 9)))
    typed = data.draw(st.text("ab1 \n:'\"-[]{}|,.;()*", max_size=3))
    Path("recipes/slip.yaml").write_text(text[:start] + typed + text[end:], encoding="utf-8")
    lines = Path("recipes/slip.yaml").read_text(encoding="utf-8").split("\n")
    for problem in check("slip"):
        assert problem.path.is_file()
        assert problem.path.suffix == ".j2" or 1 <= problem.line <= len(lines)


@pytest.mark.parametrize("recipe", paths.names("recipes", [Path(__file__).parents[2] / "recipes"]))
def test_a_recipe_that_ships_has_no_problem(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    assert [str(problem) for problem in check(recipe)] == []
