"""Laws of dictionaries that are read: SAELens' formats, sites, and everything that does not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from elicit.errors import CheckpointError, ConfigError, DataError
from elicit.ledger import Ledger
from elicit.policy.checkpoint import wrap
from elicit.policy.policy import Policy
from methods.sae_steering.loading import SourceConfig, from_disk, from_qwen_scope, layer_of, load, same_model
from tests.methods.contrastive.planted import WIDTH, PlantedTask, planted_model, planted_tokenizer
from tests.methods.sae_steering.made import FEATURES, KINDS, made_sae, naive

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy(wrap(planted_model(), planted_tokenizer()), prompt=PlantedTask().prompts["bare"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_is_read_as_its_formula_with_rows_of_length_one(kind: str, tmp_path: Path) -> None:
    folder, x = made_sae(kind, WIDTH, tmp_path / kind), torch.randn(7, WIDTH)
    dictionary = from_disk(folder, None, CPU, "made")
    acts, reconstruction = naive(folder, x)
    norms = dictionary.norms_F
    torch.testing.assert_close(dictionary.encode(x), acts * norms, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(dictionary.reconstruct(x), reconstruction, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(dictionary.directions_F_D.norm(dim=-1), torch.ones(FEATURES))
    bias = dictionary.sae.b_dec
    torch.testing.assert_close(
        dictionary.encode(x) @ dictionary.directions_F_D + bias, reconstruction, atol=1e-4, rtol=1e-4
    )
    assert dictionary.layer == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_features_reader_is_its_activation_where_it_fires(kind: str, tmp_path: Path) -> None:
    dictionary = from_disk(made_sae(kind, WIDTH, tmp_path / kind), None, CPU, "made")
    x = torch.randn(40, WIDTH)
    acts = dictionary.encode(x)
    for feature in range(FEATURES):
        encoder, bias, threshold = dictionary.reader(feature)
        z = x @ encoder + bias
        on = acts[:, feature] > 0
        torch.testing.assert_close(z[on], acts[on, feature], atol=1e-4, rtol=1e-3)
        if kind != "topk":
            assert torch.equal(z > max(threshold, 0.0), on)


def test_a_clamp_is_encode_set_decode_plus_the_error(tmp_path: Path) -> None:
    from elicit.policy import layers
    from elicit.policy.activations import ActivationEdit, Edit
    from elicit.policy.positions import forward_positions
    from tests.policy.tiny import WIDTH as TINY
    from tests.policy.tiny import random_ids, tiny_model

    dictionary = from_disk(made_sae("jumprelu", TINY, tmp_path / "s"), None, CPU, "made")
    model, ids, feature, target = tiny_model(), random_ids(3, 5), 20, 2.5
    encoder, bias, threshold = dictionary.reader(feature)
    edit = Edit(
        1, dictionary.directions_F_D[feature], "clamp", 1.0, "every", target=target, encoder=encoder, bias=bias,
        threshold=threshold,
    )  # fmt: skip
    places = torch.arange(5).expand(3, -1)
    with torch.no_grad(), forward_positions(places, torch.tensor([5, 5, 5])):
        with layers.reading_outputs(model, [1]) as before:
            model(input_ids=ids)
        with ActivationEdit((edit,)).applied(model), layers.reading_outputs(model, [1]) as after:
            model(input_ids=ids)
    x = before[1].flatten(0, 1)
    raw = dictionary.sae.encode(x)
    error = x - dictionary.sae.decode(raw)
    raw[:, feature] = target / dictionary.norms_F[feature]
    torch.testing.assert_close(after[1].flatten(0, 1), dictionary.sae.decode(raw) + error, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ("hook", "layer"),
    [
        *(("blocks.5.hook_resid_post", 5), ("blocks.5.hook_resid_pre", 4), ("model.layers.7", 7)),
        *(("transformer.h.1", 1), ("gpt_neox.layers.3", 3), ("model.decoder.layers.2", 2), ("backbone.layers.0", 0)),
    ],
)
def test_sites_are_translated_to_block_outputs(hook: str, layer: int) -> None:
    assert layer_of(hook, "x") == layer


@pytest.mark.parametrize(
    "hook",
    [
        *("blocks.3.hook_mlp_out", "blocks.3.attn.hook_z", None, "blocks.0.hook_resid_pre"),
        *("transformer.h.1.mlp", "gpt_neox.layers.3.attention", "decoder.layers.1", "transformer.h"),
    ],
)
def test_other_sites_are_refused_with_the_remedy(hook: str | None) -> None:
    with pytest.raises(ConfigError, match="choose a"):
        layer_of(hook, "x")


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 64, b"\0" * 8])
def test_weights_that_were_cut_name_the_file_and_the_remedy(content: bytes, tmp_path: Path) -> None:
    folder = Path(made_sae("topk", WIDTH, tmp_path / "cut"))
    whole = (folder / "sae_weights.safetensors").read_bytes()
    for cut in (content, whole[: len(whole) // 2], whole[:-1], whole + b"x"):
        (folder / "sae_weights.safetensors").write_bytes(cut)
        with pytest.raises(DataError, match=r"sae_weights\.safetensors.*copy or fetch it again"):
            from_disk(folder, None, CPU, "made")


def test_what_does_not_fit_the_model_is_refused_with_both_numbers(policy: Policy, tmp_path: Path) -> None:
    ledger = Ledger(PlantedTask(), "toy")
    wide = str(made_sae("topk", 32, tmp_path / "wide"))
    with pytest.raises(CheckpointError, match=r"width of 32.*has 64.*model\.path"):
        load(SourceConfig(folders=(wide,)), policy, ledger)
    deep = str(made_sae("topk", WIDTH, tmp_path / "deep", hook="blocks.9.hook_resid_post"))
    with pytest.raises(CheckpointError, match=r"layer 9.*layers 0 to 1"):
        load(SourceConfig(folders=(deep,)), policy, ledger)
    other = str(made_sae("topk", WIDTH, tmp_path / "other", model="org/another-model"))
    with pytest.raises(CheckpointError, match=r"another-model.*any_model=true"):
        load(SourceConfig(folders=(other,)), policy, ledger)
    assert list(load(SourceConfig(folders=(other,), any_model=True), policy, ledger)) == [1]


def test_a_loaded_dictionary_is_noted_in_the_ledger_and_is_no_foreign_text(policy: Policy, tmp_path: Path) -> None:
    ledger = Ledger(PlantedTask(), "toy")
    load(SourceConfig(folders=(str(made_sae("standard", WIDTH, tmp_path / "s")),)), policy, ledger)
    assert any(row.source.startswith("dictionary") for row in ledger.rows) and ledger.data_class == "Z"


def test_two_dictionaries_of_one_layer_are_refused(policy: Policy, tmp_path: Path) -> None:
    folders = tuple(str(made_sae(kind, WIDTH, tmp_path / kind)) for kind in ("topk", "standard"))
    with pytest.raises(ConfigError, match="two dictionaries of layer 1"):
        load(SourceConfig(folders=folders), policy, Ledger(PlantedTask(), "toy"))


def test_a_folder_that_is_none_and_a_missing_scale_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no cfg\.json"):
        from_disk(tmp_path, None, CPU, "x")
    folder = made_sae("standard", WIDTH, tmp_path / "s")
    cfg = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps({**cfg, "normalize_activations": "expected_average_only_in"}))
    with pytest.raises(ConfigError, match="fold_activation_norm_scaling_factor"):
        from_disk(folder, None, CPU, "x")


def test_a_qwen_scope_file_is_a_topk_dictionary_of_its_layer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = {
        "W_enc": torch.randn(FEATURES, 16), "W_dec": torch.randn(16, FEATURES), "b_enc": torch.randn(FEATURES) * 0.1,
        "b_dec": torch.randn(16) * 0.1,
    }  # fmt: skip
    file = tmp_path / "layer5.sae.pt"
    torch.save(tensors, file)
    dictionary = from_qwen_scope(str(file), 3, CPU)
    x = torch.randn(6, 16)
    pre = x @ tensors["W_enc"].T + tensors["b_enc"]
    kept = torch.zeros_like(pre).scatter(1, pre.topk(3).indices, pre.topk(3).values.relu())
    assert (dictionary.layer, dictionary.k) == (5, 3)
    torch.testing.assert_close(dictionary.encode(x), kept * tensors["W_dec"].norm(dim=0), atol=1e-4, rtol=1e-4)
    with pytest.raises(ConfigError, match="k=None"):
        from_qwen_scope(str(file), None, CPU)


def test_model_names_are_compared_by_their_last_part() -> None:
    assert same_model("gemma-2-2b", ["google/gemma-2-2b"]) and not same_model("gemma-2-2b", ["google/gemma-2-9b"])


def test_one_kind_of_source_at_a_time() -> None:
    with pytest.raises(ConfigError, match="both or none"):
        SourceConfig(release="x")
    with pytest.raises(ConfigError, match="one of"):
        replace(SourceConfig(folders=("a",)), qwen_scope=("b",))
