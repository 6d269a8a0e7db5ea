"""Quantising: what is refused, what is published, and the whole of it where its environment is installed."""

import importlib.util
import io
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from datagen.errors import UserError
from datagen.hf.checkpoint import ORIGIN, fingerprint, weight_files
from finetune import quantize as module
from finetune import quantize_process as process_module
from finetune.calibration import questions
from finetune.cli import main
from finetune.dataset import read_split
from finetune.padding import Grouped
from finetune.quantize import Job, quantize
from finetune.quantize_process import ENVIRONMENT, Report
from tests.finetune.conftest import rows
from tests.processes import at_work

SILENT = Report(lambda line: None, lambda done, total: None)


class Usage(NamedTuple):
    """What `shutil.disk_usage` gives."""

    free: int


@pytest.fixture
def model(tiny_base: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model, and beside it what a test writes."""
    return Path(shutil.copytree(tiny_base, tmp_path / "run" / "merged"))


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that is there, for what fails before it is used."""
    python = tmp_path / "environment" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(process_module, "ENVIRONMENT", tmp_path / "environment")


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """Two dozen questions in ShopBench's form."""
    path = tmp_path / "questions.jsonl"
    lines = [
        {
            "input_field": text,
            "output_field": int(answer),
            "task_name": kind.value,
            "task_type": "multiple-choice",
        }
        for kind, text, answer in rows()
        if answer.isdigit()
    ]
    path.write_text("".join(json.dumps(line | {"metric": "accuracy"}) + "\n" for line in lines))
    return path


def test_without_its_environment_it_says_how_to_get_it(
    model: Path, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "ENVIRONMENT", tmp_path / "none")
    with pytest.raises(UserError, match=r"none: not there.* Run: make \.venv/quantize"):
        quantize(str(model), asked, SILENT)


def test_a_quantised_model_is_not_quantised_again(model: Path, asked: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "awq"}}))
    with pytest.raises(UserError, match=f"{model}: quantised already"):
        quantize(str(model), asked, SILENT)


@pytest.mark.usefixtures("environment")
def test_weights_that_are_no_numbers_are_named(model: Path, asked: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 4] = torch.nan
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        UserError, match=r"`model\.layers\.1\.mlp\.up_proj\.weight` holds numbers that are not"
    ):
        quantize(str(model), asked, SILENT)


@pytest.mark.usefixtures("environment")
def test_a_disk_without_room_is_told_of_before(
    model: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(2**20))
    with pytest.raises(UserError, match=r"\.awq\.unfinished: needs 0\.3 GB, and its disk has 0\.0 GB left"):
        quantize(str(model), asked, SILENT)


