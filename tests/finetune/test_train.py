"""Training: golden losses, resuming after a kill, finished work that is not repeated, and clean failures."""

import json
import shutil
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datagen.errors import UserError
from datagen.hf.checkpoint import chooses_by
from finetune.config import load
from finetune.dataset import ROW, Split, marked, read_split
from tests.finetune.conftest import WriteRun, metrics, rows

GOLDEN = Path(__file__).parent / "golden_losses.json"
"""Losses of `tiny_config` on `tiny_run`. If a change should shift them: delete the file, test twice."""

Train = Callable[..., Path]


def silent(text: str) -> None:
    pass


@pytest.fixture
def train(tiny_config: Path, tiny_run: Path, tmp_path: Path) -> Train:
    def train(
        *settings: str, data: Path = tiny_run, name: str = "run", say: Callable[[str], None] = silent
    ) -> Path:
        from finetune.train import train

        run = tmp_path / "trainings" / name
        train(load(str(tiny_config), settings), data, run, say)
        return run

    return train


def losses(run: Path, name: str = "loss") -> dict[int, float]:
    return {entry["step"]: entry[name] for entry in metrics(run) if name in entry}


def test_thirty_steps_give_the_stored_losses(train: Train) -> None:
    run = train()
    found = {"loss": losses(run), "eval_loss": losses(run, "eval_loss")}
    if not GOLDEN.is_file():
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        pytest.fail(f"{GOLDEN} is written: look at it, and run again")
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for name, values in found.items():
        assert list(map(str, values)) == list(golden[name])
        assert list(values.values()) == pytest.approx(list(golden[name].values()), abs=1e-4)
    assert len(found["loss"]) == 30
    assert found["eval_loss"][30] < found["eval_loss"][0] / 2


