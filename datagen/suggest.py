"""Suggestions for a misspelt name: the nearest known name, then all known ones."""

import difflib
from collections.abc import Iterable


def among(name: object, known: Iterable[str]) -> str:
    """What to say after a name that is not known: the nearest known one, then all of them."""
    known = list(known)
    near, listed = nearest(name, known), ", ".join(known) or "none"
    return f"did you mean `{near}`? Known: {listed}" if near else f"known: {listed}"


def nearest(name: object, known: Iterable[str]) -> str | None:
    """The known name that `name` is most likely a misspelling of; None where none is near."""
    return next(iter(difflib.get_close_matches(str(name), list(known), n=1)), None)
