"""The plans against what happens: memory and time of training, time of answering; tables, then JSON.

    make bench NAME=plan [ROWS=150]

Memory: Qwen2 models of random weights at three sizes, with an adapter of rank 16, with and without gradient
checkpointing, alone and padded, in float32 and (with dropout) in bfloat16. Each goes forwards and backwards
once, and every tensor that torch makes is followed until it is freed: the peak is what `finetune plan` calls
activations and what comes and goes. Time of training: the middle size calibrates, the others are foretold.
Time of answering: the embedded model answers ROWS test questions of all types; a short run before foretells
it, as `infer plan` does. All seconds are those of the CPUs, of all threads together, so that work beside
doesn't count; the commands themselves go by the clock.
"""

import argparse
import json
import tempfile
import time
import weakref
from pathlib import Path
from typing import Any, NamedTuple

from build import built_from_sample

from datagen.hf.architecture import Architecture
from finetune.base_models import base_model
from finetune.config import load
from finetune.memory import activations, working_bytes
from finetune.plan import seconds
from infer.batches import balanced

ROWS = 150
RANK, TOKENS, REPEATS = 16, 512, 3
SIZES = {
    "small": Architecture("qwen2", 256, 6, 4, 2, 64, 704, 1_000, True, 1_024, (True, False, False)),
    "middle": Architecture("qwen2", 448, 8, 7, 1, 64, 2_432, 1_000, True, 1_024, (True, False, False)),
    "large": Architecture("qwen2", 896, 8, 14, 2, 64, 4_864, 1_000, True, 1_024, (True, False, False)),
}


class Way(NamedTuple):
    """How a model is trained."""

    numbers: str
    checkpointing: bool
    rows: int

    def __str__(self) -> str:
        return f"{self.numbers}, {'inputs kept' if self.checkpointing else 'all kept'}, {self.rows} rows"

    @property
    def dropout(self) -> float:
        """In bfloat16 the winners' one, in float32 none."""
        return 0.05 if self.numbers == "bfloat16" else 0.0


WAYS = [
    Way(numbers, checkpointing, rows)
    for numbers in ("float32", "bfloat16")
    for checkpointing in (False, True)
    for rows in (1, 2)
]


def main() -> None:
    """Measure, print the tables and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    found = {
        "activation_error": memory(),
        "training_time_error": training_time(),
        "time_error": answering_time(rows),
    }
    print(json.dumps({name: round(error, 3) for name, error in found.items()}))


def memory() -> float:
    """The largest relative error of the memory that is foretold."""
    print(f"{'':<52}{'planned MiB':>12}{'seen MiB':>10}{'error':>8}")
    worst = 0.0
    for name, shape in SIZES.items():
        for way in WAYS:
            planned, seen = foretold(shape, way), peak(shape, way)
            error = planned / seen - 1
            worst = max(worst, abs(error))
            print(f"{f'{name}: {way}':<52}{planned / 2**20:>12.1f}{seen / 2**20:>10.1f}{error:>8.1%}")
    return worst


def foretold(shape: Architecture, way: Way) -> float:
    """Bytes as `finetune plan` has them, but for the four that a CPU keeps of a number's dropout."""
    kept = activations(
        shape,
        TOKENS,
        numbers=way.numbers,
        rank=RANK,
        dropout=way.dropout > 0,
        checkpointing=way.checkpointing,
        padded_to=TOKENS // way.rows if way.rows > 1 else None,
        mask=4,
    )
    return kept + working_bytes(shape, TOKENS, way.dropout > 0)


def peak(shape: Architecture, way: Way) -> float:
    """Bytes of all tensors of a step at its worst moment, which is before most gradients are there."""
    model, ids, mask = made(shape, way)
    step(model, ids, mask, way)  # the first one makes what later ones find
    model.zero_grad(set_to_none=True)
    with _followed() as tensors:
        step(model, ids, mask, way)
    return float(tensors.peak)


