"""The class that vLLM loads by name: the keyed draw as a logits processor of its V1 model runner.

Imports vllm, so only vLLM imports it. All decisions are in rows.py.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm.v1.sample.logits_processor.interface import LogitsProcessor, MoveDirectionality

from elicit.sampling.vllm.rows import KeyedRows


class Keyed(LogitsProcessor):  # type: ignore[misc]
    """`KeyedRows` under vLLM's names for it."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self.rows = KeyedRows()

    def is_argmax_invariant(self) -> bool:
        """False: vLLM's greedy sampler has to see the drawn token."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Follow a change of the batch."""
        if batch_update is None:
            return
        added = [(index, params.extra_args, outputs) for index, params, _, outputs in batch_update.added]
        moved = [(one, other, way == MoveDirectionality.SWAP) for one, other, way in batch_update.moved]
        self.rows.update(list(batch_update.removed), added, moved)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Draw a token per row."""
        return self.rows.draw(logits)
