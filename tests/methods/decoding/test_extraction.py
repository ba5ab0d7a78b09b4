"""Laws of votes over answers that are mentioned but not declared, on texts of real tasks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from elicit.errors import ConfigError
from elicit.policy.decoding import Path as Chain
from elicit.policy.decoding import Request
from elicit.policy.intervention import save
from elicit.policy.policy import load_intervention
from elicit.tasks.natural.gsm8k import Gsm8k
from elicit.tasks.natural.jsonl import Jsonl
from methods.decoding.chains import vote_of
from methods.decoding.controls import RandomPickDeepConfOnline, RandomPickSamples
from methods.decoding.cot_decoding import CotDecoding, answer_gap
from methods.decoding.deepconf import DeepConf
from methods.decoding.deepconf_online import DeepConfOnline
from methods.decoding.method import Decoding
from methods.decoding.modulo import Modulo
from methods.decoding.power_smc import PowerSMC
from methods.decoding.sampled import BestOfN, SelfConsistency, WeightedVotes

REQUEST = Request("item", 0, 7, (1,))
UNDECLARED, DECLARED = " She sells 9 * 2 = 18 dollars every day", " The answer is 20."
VOTES = (SelfConsistency(), WeightedVotes(), DeepConf(eta=1.0), CotDecoding())


class Letters:
    """A loop of which only the spans are asked: every character is a token."""

    def offsets(self, token_ids):
        return [(at, at + 1) for at in range(len(token_ids))]


def chain(text: str, gap: float, finish: str = "eos", elsewhere: float | None = None, answer: str = "") -> Chain:
    """A path with `gap` at the characters of `answer`, and `elsewhere` at the others."""
    gaps = [gap] * len(text)
    if elsewhere is not None:
        at = text.index(answer)
        gaps = [gap if at <= place < at + len(answer) else elsewhere for place in range(len(text))]
    n = len(text)
    return Chain([1] * n, [-0.1] * n, gaps, [1.0] * n, [0.0] * n, finish, text, [1.0] * n)


def elected(strategy, chains) -> str:
    return strategy.outcome(Letters(), REQUEST, chains, Gsm8k()).path.text


@pytest.mark.parametrize("strategy", VOTES, ids=lambda strategy: strategy.name)
def test_nine_undeclared_answers_outvote_a_declared_one_unless_only_declared_ones_vote(strategy) -> None:
    chains = [chain(DECLARED, 0.05), *[chain(UNDECLARED, 0.9) for _ in range(9)]]
    assert elected(strategy, chains) == UNDECLARED
    assert elected(replace(strategy, extraction="strict"), chains) == DECLARED


def test_a_vote_returns_a_chain_that_declares_the_winner_if_there_is_one() -> None:
    chains = [chain(UNDECLARED, 0.9), chain(UNDECLARED, 0.9), chain(" The answer is 18.", 0.1), chain(DECLARED, 0.2)]
    for strategy in VOTES:
        outcome = strategy.outcome(Letters(), REQUEST, chains, Gsm8k())
        assert outcome.winner == 2
        assert [candidate.scalars["declared"] for candidate in outcome.chains] == [0, 0, 1, 1]


def test_a_truncated_chain_without_a_declaration_never_votes() -> None:
    cut = [chain(UNDECLARED, 0.9, finish="length") for _ in range(9)]
    assert vote_of(cut[0], Gsm8k()).answer_class is None
    for strategy in VOTES:
        assert elected(strategy, [*cut, chain(DECLARED, 0.05)]) == DECLARED


def test_a_unit_of_many_words_is_no_class_of_its_own() -> None:
    texts = (
        " The answer is 18 dollars per day at the farmers' market.",
        " The answer is 18.",
        " So she makes 18 dollars per day at the farmers' market.",
        " She makes $18 every day at the farmers' market. The answer is 18. So the answer is correct.",
    )
    assert {vote_of(chain(text, 0.5), Gsm8k()).answer_class for text in texts} == {"18"}


@pytest.mark.parametrize(
    "text, number",
    [
        (" The answer is 1824 dollars per day.", "1824"),
        (" The answer is 1824.", "1824"),
        (" That makes 1824 dollars per day.", "1824"),
        (" It is 7. So \\boxed{1824}. Wait, no: \\boxed{6", "1824"),
    ],
)
def test_delta_is_the_mean_over_the_number_alone(text: str, number: str) -> None:
    path = chain(text, 0.05, elsewhere=0.98, answer=number)
    assert answer_gap(Letters(), path, Gsm8k()) == pytest.approx(0.05)


@pytest.mark.parametrize("kind", ["number", "math", "option", "word"])
def test_the_span_is_inside_of_the_answer_that_votes(kind: str) -> None:
    table = Path(__file__).parents[2] / "fixtures" / "answers.jsonl"
    rows = [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines()]
    texts = [row["output"] for row in rows if row["kind"] == kind]
    task = Jsonl(answers=kind)
    assert len(texts) > 20
    for text in texts:
        answer, span = task.extract(text, True).lenient, task.answer_span(text)
        assert (answer is None) == (span is None), text
        if answer is not None and span is not None:
            assert text[slice(*span)].strip() in answer, text


@pytest.mark.parametrize("strategy", [*VOTES, BestOfN(), DeepConfOnline(), PowerSMC(pick="vote")], ids=lambda s: s.name)
def test_the_reading_is_a_part_of_the_identity_and_of_a_saved_strategy(strategy, tmp_path: Path) -> None:
    """Samples that were stored before there was the field belong to `strict`."""
    strict = replace(strategy, extraction="strict")
    assert strategy.extraction == "loose" and strategy.id != strict.id
    for each in (strategy, strict):
        save(each, tmp_path / each.id)
        assert load_intervention(tmp_path / each.id) == each
    spec = tmp_path / strict.id / "spec.json"
    old = json.loads(spec.read_text())
    del old["fields"]["extraction"]
    spec.write_text(json.dumps(old))
    assert load_intervention(spec.parent) == strict


def test_the_reading_is_no_part_of_the_identity_of_what_reads_no_answer() -> None:
    for strategy in (RandomPickSamples(), PowerSMC()):
        assert strategy.id == replace(strategy, extraction="strict").id
    online = RandomPickDeepConfOnline()
    assert online.id != replace(online, extraction="strict").id, "agreement decides how many chains are drawn"


def test_the_strict_reading_is_a_rival_of_every_vote_and_controls_share_the_reading() -> None:
    for strategy in VOTES:
        method = Decoding(strategy)
        assert method.rivals()["strict_extraction"].strategy == replace(strategy, extraction="strict")
        strict = Decoding(replace(strategy, extraction="strict"))
        assert "strict_extraction" not in strict.rivals()
        shared = {CotDecoding: "random_first_tokens", WeightedVotes: "majority", DeepConf: "majority"}
        if type(strategy) in shared:
            assert strict.rivals()[shared[type(strategy)]].strategy.extraction == "strict"
    assert "strict_extraction" not in Decoding(PowerSMC()).rivals()
    assert "strict_extraction" not in Decoding(Modulo()).rivals()


def test_an_unknown_reading_is_named() -> None:
    for kind in (SelfConsistency, CotDecoding, DeepConfOnline, PowerSMC):
        with pytest.raises(ConfigError, match="did you mean loose"):
            kind(extraction="lose")
