"""Laws of the rewards without labels: each is its formula, costs no label bit, and sharpens; a collapse is one step."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import elicit.training.rl.collapse
from elicit.errors import MethodError
from elicit.ledger import Ledger
from elicit.policy.checkpoint import wrap
from elicit.policy.decoding import Path
from elicit.sampling.likelihood import entropies, score
from elicit.tasks.grading.grader import Grader
from elicit.training.rl.collapse import collapse
from elicit.training.rl.own_model import TrainedModel
from elicit.training.rl.progress import Standing
from elicit.training.rl.rewards import REWARDS, Judge
from elicit.training.rl.rollouts import Rollout
from elicit.training.rl.settings import UNLABELLED
from elicit.training.trainable import FullWeights
from methods.rlvr.method import RLVR
from tests.policy.tiny import tiny_model, tiny_tokenizer
from tests.training.harness import fitted
from tests.training.latent import LatentTask, latent_policy

TASK = LatentTask()
SMALL = RLVR(
    steps=2, prompts=4, samples=8, micro_batch=32, learning_rate=1e-3, gradient_checkpointing=False, dev_every=0,
    kl_every=0,
)  # fmt: skip


class Answers:
    """A model whose readings are given."""

    def entropies(self, rollouts: Any) -> list[np.ndarray]:
        return [np.full(len(rollout.path.token_ids), 0.1 * rollout.j) for rollout in rollouts]

    def verdicts(self, rollouts: Any) -> list[float]:
        return [0.25 * rollout.j for rollout in rollouts]


def drawn(ledger: Ledger) -> list[Rollout]:
    item, out = ledger.items("train", limit=1)[0], []
    for j, text in enumerate(("a3", "guess a3", "guess")):
        count = j + 1
        logprobs, certainties = [-1.0 - t for t in range(count)], [0.5 + j] * count
        path = Path([2] * count, logprobs, [], [], [], "eos", text, certainties)
        out.append(Rollout(item, j, j, (1,), path))
    return out


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("certainty", [0.5, 1.5, 2.5]),
        ("entropy", [0.0, -0.1, -0.2]),
        ("log_likelihood", [-1.0, -1.5, -2.0]),
        ("self_verification", [0.0, 0.25, 0.0]),
    ],
)
def test_each_reward_is_its_mean_over_tokens_and_costs_no_label(name: str, wanted: list[float]) -> None:
    ledger = Ledger(TASK, "test")
    assert REWARDS[name](Judge(ledger, 8, Answers()), drawn(ledger)) == pytest.approx(wanted)
    assert ledger.spent.labels == 0 and name in UNLABELLED


def test_a_reward_that_is_not_measured_is_refused_and_not_zero() -> None:
    ledger = Ledger(TASK, "test")
    rollouts = [replace(one, path=replace(one.path, certainties=[])) for one in drawn(ledger)]
    with pytest.raises(MethodError, match="only rollouts=loop"):
        REWARDS["certainty"](Judge(ledger, 8), rollouts)
    with pytest.raises(MethodError, match="needs a fit that gives one"):
        REWARDS["entropy"](Judge(ledger, 8), rollouts)


def test_entropies_are_those_of_the_distribution_before_each_token() -> None:
    model = tiny_model()
    pairs = [((1, 2, 3), (4, 5)), ((6,), (7, 8, 9, 10)), ((1, 2), ())]
    for (prompt, completion), measured in zip(pairs, entropies(model, pairs), strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*prompt, *completion]])).logits[0]
        rows = [logits[len(prompt) - 1 + t] for t in range(len(completion))]
        wanted = [float(torch.distributions.Categorical(logits=row).entropy()) for row in rows]
        assert measured == pytest.approx(wanted, abs=1e-5)


def test_a_verdict_is_the_share_of_right_after_the_words_of_a_review() -> None:
    checkpoint = wrap(tiny_model(), tiny_tokenizer())
    own = TrainedModel(checkpoint, FullWeights())
    rollout = drawn(Ledger(TASK, "test"))[0]
    with own.trainable.attached(checkpoint.model):
        (share,) = own.verdicts([rollout])
    asked = f"Question: {rollout.item.question}\nProposed: a3\nReview: The proposed answer is"
    prompt = checkpoint.encode(asked)
    pairs = [(prompt, checkpoint.encode(f"{asked} {word}.")[len(prompt) :]) for word in ("right", "wrong")]
    sums = [float(scored.logprobs.sum()) for scored in score(checkpoint.model, pairs)]
    assert share == pytest.approx(1 / (1 + math.exp(sums[1] - sums[0])), abs=1e-6)


@pytest.mark.parametrize("name", UNLABELLED[:3])
def test_a_fit_on_it_never_looks_at_an_answer_and_is_class_v(tmp_path, monkeypatch, name: str) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("an answer was graded")

    monkeypatch.setattr(Grader, "judge", refuse)
    done = fitted(SMALL.rivals()[f"{name}_reward"], latent_policy(), tmp_path)
    assert done.ledger.data_class == "V" and done.ledger.spent.labels == 0
    assert len(done.curve(f"rl/reward/{name}")) == 2


def test_the_collapse_step_is_the_first_at_which_accuracy_or_entropy_is_gone() -> None:
    standing = Standing(best_dev=0.1)
    assert collapse(standing, 1, 2.0, None) is None
    assert collapse(standing, 2, 1.0, 0.5) is None
    assert collapse(standing, 3, 0.021, 0.006) is None
    assert "dev 0.004 after a best of 0.500" in str(collapse(standing, 4, 0.021, 0.004))
    assert standing.collapse == 4
    assert collapse(standing, 5, 0.0, 0.0) is None and standing.collapse == 4
    gone = Standing()
    assert collapse(gone, 1, 2.0, 0.0) is None
    assert collapse(gone, 2, 0.019, 1.0) == "entropy 0.0190 after 2.0000 in the first update"


def test_the_collapse_step_is_in_the_log_and_on_the_terminal(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    calm = fitted(replace(SMALL, rewards={"random": 1.0}), latent_policy(), tmp_path / "calm")
    assert not calm.curve("rl/collapse_step") and any("no collapse in 2 updates" in line for line in calm.lines)
    monkeypatch.setattr(elicit.training.rl.collapse, "SHARE", 1e9)
    done = fitted(replace(SMALL, rewards={"random": 1.0}), latent_policy(), tmp_path / "collapsed")
    assert done.curve("rl/collapse_step") == [1]
    assert any("collapse step 1: entropy" in line for line in done.lines)
    assert not any("no collapse" in line for line in done.lines)
