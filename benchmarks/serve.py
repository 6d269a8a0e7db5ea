"""The server under many clients: whether each gets the answer to its own question, and how soon; then JSON.

    make bench NAME=serve [MINUTES=5]

Clients ask `infer serve` with the embedded model test questions of all five types, one after the other, each
its own, through OpenAI's client. Then `infer run` answers the same questions. `lost` are questions without an
answer, `mixed_up` those with another answer than the run's.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import multiprocessing
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
from build import built_from_sample

from datagen.shopbench.questions import ANSWERS_FOLDER, Asked, read_questions
from finetune.base_models import base_model
from infer.batches import balanced
from infer.predict import predict

CLIENTS = 32
MODEL = "smollm2-135m"
RECIPE = "esci_small"


class Given(NamedTuple):
    """A reply of the server, or why there is none, after so many seconds."""

    asked: Asked
    answer: str | None
    problem: str
    seconds: float


def main() -> None:
    """Ask both and print what came out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=5)
    minutes = parser.parse_args().minutes
    folder = base_model(MODEL)
    with tempfile.TemporaryDirectory() as work:
        asked = read_questions(built_from_sample(Path(work), RECIPE))
        with _server(folder) as url:
            start = time.monotonic()
            given = asyncio.run(_ask_all(url, balanced(asked, len(asked)), 60 * minutes))
            seconds = time.monotonic() - start
        once = {one.asked.id: one.asked for one in given}
        of_run = _of_run(folder, list(once.values()), Path(work) / "run")
    lost = [one for one in given if one.answer is None]
    other = [one for one in given if one.answer is not None and one.answer != of_run[one.asked.id]]
    for one in lost[:5]:
        print(f"lost: {one.asked.id}: {one.problem}")
    for one in other[:5]:
        print(f"another answer than a run's: {one.asked.id}: {one.answer!r}, not {of_run[one.asked.id]!r}")
    times = [one.seconds for one in given]
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    print(f"{MODEL}, {CLIENTS} clients, {seconds:.0f} s, {len(given) / seconds:.2f} questions a second")
    print(f"{len(given)} questions: {len(lost)} lost, {len(other)} with another answer than a run gives")
    found = {"clients": CLIENTS, "requests": len(given), "lost": len(lost), "mixed_up": len(other)}
    print(json.dumps(found | {"p50_seconds": round(cuts[49], 2), "p99_seconds": round(cuts[98], 2)}))


async def _ask_all(url: str, asked: Sequence[Asked], seconds: float) -> list[Given]:
    """What the clients were given until time was up; each takes the next question once it has an answer."""
    from openai import AsyncOpenAI

    given, until = list[Given](), time.monotonic() + seconds
    left = itertools.cycle(asked)  # a fast machine comes to the end of them, and begins again

    async def client() -> None:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=600) as chat:
            for question in left:
                start = time.monotonic()
                answer, problem = None, ""
                try:
                    reply = await chat.chat.completions.create(
                        model=MODEL,
                        messages=[{"role": "user", "content": question.prompt}],
                        extra_body={"is_multiple_choice": question.is_multiple_choice},
                    )
                    answer = reply.choices[0].message.content
                except Exception as error:
                    problem = f"{type(error).__name__}: {error}"
                given.append(Given(question, answer, problem, time.monotonic() - start))
                if time.monotonic() > until:
                    return

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return given


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    """The URL of a server of its own, until it is ended by Ctrl-C."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "infer.cli", "serve", str(folder), "--name", MODEL, "--port", str(port)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            if not server.stdout.readline():
                raise SystemExit("the server did not start")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGINT)


def _of_run(folder: Path, asked: list[Asked], run: Path) -> dict[str, str]:
    """The answers of `infer run`, by the questions' ids; in a process of its own, which frees the memory."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        executor.submit(_predict, asked, str(folder), run).result()
    rows: list[dict[str, Any]] = pq.read_table(run / ANSWERS_FOLDER, columns=["id", "raw"]).to_pylist()
    return {row["id"]: row["raw"] for row in rows}


def _predict(asked: list[Asked], folder: str, run: Path) -> None:
    predict(asked, folder, run)


if __name__ == "__main__":
    main()
