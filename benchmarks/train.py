"""The speed of training the embedded model: our trainer against two loops over PEFT; a table, then JSON.

    make bench NAME=train [ROWS=96]

All train an adapter by the config smollm2-135m on the same ROWS rows of the recipe esci_mcq (the sample
shop), 16 rows a step, in fresh processes that take turns, three times each. The plain loop has what a loop
needs: rows sorted by length, in micro-batches of at most as many tokens; the model's own loss; AdamW. The
tuned loop is the same with the output matrix on trained positions alone. Tokens are those of rows, without
padding; seconds are those of steps, without loading, test losses and checkpoints. Figures are medians; memory
is the largest that a process held.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from datagen.errors import UserError
from finetune.base_models import base_model, load_model, load_tokenizer, precision
from finetune.config import load
from finetune.dataset import read_split

ROWS = 96
RUNS = 3
CONFIG, RECIPE = "smollm2-135m", "esci_mcq"
LOOPS = ("plain", "tuned")


def main() -> None:
    """Measure, print the table and the JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--loop", choices=LOOPS, help="Run this loop here, and print its speed.")
    parser.add_argument("--data", type=Path, help="The data set of the loop.")
    arguments = parser.parse_args()
    if arguments.loop:
        speed = loop(arguments.data, arguments.rows, tuned=arguments.loop == "tuned")
        print(json.dumps({"tokens_per_second": speed}))
    else:
        measure(arguments.rows)


def measure(rows: int) -> None:
    """Train `rows` rows each way in turn, and print what it took."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in (*LOOPS, "ours")}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        data = Path(folder) / RECIPE
        datagen = Path(sys.executable).with_name("datagen")
        run([datagen, "build", RECIPE, "--rows", max(10 * rows, 500), "--runs", folder])
        for number in range(RUNS):
            for name in LOOPS:
                found[name].append(run_loop(name, data, rows))
            found["ours"].append(run_ours(data, rows, Path(folder) / "trained", str(number)))
    speeds = {name: [speed for speed, _ in runs] for name, runs in found.items()}
    print(f"{'':<24}{'median tokens/s':>16}{'min':>8}{'max':>8}{'peak GiB':>10}")
    titles = {"ours": "finetune train", "plain": "plain loop over PEFT", "tuned": "tuned loop over PEFT"}
    for name, title in titles.items():
        low, high = min(speeds[name]), max(speeds[name])
        print(f"{title:<24}{median(speeds[name]):>16.1f}{low:>8.1f}{high:>8.1f}{peak(found[name]):>10.2f}")
    result = {
        "tokens_per_second": median(speeds["ours"]),
        "plain_loop_tokens_per_second": median(speeds["plain"]),
        "tuned_loop_tokens_per_second": median(speeds["tuned"]),
        "peak_gib": peak(found["ours"]),
    }
    print(json.dumps(result))


def run_ours(data: Path, rows: int, runs: Path, name: str) -> tuple[float, float]:
    """Tokens a second and peak GiB of `finetune train`."""
    settings = [
        f"--set=rows={rows}",
        "--set=minutes=null",
        "--set=eval_rows=1",
        "--set=eval_every=100000",
    ]
    command = [Path(sys.executable).with_name("finetune"), "train", CONFIG, "--data", data, *settings]
    _, gib = run([*command, "--runs", runs, "--name", name])
    done = json.loads((runs / name / "run.json").read_text(encoding="utf-8"))
    return float(done["tokens_per_second"]), gib


def run_loop(name: str, data: Path, rows: int) -> tuple[float, float]:
    """Tokens a second and peak GiB of a loop."""
    printed, gib = run([sys.executable, __file__, "--loop", name, "--data", data, "--rows", str(rows)])
    return float(json.loads(printed.splitlines()[-1])["tokens_per_second"]), gib


def run(command: list[Any]) -> tuple[str, float]:
    """What a process printed, and the most memory that it held in GiB."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        if process.returncode:
            errors.seek(0)
            raise UserError(f"{command[0]} failed:\n{errors.read()}")
        return output.read(), usage.ru_maxrss / 2**20


def loop(data: Path, rows: int, tuned: bool) -> float:
    """Tokens a second of a loop over PEFT, written as one would write it by hand."""
    import torch
    from peft import LoraConfig, get_peft_model
    from torch.nn.functional import cross_entropy

    from finetune.train import micro_batch_tokens

    config = load(CONFIG)
    base = base_model(config.base)
    split = read_split(data, "train", load_tokenizer(base), config.max_length, rows, choose=config.choose)
    numbers = precision(config.precision)
    model = load_model(base, numbers)
    adapter = LoraConfig(
        r=config.rank, lora_alpha=config.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model = get_peft_model(model, adapter)
    inner = model.get_base_model()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=config.lr)
    table = split.rows.to_pylist()
    start = time.perf_counter()
    for first in range(0, rows, config.batch_rows):
        step = table[first : first + config.batch_rows]
        trained = sum(sum(row["completion_mask"]) for row in step)
        for part in micro_batches(step, micro_batch_tokens(config)):
            ids, mask = padded(part, "input_ids"), padded(part, "completion_mask")
            attention = padded(part, "attention")
            with torch.autocast("cpu", torch.bfloat16, enabled=numbers == "bfloat16"):
                if tuned:
                    hidden = inner.model(input_ids=ids, attention_mask=attention, use_cache=False)
                    logits = inner.lm_head(hidden.last_hidden_state[:, :-1][mask[:, 1:] == 1])
                    loss = cross_entropy(logits.float(), ids[:, 1:][mask[:, 1:] == 1], reduction="sum")
                    loss = loss / trained
                else:
                    labels = ids.masked_fill(mask == 0, -100)
                    loss = model(
                        input_ids=ids,
                        attention_mask=attention,
                        labels=labels,
                        num_items_in_batch=trained,
                        use_cache=False,
                    ).loss
            loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        optimizer.zero_grad()
    return sum(split.lengths) / (time.perf_counter() - start)


def micro_batches(step: list[dict[str, Any]], most: int) -> list[list[dict[str, Any]]]:
    """The rows by length, in parts that hold at most as many tokens as that, with padding."""
    parts: list[list[dict[str, Any]]] = []
    for row in sorted(step, key=lambda row: -len(row["input_ids"])):
        row["attention"] = [1] * len(row["input_ids"])
        longest = len(parts[-1][0]["input_ids"]) if parts else 0
        if parts and longest * (len(parts[-1]) + 1) <= most:
            parts[-1].append(row)
        else:
            parts.append([row])
    return parts


def padded(part: list[dict[str, Any]], column: str) -> Any:
    """A column of some rows as a tensor, zeros after the shorter ones."""
    import torch

    longest = max(len(row[column]) for row in part)
    return torch.tensor([[*row[column], *[0] * (longest - len(row[column]))] for row in part])


def peak(found: list[tuple[float, float]]) -> float:
    """The most memory of all runs."""
    return round(max(gib for _, gib in found), 2)


def median(values: list[float]) -> float:
    """Rounded to what is worth reading."""
    return round(statistics.median(values), 1)


if __name__ == "__main__":
    main()
