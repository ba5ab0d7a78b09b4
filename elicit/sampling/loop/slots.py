"""The arrays of a batch, a row per slot: what was generated (host), and what the next step needs (device).

S slots, T steps of a row, V vocabulary; C scalars per step in the order of `pick.SCALARS`. Rows occupy slots
0..rows-1. Plain storage: knows neither endings nor the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from elicit.sampling.loop.pick import SCALARS
from elicit.sampling.loop.uniforms import UniformTable


class Slots:
    """`rows` slots for paths of up to `steps` tokens. `logits_N_V`: a sample of the logits, for dtype and device."""

    def __init__(self, rows: int, steps: int, logits_N_V: torch.Tensor, drawn: bool) -> None:
        self.rows = rows
        self.job_S = np.zeros(rows, dtype=np.int64)
        self.live_S = np.zeros(rows, dtype=bool)
        self.steps_S = np.zeros(rows, dtype=np.int64)
        """tokens of each row at the last settlement"""
        self.tokens_S_T = np.zeros((rows, steps), dtype=np.int64)
        self.scalars_S_C_T = np.zeros((rows, len(SCALARS), steps), dtype=np.float64)
        self.ranks: dict[int, tuple[int, int]] = {}
        """slot -> (step, rank) of a first token that is taken by rank"""
        device = logits_N_V.device
        self.logits_S_V = logits_N_V.new_zeros((rows, logits_N_V.shape[1]))
        self.next_S = torch.zeros(rows, dtype=torch.long, device=device)
        """the token that was picked last and is written by the next forward pass"""
        self.device_steps_S = torch.zeros(rows, dtype=torch.long, device=device)
        """steps including those since the last settlement"""
        self.uniforms = UniformTable(rows, steps, device) if drawn else None

    def seat(self, slot: int, job: int, forced: Sequence[int], values_C_T: np.ndarray) -> None:
        """Begin a job's row in a slot, its forced tokens written. `values_C_T`: their scalars, or more."""
        self.job_S[slot], self.live_S[slot], self.steps_S[slot] = job, True, len(forced)
        self.tokens_S_T[slot, : len(forced)] = forced
        self.scalars_S_C_T[slot, :, : len(forced)] = values_C_T[:, : len(forced)]

    def admit(self, taken: np.ndarray, logits_N_V: torch.Tensor, sources: np.ndarray) -> None:
        """Hand the logits of prefixes `sources` to the slots `taken`."""
        device = self.logits_S_V.device
        to = torch.as_tensor(taken, device=device)
        self.logits_S_V[to] = logits_N_V[torch.as_tensor(sources, device=device)]
        self.device_steps_S[to] = torch.as_tensor(self.steps_S[taken], device=device)

    def join(self, taken: np.ndarray, tokens: Sequence[int]) -> None:
        """The rows in `taken` begin with a token that the next forward pass writes."""
        device = self.next_S.device
        to = torch.as_tensor(taken, device=device)
        self.next_S[to] = torch.tensor(tokens, device=device)
        self.device_steps_S[to] = torch.as_tensor(self.steps_S[taken], device=device)

    def write(self, tokens_S_K: np.ndarray, values_C_S_K: np.ndarray) -> None:
        """Write K tokens and their scalars behind the settled steps of every living row."""
        rows = np.nonzero(self.live_S)[0]
        columns_R_K = self.steps_S[rows, None] + np.arange(tokens_S_K.shape[1])
        self.tokens_S_T[rows[:, None], columns_R_K] = tokens_S_K[rows]
        self.scalars_S_C_T[rows[:, None], :, columns_R_K] = values_C_S_K[:, rows].transpose(1, 2, 0)

    def free(self, slot: int) -> None:
        """The row has ended; its slot may be taken."""
        self.live_S[slot] = False
        self.ranks.pop(slot, None)

    def shrink(self, sources: np.ndarray, targets: np.ndarray, rows: int) -> None:
        """Rows `sources` move to slots `targets`, then only the first `rows` slots are left."""

        def moved(array: np.ndarray) -> np.ndarray:
            array[targets] = array[sources]
            return array[:rows]

        def moved_there(tensor: torch.Tensor) -> torch.Tensor:
            tensor[targets] = tensor[sources]
            return tensor[:rows]

        self.job_S, self.live_S, self.steps_S = moved(self.job_S), moved(self.live_S), moved(self.steps_S)
        self.tokens_S_T, self.scalars_S_C_T = moved(self.tokens_S_T), moved(self.scalars_S_C_T)
        self.next_S, self.logits_S_V = moved_there(self.next_S), moved_there(self.logits_S_V)
        self.device_steps_S = moved_there(self.device_steps_S)
        if self.uniforms is not None and len(sources):
            device = self.device_steps_S.device
            self.uniforms.move(torch.as_tensor(sources, device=device), torch.as_tensor(targets, device=device))
        moves = dict(zip(sources.tolist(), targets.tolist(), strict=True))
        self.ranks = {moves.get(slot, slot): rank for slot, rank in self.ranks.items()}
        self.rows = rows
