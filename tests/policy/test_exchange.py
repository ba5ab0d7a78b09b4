"""Laws of the files of other tools: what was written is read as the same edit, what can't be read names the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from elicit.errors import CheckpointError, ConfigError, DataError
from elicit.files import write_text
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.exchange.merged import gives, read_merged
from elicit.policy.exchange.plain import read_plain, write_plain
from elicit.policy.exchange.read import find
from elicit.policy.exchange.vectors import read_control_vector, write_control_vector, write_steering_vector
from elicit.policy.weights import WeightEdit
from tests.policy.tiny import tiny_model

D = 16


def drawn(seed: int = 0) -> torch.Tensor:
    return torch.randn(D, generator=torch.Generator().manual_seed(seed))


EVERY_FIELD = ActivationEdit(
    (
        Edit(0, drawn(1), "add", 3, "last_prompt"),
        Edit(2, drawn(2), "clamp", 0.1, "onward", target=1.5, encoder=drawn(3), bias=-0.25, threshold=0.7),
        Edit(2, drawn(4), "add", 1e-7, first=3, half_life=2.5, gate=drawn(5), gate_bias=0.1, gate_threshold=1.0),
        Edit(3, drawn(6), "ablate", 1.0, "completion"),
    )
)


def test_plain_files_hold_every_field_of_an_edit_bit_for_bit(tmp_path: Path) -> None:
    card, weights = write_plain(EVERY_FIELD, tmp_path)
    assert read_plain(card, weights).id == EVERY_FIELD.id
    for path in (tmp_path, card, weights):
        assert find(path).read(None, None).id == EVERY_FIELD.id


def test_a_card_with_one_edit_needs_neither_a_list_nor_the_name_of_the_tensor(tmp_path: Path) -> None:
    save_file({"mine": drawn()}, tmp_path / "mine.safetensors")
    write_text(tmp_path / "mine.yaml", "layer: 2\nhook_point: resid_pre\noperation: add\nscale: 4.0\n")
    (edit,) = find(tmp_path / "mine.safetensors").read(None, None).edits
    assert (edit.layer, edit.operator, edit.strength, edit.write) == (1, "add", 4.0, "every")
    assert torch.equal(edit.vector, drawn())


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("layer: 2\nhook_point: hook_mlp_out", "residual stream is written to: choose resid_post or resid_pre"),
        ("layer: 0\nhook_point: resid_pre", "only outputs of blocks are written to"),
        ("layer: 2\nhook_point: blocks.3.hook_resid_post", "expected one layer"),
        ("hook_point: resid_post", "expected one layer"),
        ("layer: 2\ntensor: yours", "tensor='yours'"),
        ("layer: 2\nstrength: 3", "no such setting"),
        ("layer: 2\noperation: multiply", "operation='multiply'|operator='multiply'"),
    ],
)
def test_a_card_that_cannot_be_followed_names_the_field(tmp_path: Path, card: str, reason: str) -> None:
    save_file({"mine": drawn()}, tmp_path / "v.safetensors")
    write_text(tmp_path / "v.yaml", card)
    with pytest.raises(DataError, match=reason):
        find(tmp_path / "v.yaml").read(None, None)


def test_a_hook_point_may_name_the_layer_as_transformer_lens_does(tmp_path: Path) -> None:
    save_file({"mine": drawn()}, tmp_path / "v.safetensors")
    write_text(tmp_path / "v.yaml", "hook_point: blocks.3.hook_resid_post")
    assert find(tmp_path / "v.yaml").read(None, None).edits[0].layer == 3


def test_a_control_vector_is_what_repeng_reads_and_writes(tmp_path: Path) -> None:
    """repeng's and llama.cpp's layout, read and written with gguf-py alone."""
    edit = ActivationEdit((Edit(1, drawn(1), "add", 2.0), Edit(3, drawn(2), "add", 0.5), Edit(3, drawn(3))))
    write_control_vector(edit, tmp_path / "v.gguf", "llama", blocks=4)
    reader = gguf.GGUFReader(tmp_path / "v.gguf")
    rows = {tensor.name: np.array(tensor.data) for tensor in reader.tensors}
    assert set(rows) == {"direction.1", "direction.3"}
    assert np.array_equal(rows["direction.1"], (2 * drawn(1)).numpy())
    assert np.array_equal(rows["direction.3"], (0.5 * drawn(2) + drawn(3)).numpy())
    writer = gguf.GGUFWriter(tmp_path / "theirs.gguf", "controlvector")
    writer.add_tensor("direction.2", drawn(4).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (one,) = read_control_vector(tmp_path / "theirs.gguf", "onward").edits
    assert (one.layer, one.strength, one.write) == (2, 1.0, "onward") and torch.equal(one.vector, drawn(4))


def test_layer_0_has_no_control_vector_and_a_model_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="layer 0; use format=plain"):
        write_control_vector(ActivationEdit((Edit(0, drawn()),)), tmp_path / "v.gguf", "llama", blocks=4)
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_tensor("token_embd.weight", np.zeros((2, 2), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(DataError, match="of 'llama', not a control vector"):
        find(tmp_path / "model.gguf").read(None, None)


def test_a_file_of_vectors_by_layer_is_read_and_other_names_need_a_card(tmp_path: Path) -> None:
    edit = ActivationEdit((Edit(1, drawn(1), "add", 2.0), Edit(3, drawn(2))))
    write_steering_vector(edit, tmp_path / "by_layer.safetensors")
    read = find(tmp_path / "by_layer.safetensors").read(None, "onward")
    assert [(one.layer, one.strength, one.write) for one in read.edits] == [(1, 1.0, "onward"), (3, 1.0, "onward")]
    assert torch.equal(read.edits[0].vector, 2 * drawn(1))
    torch.save({"layer_2": drawn(5)[None]}, tmp_path / "theirs.pt")
    assert find(tmp_path / "theirs.pt").read(None, None).edits[0].layer == 2
    save_file({"happy": drawn()}, tmp_path / "named.safetensors")
    with pytest.raises(DataError, match="'happy': expected one named by its layer"):
        find(tmp_path / "named.safetensors").read(None, None)
    save_file({"2": torch.zeros(2, D)}, tmp_path / "matrix.safetensors")
    with pytest.raises(DataError, match="expected one vector per layer"):
        find(tmp_path / "matrix.safetensors").read(None, None)


def merged(folder: Path, edit: WeightEdit) -> Path:
    model = tiny_model()
    with edit.applied(model):
        model.save_pretrained(folder)
    return folder


def weight_edit() -> WeightEdit:
    model, draw = tiny_model(), torch.Generator().manual_seed(0)
    names = [name for name, parameter in model.named_parameters() if parameter.ndim == 2][-3:-1]
    return WeightEdit({name: 0.1 * torch.randn(model.get_parameter(name).shape, generator=draw) for name in names})


def test_a_merged_folder_is_the_difference_from_its_base(tmp_path: Path) -> None:
    wanted, model = weight_edit(), tiny_model()
    read = read_merged(merged(tmp_path, wanted), model)
    assert set(read.differences) == set(wanted.differences)
    for name, difference in wanted.differences.items():
        assert torch.allclose(read.differences[name], difference, atol=1e-6)
    assert gives(wanted, tmp_path, model) and not gives(WeightEdit(), tmp_path, model)
    assert not read_merged(merged(tmp_path / "base", WeightEdit()), model).differences


def test_a_folder_of_another_architecture_is_no_change_of_this_base(tmp_path: Path) -> None:
    model = tiny_model()
    weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    first = next(name for name, weight in weights.items() if weight.ndim == 2)
    write_text(tmp_path / "config.json", "{}")
    save_file({**weights, first: torch.cat([weights[first], weights[first][:1]])}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="with more tokens"):
        read_merged(tmp_path, model)
    save_file({**weights, "model.extra.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"no parameter model\.extra\.weight"):
        read_merged(tmp_path, model)
    del weights[first]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="no weights for"):
        read_merged(tmp_path, model)


def test_a_path_without_a_known_file_lists_what_can_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no known file; expected a folder with adapter_config\.json"):
        find(tmp_path)
    with pytest.raises(ConfigError, match="no such file or folder"):
        find(tmp_path / "nowhere")
    for name in ("a", "b"):
        save_file({"1": drawn()}, tmp_path / f"{name}.safetensors")
    with pytest.raises(ConfigError, match="2 files of vectors; name one"):
        find(tmp_path)
    write_text(tmp_path / "c.yaml", "layer: 1")
    with pytest.raises(ConfigError, match=r"no c\.safetensors next to it"):
        find(tmp_path / "c.yaml")


def test_positions_that_are_asked_for_replace_those_of_the_file(tmp_path: Path) -> None:
    write_plain(EVERY_FIELD, tmp_path)
    read = find(tmp_path).read(None, "onward")
    assert read.id == ActivationEdit(tuple(replace(one, write="onward") for one in EVERY_FIELD.edits)).id
