"""Power sampling through the real step loop: a tiny random Llama of three tokens in float64, enumerated."""

from __future__ import annotations

from collections import Counter
from pathlib import Path as File

import numpy as np
import pytest
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from elicit.config.build import build
from elicit.errors import ConfigError
from elicit.files import seed_of
from elicit.policy.decoding import DecodingStrategy, Outcome, Path, Request
from elicit.policy.intervention import save
from elicit.policy.policy import load_intervention
from elicit.sampling.loop.step_loop import StepLoop
from methods.decoding.look_ahead import LookAhead
from methods.decoding.power_mh import PowerMH
from methods.decoding.power_smc import PowerSMC
from tests.methods.decoding.power_toy import Texts
from tests.methods.decoding.test_power_law import transitions
from tests.reference import power as reference

PRESET = File(__file__).parents[3] / "configs" / "method" / "strategy" / "power_mh.yaml"
H = 3
WORDS = ["<eos>", "a", "b"]
PROMPT = (1, 2, 2)
MH = PowerMH(alpha=2.0, steps=8)
SMC = PowerSMC(alpha=2.0, n=8, block=2, threshold=1.0)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=3, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, initializer_range=0.15, eos_token_id=0, bos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).double().eval()


@pytest.fixture(scope="module")
def loop_of(model):
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<eos>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<eos>", unk_token="<eos>")
    return lambda **settings: StepLoop(model, tokenizer, {0}, **settings)


@pytest.fixture(scope="module")
def table(model):
    """Probabilities behind every prefix, each by a forward pass of its own."""
    rows = {}
    for prefix in reference.table(0, H):
        with torch.no_grad():
            rows[prefix] = model(torch.tensor([[*PROMPT, *prefix]])).logits[0, -1].softmax(-1).numpy()
    return rows


def requests(count: int) -> list[Request]:
    return [Request(f"i{place}", 0, seed_of("loop", place), PROMPT) for place in range(count)]


def test_after_so_many_steps_the_chains_have_the_law_that_the_kernel_gives_them(loop_of, table):
    count = 1000
    outcomes = MH.run(loop_of(slots=512), requests(count), Texts(H))
    states, matrix = transitions(table, MH)
    target, _ = reference.law(table, H, 2.0)
    start = {text: reference.proposed(table, text, 0, 2.0) for text in target}
    now = np.array([start[text] for text in states]) @ np.linalg.matrix_power(matrix, MH.steps)
    found = Counter(tuple(outcome.path.token_ids) for outcome in outcomes)
    assert found.total() == sum(found[text] for text in states)
    for text, share in zip(states, now, strict=True):
        assert abs(found[text] / count - share) < 4 * (share * (1 - share) / count) ** 0.5
    distances = [reference.distance_after(states, matrix, start, target, steps) for steps in (0, MH.steps, 200)]
    assert distances[0] > 0.3 and distances[1] < 0.6 * distances[0] and distances[2] < 1e-3


def test_evidence_is_unbiased(loop_of, table):
    count = 300
    outcomes = SMC.run(loop_of(slots=512), requests(count), Texts(H))
    _, total = reference.law(table, H, 2.0)
    evidence = np.exp([outcome.chains[0].scalars["log_evidence"] for outcome in outcomes])
    assert evidence.std() > 0 and abs(evidence.mean() - total) < 4 * evidence.std(ddof=1) / count**0.5


def plain(outcomes: list[Outcome]) -> list[tuple]:
    return [
        (outcome.path.token_ids, outcome.winner, outcome.total_tokens, outcome.aux_forward_tokens,
         [(one.path.token_ids, round(one.weight, 9)) for one in outcome.chains])
        for outcome in outcomes
    ]  # fmt: skip


