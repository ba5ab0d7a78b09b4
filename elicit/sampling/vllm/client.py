"""What a run needs of a vLLM engine, and vLLM's engine in this process.

`VllmClient` steps vLLM's `LLMEngine` by hand, in this process, with the V1 model runner and without asynchronous
scheduling: after each step the tokens and their scalars are on the host, so that endings are tested token by token.
Knows no jobs and no pick rules.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from elicit.errors import CheckpointError
from elicit.sampling.vllm.residuals import Applied, Calls, edited
from elicit.sampling.vllm.rows import KEY, Drawn, KeyedRows

if TYPE_CHECKING:
    from elicit.policy.checkpoint import Checkpoint
    from elicit.sampling.engine import EngineConfig

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the engine steps in this process
    "VLLM_USE_V2_MODEL_RUNNER": "0",  # the keyed draw is a logits processor of the V1 runner
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # the number of threads stays the checkpoint's
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}
"""set before vLLM starts, unless the user has set them; the first two are always set"""
LONGEST = 8192
"""tokens of prompt and completion that vLLM is started for, unless `max_model_len` says otherwise"""


class Client(Protocol):
    """A running engine, as a run sees it. The tests have one without vLLM."""

    name: str
    """engine and version, as in a sample's fingerprint"""
    capacity: int
    """requests that are computed at the same time, at most"""
    positions: int
    """tokens of prompt and completion, at most"""

    def begin(self) -> int:
        """The number of a new run, which makes its keys differ from those of earlier ones."""
        ...

    def add(self, key: str, prompt_ids: Sequence[int], args: Mapping[str, Any], tokens: int) -> None:
        """Queue a request of at most `tokens` tokens. `args`: `rows.row_args`."""
        ...

    def step(self) -> tuple[list[tuple[str, Sequence[int]]], Drawn | None]:
        """One pass: (key, new tokens) of the requests that wrote any, and everything that was drawn."""
        ...

    def abort(self, keys: Sequence[str]) -> None:
        """Drop requests; those that have ended are ignored."""
        ...

    def push(self, parameters: Sequence[tuple[str, torch.Tensor]]) -> None:
        """Load all parameters of a transformers model of this architecture, by their names there."""
        ...

    def editing(self, edits: Sequence[Applied]) -> AbstractContextManager[Calls]:
        """Inside, the activation edits are on; nothing that was cached with or without them is used again."""
        ...


