"""The OpenMP setting: made before torch is imported, unless the user made another."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from datagen.storage.manifest import MANIFEST

SEEN = """
import os, sys
from datagen.errors import UserError

class Torch:  # stops at the import of torch, and says how it is met
    def find_spec(self, name, *_):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"), flush=True)
            os._exit(0)

sys.meta_path.insert(0, Torch())
"""

TRAIN = "from finetune.cli import main; main(['train', 'smollm2-135m', '--data', '.'])"
ANSWER = "from pathlib import Path; from infer.serve.engine import settings; settings(Path('gone'))"


@pytest.mark.parametrize("code", [TRAIN, ANSWER], ids=["train", "answer"])
@pytest.mark.parametrize(("users", "seen"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_unless_the_user_says_otherwise(
    code: str, users: str | None, seen: str, tmp_path: Path
) -> None:
    (tmp_path / MANIFEST).write_text("{}", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    run = subprocess.run(
        [sys.executable, "-c", SEEN + code],
        env=environment | ({"OMP_WAIT_POLICY": users} if users else {}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.stdout.split() == [seen], run.stderr
