"""The errors of the package: `UserError` stops a command, `Reject` sets one row aside.

    Exception
    ├── UserError         the user can fix it: one line, no traceback, exit code 1
    │   ├── QueryError    a query of the recipe fails on these seeds: the command adds its line
    │   └── OverBudget    the next call could cost more than the user allows: exit code 3
    └── Reject            this seed row cannot be a fair question: counted under its reason

Anything else is a bug and keeps its traceback.
"""

from typing import NamedTuple


class UserError(Exception):
    """An error that the user can fix; the message names the place, the value and the next step."""

    exit_code = 1


class QueryError(UserError):
    """A query of a task or a table that fails on these seeds, in a way that no check could see before."""

    def __init__(self, name: str, message: str, kind: str = "task") -> None:
        super().__init__(f"{kind} {name}: {message}")
        self.name = name


class OverBudget(UserError):
    """A stop before the call that could pass the limit of costs; what is paid for is kept."""

    exit_code = 3


class Reject(Exception):
    """A seed row that cannot become a fair question.

    `reason` is a short snake_case code from a small vocabulary, so that rejects add up by
    reason; it never holds text of the row. `detail` says more, where there is more to say.
    """

    detail: str | None = None

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Fault(NamedTuple):
    """Something wrong at a 1-based line and column of a query or a template, with its code."""

    line: int
    column: int
    code: str
    message: str