def version_of_vllm() -> str | None:
    """Version of the installed vLLM (the packages vllm and vllm-cpu); None without one."""
    from importlib.metadata import PackageNotFoundError, version

    for package in ("vllm", "vllm-cpu"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return None


class VllmClient:
    """vLLM for one checkpoint, in this process. Constructing it starts the engine (about a minute on a CPU)."""

    def __init__(self, checkpoint: Checkpoint, config: EngineConfig) -> None:
        os.environ.update({name: ENVIRONMENT[name] for name in list(ENVIRONMENT)[:2]})
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from vllm import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine

        known = checkpoint.model.config.get_text_config()
        limit = int(getattr(known, "max_position_embeddings", 0) or LONGEST)
        self.name = f"vllm-{version_of_vllm()}"
        self.capacity, self.positions = config.rows, config.max_model_len or min(limit, LONGEST)
        on_cpu = checkpoint.device.type == "cpu"
        options: dict[str, Any] = {"kv_cache_memory_bytes": int(config.cache_gib * 2**30)} if on_cpu else {}
        if config.prefill_tokens:
            options |= {"max_num_batched_tokens": config.prefill_tokens, "enable_chunked_prefill": True}
        try:
            arguments = EngineArgs(
                model=checkpoint.source, revision=checkpoint.config.revision, skip_tokenizer_init=True,
                trust_remote_code=checkpoint.config.trust_remote_code, dtype=str(checkpoint.dtype)[len("torch.") :],
                max_model_len=self.positions, max_num_seqs=config.rows, enforce_eager=config.eager,
                gpu_memory_utilization=config.gpu_memory, enable_prefix_caching=True, async_scheduling=False,
                generation_config="vllm", disable_log_stats=True, seed=0,
                logits_processors=["elicit.sampling.vllm.plugin:Keyed"], **options,
            )  # fmt: skip
            self.engine = LLMEngine.from_engine_args(arguments)
        except (ValueError, RuntimeError, OSError, NotImplementedError, AssertionError) as fault:
            reason = " ".join(str(fault).split())[:300]
            raise CheckpointError(
                f"vLLM can't load {checkpoint.source} ({type(fault).__name__}: {reason}); use engine=loop"
            ) from fault
        self.runner: Any = self.engine.collective_rpc(_itself)[0].model_runner
        self.runs = 0
        self.salt = 0
        """goes up with every change of the model: cached keys and values of the earlier one are not used"""

    @property
    def model(self) -> torch.nn.Module:
        """vLLM's own model."""
        return self.runner.get_model()

    @property
    def rows(self) -> KeyedRows:
        """The rows of the running batch."""
        from elicit.sampling.vllm.plugin import Keyed

        processors = self.runner.input_batch.logitsprocs.all
        return next(one.rows for one in processors if isinstance(one, Keyed))

    def begin(self) -> int:
        """The number of a new run."""
        self.runs += 1
        return self.runs

    def add(self, key: str, prompt_ids: Sequence[int], args: Mapping[str, Any], tokens: int) -> None:
        """Queue a request. Cached keys and values are shared by requests whose prompts are equally long: where an
        edit writes depends on the length of the prompt."""
        from vllm import SamplingParams
        from vllm.inputs.engine import tokens_input
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False, extra_args={KEY: dict(args)},
            output_kind=RequestOutputKind.DELTA, skip_clone=True,
        )  # fmt: skip
        prompt = tokens_input(list(prompt_ids), cache_salt=f"{self.salt}-{args['prompt']}")
        self.engine.add_request(key, prompt, params)

    def step(self) -> tuple[list[tuple[str, Sequence[int]]], Drawn | None]:
        """One pass of the engine."""
        rows = self.rows
        rows.drawn = None
        outputs = self.engine.step()
        return [(out.request_id, out.outputs[0].token_ids) for out in outputs if out.outputs], rows.drawn

    def abort(self, keys: Sequence[str]) -> None:
        """Drop requests."""
        if keys:
            self.engine.abort_request(list(keys))

    @contextmanager
    def editing(self, edits: Sequence[Applied]) -> Iterator[Calls]:
        """Inside, hooks on vLLM's blocks apply the edits (residuals.py)."""
        with edited(self.model, edits, self.batch) as calls:
            self.changed()
            try:
                yield calls
            finally:
                self.changed()

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(positions [N], prompt lengths [N]) of the tokens of the running pass, on the host."""
        batch, count = self.runner.input_batch, self.runner.input_batch.num_reqs
        starts = self.runner.query_start_loc.np[: count + 1].astype(np.int64)
        sizes = np.diff(starts)
        inside = np.arange(starts[-1]) - np.repeat(starts[:-1], sizes)
        positions = np.repeat(batch.num_computed_tokens_cpu[:count].astype(np.int64), sizes) + inside
        prompts = np.repeat(self.rows.prompts(count), sizes)
        return torch.from_numpy(positions), torch.from_numpy(prompts)

    def push(self, parameters: Sequence[tuple[str, torch.Tensor]]) -> None:
        """Load all parameters of a transformers model of this architecture, by their names there."""
        # it warns of modules without parameters of their own: rotary embeddings, the head of tied embeddings
        logging.getLogger("vllm.model_executor.model_loader.reload.layerwise").setLevel(logging.ERROR)
        self.runner.reload_weights(weights_iterator=iter(parameters))
        # on a CPU a kernel holds a packed copy of its weight; that of a tied head is of the old embedding still
        module: Any
        for module in self.model.modules():
            if hasattr(module, "cpu_linear") and module.weight.numel():
                module.quant_method.process_weights_after_loading(module)
        self.changed()

    def changed(self) -> None:
        """The model is another one from now on: nothing that was cached is used again."""
        self.salt += 1
        self.engine.reset_prefix_cache()

    def close(self) -> None:
        """Stop the engine and free its memory."""
        self.engine.engine_core.shutdown()


def _itself(worker: Any) -> Any:
    return worker
