"""Options as their user types them: to the command, or to make."""

import os


def typed(option: str, value: str = "") -> str:
    """`--max-cost 5`, or `MAX_COST=5` where make runs the command; `option` is as the command has it."""
    if "MAKELEVEL" in os.environ:
        return f"{option.lstrip('-').replace('-', '_').upper()}={value}"
    return f"{option} {value}".rstrip()
