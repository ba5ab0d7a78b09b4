"""Laws of positions: what each set of positions means, whatever the padding or the chunk."""

from __future__ import annotations

import pytest
import torch

from elicit.errors import ConfigError
from elicit.policy.positions import WRITES, current, forward_positions, mask, positions_of


def by_hand(write: str, position: int, prompt: int) -> bool:
    """The definition, one token at a time."""
    if position == -1:
        return False
    return {
        "last_prompt": position == prompt - 1,
        "onward": position >= prompt - 1,
        "every": True,
        "prompt": position < prompt,
        "completion": position >= prompt,
    }[write]


@pytest.mark.parametrize("write", WRITES)
def test_a_mask_is_its_definition_token_by_token(write: str) -> None:
    positions = torch.tensor([[-1, -1, 0, 1, 2], [0, 1, 2, 3, 4], [7, 8, 9, -1, -1]])
    lengths = torch.tensor([2, 4, 9])
    expected = [
        [by_hand(write, p, n) for p in row] for row, n in zip(positions.tolist(), lengths.tolist(), strict=True)
    ]
    assert mask(write, positions, lengths).tolist() == expected


@pytest.mark.parametrize("write", WRITES)
def test_prompt_and_completion_split_every(write: str) -> None:
    positions, lengths = positions_of(torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])), torch.tensor([1, 3])
    either = mask("prompt", positions, lengths) ^ mask("completion", positions, lengths)
    assert torch.equal(either, mask("every", positions, lengths))
    assert not (mask(write, positions, lengths) & (positions < 0)).any()


def test_an_unknown_write_names_its_neighbours() -> None:
    with pytest.raises(ConfigError, match="last_prompt"):
        mask("last_promt", torch.zeros(1, 1, dtype=torch.long), torch.ones(1))


def test_the_context_ends_with_its_block_also_after_an_exception() -> None:
    with pytest.raises(KeyError), forward_positions(torch.tensor([[0]]), torch.tensor([1])):
        assert current() is not None
        raise KeyError
    assert current() is None


def test_nested_contexts_give_back_the_outer_one() -> None:
    with forward_positions(torch.tensor([[0]]), torch.tensor([1])) as outer:
        with forward_positions(torch.tensor([[1]]), torch.tensor([1])):
            pass
        assert current() is outer


def test_extent_says_whether_any_token_is_meant() -> None:
    with forward_positions(torch.tensor([[3], [4]]), torch.tensor([2, 2])) as where:
        assert [where.extent(w) for w in ("last_prompt", "completion", "every")] == ["none", "all", "all"]
    with forward_positions(torch.tensor([[0, 1]]), torch.tensor([1])) as where:
        assert where.extent("completion") == "some"


def test_shapes_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="prompt lengths"), forward_positions(torch.zeros(2, 3), torch.zeros(3)):
        pass


def test_a_schedule_counts_from_the_last_prompt_token() -> None:
    with forward_positions(torch.tensor([[0, 1, 2, 3, 4]]), torch.tensor([3])) as where:
        device = torch.device("cpu")
        assert where.schedule(2, None, device)[0, :, 0].tolist() == [1, 1, 1, 1, 0]
        assert where.schedule(None, 1.0, device)[0, :, 0].tolist() == [1, 1, 1, 0.5, 0.25]
