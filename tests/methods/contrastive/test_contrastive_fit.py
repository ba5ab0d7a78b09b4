"""Laws of the whole method on a model with a planted direction: the method finds it, its placebos do not.

The model is set by hand to the last bit and nothing is trained. The base's draws are the same on every machine, and
accuracies are computed instead of sampled.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from elicit.errors import ConfigError, MethodError
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.activations import ActivationEdit
from elicit.policy.checkpoint import wrap
from elicit.policy.policy import Policy
from elicit.policy.residuals import layer_numbers, read_residuals
from elicit.sampling.contrast import in_context_rows
from elicit.sampling.own import own_completions
from elicit.tasks.task import PromptFormat
from methods.contrastive.direction import AGGREGATORS, aggregated, aggregator_named
from methods.contrastive.method import Contrastive
from tests.methods.contrastive.planted import (
    BAD,
    LAYERS,
    TASK,
    WORDS,
    PlantedTask,
    accuracy,
    fitted,
    longer_policy,
    planted_policy,
    planted_tokenizer,
)

# the planted model has no memory of earlier questions: its mode shows at the first generated token alone
SMALL = Contrastive(
    read="first_generated",
    items=10,
    samples=24,
    layers=(0,),
    strengths=(0.5, 2.0),
    dev_items=8,
    halvings=1,
    dose_items=0,
)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return planted_policy()


def planted_direction(policy: Policy) -> torch.Tensor:
    embeddings = policy.checkpoint.model.get_input_embeddings().weight
    bad = embeddings[[WORDS.index(f"bad{k}") for k in range(BAD)]].mean(0)
    return torch.nn.functional.normalize(embeddings[WORDS.index("good")] - bad, dim=0)


def cosine(edit: ActivationEdit, direction: torch.Tensor) -> float:
    return torch.nn.functional.cosine_similarity(edit.edits[0].vector, direction, dim=0).item()


def test_the_method_finds_the_planted_direction_and_its_placebos_do_not(policy, tmp_path):
    direction = planted_direction(policy)
    arms = {"method": SMALL, **SMALL.placebos()}
    results = {name: fitted(method, policy, tmp_path) for name, method in arms.items()}
    gains = {name: accuracy(policy.with_intervention(edit), "test", 10) for name, (edit, *_) in results.items()}
    base = accuracy(policy, "test", 10)
    assert base < 0.3 and gains["method"] > 0.9
    assert gains["labels_permuted"] < 0.5 and gains["random_direction"] < 0.5
    assert cosine(results["method"][0], direction) > 0.9
    assert abs(cosine(results["random_direction"][0], direction)) < 0.5


def test_placebos_get_as_many_dev_tries_as_the_method(policy, tmp_path):
    tries = {name: fitted(m, policy, tmp_path)[3] for name, m in {"method": SMALL, **SMALL.placebos()}.items()}
    assert tries["method"] == tries["labels_permuted"] == tries["random_direction"] == [4, 4, 8]


def test_the_edit_is_in_units_of_the_residual_norm(policy, tmp_path):
    edit = fitted(SMALL, policy, tmp_path)[0].edits[0]
    assert edit.vector.norm().item() == pytest.approx(1.0, abs=1e-3), "embeddings are unit vectors here"
    assert (edit.layer, edit.write, edit.strength) == (0, "last_prompt", 2.0)


def test_the_ledger_shows_labels_activations_and_own_samples(policy, tmp_path):
    _, ledger, log, _ = fitted(SMALL, policy, tmp_path)
    assert ledger.data_class == "R"
    assert sum(row.label_bits for row in ledger.rows) == 10 * 24
    assert sum(row.own_activations for row in ledger.rows) == 10 * 24 + 10
    assert ledger.spent.rollouts == 10 * 24
    assert {item.id for item in TASK.items("train")} == set(ledger.used)
    assert any("contrastive/token_share/0" in row for row in log)


def test_the_random_direction_is_of_class_v_or_less_and_reads_no_label(policy, tmp_path):
    _, ledger, _, _ = fitted(SMALL.placebos()["random_direction"], policy, tmp_path)
    assert sum(row.label_bits for row in ledger.rows) == 0 and ledger.data_class in "ZV"


def test_the_same_seed_gives_the_same_edit_and_another_seed_another(policy, tmp_path):
    ids = [fitted(SMALL, policy, tmp_path, seed)[0].id for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]


def test_in_context_rows_of_an_item_differ_in_the_sample_alone_and_end_at_another_question(policy):
    ledger = Ledger(TASK, "toy")
    items = ledger.items("train", limit=3)
    completions = own_completions(policy, ledger, items, 4, 0)
    rows, lengths, spans = in_context_rows(policy, completions)
    prompts = [policy.prompt_ids(item.question) for item in items]
    for k, (row, completion) in enumerate(zip(rows, completions, strict=True)):
        following = prompts[(k // 4 + 1) % 3]
        assert row[-len(following) :] == following and following != completion.prompt_ids
        assert row[: len(completion.prompt_ids)] == completion.prompt_ids
        assert not set(row) & policy.checkpoint.eos_ids, "an end inside a page would hide the sample"
        assert spans[k] == (len(row) - 1, len(row)) and lengths[k] == len(row)


def test_the_model_is_left_as_it_was(policy, tmp_path):
    ids = torch.tensor([[5, 2]])
    before = policy.checkpoint.model(ids).logits
    fitted(SMALL, policy, tmp_path)
    assert torch.equal(before, policy.checkpoint.model(ids).logits)


def test_the_v_contrast_reads_no_label_in_training(policy, tmp_path):
    longer = longer_policy()
    edit, ledger, log, _ = fitted(replace(SMALL, contrast="traced_minus_direct"), longer, tmp_path)
    assert ledger.data_class == "V"
    assert cosine(edit, planted_direction(longer)) > 0.9
    assert any(row.get("contrastive/length_share", 0) > 0.9 for row in log)


def test_the_key_pair_is_tagged_minus_bare_at_the_last_prompt_token(policy, tmp_path):
    edit, ledger, _, _ = fitted(SMALL.rivals()["key_pair"], policy, tmp_path)
    embeddings = policy.checkpoint.model.get_input_embeddings().weight
    expected = embeddings[WORDS.index("good")] - embeddings[WORDS.index(":")]
    assert cosine(edit, expected) > 0.999 and ledger.data_class == "V"
    with pytest.raises(MethodError, match="did you mean key"):
        fitted(replace(SMALL, control="key_pair", key="keys"), policy, tmp_path)


def test_the_prompt_pair_is_one_prompt_minus_the_other_at_the_last_prompt_token(policy, tmp_path):
    task = PlantedTask(prompts={**TASK.prompts, "kind": PromptFormat("kind", "{question} good")})
    ledger, method = Ledger(task, "toy"), replace(SMALL, contrast="prompt_pair", pair=("kind", "bare"))
    context = Context(np.random.default_rng(0), tmp_path, lambda tried, limit: 0.0)
    edit = method.fit(policy, ledger, context)
    embeddings = policy.checkpoint.model.get_input_embeddings().weight
    assert cosine(edit, embeddings[WORDS.index("good")] - embeddings[WORDS.index(":")]) > 0.999
    assert ledger.data_class == "V" and ledger.spent.rollouts == 0
    with pytest.raises(MethodError, match="is no prompt of task"):
        replace(method, pair=("kinds", "bare")).fit(policy, ledger, context)


@pytest.mark.parametrize("aggregator", ["pca", "logistic"])
def test_other_aggregators_find_the_planted_direction_too(aggregator, policy, tmp_path):
    edit = fitted(replace(SMALL, aggregator=aggregator), policy, tmp_path)[0]
    assert cosine(edit, planted_direction(policy)) > 0.8
    assert accuracy(policy.with_intervention(edit), "test", 10) > 0.9


def test_the_dose_response_begins_at_nothing_and_reports_length_and_kl(policy, tmp_path):
    _, _, log, limits = fitted(replace(SMALL, dose_items=4), policy, tmp_path)
    rows = [row for row in log if "contrastive/dose/strength" in row]
    doses = [row for row in rows if row["contrastive/dose/write"] == "last_prompt"]
    assert [row["contrastive/dose/strength"] for row in doses] == [0.0, 0.5, 2.0]
    assert doses[0]["contrastive/dose/kl"] == pytest.approx(0, abs=1e-6) and doses[2]["contrastive/dose/kl"] > 0
    assert doses[2]["contrastive/dose/accuracy"] > doses[0]["contrastive/dose/accuracy"]
    lengths = [row["contrastive/dose/length"] for row in doses]
    assert (lengths[0], lengths[2]) == (3, 2), "the steered model goes on as if the opener had been said"
    elsewhere = [(row["contrastive/dose/write"], row["contrastive/dose/strength"]) for row in rows[3:]]
    assert elsewhere == [(write, s) for write in ("onward", "every") for s in (0.1, 0.2, 0.5)]
    assert limits == [4, 4, 8] + 9 * [8], "nine doses on top of the search"


def test_the_choice_is_logged_with_the_score_of_its_last_round(policy, tmp_path):
    edit, _, log, _ = fitted(SMALL, policy, tmp_path)
    tries = [row for row in log if "contrastive/try" in row]
    (chosen,) = [row for row in log if "contrastive/chosen/strength" in row]
    assert chosen["contrastive/chosen/strength"] == edit.edits[0].strength
    assert chosen["contrastive/chosen/accuracy"] == max(
        row["contrastive/try/dev"] for row in tries if row["contrastive/try/dev_items"] == 8
    )


def test_an_empty_side_stops_the_fit_and_names_the_remedy(tmp_path):
    hopeless = planted_policy(good=1e-6)
    with pytest.raises(MethodError, match=r"0 positive.*more samples"):
        fitted(SMALL, hopeless, tmp_path)


def test_layers_are_numbers_or_fractions_of_the_depth(policy):
    assert layer_numbers(policy, Contrastive().layers) == list(range(LAYERS))
    assert layer_numbers(policy, (0.5, 1)) == [1]
    with pytest.raises(ConfigError, match="2 is none of 0 to 1"):
        layer_numbers(policy, (2,))


def small_llama() -> tuple[object, object]:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(WORDS), hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, eos_token_id=0, bos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).double().eval(), planted_tokenizer()


def test_readings_are_the_hidden_states_of_transformers_in_any_batch():
    model, tokenizer = small_llama()
    policy = Policy(wrap(model, tokenizer))
    rng = np.random.default_rng(0)
    rows = [tuple(rng.integers(1, len(WORDS), int(n)).tolist()) for n in rng.integers(3, 20, 11)]
    spans = [(len(row) // 2, len(row)) for row in rows]
    lengths = [len(row) // 2 for row in rows]
    read = read_residuals(policy, rows, spans, lengths, [0, 2], batch=4)
    for i, (row, (start, end)) in enumerate(zip(rows, spans, strict=True)):
        hidden = model(torch.tensor([row]), output_hidden_states=True).hidden_states
        for place, layer in enumerate((0, 2)):
            assert torch.allclose(read[i, place], hidden[layer + 1][0, start:end].mean(0).float(), atol=1e-5)


@pytest.mark.parametrize("aggregator", AGGREGATORS)
def test_directions_are_those_of_steering_vectors(aggregator):
    from steering_vectors import train_steering_vector

    model, tokenizer = small_llama()
    policy = Policy(wrap(model, tokenizer))
    pairs = [(f"q{k} : good right", f"q{k} : bad{k} wrong") for k in range(8)]
    theirs = train_steering_vector(
        model, tokenizer, pairs, layers=[1, 3], read_token_index=-1, show_progress=False,
        aggregator=aggregator_named(aggregator),
    )  # fmt: skip
    rows = [tuple(policy.checkpoint.encode(text)) for pair in pairs for text in pair]
    spans = [(len(row) - 1, len(row)) for row in rows]
    readings = read_residuals(policy, rows, spans, [2] * len(rows), [1, 3])
    ours = aggregated(readings, [True, False] * 8, [f"item{k}" for k in range(8) for _ in "ab"], aggregator)
    for place, layer in enumerate((1, 3)):
        assert torch.allclose(ours[place], theirs.layer_activations[layer].float(), atol=1e-4)
