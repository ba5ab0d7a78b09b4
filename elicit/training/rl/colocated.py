"""Rollouts by vLLM in the process that trains, with the parameters as they are now.

    weights    merged into the policy's own, as an edit is when it is evaluated, and loaded into vLLM before each batch
    vectors    the trained vectors' own hooks on vLLM's blocks: what they add is what they are at that moment

Draws have the keys of the step loop, so both engines draw the same rollouts up to float noise. How far vLLM is from the
model that is differentiated is measured with every update and limited (`guards.check_sampler`). After the fit vLLM has
the checkpoint's parameters again. What this module does not know: rewards, gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, cast

from elicit.errors import ConfigError
from elicit.policy.decoding import Path, PathJob, PickRule
from elicit.sampling.engine import EngineConfig
from elicit.sampling.vllm.engine import VllmEngine
from elicit.sampling.vllm.residuals import Applied
from elicit.tasks.task import StopRules
from elicit.training.trainable import Trainable

if TYPE_CHECKING:
    from elicit.policy.policy import Policy


class ColocatedEngine:
    """Implements `rollouts.Engine`."""

    def __init__(self, policy: Policy, trainable: Trainable, engine: VllmEngine) -> None:
        self.policy, self.trainable, self.engine = policy, trainable, engine
        self.pushed = False

    def run(self, jobs: Sequence[PathJob], rule: PickRule, stop: StopRules, trainer: Any) -> list[Path]:
        """Paths in the order of `jobs`, after vLLM was given what was learned since the last batch."""
        client, vectors = self.engine.client, self.trainable.write is not None
        edits = [edit for edit in self.policy.interventions if edit.kind == "activations"]
        hooked = [*edits, *([cast(Applied, self.trainable)] if vectors else [])]
        # 1) weights that are trained, every time; the policy's own weight edits, once
        below = any(edit.kind == "weights" for edit in self.policy.interventions)
        if not vectors or (below and not self.pushed):
            self._push()
        with ExitStack() as stack:
            # 2) hooks of the policy's activation edits and of the vectors
            if hooked:
                stack.enter_context(client.editing(hooked))
            # 3) draw
            return self.engine.loop(self.policy.checkpoint.eos_ids).run(jobs, rule, stop)

    def _push(self) -> None:
        model = self.policy.checkpoint.model
        with ExitStack() as stack:
            if self.trainable.write is None:
                learned = self.trainable.edit()
                stack.enter_context(self.trainable.base())
                stack.enter_context(learned.applied(model))
            self.engine.client.push([(name, one.data) for name, one in model.named_parameters()])
        self.pushed = True

    def close(self) -> None:
        """Load the checkpoint's parameters again."""
        if self.pushed:
            self.engine.restore()
            self.pushed = False


def colocated(policy: Policy, trainable: Trainable) -> ColocatedEngine:
    """The engine of the policy's checkpoint if that is vLLM (`engine=vllm`), else one of its own.

    Raises ConfigError for a policy that vLLM can't draw.
    """
    checkpoint = policy.checkpoint
    known = checkpoint.engine
    engine = known if isinstance(known, VllmEngine) else VllmEngine(checkpoint, EngineConfig("vllm"))
    reason = engine.refusal(policy)
    if reason is None and trainable.write is not None and not engine.config.eager:
        reason = "vectors need hooks, which CUDA graphs do not run: set engine.eager=true"
    if reason is not None:
        raise ConfigError(f"rollouts=vllm: {reason}, or use rollouts=loop")
    return ColocatedEngine(policy, trainable, engine)