def test_a_run_holds_what_it_promises_and_no_pickle(train: Train) -> None:
    run = train("epochs=1")
    assert sorted(path.name for path in run.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "chat_template.jinja",
        "config.yaml",
        "loss.png",
        "metrics.jsonl",
        "rejects.parquet",
        "run.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    done = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert (done["rows"], done["steps"], done["rejected"]) == (24, 6, 0)
    assert done["eval_loss"] == losses(run, "eval_loss")[6]
    assert load(str(run / "config.yaml")).model_dump(mode="json") == done["config"]
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")
    card = (run / "README.md").read_text(encoding="utf-8")
    assert "| esci | Apache-2.0 | 24 |" in card
    assert f"{done['eval_loss']:.4f}" in card


@pytest.mark.parametrize("step", [4, 8, 16, 28])  # 8: goes on in the middle of an epoch
def test_a_training_that_was_cut_off_goes_on_to_the_same_losses(train: Train, step: int) -> None:
    def cut(text: str) -> None:
        if text.startswith(f"step {step}/"):
            raise KeyboardInterrupt

    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        train(name="cut", say=cut)
    run = train(name="cut", say=said.append)
    assert [line for line in said if "goes on" in line] == (
        [f"goes on from step {step - 4}"] if step > 4 else []
    )
    whole = train(name="whole")
    assert losses(run) == pytest.approx(losses(whole), abs=1e-5)
    assert losses(run, "eval_loss") == pytest.approx(losses(whole, "eval_loss"), abs=1e-5)
    assert [entry.get("tokens") for entry in metrics(run)] == [e.get("tokens") for e in metrics(whole)]
    same_weights(run, whole)


def same_weights(run: Path, other: Path) -> None:
    from safetensors.torch import load_file

    ours, theirs = (load_file(path / "adapter_model.safetensors") for path in (run, other))
    assert ours.keys() == theirs.keys()
    assert all(weight.sub(theirs[name]).abs().max() < 1e-5 for name, weight in ours.items())


def test_an_adapter_names_its_base_as_others_know_it_and_nobody_asks_the_hub(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **__: object) -> bool:
        raise AssertionError("the hub was asked for a base that is here")

    monkeypatch.setattr("finetune.train.published", lambda name: "somebody/base")
    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", asked)
    adapter = json.loads((train("epochs=1") / "adapter_config.json").read_text(encoding="utf-8"))
    assert adapter["base_model_name_or_path"] == "somebody/base"


def test_a_checkpoint_that_was_not_written_to_its_end_is_passed_over(tmp_path: Path) -> None:
    from finetune.train import last_checkpoint

    for step, state in ((4, '{"global_step": 4}'), (8, '{"global_st'), (12, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state, encoding="utf-8")
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-4"


def test_a_finished_training_is_not_repeated(train: Train) -> None:
    run = train("epochs=1")
    before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    (run / "checkpoints" / "checkpoint-6").mkdir(parents=True)  # killed while it was tidied up
    said: list[str] = []
    train("epochs=1", say=said.append)
    assert said == [f"{run} is trained already"]
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before


def test_another_config_is_not_taken_for_the_same_training(train: Train) -> None:
    run = train("epochs=1")
    with pytest.raises(UserError) as caught:
        train("epochs=1", "lr=0.5", "rank=2")
    assert str(caught.value).splitlines() == [
        f"{run} holds another training:",
        "  rank: 4 then, 2 now",
        "  lr: 0.02 then, 0.5 now",
        f"Give this one a --name of its own, or delete {run}",
    ]


def test_other_shards_are_not_taken_for_the_same(train: Train, tmp_path: Path, write_run: WriteRun) -> None:
    train("epochs=1")
    with pytest.raises(UserError, match="tiny was built anew since"):
        train("epochs=1", data=write_run(tmp_path / "tiny", rows()[1:], rows()))
    with pytest.raises(UserError, match="data: tiny then, other now"):
        train("epochs=1", data=write_run(tmp_path / "other", rows()[1:], rows()))


def test_a_half_finished_training_is_not_gone_on_with_under_another_config(train: Train) -> None:
    def cut(text: str) -> None:
        if text.startswith("step 8/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(say=cut)
    with pytest.raises(UserError, match=r"the beginning of another training:\n  epochs: 5 then, 6 now"):
        train("epochs=6")


@pytest.mark.parametrize(
    ("part", "setting"), [("load_model", "lr=0.01"), ("_arguments", "report_to=tensorboard")]
)
def test_a_training_that_could_not_begin_is_in_no_ones_way(
    train: Train, monkeypatch: pytest.MonkeyPatch, part: str, setting: str
) -> None:
    """Neither its lock nor the folder of its log: another config may take the name."""

    def useless(*_: Any) -> None:
        raise UserError("cannot begin")

    with monkeypatch.context() as patched:
        patched.setattr(f"finetune.train.{part}", useless)
        patched.setattr("finetune.train._tensorboard", lambda run: (run / "tensorboard").mkdir(parents=True))
        with pytest.raises(UserError, match="cannot begin"):
            train(setting)
    train()


def test_a_folder_of_something_else_is_not_trained_into(train: Train, tmp_path: Path) -> None:
    (tmp_path / "trainings" / "run").mkdir(parents=True)
    (tmp_path / "trainings" / "run" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(UserError, match="is in the way"):
        train()


@pytest.mark.parametrize("lr", ["1e9", "1e30"])
def test_a_loss_that_diverges_ends_the_training_and_saves_nothing(
    train: Train, tmp_path: Path, lr: str
) -> None:
    with pytest.raises(UserError, match=r"the loss diverged: .* Lower the learning rate"):
        train(f"lr={lr}")
    run = tmp_path / "trainings" / "run"
    assert not (run / "run.json").exists()
    assert list(run.rglob("*.safetensors")) == []


def test_early_stopping_keeps_the_best_loss(train: Train) -> None:
    run = train("lr=0.3", "epochs=30", "patience=2", "warmup_steps=0")
    found = losses(run, "eval_loss")
    best = min(found.values())
    done = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert done["steps"] < 180
    assert done["eval_loss"] == best
    assert done["tokens"] == max(entry.get("tokens", 0) for entry in metrics(run))
    later = list(found.values())[list(found.values()).index(best) + 1 :]
    assert len(later) == 2


def test_early_stopping_counts_on_after_a_kill(train: Train) -> None:
    settings = ("lr=0.3", "epochs=30", "patience=2", "warmup_steps=0")
    whole = train(*settings, name="whole")
    stops = json.loads((whole / "run.json").read_text(encoding="utf-8"))["steps"]

    def cut(text: str) -> None:
        if text.startswith(f"step {stops}/"):  # goes on where one of two test losses had no new best
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(*settings, name="cut", say=cut)
    run = train(*settings, name="cut")
    assert losses(run, "eval_loss") == pytest.approx(losses(whole, "eval_loss"), abs=1e-5)


def test_a_renamed_training_still_keeps_its_best_weights(
    train: Train, write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = [(kind, question, "2") for kind, question, _ in rows()[:6]]  # test losses that rise in the end
    data = write_run(tmp_path / "runs" / "wrong", rows(), wrong)
    settings = ("patience=9", "eval_every=2")
    whole = train(*settings, data=data, name="whole")
    found = losses(whole, "eval_loss")
    assert min(found, key=lambda step: found[step]) < max(found)

    def cut(run: Path, model: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("finetune.train._check_finite", cut)  # after the last step, before anything is saved
        with pytest.raises(KeyboardInterrupt):
            train(*settings, data=data, name="cut")
    whole.with_name("cut").rename(whole.with_name("renamed"))
    same_weights(train(*settings, data=data, name="renamed"), whole)


def test_all_weights_can_be_trained(train: Train) -> None:
    run = train("rank=null", "lr=0.005", "choose=text")
    assert (run / "model.safetensors").is_file()
    assert chooses_by(run) == "text"
    assert not (run / "adapter_model.safetensors").exists()
    found = losses(run, "eval_loss")
    assert found[30] < found[0] / 2


@pytest.mark.parametrize("rows", [24, 21])  # 21: the last step has one row
def test_micro_batches_do_not_change_the_loss(train: Train, rows: int) -> None:
    settings = ("dropout=0.0", "epochs=1", f"rows={rows}")
    small = train(*settings, name="small")
    large = train(*settings, "micro_batch_tokens=9999", name="large")
    alone = train(*settings, "micro_batch_tokens=1", name="alone")
    assert losses(small) == pytest.approx(losses(large), abs=1e-5)
    assert losses(alone) == pytest.approx(losses(large), abs=1e-5)


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("rows", [32, 33, 34, 35, 37, 43, 47, 7, 1])
def test_each_step_has_its_own_rows_however_they_are_shared_out(
    rows: int, processes: int, parts: int
) -> None:
    from finetune.trainer import sampler

    lengths = [20 + 37 * i % 200 for i in range(rows)]
    of_each = [
        sampler(lengths, 16, parts, seed=1, processes=processes, process=process)
        for process in range(processes)
    ]
    [whole] = [list(one) for one in [sampler(lengths, 16, 1, seed=1)]]
    shares = [list(one) for one in of_each]
    assert [len(one) for one in of_each] == [len(share) for share in shares]
    assert len({len(share) for share in shares}) == 1
    assert all(batch for share in shares for batch in share)
    for step, wanted in enumerate(whole):
        mine = [batch for share in shares for batch in share[step * parts : (step + 1) * parts]]
        times = processes if len(wanted) < processes else 1
        assert sorted(row for batch in mine for row in batch) == sorted(wanted * times)


def test_a_batch_of_test_rows_leaves_no_smaller_one() -> None:
    from finetune.train import eval_batch

    assert [eval_batch([100] * rows, 1200) for rows in (64, 60, 13, 3)] == [8, 12, 1, 3]
    assert eval_batch([5000, 10], 1200) == 1


def test_nothing_is_dropped_and_no_micro_batch_is_over_its_limit() -> None:
    from finetune.trainer import parts_of_a_step, sampler

    lengths = [20 + 37 * i % 200 for i in range(101)]
    for processes in (1, 2):
        parts = parts_of_a_step(lengths, 16, 600, seed=1, processes=processes)
        batches = [
            batch
            for process in range(processes)
            for batch in sampler(lengths, 16, parts, seed=1, processes=processes, process=process)
        ]
        assert max(len(batch) * max(lengths[i] for i in batch) for batch in batches) <= 600
        assert sorted({row for batch in batches for row in batch}) == list(range(101))
    assert parts_of_a_step(lengths, 16, 100_000, seed=1, processes=1) == 1
    assert parts_of_a_step(lengths, 16, 1, seed=1, processes=2) == 8
    with pytest.raises(UserError, match="`batch_rows: 16` can't be shared out to 3 processes"):
        parts_of_a_step(lengths, 16, 1, seed=1, processes=3)


def test_a_batch_without_a_trained_token_is_an_error(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    from finetune import train as module

    def unmasked(*arguments: Any, **settings: Any) -> Split:
        split = read_split(*arguments, **settings)
        columns = split.rows.to_pydict()
        columns["completion_mask"] = [[0] * len(mask) for mask in columns["completion_mask"]]
        return split._replace(rows=pa.table(columns, schema=ROW))

    monkeypatch.setattr(module, "read_split", unmasked)
    monkeypatch.setattr(module, "marked", lambda row, tokenizer: "")
    with pytest.raises(UserError, match="a batch has no token to train on"):
        train()


def test_only_trained_positions_meet_the_output_matrix(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, TRL's own way is to score all of them: most of the work of a small model."""
    from trl.kernels.chunked_logprob import ChunkedLogProbFunction
    from trl.trainer import utils

    seen = []

    def apply(hidden: object, *arguments: object) -> object:
        seen.append(len(hidden))  # type: ignore[arg-type]
        return original(hidden, *arguments)

    original = ChunkedLogProbFunction.apply
    monkeypatch.setattr(utils._ChunkedLogProbFunction, "apply", apply)
    train("epochs=1", "micro_batch_tokens=1")
    assert max(seen) < 10


def test_rows_may_not_be_longer_than_the_base_reads(train: Train, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"`max_length: 513` is more than the 512 tokens .* --set max_length=512"
    ):
        train("max_length=513")
    assert not (tmp_path / "trainings").exists()


def test_the_outset_tells_what_is_trained_and_on_what(train: Train) -> None:
    said: list[str] = []
    run = train("epochs=1", "rows=18", say=said.append)
    assert said[0].startswith(f"{run}: 18 of 24 rows. ")
    assert said[0].endswith(" tokens, 5 steps")
    assert said[1].startswith("trains an adapter of rank 4 of ")
    assert said[2].endswith("<|im_start|>assistant\n«1<|im_end|>»")
    assert any("tokens a second: about" in line for line in said)


@pytest.mark.parametrize(
    ("choose", "told", "asked"),
    [
        ("text", ", asked without its list", "Which of these is a lamp?<|im_end|>"),
        ("number", "", "Which of these is a lamp?\n0. red chair\n1. red lamp\n2. red mug<|im_end|>"),
    ],
)
def test_the_row_that_is_told_is_one_that_is_trained(
    train: Train, tiny_run: Path, tiny_base: Path, choose: str, told: str, asked: str
) -> None:
    from finetune.base_models import load_tokenizer

    said: list[str] = []
    train("epochs=1", "rows=4", f"choose={choose}", say=said.append)
    tokenizer = load_tokenizer(tiny_base)
    [row] = read_split(tiny_run, "train", tokenizer, 512, rows=1, choose=choose).rows.to_pylist()
    assert said[2] == f"one of its rows{told}, what is trained between « and »:\n{marked(row, tokenizer)}"
    assert asked in said[2]


def test_a_full_disk_is_told_in_one_line(train: Train, tmp_path: Path) -> None:
    disk = tmp_path / "trainings"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a disk")
    try:
        with pytest.raises(UserError, match=r"the disk is full. What is done is kept"):
            train()
        subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
        run = shutil.copytree(train(), tmp_path / "kept")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
    assert losses(run) == pytest.approx(
        {int(step): loss for step, loss in json.loads(GOLDEN.read_text(encoding="utf-8"))["loss"].items()},
        abs=1e-4,
    )


def test_tensorboard_gets_the_losses_or_is_asked_for(train: Train) -> None:
    if find_spec("tensorboard") is None:
        with pytest.raises(UserError, match="pip install tensorboard"):
            train("report_to=tensorboard")
    else:
        assert list((train("report_to=tensorboard", "epochs=1") / "tensorboard").iterdir())


def test_times_are_told_in_words() -> None:
    from finetune.callbacks import minutes

    assert [minutes(seconds) for seconds in (0.1, 59, 100, 900, 86_400)] == [
        "about 1 seconds",
        "about 59 seconds",
        "about 2 minutes",
        "about 15 minutes",
        "about 24.0 hours",
    ]