@pytest.mark.usefixtures("environment")
def test_too_few_questions_are_refused(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text('{"input_field": "Which?", "output_field": "x"}\n')
    with pytest.raises(UserError, match=r"1 questions are too few to calibrate on some and score others"):
        quantize(str(model), path, SILENT)


@pytest.mark.usefixtures("environment")
def test_what_is_in_the_way_is_left_alone(model: Path, asked: Path) -> None:
    other = Path(shutil.copytree(model, model.with_name("awq")))
    with pytest.raises(UserError, match=f"{other} is in the way"):
        quantize(str(model), asked, SILENT)
    with pytest.raises(UserError, match="the model itself lies there"):
        quantize(str(model), asked, SILENT, name="merged")


@pytest.mark.usefixtures("environment")
def test_a_worker_that_fails_is_heard(model: Path, asked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = process_module.ENVIRONMENT / "bin" / "python"
    python.write_text("#!/bin/sh\necho 'no such layer' >&2\nexit 3\n")
    python.chmod(0o755)
    with pytest.raises(
        UserError, match=r"llm-compressor failed \(3\)\..*worker\.log has all .*\n  no such layer"
    ):
        quantize(str(model), asked, SILENT)
    python.write_text("#!/bin/sh\necho 'OSError: No space left on device' >&2\nexit 1\n")
    with pytest.raises(UserError, match="the disk is full"):
        quantize(str(model), asked, SILENT)


@pytest.mark.usefixtures("environment")
def test_a_worker_that_is_killed_is_said_so(model: Path, asked: Path) -> None:
    python = process_module.ENVIRONMENT / "bin" / "python"
    python.write_text("#!/bin/sh\necho 'UserWarning: old' >&2\nkill -TERM $$\n")
    python.chmod(0o755)
    with pytest.raises(
        UserError, match=r"its worker was killed \(SIGTERM\); the same command starts it anew$"
    ):
        quantize(str(model), asked, SILENT)


def test_without_a_terminal_lines_say_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("finetune.callbacks")
    now, terminal = 0.0, False
    monkeypatch.setattr("sys.stderr", io.StringIO())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr("time.monotonic", lambda: now)
    lines: list[str] = []
    told = process_module._paced(Report(lines.append, lambda done, total: None))
    for layer in range(1, 31):
        for _ in range(3):
            told(layer, 31)
            now += 8
    assert lines[:2] == [
        "layer 4 of 31, about 11 minutes to go",
        "layer 7 of 31, about 10 minutes to go",
    ]
    assert len(lines) == 9
    terminal = True
    told = process_module._paced(Report(lines.append, lambda done, total: None))
    for layer in range(1, 31):
        told(layer, 31)
        now += 60
    assert len(lines) == 9


def wish(model: Path, asked: Path) -> dict[str, str]:
    """What AWQ of that model, on those questions, is made from."""
    found = questions(model, asked, 96, 300)
    return {
        "method": "awq",
        "calibration": module._hashed([of.ids for of in found.calibration]),
        "questions": module._hashed(["number", *([one.id, one.prompt] for one in found.scored)]),
        "source_sha256": fingerprint(weight_files(model)),
    }


def judged(model: Path, asked: Path, score: Sequence[float]) -> Path:
    """A quantised model that waits for its judgement: its score fell by that, with that interval."""
    refused = Path(shutil.copytree(model, model.with_name("awq-refused")))
    figures: dict[str, Any] = {
        "made_from": wish(model, asked),
        "before": {"score": 0.5, "gib": 2.0},
        "after": {"score": 0.5 + score[0]},
        "change": dict(zip(("score", "low", "high"), score, strict=True)),
        "scored": {"questions": 24, "tasks": 3},
    }
    module._describe(model, refused, figures)
    return refused


@pytest.mark.usefixtures("environment")
def test_a_model_that_lost_too_much_is_kept_aside_until_the_margin_allows_it(
    model: Path, asked: Path
) -> None:
    refused = judged(model, asked, (-0.06, -0.1, -0.02))
    with pytest.raises(UserError, match=rf"{refused}: not published.*: score 0\.500 -> 0\.440, -0\.060"):
        quantize(str(model), asked, SILENT)
    assert not (model.parent / "awq").exists()
    lines: list[str] = []
    report = Report(lines.append, lambda done, total: None)
    published = quantize(str(model), asked, report, margin=0.07)
    assert published == model.parent / "awq"
    assert "its interval is not" in lines[0]
    assert not refused.exists()
    assert json.loads((published / ORIGIN).read_text())["choose"] == "number"
    assert quantize(str(model), asked, report, margin=0.07) == published
    assert lines[-1].startswith(f"{published} is there already: score 0.500 -> 0.440")
    with pytest.raises(UserError, match=r"is published already, and .* margin of 0: score 0\.500 -> 0\.440"):
        quantize(str(model), asked, report, margin=0)


@pytest.mark.parametrize("margin", ["nan", "inf"])
def test_a_margin_is_a_number(model: Path, asked: Path, margin: str) -> None:
    result = CliRunner().invoke(main, ["quantize", str(model), "--questions", str(asked), "--margin", margin])
    assert result.exit_code == 1
    assert f"a margin of {margin}: give a number" in result.output


@pytest.mark.usefixtures("environment")
def test_a_model_of_another_is_not_replaced(model: Path, asked: Path) -> None:
    judged(model, asked, (0.01, -0.01, 0.03))
    other = Path(shutil.copytree(model, model.with_name("wise-ft-0.5")))
    trained_on(other)
    with pytest.raises(UserError, match=r"awq-refused was made from another model than .*wise-ft-0\.5"):
        quantize(str(other), asked, SILENT, name="awq")
    published = quantize(str(model), asked, SILENT)
    with pytest.raises(UserError, match=r"awq was made from another model .* Give --name, or delete it"):
        quantize(str(other), asked, SILENT, name="awq")
    trained_on(model)
    with pytest.raises(UserError, match=r"or from other weights of it"):
        quantize(str(model), asked, SILENT)
    assert published.is_dir()


@pytest.mark.usefixtures("environment")
def test_models_of_one_training_have_names_of_their_own(model: Path, asked: Path) -> None:
    other = Path(shutil.copytree(model, model.with_name("wise-ft-0.5")))
    judged(other, asked, (0.01, -0.01, 0.03)).rename(model.with_name("wise-ft-0.5-awq-refused"))
    assert quantize(str(other), asked, SILENT).name == "wise-ft-0.5-awq"


def trained_on(model: Path) -> None:
    """Change the model's weights."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(model / "model.safetensors")
    name = next(iter(weights))
    save_file(
        weights | {name: torch.zeros_like(weights[name])},
        model / "model.safetensors",
        metadata={"format": "pt"},
    )


@pytest.mark.usefixtures("environment")
def test_a_gain_is_published_and_told(model: Path, asked: Path) -> None:
    judged(model, asked, (0.01, -0.01, 0.03))
    lines: list[str] = []
    report = Report(lines.append, lambda done, total: None)
    assert quantize(str(model), asked, report) == model.parent / "awq"
    (line,) = lines
    assert line.startswith("score 0.500 -> 0.510, +0.010 [-0.01, +0.03]; 2 GiB -> ")
    assert line.endswith("; 24 questions of 3 tasks are few: the true interval is wider")


@pytest.mark.usefixtures("environment")
def test_the_page_outlives_the_unfinished_folder(
    model: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = model.parent / ".awq.unfinished"
    done = Path(shutil.copytree(model, work / "model"))
    (work / "wanted.json").write_text(json.dumps(wish(model, asked)))
    module._describe(model, done, {"before": {"gib": 2.0}, "after": {}})

    def infer(*words: Any) -> str:
        if words[0] == "run":
            return ""
        before, after, page = words[1], words[2], words[words.index("--page") + 1]
        page.write_text("page")
        score = {"score": 0.5, "low": 0.4, "high": 0.6}
        of = {"overall": score, "tasks": {"a": {"n": 9}, "b": {"n": 10}}, "changes": {before.name: score}}
        return json.dumps({before.name: of, after.name: of})

    monkeypatch.setattr(module, "infer", infer)
    monkeypatch.setattr(module, "answers_packed", lambda: True)
    lines: list[str] = []
    quantize(str(model), asked, Report(lines.append, lambda done, total: None))
    assert not work.exists()
    assert (model.parent / "awq-compare.html").read_text() == "page"
    assert lines[-1].endswith("; 19 questions of 2 tasks are few: the true interval is wider")


def test_a_data_set_calibrates_with_what_was_trained_on_and_scores_the_rest(
    tiny_base: Path, tiny_run: Path
) -> None:
    from finetune.base_models import load_tokenizer

    found = questions(tiny_base, tiny_run, 5, 4)
    trained = read_split(tiny_run, "train", load_tokenizer(tiny_base), 2048, 5)
    assert [of.ids for of in found.calibration] == trained.rows["input_ids"].to_pylist()
    first = trained.rows["completion_mask"][0].as_py()
    assert found.calibration[0].start == first.index(1)
    assert len(found.measured) == 6
    assert len(found.scored) == 4


@pytest.mark.parametrize(("method", "listed"), [("awq", 8), ("rtn", None)])
def test_rounding_lists_no_sequences(model: Path, asked: Path, method: str, listed: int | None) -> None:
    found = questions(model, asked, 96, 300)
    of: dict[str, Any] = {"perplexity_before": None, "perplexity_after": None}
    job = Job(model, model.parent, found, {"method": method}, SILENT)
    made = module._made(job, Grouped({}, []), None, of)
    assert (made["calibration"] or {}).get("sequences") == listed


def test_a_file_is_parted(tiny_base: Path, asked: Path) -> None:
    from finetune.base_models import load_tokenizer

    found = questions(tiny_base, asked, 6, 100)
    tokenizer = load_tokenizer(tiny_base)
    said = [tokenizer.decode(of.ids) for of in found.calibration]
    assert (len(found.calibration), len(found.scored), found.measured) == (6, 10, [])
    assert not any(one.prompt in text for one in found.scored for text in said)
    assert all("<|im_start|>assistant\n" in text for text in said)


def test_a_model_that_chooses_by_text_is_calibrated_so(model: Path, asked: Path) -> None:
    from finetune.base_models import load_tokenizer

    (model / ORIGIN).write_text('{"choose": "text"}')
    found = questions(model, asked, 6, 100)
    tokenizer = load_tokenizer(model)
    for of in found.calibration:
        question, answer = tokenizer.decode(of.ids[: of.start]), tokenizer.decode(of.ids[of.start :])
        assert "0. " not in question
        assert answer.split()[-1] in ("chair", "lamp", "mug")


@pytest.fixture
def qwen(tiny_base: Path, tmp_path: Path) -> Path:
    """A Qwen2 of random weights that vLLM can load, and that has to be padded."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

    folder = Path(shutil.copytree(tiny_base, tmp_path / "run" / "merged"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=2432,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=False,
        initializer_range=0.1,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not ENVIRONMENT.is_dir(), reason="needs its environment: make .venv/quantize")
@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="needs the extra `infer-cpu`")
def test_a_model_is_padded_quantised_killed_resumed_scored_and_published(qwen: Path, tiny_run: Path) -> None:
    command = ["-m", "finetune.cli", "quantize", str(qwen), "--questions", str(tiny_run)]
    command = [sys.executable, *command, "--samples", "4", "--limit", "6", "--margin", "1"]
    work = qwen.parent / ".awq.unfinished"
    with at_work(command) as process:
        while not (work / "unfinished" / "request.json").is_file():
            assert process.poll() is None
            time.sleep(0.1)
        time.sleep(1)
        process.kill()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    folder = qwen.parent / "awq"
    assert done.stdout == f"{folder}\n"
    figures = json.loads((folder / ORIGIN).read_text())["quantized"]
    assert figures["padded"] == [2432, 2560]
    readable = (qwen / "config.json").stat().st_mode
    assert {file.stat().st_mode for file in folder.iterdir()} == {readable}
    assert figures["calibration"]["sequences"] == 4
    assert figures["after"]["gib"] < figures["before"]["gib"] / 4
    assert 0.5 < figures["after"]["perplexity"] / figures["before"]["perplexity"] < 2  # it has learnt nothing
    assert not work.exists()
    assert (qwen.parent / "awq-compare.html").is_file()
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "is there already" in again.stderr


def test_the_worker_ends_when_its_parent_does(tmp_path: Path) -> None:
    script = Path(module.__file__).with_name("quantize_worker.py")
    code = (
        f"import runpy, sys, time; sys.argv = ['x']; worker = runpy.run_path({str(script)!r});"
        "import threading; threading.Thread(target=worker['_end_with_parent'], daemon=True).start();"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=50) == 1


def test_the_command_takes_what_its_help_says(
    model: Path, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "ENVIRONMENT", model / "none")
    result = CliRunner().invoke(main, ["quantize", str(model), "--questions", str(asked), "--margin", "0.1"])
    assert result.exit_code == 1
    assert result.output.startswith(f"error: {model / 'none'}: not there")