@pytest.mark.parametrize(
    "strategy",
    [
        MH,
        PowerMH(alpha=3.0, steps=3, blocks=2),
        PowerMH(alpha=3.0, steps=3, block=4),
        SMC,
        LookAhead(alpha=2.0, k=2, m=2),
        LookAhead(alpha=2.0, k=2, m=2, block=2, pool=4),
    ],
    ids=["mh", "blocks", "block", "smc", "look_ahead", "look_ahead_blocks"],
)
def test_the_same_seed_gives_the_same_tokens_in_any_batch(loop_of, strategy):
    wanted = requests(12)
    together = strategy.run(loop_of(slots=64), wanted, Texts(6))
    assert plain(strategy.run(loop_of(slots=3), wanted[::-1], Texts(6))[::-1]) == plain(together)
    alone = [strategy.run(loop_of(slots=5), [request], Texts(6))[0] for request in wanted]
    assert plain(alone) == plain(together)


@pytest.mark.parametrize("strategy", [MH, SMC], ids=["mh", "smc"])
def test_without_a_cache_the_same_completions_cost_more_forwards(loop_of, strategy):
    cropped = strategy.run(loop_of(), requests(6), Texts(6))
    anew = strategy.run(loop_of(cached=False), requests(6), Texts(6))
    assert [o.path.token_ids for o in cropped] == [o.path.token_ids for o in anew]
    assert [o.total_tokens for o in cropped] == [o.total_tokens for o in anew]
    assert all(a.aux_forward_tokens >= len(PROMPT) for a in anew if a.total_tokens > 6)
    assert sum(o.aux_forward_tokens for o in cropped) < sum(o.aux_forward_tokens for o in anew) / 3


def test_every_generated_token_is_counted(loop_of):
    for outcome in PowerMH(alpha=2.0, steps=9).run(loop_of(), requests(20), Texts(6)):
        new = sum(one.scalars["length"] - one.scalars["cut"] for one in outcome.chains)
        assert outcome.total_tokens == new
        moves = [one for one in outcome.chains if "log_ratio" in one.scalars]
        assert outcome.aux_forward_tokens == len(moves), "one token in front of each suffix"
        assert sum(one.weight for one in outcome.chains) == 10
    for outcome in PowerSMC(alpha=2.0, n=6, block=2, threshold=0.0).run(loop_of(), requests(20), Texts(6)):
        assert outcome.total_tokens == sum(len(one.path.token_ids) for one in outcome.chains)
        assert outcome.aux_forward_tokens == 0
    for outcome in PowerSMC(alpha=2.0, n=6, block=1, threshold=1.0).run(loop_of(), requests(20), Texts(6)):
        assert outcome.total_tokens >= len(outcome.path.token_ids) + 5, "dropped particles too"


def test_outcomes_hold_no_keys_and_values(loop_of):
    loop = loop_of()
    for strategy in (MH, SMC):
        for outcome in strategy.run(loop, requests(4), Texts(6)):
            assert all(one.path.kept is None for one in outcome.chains) and outcome.path.kept is None
    assert loop.engine.kept_bytes == 0


def test_blocks_report_what_the_earlier_ones_did(loop_of):
    outcomes = PowerMH(alpha=2.0, steps=4, blocks=3).run(loop_of(), requests(30), Texts(6))
    for outcome in outcomes:
        first = outcome.chains[0].scalars
        assert 0 <= first["earlier_accepted"] <= first["earlier_proposals"] <= 8
        assert all(one.path.finish != "length" or len(one.path.token_ids) == 6 for one in outcome.chains)
    assert sum(outcome.chains[0].scalars["earlier_proposals"] for outcome in outcomes) > 30


def test_a_vote_returns_the_heaviest_class(loop_of):
    for outcome in PowerSMC(alpha=2.0, n=12, pick="vote").run(loop_of(), requests(20), Texts(4)):
        sums = Counter()
        for one in outcome.chains:
            if one.path.finish == "eos":
                sums[one.path.text] += one.weight
        if sums:
            assert sums[outcome.path.text] == max(sums.values())


@pytest.mark.parametrize("strategy", [MH, PowerMH(block=64), SMC, PowerSMC(proposal=1.0, min_length=2)])
def test_a_power_strategy_is_saved_and_loaded_by_its_name(strategy, tmp_path):
    checked: DecodingStrategy = strategy
    save(checked, tmp_path)
    assert load_intervention(tmp_path) == strategy and load_intervention(tmp_path).id == strategy.id


