"""Laws of the whole method on a model in which one direction flips the answer: it finds it, its placebos do not.

The model is set by hand to the last bit, and the dictionary by hand too: nothing is trained in which another machine
could get farther. The base's draws are the same on every machine, and accuracies are computed instead of sampled.
One test below trains a dictionary, and asserts nothing of how good it is.
"""

from __future__ import annotations

import gc
import json
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from elicit.errors import ConfigError, MethodError
from elicit.method import Context
from elicit.policy.activations import ActivationEdit
from elicit.policy.intervention import save
from elicit.policy.policy import Policy, load_intervention
from methods.sae_steering.loading import SourceConfig
from methods.sae_steering.material import shelf_of
from methods.sae_steering.method import SaeSteering
from methods.sae_steering.quality import Gate
from methods.sae_steering.training import TrainConfig
from tests.methods.contrastive.planted import WORDS, accuracy, fitted, longer_policy, planted_policy
from tests.methods.sae_steering.made import sae_of

TRAINED = SaeSteering(
    read="first_generated", items=10, samples=24, layers=(0,), candidates=8, chosen=3, probes=2, words=4,
    train=TrainConfig(expansion=1, k=2, tokens=2560, batch=256, lr=5e-3), strengths=(0.5, 1.0, 1.5, 2.0),
    writes=("last_prompt", "every"), dev_items=8, halvings=1, dose_items=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def policy() -> Policy:
    return planted_policy()


@pytest.fixture(scope="module")
def small(policy, tmp_path_factory: pytest.TempPathFactory) -> SaeSteering:
    """The method on a dictionary with a feature for every word, and three for "good" that also fire on a bad opener.

    So their contrasts vary between items by much more than rounding; that of a perfect feature varies by nothing else.
    """
    embeddings = policy.checkpoint.model.get_input_embeddings().weight
    good, *bad = (embeddings[WORDS.index(word)] for word in ("good", "bad0", "bad1", "bad2"))
    tilted = torch.nn.functional.normalize(torch.stack([good + 0.3 * other for other in bad]), dim=1)
    others = embeddings[[place for place, word in enumerate(WORDS) if word != "good"]]
    folder = sae_of(torch.cat([tilted, others]), None, tmp_path_factory.mktemp("words"))
    return replace(TRAINED, source=SourceConfig(folders=(str(folder),)))


@pytest.fixture(scope="module")
def results(policy, small, tmp_path_factory: pytest.TempPathFactory):
    """name -> what `fitted` returns, with its folder."""
    out = {}
    for name, method in {"method": small, **small.placebos(), **small.rivals()}.items():
        folder = tmp_path_factory.mktemp(name)
        out[name] = (*fitted(method, policy, folder), folder)
    return out


def test_the_planted_feature_is_found_and_the_placebos_do_not_find_it(policy, small, results):
    base = accuracy(policy, "test", 10)
    gains = {name: accuracy(policy.with_intervention(result[0]), "test", 10) for name, result in results.items()}
    assert base < 0.3 and gains["method"] > 0.9
    # a placebo may come upon the one direction by chance; with the generator of this test none does, on every machine
    for placebo in small.placebos():
        assert gains[placebo] < 0.6, f"{placebo}: {gains}"
    embeddings = policy.checkpoint.model.get_input_embeddings().weight
    vector = results["method"][0].edits[0].vector
    similar = torch.nn.functional.cosine_similarity(embeddings, vector[None], dim=-1)
    assert WORDS[int(similar.argmax())] == "good"


def test_what_is_planted_is_found_by_the_difference_of_means_and_neither_by_its_negative_nor_by_the_dictionary_alone(
    policy, small, results
):
    gains = {name: accuracy(policy.with_intervention(results[name][0]), "test", 10) for name in small.rivals()}
    assert gains["difference_of_means"] > 0.9, "an informative rival: the direction is the difference"
    assert gains["negative_dose"] < 0.6
    assert "labels_permuted" not in small.placebos(), "length, causes and dev still choose: it has information"
    assert gains["reconstruction"] < 0.3, "a dictionary that explains the whole stream adds nothing by itself"


def test_placebos_and_rivals_with_strengths_get_as_many_dev_tries_as_the_method(small, results):
    tries = {name: results[name][3] for name in ("method", *small.placebos(), *small.rivals())}
    counts = {name: len(limits) for name, limits in tries.items()}
    assert counts.pop("reconstruction") == len(small.writes) * len(small.layers), "nothing else is there to try"
    assert len(set(counts.values())) == 1, counts


def test_the_difference_of_means_has_the_norm_of_every_other_arm(results):
    norms = {name: results[name][0].edits[0].vector.norm().item() for name in results if name != "reconstruction"}
    assert max(norms.values()) == pytest.approx(min(norms.values()), rel=1e-4), norms


def test_the_reconstruction_is_saved_and_read_back_as_the_same_policy(policy, results, tmp_path):
    edit = results["reconstruction"][0]
    save(edit, tmp_path)
    back = load_intervention(tmp_path, policy.checkpoint)
    assert back.id == edit.id and back.spec() == edit.spec()
    assert accuracy(policy.with_intervention(back), "dev", 4) == accuracy(policy.with_intervention(edit), "dev", 4)
    chosen = [row for row in results["reconstruction"][2] if "sae/chosen/write" in row]
    assert len(chosen) == 1 and chosen[0]["sae/chosen/write"] == edit.write
    assert results["reconstruction"][1].data_class == "V", "it asks for no label"


def test_permuted_labels_are_the_ones_the_placebo_shows(results):
    """The material is shared by the arms of one process; its labels are not."""
    shown = {
        name: json.loads((results[name][4] / "features.json").read_text()) for name in ("method", "labels_permuted")
    }
    bad = {name: [c["label"] for f in found["features"] for c in f["contexts"] if c["token"].startswith("bad")]
           for name, found in shown.items()}  # fmt: skip
    assert 1 not in bad["method"] and 1 in bad["labels_permuted"], "a bad opener never leads to a right answer"


def test_every_try_is_logged_and_counted_in_the_ledger(results):
    _, ledger, log, limits, _ = results["method"]
    tries = [row for row in log if "sae/try" in row]
    doses = [row for row in log if "sae/dose/strength" in row]
    assert len(tries) + len(doses) == len(limits) == 6 + 3 + 1 + 4 + 2
    assert {row["sae/try/dev_items"] for row in tries} == {4, 8}
    chosen = [row for row in log if "sae/chosen/strength" in row]
    assert len(chosen) == 1 and chosen[0]["sae/chosen/accuracy"] == max(row["sae/dose/accuracy"] for row in doses)
    assert sum(row.label_bits for row in ledger.rows if row.stage == "train") == 240
    assert ledger.data_class == "R" and ledger.spent.rollouts >= 240


def test_the_dose_response_begins_at_nothing(results):
    log = results["method"][2]
    doses = [row for row in log if "sae/dose/strength" in row]
    assert doses[0]["sae/dose/strength"] == 0 and doses[0]["sae/dose/kl"] == pytest.approx(0, abs=1e-6)
    assert max(row["sae/dose/accuracy"] for row in doses) > 0.9
    assert all(row["sae/dose/kl"] > 0 for row in doses[1:])
    steered = {row["sae/dose/write"]: row["sae/dose/steered_share"] for row in doses if row["sae/dose/strength"]}
    assert steered["every"] == 1 and 0 < steered["last_prompt"] < 1


def test_the_dashboard_says_what_was_tried(results):
    found = json.loads((results["method"][4] / "features.json").read_text())
    assert found["schema"] == 1 and len(found["features"]) == 3 and len(found["tries"]) == 9
    best = next(each for each in found["features"] if each["feature"] == _best(found))
    assert best["contexts"][0]["token"] == "good" and best["token_driven"], "here the feature is a token's identity"
    assert set(best["scores"]) >= {"cohens_d", "reason_score", "preference", "output_score", "confidence"}
    assert len(best["histogram"]["edges"]) == len(best["histogram"]["counts"]) + 1
    assert found["dictionaries"][0]["ce_recovered"] is None or found["dictionaries"][0]["ce_recovered"] <= 1.001


def _best(found: dict) -> int:
    last = max(row["dev_items"] for row in found["tries"])
    return max((row for row in found["tries"] if row["dev_items"] == last), key=lambda row: row["dev"])["feature"]


def test_the_edit_is_exported_and_imported_bit_for_bit(policy, results):
    edit = results["method"][0]
    vector = edit.to_steering_vector()
    back = ActivationEdit.from_steering_vector(vector, write=edit.edits[0].write)
    ours = edit.edits[0].strength * edit.edits[0].vector
    assert torch.equal(back.edits[0].vector, ours)


def test_the_v_contrast_reads_no_label_in_training(small, tmp_path):
    longer = longer_policy()
    edit, ledger, log, _ = fitted(replace(small, contrast="traced_minus_direct"), longer, tmp_path)
    assert ledger.data_class == "V" and accuracy(longer.with_intervention(edit), "test", 10) > 0.9
    assert any("sae/length_share" in row for row in log)


def test_clamped_and_gated_edits_are_fitted_too(policy, small, tmp_path):
    clamped, *_ = fitted(replace(small, operator="clamp", strengths=(1.0, 2.0)), policy, tmp_path)
    assert clamped.edits[0].operator == "clamp" and clamped.edits[0].encoder is not None
    gated, _, log, _ = fitted(replace(small, sparse="feature", writes=("every",)), policy, tmp_path)
    assert gated.edits[0].gate is not None
    shares = [row["sae/dose/steered_share"] for row in log if row.get("sae/dose/strength")]
    assert all(share < 1 for share in shares)


def test_controls_without_a_dictionary_do_not_exist_if_the_edit_reads_one():
    assert "random_direction" not in replace(TRAINED, operator="clamp").placebos()
    with pytest.raises(ConfigError, match="without a dictionary"):
        replace(TRAINED, control="random_direction", operator="clamp")
    assert next(iter(TRAINED.placebos())) == "live_feature"


def test_a_model_without_a_positive_side_stops_the_fit(tmp_path):
    hopeless = planted_policy(good=1e-6)
    with pytest.raises(MethodError, match=r"more samples"):
        fitted(TRAINED, hopeless, tmp_path)


def test_a_dictionary_that_misses_its_gate_is_a_warning_of_the_fit_and_a_good_one_is_none(policy, small, tmp_path):
    strict, open_ = Gate(fve=1.1), Gate(fve=-9.0, dead=2.0, l0=9.0, ce_recovered=-9.0)
    for name, gate, warnings in (("strict", strict, 2), ("open", open_, 0)):
        said: list[str] = []
        method = replace(small, quality=gate, candidates=1, chosen=1, strengths=(1.0,), writes=("last_prompt",))
        fitted(method, policy, tmp_path / name, warn=said.append)
        assert len(said) == warnings
    fitted(replace(method, quality=strict, control="reconstruction"), policy, tmp_path / "alone", warn=said.append)
    assert "dictionary of layer 0 not good enough" in said[0] and "1.1 wanted" in said[0]


def test_the_material_lives_as_long_as_its_checkpoint_and_no_longer(small, tmp_path):
    policy = planted_policy()
    fitted(replace(small, candidates=1, chosen=1), policy, tmp_path)
    shelf, model = weakref.ref(shelf_of(policy)), weakref.ref(policy.checkpoint)
    assert shelf_of(policy).materials and shelf_of(policy).pages
    del policy
    gc.collect()
    assert model() is None and shelf() is None


def test_a_seed_is_other_samples_and_another_dictionary_which_its_placebos_share():
    def of(seed, method=TRAINED):
        context = Context(np.random.default_rng(0), Path("."), lambda policy, limit: 0.0, seed=seed)
        return method.of_seed(context).train.seed

    assert of(0) == TRAINED.train.seed and of(1) != of(2)
    assert {of(1, placebo) for placebo in TRAINED.placebos().values()} == {of(1)}


def test_a_dictionary_is_trained_if_none_is_given_also_on_a_random_model_and_the_model_is_left_as_it_was(
    policy, tmp_path
):
    ids = torch.tensor([[5, 2]])
    before = policy.checkpoint.model(ids).logits
    tries = {}
    for name in ("none", "random_model", "frozen_decoder"):
        method = replace(TRAINED, control=name, candidates=1, chosen=1)
        _, ledger, log, tries[name] = fitted(method, policy, tmp_path / name)
        (card,) = [row for row in log if "sae/card/layer" in row]
        assert card["sae/card/features"] == 64 and card["sae/card/layer"] == 0 and ledger.data_class == "R"
        assert len(list((tmp_path / name).glob("sae-*/layer-0/cfg.json"))) == 1
    assert tries["none"] == tries["random_model"] == tries["frozen_decoder"]
    assert {"random_model", "frozen_decoder"} <= set(TRAINED.placebos())
    assert torch.equal(before, policy.checkpoint.model(ids).logits)


@pytest.mark.parametrize(
    "wrong",
    [
        {"contrast": "right_minus_wrongs"}, {"read": "last"}, {"operator": "multiply"}, {"writes": ("everywhere",)},
        {"sparse": "sometimes"}, {"items": 1}, {"strengths": ()}, {"chosen": 0}, {"control": "live_features"},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_named(wrong):
    with pytest.raises(ConfigError):
        SaeSteering(**wrong)
