"""Laws of the strategies on the real step loop: a tiny random Llama in float64, branches against single generations."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from elicit.files import seed_of
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.checkpoint import wrap
from elicit.policy.decoding import Request
from elicit.policy.intervention import save
from elicit.policy.policy import Policy, load_intervention
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.task import Answer, PromptFormat, StopRules
from methods.decoding.controls import EntropyMatched, random_pick
from methods.decoding.cot_decoding import CotDecoding, RandomFirstTokens
from methods.decoding.method import Decoding
from methods.decoding.plain import Greedy, Temperature
from methods.decoding.sampled import SelfConsistency
from tests.toy import ToyTask

WORDS = ["<eos>", "<unk>", *(str(digit) for digit in range(10)), *(f"w{k}" for k in range(28))]
MAX_NEW = 8


class LastDigit:
    """The answer is the last digit that was written."""

    name = "last digit"
    prompts = ToyTask().prompts
    keys = ToyTask().keys
    stop = StopRules(strings=(), max_new_tokens=MAX_NEW)

    def extract(self, text: str, finished: bool) -> Answer:
        span = self.answer_span(text)
        stated = None if span is None else text[slice(*span)]
        return Answer(stated, stated)

    def answer_class(self, answer: str) -> str:
        return answer

    def answer_span(self, text: str) -> tuple[int, int] | None:
        found = list(re.finditer(r"\b\d\b", text))
        return found[-1].span() if found else None


@pytest.fixture(scope="module")
def checkpoint():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.3, eos_token_id=0, bos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", unk_token="<unk>")
    return wrap(LlamaForCausalLM(config).double(), tokenizer)


@pytest.fixture
def requests():
    prompts = [(5, 6, 7), (8,), (9, 12, 3, 4)]
    return [Request(f"i{k}", j, seed_of("test", k, j), prompts[k]) for k in range(3) for j in range(2)]


def greedy_by_hand(model, prompt: tuple[int, ...], first: int) -> tuple[list[int], list[float]]:
    """(tokens, gaps) of the greedy path behind a given first token, computed anew at every step."""
    written: list[int] = []
    gaps = []
    while len(written) < MAX_NEW and 0 not in written:
        p = model(torch.tensor([[*prompt, *written]])).logits[0, -1].softmax(-1)
        top = p.topk(2)
        gaps.append((top.values[0] - top.values[1]).item())
        written.append(int(top.indices[0]) if written else first)
    return written, gaps


def test_k_batched_paths_are_k_single_greedy_generations(checkpoint, requests):
    outcomes = CotDecoding(k=5).run(StepLoop(checkpoint, slots=4), requests, LastDigit())
    for request, outcome in zip(requests, outcomes, strict=True):
        first = checkpoint.model(torch.tensor([list(request.prompt_ids)])).logits[0, -1].topk(5).indices.tolist()
        for rank, candidate in enumerate(outcome.chains):
            tokens, gaps = greedy_by_hand(checkpoint.model, request.prompt_ids, first[rank])
            assert candidate.path.token_ids == tokens
            assert candidate.path.gaps == pytest.approx(gaps, abs=1e-5)


def test_delta_is_the_gap_where_the_answer_was_written(checkpoint, requests):
    outcomes = CotDecoding(k=8).run(StepLoop(checkpoint), requests, LastDigit())
    answered = [c for outcome in outcomes for c in outcome.chains if "delta" in c.scalars]
    assert len(answered) > 5
    for candidate in answered:
        words = [WORDS[token] for token in candidate.path.token_ids]
        place = max(i for i, word in enumerate(words) if word.isdigit())
        assert candidate.scalars["delta"] == pytest.approx(candidate.path.gaps[place])


def test_the_same_seed_gives_the_same_tokens_in_any_batch(checkpoint, requests):
    for strategy in (Temperature(0.7), SelfConsistency(n=3), RandomFirstTokens(k=3), random_pick(CotDecoding(k=3))):
        together = strategy.run(StepLoop(checkpoint, slots=16), requests, LastDigit())
        for request, outcome in zip(requests, together, strict=True):
            (alone,) = strategy.run(StepLoop(checkpoint, slots=2), [request], LastDigit())
            assert alone.path.token_ids == outcome.path.token_ids
            assert alone.winner == outcome.winner and alone.total_tokens == outcome.total_tokens


def test_all_generated_tokens_are_counted(checkpoint, requests):
    for strategy in (Greedy(), SelfConsistency(n=3), RandomFirstTokens(k=3), CotDecoding(k=3)):
        for outcome in strategy.run(StepLoop(checkpoint), requests, LastDigit()):
            paths = [candidate.path for candidate in outcome.chains] or [outcome.path]
            assert outcome.total_tokens == sum(len(path.token_ids) for path in paths)


@pytest.mark.parametrize("strategy", [
    Greedy(), Temperature(0.25, min_p=0.1), SelfConsistency(n=7), CotDecoding(k=4), RandomFirstTokens(k=3),
    random_pick(CotDecoding(k=4)),
], ids=lambda strategy: type(strategy).__name__)  # fmt: skip
def test_a_strategy_is_saved_and_loaded_by_its_name(strategy, tmp_path):
    save(strategy, tmp_path)
    loaded = load_intervention(tmp_path)
    assert loaded == strategy and loaded.id == strategy.id


def test_the_entropy_matched_temperature_of_a_temperature_is_that_temperature(checkpoint, tmp_path):
    task = ToyTask(prompts={"bare": PromptFormat("bare", "{question} =")})
    policy = Policy(checkpoint, prompt=task.prompts["bare"])
    for temperature in (0.3, 1.0):
        ledger = Ledger(task, "decoding")
        method = EntropyMatched(SelfConsistency(n=12, temperature=temperature), items=24)
        fitted = method.fit(policy, ledger, Context(np.random.default_rng(0), tmp_path, lambda policy, limit: 0.0))
        assert fitted.temperature == pytest.approx(temperature, abs=0.25)
        assert sum(row.label_bits for row in ledger.rows) == 0


def test_the_placebos_of_decoding_fit_to_strategies(checkpoint, tmp_path):
    context = Context(np.random.default_rng(0), tmp_path, lambda policy, limit: 0.0)
    pick = Decoding(CotDecoding(k=3)).placebos()["random_pick"].fit(Policy(checkpoint), None, context)
    assert pick.kind == "decoding" and not pick.deterministic
