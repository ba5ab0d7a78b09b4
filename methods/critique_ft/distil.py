"""Critique distillation: the answer given the critique, distilled into the answer without it.

    y ~ pi_theta(. | x)        f = critique of y        x' = x, y and f, then x again
    A = sum_t [ log pi_theta(y_t | x', y_<t) - log pi_theta(y_t | x, y_<t) ]        no gradient through A
    theta <- theta + Adam( mean of (A - mean of its group) grad log pi_theta(y | x) )

The model that has read the critique is the teacher of the model that has not, as in SDPO (arXiv 2601.20802). For a
given x' the expectation of A is minus the KL divergence of the student from the teacher, so this is the policy gradient
of SDPO's reverse KL, with one advantage per rollout; SDPO has one per token, over the whole vocabulary. Teacher and
student are the same weights at that update.
Two critiques, written by the program critic (program.py), as rewards of the shared trainer:

    verdict_gain       "The proposed answer is wrong."                   one label bit per rollout           class R
    correction_gain    the right steps, the verdict and the answer       gold text                           class T

Left out: credit by token, a teacher that lags behind, successful rollouts of the group as the critique of failed ones.
Cost: that of RLVR, and one forward pass over question, response, critique and response again per rollout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from elicit.errors import MethodError, checked
from elicit.tasks.review import REVIEW, proposal
from elicit.training.rl.settings import GRPOSettings
from methods.critique_ft.program import ProgramCritic
from methods.critique_ft.records import Response

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context, Method
    from elicit.policy.policy import Policy
    from elicit.policy.weights import WeightEdit
    from elicit.records import Item
    from elicit.tasks.task import PromptFormat
    from elicit.training.rl.rewards import Judge, Reward, Values
    from elicit.training.rl.rollouts import Rollout
    from elicit.training.trainable import Trainable

Mode = Literal["verdict_only", "with_correction"]
CRITIQUES: dict[str, Mode] = {"verdict_gain": "verdict_only", "correction_gain": "with_correction"}
"""reward -> what its critique states"""
DIGITS = 4
"""of A in nats: kernels of other batch shapes differ by less, and a group of equal rollouts must be exactly flat"""


@dataclass(frozen=True)
class CritiqueDistil(GRPOSettings):
    """Distil the critique-conditioned answer into the plain one, on own rollouts."""

    rewards: Mapping[str, float] = field(default_factory=lambda: {"correction_gain": 1.0})
    """`verdict_gain` or `correction_gain`, or any other reward of `elicit/training/rl/rewards.py`"""
    parameters: Literal["full", "lora"] = "full"
    """full: every weight, in float32 masters; lora: pairs of low-rank matrices on the linear layers"""
    lora_rank: int = 32
    lora_alpha: int = 64
    """the update is lora_alpha / lora_rank times B A"""
    name: str = "critique_distil"

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least, one_of = {"lora_rank": 1, "prompts": 2}, {"parameters": ("full", "lora")}
        checked(self, at_least=at_least, above={"lora_alpha": 0}, one_of=one_of, label=self.name)

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> WeightEdit:
        """The trained difference, or the trained pairs. Raises what `elicit.training.rl.fit.fit` raises."""
        from elicit.training.rl.fit import fit
        from elicit.training.rl.rewards import REWARDS
        from elicit.training.trainable import FullWeights, Lora

        def trainable(items: list[Item], seed: int) -> Trainable:
            return FullWeights() if self.parameters == "full" else Lora(self.lora_rank, self.lora_alpha, (), seed)

        REWARDS.update(gains(policy.prompt))
        return fit(self, self.name, policy, ledger, context, trainable)  # type: ignore[return-value]

    def placebos(self) -> dict[str, Method]:
        """The critique of another problem's rollout; a coin."""
        shuffled = {f"shuffled_{name}" if name in CRITIQUES else name: w for name, w in self.rewards.items()}
        return {
            "shuffled_critiques": replace(self, rewards=shuffled),
            "random_reward": replace(self, rewards={"random": 1.0}),
        }

    def rivals(self) -> dict[str, Method]:
        """Away from the teacher; the other critique; the label bit alone, which is RLVR."""
        others: dict[str, Mapping[str, float]] = {
            "flipped_sign": {name: -weight for name, weight in self.rewards.items()},
            **{name: {name: 1.0} for name in CRITIQUES},
            "correct_reward": {"correct": 1.0},
        }
        return {name: replace(self, rewards=rewards) for name, rewards in others.items() if rewards != self.rewards}


def gains(asked: PromptFormat) -> dict[str, Reward]:
    """The rewards of this method for a policy that is asked in this form."""
    out: dict[str, Reward] = {}
    for name, mode in CRITIQUES.items():
        out[name] = gain(asked, mode, lambda critiques, rollouts: list(critiques))
        out[f"shuffled_{name}"] = gain(asked, mode, exchanged)
    return out


def gain(asked: PromptFormat, mode: Mode, paired: Callable[[Sequence[str], Sequence[Rollout]], list[str]]) -> Reward:
    """A in the head of this module, one per rollout; None if the rollout could not be graded.

    `paired`: the critiques in the order in which the rollouts get them.
    """

    def reward(judge: Judge, rollouts: Sequence[Rollout]) -> Values:
        # 1) a critique of each rollout
        graded = [(rollout, right) for rollout in rollouts if (right := judge.right(rollout)) is not None]
        responses = [Response(rollout.item, rollout.path.text, rollout.finished) for rollout, _ in graded]
        critiques = ProgramCritic(mode).write(judge.ledger, responses, [right for _, right in graded])
        # 2) its log-probability for the model that has read the critique, minus that for the model that drew it
        own = [rollout for rollout, _ in graded]
        prompts = [
            informed(asked, rollout.item.question, rollout.path.text, critique)
            for rollout, critique in zip(own, paired(critiques, own), strict=True)
        ]
        taught = judge.own.logprobs(own, prompts)
        pairs = zip(own, taught, strict=True)
        values = {id(r): round(log_p - float(sum(r.path.logprobs)), DIGITS) for r, log_p in pairs}
        return [values.get(id(rollout)) for rollout in rollouts]

    return reward


def informed(asked: PromptFormat, question: str, response: str, critique: str) -> str:
    """The teacher's prompt: the review of the response, then the question as the student is asked it."""
    return f"{REVIEW.render(proposal(question, response))}{critique}\n\n{asked.render(question)}"


def exchanged(critiques: Sequence[str], rollouts: Sequence[Rollout]) -> list[str]:
    """Each rollout gets the critique of the rollout as many places on as the first item has rollouts.

    Items follow each other in an update, so that it is another problem's. Raises MethodError if there is only one item.
    """
    ids = [rollout.item.id for rollout in rollouts]
    shift = next((place for place, name in enumerate(ids) if name != ids[0]), 0)
    if not shift:
        raise MethodError("shuffled critiques need the rollouts of two items in an update: raise prompts")
    return [critiques[(place + shift) % len(critiques)] for place in range(len(critiques))]
