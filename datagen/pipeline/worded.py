"""The batches of a build in words, and what dedup and decontamination say of them."""

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datagen import dedup
from datagen.console.progress import Progress
from datagen.dedup.decontaminate import contaminated
from datagen.pipeline.plan import Plan
from datagen.pipeline.render import content_of, word_part
from datagen.pipeline.shards import Part
from datagen.storage.files import read_arrow, write_arrow

CONTENTS = b"contents"
"""In the metadata of what dedup said: the contents that it was asked about."""


class Worded:
    """The batches of a build, as they are put into words: in the order in which they were asked for."""

    def __init__(self, plan: Plan, executor: Executor, report: Progress) -> None:
        self.plan, self.executor, self.report = plan, executor, report
        self.parts: list[Part] = []
        self.decided: list[Path] = []
        self._at_work: dict[Path, Future[None]] = {}
        self._contents: list[str] = []
        self._prompts: list[npt.NDArray[np.uint64]] = []
        self._texts: dict[int, dedup.Read] = {}
        self._known = _known_contents(plan)

    def add(self, task: str, batch: int) -> None:
        """Have a batch put into words, where it is not there yet."""
        part = self.plan.part(task, batch)
        self.parts.append(part)
        if not part.examples.is_file():
            drawn, job = self.plan.kept.drawn[task], self.plan.jobs[task]
            self._at_work[part.examples] = self.executor.submit(
                word_part, drawn, batch, job, part.examples, part.rejects
            )

    def wait(self) -> None:
        """Wait for all batches, and read those that no earlier build saw: later, cores would be idle."""
        total = len(self.parts)
        self.report("word", len(self._contents), total)
        for number in range(len(self._contents), total):
            part = self.parts[number]
            if part.examples in self._at_work:
                self._at_work.pop(part.examples).result()
            self._contents.append(f"{content_of(part.examples)} {self.plan.recipe.tasks[part.task].template}")
            if self._contents[number] not in self._known:
                self._read(number)
            self.report("word", number + 1, total)

    def repeats(self) -> pa.Table:
        """What dedup says of all examples, from a file where an earlier build asked the same."""
        near = self.plan.recipe.dedup.near
        path = _decided(self.plan, self._contents)
        if not path.is_file():
            texts = [self._read(number) for number in range(len(self.parts))]
            found = dedup.decide(texts, near)
            write_arrow(found.replace_schema_metadata({CONTENTS: "\n".join(self._contents)}), path)
        self.decided.append(path)
        return read_arrow(path).cast(dedup.RESULT)

    def prompts(self) -> npt.NDArray[np.uint64]:
        """A hash of each example's prompt."""
        for part in self.parts[len(self._prompts) :]:
            texts = read_arrow(part.examples)["prompt"].to_pylist()
            hashes = b"".join(blake2b(text.encode(), digest_size=8).digest() for text in texts)
            self._prompts.append(np.frombuffer(hashes, np.uint64))
        return np.concatenate(self._prompts)

    def contaminated(self) -> list[str | None]:
        """For each example the evaluation question that it repeats, from a file where it was asked before."""
        tests = [repr(evaluation) for evaluation in self.plan.evaluations]
        worded = [str(part.examples.relative_to(self.plan.kept.folder)) for part in self.parts]
        path = _decided(self.plan, [*tests, *worded])
        if not path.is_file():
            texts = [self._read(number) for number in range(len(self.parts))]
            prompts = [read_arrow(part.examples)["prompt"].combine_chunks() for part in self.parts]
            of = contaminated(texts, pa.chunked_array(prompts), self.plan.evaluations)
            found = pa.table({"of": pa.array(of, pa.string())}).replace_schema_metadata({CONTENTS: ""})
            write_arrow(found, path)
        self.decided.append(path)
        repeated: list[str | None] = read_arrow(path)["of"].to_pylist()
        return repeated

    def _read(self, number: int) -> dedup.Read:
        if number not in self._texts:
            part = self.parts[number]
            examples = read_arrow(part.examples).select(["id", "fields", "options", "gold"])
            # one title has a brand and a colour to find: the same content, two questions
            kind = pa.repeat(self.plan.recipe.tasks[part.task].template, examples.num_rows)
            rows = examples.rename_columns(["id", "fields", "options", "answer"]).append_column("kind", kind)
            self._texts[number] = dedup.read(rows)
        return self._texts[number]


def _decided(plan: Plan, contents: Sequence[str]) -> Path:
    """The file of what dedup says of these contents, in this order."""
    shape = [repr(plan.recipe.dedup.near), str(plan.lock["made_with"]), *contents]
    name = blake2b("\n".join(shape).encode(), digest_size=8).hexdigest()
    return plan.kept.folder / "decided" / f"{name}.arrow"


def _known_contents(plan: Plan) -> set[str]:
    """What an earlier build had before dedup: its decisions are likely to be there still."""
    found: set[str] = set()
    for path in plan.kept.folder.glob("decided/*.arrow"):
        found.update(read_arrow(path).schema.metadata[CONTENTS].decode().split("\n"))
    return found
