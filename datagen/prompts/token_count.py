"""What counts a model's tokens where the model itself need not be at hand: the best that this machine has.

    its tokenizer       where the model is a folder, or was fetched from the hub before: exact
    Qwen's vocabulary   out of the package dashscope, read by tiktoken, for Qwen2 and later ones: exact
    an estimate         elsewhere; mostly somewhat more than Qwen2's

All three take what a tokenizer takes, so that rows and questions are worded for them by the same functions.
"""

import functools
import importlib.util
import re
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from datagen.prompts.token_estimate import estimated_tokens

_PIECES = (  # how Qwen2's tokenizer cuts a text before it looks for tokens
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_THOUGHT = ("<think>", "</think>")
_PLAIN_TOKENS = 151_643

EXACTLY = "pip install tiktoken && pip install --no-deps dashscope"
"""What makes the counts of Qwen's tokens exact."""


class Counted(NamedTuple):
    """What counts tokens, and what it is, in words."""

    tokenizer: Any
    how: str
    exact: bool


def token_counter(model: str, load: Callable[[Path], Any]) -> Counted:
    """What counts the tokens of a model: a folder, or a name on the hub, which is not fetched.

    `load` loads the tokenizer in a folder, which takes a library of models.
    """
    folder = Path(model) if Path(model).is_dir() else _fetched(model)
    if folder is not None and importlib.util.find_spec("transformers"):
        return Counted(load(folder), "its own tokenizer", True)
    thinks = "qwen3" in model.lower()
    vocabulary = _vocabulary() if "qwen" in model.lower() else None
    if vocabulary is not None and importlib.util.find_spec("tiktoken"):
        return Counted(QwenVocabulary(vocabulary, thinks), "Qwen's vocabulary", True)
    advice = f"; exact once these are there: {EXACTLY}" if "qwen" in model.lower() else ""
    return Counted(Estimate(thinks), f"an estimate, mostly somewhat high{advice}", False)


class _ChatML:
    """A conversation as Qwen's chat templates word it, and the marks around its turns."""

    eos_token_id = 0
    added_tokens_decoder = dict(  # noqa: RUF012 - as a tokenizer has it; nobody changes it
        enumerate(SimpleNamespace(content=mark, special=True) for mark in _MARKS)
    )

    def __init__(self, thinks: bool) -> None:
        self._begin = "<think>\n\n</think>\n\n" if thinks else ""

    def apply_chat_template(self, conversation: list[dict[str, str]], /, **_: Any) -> str:
        """The conversation as the model reads it before it answers; without thinking, where it could."""
        turns = (f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in conversation)
        return f"{''.join(turns)}<|im_start|>assistant\n{self._begin}"


class QwenVocabulary(_ChatML):
    """Qwen2's tokens, from the file of its vocabulary."""

    def __init__(self, vocabulary: Path, thinks: bool) -> None:
        super().__init__(thinks)
        self._encoding = _encoding(vocabulary)

    def encode(self, text: str, /, **_: Any) -> list[int]:
        """The text's token ids; those of marks are not the model's, but as many."""
        found: list[int] = self._encoding.encode(unicodedata.normalize("NFC", text), allowed_special="all")
        return found


class Estimate(_ChatML):
    """As many tokens as a text has by estimate; which ones they are, it can't tell."""

    def encode(self, text: str, /, **_: Any) -> list[int]:
        """So many tokens. Texts that begin alike have the same ones there, and others from then on."""
        pieces = _AROUND_MARKS.split(text)
        count = len(pieces) - 1 + sum(map(estimated_tokens, pieces))
        parts = [text[at : at + _USUAL].encode("utf-8", "replace") for at in range(0, len(text), _USUAL)]
        ids = list(map(zlib.crc32, parts[:count]))
        rest = zlib.crc32(b"".join(parts))  # of the whole text, which no other one shares
        return ids + list(range(rest, rest + count - len(ids)))


_USUAL = 4
"""Characters of a token, by which the beginnings of texts are compared."""

_AROUND_MARKS = re.compile("|".join(map(re.escape, _MARKS + _THOUGHT)))


def _fetched(model: str) -> Path | None:
    """The folder of a tokenizer that the hub's cache holds."""
    if model.count("/") != 1 or model.startswith((".", "/", "~")):
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "tokenizer.json")
    return Path(found).parent if isinstance(found, str) else None


def _vocabulary() -> Path | None:
    """The file of Qwen's vocabulary in the package that carries it, which is not imported."""
    spec = importlib.util.find_spec("dashscope")
    for place in (spec.submodule_search_locations or []) if spec else []:
        file = Path(place) / "resources" / "qwen.tiktoken"
        if file.is_file():
            return file
    return None


@functools.cache
def _encoding(vocabulary: Path) -> Any:
    import base64

    import tiktoken

    ranks = {}
    for line in vocabulary.read_bytes().splitlines():
        token, _, rank = line.partition(b" ")
        ranks[base64.b64decode(token)] = int(rank)
    marks = {mark: _PLAIN_TOKENS + number for number, mark in enumerate(_MARKS + _THOUGHT)}
    return tiktoken.Encoding("qwen", pat_str=_PIECES, mergeable_ranks=ranks, special_tokens=marks)
