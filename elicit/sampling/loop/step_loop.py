"""The step loop: one batched, cached generator that serves sampling and all decoding strategies.

    StepLoop      the interface: checks jobs, owns engine, decoder and stop finders       (this file)
    LiveRows      the algorithm: prefill, pick, settle, forward, refill                   (live_rows.py)
    Queue, Slots  the jobs that wait; the arrays of the rows that live                    (queue.py, slots.py)
    engines       one forward pass for all rows, with a slot cache or without             (engine.py, cache.py)

transformers' `generate()` is the reference in the tests and not the engine: it prefills n times for n samples, keeps
[T, B, V] scores, and can't refill. Here equal prefixes are computed once, an ended row makes room for the next job,
and only a token and five scalars of each step are kept. The random numbers of a job are its own (uniforms.py), so its
draw depends neither on the batch nor on the order; other rows of the batch change nothing beyond float noise.
What this module does not know: tasks, policies, regimes, the purpose of a strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from elicit.errors import ConfigError
from elicit.policy.attention import grouped_decode
from elicit.policy.decoding import Path, PathJob, PickRule, StepRule, Then
from elicit.policy.shape import Device
from elicit.sampling.loop.engine import CachedEngine, UncachedEngine
from elicit.sampling.loop.forward import ForwardCall, can_cache
from elicit.sampling.loop.live_rows import LiveRows
from elicit.sampling.loop.text import LoopText
from elicit.tasks.task import StopRules

SLOTS = {"cpu": 128}
"""most rows at once, by kind of device; other kinds: 256"""
CPU_CACHE, CACHE_SHARE = 2 * 2**30, 0.6
"""keys and values that are kept at most: bytes on a CPU, on CUDA the share of the memory that is free"""
WORTH_PACKING = 16
"""tokens of a path from which a run makes up for packing the weights"""
CHECK_EVERY = {"cpu": 1}
"""tokens between stop tests; other kinds: 8"""


class StepLoop(LoopText):
    """Implements `policy.decoding.Loop` for a transformers causal language model and its tokenizer.

    `slots`: most rows at once; fewer if the cache would exceed `cache_bytes` (default: 2 GiB on a CPU, 60 % of the free
    memory of an accelerator). `check_every`: steps between two stop tests, so that the host of an accelerator does not
    wait for every token. `progress(paths, tokens)` is called with the paths that have ended and the tokens that were
    drawn since its last call. `cached`: None decides by the model's class, False computes every step from the start.
    `model` may also be a Checkpoint (anything with model, tokenizer and eos_ids). Raises ConfigError without a
    tokenizer or with slots < 1.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any = None,
        eos_ids: Iterable[int] | None = None,
        slots: int | None = None,
        cached: bool | None = None,
        check_every: int | None = None,
        cache_bytes: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        if not isinstance(model, torch.nn.Module):
            model, tokenizer, eos_ids = model.model, tokenizer or model.tokenizer, eos_ids or model.eos_ids
        if tokenizer is None or eos_ids is None:
            raise ConfigError("StepLoop of a plain model: give tokenizer and eos_ids too")
        if slots is not None and slots < 1:
            raise ConfigError(f"slots={slots}: use 1 or more")
        self.model, self.call = model, ForwardCall(model)
        super().__init__(tokenizer, eos_ids, int(self.call.config.vocab_size))
        kind = self.call.device.type
        self.slots = slots or most_rows(self.call.device)
        self.check_every = check_every or CHECK_EVERY.get(kind, 8)
        self.progress = progress
        memory = cache_bytes or _memory(self.call.device)
        use_cache = can_cache(model) if cached is None else cached
        self.engine = CachedEngine(self.call, memory) if use_cache else UncachedEngine(self.call)

    @property
    def rows(self) -> int:
        """Paths at the same time, at most."""
        return self.slots

    def run(
        self,
        jobs: Sequence[PathJob],
        rule: PickRule,
        stop: StopRules,
        step_rule: StepRule | None = None,
        then: Then | None = None,
    ) -> list[Path]:
        """Generate all jobs; the paths are in the order of the jobs. Equal prefixes (prompt and forced ids) run once.

        Forced tokens are prefilled too, and tested for endings like any other; a job with `kept` keys and values
        continues from those instead (kept.py), and if it goes on in the place of another (`then`), it joins the batch
        without a pass of its own. Raises ConfigError for a job that can't be run (empty prompt, id or rank
        outside the vocabulary, more tokens than the model has positions, kept states of another text), CheckpointError
        if the model yields NaN.
        """
        from elicit.policy.products import packed_weights  # a subclass of torch's own

        self.check(jobs, stop)
        training = self.model.training
        self.model.eval()
        try:
            rows = min(self.slots, len(jobs)) if stop.max_new_tokens >= WORTH_PACKING else 0
            with torch.no_grad(), grouped_decode(self.model), packed_weights(self.model, rows):
                return LiveRows(self, jobs, rule, stop, step_rule, then).run()
        except BaseException:
            self.engine.reset()
            raise
        finally:
            self.model.train(training)

    def check(self, jobs: Sequence[PathJob], stop: StopRules) -> None:
        """Raises ConfigError for a job that can't be run."""
        check_jobs(jobs, stop, self.vocabulary)
        longest = max((len(job.prompt_ids) for job in jobs), default=0) + stop.max_new_tokens
        if self.call.limit is not None and longest > self.call.limit:
            raise ConfigError(
                f"the longest prompt and max_new_tokens={stop.max_new_tokens} make {longest} tokens, the model has "
                f"{self.call.limit} learned positions: lower max_new_tokens or shorten the prompt"
            )


def check_jobs(jobs: Sequence[PathJob], stop: StopRules, vocabulary: int) -> None:
    """Raises ConfigError for a job that no engine can run, by its place in the list."""
    if stop.max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens={stop.max_new_tokens}: use 1 or more")
    for place, job in enumerate(jobs):
        if not job.prompt_ids:
            raise ConfigError(f"job {place}: an empty prompt; a causal model needs at least one token (add BOS)")
        largest = max(max(job.prompt_ids), max(job.forced, default=0))
        if largest >= vocabulary or min((*job.prompt_ids, *job.forced)) < 0:
            raise ConfigError(
                f"job {place}: token id {largest} outside the vocabulary of {vocabulary}: the tokenizer has more "
                "tokens than the model has rows; use the one that the model was trained with"
            )
        if job.first_rank is not None and not 0 <= job.first_rank < vocabulary:
            raise ConfigError(f"job {place}: first_rank={job.first_rank} outside 0..{vocabulary - 1}")
        if job.kept is not None and not job.kept.begins(job.prompt_ids, job.forced):
            raise ConfigError(f"job {place}: its kept path does not begin with its prompt and its forced tokens")


def most_rows(device: Device) -> int:
    """Rows that are sampled together on a device, at most."""
    return SLOTS.get(device.type, 256)


def _memory(device: torch.device) -> int:
    """Bytes that keys and values may take."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * CACHE_SHARE)
    return CPU_CACHE
