"""Laws of trained dictionaries and their quality cards.

Training is compared with a restatement of its first step, the card with dictionaries that are exact or hopeless by
construction: nothing here depends on how far a training run got.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from elicit.errors import ConfigError, MethodError
from elicit.files import seed_of
from elicit.policy.checkpoint import wrap
from elicit.policy.policy import Policy
from methods.sae_steering.dictionary import codes
from methods.sae_steering.loading import from_disk
from methods.sae_steering.quality import Gate, cross_entropy, quality
from methods.sae_steering.store import collect
from methods.sae_steering.training import TrainConfig, batches, train
from tests.methods.contrastive.planted import OPENERS, WORDS, planted_policy
from tests.methods.contrastive.planted import WIDTH as EMBEDDING
from tests.methods.sae_steering.made import made_sae, sae_of
from tests.policy.tiny import VOCABULARY, WIDTH, tiny_model, tiny_tokenizer

CPU = torch.device("cpu")
CONFIG = TrainConfig(expansion=4, k=4, tokens=2560, batch=256, lr=3e-3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    policy = Policy(wrap(tiny_model(), tiny_tokenizer()))
    rng = np.random.default_rng(0)
    rows = [tuple(rng.integers(3, VOCABULARY, 24).tolist()) for _ in range(60)]
    store = collect(policy, rows, [4] * 60, [None] * 60, [0])
    folder = tmp_path_factory.mktemp("sae")
    return policy, rows, store, folder, train(store, 0, CONFIG, folder, CPU, "tiny")


def test_the_first_step_is_adam_on_the_squared_error_of_the_k_largest_features(trained, tmp_path: Path) -> None:
    _, _, store, _, _ = trained
    config = replace(CONFIG, tokens=CONFIG.batch)
    found = train(store, 0, config, tmp_path, CPU, "tiny").sae
    seed = seed_of("sae", config.seed, 0)
    # 1) activations at a mean norm of sqrt(D), measured on four batches
    stream = batches(store.arrays[0], config.batch, seed)
    scale = WIDTH**0.5 / torch.cat([next(stream) for _ in range(4)]).norm(dim=1).mean()
    x_N_D = scale * next(stream)
    # 2) decoder rows of norm .1, and the encoder their transpose
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        rows = torch.nn.init.kaiming_uniform_(torch.empty(4 * WIDTH, WIDTH))
    decoder = (0.1 * rows / rows.norm(dim=1, keepdim=True)).requires_grad_()
    encoder = decoder.detach().T.clone().requires_grad_()
    # 3) an activation is measured along the decoder row, the k largest stay; one step of Adam
    norms_F = decoder.norm(dim=1)
    z_N_F = x_N_D @ encoder * norms_F
    kept = z_N_F.topk(4, dim=1)
    a_N_F = torch.zeros_like(z_N_F).scatter(1, kept.indices, kept.values.relu())
    loss = (a_N_F / norms_F @ decoder - x_N_D).square().sum(1).mean()
    loss.backward()
    start = decoder.detach().clone(), encoder.detach().clone()
    torch.optim.Adam([decoder, encoder], lr=config.lr, betas=(0.9, 0.999)).step()
    # 4) decoder rows of length 1, their norms in the encoder; the scale of 1) cancels
    norms_F = decoder.detach().norm(dim=1)
    strong = (decoder.grad.abs() > 1e-3, encoder.grad.abs() > 1e-3)  # else Adam turns rounding into a full step
    torch.testing.assert_close(found.W_dec[strong[0]], (decoder.detach() / norms_F[:, None])[strong[0]])
    torch.testing.assert_close(found.W_enc[strong[1]], (encoder.detach() * norms_F)[strong[1]])
    assert min(map(torch.count_nonzero, strong)) > 500 and not torch.equal(start[0], decoder.detach())


def test_an_exact_dictionary_has_no_fault_and_a_random_one_explains_too_little(tmp_path: Path) -> None:
    """The planted model's stream is one of orthonormal embeddings, so one feature per word explains all of it."""
    policy = planted_policy()
    chains = [(word, "right" if word == "good" else "wrong") for word in OPENERS]
    rows = [(*policy.prompt_ids(f"q{k}"), *map(WORDS.index, chain)) for k, chain in enumerate(chains)]
    seen = sorted({token for row in rows for token in row[1:]})  # the first token of a row is not read
    store = collect(policy, rows, [2] * len(rows), [None] * len(rows), [0])
    embeddings = policy.checkpoint.model.get_input_embeddings().weight
    exact = from_disk(sae_of(embeddings[seen], 1, tmp_path / "exact"), None, CPU, "made")
    card = quality(exact, codes(exact, store), policy, rows)
    assert (card.l0, card.dead, exact.k) == (1, 0, 1)
    assert card.fve == pytest.approx(1, abs=1e-5) and card.ce_recovered == pytest.approx(1, abs=1e-4)
    assert card.faults(Gate()) == []
    random = from_disk(made_sae("topk", EMBEDDING, tmp_path / "random", "blocks.0.hook_resid_post"), None, CPU, "made")
    poor = quality(random, codes(random, store), policy, rows)
    assert poor.fve < 0 and any("variance" in fault for fault in poor.faults(Gate()))


