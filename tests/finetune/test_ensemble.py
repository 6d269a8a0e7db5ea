"""Ensembles: the sum against dense matrices and PEFT, shorter ranks, and what cannot be added up."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from datagen.errors import UserError
from finetune.cli import main
from finetune.config import load
from finetune.ensemble import ensemble
from finetune.merge import merge, wise_ft
from tests.finetune.conftest import write_base
from tests.finetune.test_merge import difference, weights

ADAPTERS: dict[str, dict[str, object]] = {
    "a": {"rank": 4, "alpha": 8},
    "b": {"rank": 2, "alpha": 8, "seed": 7},
    "c": {"rank": 3, "alpha": 1, "lr": 0.05},
}


@pytest.fixture(scope="module")
def runs(tiny_base: Path, tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three adapters of different ranks and scales, and two trainings of all weights."""
    folder = tmp_path_factory.mktemp("trained")
    for name, settings in ADAPTERS.items():
        train(tiny_base, tiny_run, folder / name, **settings)
    for number, name in enumerate(("x", "y")):
        train(tiny_base, tiny_run, folder / name, rank="null", seed=number)
    return folder


def train(base: Path, data: Path, run: Path, **settings: object) -> Path:
    from finetune.train import train

    config = run.with_suffix(".yaml")
    config.write_text(
        f"base: {base}\nprecision: float32\nlr: 0.02\nepochs: 1\nmax_length: 512\nbatch_rows: 4\n"
    )
    loaded = load(str(config), [f"{key}={value}" for key, value in settings.items()])
    train(loaded, data, run, lambda text: None)
    return run


def mean(base: Path, parts: dict[Path, float]) -> dict[str, Any]:
    """The base plus the weighted sum of what each merged run added, as dense matrices."""
    begin = weights(base)
    tuned = {run: weights(merge(run)) for run in parts}
    return {
        name: weight + sum(share * (tuned[run][name] - weight) for run, share in parts.items())
        for name, weight in begin.items()
    }


@pytest.mark.parametrize("shares", [[0.5, 0.3, 0.2], [2.0, -1.0, 0.0]])
def test_the_merged_ensemble_is_the_weighted_sum_of_what_was_learnt(
    runs: Path, tiny_base: Path, tmp_path: Path, shares: list[float]
) -> None:
    members = [runs / name for name in ADAPTERS]
    made = ensemble(members, tmp_path / "sum", shares)
    wanted = mean(tiny_base, dict(zip(members, shares, strict=True)))
    assert (made.rank, made.error) == (9, None)
    assert difference(weights(merge(made.run)), wanted) < 1e-5
    half = {
        name: (weight + weights(tiny_base)[name]) / 2 for name, weight in weights(merge(made.run)).items()
    }
    assert difference(weights(wise_ft(made.run, 0.5)), half) < 1e-5


def test_peft_reads_it_as_we_do(runs: Path, tiny_base: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    run = ensemble([runs / name for name in ADAPTERS], tmp_path / "sum").run
    merged = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_base), run
    ).merge_and_unload()
    ours = weights(merge(run))
    assert difference(ours, {name: merged.state_dict()[name] for name in ours}) < 1e-5


def test_it_is_the_sum_that_peft_makes(runs: Path, tiny_base: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    shares = [0.6, 0.3, 0.1]
    run = ensemble([runs / name for name in ADAPTERS], tmp_path / "sum", shares).run
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_base), runs / "a", "a")
    for name in "bc":
        model.load_adapter(runs / name, name)
    model.base_model.add_weighted_adapter(list(ADAPTERS), shares, "sum", combination_type="cat")
    model.set_adapter("sum")
    merged = model.merge_and_unload()
    ours = weights(merge(run))
    assert difference(ours, {name: merged.state_dict()[name] for name in ours}) < 1e-5


def test_a_smaller_rank_is_the_nearest_and_its_error_is_told(
    runs: Path, tiny_base: Path, tmp_path: Path
) -> None:
    import torch

    members = [runs / name for name in ADAPTERS]
    begin = weights(tiny_base)
    whole = weights(merge(ensemble(members, tmp_path / "sum").run))
    made = ensemble(members, tmp_path / "short", rank=3)
    short = weights(merge(made.run))
    lost = kept = 0.0
    for name, weight in begin.items():
        delta = (whole[name] - weight).double()
        if not name.endswith("_proj.weight"):
            assert torch.equal(short[name], weight)
            continue
        values = torch.linalg.svdvals(delta).square()
        lost, kept = lost + float(values[3:].sum()), kept + float(values.sum())
        assert float((short[name] - whole[name]).square().sum()) == pytest.approx(
            float(values[3:].sum()), rel=1e-3, abs=1e-6
        )
    assert made.rank == 3
    assert made.error == pytest.approx((lost / kept) ** 0.5, rel=1e-4)
    assert ensemble(members, tmp_path / "whole", rank=9).error == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shares", [None, [0.25, 0.25]])
