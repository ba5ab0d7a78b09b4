"""What the model that is being trained thinks of its own rollouts: for the rewards without labels.

    entropies   of its next-token distributions, one forward pass per rollout
    verdicts    p(right) / (p(right) + p(wrong)) after "Question: ... Proposed: ROLLOUT Review: The proposed answer is"
    logprobs    of the rollouts after other prompts, e.g. after a critique of them

The verdict is forced and without working, in the words in which the organisms review (`tasks/review.py`); a base that
has never read a review gives a number that need not mean anything. Own text: no label bit. Implements
`rewards.OwnModel`. What this module does not know: rewards, the trainer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from elicit.sampling.likelihood import entropies, score
from elicit.tasks.review import REVIEW, WORDS, proposal, verdict_sentence

if TYPE_CHECKING:
    from elicit.policy.checkpoint import Checkpoint
    from elicit.training.rl.rollouts import Rollout
    from elicit.training.trainable import Trainable


class TrainedModel:
    """The checkpoint with the parameters as they are now."""

    def __init__(self, checkpoint: Checkpoint, trainable: Trainable) -> None:
        self.checkpoint, self.trainable = checkpoint, trainable

    def entropies(self, rollouts: Sequence[Rollout]) -> list[np.ndarray]:
        """Float32 [T] of each rollout."""
        pairs = [(rollout.prompt_ids, rollout.path.token_ids) for rollout in rollouts]
        with self.trainable.sampling():
            return entropies(self.checkpoint.model, pairs)

    def verdicts(self, rollouts: Sequence[Rollout]) -> list[float]:
        """One share in [0, 1] of each rollout."""
        encode, pairs = self.checkpoint.encode, []
        for rollout in rollouts:
            asked = REVIEW.render(proposal(rollout.item.question, rollout.path.text))
            for right in (True, False):
                sentence = f" {verdict_sentence(right)}"
                prompt = encode(asked + sentence[: sentence.rindex(f" {WORDS[right]}")])
                pairs.append((prompt, encode(asked + sentence)[len(prompt) :]))
        with self.trainable.sampling():
            logprobs = np.array([scored.logprobs.sum() for scored in score(self.checkpoint.model, pairs)], dtype=float)
        return (1 / (1 + np.exp(logprobs[1::2] - logprobs[::2]))).tolist()

    def logprobs(self, rollouts: Sequence[Rollout], prompts: Sequence[str]) -> list[float]:
        """log p of the tokens of each rollout after the prompt of the same place."""
        encoded = [self.checkpoint.encode(prompt) for prompt in prompts]
        pairs = [(prompt, rollout.path.token_ids) for prompt, rollout in zip(encoded, rollouts, strict=True)]
        with self.trainable.sampling():
            return [float(scored.logprobs.sum()) for scored in score(self.checkpoint.model, pairs)]
