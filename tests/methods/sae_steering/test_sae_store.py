"""Laws of the activation store: what is read where, left out, mapped, resumed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from elicit.errors import DataError, MethodError
from elicit.policy.checkpoint import wrap
from elicit.policy.policy import Policy
from methods.sae_steering import store as module
from methods.sae_steering.store import collect
from tests.policy.tiny import tiny_model, tiny_tokenizer

ROWS = [(5, 9, 1, 14, 7), (8, 6, 30), (9,), (12, 13, 14, 15, 16, 17)]
SIDES = [True, False, None, True]


def policy() -> Policy:
    return Policy(wrap(tiny_model(), tiny_tokenizer()))


def test_the_store_holds_block_outputs_of_ordinary_tokens_with_their_index() -> None:
    tiny = policy()
    store = collect(tiny, ROWS, [2, 1, 1, 3], SIDES, [0, 1])
    expected = [(i, p) for i, row in enumerate(ROWS) for p, token in enumerate(row) if p and token != 1]
    assert list(zip(store.rows_N.tolist(), store.positions_N.tolist(), strict=True)) == expected
    assert store.tokens_N.tolist() == [ROWS[i][p] for i, p in expected]
    assert store.labels_N.tolist() == [{True: 1, False: 0, None: -1}[SIDES[i]] for i, _ in expected]
    for place, (i, p) in enumerate(expected):
        hidden = tiny.checkpoint.model(torch.tensor([ROWS[i]]), output_hidden_states=True).hidden_states
        for layer in (0,):
            torch.testing.assert_close(
                torch.from_numpy(store.arrays[layer][place]), hidden[layer + 1][0, p], atol=1e-4, rtol=1e-4
            )
    assert store.places_of([3, 0], [5, 4]).tolist() == [expected.index((3, 5)), expected.index((0, 4))]
    with pytest.raises(DataError, match="left out"):
        store.places_of([0], [2])


def test_above_the_limit_it_is_mapped_and_a_killed_collection_goes_on(tmp_path: Path, monkeypatch) -> None:
    whole = collect(policy(), ROWS, [1] * 4, SIDES, [0, 1])
    calls: list[int] = []
    read = module.block_outputs

    def dying(*arguments):
        calls.append(len(arguments[1]))
        for number, found in enumerate(read(*arguments)):
            if len(calls) == 1 and number == 2:
                np.save(tmp_path / "done.npy", np.array([False, True, True, False]))
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(module, "block_outputs", dying)
    with pytest.raises(KeyboardInterrupt):
        collect(policy(), ROWS, [1] * 4, SIDES, [0, 1], tmp_path, memory_mb=0)
    again = collect(policy(), ROWS, [1] * 4, SIDES, [0, 1], tmp_path, memory_mb=0)
    assert calls == [3, 2], "the row without an ordinary token is never read, those done are not read again"
    for layer in (0, 1):
        assert isinstance(again.arrays[layer], np.memmap)
        np.testing.assert_allclose(again.arrays[layer], whole.arrays[layer], atol=1e-5)
    with pytest.raises(DataError, match="other rows"):
        collect(policy(), ROWS[:2], [1] * 2, SIDES[:2], [0, 1], tmp_path, memory_mb=0)


def test_nan_activations_stop_the_collection() -> None:
    tiny = policy()
    tiny.checkpoint.model.model.layers[0].mlp.down_proj.weight.data[0, 0] = torch.nan
    with pytest.raises(MethodError, match=r"NaN.*float32"):
        collect(tiny, ROWS, [1] * 4, SIDES, [0])