def test_trainings_of_all_weights_become_their_mean(
    runs: Path, tiny_base: Path, tmp_path: Path, shares: list[float] | None
) -> None:
    members = [runs / "x", runs / "y"]
    made = ensemble(members, tmp_path / "mean", shares)
    wanted = mean(tiny_base, dict(zip(members, shares or [0.5, 0.5], strict=True)))
    ours = weights(merge(made.run))
    assert difference({name: ours[name] for name in wanted}, wanted) < 1e-6
    assert difference(ours, weights(tiny_base)) > 1e-3


@pytest.mark.parametrize("rank", ["3", "null"])
def test_checkpoints_of_one_training_are_averaged(
    tiny_base: Path, tiny_run: Path, tmp_path: Path, rank: str
) -> None:
    settings = {"rank": rank, "eval_every": 2, "epochs": 2, "keep_checkpoints": 3}
    run = train(tiny_base, tiny_run, tmp_path / "run", **settings)
    kept = sorted((run / "checkpoints").iterdir(), key=lambda path: int(path.name.split("-")[1]))
    assert [path.name for path in kept] == ["checkpoint-8", "checkpoint-10", "checkpoint-12"]
    assert not any(file.suffix in (".pt", ".pth", ".bin") for path in kept for file in path.iterdir())
    made = ensemble(kept[:2], tmp_path / "mean").run
    half = weights(merge(ensemble(kept[:2], tmp_path / "half", [0.25, 0.25]).run))
    whole = {
        path: weights(merge(ensemble([path], tmp_path / path.name, [1.0]).run))
        for path in (*kept[:2], kept[2])
    }
    mean = {name: (whole[kept[0]][name] + whole[kept[1]][name]) / 2 for name in weights(tiny_base)}
    ours = weights(merge(made))
    assert difference({name: ours[name] for name in mean}, mean) < 1e-5
    middle = {name: (mean[name] + weight) / 2 for name, weight in weights(tiny_base).items()}
    assert difference({name: half[name] for name in middle}, middle) < 1e-5
    assert difference(whole[kept[2]], weights(merge(run))) < 1e-6  # the last one is the result
    assert difference(whole[kept[0]], whole[kept[2]]) > 1e-4
    if rank != "null":
        said = json.loads((made / "adapter_config.json").read_text(encoding="utf-8"))
        assert said["base_model_name_or_path"] == str(tiny_base)


def test_the_command_makes_a_run_that_the_others_take(runs: Path, tiny_base: Path, tmp_path: Path) -> None:
    members = [str(runs / "a"), str(runs / "b")]
    command = ["ensemble", *members, "--runs", str(tmp_path), "--weights", "1,1", "--rank", "2"]
    result = CliRunner().invoke(main, command)
    run = tmp_path / "ensemble-a-b"
    assert result.stdout == f"{run}\n"
    assert "add up to 2, so it moves that many times as far" in result.stderr
    assert "relative error of rank 2: " in result.stderr
    assert CliRunner().invoke(main, ["base", str(run)]).stdout == f"{tiny_base}\n"
    assert CliRunner().invoke(main, ["merge", str(run)]).stdout == f"{run / 'merged'}\n"
    assert json.loads((run / "merged" / "shoptalk.json").read_text())["choose"] == "number"
    assert "choose: number\n" in (run / "config.yaml").read_text()
    assert "- 1 x `b`, trained on tiny\n" in (run / "README.md").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ensemble-a-b"]


def test_what_is_there_is_not_made_again_and_another_one_is_refused(runs: Path, tmp_path: Path) -> None:
    members = [runs / "a", runs / "b"]
    file = ensemble(members, tmp_path / "sum").run / "adapter_model.safetensors"
    written = file.stat().st_mtime_ns
    assert ensemble(members, tmp_path / "sum").rank == 6
    assert file.stat().st_mtime_ns == written
    with pytest.raises(UserError, match=r"sum is of other members or weights. Give this one a --name"):
        ensemble(members, tmp_path / "sum", [0.9, 0.1])
    (tmp_path / "notes").mkdir()
    with pytest.raises(UserError, match="notes is in the way: it holds no finished training"):
        ensemble(members, tmp_path / "notes")


def test_what_a_killed_one_left_is_thrown_away(runs: Path, tmp_path: Path) -> None:
    left = tmp_path / ".sum.unfinished"
    left.mkdir()
    (left / "model-00001-of-00002.safetensors").write_bytes(b"half")
    made = ensemble([runs / "a", runs / "b"], tmp_path / "sum").run
    assert not left.exists()
    assert not any(made.glob("model*"))


