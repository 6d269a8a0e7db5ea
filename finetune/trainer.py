"""TRL's SFTTrainer with batches of our own: the rows of a step, shared out so that little is padding.

This module imports TRL at its top; `train` imports it when a training starts.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers.trainer_pt_utils import BatchRebalanceSampler
from trl import SFTTrainer
from trl.trainer import utils as trl_utils

from datagen.errors import UserError

if not torch.cuda.is_available():
    # Where Triton runs, TRL multiplies only the positions that are trained by the output matrix; elsewhere
    # all, forwards and twice backwards, for two tokens of 200 that count. The loss is the same. This module
    # of TRL asks the function below for nothing else.
    trl_utils._use_triton = lambda device: True


class Trainer(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer whose steps hold the same rows however many processes and micro-batches share them."""

    def __init__(self, *, lengths: Sequence[int], batch_rows: int, **settings: Any) -> None:
        self._lengths, self._batch_rows = lengths, batch_rows
        super().__init__(**settings)

    def get_train_dataloader(self) -> Any:
        """The loader of the steps, which tells its sampler the epoch in all processes.

        accelerate wraps the sampler where there are several, and a training that goes on in the middle of an
        epoch wraps that again: it would go on in the order of the first epoch.
        """
        loader = super().get_train_dataloader()
        wrapper = loader.batch_sampler
        if not isinstance(wrapper, Steps):
            wrapper.sampler = wrapper.batch_sampler  # where `set_epoch` of accelerate's loaders looks
        return loader

    def _get_train_sampler(self, train_dataset: Any = None) -> "Steps":
        args = self.args
        return sampler(
            self._lengths,
            self._batch_rows,
            args.gradient_accumulation_steps,
            seed=args.seed,
            processes=args.world_size,
            process=args.process_index,
        )

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """TRL's loss, a mean over the trained tokens of a step. Raises UserError where there are none."""
        if not (inputs["labels"] != -100).any():
            raise UserError("a batch has no token to train on: every row needs an answer, or an end token")
        return super().compute_loss(model, inputs, *args, **kwargs)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the card is ours, and written once, at the end."""


class Steps(BatchRebalanceSampler):  # type: ignore[misc]
    """The micro-batches of a process; the last step of an epoch has its own rows alone, however few.

    transformers fills such a step up with rows of the first one, until each micro-batch of each process has
    one: its loss would change with their number. Here it has fewer micro-batches, and where it has fewer rows
    than there are processes, each of these takes them all, which gives the same mean.
    """

    def __iter__(self) -> Iterator[list[int]]:
        """The rows of each micro-batch, by number."""
        yield from super().__iter__()  # those of whole steps: it was told to drop the last
        if not self.remainder:
            return
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        rows = torch.randperm(len(self.lengths), generator=generator)[-self.remainder :].tolist()
        alike = self.remainder < self.dp_size
        last = BatchRebalanceSampler(
            lengths=[self.lengths[row] for row in rows],
            effective_batch_size=self.remainder,
            dp_size=1 if alike else self.dp_size,
            grad_accum=self._last_parts(),
            shuffle=False,
            rank=0 if alike else self.rank,
        )
        for batch in last:
            yield [rows[place] for place in batch]

    def __len__(self) -> int:
        """How many micro-batches an epoch has."""
        return int(super().__len__()) + self._last_parts()

    def _last_parts(self) -> int:
        return int(min(self.grad_accum, self.remainder // self.dp_size or self.remainder))


def sampler(
    lengths: Sequence[int], batch_rows: int, parts: int, *, seed: int, processes: int = 1, process: int = 0
) -> Steps:
    """Micro-batches of a process: `parts` make a step of `batch_rows` rows in all, each as much work."""
    return Steps(
        lengths=list(lengths),
        effective_batch_size=batch_rows,
        dp_size=processes,
        grad_accum=parts,
        seed=seed,
        rank=process,
        drop_last=True,
    )


def parts_of_a_step(
    lengths: Sequence[int], batch_rows: int, micro_batch_tokens: int, *, seed: int, processes: int
) -> int:
    """The fewest micro-batches a step (and process) that hold at most so many tokens, padding included.

    Where one row alone has more, as many as there are rows. Raises UserError where rows don't divide.
    """
    if batch_rows % processes:
        raise UserError(
            f"`batch_rows: {batch_rows}` can't be shared out to {processes} processes: take a multiple"
        )
    rows = batch_rows // processes
    for parts in (number for number in range(1, rows + 1) if rows % number == 0):
        mine = (
            batch
            for process in range(processes)
            for batch in sampler(lengths, batch_rows, parts, seed=seed, processes=processes, process=process)
        )
        if all(len(batch) * max(lengths[i] for i in batch) <= micro_batch_tokens for batch in mine):
            return parts
    return rows
