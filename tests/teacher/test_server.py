"""Tests of the address of a teacher's server."""

import pytest

from datagen.errors import UserError
from datagen.recipe.load import load, with_teacher
from datagen.teacher.server import address_problem


@pytest.mark.parametrize(
    "url",
    ["http://localhost:8000/v1", "https://llm.example.com", "http://[::1]:8000/v1/", " http://10.0.0.1/v1"],
)
def test_addresses_to_ask_at(url: str) -> None:
    assert address_problem(url) == ""


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("localhost:8000/v1", "no address"),
        ("", "no address"),
        ("http://", "no address"),
        ("http://host:port/v1", "no address"),
        ("http://[::1/v1", "no address"),
        ("http://user:hunter2@localhost/v1", "a name or a password"),
        ("http://hunter2@localhost/v1", "a name or a password"),
        ("https://host/v1?key=hunter2", r"after its \? or #"),
        ("https://host/v1#hunter2", r"after its \? or #"),
    ],
)
def test_other_addresses_are_refused_and_not_repeated(url: str, says: str) -> None:
    recipe = load("reworded")
    with pytest.raises(UserError, match=f"what stands in --base-url .*{says}") as refused:
        with_teacher(recipe, "m", url)
    own = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"base_url": url})})
    with pytest.raises(UserError, match=f"`teacher.base_url` of the recipe .*{says}"):
        with_teacher(own, None, None)
    assert "hunter2" not in str(refused.value)
