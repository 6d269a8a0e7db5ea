"""Model names and fingerprints: a folder or one line of error; any change of a file is another model."""

import json
from pathlib import Path

import pytest

from datagen.errors import UserError
from datagen.hf.checkpoint import folder_fingerprint, model_folder
from tests.conftest import write_model_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model_files(tmp_path / "model")


def test_a_folder_with_all_files_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_folder(str(folder)) == folder
    monkeypatch.setenv("HOME", str(folder.parent))
    assert model_folder("~/model") == folder


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", "gone: no such model folder. .*finetune/runs/NAME/merged.* `finetune base smollm2-135m`"),
        ("nobody/nothing", "nobody/nothing: neither a folder"),
    ],
)
def test_a_name_of_nothing_is_told_what_to_name(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        model_folder(name)


def test_a_folder_that_is_not_whole_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json"):
        model_folder(str(folder))


def test_links_in_a_circle_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match=r"a: links that lead in a circle\. Name the folder itself"):
        model_folder(str(tmp_path / "a"))


def test_code_of_a_model_runs_only_where_it_is_allowed_by_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    code = {"auto_map": {"AutoConfig": "configuration_mine.MineConfig"}}
    (folder / "config.json").write_text(json.dumps(said | code), encoding="utf-8")
    refused = rf"{folder}: its config.json names Python code .* allow it by name: REMOTE_CODE={folder}"
    with pytest.raises(UserError, match=refused):
        model_folder(str(folder))
    monkeypatch.setenv("REMOTE_CODE", "1")
    with pytest.raises(UserError, match=refused):
        model_folder(str(folder))
    monkeypatch.setenv("REMOTE_CODE", f"some/other, {folder}/")
    assert model_folder(str(folder)) == folder


def test_a_change_of_weights_template_or_config_is_another_model(folder: Path) -> None:
    prints = {folder_fingerprint(folder)}
    (folder / "model.safetensors").write_bytes(b"others")
    prints.add(folder_fingerprint(folder))
    (folder / "config.json").write_text("{}")
    prints.add(folder_fingerprint(folder))
    (folder / "chat_template.jinja").write_text("y")
    prints.add(folder_fingerprint(folder))
    assert len(prints) == 4
    assert folder_fingerprint(folder) in prints
