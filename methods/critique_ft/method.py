"""Critique fine-tuning: learn to review proposed answers, then answer directly.

    maximise  log P(critique | question, proposed response),   the loss on the critique and its EOS only
    at inference the policy is asked the plain question

After Wang et al. (arXiv 2501.17703); one-problem mode after 2506.03295 (items=1, samples=600, steps=30 to 50). Two
parts can be exchanged: the source of responses (own samples, corrupted right traces, a file) and the critic (the
checkpoint itself, the task's own checks, a file); the class follows from what the ledger gave. Self critics, program
critics and shuffled critiques had not been measured before. Every control is a `Recipe` of the builder in controls.py.
Left out: iterating, preference losses, a client for a teacher (its critiques come in as a file).
Cost: items x samples completions and their grades, `steps` x `batch` rows of training, curve x dev_items dev answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from elicit.errors import ConfigError, MethodError
from elicit.method import MethodBase, Work
from elicit.sampling.contrast import by_verdict
from elicit.sampling.own import own_completions
from elicit.training.sft.dev_curve import DevCurve
from elicit.training.sft.rows import Row, encode, own_row, steps_of
from elicit.training.sft.sft import SftConfig, Trained, refuse_other_edits, train
from methods.critique_ft.controls import PLACEBOS, RIVALS, Recipe, Sources, build_rows, equal_tokens
from methods.critique_ft.measures import measure
from methods.critique_ft.program import ProgramCritic
from methods.critique_ft.records import Critic, Example, Responder
from methods.critique_ft.responses import SelfResponses

if TYPE_CHECKING:
    import numpy as np

    from elicit.ledger import Ledger
    from elicit.method import Context, Method
    from elicit.policy.policy import Policy
    from elicit.policy.weights import WeightEdit
    from elicit.records import Item


@dataclass(frozen=True)
class CritiqueFT(MethodBase):
    """Fine-tune on critiques of proposed answers."""

    response: Responder = field(default_factory=SelfResponses)
    """the source of responses; presets in configs/method/response"""
    critic: Critic = field(default_factory=ProgramCritic)
    """the source of critiques; presets in configs/method/critic"""
    items: int = 200
    """train items; 1 is one-problem mode"""
    rows: int = 600
    """critiques to train on, at most: half of right responses, half of wrong ones if there are enough of both"""
    held_out: int = 32
    """further critiques, of other items, on which verdicts are measured; 0: none"""
    sft: SftConfig = field(default_factory=SftConfig)
    recipe: Recipe = field(default_factory=Recipe)
    """what is learned from an example: critique fine-tuning, or one of its controls (controls.py)"""
    curve: int = 4
    """scores on dev while training, the last at the end; 0: none"""
    dev_items: int = 48
    """dev items of each score"""
    keep: Literal["last", "best"] = "last"
    """which checkpoint of the curve is the result; `best` chooses by dev labels"""
    measured: int = 32
    """dev questions on which leak, format and length are measured; 0: none"""
    name: str = "critique_ft"

    def __post_init__(self) -> None:
        low = [name for name in ("items", "rows", "dev_items") if getattr(self, name) < 1]
        low += [name for name in ("held_out", "curve", "measured") if getattr(self, name) < 0]
        if low:
            raise ConfigError(f"critique_ft: {', '.join(f'{name}={getattr(self, name)}' for name in low)}: too small")
        if self.keep == "best" and not self.curve:
            raise ConfigError("critique_ft: keep=best with curve=0: score some checkpoints, or keep=last")

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> WeightEdit:
        """The weights after training. Raises MethodError if responses, critiques or the recipe give nothing."""
        refuse_other_edits(policy)
        # 1) responses and their critiques, some held out for measuring verdicts
        items = ledger.items("train", "train", limit=self.items)
        examples, held_out = self.examples(policy, ledger, context, items)
        # 2) training rows, those of a control with the same number of loss tokens
        rows, sft = self.rows_of(policy, ledger, context, items, examples)
        # 3) fine-tune, scored on dev along the way
        curve = DevCurve(policy, ledger, context, self.dev_items, "critique_ft", self.keep == "best")
        seed = int(context.rng.integers(2**31))
        at = curve.at(sft.steps or 1, self.curve) if self.curve else {}
        trained = train(policy, rows, sft, seed, context.folder, context.say, context.log, at, context.progress)
        curve.finish()
        # 4) the last or the best checkpoint, and what changed besides accuracy
        edit = curve.best_edit() if self.keep == "best" else trained.edit
        self.report(policy, ledger, context, edit, trained, held_out)
        return edit

    def examples(
        self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item]
    ) -> tuple[list[Example], list[Example]]:
        """(examples to train on, examples of other problems that are held out)."""
        if self.critic.brings_responses:
            responses = []
        else:
            responses = self.response.responses(policy, ledger, context, items)
            if not responses:
                raise MethodError(f"{len(items)} items gave no response to criticise; take more items or samples")
        examples = self.critic.examples(policy, ledger, context, responses, self.rows + self.held_out)
        held_out = held_out_of(examples, self.held_out)
        kept = {example.key for example in held_out}
        training = [example for example in examples if example.key not in kept][: self.rows]
        right = sum(example.right for example in training)
        context.log({"critique_ft/rows": len(training), "critique_ft/rows_right": right})
        context.say(
            f"critique_ft: {len(training)} critiques ({right} of right responses), {len(held_out)} held out; such as "
            f"{training[0].critique.strip()[:80]!r}"
        )
        return training, held_out

    def rows_of(
        self, policy: Policy, ledger: Ledger, context: Context, items: Sequence[Item], examples: Sequence[Example]
    ) -> tuple[list[Row], SftConfig]:
        """The rows of the recipe, and a loop with the same steps and the same loss tokens per step as the method."""
        sources = Sources(
            tokenise=lambda text: tuple(policy.checkpoint.tokenizer(text, add_special_tokens=False)["input_ids"]),
            traces=lambda right: own_traces(policy, ledger, context.rng, items, right),
        )
        own = build_rows(examples, Recipe(), sources, context.rng)
        steps = self.sft.steps or steps_of(len(own), self.sft.batch, self.sft.epochs)
        sft = replace(self.sft, steps=steps)
        if self.recipe == Recipe():
            return own, sft
        rows = build_rows(examples, self.recipe, sources, context.rng)
        lengths = [loss_tokens(policy, part) for part in (own, rows)]
        chosen = equal_tokens(lengths[1], sum(lengths[0]), context.rng)
        batch = max(1, round(sft.batch * len(chosen) / len(own)))
        a_step = [sft.batch * sum(lengths[0]) / len(own), batch * sum(lengths[1][p] for p in chosen) / len(chosen)]
        context.log({"critique_ft/control_rows": len(chosen), "critique_ft/control_distinct": len(set(chosen))})
        context.log({"critique_ft/control_tokens": a_step[1] / a_step[0]})
        return [rows[place] for place in chosen], replace(sft, batch=batch)

    def report(
        self,
        policy: Policy,
        ledger: Ledger,
        context: Context,
        edit: WeightEdit,
        trained: Trained,
        held_out: Sequence[Example],
    ) -> None:
        """Log the method's own measures."""
        items = ledger.items("dev", "select", limit=self.measured) if self.measured else []
        row = measure(policy, policy.with_intervention(edit), ledger, held_out, items)
        row |= {"steps": trained.steps, "rows_dropped": trained.dropped, "loss_tokens": trained.loss_tokens}
        context.log({f"critique_ft/{key}": value for key, value in row.items()})
        shown = ", ".join(f"{key} {value:.2f}" for key, value in row.items() if "/" not in key and value % 1)
        context.say(f"critique_ft: {trained.steps} steps; {shown}")

    def work(self, items: int, tokens: float) -> Work:
        """Responses and reviews of each item, and the training rows; dev scores are not counted."""
        drawn = self.items * (self.response.samples + self.critic.samples)
        rows = self.sft.steps * self.sft.batch if self.sft.steps else self.sft.epochs * self.rows
        return Work(drawn, rows)

    def placebos(self) -> dict[str, Method]:
        """Shuffled critiques and a filler. Bare verdicts of one class are all the same, so they are shuffled freely."""
        recipes = dict(PLACEBOS)
        if self.critic.verdict_only:
            recipes["shuffled_critiques"] = Recipe(pairing="shuffled_freely")
        return {name: replace(self, recipe=recipe) for name, recipe in recipes.items()}

    def rivals(self) -> dict[str, Method]:
        """Flipped verdicts, own traces, one half of the prompt, the prompt in the loss, perturbed traces."""
        bare = self.critic.verdict_only
        recipes = {name: recipe for name, recipe in RIVALS.items() if not (bare and recipe.trace != "kept")}
        return {name: replace(self, recipe=recipe) for name, recipe in recipes.items()}


