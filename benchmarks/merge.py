"""The memory and time of merging an adapter into a large model: a table, then JSON.

    make bench NAME=merge

A model of the shapes of Qwen2-72B with as many layers as make GIB gibibytes, of random bfloat16 numbers in
files of 4 GiB, and an adapter of rank 64 for all of its layers are written into a folder, which is deleted at
the end; merging takes as much room again. `finetune merge` runs in a process of its own; its memory is the
most that it held, Python and torch included. Some values are read again and held against the formula.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datagen.hf.checkpoint import fingerprint, weight_files
from datagen.storage.files import check_room, write_json
from finetune.tensors import tensors_of, write_parts

GIB = 10.0
HIDDEN, INTERMEDIATE, KEYS, WORDS = 8192, 29568, 1024, 152064
"""The widths of Qwen2-72B."""

RANK, ALPHA = 64, 32
SHARD = 4 * 2**30
_BLOCK = 2**23
"""Random numbers that are made once; the weights repeat them."""

LAYER: dict[str, tuple[int, ...]] = {
    "self_attn.q_proj.weight": (HIDDEN, HIDDEN),
    "self_attn.k_proj.weight": (KEYS, HIDDEN),
    "self_attn.v_proj.weight": (KEYS, HIDDEN),
    "self_attn.o_proj.weight": (HIDDEN, HIDDEN),
    "mlp.gate_proj.weight": (INTERMEDIATE, HIDDEN),
    "mlp.up_proj.weight": (INTERMEDIATE, HIDDEN),
    "mlp.down_proj.weight": (HIDDEN, INTERMEDIATE),
    "input_layernorm.weight": (HIDDEN,),
    "post_attention_layernorm.weight": (HIDDEN,),
}
ENDS: dict[str, tuple[int, ...]] = {
    "model.embed_tokens.weight": (WORDS, HIDDEN),
    "lm_head.weight": (WORDS, HIDDEN),
    "model.norm.weight": (HIDDEN,),
}


def main() -> None:
    """Measure, print the table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gib", type=float, default=GIB)
    parser.add_argument("--narrow", type=int, default=1, help="Divide all widths, for a quick try.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        measure(Path(folder), arguments.gib, arguments.narrow)


def measure(folder: Path, gib: float, narrow: int) -> None:
    """Write model and adapter, merge them, and print what it took."""
    check_room(folder, round(2.1 * gib * 2**30))
    base, run = folder / "base", folder / "run"
    shapes = shapes_of(gib, narrow)
    write_model(base, shapes, narrow)
    write_adapter(run, base, shapes)
    largest = 2 * max(map(math.prod, shapes.values())) / 2**30
    model = sum(file.stat().st_size for file in weight_files(base)) / 2**30
    start = time.perf_counter()
    peak = merged(run)
    seconds = time.perf_counter() - start
    check(base, run)
    print(f"{'model':<16}{model:>8.2f} GiB in {len(weight_files(base))} files")
    print(f"{'largest tensor':<16}{largest:>8.2f} GiB")
    print(f"{'peak of merge':<16}{peak:>8.2f} GiB, allowed {2 * largest + 0.5e9 / 2**30:.2f}")
    print(f"{'time':<16}{seconds:>8.1f} s")
    print(
        json.dumps(
            {
                "model_gib": round(model, 2),
                "peak_gib": round(peak, 3),
                "largest_tensor_gib": round(largest, 3),
                "seconds": round(seconds, 1),
            }
        )
    )


def shapes_of(gib: float, narrow: int) -> dict[str, tuple[int, ...]]:
    """The tensors of a model of at least so many gibibytes."""

    def narrower(shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        return {name: tuple(size // narrow for size in shape) for name, shape in shapes.items()}

    ends, layer = narrower(ENDS), narrower(LAYER)
    ends_bytes, layer_bytes = (2 * sum(map(math.prod, of.values())) for of in (ends, layer))
    layers = max(1, math.ceil((gib * 2**30 - ends_bytes) / layer_bytes))
    return ends | {f"model.layers.{i}.{name}": shape for i in range(layers) for name, shape in layer.items()}


def write_model(base: Path, shapes: dict[str, tuple[int, ...]], narrow: int) -> None:
    """Write the folder of a base: random weights in files, and what else is looked for in it."""
    import torch

    base.mkdir()
    block = torch.randn(_BLOCK, generator=torch.Generator().manual_seed(1)).mul(0.02).bfloat16()
    data = memoryview(block.view(torch.uint8).numpy())

    def parts(shape: tuple[int, ...]) -> Iterator[memoryview]:
        left = 2 * math.prod(shape)
        while left:
            yield data[: min(left, len(data))]
            left -= min(left, len(data))

    files: list[dict[str, tuple[int, ...]]] = [{}]
    for name, shape in shapes.items():
        if (
            files[-1]
            and 2 * sum(map(math.prod, files[-1].values())) + 2 * math.prod(shape) > SHARD // narrow**2
        ):
            files.append({})
        files[-1][name] = shape
    index: dict[str, str] = {}
    for number, held in enumerate(files, start=1):
        name = f"model-{number:05}-of-{len(files):05}.safetensors"
        index |= dict.fromkeys(held, name)
        every = (part for shape in held.values() for part in parts(shape))
        write_parts(base / name, held, "BF16", every, lambda count: None)
    write_json({"metadata": {}, "weight_map": index}, base / "model.safetensors.index.json")
    write_json({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}, base / "config.json")
    write_json({"chat_template": "none", "eos_token": "<|im_end|>"}, base / "tokenizer_config.json")


def write_adapter(run: Path, base: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Write the folder of a training: an adapter of random numbers for all layers."""
    import torch
    from safetensors.torch import save_file

    run.mkdir()
    random = torch.Generator().manual_seed(2)
    matrices = {}
    for name, shape in shapes.items():
        if ".layers." in name and len(shape) == 2:
            key = f"base_model.model.{name.removesuffix('.weight')}"
            matrices[f"{key}.lora_A.weight"] = torch.randn(RANK, shape[1], generator=random) * 0.02
            matrices[f"{key}.lora_B.weight"] = torch.randn(shape[0], RANK, generator=random) * 0.02
    save_file(matrices, run / "adapter_model.safetensors", metadata={"format": "pt"})
    write_json({"r": RANK, "lora_alpha": ALPHA}, run / "adapter_config.json")
    settings = {"base": str(base), "rank": RANK, "alpha": ALPHA, "choose": "number"}
    sums = {"data_sha256": "", "base_sha256": fingerprint(weight_files(base))}
    write_json({"config": settings, "data": "none", **sums}, run / "run.json")


def merged(run: Path) -> float:
    """Merge, and give the most memory in GiB that the process held."""
    command = [str(Path(sys.executable).with_name("finetune")), "merge", str(run)]
    # A process in between, as a child starts with the peak of its parent, and this one has held more
    code = (
        "import os, subprocess, sys; process = subprocess.Popen(sys.argv[1:], stdout=sys.stderr); "
        "_, status, usage = os.wait4(process.pid, 0); print(usage.ru_maxrss); sys.exit(status != 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command], stdout=subprocess.PIPE, text=True, check=True
    )
    return int(done.stdout) / 2**20


def check(base: Path, run: Path) -> None:
    """Hold some rows of each tensor against the formula."""
    from safetensors.torch import load_file

    old, new = (tensors_of(*weight_files(folder)) for folder in (base, run / "merged"))
    matrices: dict[str, Any] = load_file(run / "adapter_model.safetensors")
    assert old.keys() == new.keys()
    for name, tensor in old.items():
        rows = slice(tensor.shape[0] - 3, tensor.shape[0])
        wanted = tensor.read(rows).float()
        key = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{key}.lora_B.weight" in matrices:
            b, a = matrices[f"{key}.lora_B.weight"], matrices[f"{key}.lora_A.weight"]
            wanted = wanted + ALPHA / RANK * b[rows] @ a
        assert (new[name].read(rows).float() - wanted).abs().max() <= 2**-8 * wanted.abs().max(), name


if __name__ == "__main__":
    main()
