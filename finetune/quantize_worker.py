"""The worker of `finetune quantize`: llm-compressor on one model, in an environment of its own.

    .venv/quantize-env/bin/python -P finetune/quantize_worker.py REQUEST.json

Nothing else of this project can be imported there: llm-compressor wants other releases than vLLM. The
request names files and settings (`finetune.quantize`); the folder that it wants holds the model in the end,
and beside it stands FIGURES.
"""

import hashlib
import json
import math
import os
import resource
import sys
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import Any

FIGURES = "figures.json"


def main() -> None:
    """Do what the request says."""
    request = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start = time.monotonic()

    import torch
    from llmcompressor import oneshot
    from transformers import AutoModelForCausalLM

    on_gpu = torch.cuda.is_available()
    # In float32 on a CPU: most CPUs multiply nothing else in hardware
    model = AutoModelForCausalLM.from_pretrained(
        request["model"], dtype="auto" if on_gpu else torch.float32, use_safetensors=True
    )
    measured = _lines(request["measured"])
    before = _perplexity(model, measured)
    oneshot(
        model=model,
        recipe=_recipe(request["method"], request["groups"], request["ignore"]),
        **_calibration(request),
    )
    _round(model, getattr(torch, request["dtype"]))
    layers = {name: _rounded(module) for name, module in _quantized(model)}
    after = _perplexity(model, measured)
    _cast(model, getattr(torch, request["dtype"]))
    folder = Path(request["output"])
    model.save_pretrained(folder, save_compressed=True, max_shard_size="4GB")
    figures = {
        "perplexity_before": before,
        "perplexity_after": after,
        "seconds": round(time.monotonic() - start, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "device": "cuda" if on_gpu else "cpu",
        "releases": {
            name: metadata.version(name)
            for name in ("llmcompressor", "compressed-tensors", "torch", "transformers")
        },
        "layers": layers,
    }
    (folder.parent / FIGURES).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _end_with_parent() -> None:
    """End when the parent does, however it ends: it holds the other end of this pipe."""
    os.read(0, 1)
    os._exit(1)


def _lines(path: str | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()] if path else []


def _recipe(method: str, groups: dict[str, list[str]], ignore: list[str]) -> list[Any]:
    """The modifiers: AWQ scales channels and quantises nothing, so that rounding comes after it."""
    from compressed_tensors.quantization.quant_scheme import preset_name_to_scheme
    from llmcompressor.modifiers.gptq import GPTQModifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier

    schemes = {}
    for size, targets in groups.items():
        scheme = preset_name_to_scheme("W4A16_ASYM", targets)
        scheme.weights.group_size = int(size)
        schemes[f"group_{size}"] = scheme
    if method == "gptq":
        return [GPTQModifier(config_groups=schemes, ignore=ignore)]
    rounding = QuantizationModifier(config_groups=schemes, ignore=ignore)
    return [AWQModifier(), rounding] if method == "awq" else [rounding]


def _calibration(request: dict[str, Any]) -> dict[str, Any]:
    """The settings of `oneshot` about calibration; none where nothing is calibrated."""
    import torch
    from datasets import Dataset

    if request["method"] == "rtn":
        return {}
    if not torch.cuda.is_available():
        # llm-compressor 0.14 pins memory for a GPU whether there is one or not, and fails where there is none
        from llmcompressor.pipelines.cache import IntermediatesCache

        IntermediatesCache.pin_memory = lambda self, *rest: None
    rows = [
        {"input_ids": line["ids"], "attention_mask": [1] * len(line["ids"])}
        for line in _lines(request["calibration"])
    ]
    return {
        "dataset": Dataset.from_list(rows),
        "num_calibration_samples": len(rows),
        "max_seq_length": max(len(row["input_ids"]) for row in rows),
        "shuffle_calibration_samples": False,
        "pipeline": "sequential",
    }


def _perplexity(model: Any, rows: list[dict[str, Any]]) -> float | None:
    """The perplexity of the answers in the rows, given what stands before them; None where there are none."""
    import torch

    if not rows:
        return None
    if torch.cuda.is_available():
        from compressed_tensors.offload import dispatch_model

        dispatch_model(model)
    loss, tokens = 0.0, 0
    for row in rows:
        ids = torch.tensor([row["ids"]])
        with torch.inference_mode():
            logits = model(input_ids=ids.to(model.device), use_cache=False).logits[0, row["start"] - 1 : -1]
        targets = ids[0, row["start"] :].to(logits.device)
        loss += float(torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum"))
        tokens += len(targets)
    return math.exp(loss / tokens)


def _quantized(model: Any) -> list[tuple[str, Any]]:
    return [(name, module) for name, module in model.named_modules() if hasattr(module, "weight_scale")]


def _rest(model: Any) -> list[Any]:
    """All floating-point weights but those that are packed: scales, norms, biases, embeddings."""
    packed = {id(module.weight) for _, module in _quantized(model)}
    return [of for of in model.parameters() if of.is_floating_point() and id(of) not in packed]


def _round(model: Any, dtype: Any) -> None:
    """Round what will be kept in 16 bits, so that what is measured and packed is what is kept."""
    for weight in _rest(model):
        weight.data = weight.data.to(dtype).to(weight.dtype)


def _cast(model: Any, dtype: Any) -> None:
    for weight in _rest(model):
        weight.data = weight.data.to(dtype)
    model.config.dtype = dtype


def _rounded(module: Any) -> str:
    """Give a layer the weights that its 4 bits stand for; their sha256 as float32."""
    import torch
    from compressed_tensors.quantization.lifecycle.forward import fake_quantize

    weight = fake_quantize(
        module.weight.float(),
        module.weight_scale.float(),
        module.weight_zero_point,
        module.quantization_scheme.weights,
    )
    module.weight.data = weight.to(module.weight.dtype)
    module.quantization_enabled = False  # else each of the model's steps would round again
    # -0.0 and 0.0 are one weight
    return hashlib.sha256((weight.to(torch.float32).cpu() + 0.0).numpy().tobytes()).hexdigest()


if __name__ == "__main__":
    main()
