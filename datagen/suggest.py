"""Suggestions for a misspelt name: the nearest known name, then others that are known."""

import difflib
from collections.abc import Callable, Iterable

LISTED = 12
"""Known names that a message holds; of more the first, and how many there are."""


def among(name: object, known: Iterable[str], part: Callable[[str], str] = str) -> str:
    """What to say after a name that is not known: the nearest known one, then others.

    `part` gives what is compared of a name, where the rest is the same in many.
    """
    known = list(known)
    near, listed = nearest(name, known, part), ", ".join(known[:LISTED]) or "none"
    if len(known) > LISTED:
        listed += f" and {len(known) - LISTED} more"
    return f"did you mean `{near}`? Known: {listed}" if near else f"known: {listed}"


def nearest(name: object, known: Iterable[str], part: Callable[[str], str] = str) -> str | None:
    """The known name that `name` is most likely a misspelling of, in any case; None where none is near."""
    by_part = {part(other).casefold(): other for other in known}
    close = difflib.get_close_matches(part(str(name)).casefold(), by_part, n=1)
    return by_part[close[0]] if close else None
