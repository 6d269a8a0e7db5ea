"""The two ways a build says no: `UserError` stops it, `Reject` sets one row aside.

    Exception
    ├── UserError   the reader can fix it: one line, no traceback, exit code 1
    └── Reject      this seed row cannot be a fair question: counted under its reason

Anything else is a bug and keeps its traceback.
"""


class UserError(Exception):
    """Something its reader can fix; the message names the place, the value and the next step."""


class Reject(Exception):
    """A seed row that cannot become a fair question.

    `reason` is a short snake_case code from a small vocabulary, so that rejects add up by
    reason; it never holds text of the row.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
