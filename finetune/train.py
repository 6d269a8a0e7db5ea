"""One training, from a config and a run of datagen to an adapter (or a whole model), metrics and card.

    finetune/runs/<name>/
      adapter_model.safetensors   adapter_config.json   tokenizer files
      config.yaml   metrics.jsonl   loss.png   README.md   rejects.parquet
      checkpoints/   while it runs: a training that was cut off goes on from the last whole one
      run.json       what it was made from, and the result; written last

The training itself is TRL's SFTTrainer, alone or in the processes of `accelerate launch`.
"""

import gc
import json
import math
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from datagen.errors import UserError
from datagen.hf.checkpoint import ORIGIN, PICKLES, share_weights
from datagen.hf.checkpoint import config as model_config
from datagen.prompts.cloze import CHOICES
from datagen.storage.files import full_disk, write_json, write_parquet
from datagen.storage.folder_lock import held
from finetune.base_models import base_model, load_model, load_tokenizer, precision, published
from finetune.config import Config, dump
from finetune.dataset import Split, marked, read_split
from finetune.report import write_card, write_plot
from finetune.run_file import CHECKPOINTS, LOCK, RUN, chosen_budget, is_done, lock

Say = Callable[[str], None]

_SAMPLE = 64
"""Steps of rows that are read before it is known how many fit into the time."""
_STRIDE = 8
"""Of so many rows of the test split, one is in the test loss that is timed."""


def train(config: Config, data: Path, run: Path, say: Say) -> dict[str, Any]:
    """Train into the folder `run`, or resume the same training there; gives what `run.json` then holds.

    A finished training is not repeated. `say` gets lines for people. Raises UserError for a run of datagen or
    a base model that can't be used, a folder that holds another training, a full disk, a loss that diverges.
    """
    began = time.perf_counter()
    state = PartialState(cpu=not torch.cuda.is_available())
    _check_sharding(config)
    say = say if state.is_main_process else (lambda text: None)
    with state.main_process_first():
        base = base_model(config.base)
        wanted = lock(config, data, base)
        if is_done(run, wanted):
            say(f"{run} is trained already")
            if state.is_main_process:  # a kill after `run.json` leaves them
                _clear_checkpoints(config, run)
            done: dict[str, Any] = json.loads((run / RUN).read_text(encoding="utf-8"))
            return done
        _check_length(config, base)
        by_time = config.minutes is not None and config.token_budget is None
        budget = chosen_budget(run) if by_time else config.token_budget
    alone = held(run / CHECKPOINTS, f"{run} is being trained") if state.is_main_process else nullcontext()
    with full_disk(run), alone:
        tokenizer = load_tokenizer(base)
        length = config.max_length
        test = read_split(data, "test", tokenizer, length, config.eval_rows, choose=config.choose)
        if by_time and budget is None:
            budget = _budget(config, run, data, base, tokenizer, test, state, say, began)
        train = read_split(data, "train", tokenizer, length, config.rows, budget, config.choose)
        splits = {"train": train, "test": test}
        if by_time:  # said in the lock, so that a training that goes on is not timed anew
            budget = budget or sum(train.lengths)
            wanted |= {"token_budget": budget}
            config = config.model_copy(update={"token_budget": budget})
        return _train(config, run, base, tokenizer, splits, wanted, state, say)


