"""What every test stands on: no network, the same examples on every run, real data where there is some."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"  # a test that would fetch something fails at once instead of hanging

# No deadline: on a busy machine one slow example says nothing. The same examples on every run, so that a red
# build can be repeated; `make test ARGS=--hypothesis-profile=default` explores others.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real seeds (`seeds/`) and questions (`shopbench/`) that $SHOPTALK_SHARED names.

    These may not be published with the project, so a test that wants them is skipped where they are missing.
    """
    folder = os.environ.get("SHOPTALK_SHARED")
    if not folder:
        pytest.skip("needs real data: set SHOPTALK_SHARED to its folder")
    return Path(folder)
