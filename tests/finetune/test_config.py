"""Configs: those that ship, mistakes with their place, and settings that replace keys."""

from pathlib import Path

import pytest

from datagen.errors import UserError
from finetune.config import Config, differences, dump, load, names


@pytest.mark.parametrize("name", names())
def test_a_shipped_config_loads(name: str) -> None:
    assert isinstance(load(name), Config)


def test_the_winners_settings_are_those_that_were_published() -> None:
    config = load("qwen2-72b")
    assert (config.rank, config.alpha, config.dropout) == (64, 32, 0.05)
    assert (config.lr, config.warmup_steps, config.weight_decay) == (2e-4, 10, 0.01)
    assert (config.four_bit, config.batch_rows, config.epochs) == (True, 8 * 4, 1)


def test_a_config_is_found_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("lr: 2e-4\nrank: 8\n", encoding="utf-8")
    config = load(str(tmp_path / "mine.yaml"))
    assert (config.lr, config.rank, config.alpha) == (2e-4, 8, 32)


def test_all_mistakes_are_told_at_once_at_their_places(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("learning_rate: 1\nepoch: 3\nrank: 0\nalhpa: 2\nlr: fast\n", encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load(str(path))
    assert [
        line.split(": ")[0].rpartition("mine.yaml")[2] for line in str(caught.value).splitlines()[1:]
    ] == [
        ":1:1",
        ":2:1",
        ":3:7",
        ":4:1",
        ":5:5",
    ]
    assert "`epoch` is no key: did you mean `epochs`?" in str(caught.value)
    assert "`alhpa` is no key: did you mean `alpha`?" in str(caught.value)


def test_an_unknown_name_is_told_the_nearest_one() -> None:
    with pytest.raises(UserError, match=r"no config `smollm2-136m`: did you mean `smollm2-135m`?"):
        load("smollm2-136m")
    with pytest.raises(UserError, match=r"no such file. Give a config's name"):
        load("configs/mine.yaml")


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("lr=1e-4", "lr", 1e-4),
        ("lr=1", "lr", 1.0),
        ("rows=64", "rows", 64),
        ("token_budget=null", "token_budget", None),
        ("minutes=2", "minutes", 2.0),
        ("base=some/folder", "base", "some/folder"),
        ("rank=null", "rank", None),
        ("four_bit=true", "four_bit", True),
    ],
)
def test_a_setting_comes_in_place_of_the_configs_own(setting: str, key: str, value: object) -> None:
    assert getattr(load("smollm2-135m", [setting]), key) == value


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lrr=1", "`lrr` is no key: did you mean `lr`?"),
        ("rnk=1", "`rnk` is no key: did you mean `rank`?"),
        ("lr=fast", "`lr` is the text `fast`: write a number above 0"),
        ("epochs=0", "`epochs` is `0`: write a whole number above 0"),
        ("precision=float8", "`precision` is `float8`: "),
        ("lr", "--set lr: write a key and its value"),
        ("lr=1e999", "`lr` is `inf`: write a number above 0"),
        ("seed=4294967296", "`seed` is `4294967296`: write a whole number from 0 to 4294967295"),
        ("lr=[1]", "`lr` is a list: write a number above 0"),
    ],
)
def test_a_wrong_setting_is_explained(setting: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        load("smollm2-135m", [setting])
    assert message in str(caught.value)


def test_weights_of_four_bits_are_not_trained_themselves(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("four_bit: true\nrank: null\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"mine\.yaml:1:11: no_adapter: `four_bit` is `true`: .* Give a `rank`"
    ):
        load(str(tmp_path / "mine.yaml"))
    with pytest.raises(
        UserError, match="no_adapter: `four_bit` is `true`: weights of 4 bits are not trained"
    ):
        load("qwen2-72b", ["rank=null"])
    assert load("qwen2-72b", ["rank=null", "four_bit=false"]).rank is None


def test_a_dumped_config_loads_to_the_same(tmp_path: Path) -> None:
    config = load("qwen2-72b")
    (tmp_path / "config.yaml").write_text(dump(config), encoding="utf-8")
    assert load(str(tmp_path / "config.yaml")) == config


def test_differences_are_told_key_by_key() -> None:
    old, new = load("smollm2-135m", ["rank=16"]), load("smollm2-135m", ["lr=0.5", "rank=null"])
    assert differences(old.model_dump(mode="json"), new.model_dump(mode="json")) == [
        "rank: 16 then, null now",
        "lr: 0.001 then, 0.5 now",
    ]


def test_every_key_is_explained() -> None:
    assert [name for name, field in Config.model_fields.items() if not field.description] == []