def _budget(
    config: Config,
    run: Path,
    data: Path,
    base: Path,
    tokenizer: Any,
    test: Split,
    state: Any,
    say: Say,
    began: float,
) -> int | None:
    """The tokens of an epoch that this machine trains in the config's minutes, which count from `began`.

    None where that is all of them.
    """
    import finetune.trainer  # noqa: F401 - takes seconds, and not again when a copy is made
    from finetune import fit

    assert config.minutes
    seconds, rows = 60 * config.minutes, _SAMPLE * config.batch_rows
    say(f"times a few steps, to see what fits into {config.minutes:g} minutes ...")
    rows = min(rows, config.rows or rows)
    sample = read_split(data, "train", tokenizer, config.max_length, rows, choose=config.choose)
    few = test._replace(rows=test.rows.take(list(range(0, test.rows.num_rows, _STRIDE))))

    def copy() -> Any:
        plain = config.model_copy(update={"patience": None, "report_to": None})
        splits = {"train": sample, "test": few}
        made, progress = build(plain, run, base, tokenizer, splits, precision(config.precision), say)
        made.remove_callback(progress)
        return made

    pace = fit.pace(copy, sample.lengths, seconds, state.num_processes)
    pace = pace._replace(test_loss=pace.test_loss * sum(test.lengths) / sum(few.lengths))
    gc.collect()  # the copy, whose objects know each other
    left = seconds * (1 - fit.SPARE) - (time.perf_counter() - began)
    found = fit.tokens_that_fit(pace, left, sample, config)
    say(fit.told(pace, left, found, config))
    [tokens] = broadcast_object_list([found.tokens]) if state.num_processes > 1 else [found.tokens]
    return tokens if tokens < found.of else None


def _train(
    config: Config,
    run: Path,
    base: Path,
    tokenizer: Any,
    splits: dict[str, Split],
    wanted: dict[str, Any],
    state: Any,
    say: Say,
) -> dict[str, Any]:
    numbers = precision(config.precision)
    trainer, progress = build(config, run, base, tokenizer, splits, numbers, say)
    if state.is_main_process:  # not before: a training that could not begin must not block another config
        write_json(wanted, run / LOCK)
        (run / "config.yaml").write_text(dump(config), encoding="utf-8")
        _write_rejects(run, splits.values())
    train_rows = splits["train"]
    for line in _outset(config, run, train_rows, trainer.model, numbers):
        say(line)
    [first] = train_rows.rows.slice(0, 1).to_pylist()
    unlisted = ", asked without its list" if config.choose == "text" and first["task_type"] in CHOICES else ""
    say(f"one of its rows{unlisted}, what is trained between « and »:\n{marked(first, tokenizer)}")
    state.wait_for_everyone()
    checkpoint = last_checkpoint(run / CHECKPOINTS)
    if checkpoint:
        say(f"goes on from step {checkpoint.name.rpartition('-')[2]}")
        trainer.args.eval_on_start = False
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    finally:
        progress.close()
    _check_finite(run, trainer.model)
    trainer.save_model(str(run))
    if not state.is_main_process:
        return wanted
    logs = trainer.state.log_history
    tested = [entry["eval_loss"] for entry in logs if "eval_loss" in entry]
    result = {
        "rows": train_rows.rows.num_rows,
        "tokens": int([entry["num_tokens"] for entry in logs if "loss" in entry][-1]),
        "steps": trainer.state.global_step,
        "rejected": sum(split.rejects.num_rows for split in splits.values()),
        "loss": [entry["loss"] for entry in logs if "loss" in entry][-1],
        "eval_loss_before": tested[0],
        "eval_loss": trainer.state.best_metric or tested[-1],
        "precision": numbers,
        "processes": state.num_processes,
        "tokens_per_second": round(progress.tokens_per_second, 1),
    }
    _finish(config, run, splits, wanted, result)
    return wanted | result


