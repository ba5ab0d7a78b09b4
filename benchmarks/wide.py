"""Counts the tensors of vocabulary width that live in a run, which shows what a loop keeps per step.

Every tensor that an operation returns and whose last dimension is V is tracked from its creation to the end of its
storage; the peak of live ones is counted in rows of V. Views count once. Nothing in the package uses it.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Wide(TorchDispatchMode):
    def __init__(self, vocabulary: int, weight: int) -> None:
        super().__init__()
        self.vocabulary, self.weight = vocabulary, weight
        """address of the output weights, which have the same width and are not part of the run"""
        self.holders: Counter[int] = Counter()
        self.rows: dict[int, float] = {}
        self.peak = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.dim() > 1 and tensor.shape[-1] == self.vocabulary:
                self._follow(tensor)
        return out

    def _follow(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        address = storage.data_ptr()
        if address == self.weight:
            return
        self.holders[address] += 1
        self.rows[address] = storage.nbytes() / tensor.element_size() / self.vocabulary
        weakref.finalize(tensor, self._leave, address)
        self.peak = max(self.peak, sum(self.rows.values()))

    def _leave(self, address: int) -> None:
        self.holders[address] -= 1
        if not self.holders[address]:
            self.rows.pop(address, None)


def peak_rows(model: Any, run: Callable[[], Any]) -> float:
    """Largest number of rows of V elements that live at once during `run`."""
    weight = model.get_output_embeddings().weight.untyped_storage().data_ptr()
    with _Wide(int(model.config.vocab_size), weight) as wide:
        run()
    return wide.peak
