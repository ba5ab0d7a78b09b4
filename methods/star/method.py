"""STaR, bootstrapped self-training: sample own completions, keep the verified ones, fine-tune, repeat.

    pi_0 = base;   D_r = { (x, y) : y ~ pi_r(x), y right };   pi_{r+1} = argmax_pi  sum over D_r of log pi(y | x)

Each round trains from the base again (`restart`), as in Zelikman et al. (arXiv 2203.14465), so errors of early rounds
do not accumulate. Left out: rationalisation (hints with the answer), because a hint is gold in the prompt. RL-STaR
(arXiv 2410.23912) claims that right answers with wrong steps do no harm: the rivals keep only those, or only valid
traces (controls.py). Class R.
`keep=power_weight` asks no verifier: an item's completions are drawn again in proportion to p(y | x)^(alpha - 1), which
distils the law p^alpha into the weights (power.py; arXiv 2605.04542). Class V.
Cost: rounds x items x samples completions, the same number of label bits (more if traces are validated too, none with
power weights), training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, get_args

from elicit.errors import MethodError, checked
from elicit.method import MethodBase, Work
from elicit.policy.weights import WeightEdit, joined
from elicit.sampling.own import Completion, own_completions
from elicit.training.sft.dev_curve import DevCurve
from elicit.training.sft.rows import own_row
from elicit.training.sft.sft import SftConfig, refuse_other_edits, train
from methods.star import controls, power

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context, Method
    from elicit.policy.policy import Policy
    from elicit.records import Item
    from elicit.training.sft.rows import Row

Keep = Literal[
    "right", "right_and_valid", "right_with_wrong_steps", "at_random", "power_weight", "weight_permuted"
]  # fmt: skip
POWER = ("power_weight", "weight_permuted")
"""rules that use no verdict"""


@dataclass(frozen=True)
class Star(MethodBase):
    """Fine-tune on own completions that were verified, round after round."""

    rounds: int = 2
    items: int = 200
    """train items per round, the same in each"""
    samples: int = 8
    """completions per item and round, at temperature 1"""
    keep: Keep = "right"
    """right: the answer is graded right. right_and_valid, right_with_wrong_steps: and the trace has no violation, or
    one (tasks with a validator). at_random: the same number of each item, drawn from all of its completions.
    power_weight: drawn again by p^(alpha - 1), without a verdict. weight_permuted: the same weights, exchanged among
    the item's completions"""
    most: int | None = None
    """kept completions per item and round, at most; null: all"""
    restart: bool = True
    """train every round from the base; false: continue from the round before"""
    sft: SftConfig = field(default_factory=SftConfig)
    dev_items: int = 48
    """dev items on which each round is scored; 0: none"""
    alpha: float = 2.0
    """keep=power_weight: the power of the law that is distilled; 1 is the base's own"""
    answers: int = 3200
    """keep=power_weight: answers over which the rival `sampled` spreads the fit's work: as many as are evaluated"""
    name: str = "star"

    def __post_init__(self) -> None:
        at_least = {"rounds": 1, "items": 1, "samples": 1, "most": 1, "dev_items": 0, "answers": 1}
        checked(self, at_least=at_least, above={"alpha": 0}, one_of={"keep": get_args(Keep)}, label="star")

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> WeightEdit:
        """The weights after the last round. Raises MethodError for a round in which nothing was kept."""
        refuse_other_edits(policy)
        items = ledger.items("train", "train", limit=self.items)
        curve = DevCurve(policy, ledger, context, self.dev_items, "star")
        edit = WeightEdit()
        for number in range(1, self.rounds + 1):
            edit = self.round(policy, edit, ledger, context, items, number)
            if self.dev_items:
                curve.score(number, edit)
        curve.finish()
        return edit

    def round(
        self, policy: Policy, before: WeightEdit, ledger: Ledger, context: Context, items: Sequence[Item], number: int
    ) -> WeightEdit:
        """One round: sample from the policy with the edit `before`, keep, train."""
        # 1) sample
        draw = int(context.rng.integers(2**31))
        sampler = policy.with_intervention(before) if number > 1 else policy
        drawn = self.drawn(sampler, ledger, items, draw)
        # 2) keep
        kept = self.kept(drawn, ledger, context)
        context.log({"star/round": number, "star/drawn": len(drawn), "star/kept": len(kept)})
        lengths = [len(completion.token_ids) for completion in kept]
        context.log({"star/round": number, "star/kept_tokens": sum(lengths) / max(1, len(lengths))})
        if not kept:
            raise MethodError(
                f"star: round {number} kept none of {len(drawn)} completions (keep={self.keep}): take more items or "
                "samples, or another keep"
            )
        context.say(f"star: round {number} of {self.rounds}, {len(kept)} of {len(drawn)} completions kept")
        # 3) fine-tune, on the base or on top of the round before
        rows = self.training_rows(policy, kept, context)
        goes_on = not self.restart and number > 1
        start = policy.with_intervention(before) if goes_on else policy
        trained = train(
            start,
            rows,
            self.sft,
            int(context.rng.integers(2**31)),
            context.folder,
            context.say,
            context.log,
            progress=context.progress,
        )
        return joined(policy.checkpoint.model, before, trained.edit) if goes_on else trained.edit

    def drawn(self, policy: Policy, ledger: Ledger, items: Sequence[Item], draw: int) -> list[Completion]:
        """The completions of a round, booked; a function of the policy and `draw`."""
        return own_completions(policy, ledger, items, self.samples, draw, "star")

    def kept(self, drawn: Sequence[Completion], ledger: Ledger, context: Context) -> list[Completion]:
        """The completions that are trained on, item by item. Every completion costs a label bit, except with POWER."""
        finished = [each for each in drawn if each.finished and each.text.strip()]
        if self.keep in POWER:
            return self.weighted(finished, context)
        items, texts = [each.item for each in finished], [each.text for each in finished]
        grades = ledger.grades(items, texts, [True] * len(finished))
        out: list[Completion] = []
        for item in dict.fromkeys(each.item.id for each in finished):
            graded = [(each, grade) for each, grade in zip(finished, grades, strict=True) if each.item.id == item]
            chosen = [each for each, grade in graded if grade]
            if self.keep == "at_random":
                chosen = controls.at_random([each for each, _ in graded], len(chosen), context.rng)
            elif self.keep != "right":
                chosen = controls.by_steps(chosen, self.keep == "right_and_valid", ledger)
            out += chosen[: self.most]
        return out

    def weighted(self, finished: Sequence[Completion], context: Context) -> list[Completion]:
        """As many completions of each item as it has, or `most`, drawn with replacement by their power weights."""
        out: list[Completion] = []
        effective = []
        for item in dict.fromkeys(each.item.id for each in finished):
            of_item = [each for each in finished if each.item.id == item]
            weights_J = power.weights([each.logprob for each in of_item], self.alpha)
            effective.append(1 / float((weights_J**2).sum()))
            if self.keep == "weight_permuted":
                weights_J = context.rng.permutation(weights_J)
            count = len(of_item) if self.most is None else min(self.most, len(of_item))
            out += [of_item[place] for place in context.rng.choice(len(of_item), size=count, p=weights_J)]
        if effective:
            context.log({"star/effective_samples": sum(effective) / len(effective)})
        return out

    def training_rows(self, policy: Policy, kept: Sequence[Completion], context: Context) -> list[Row]:
        """What is trained on: the kept completions in their own tokens."""
        return [own_row(policy, completion) for completion in kept]

    def work(self, items: int, tokens: float) -> Work:
        """Samples and training of every round; all completions count as kept if training goes by epochs."""
        drawn = self.items * self.samples
        rows = self.sft.steps * self.sft.batch if self.sft.steps else self.sft.epochs * drawn
        return Work(self.rounds * drawn, self.rounds * rows)

    def placebos(self) -> dict[str, Method]:
        """Kept at random: the same number of completions of each item, whatever they state. Of power weights: the same
        weights, exchanged among an item's completions."""
        if self.keep == "power_weight":
            return {"weights_permuted": replace(self, keep="weight_permuted")}
        return {"kept_at_random": replace(self, keep="at_random")}

    def rivals(self) -> dict[str, Method]:
        """Only right answers with wrong steps, and only those with valid ones. Of power weights: sampling from the same
        law without training, with the same work in all; and STaR itself, with its labels."""
        if self.keep == "power_weight":
            n = 1 + round(self.work(0, 0).passes / self.answers)
            return {"sampled": power.PowerSampling(n, self.alpha, self.name), "right": replace(self, keep="right")}
        names: tuple[Keep, ...] = ("right_with_wrong_steps", "right_and_valid")
        return {name: replace(self, keep=name) for name in names}