def held_out_of(examples: Sequence[Example], wanted: int) -> list[Example]:
    """The last examples, whole problems at a time, at most `wanted`; none if all are of one problem."""
    out: list[Example] = []
    groups: dict[str, list[Example]] = {}
    for example in reversed(examples):
        groups.setdefault(example.key, []).append(example)
    for group in groups.values():
        if len(out) + len(group) > wanted or len(out) + len(group) == len(examples):
            break
        out += group
    return out


def loss_tokens(policy: Policy, rows: Sequence[Row]) -> list[int]:
    """Tokens in the loss of each row, those of the prompt left out."""
    plain = [replace(row, prompt_in_loss=False) for row in rows]
    return [encode(policy.checkpoint, row).loss_tokens for row in plain]


def own_traces(
    policy: Policy, ledger: Ledger, rng: np.random.Generator, items: Sequence[Item], right: bool, samples: int = 8
) -> list[Row]:
    """Own completions of the plain question whose answer is right, or wrong. Raises MethodError if there is none."""
    drawn = own_completions(policy, ledger, items, samples, int(rng.integers(2**31)), "critique_ft-traces")
    drawn = [each for each in drawn if each.finished and each.text.strip()]
    sides, _ = by_verdict(drawn, ledger)
    rows = [own_row(policy, each) for each, side in zip(drawn, sides, strict=True) if side is right]
    if not rows:
        raise MethodError(f"none of {len(drawn)} own completions is {'right' if right else 'wrong'}: take more items")
    return rows