def test_the_card_is_what_plain_sums_say(trained) -> None:
    policy, rows, store, _, dictionary = trained
    card = quality(dictionary, codes(dictionary, store), policy, rows[:4])
    x = torch.from_numpy(store.arrays[0])
    acts = dictionary.encode(x)
    error = (x - dictionary.reconstruct(x)).square().sum() / (x - x.mean(0)).square().sum()
    assert card.fve == pytest.approx(1 - error.item(), abs=1e-4)
    assert card.l0 == pytest.approx((acts > 0).sum(1).float().mean().item(), abs=1e-4)
    assert card.dead == pytest.approx(1 - (acts > 0).any(0).float().mean().item())
    with torch.no_grad():
        total = [
            -policy.checkpoint.model(torch.tensor([row]))
            .logits[0, :-1]
            .log_softmax(-1)[torch.arange(23), row[1:]]
            .mean()
            for row in rows[:4]
        ]
    assert card.ce_base == pytest.approx(sum(total).item() / 4, abs=1e-4)
    assert cross_entropy(policy, rows[:4], 0, lambda hidden: hidden) == pytest.approx(card.ce_base, abs=1e-6)


def test_a_reloaded_dictionary_is_the_same_and_keeps_its_sparsity(trained) -> None:
    _, _, store, folder, dictionary = trained
    again = from_disk(folder, None, CPU, "elsewhere")
    assert again.id == dictionary.id and again.layer == 0
    x = torch.from_numpy(store.arrays[0])
    assert again.k == 4 and torch.equal(again.encode(x) > 0, dictionary.encode(x) > 0)


def test_the_same_seed_gives_the_same_dictionary_and_the_global_generator_is_left_alone(
    trained, tmp_path: Path
) -> None:
    _, _, store, _, dictionary = trained
    before = torch.random.get_rng_state()
    again = train(store, 0, CONFIG, tmp_path, CPU, "tiny")
    assert again.id == dictionary.id and torch.equal(before, torch.random.get_rng_state())


def test_a_frozen_decoder_stays_as_it_was_initialised_however_long_the_encoder_is_trained(trained, tmp_path) -> None:
    _, _, store, _, learned = trained
    one, more = (
        train(store, 0, replace(CONFIG, tokens=steps * CONFIG.batch), tmp_path / str(steps), CPU, "tiny", True)
        for steps in (1, 8)
    )
    assert torch.allclose(one.directions_F_D, more.directions_F_D, atol=1e-6)
    assert not torch.allclose(one.sae.W_enc, more.sae.W_enc, atol=1e-3)
    assert not torch.allclose(learned.directions_F_D, more.directions_F_D, atol=1e-2)


def test_an_all_dead_dictionary_is_refused(trained) -> None:
    policy, rows, store, folder, _ = trained
    dead = from_disk(folder, None, CPU, "dead")
    dead.sae.W_enc.data.zero_()
    dead.sae.b_enc.data.fill_(-1.0)
    with pytest.raises(MethodError, match="all dead"):
        quality(dead, codes(dead, store), policy, rows[:2])


def test_batches_go_round_without_repeating_before_all_were_seen() -> None:
    array = np.arange(10, dtype=np.float32)[:, None]
    stream = batches(array, 5, 0)
    for _ in range(3):
        assert sorted(torch.cat([next(stream), next(stream)])[:, 0].tolist()) == list(range(10))
    assert len(next(batches(array, 25, 0))) == 25


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match="expansion=0"):
        TrainConfig(expansion=0)
    assert TrainConfig().active(128) == 16 and TrainConfig().active(16) == 8 and TrainConfig(k=3).active(16) == 3


def test_width_of_the_fixture_is_the_tiny_models(trained) -> None:
    assert trained[4].directions_F_D.shape == (4 * WIDTH, WIDTH)


def test_codes_are_the_positive_activations(trained) -> None:
    _, _, store, _, dictionary = trained
    found, dense = codes(dictionary, store), dictionary.encode(torch.from_numpy(store.arrays[0]))
    again = torch.zeros_like(dense)
    again[found.tokens_E, found.features_E] = found.values_E
    torch.testing.assert_close(again, dense)
    torch.testing.assert_close(found.rate_F, (dense > 0).float().mean(0))
    live = found.rate_F > 0
    torch.testing.assert_close(found.least_F[live], torch.where(dense > 0, dense, torch.inf).amin(0)[live])
    groups = store.tokens_N % 3
    expected = torch.stack([dense[torch.from_numpy(groups == g)].sum(0) for g in range(3)])
    torch.testing.assert_close(found.sums(groups, 3), expected, atol=1e-2, rtol=1e-4)
    few = codes(dictionary, store, limit=100)
    assert 0 < len(few) <= len(store)
