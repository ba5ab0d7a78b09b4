"""Laws of `elicit export RUN`: other libraries read the files, and a refusal names the formats that are allowed.

Runs on the shipped organism, a few items each.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from elicit.cli import main
from elicit.experiment.run_folder import RunFolder
from elicit.files import read_json
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import CheckpointConfig, load_checkpoint
from elicit.policy.intervention import save
from elicit.policy.weights import WeightEdit
from methods.decoding.plain import Greedy

CONFIG = CheckpointConfig(path="organism", device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint(CONFIG)


def lora(model: torch.nn.Module) -> WeightEdit:
    draw = torch.Generator().manual_seed(0)
    name, weight = next((n, p) for n, p in model.named_parameters() if n.endswith("v_proj.weight"))
    a, b = torch.randn(2, weight.shape[1], generator=draw), torch.randn(weight.shape[0], 2, generator=draw)
    return WeightEdit(pairs={name: (a, b)}, scale=0.5)


def run_with(root: Path, intervention, checkpoint_id: str) -> RunFolder:
    """A finished run on the organism that holds this intervention."""
    from elicit.config.compose import compose

    node = compose(["method=decoding", "model=organism", "model.device=cpu", "model.dtype=float32"])
    manifest = {"name": "m", "group": "g", "checkpoint": {"id": checkpoint_id, "name": "organism"}}
    run = RunFolder.create(root, "m", "chain", node, manifest)
    save(intervention, run.intervention)
    return run


def export(run: RunFolder, *words: str) -> int:
    return main(["export", str(run.path), *words])


def test_an_adapter_is_read_by_peft_and_changes_the_model_as_the_run_did(checkpoint, tmp_path: Path) -> None:
    from peft import PeftModel

    edit = lora(checkpoint.model)
    assert export(run_with(tmp_path, edit, checkpoint.id), "format=peft", f"out={tmp_path / 'out'}") == 0
    assert read_json(tmp_path / "out" / "adapter_config.json")["base_model_name_or_path"] == "organism"
    ids = torch.tensor([checkpoint.encode("Question: Add 4 and 3.\nAnswer: ")])
    with torch.no_grad(), edit.applied(checkpoint.model):
        ours = checkpoint.model(ids).logits
    with torch.no_grad():
        theirs = PeftModel.from_pretrained(load_checkpoint(CONFIG).model, str(tmp_path / "out"))(ids).logits
    assert torch.allclose(ours, theirs, atol=1e-4) and not torch.allclose(ours, checkpoint.model(ids).logits, atol=1e-2)


def test_a_merged_model_is_a_plain_folder_that_gives_the_edited_logits(checkpoint, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    edit = lora(checkpoint.model)
    run = run_with(tmp_path, edit, checkpoint.id)
    assert export(run, "format=merged") == 0
    ids = torch.tensor([checkpoint.encode("Question: Add 4 and 3.\nAnswer: ")])
    with torch.no_grad(), edit.applied(checkpoint.model):
        ours = checkpoint.model(ids).logits
    merged = AutoModelForCausalLM.from_pretrained(run.path / "export" / "merged", dtype=torch.float32)
    with torch.no_grad():
        assert torch.allclose(ours, merged(ids).logits, atol=1e-4)


def test_a_steering_vector_holds_strength_times_vector_by_layer(checkpoint, tmp_path: Path) -> None:
    from steering_vectors import SteeringVector

    vector = torch.arange(128.0)
    edit = ActivationEdit((Edit(1, vector, "add", 2.0, "onward"), Edit(3, -vector, "add", 0.5, "onward")))
    assert export(run_with(tmp_path, edit, checkpoint.id), "format=steering-vector", f"out={tmp_path / 'out'}") == 0
    rows = {int(layer): row for layer, row in load_file(tmp_path / "out" / "steering_vector.safetensors").items()}
    back = SteeringVector(rows, read_json(tmp_path / "out" / "steering_vector.json")["layer_type"])
    assert set(back.layer_activations) == {1, 3}
    assert torch.equal(back.layer_activations[1], 2 * vector) and torch.equal(back.layer_activations[3], -vector / 2)


@pytest.mark.parametrize(
    ("kind", "wanted", "allowed"),
    [
        ("weights", "steering-vector", "kind weights, for it: format=peft or format=merged"),
        ("activations", "peft", "kind activations, for it: format=steering-vector"),
        ("decoding", "merged", "kind decoding, for it: no format"),
    ],
)
def test_a_format_of_another_kind_names_those_that_the_run_allows(
    checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, wanted: str, allowed: str
) -> None:
    made = {"weights": lora(checkpoint.model), "activations": ActivationEdit((Edit(0, torch.ones(128)),))}
    assert export(run_with(tmp_path, made.get(kind, Greedy()), checkpoint.id), f"format={wanted}") == 2
    assert allowed in capsys.readouterr().err


def test_a_full_fine_tuning_is_no_adapter_and_another_checkpoint_is_not_merged_into(
    checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, weight = next((n, p) for n, p in checkpoint.model.named_parameters() if p.ndim == 2)
    full = run_with(tmp_path, WeightEdit({name: torch.ones_like(weight)}), "another")
    assert export(full, "format=peft") == 2 and "use format=merged" in capsys.readouterr().err
    assert export(full, "format=merged") == 1 and "was fitted on checkpoint another" in capsys.readouterr().err


def test_a_run_without_an_intervention_says_how_to_fit_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RunFolder.create(tmp_path, "m", "t", {}, {"name": "m"})
    assert export(run, "format=peft") == 1 and "elicit resume" in capsys.readouterr().err
