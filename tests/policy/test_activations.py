"""Laws of activation edits: every row, exact undo, the formulas restated, the interchange format."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from elicit.errors import CheckpointError, ConfigError, DataError
from elicit.policy import layers
from elicit.policy.activations import ActivationEdit, Edit, relative_norms, residual_norms
from elicit.policy.intervention import save
from elicit.policy.policy import load_intervention
from elicit.policy.positions import forward_positions, mask, positions_of
from tests.policy.tiny import CONFIGS, hook_count, random_ids, random_vector, tiny_model


def logits(model, ids: torch.Tensor, lengths: list[int] | None = None) -> torch.Tensor:  # type: ignore[no-untyped-def]
    positions = positions_of(torch.ones_like(ids))
    with torch.no_grad(), forward_positions(positions, torch.tensor(lengths or [ids.shape[1]] * len(ids))):
        return model(input_ids=ids).logits


@pytest.mark.parametrize("architecture", CONFIGS)
@pytest.mark.parametrize("write", ["every", "last_prompt"])
def test_every_row_of_a_batch_is_steered(architecture: str, write: str) -> None:
    model, ids = tiny_model(architecture), random_ids(4, 6)
    base = logits(model, ids)
    edit = ActivationEdit((Edit(0, random_vector(), write=write),))
    with edit.applied(model):
        steered = logits(model, ids)
    assert (steered != base).flatten(1).any(1).all()
    assert (edit.calls.fired, edit.calls.written) == (1, 1)


@pytest.mark.parametrize("operator", ["add", "clamp", "min_clamp", "ablate"])
@pytest.mark.parametrize("with_encoder", [False, True])
def test_an_operator_is_its_formula(operator: str, with_encoder: bool) -> None:
    model, ids, v, m, layer = tiny_model(), random_ids(2, 5), random_vector(), 0.7, 1
    target = 2.5 if "clamp" in operator else None
    encoder = random_vector(9) if with_encoder else None
    edit = Edit(layer, v, operator, m, "completion", target, encoder, bias=0.3 if with_encoder else 0.0, threshold=0.5)
    with torch.no_grad(), layers.reading_outputs(model, [layer]) as read:
        logits(model, ids)
        x = read[layer]
        with ActivationEdit((edit,)).applied(model), layers.reading_outputs(model, [layer]) as after:
            logits(model, ids, [3, 4])
    d = v if with_encoder or operator == "add" else v / v.norm()
    for row, prompt in enumerate((3, 4)):
        for t in range(5):
            z = (x[row, t] @ encoder + 0.3).item() if encoder is not None else (x[row, t] @ d).item()
            f = (z if z > 0.5 else 0.0) if with_encoder else z
            size = {
                "add": m,
                "clamp": m * ((target or 0) - f),
                "min_clamp": m * max(0.0, (target or 0) - f),
                "ablate": -m * f,
            }[operator]
            expected = x[row, t] + size * d if t >= prompt else x[row, t]
            torch.testing.assert_close(after[layer][row, t], expected, atol=1e-5, rtol=1e-5)


def test_full_ablation_leaves_nothing_of_the_direction() -> None:
    model, v = tiny_model(), random_vector()
    with (
        ActivationEdit((Edit(1, v, "ablate", write="every"),)).applied(model),
        layers.reading_outputs(model, [1]) as read,
    ):
        logits(model, random_ids(2, 4))
    assert (read[1] @ (v / v.norm())).abs().max() < 1e-4


@pytest.mark.parametrize(
    "edit", [Edit(0, random_vector(), strength=0.0), Edit(1, torch.zeros(16), "ablate"), Edit(0, torch.zeros(16))]
)
def test_a_null_edit_leaves_every_bit_and_sets_no_hook(edit: Edit) -> None:
    model, ids = tiny_model(), random_ids(2, 4)
    base = logits(model, ids)
    with ActivationEdit((edit,)).applied(model):
        assert hook_count(model) == 0
        assert torch.equal(logits(model, ids), base)


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_steering_vectors_library_and_our_edit_agree_bit_for_bit(architecture: str, dtype: torch.dtype) -> None:
    model, ids = tiny_model(architecture, dtype=dtype), random_ids(3, 5)
    ours = ActivationEdit(
        (Edit(0, random_vector(2), strength=0.3, write="every"), Edit(1, random_vector(3), write="every"))
    )
    with ours.applied(model):
        steered = logits(model, ids)
    with torch.no_grad(), ours.to_steering_vector().apply(model):
        theirs = model(input_ids=ids).logits
    assert torch.equal(steered, theirs)
    back = ActivationEdit.from_steering_vector(ours.to_steering_vector())
    with back.applied(model):
        assert torch.equal(logits(model, ids), theirs)


def test_only_constant_additions_can_be_exported() -> None:
    for edit in (Edit(0, random_vector(), "ablate"), Edit(0, random_vector(), first=2)):
        with pytest.raises(ConfigError, match="only adds"):
            ActivationEdit((edit,)).to_steering_vector()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_an_edit_is_computed_in_at_least_float32_and_rounded_once(dtype: torch.dtype) -> None:
    model, ids, v = tiny_model(dtype=dtype), random_ids(2, 4), random_vector()
    with torch.no_grad(), layers.reading_outputs(model, [1]) as before:
        logits(model, ids)
    edit = ActivationEdit((Edit(1, v, strength=0.1, write="every"),))
    with edit.applied(model), layers.reading_outputs(model, [1]) as after:
        logits(model, ids)
    wide = torch.promote_types(dtype, torch.float32)
    assert torch.equal(after[1], (before[1].to(wide) + (0.1 * v).to(wide)).to(dtype))


def test_a_forward_without_positions_is_refused_unless_every_token_is_written() -> None:
    model, ids = tiny_model(), random_ids(1, 3)
    with ActivationEdit((Edit(0, random_vector(), write="every"),)).applied(model):
        model(input_ids=ids)
    with (
        ActivationEdit((Edit(0, random_vector()),)).applied(model),
        pytest.raises(RuntimeError, match="forward_positions"),
    ):
        model(input_ids=ids)
    assert hook_count(model) == 0


def test_positions_of_another_chunk_are_refused() -> None:
    model = tiny_model()
    with (
        ActivationEdit((Edit(0, random_vector(), write="prompt"),)).applied(model),
        pytest.raises(RuntimeError, match="exactly the tokens"),
        forward_positions(torch.tensor([[0, 1]]), torch.tensor([2])),
    ):
        model(input_ids=random_ids(1, 3))


def test_an_edit_of_the_prompt_rests_while_decoding() -> None:
    model, edit = tiny_model(), ActivationEdit((Edit(0, random_vector()), Edit(1, random_vector())))
    with edit.applied(model), forward_positions(torch.tensor([[7], [5]]), torch.tensor([3, 2])):
        model(input_ids=random_ids(2, 1))
    assert (edit.calls.fired, edit.calls.written) == (2, 0)


def test_padding_is_never_written() -> None:
    model, mask_B_T = tiny_model(), torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    positions = positions_of(mask_B_T)
    ids, lengths = random_ids(2, 4), torch.tensor([2, 4])
    inputs = {"input_ids": ids, "attention_mask": mask_B_T, "position_ids": positions.clamp_min(0)}
    with torch.no_grad(), layers.reading_outputs(model, [1]) as before:
        model(**inputs)
    edit = ActivationEdit((Edit(1, random_vector(), write="onward"),))
    with (
        torch.no_grad(),
        edit.applied(model),
        layers.reading_outputs(model, [1]) as after,
        forward_positions(positions, lengths),
    ):
        model(**inputs)
    moved = (before[1] != after[1]).any(-1)
    assert torch.equal(moved, mask("onward", positions, lengths))


def test_the_id_is_content_and_survives_the_folder(tmp_path: Path) -> None:
    edit = ActivationEdit((Edit(1, random_vector(3), "clamp", target=1.0), Edit(0, random_vector(2), first=3)))
    save(edit, tmp_path / "one", ["b", "a"])
    save(edit, tmp_path / "elsewhere" / "two")
    one, two = load_intervention(tmp_path / "one"), load_intervention(tmp_path / "elsewhere" / "two")
    assert one.id == two.id == edit.id == ActivationEdit(tuple(reversed(edit.edits))).id
    others = (Edit(0, random_vector(2), first=4), Edit(0, random_vector(2) + 1e-6, first=3), Edit(1, random_vector(2)))
    assert len({edit.id, *(ActivationEdit((other,)).id for other in others)}) == 4


def test_another_width_or_depth_is_refused_with_both_numbers() -> None:
    with (
        pytest.raises(CheckpointError, match=r"24 wide.*16"),
        ActivationEdit((Edit(0, torch.ones(24)),)).applied(tiny_model()),
    ):
        pass
    with pytest.raises(CheckpointError, match=r"layer 5.*0 to 1"):
        ActivationEdit((Edit(5, torch.ones(16)),)).check(tiny_model())


@pytest.mark.parametrize(
    "fields",
    [
        {"operator": "ad"}, {"write": "onwards"}, {"operator": "clamp"}, {"target": 1.0}, {"strength": float("nan")},
        {"first": 0}, {"half_life": 0.0}, {"encoder": torch.ones(3)}, {"layer": -1}, {"vector": torch.ones(2, 2)},
        {"vector": torch.full((4,), float("inf"))},
    ],
)  # fmt: skip
def test_a_field_that_can_not_be_used_is_refused(fields: dict) -> None:
    with pytest.raises(ConfigError):
        Edit(**{"layer": 0, "vector": torch.ones(16), **fields})


def test_relative_norms_are_those_measured_by_hand() -> None:
    model, rows = tiny_model(), [[4, 5, 6, 7], [8, 9, 10]]
    norms = residual_norms(model, rows, [0, 1])
    squares = []
    for row in rows:
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor([row]), output_hidden_states=True).hidden_states[1]
        squares += [hidden[0, t].pow(2).sum().item() for t in range(1, len(row))]
    assert norms[0] == pytest.approx((sum(squares) / len(squares)) ** 0.5, rel=1e-5)
    v = random_vector()
    edit = ActivationEdit((Edit(0, v, strength=0.5), Edit(1, v, "ablate")))
    found = relative_norms(edit, norms)
    assert found[0] == pytest.approx(0.5 * v.norm().item() / norms[0], rel=1e-5)
    assert found[1] is None
    with pytest.raises(DataError, match="layer 1"):
        relative_norms(edit, {0: 1.0})


def test_gradients_reach_what_stands_below_an_edit() -> None:
    model = tiny_model()
    embedding = model.get_input_embeddings().weight.requires_grad_(True)
    with ActivationEdit((Edit(0, random_vector(), write="every"),)).applied(model):
        model(input_ids=random_ids(1, 3)).logits.sum().backward()
    assert embedding.grad is not None and bool(embedding.grad.abs().sum() > 0)
