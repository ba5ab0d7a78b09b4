"""Laws of the reconstruction without edit: SAELens' own numbers, at the write positions, undone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from elicit.errors import CheckpointError, ConfigError, MethodError
from elicit.policy import layers
from elicit.policy.checkpoint import wrap
from elicit.policy.intervention import save
from elicit.policy.policy import Policy, load_intervention
from elicit.policy.positions import forward_positions
from methods.sae_steering.loading import from_disk
from methods.sae_steering.reconstruction import Reconstruction
from tests.methods.contrastive.planted import WIDTH, planted_policy
from tests.methods.sae_steering.made import KINDS, made_sae, naive
from tests.policy.tiny import tiny_model, tiny_tokenizer

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_saelens_reconstructs_and_what_the_formula_says(kind: str, tmp_path: Path) -> None:
    folder, x = made_sae(kind, WIDTH, tmp_path), torch.randn(9, WIDTH)
    dictionary = from_disk(folder, None, CPU, "made")
    ours = Reconstruction.of(dictionary, "every").reconstruct(x)
    torch.testing.assert_close(ours, dictionary.reconstruct(x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours, naive(folder, x)[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("write", ["last_prompt", "onward", "every"])
def test_every_row_is_rewritten_at_its_own_positions_but_the_first_and_nothing_stays(
    write: str, tmp_path: Path
) -> None:
    policy = planted_policy()
    model = policy.checkpoint.model
    dictionary = from_disk(made_sae("topk", WIDTH, tmp_path, "blocks.0.hook_resid_post"), None, CPU, "made")
    ids = torch.randint(1, 30, (2, 5))
    positions = torch.tensor([[0, 1, 2, 3, 4], [-1, -1, 0, 1, 2]])
    lengths = torch.tensor([3, 2])

    def outputs() -> torch.Tensor:
        with layers.reading_outputs(model, [0]) as read, forward_positions(positions, lengths), torch.no_grad():
            model(input_ids=ids)
            return read[0].clone()

    before = outputs()
    with Reconstruction.of(dictionary, write).applied(model):
        inside = outputs()
    written = {
        "last_prompt": [(0, 2), (1, 3)],
        "onward": [(0, 2), (0, 3), (0, 4), (1, 3), (1, 4)],
        "every": [(0, 1), (0, 2), (0, 3), (0, 4), (1, 3), (1, 4)],
    }[write]
    for row in range(2):
        for place in range(5):
            expected = (
                dictionary.reconstruct(before[row, place][None])[0] if (row, place) in written else before[row, place]
            )
            torch.testing.assert_close(inside[row, place], expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(outputs(), before)


def test_a_saved_one_comes_back_and_fits_its_own_model_only(tmp_path: Path) -> None:
    policy = planted_policy()
    dictionary = from_disk(made_sae("jumprelu", WIDTH, tmp_path / "sae"), None, CPU, "made")
    edit = Reconstruction.of(dictionary, "onward")
    save(edit, tmp_path / "edit")
    back = load_intervention(tmp_path / "edit", policy.checkpoint)
    assert isinstance(back, Reconstruction) and back.id == edit.id
    assert policy.with_intervention(back).id == policy.with_intervention(edit).id
    with pytest.raises(CheckpointError, match=f"is {WIDTH} wide"):
        load_intervention(tmp_path / "edit", Policy(wrap(tiny_model(), tiny_tokenizer())).checkpoint)


@pytest.mark.parametrize(
    ("name", "message"),
    [("subprocess.Popen", "classes of elicit"), ("methods.sae_steering.nowhere.X", "No module named"),
     ("elicit.policy.decoding.PickRule", "not a change of activations")],
)  # fmt: skip
def test_a_folder_that_names_another_class_is_refused(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text(json.dumps({"kind": "activations", "id": "x", "fields": {"class": name}}))
    with pytest.raises(ConfigError, match=message):
        load_intervention(tmp_path)


def test_an_encoder_that_is_more_than_a_row_is_refused(tmp_path: Path) -> None:
    dictionary = from_disk(made_sae("standard", WIDTH, tmp_path), None, CPU, "made")
    dictionary.sae.cfg.normalize_activations = "layer_norm"
    with pytest.raises(MethodError, match="layer_norm"):
        Reconstruction.of(dictionary, "every")


def test_a_forward_pass_without_positions_is_refused(tmp_path: Path) -> None:
    model = planted_policy().checkpoint.model
    edit = Reconstruction.of(from_disk(made_sae("topk", WIDTH, tmp_path), None, CPU, "made"), "every")
    with pytest.raises(RuntimeError, match="positions"), edit.applied(model):
        model(input_ids=torch.tensor([[1, 2]]))
