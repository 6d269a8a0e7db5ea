"""The key of the teacher's server, from the environment or from a file that it names."""

import os
from pathlib import Path

from datagen.console.typed import typed
from datagen.errors import UserError
from datagen.teacher.ask import Teacher

VARIABLE, FILE = "OPENAI_API_KEY", "OPENAI_API_KEY_FILE"

NO_KEY = "none"
"""What is sent to a server that asks for no key."""


def api_key(teacher: Teacher) -> str:
    """The key to send; empty where there is none and one is needed. Raises UserError for a bad file."""
    key = os.environ.get(VARIABLE, "").strip()
    place = os.environ.get(FILE, "").strip()
    if not key and place:
        try:
            key = Path(place).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            raise UserError(f"{FILE}={place}: the file cannot be read. Name one that holds the key") from None
    if not key.isprintable() or not key.isascii():
        raise UserError(f"{VARIABLE}: the key has characters that no key has. Copy it again")
    return key or (NO_KEY if teacher.base_url else "")


def available(teacher: Teacher) -> str:
    """Nothing where the teacher can be asked, else one line that says what is missing."""
    if teacher.replays:
        return "a run that is built again to be compared asks nobody"
    if api_key(teacher):
        return ""
    return (
        f"no key for {teacher.model}: set {VARIABLE}, or {FILE} to a file that holds it,"
        f" or name a server of your own by {typed('--base-url')}"
    )
