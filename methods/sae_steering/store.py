"""Activations of own text on disk or in memory, with an index of the token that each belongs to.

    <folder>/layer-<l>.npy   float32 [N, D], one file per layer (above `memory_mb`; below it they stay in memory)
    <folder>/done.npy        bool, one per row: what was collected before a kill is not collected again

The index holds for every activation its row (sample), absolute position, token and label. Position 0 and special
tokens are left out: their norms are outliers of one or two orders. N tokens, L layers, D width. One pass reads all
layers and stops after the deepest. Knows nothing of dictionaries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from elicit.errors import DataError
from elicit.files import content_hash, read_json, write_json
from elicit.policy.layers import width
from elicit.policy.residuals import block_outputs

if TYPE_CHECKING:
    from elicit.policy.policy import Policy

NO_LABEL = -1


@dataclass(frozen=True, eq=False)
class ActivationStore:
    """N activations of L layers."""

    layers: tuple[int, ...]
    arrays: dict[int, np.ndarray]
    """layer -> float32 [N, D]; a memory map if it is too large for memory"""
    rows_N: np.ndarray
    positions_N: np.ndarray
    tokens_N: np.ndarray
    labels_N: np.ndarray
    """1 positive side, 0 negative, -1 neither"""

    def __len__(self) -> int:
        return len(self.rows_N)

    def places_of(self, rows: Sequence[int], positions: Sequence[int]) -> np.ndarray:
        """Place of the activation at (row, position) for each pair. Raises DataError if one was left out."""
        known = {
            key: place for place, key in enumerate(zip(self.rows_N.tolist(), self.positions_N.tolist(), strict=True))
        }
        missing = [pair for pair in zip(rows, positions, strict=True) if pair not in known]
        if missing:
            raise DataError(
                f"row {missing[0][0]} has no activation at position {missing[0][1]}: it is a special token or the "
                "first one, which are left out; read at another position"
            )
        return np.array([known[pair] for pair in zip(rows, positions, strict=True)], dtype=np.int64)

    def labelled(self, sides: Sequence[bool | None]) -> ActivationStore:
        """The same activations under other labels, one per row."""
        labels_R = np.array([NO_LABEL if side is None else int(side) for side in sides], dtype=int)
        return replace(self, labels_N=labels_R[self.rows_N])

    def take(self, layer: int, places: np.ndarray) -> torch.Tensor:
        """Activations [n, D] at places of the index."""
        return torch.from_numpy(np.ascontiguousarray(self.arrays[layer][places]))


def collect(
    policy: Policy,
    rows: Sequence[tuple[int, ...]],
    prompt_lengths: Sequence[int],
    labels: Sequence[bool | None],
    layers: Sequence[int],
    folder: Path | None = None,
    memory_mb: int = 512,
) -> ActivationStore:
    """Read the block outputs of all layers at every ordinary token of every row.

    `folder` is used above `memory_mb`. Raises MethodError on NaN, DataError if the folder holds the activations of
    other rows.
    """
    special = set(policy.checkpoint.tokenizer.all_special_ids) | set(policy.checkpoint.eos_ids)
    kept = [np.array([p for p, token in enumerate(row) if p and token not in special], dtype=np.int32) for row in rows]
    starts = np.concatenate([[0], np.cumsum([len(places) for places in kept])])
    count, wide = int(starts[-1]), width(policy.checkpoint.model)
    large = count * wide * 4 * len(layers) > memory_mb * 2**20
    done = np.zeros(len(rows), dtype=bool)
    if large and folder is not None:
        arrays, done = _mapped(folder, layers, (count, wide), content_hash([policy.id, list(rows), list(layers)]), done)
    else:
        arrays = {layer: np.zeros((count, wide), dtype=np.float32) for layer in layers}
    left = [i for i in range(len(rows)) if not done[i] and len(kept[i])]
    read = block_outputs(policy, [rows[i] for i in left], [prompt_lengths[i] for i in left], layers)
    for number, (place, outputs_L_T_D) in enumerate(read):
        i = left[place]
        for layer, outputs_T_D in zip(layers, outputs_L_T_D, strict=True):
            arrays[layer][starts[i] : starts[i + 1]] = outputs_T_D.numpy()[kept[i]]
        done[i] = True
        if large and folder is not None and (number % 1024 == 1023 or number == len(left) - 1):
            for array in arrays.values():
                array.flush()  # type: ignore[attr-defined]
            np.save(folder / "done.npy", done)
    return ActivationStore(
        tuple(layers),
        arrays,
        np.repeat(np.arange(len(rows), dtype=np.int32), [len(places) for places in kept]),
        np.concatenate(kept) if kept else np.zeros(0, dtype=np.int32),
        np.concatenate([np.array(row)[places] for row, places in zip(rows, kept, strict=True)]).astype(np.int32),
        np.repeat([NO_LABEL if side is None else int(side) for side in labels], [len(places) for places in kept]),
    )


def _mapped(
    folder: Path, layers: Sequence[int], shape: tuple[int, int], identity: str, fresh: np.ndarray
) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """(memory maps by layer, bool per row: collected before)."""
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "store.json"
    old = mark.exists() and (folder / "done.npy").exists()
    if mark.exists() and read_json(mark)["id"] != identity:
        raise DataError(f"{folder} holds activations of other rows or layers: delete it, or use another run folder")
    write_json(mark, {"id": identity, "shape": list(shape), "layers": list(layers)})
    mode = "r+" if old else "w+"
    arrays: dict[int, np.ndarray] = {
        layer: np.lib.format.open_memmap(folder / f"layer-{layer}.npy", mode=mode, dtype=np.float32, shape=shape)
        for layer in layers
    }
    return arrays, np.load(folder / "done.npy") if old else fresh