def build(
    config: Config, run: Path, base: Path, tokenizer: Any, splits: dict[str, Split], numbers: str, say: Say
) -> tuple[Any, Any]:
    """The trainer of a config, ready to start, and what follows its progress."""
    from datasets import Dataset, disable_progress_bars
    from peft import LoraConfig
    from transformers import EarlyStoppingCallback, PrinterCallback
    from transformers.utils import logging

    from finetune.callbacks import LONG, Progress
    from finetune.trainer import Trainer

    disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    lengths = splits["train"].lengths
    # First: it raises where rows cannot be shared out, and then nothing is left behind.
    arguments = _arguments(config, run, splits, numbers)
    small = config.rank is not None  # all weights are trained in float32, whatever is multiplied
    model = load_model(base, numbers if small else "float32", config.four_bit)
    progress = Progress(
        run,
        sum(lengths) * config.epochs,
        2 * math.log(model.config.get_text_config().vocab_size),
        say,
        max(LONG, 60 * (config.minutes or 0)),
    )
    callbacks = [progress]
    if config.report_to:
        callbacks.append(_tensorboard(run))
    if config.patience:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=config.patience))
    # Sorted, so that its batches, which are taken in order, hold rows of about one length
    test = splits["test"].rows.take(_by_length(splits["test"].lengths))
    trainer = Trainer(
        lengths=lengths,
        batch_rows=config.batch_rows,
        model=model,
        args=arguments,
        train_dataset=Dataset(splits["train"].rows.select(["input_ids", "completion_mask"])),
        eval_dataset=Dataset(test.select(["input_ids", "completion_mask"])),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        if config.rank
        else None,
        callbacks=callbacks,
    )
    trainer.remove_callback(PrinterCallback)
    return trainer, progress


def _arguments(config: Config, run: Path, splits: dict[str, Split], numbers: str) -> Any:
    from trl import SFTConfig

    from finetune.trainer import parts_of_a_step

    gpu, processes = torch.cuda.is_available(), PartialState().num_processes
    parts = parts_of_a_step(
        splits["train"].lengths,
        config.batch_rows,
        micro_batch_tokens(config),
        seed=config.seed,
        processes=processes,
    )
    return SFTConfig(
        output_dir=str(run / CHECKPOINTS),
        per_device_train_batch_size=config.batch_rows // (parts * processes),
        gradient_accumulation_steps=parts,
        per_device_eval_batch_size=eval_batch(splits["test"].lengths, micro_batch_tokens(config)),
        learning_rate=config.lr,
        lr_scheduler_type="cosine",
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        max_grad_norm=config.clip,
        num_train_epochs=config.epochs,
        seed=config.seed,
        bf16=numbers == "bfloat16",
        use_cpu=not gpu,
        dataloader_pin_memory=gpu,
        gradient_checkpointing=config.gradient_checkpointing,
        # No row is over length: TRL has nothing to cut, and nothing to drop in silence after it
        max_length=None,
        completion_only_loss=True,
        logging_steps=1,
        logging_nan_inf_filter=False,  # a NaN is to be seen, not smoothed over
        eval_strategy="steps",
        eval_steps=config.eval_every,
        eval_on_start=True,
        save_strategy="steps",
        save_steps=config.eval_every,
        save_total_limit=max(2, config.keep_checkpoints or 0),
        restore_callback_states_from_checkpoint=config.patience is not None,  # how much of it is used up
        load_best_model_at_end=config.patience is not None,
        metric_for_best_model="eval_loss" if config.patience else None,
        greater_is_better=False,
        report_to="none",
        disable_tqdm=True,
    )


def micro_batch_tokens(config: Config) -> int:
    """The config's, or what the machine is fast with: a GPU wastes most of its time on small parts."""
    return config.micro_batch_tokens or (16_384 if torch.cuda.is_available() else 3_072)


def eval_batch(lengths: list[int], most: int) -> int:
    """Rows of a batch of the test split, of at most so many tokens with padding, which leave no smaller one.

    accelerate fills such a one up with other rows where processes share the batches: their loss would count.
    """
    fit = max(1, most // max(lengths))
    return max(rows for rows in range(1, fit + 1) if len(lengths) % rows == 0)


def _tensorboard(run: Path) -> Any:
    from transformers.integrations import TensorBoardCallback

    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError("`report_to: tensorboard` needs it: pip install tensorboard") from None
    return TensorBoardCallback(SummaryWriter(str(run / "tensorboard")))


def last_checkpoint(folder: Path) -> Path | None:
    """The last whole checkpoint; a killed process may have left half of a later one."""
    whole = {}
    for path in folder.glob("checkpoint-*"):
        try:
            step = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]
        except (OSError, ValueError, KeyError):  # this file is written last
            continue
        whole[step] = path
    return whole[max(whole)] if whole else None


