"""The rows of seed tables that `datagen sources` prints."""

import json
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from wcwidth import wcswidth

from datagen.cli import main


def printed(name: str, seeds: Path) -> str:
    result = CliRunner().invoke(main, ["sources", name, "--seeds", str(seeds)], catch_exceptions=False)
    assert (result.exit_code, result.stderr) == (0, "")
    return click.unstyle(result.stdout)


@pytest.mark.parametrize(
    "name", ["esci.titled", "m2.products", "reviews.items", "ecinstruct.rows", "mmlu.asked", "lists.colors"]
)
def test_three_rows_of_a_table_are_printed_within_eighty_columns(shop: Path, name: str) -> None:
    head, *rows = printed(name, shop / "seeds").rstrip().split("\n\n")
    assert head.splitlines()[0] == f"  {name}"
    assert len(rows) == 3
    assert all(wcswidth(line) <= 80 for line in "\n".join(rows).splitlines())


def test_columns_are_told_with_their_types_and_long_texts_are_cut(shop: Path) -> None:
    text = printed("reviews.items", shop / "seeds")
    assert "average_rating DOUBLE,\n" in text
    assert "features VARCHAR[], " in text
    assert "…\n" in text


def test_no_user_is_shown(shop: Path) -> None:
    text = printed("reviews.reviews", shop / "seeds")
    assert len(re.findall(r"^  user_id +\d+$", text, re.MULTILINE)) == 3
    files = (shop / "seeds" / "reviews").glob("[A-Z]*.jsonl")
    users = {json.loads(line)["user_id"] for file in files for line in file.read_text("utf-8").splitlines()}
    assert users
    assert not any(user in text for user in users)


def test_a_table_without_rows_says_so(tmp_path: Path) -> None:
    (tmp_path / "alpaca").mkdir()
    unanswered = [{"instruction": "Name a fruit.", "input": "", "output": ""}]
    (tmp_path / "alpaca" / "alpaca_data_cleaned.json").write_text(json.dumps(unanswered), encoding="utf-8")
    assert printed("alpaca.fit", tmp_path).endswith(f"\n\n  {tmp_path} gives no row of it\n")


def test_a_folder_in_the_wrong_case_is_no_source_and_told(tmp_path: Path) -> None:
    (tmp_path / "Reviews").mkdir()
    said = "(it has `Reviews`: did you mean `reviews`?)"
    result = CliRunner().invoke(main, ["sources", "--check", str(tmp_path)])
    assert f"is in it {said}. " in result.stderr
    (tmp_path / "mmlu").mkdir()
    result = CliRunner().invoke(main, ["sources", "--check", str(tmp_path)])
    assert f"reviews  not there {said}. Put" in click.unstyle(result.stdout)
    assert result.stdout.count("did you mean") == 1
