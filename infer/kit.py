"""The process in which a driven submission runs: it makes the class and asks it, as the starter kit does.

    python -P kit.py FOLDER

Questions come as lines of JSON on stdin and answers leave on stdout. It imports nothing but what FOLDER and
the environment hold: not even shoptalk, which a submission carries along itself.
"""

import json
import os
import sys
import time
from numbers import Integral
from typing import Any


def main(folder: str) -> None:
    """Make the class, say its batch size, then answer batch after batch until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what a library prints is no answer
    # An editable install of shoptalk finds its modules from there, those too that the folder lacks
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_editable(finder)]
    sys.path.insert(0, folder)
    from user_config import UserModel  # type: ignore[import-not-found]

    def say(**said: Any) -> None:
        print(json.dumps(said), file=answers, flush=True)

    model = UserModel()
    size = model.get_batch_size()
    say(batch_size=int(size) if isinstance(size, Integral) and not isinstance(size, bool) else size)
    for line in sys.stdin:
        asked = json.loads(line)
        start = time.monotonic()
        found = model.batch_predict({"prompt": asked["prompt"]}, asked["is_multiple_choice"])
        say(answers=found, seconds=time.monotonic() - start, problems=_problems(model))


def _problems(model: Any) -> list[str | None] | None:
    """What our class says of its last answers: shortened, by rule; other classes say nothing."""
    found = getattr(model, "problems", None)
    is_ours = isinstance(found, list) and all(of is None or isinstance(of, str) for of in found)
    return found if is_ours else None


def _is_editable(finder: Any) -> bool:
    return str(getattr(finder, "__module__", "")).startswith("__editable__")


if __name__ == "__main__":
    main(sys.argv[1])