def test_members_may_adapt_other_layers_in_other_types(runs: Path, tiny_base: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    few = Path(shutil.copytree(runs / "b", tmp_path / "few", ignore=shutil.ignore_patterns("merged")))
    file = few / "adapter_model.safetensors"
    matrices = {name: of.to(torch.bfloat16) for name, of in load_file(file).items() if "layers.0." in name}
    save_file({name: of for name, of in matrices.items() if "q_proj" in name or "mlp" in name}, file)
    made = ensemble([runs / "a", few], tmp_path / "sum")
    ours = weights(merge(made.run))
    assert difference(ours, mean(tiny_base, {runs / "a": 0.5, few: 0.5})) < 1e-5


def test_trainings_that_do_not_fit_together_are_refused(
    runs: Path, tiny_base: Path, tiny_run: Path, tmp_path: Path
) -> None:
    other = train(write_base(tmp_path / "other", seed=1), tiny_run, tmp_path / "o", rank=4)
    text = train(tiny_base, tiny_run, tmp_path / "t", rank=4, choose="text")
    for second, message in {
        other: r"a \(.*tiny, weights \w{12}\) and .*o \(.*other, weights \w{12}\) were trained from",
        text: r"a \(number\) and .*t \(text\) choose options in different ways",
        runs / "x": r"a \(an adapter\) and .*x \(all weights\) train an adapter and all weights",
    }.items():
        with pytest.raises(UserError, match=message):
            ensemble([runs / "a", second], tmp_path / "sum")
    two = [runs / "a", runs / "b"]
    with pytest.raises(UserError, match=r"--weights: 1 of them for 2 members. Give one for each"):
        ensemble(two, tmp_path / "sum", [1.0])
    with pytest.raises(UserError, match="a weight is a plain number"):
        ensemble(two, tmp_path / "sum", [1.0, float("nan")])
    with pytest.raises(UserError, match=r"--rank 7: the members' ranks add up to 6"):
        ensemble(two, tmp_path / "sum", rank=7)
    with pytest.raises(UserError, match=r"--rank 2: .* trained all weights, which have no rank"):
        ensemble([runs / "x", runs / "y"], tmp_path / "sum", rank=2)
    alone = CliRunner().invoke(main, ["ensemble", str(runs / "a"), "--runs", str(tmp_path)])
    assert "two members or more" in alone.stderr
    assert not (tmp_path / "sum").exists()


def test_its_record_finds_members_and_base_from_elsewhere(
    runs: Path, tiny_base: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base").symlink_to(tiny_base)
    Path("runs").mkdir()
    members = [train(Path("base"), tiny_run, Path("runs") / name, rank=2) for name in "pq"]
    lock = json.loads(Path("runs/p/run.json").read_text(encoding="utf-8"))
    lock["config"]["base"] = "base"  # as earlier releases kept it
    Path("runs/p/run.json").write_text(json.dumps(lock), encoding="utf-8")
    train(Path("base"), tiny_run, Path("runs/p"), rank=2)  # which is the same training
    made = ensemble(members, Path("runs/sum")).run
    monkeypatch.chdir("/")
    said = json.loads((tmp_path / made / "run.json").read_text(encoding="utf-8"))
    for member, of in zip(members, said["ensemble"]["members"], strict=True):
        assert (tmp_path / made / of["run"]).resolve() == tmp_path / member
    assert merge(tmp_path / made).is_dir()


def test_a_member_that_is_not_there_is_told_with_those_that_are(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{runs}/aa: no such folder of a training: did you mean `{runs}/a`"):
        ensemble([runs / "x", runs / "aa"], tmp_path / "sum")
    kept = Path(shutil.copytree(runs / "a", tmp_path / "a" / "checkpoints" / "checkpoint-10"))
    shutil.copyfile(runs / "a" / "run.json", tmp_path / "a" / "run.json")
    with pytest.raises(UserError, match=rf"checkpoint-19: no such .* did you mean `{kept}`"):
        ensemble([kept.with_name("checkpoint-19"), runs / "b"], tmp_path / "sum")


@pytest.mark.parametrize("fault", ["nan", "cut", "strange", "gone"])
def test_a_damaged_member_is_named_before_anything_is_written(runs: Path, tmp_path: Path, fault: str) -> None:
    from safetensors.torch import load_file, save_file

    bad = Path(shutil.copytree(runs / "b", tmp_path / "bad"))
    file = bad / "adapter_model.safetensors"
    matrices = load_file(file)
    name = next(iter(matrices))
    if fault == "nan":
        matrices[name][0, 0] = float("nan")
        save_file(matrices, file)
    elif fault == "strange":
        save_file(matrices | {"base_model.model.lm_head.weight": matrices[name].clone()}, file)
    elif fault == "cut":
        file.write_bytes(file.read_bytes()[:-10])
    else:
        file.unlink()
    message = {
        "nan": f"{file}: `{name}` holds numbers that are not finite",
        "cut": f"{file}: not a whole file of weights",
        "strange": f"{file}: `base_model.model.lm_head.weight` is no matrix of a plain LoRA",
        "gone": f"{file}: not a whole file of weights",
    }[fault]
    with pytest.raises(UserError, match=rf"{message}.* Delete {bad} and train again"):
        ensemble([runs / "a", bad], tmp_path / "sum")
    assert not any(tmp_path.glob("*sum*"))
