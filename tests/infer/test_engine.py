"""The engine with an untrained model: answers keep to constraints, repeat exactly, and nothing is printed."""

import copy
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from datagen.classify.task_type import Guess
from datagen.errors import UserError
from datagen.schema import TaskType
from datagen.tasks import TASKS, Constraint
from infer.serve.constraints import constraint, names_listed
from infer.serve.engine import MOST_BIASED, Engine, Request, Response, Settings, Text, bias, settings


def request(engine: Engine, text: str, limits: Constraint, stops: tuple[str, ...] = ()) -> Request:
    return Request(engine.tokenizer.encode(text, add_special_tokens=False), limits, stops)


def test_a_random_model_names_what_is_listed_and_nothing_else(engine: Engine) -> None:
    guesses = [
        Guess(TaskType.MULTIPLE_CHOICE, (0, 1, 2), "", "en"),
        Guess(TaskType.RANKING, (1, 2, 3, 4, 5), "", "en"),
        Guess(TaskType.RETRIEVAL, tuple(range(1, 16)), "", "en"),
        Guess(TaskType.RETRIEVAL, (7, 8), "", "en"),
    ]
    asked = [
        (guess, f"{word} {number}") for guess in guesses for word in ("a", "lamp") for number in range(8)
    ]
    answers = engine.answer([request(engine, text, constraint(guess)) for guess, text in asked])
    for (guess, _), answer in zip(asked, answers, strict=True):
        assert constraint(guess).admits(answer.text)
        assert names_listed(guess, guess.task_type, TASKS[guess.task_type].parse(answer.text))
    assert len({answer.text for answer in answers}) > 8  # it is the model that chooses


def test_weights_that_are_cut_off_end_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    safetensors = pytest.importorskip("safetensors")
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"cut")

    class Vllm:
        LLM = staticmethod(lambda *_, **__: safetensors.safe_open(weights, "numpy"))

    monkeypatch.setattr("infer.serve.engine._imported", lambda name: Vllm)
    with pytest.raises(
        UserError, match=r"vLLM cannot load it: Error while .*\. Copy or merge the model again"
    ):
        Engine(tmp_path, Settings("cpu", "float32", 100, 1))


def test_a_chat_template_that_takes_no_system_message_ends_in_one_line(
    tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Vllm:
        LLM = staticmethod(lambda *_, **__: SimpleNamespace(get_tokenizer=lambda: refusing))

    refusing = copy.deepcopy(tokenizer)
    refusing.chat_template = "{{ raise_exception('No system role') }}"
    monkeypatch.setattr("infer.serve.engine._imported", lambda name: Vllm)
    with pytest.raises(UserError, match=r"its chat template does not take .* \(No system role\)"):
        Engine(tmp_path, Settings("cpu", "float32", 100, 1))


def test_an_answer_is_the_same_whatever_was_asked_before(engine: Engine) -> None:
    batch = [request(engine, f"question {number}", Constraint(12)) for number in range(9)]
    first = engine.answer(batch)
    engine.answer([request(engine, "question 3 and another thing", Constraint(5))])
    assert engine.answer(batch) == first


def test_tokens_are_counted_and_the_end_is_told(engine: Engine) -> None:
    [cut] = engine.answer([request(engine, "a lamp", Constraint(5))])
    assert (cut.prompt_tokens, cut.tokens, cut.reason) == (len("a lamp"), 5, "length")
    [chosen] = engine.answer([request(engine, "a lamp", Constraint(9, choices=("1,2", "2,1")))])
    assert (chosen.tokens, chosen.reason) == (4, "stop")


def test_an_answer_ends_at_a_stop_which_is_no_part_of_it(engine: Engine) -> None:
    limits = Constraint(9, choices=("ab\ncd",))
    [answer] = engine.answer([request(engine, "x", limits, stops=("\n",))])
    assert answer.text == "ab"


def test_a_bias_draws_to_the_text(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def cited(answers: list[Response]) -> int:
        return sum(letter in "qz" for answer in answers for letter in answer.text)

    texts = [f"{number} {word}" for number in range(6) for word in ("qz", "zq")]
    free = engine.answer([request(engine, text, Constraint(12)) for text in texts])
    monkeypatch.setattr("infer.serve.engine.BIAS", 20.0)
    drawn = engine.answer([request(engine, text, Constraint(12, favoured="qz")) for text in texts])
    assert cited(drawn) > 2 * cited(free)


def test_a_bias_is_within_what_vllm_takes(tokenizer: Any) -> None:
    tokens = bias(tokenizer, "ASUS, tablette")
    assert tokenizer.eos_token_id in tokens
    assert set(tokenizer.encode("ASUS, tablette")) <= set(tokens)

    class Large:
        eos_token_id = 0

        def encode(self, text: str, **_: Any) -> list[int]:
            return list(range(len(text)))

    assert len(bias(Large(), "x" * 5000)) == MOST_BIASED


def test_nothing_to_ask_gives_nothing(engine: Engine) -> None:
    assert engine.answer([]) == []


def test_asking_prints_nothing(engine: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    engine.answer([request(engine, "a lamp", Constraint(3, regex="[0-9]"))])
    assert capfd.readouterr() == ("", "")


def test_settings_follow_the_model_and_the_machine(tiny_model: Path) -> None:
    chosen = settings(tiny_model)
    assert chosen.context == 1024
    assert chosen.dtype in {"cpu": ("bfloat16", "float32"), "cuda": ("auto", "half")}[chosen.device]


def test_packed_weights_are_not_answered_with_in_float32(tiny_model: Path, tmp_path: Path) -> None:
    config = json.loads((tiny_model / "config.json").read_text(encoding="utf-8"))
    config |= {"quantization_config": {"quant_method": "compressed-tensors"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert settings(tmp_path).dtype != "float32"


def test_nobody_is_told_of_the_model_and_the_machine(engine: Engine) -> None:
    from vllm.usage.usage_lib import is_usage_stats_enabled

    assert not is_usage_stats_enabled()


def test_without_vllm_it_says_what_to_install(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[infer-cpu\]'"):
        Engine(tiny_model, Settings("cpu", "float32", 512, 8))


@pytest.mark.parametrize("length", [31, 32, 33, 64, 128])
def test_the_likelihood_of_a_text_is_the_model_s_own(engine: Engine, tiny_model: Path, length: int) -> None:
    """Also where the cache's blocks of 32 tokens end with the question, or within what texts share."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    question = engine.tokenizer.encode("Which lamp is the brightest of them all? " * 9)[:length]
    long = "a reading lamp of steel with a long arm and a heavy foot, for desks and shelves, "
    options = ["a red lamp", "neither", f"{long}red", f"{long}blue", "neither"]
    texts = [
        Text([*before, *engine.tokenizer.encode(option)], len(before))
        for before in (question, question[:5])
        for option in options
    ]
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    for (ids, start), likelihood in zip(texts, engine.likelihoods(texts), strict=True):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        expected = sum(float(logits[place - 1, ids[place]]) for place in range(start, len(ids)))
        assert likelihood == pytest.approx(expected, rel=0.01)
