"""Continuing from inside a trace: the prefix stands, the edits stand, and draws depend on their key alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from elicit.errors import ConfigError, DataError
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.decoding import PathJob, PickRule
from elicit.policy.policy import Policy
from elicit.sampling.continue_from import continue_from, forced_ids
from elicit.sampling.loop.step_loop import StepLoop
from elicit.sampling.probe import Probe
from elicit.sampling.sentences import _log_probs, look
from elicit.tasks.task import StopRules
from tests.sampling.models import tiny_model, tokenizer
from tests.toy import ToyTask

TASK = dataclasses.replace(ToyTask(), stop=StopRules((), 16))
ITEMS = {item.id: item for item in TASK.items("test", 4)}
NAMES = list(ITEMS)
TEXT = " First, 12 and 30 make 42. The answer is 42."
TRACES = {(name, 0): tokenizer()(TEXT).input_ids for name in NAMES}


def policy(edit: bool = False) -> Policy:
    base = Policy(wrap(tiny_model(), tokenizer()))
    vector = torch.randn(32, generator=torch.Generator().manual_seed(1))
    return base.with_intervention(ActivationEdit((Edit(0, vector, "add", 2.0, "last_prompt"),))) if edit else base


def test_the_prefix_is_the_traces_own_tokens_and_then_the_text() -> None:
    of = policy()
    loop = StepLoop(of.checkpoint)
    ids = TRACES[NAMES[0], 0]
    for kept in range(len(TEXT) + 1):
        forced = forced_ids(of, loop, ids, Probe(NAMES[0], 0, "k", kept, " So"))
        assert loop.decode(forced) == TEXT[:kept] + " So"
    exact = forced_ids(of, loop, [*ids, 1], Probe(NAMES[0], 0, "k", len(TEXT)))
    assert list(exact) == ids  # the ending is not kept


@pytest.mark.parametrize("edit", [False, True])
def test_a_greedy_continuation_is_that_of_the_loop_with_the_edit_at_the_prompt(edit: bool) -> None:
    of = policy(edit)
    probes = [Probe(name, 0, str(kept), kept, room=5) for name in NAMES for kept in (0, 9, len(TEXT))]
    found = continue_from(of, ITEMS, TRACES, probes, TASK)
    loop = StepLoop(of.checkpoint)
    for probe, one in zip(probes, found, strict=True):
        forced = forced_ids(of, loop, TRACES[probe.item, 0], probe)
        with of.applied():
            rules = StopRules((), len(forced) + 5)
            path = loop.run(
                [PathJob(of.prompt_ids(ITEMS[probe.item].question), 0, forced=forced)], PickRule(0.0), rules
            )[0]
        assert one.text == path.text[len(one.forced_text) :]
        assert one.forced_tokens == len(forced) and one.tokens == len(path.token_ids) - len(forced) <= 5


def test_draws_depend_on_their_key_and_not_on_what_runs_beside_them() -> None:
    of = policy()
    one = Probe(NAMES[0], 0, "a", 9, n=3, room=6, greedy=False)
    rest = [Probe(name, 0, "b", len(TEXT), room=9) for name in NAMES]
    alone = [row.text for row in continue_from(of, ITEMS, TRACES, [one], TASK, "lens")]
    mixed = [row.text for row in continue_from(of, ITEMS, TRACES, [*rest, one], TASK, "lens") if row.probe is one]
    assert alone == mixed and len(set(alone)) > 1
    assert alone != [row.text for row in continue_from(of, ITEMS, TRACES, [one], TASK, "other lens")]


def test_a_trace_that_is_not_there_is_an_error() -> None:
    with pytest.raises(DataError, match="was it sampled"):
        continue_from(policy(), ITEMS, {}, [Probe(NAMES[0], 0, "k", 5)], TASK)
    with pytest.raises(ConfigError, match="all the same"):
        Probe(NAMES[0], 0, "k", 0, n=2)


def test_attention_weights_of_the_past_sum_to_one_and_suppression_hides_what_it_should() -> None:
    of = policy()
    prompt, ids = of.prompt_ids("1 + 2"), TRACES[NAMES[0], 0]
    cut = len(ids) // 2
    found = look(of, prompt, ids, [(0, cut), (cut, len(ids))])
    assert found[1].attention is None and found[1].suppression is None  # nothing stands behind the last sentence
    assert 0 < found[0].attention < 1 and found[0].suppression > 0  # type: ignore[operator]
    model, whole = of.checkpoint.model, [*prompt, *ids]
    with torch.no_grad():
        plain = model(input_ids=torch.tensor([whole])).logits[0].log_softmax(-1)
        assert torch.allclose(_log_probs(model, whole, len(prompt), None), plain, atol=1e-6)
        span = (len(prompt), len(prompt) + cut)
        hidden = _log_probs(model, whole, len(prompt), span)
        other = list(whole)
        other[span[0] : span[1] - 1] = [5] * (span[1] - 1 - span[0])  # what is hidden may be anything
        assert torch.allclose(_log_probs(model, other, len(prompt), span)[span[1] :], hidden[span[1] :], atol=1e-6)
        assert not torch.allclose(plain[span[1] :], hidden[span[1] :], atol=1e-3)
    assert np.isfinite([found[0].attention, found[0].suppression]).all()
    assert model.config._attn_implementation == "sdpa"  # put back


def test_a_model_whose_mask_cant_be_given_is_refused() -> None:
    of = Policy(wrap(tiny_model("bloom"), tokenizer()))
    with pytest.raises(ConfigError, match="mask can't be given"):
        look(of, of.prompt_ids("1 + 2"), [5, 6, 7], [(0, 2)])
