"""Critique distillation against single forward passes: the advantage, its expectation, its controls and its account."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from elicit.errors import ConfigError, MethodError
from elicit.ledger import Ledger
from elicit.policy.checkpoint import Checkpoint, CheckpointConfig, load_checkpoint, parameters_hash, wrap
from elicit.policy.decoding import Path as Written
from elicit.policy.policy import Policy
from elicit.policy.weights import WeightEdit
from elicit.records import Item
from elicit.tasks.formal.task import FormalTask
from elicit.tasks.task import PromptFormat
from elicit.training.rl import rewards
from elicit.training.rl.own_model import TrainedModel
from elicit.training.rl.rewards import Judge
from elicit.training.rl.rollouts import Rollout
from elicit.training.trainable import FullWeights
from methods.critique_ft import distil
from methods.critique_ft.distil import CritiqueDistil, exchanged, gains, informed
from tests.training.harness import fitted

TASK = FormalTask(n_train=30, n_dev=10, n_test=10, max_size=3, long_sizes=(4, 5))
ASKED = PromptFormat("bare")
WORDS = ["<eos>", "<unk>", "right.", "wrong.", "The"]
H = 2


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """A random Llama of five tokens in float64."""
    torch.manual_seed(11)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, initializer_range=0.3, eos_token_id=0, bos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<eos>", unk_token="<unk>", pad_token="<eos>"
    )
    return wrap(LlamaForCausalLM(config).double().eval(), tokenizer)


def conditionals(checkpoint: Checkpoint, prompt: str, tokens: tuple[int, ...]) -> list[torch.Tensor]:
    """The next-token distributions before each token, each by a forward pass of its own."""
    before = list(checkpoint.encode(prompt))
    out = []
    for place in range(len(tokens)):
        with torch.no_grad():
            out.append(checkpoint.model(torch.tensor([[*before, *tokens[:place]]])).logits[0, -1].log_softmax(-1))
    return out


def log_p(checkpoint: Checkpoint, prompt: str, tokens: tuple[int, ...]) -> float:
    rows = conditionals(checkpoint, prompt, tokens)
    return float(sum(row[token] for row, token in zip(rows, tokens, strict=True)))


def rollout(checkpoint: Checkpoint, item: Item, tokens: tuple[int, ...]) -> Rollout:
    rows = conditionals(checkpoint, ASKED.render(item.question), tokens)
    logprobs = [float(row[token]) for row, token in zip(rows, tokens, strict=True)]
    text, finish = " ".join(WORDS[token] for token in tokens if token), "eos" if tokens[-1] == 0 else "length"
    return Rollout(
        item,
        0,
        0,
        checkpoint.encode(ASKED.render(item.question)),
        Written(list(tokens), logprobs, [], [], [], finish, text),
    )


def judge_of(checkpoint: Checkpoint, ledger: Ledger) -> Judge:
    return Judge(ledger, H, TrainedModel(checkpoint, FullWeights()))


COMPLETIONS = [
    text
    for length in (1, 2)
    for text in itertools.product(range(len(WORDS)), repeat=length)
    if 0 not in text[:-1] and (text[-1] == 0 or length == H)
]


def test_the_advantage_is_what_the_critique_adds_to_the_log_probability(checkpoint: Checkpoint) -> None:
    ledger = Ledger(TASK, "test")
    (item,) = ledger.items("train", limit=1)
    drawn = [rollout(checkpoint, item, text) for text in COMPLETIONS]
    values = gains(ASKED)["verdict_gain"](judge_of(checkpoint, ledger), drawn)
    for text, one, value in zip(COMPLETIONS, drawn, values, strict=True):
        read = f"Question: {item.question}\nProposed: {one.path.text}\nReview:"
        read += f" The proposed answer is wrong.\n\nQuestion: {item.question}\nAnswer:"
        assert informed(ASKED, item.question, one.path.text, " The proposed answer is wrong.") == read
        wanted = log_p(checkpoint, read, text) - log_p(checkpoint, ASKED.render(item.question), text)
        assert value == pytest.approx(wanted, abs=1e-4)
    assert max(abs(value or 0.0) for value in values) > 0.01


def test_its_expectation_is_minus_the_divergence_of_the_student_from_the_teacher(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(TASK, "test")
    (item,) = ledger.items("train", limit=1)
    plain, read = ASKED.render(item.question), "The The right. " + ASKED.render(item.question)
    monkeypatch.setattr(distil, "informed", lambda *text: read)
    drawn = [rollout(checkpoint, item, text) for text in COMPLETIONS]
    values = gains(ASKED)["verdict_gain"](judge_of(checkpoint, ledger), drawn)
    chances = [math.exp(log_p(checkpoint, plain, text)) for text in COMPLETIONS]
    assert sum(chances) == pytest.approx(1.0)
    # the chain rule of the divergence: token by token, over the student's own prefixes
    divergence = 0.0
    for prefix in [(), *((token,) for token in range(1, len(WORDS)))]:
        student, teacher = (conditionals(checkpoint, prompt, (*prefix, 0))[-1] for prompt in (plain, read))
        divergence += math.exp(log_p(checkpoint, plain, prefix)) * float((student.exp() * (student - teacher)).sum())
    assert sum(p * float(v or 0.0) for p, v in zip(chances, values, strict=True)) == pytest.approx(
        -divergence, abs=2e-4
    )
    assert divergence > 1e-3


def test_the_flipped_sign_is_the_same_advantage_with_the_other_sign(checkpoint: Checkpoint) -> None:
    ledger = Ledger(TASK, "test")
    (item,) = ledger.items("train", limit=1)
    drawn = [rollout(checkpoint, item, text) for text in COMPLETIONS[:6]]
    method = CritiqueDistil(rewards={"verdict_gain": 1.0}, micro_batch=8)
    flipped: Any = method.rivals()["flipped_sign"]
    columns = {"verdict_gain": gains(ASKED)["verdict_gain"](judge_of(checkpoint, ledger), drawn)}
    totals = [rewards.total(columns, one.rewards) for one in (method, flipped)]
    assert np.array_equal(totals[0], -totals[1]) and totals[0].any()


def test_a_shuffled_critique_is_another_problems(checkpoint: Checkpoint) -> None:
    items = Ledger(TASK, "test").items("train", limit=3)
    drawn = [rollout(checkpoint, item, (0,)) for item in items for _ in range(4)]
    names = [f"{one.item.id}/{place}" for place, one in enumerate(drawn)]
    given = exchanged(names, drawn)
    assert sorted(given) == sorted(names)
    assert all(name.split("/")[0] != one.item.id for name, one in zip(given, drawn, strict=True))
    with pytest.raises(MethodError, match="two items"):
        exchanged(names[:4], drawn[:4])
    with pytest.raises(ConfigError, match="prompts=1"):
        CritiqueDistil(prompts=1, samples=16)


def test_the_class_follows_from_what_the_critique_states(checkpoint: Checkpoint) -> None:
    for name, grade, bits in (("verdict_gain", "R", 4), ("correction_gain", "T", 8)):
        ledger = Ledger(TASK, "test")
        drawn = [rollout(checkpoint, item, (4, 0)) for item in ledger.items("train", limit=4)]
        gains(ASKED)[name](judge_of(checkpoint, ledger), drawn)
        assert (ledger.data_class, ledger.spent.labels) == (grade, bits)


def test_controls_differ_from_the_method_in_the_reward_alone() -> None:
    method = CritiqueDistil(micro_batch=8)
    assert list(method.placebos()) == ["shuffled_critiques", "random_reward"]
    assert list(method.rivals()) == ["flipped_sign", "verdict_gain", "correct_reward"]
    for name, control in {**method.placebos(), **method.rivals()}.items():
        assert replace(control, rewards=method.rewards) == method and control != method, name  # type: ignore[type-var]


def test_a_fit_gives_weights_and_leaves_the_checkpoint_alone(tmp_path: Path) -> None:
    policy = Policy(load_checkpoint(CheckpointConfig(path="organism", device="cpu", dtype="float32")))
    before = parameters_hash(policy.checkpoint.model)
    method = CritiqueDistil(
        steps=1, prompts=2, samples=4, micro_batch=8, learning_rate=3e-4, gradient_checkpointing=False, dev_every=0,
        kl_every=0,
    )  # fmt: skip
    done = fitted(method, policy, tmp_path, TASK)
    assert isinstance(done.edit, WeightEdit) and done.edit.differences
    assert parameters_hash(policy.checkpoint.model) == before
    assert done.ledger.data_class == "T" and done.ledger.spent.rollouts == 8
