"""vLLM as the engine of one checkpoint: started once, then set to one policy after the other.

    weights       the policy's merged parameters are loaded into vLLM, all of them, and the checkpoint's afterwards;
                  a LoRA pair is merged too, as in the step loop (W + s B A, in float32): one way, the same rounding
    activations   the edits' own hooks on vLLM's blocks (residuals.py)
    decoding      nothing: strategies run on the loop

After every change the model has to agree with the step loop (guard.py). Knows nothing of tasks or samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from elicit.errors import ConfigError
from elicit.policy.decoding import Loop, Path
from elicit.sampling.loop.step_loop import StepLoop
from elicit.sampling.vllm import guard
from elicit.sampling.vllm.client import VllmClient, version_of_vllm
from elicit.sampling.vllm.loop import VllmLoop
from elicit.sampling.vllm.residuals import Calls

if TYPE_CHECKING:
    from elicit.policy.checkpoint import Checkpoint
    from elicit.policy.policy import Policy
    from elicit.sampling.engine import EngineConfig


class VllmEngine:
    """Implements `policy.decoding.SamplingEngine`. Constructing it does no work; the first draw starts vLLM."""

    def __init__(
        self, checkpoint: Checkpoint, config: EngineConfig, say: Callable[[str], None] = lambda line: None
    ) -> None:
        self.checkpoint, self.config, self.say = checkpoint, config, say
        self.name = f"vllm-{version_of_vllm()}"
        self.mix, self.strict = config.mix, config.kind == "vllm"
        self.calls = Calls()
        """of the hooks of the policy that was drawn last"""
        self._printed: set[str] = set()

    @cached_property
    def client(self) -> VllmClient:
        """The running engine."""
        return VllmClient(self.checkpoint, self.config)

    def refusal(self, policy: Policy) -> str | None:
        """Why vLLM can't draw this policy; None if it can."""
        if not self.checkpoint.source:
            return "the checkpoint exists in memory only, and vLLM loads a folder: save it and give its path"
        for intervention in policy.interventions:
            if intervention.kind == "activations" and not self.config.eager:
                return "an activation edit needs hooks, which CUDA graphs do not run: set engine.eager=true"
        return None

    def draws(self, policy: Policy) -> bool:
        """Whether this engine draws the policy. Raises ConfigError if engine=vllm was asked for and it can't; under
        engine=auto the step loop draws such a policy, and the reason is printed once."""
        reason = self.refusal(policy)
        if reason is None:
            return True
        if self.strict:
            raise ConfigError(f"engine=vllm: policy {policy.id}: {reason}, or use engine=loop")
        if reason not in self._printed:
            self._printed.add(reason)
            self.say(f"engine: step loop for policy {policy.id}: {reason}")
        return False

    @contextmanager
    def drawing(self, policy: Policy, progress: Callable[[int, int], None] | None = None) -> Iterator[Loop]:
        """Inside, the loop draws `policy`; leaving undoes its edits in vLLM. Raises StageError if the guard fails."""
        client, model, unedited = self.client, self.checkpoint.model, self._unedited
        edits = [one for one in policy.interventions if one.kind != "decoding"]
        with ExitStack() as stack:
            if edits:
                # 1) with the edits on in transformers: copy the parameters to vLLM, and draw what the guard compares
                with policy.applied():
                    if any(edit.kind == "weights" for edit in edits):
                        stack.callback(self.restore)
                        client.push(list(model.named_parameters()))
                    ours = guard.greedy(StepLoop(self.checkpoint), self._prompts)
                # 2) the hooks of activation edits; what was cached before them is not used any more
                if hooked := [edit for edit in edits if edit.kind == "activations"]:
                    self.calls = stack.enter_context(client.editing(hooked))
                # 3) vLLM has to agree
                theirs = guard.greedy(self.loop(self.checkpoint.eos_ids), self._prompts)
                guard.check(self.name, ours, theirs, self.checkpoint.dtype, unedited)
            yield self.loop(policy.end_ids, progress)

    def loop(self, eos_ids: frozenset[int], progress: Callable[[int, int], None] | None = None) -> VllmLoop:
        """A loop over the running engine in its present state."""
        vocabulary = int(self.checkpoint.model.config.get_text_config().vocab_size)
        return VllmLoop(self.client, self.checkpoint.tokenizer, eos_ids, vocabulary, progress)

    def restore(self) -> None:
        """Load the checkpoint's own parameters again."""
        self.client.push(list(self.checkpoint.model.named_parameters()))

    @cached_property
    def _prompts(self) -> list[tuple[int, ...]]:
        rows = [tuple(self.checkpoint.encode(text)) for text in guard.TEXTS]
        return [row for row in dict.fromkeys(rows) if row]

    @cached_property
    def _unedited(self) -> tuple[list[Path], list[Path]]:
        """Greedy paths of the checkpoint by both engines. Raises StageError if they disagree: vLLM is not usable."""
        ours = guard.greedy(StepLoop(self.checkpoint), self._prompts)
        theirs = guard.greedy(self.loop(self.checkpoint.eos_ids), self._prompts)
        guard.check(self.name, ours, theirs, self.checkpoint.dtype)
        return ours, theirs