def made(shape: Architecture, way: Way) -> tuple[Any, Any, Any]:
    """A model of random weights with an adapter, token ids, and their mask."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, Qwen2Config

    torch.manual_seed(0)
    config = Qwen2Config(
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        intermediate_size=shape.intermediate,
        vocab_size=shape.vocabulary,
        tie_word_embeddings=True,
    )
    model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, way.numbers))
    lora = LoraConfig(r=RANK, lora_dropout=way.dropout, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(model, lora).train()
    if way.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    ids = torch.randint(0, shape.vocabulary, (way.rows, TOKENS // way.rows))
    mask = torch.ones_like(ids)
    if way.rows > 1:
        mask[-1, -3:] = 0
    return model, ids, mask


def step(model: Any, ids: Any, mask: Any, way: Way) -> None:
    """Forwards and backwards through all layers."""
    import torch

    with torch.autocast("cpu", torch.bfloat16, enabled=way.numbers == "bfloat16"):
        inner = model.get_base_model().model
        out = inner(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    out.float().sum().backward()


def _followed() -> Any:
    """A mode of torch that follows each tensor's storage until it is freed; `peak` is their most bytes."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Followed(TorchDispatchMode):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.peak = self.now = 0
            self._known: set[int] = set()

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            ours = {tensor.untyped_storage()._cdata for tensor in _tensors((args, kwargs))}
            result = function(*args, **(kwargs or {}))
            for tensor in _tensors(result):
                storage = tensor.untyped_storage()
                key, size = storage._cdata, storage.nbytes()
                if key not in self._known and key not in ours:
                    self._known.add(key)
                    self.now += size
                    weakref.finalize(storage, self._freed, key, size)
            self.peak = max(self.peak, self.now)
            return result

        def _freed(self, key: int, size: int) -> None:
            self._known.discard(key)
            self.now -= size

    def _tensors(tree: Any) -> list[Any]:
        return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]

    return Followed()


def training_time() -> float:
    """The largest relative error of a step's time, foretold from that of the middle size."""
    config = load("smollm2-135m", [f"rank={RANK}", "precision=float32"])
    way = Way("float32", False, 1)
    taken = {name: step_seconds(shape, way) for name, shape in SIZES.items()}
    middle = seconds(config, SIZES["middle"], TOKENS, TOKENS, 1.0, 1e30)
    flops = middle / taken["middle"]
    print(f"\n{'a step of training':<52}{'planned ms':>12}{'seen ms':>10}{'error':>8}")
    worst = 0.0
    for name, shape in SIZES.items():
        planned = seconds(config, shape, TOKENS, TOKENS, flops, 1e30)
        error = planned / taken[name] - 1
        worst = max(worst, abs(error))
        print(f"{name:<52}{planned * 1e3:>12.0f}{taken[name] * 1e3:>10.0f}{error:>8.1%}")
    return worst


def step_seconds(shape: Architecture, way: Way) -> float:
    """CPU seconds of the fastest of some steps."""
    model, ids, mask = made(shape, way)
    taken = []
    for _ in range(REPEATS + 1):
        began = time.process_time()
        step(model, ids, mask, way)
        taken.append(time.process_time() - began)
    return min(taken)


def answering_time(rows: int) -> float:
    """The relative error of the CPU seconds that a run takes, foretold by a short one before."""
    from datagen.shopbench.questions import read_questions
    from infer import plan
    from infer.predict import predict
    from infer.serve.engine import Engine, settings

    folder = base_model("smollm2-135m")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        asked = balanced(read_questions(built_from_sample(work, "esci_all")), rows)
        chosen = settings(folder)
        engine = Engine(folder, chosen)
        rates = plan.measured(engine, asked, chosen, plan.CPU_BLOCK, "number", clock=time.process_time)
        whole = plan.total(asked, engine.tokenizer, chosen.context, chosen.batch, plan.CPU_BLOCK, "number")
        planned = plan.seconds(whole, rates)
        began = time.process_time()
        predict(asked, str(folder), work / "run", choose="number", load=lambda *_: engine)
        seen = time.process_time() - began
    error = planned / seen - 1
    print(f"\n{'a run of infer':<52}{'planned s':>12}{'seen s':>10}{'error':>8}")
    print(f"{f'{rows} questions by number':<52}{planned:>12.1f}{seen:>10.1f}{error:>8.1%}")
    return abs(error)


if __name__ == "__main__":
    main()