def _check_length(config: Config, base: Path) -> None:
    """Raises UserError where rows may be longer than what the base was made for."""
    context = model_config(base).get("max_position_embeddings")
    if context and config.max_length > context:
        raise UserError(
            f"`max_length: {config.max_length}` is more than the {context} tokens that {config.base} reads. "
            f"Set it to {context} or less, as in --set max_length={context}"
        )


def _check_sharding(config: Config) -> None:
    """Raises UserError where the weights would be shared out (FSDP), and could not be."""
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() not in ("true", "1"):
        return
    if config.four_bit:
        raise UserError(
            "`four_bit: true` can't be shared out by FSDP: what unpacks 4 bits again is lost, without a "
            "word, when a layer is put together. Launch it without --use_fsdp, so that each GPU has a copy, "
            "or set four_bit=false. `finetune plan` says what fits"
        )
    if not torch.cuda.is_available():
        raise UserError(
            "FSDP shares weights out over GPUs alone: on CPUs accelerate gives each process a copy, without "
            "a word. Launch it without --use_fsdp"
        )


def _outset(config: Config, run: Path, split: Split, model: Any, numbers: str) -> Iterator[str]:
    """The lines that say what is about to be trained."""
    tokens, rows = sum(split.lengths), split.rows.num_rows
    steps = math.ceil(rows / config.batch_rows) * config.epochs
    times = f", {config.epochs} times" if config.epochs > 1 else ""
    why = Counter(reason.replace("_", " ") for reason in split.rejects["reason"].to_pylist())
    left_out = f"; left out: {', '.join(f'{name} {n:,}' for name, n in why.items())}" if why else ""
    yield f"{run}: {rows:,} of {split.available:,} rows{left_out}. {tokens:,} tokens{times}, {steps:,} steps"
    weights = sum(parameter.numel() for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    how = f"an adapter of rank {config.rank}" if config.rank else "all weights"
    yield (f"trains {how} of {config.base} in {numbers}: {trained:,} of {weights:,} weights")


def _finish(
    config: Config, run: Path, splits: dict[str, Split], wanted: dict[str, Any], result: dict[str, Any]
) -> None:
    """Delete what only the training needed; write plot, card and, last, `run.json`."""
    (run / "training_args.bin").unlink(missing_ok=True)  # a pickle
    adapter = run / "adapter_config.json"
    if adapter.is_file():  # named at the end, as PEFT would ask the hub for a base that it can't find here
        said = json.loads(adapter.read_text(encoding="utf-8"))
        write_json(said | {"base_model_name_or_path": published(config.base)}, adapter)
    write_plot(run)
    write_card(run, config, splits["train"].licenses, wanted, result)
    if config.rank is None:  # a whole model, which may be asked as it is
        write_json({"choose": config.choose}, run / ORIGIN)
    share_weights(run)
    write_json(wanted | result, run / RUN)
    _clear_checkpoints(config, run)


def _clear_checkpoints(config: Config, run: Path) -> None:
    """Delete checkpoints but for those that are to stay, and of these what only a resumed training reads."""
    if not (run / CHECKPOINTS).is_dir():
        return
    by_step = sorted((run / CHECKPOINTS).glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
    kept = by_step[-config.keep_checkpoints :] if config.keep_checkpoints else []
    for path in (run / CHECKPOINTS).iterdir():
        if path in kept:
            for state in [
                file for pattern in (*PICKLES, "trainer_state.json") for file in path.glob(pattern)
            ]:
                state.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    if not kept:
        (run / CHECKPOINTS).rmdir()


def _check_finite(run: Path, model: Any) -> None:
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    if not all(weight.isfinite().all() for weight in trained):
        raise UserError(
            f"the loss diverged: weights are not finite after the last step. Lower lr, delete {run}"
        )


def _by_length(lengths: list[int]) -> list[int]:
    return sorted(range(len(lengths)), key=lambda i: -lengths[i])


def _write_rejects(run: Path, splits: Any) -> None:
    import pyarrow as pa

    write_parquet(pa.concat_tables([split.rejects for split in splits]), run / "rejects.parquet")
