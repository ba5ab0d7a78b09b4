"""`policy.decoding.Loop` over a running vLLM engine: what strategies see of it.

Text, stop strings and the checks of jobs are the step loop's own (loop/text.py, loop/step_loop.py). Does not know how
vLLM was started nor which edits are on (engine.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from elicit.errors import ConfigError
from elicit.policy.decoding import Path, PathJob, PickRule, StepRule, Then
from elicit.sampling.loop.step_loop import check_jobs
from elicit.sampling.loop.text import LoopText
from elicit.sampling.vllm.client import Client
from elicit.sampling.vllm.live import LiveRequests
from elicit.tasks.task import StopRules


class VllmLoop(LoopText):
    """Implements `policy.decoding.Loop`."""

    def __init__(
        self,
        client: Client,
        tokenizer: Any,
        eos_ids: Iterable[int],
        vocabulary: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__(tokenizer, eos_ids, vocabulary)
        self.client, self.progress = client, progress

    @property
    def rows(self) -> int:
        """Paths at the same time, at most."""
        return self.client.capacity

    def run(
        self,
        jobs: Sequence[PathJob],
        rule: PickRule,
        stop: StopRules,
        step_rule: StepRule | None = None,
        then: Then | None = None,
    ) -> list[Path]:
        """Generate all jobs; the paths are in the order of the jobs.

        Raises ConfigError for a job that can't be run (empty prompt, id or rank outside the vocabulary, longer than
        `max_model_len`), CheckpointError if the model yields NaN.
        """
        self._check(jobs, stop)

        def checked(place: int, path: Path) -> PathJob | None:
            job = then(place, path) if then is not None else None
            if job is not None:
                self._check([job], stop)
            return job

        finder = self.finder(stop.strings)
        live = LiveRequests(self.client, finder, self.eos_ids, jobs, rule, stop, step_rule, checked, self.progress)
        return live.run()

    def _check(self, jobs: Sequence[PathJob], stop: StopRules) -> None:
        check_jobs(jobs, stop, self.vocabulary)
        longest = max((len(job.prompt_ids) for job in jobs), default=0) + stop.max_new_tokens
        if longest > self.client.positions:
            raise ConfigError(
                f"the longest prompt and max_new_tokens={stop.max_new_tokens} make {longest} tokens, vLLM was started "
                f"with engine.max_model_len={self.client.positions}: raise it, or lower max_new_tokens"
            )
