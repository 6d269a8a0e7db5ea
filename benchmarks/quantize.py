"""The cost of 4 bits: AWQ, GPTQ and rounding, by task questions and by general text; a table, then JSON.

    make bench NAME=quantize [ROWS=100] [MODEL=finetune/runs/mine/merged]

One model is quantised in four ways and answers the same ROWS test questions of the recipe esci_small (the
sample shop) before and after; the embedded model chooses by text. The general text is the language
reference that Python carries (`pydoc_data.topics`), in as many tokens as the questions have. The
perplexity is of 50 right answers.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from build import built_from_sample

from datagen.hf.checkpoint import ORIGIN
from finetune.base_models import base_model, load_tokenizer
from finetune.calibration import Tokens, questions
from finetune.quantize import quantize
from finetune.quantize_process import Report

ROWS = 100
SAMPLES = 32
RECIPE = "esci_small"


def main() -> None:
    """Quantise and score in four ways, and print what came out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--work", type=Path, help="Where to work, and to go on; a folder of its own if none.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        work = arguments.work or Path(folder)
        model = work / "merged"
        if not model.is_dir():
            shutil.copytree(base_model(arguments.model), model)
        if not (model / ORIGIN).is_file():
            (model / ORIGIN).write_text('{"choose": "text"}\n', encoding="utf-8")
        compare(model, arguments.rows, arguments.samples, work)


def compare(model: Path, rows: int, samples: int, work: Path) -> None:
    """Quantise the model each way and print the figures."""
    data = built_from_sample(work, RECIPE)
    asked = questions(model, data, samples, rows)
    text = general(model, asked.calibration)
    ways = {
        "awq": ("AWQ, on questions", "awq", None),
        "awq-text": ("AWQ, on general text", "awq", text),
        "gptq": ("GPTQ, on questions", "gptq", None),
        "rtn": ("rounding to nearest", "rtn", None),
    }
    found = {}
    for name, (_, method, sequences) in ways.items():
        folder = quantize(
            str(model),
            data,
            Report(lambda line: print(line, file=sys.stderr), lambda done, total: None),
            method=method,
            name=name,
            margin=1.0,  # all are to be seen
            samples=samples,
            limit=rows,
            text=sequences,
        )
        found[name] = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))["quantized"]
    first = found["awq"]
    before = first["before"]
    print(f"{'':<24}{'score':>8}{'95 %':>16}{'perplexity':>12}{'GiB':>8}{'seconds':>9}{'peak GiB':>10}")
    print(f"{'before':<24}{before['score']:>8.3f}{'':>16}{before['perplexity']:>12.3f}{before['gib']:>8.3f}")
    for name, (title, *_) in ways.items():
        after, change, made = (found[name][key] for key in ("after", "change", "worker"))
        within = f"{change['low']:+.3f} {change['high']:+.3f}"
        print(
            f"{title:<24}{after['score']:>8.3f}{within:>16}{after['perplexity']:>12.3f}{after['gib']:>8.3f}"
            f"{made['seconds']:>9.0f}{made['peak_gib']:>10.2f}"
        )
    after = first["after"]
    result = {
        "score_before": round(before["score"], 4),
        "score_after": round(after["score"], 4),
        "gib_before": before["gib"],
        "gib_after": after["gib"],
        "perplexity_before": round(before["perplexity"], 4),
        "perplexity_after": {name: round(of["after"]["perplexity"], 4) for name, of in found.items()},
        "scores_after": {name: round(of["after"]["score"], 4) for name, of in found.items()},
    }
    print(json.dumps(result))


def general(model: Path, like: list[Tokens]) -> list[Tokens]:
    """Sequences of general text, as long as those."""
    from pydoc_data.topics import topics

    ids = load_tokenizer(model).encode("\n".join(topics.values()), add_special_tokens=False)
    sequences, start = [], 0
    for one in like:
        sequences.append(Tokens(ids[start : start + len(one.ids)], len(one.ids)))
        start += len(one.ids)
    return sequences


if __name__ == "__main__":
    main()
