"""A process of a training whose weights are shared out by torch's FSDP, over gloo; prints the losses.

torchrun --nproc_per_node 2 -m tests.finetune.sharded FOLDER

accelerate shares nothing out on CPUs, so this calls what it calls on GPUs, `fully_shard`, itself, with a base
and an adapter as a training has them. Run as one process it shares nothing out.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

STEPS, ROWS, LENGTH = 6, 4, 24


def main() -> None:
    """Train a few steps, and print the loss of each as JSON."""
    import torch
    import torch.distributed as dist
    from peft import LoraConfig, get_peft_model
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    from finetune.base_models import load_model

    processes, process = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    torch.manual_seed(1)
    lora = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(load_model(Path(sys.argv[1]), "float32"), lora)
    if processes > 1:
        dist.init_process_group("gloo")
        mesh = init_device_mesh("cpu", (processes,))
        for layer in model.get_base_model().model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=0.02)
    losses = []
    for step in range(STEPS):
        ids = torch.randint(3, 100, (ROWS, LENGTH), generator=torch.Generator().manual_seed(step))
        loss = model(input_ids=ids[process::processes], labels=ids[process::processes]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(_mean(loss.detach(), processes))
    if process == 0:
        weights = sum(weight.to_local().numel() for weight in _sharded(model))
        sys.stdout.write(json.dumps({"losses": losses, "own": weights}) + "\n")
    if processes > 1:
        dist.destroy_process_group()


def _sharded(model: Any) -> list[Any]:
    return [weight for weight in model.parameters() if hasattr(weight, "to_local")]


def _mean(loss: Any, processes: int) -> float:
    """The mean over all processes, which have as many tokens each."""
    import torch.distributed as dist

    if processes > 1:
        dist.all_reduce(loss)
    return float(loss) / processes


if __name__ == "__main__":
    main()
