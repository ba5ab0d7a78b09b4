"""Laws of trained dictionaries and their quality cards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from elicit.errors import ConfigError, MethodError
from elicit.policy.checkpoint import wrap
from elicit.policy.policy import Policy
from methods.sae_steering.dictionary import codes
from methods.sae_steering.loading import from_disk
from methods.sae_steering.quality import Gate, cross_entropy, quality
from methods.sae_steering.store import collect
from methods.sae_steering.training import TrainConfig, batches, train
from tests.policy.tiny import VOCABULARY, WIDTH, tiny_model, tiny_tokenizer

CPU = torch.device("cpu")
CONFIG = TrainConfig(expansion=4, k=4, tokens=40_000, batch=256, lr=3e-3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    policy = Policy(wrap(tiny_model(), tiny_tokenizer()))
    rng = np.random.default_rng(0)
    rows = [tuple(rng.integers(3, VOCABULARY, 24).tolist()) for _ in range(60)]
    store = collect(policy, rows, [4] * 60, [None] * 60, [0])
    folder = tmp_path_factory.mktemp("sae")
    return policy, rows, store, folder, train(store, 0, CONFIG, folder, CPU, "tiny")


def test_a_trained_dictionary_explains_more_than_an_untrained_one(trained) -> None:
    policy, rows, store, folder, dictionary = trained
    card = quality(dictionary, codes(dictionary, store), policy, rows[:8])
    assert card.l0 == pytest.approx(4, rel=0.15) and dictionary.k == 4
    assert card.fve > 0.5 and card.dead < 0.5
    untrained = train(store, 0, TrainConfig(expansion=4, k=4, tokens=256, batch=256), folder / "untrained", CPU, "tiny")
    poor = quality(untrained, codes(untrained, store), policy, rows[:8])
    assert poor.fve < card.fve - 0.2 and poor.faults(Gate())
    assert any("variance" in fault for fault in poor.faults(Gate()))


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
    l0 = (again.encode(torch.from_numpy(store.arrays[0])) > 0).sum(1).float().mean().item()
    assert abs(l0 / again.k - 1) < 0.15


def test_the_same_seed_gives_the_same_dictionary_and_the_global_generator_is_left_alone(
    trained, tmp_path: Path
) -> None:
    _, _, store, _, dictionary = trained
    before = torch.random.get_rng_state()
    again = train(store, 0, CONFIG, tmp_path, CPU, "tiny")
    assert again.id == dictionary.id and torch.equal(before, torch.random.get_rng_state())


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
