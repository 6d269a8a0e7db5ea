"""The server of a model: the command that it is started by."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from infer.serve.openai_server import command


def test_the_command_names_the_model_and_what_this_machine_can_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 512}))
    words, environment = command(tmp_path, "mine", "127.0.0.1", 8123)
    assert words[:3] == [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    told = dict(zip(words[3::2], words[4::2], strict=False))
    assert (told["--model"], told["--served-model-name"]) == (str(tmp_path), "mine")
    assert (told["--port"], told["--max-model-len"]) == ("8123", "512")
    assert json.loads(told["--default-chat-template-kwargs"]) == {"enable_thinking": False}
    assert environment["VLLM_CPU_KVCACHE_SPACE"] == "1"  # what the user says holds
