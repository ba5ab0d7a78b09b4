"""Which engine draws a checkpoint's policies: the step loop, or vLLM under the same keys.

    engine=auto     vLLM if it is installed and the checkpoint is on CUDA, else the step loop
    engine=loop     the step loop
    engine=vllm     vLLM; what it can't express is refused by name

The choice is made once per process and printed with its reason. It is kept with the checkpoint, so everything that
samples a policy (`sampling/sample.py`) follows it; probes, recall and the rollouts of RL stay with the step loop. The
samples of an engine are named by it (`evaluate/stages/generate.py`). Imports neither vllm nor torch at import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from elicit import ranks
from elicit.errors import ConfigError, checked

if TYPE_CHECKING:
    from elicit.policy.checkpoint import Checkpoint


@dataclass(frozen=True)
class EngineConfig:
    """Which engine samples, and how vLLM is started. The step loop reads none of the other fields."""

    kind: Literal["auto", "loop", "vllm"] = "auto"
    mix: bool = False
    """add samples to a store that another engine has begun; the comparison warns of it"""
    rows: int = 256
    """requests that vLLM computes at the same time, at most"""
    cache_gib: float = 2.0
    """memory for keys and values on a CPU, in GiB"""
    gpu_memory: float = 0.45
    """share of a GPU's memory that vLLM takes, weights included; the checkpoint itself stays loaded next to it"""
    max_model_len: int | None = None
    """tokens of prompt and completion; null: the checkpoint's own limit, at most 8192"""
    prefill_tokens: int | None = None
    """tokens of one pass, so that longer prompts are prefilled in chunks; null: vLLM's choice"""
    eager: bool = True
    """no CUDA graphs: activation edits are hooks, which a graph does not run. false: faster, such edits are refused"""

    def __post_init__(self) -> None:
        checked(self, at_least={"rows": 1, "max_model_len": 2, "prefill_tokens": 1})
        if not 0 < self.gpu_memory <= 1 or self.cache_gib <= 0:
            raise ConfigError(
                f"engine.gpu_memory={self.gpu_memory}, engine.cache_gib={self.cache_gib}: a share up to 1, GiB above 0"
            )


def installed() -> bool:
    """Whether vLLM can be imported in this environment."""
    return find_spec("vllm") is not None


def choice(config: EngineConfig, device: str, there: bool, processes: int = 1) -> tuple[str, str]:
    """(loop or vllm, the reason) for a checkpoint on a kind of device. Raises ConfigError if vLLM is asked for and
    not installed, or in several launched processes: vLLM would make its own groups of them."""
    if config.kind == "loop":
        return "loop", "engine=loop"
    if config.kind == "vllm":
        if not there:
            raise ConfigError("engine=vllm: vLLM is not installed here; make vllm, or use engine=loop")
        if processes > 1:
            raise ConfigError(f"engine=vllm in {processes} launched processes is not supported: use engine=loop")
        return "vllm", "engine=vllm"
    if processes > 1:
        return "loop", f"engine=auto, in {processes} launched processes"
    if not there:
        return "loop", "engine=auto, and vLLM is not installed"
    if device != "cuda":
        return "loop", f"engine=auto, and the checkpoint is on {device}, not on CUDA"
    return "vllm", "engine=auto: vLLM is installed and the checkpoint is on CUDA"


@contextmanager
def step_loop(checkpoint: Checkpoint) -> Iterator[None]:
    """Inside, the step loop samples the checkpoint's policies: while a fit has changed the model, another engine still
    has the checkpoint's parameters."""
    engine, checkpoint.engine = checkpoint.engine, None
    try:
        yield
    finally:
        checkpoint.engine = engine


def set_engine(
    checkpoint: Checkpoint, config: EngineConfig | None, say: Callable[[str], None] = lambda line: None
) -> Checkpoint:
    """Choose the engine of a checkpoint and print the choice; returns the checkpoint. vLLM starts at its first draw."""
    config = config or EngineConfig()
    kind, reason = choice(config, checkpoint.device.type, installed(), ranks.world())
    if kind == "vllm":
        from elicit.sampling.vllm.engine import VllmEngine

        checkpoint.engine = VllmEngine(checkpoint, config, say)
        say(f"engine: {checkpoint.engine.name} ({reason})")
    else:
        say(f"engine: step loop ({reason})")
    return checkpoint
