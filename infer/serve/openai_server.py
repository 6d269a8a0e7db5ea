"""vLLM's OpenAI-compatible server on one model: what recipes ask as a teacher of their own.

`vllm serve` looks for a package named `vllm`, which the CPU's build does not have, so its module is run.
"""

import json
import os
import sys
from pathlib import Path

from infer.serve.engine import CPU_ENVIRONMENT, settings

MODULE = "vllm.entrypoints.openai.api_server"


def command(folder: Path, name: str, host: str, port: int) -> tuple[list[str], dict[str, str]]:
    """The command that serves a model under a name, and its environment."""
    chosen = settings(folder)
    words = [sys.executable, "-m", MODULE, "--model", str(folder), "--served-model-name", name]
    words += ["--host", host, "--port", str(port), "--dtype", chosen.dtype]
    # Else what a model such as Qwen3 thinks stands in its reply; a request can ask for it
    words += ["--default-chat-template-kwargs", json.dumps({"enable_thinking": False})]
    words += ["--max-model-len", str(chosen.context), "--disable-log-stats"]
    environment = {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    if chosen.device == "cpu":
        words += ["--enforce-eager", "--distributed-executor-backend", "uni"]
        environment |= CPU_ENVIRONMENT | {"VLLM_CPU_KVCACHE_SPACE": "2", "OMP_WAIT_POLICY": "PASSIVE"}
    return words, environment | os.environ


def serve(folder: Path, name: str, host: str, port: int) -> None:
    """Become the server; the command ends with it."""
    words, environment = command(folder, name, host, port)
    os.execve(words[0], words, environment)