@pytest.mark.parametrize(("cls", "wrong", "words"), [
    (PowerMH, {"alpha": 0.0}, "power_mh.alpha=0.0: a finite power above 0"),
    (PowerSMC, {"alpha": -1.0}, "power_smc.alpha=-1.0"),
    (PowerSMC, {"proposal": 0.0}, "power_smc.proposal=0.0"),
    (PowerMH, {"horizon": 3, "min_length": 5}, "horizon=3: .* min_length=5"),
    (PowerMH, {"min_length": -1}, "min_length=-1"),
    (PowerMH, {"blocks": 0}, "blocks=0"),
    (PowerMH, {"block": 0}, "block=0"),
    (PowerMH, {"block": 64, "blocks": 2}, "block=64, blocks=2: .* not both"),
    (PowerSMC, {"n": 0}, "n=0"),
    (PowerSMC, {"threshold": 1.5}, "threshold=1.5"),
    (PowerSMC, {"pick": "vot"}, "did you mean vote"),
])  # fmt: skip
def test_settings_that_have_no_law_are_refused(cls, wrong, words):
    with pytest.raises(ConfigError, match=words):
        cls(**wrong)


@pytest.mark.parametrize(("strategy", "words"), [
    (PowerMH(horizon=9), "horizon=9 is above the limit of 6 tokens"),
    (PowerMH(min_length=7), "horizon=6: .* min_length=7"),
    (PowerMH(blocks=7), "blocks=7: the horizon has only 6 tokens"),
])  # fmt: skip
def test_settings_that_do_not_fit_the_task_are_refused(loop_of, strategy, words):
    with pytest.raises(ConfigError, match=words):
        strategy.run(loop_of(), requests(1), Texts(6))


@pytest.mark.parametrize("truncation", [{"top_p": 0.9}, {"top_k": 5}, {"min_p": 0.1}])
@pytest.mark.parametrize("name", ["power_mh.PowerMH", "power_smc.PowerSMC"])
def test_there_is_no_truncation_of_proposals(name, truncation):
    (setting,) = truncation
    with pytest.raises(ConfigError, match=f"{setting}: Power.* has no such setting"):
        build({"_class_": f"methods.decoding.{name}", **truncation})


class Ending:
    """A loop whose completions all end after 600 tokens; it records the cut of each job."""

    rows = 1000

    def __init__(self) -> None:
        self.cuts: list[int] = []

    def run(self, jobs, rule, stop, step_rule=None, then=None):
        length = min(600, stop.max_new_tokens)
        zeros = [0.0] * length
        path = Path([1] * length, zeros, zeros, zeros, zeros, "eos" if length == 600 else "length", "")
        for place, job in enumerate(jobs):
            while job is not None:
                self.cuts.append(len(job.forced))
                job = then(place, path)
        return [path for _ in jobs]


def test_the_preset_makes_ten_moves_in_each_block_that_a_completion_reaches_whatever_the_horizon():
    preset = build(yaml.safe_load(PRESET.read_text()))
    assert preset.horizons(600) == [192, 384, 576, 600] and preset.horizons(100) == [100]
    count, one = 50, PowerMH()
    moves = {}
    for name, strategy in {"preset": preset, "one block": one}.items():
        loop = Ending()
        outcomes = strategy.run(loop, requests(count), Texts(3072))
        moves[name] = [
            sum(outcome.chains[0].scalars["earlier_proposals"] for outcome in outcomes) / count,
            sum("log_ratio" in chain.scalars for outcome in outcomes for chain in outcome.chains) / count,
        ]
        assert {len(outcome.path.token_ids) for outcome in outcomes} == {600}
    assert moves["one block"][0] == 0 and 1 < moves["one block"][1] < 3, "10 * 600 / 3072 are inside of the completion"
    assert moves["preset"][0] > 3 * 10, "all moves of the first three blocks, and some of the later ones"


def test_a_block_is_a_part_of_the_identity_only_if_it_is_set():
    assert "block" not in PowerMH().spec() and PowerMH(block=192).id != PowerMH().id
