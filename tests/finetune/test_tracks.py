"""Files of models: each is the share that it says of its sum, and mistakes are told before anything else."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from datagen.errors import UserError
from finetune.cli import main
from finetune.tracks import load, make
from tests.finetune.test_ensemble import mean, train
from tests.finetune.test_merge import difference, weights

EXAMPLE = Path(__file__).parents[2] / "finetune" / "ensembles" / "tracks.yaml"


@pytest.fixture(scope="module")
def adapters(tiny_base: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    for number, name in enumerate("ab"):
        train(tiny_base, tiny_run, folder / name, rank=2, seed=number)
    return folder


@pytest.fixture
def file(adapters: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tracks.yaml"
    path.write_text(
        f"adapters:\n  a: {adapters / 'a'}\n  b: {adapters / 'b'}\n"
        "models:\n  one:\n    weights: {a: 0.75, b: 0.25}\n    alpha: 0.5\n  two:\n    weights: {b: 1}\n"
    )
    return path


def test_each_model_is_the_share_of_the_sum_that_the_file_says(
    file: Path, adapters: Path, tiny_base: Path, tmp_path: Path
) -> None:
    command = ["ensemble", str(file), "--runs", str(tmp_path / "runs")]
    done = CliRunner().invoke(main, command, catch_exceptions=False)
    one, two = map(Path, done.stdout.split())
    assert (one, two) == (
        tmp_path / "runs" / "tracks-one" / "wise-ft-0.5",
        tmp_path / "runs" / "tracks-two" / "wise-ft-1",
    )
    assert "one: 0.75 a + 0.25 b, a share of 0.5\n" in done.stderr
    assert "to hand it in" not in done.stderr
    shares = {adapters / "a": 0.375, adapters / "b": 0.125}
    assert difference(weights(one), mean(tiny_base, shares)) < 1e-5
    assert difference(weights(two), mean(tiny_base, {adapters / "b": 1.0})) < 1e-5
    written = (one / "model.safetensors").stat().st_mtime_ns
    assert CliRunner().invoke(main, command).stdout == done.stdout
    assert (one / "model.safetensors").stat().st_mtime_ns == written


def test_a_model_that_is_named_after_a_track_is_told_how_to_be_handed_in(file: Path, tmp_path: Path) -> None:
    text = file.read_text(encoding="utf-8").replace("one:", "concepts:").replace("b: 0.25", "b: 0.5")
    file.write_text(text, encoding="utf-8")
    command = ["ensemble", str(file), "--runs", str(tmp_path / "runs")]
    done = CliRunner().invoke(main, command, catch_exceptions=False)
    first = done.stdout.split()[0]
    assert "concepts: 0.75 a + 0.5 b (which add up to 1.25), a share of 0.5\n" in done.stderr
    assert f"to hand it in: finetune submit {first} --track concepts\n" in done.stderr


def test_every_mistake_of_the_file_is_told_at_its_place(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    for old, new, message in (
        ("alpha: 0.5", "alpha: 1.5", r"tracks.yaml:7:12: out_of_range: "),
        ("alpha", "alhpa", r"tracks.yaml:7:5: unknown_key: "),
        ("{b: 1}", "{c: 1}", r"tracks.yaml:9:15: unknown_name: no adapter `c`: .*a.*b"),
    ):
        file.write_text(text.replace(old, new))
        with pytest.raises(UserError, match=rf"the models cannot be made:\n.*{message}"):
            load(file)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["ensemble", str(tmp_path / "gone.yaml")])
    assert done.exit_code == 1
    assert "gone.yaml: no such file. Copy finetune/ensembles/tracks.yaml" in done.stderr


def test_a_disk_without_room_for_all_is_told_before_the_first(
    file: Path, tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = (tiny_base / "model.safetensors").stat().st_size
    room = SimpleNamespace(free=1.5 * one)
    monkeypatch.setattr("datagen.storage.files.shutil.disk_usage", lambda folder: room)
    with pytest.raises(UserError, match=r"runs: needs 0.0 GB, and its disk has"):
        next(make(file, tmp_path / "runs"))
    assert not any((tmp_path / "runs").iterdir())


def test_a_training_that_is_not_finished_is_told_before_the_first(
    file: Path, adapters: Path, tmp_path: Path
) -> None:
    gone = Path(shutil.copytree(adapters / "b", tmp_path / "b"))
    (gone / "run.json").unlink()
    file.write_text(file.read_text(encoding="utf-8").replace(str(adapters / "b"), str(gone)))
    with pytest.raises(UserError, match=rf"{gone}/run.json: no such file"):
        next(make(file, tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_a_file_of_models_takes_no_other_words(file: Path) -> None:
    done = CliRunner().invoke(main, ["ensemble", str(file), "--rank", "4"])
    assert done.exit_code == 2
    assert "says what its models are made of" in done.stderr


def test_the_example_has_a_model_for_each_track() -> None:
    found = load(EXAMPLE)
    assert set(found.models) == {"concepts", "reasoning", "behavior", "languages"}
    assert [model.alpha for model in found.models.values()] == [0.75, 0.5, 0.25, 0.5]
