"""Sparse codes: which features fire on which tokens, and how much, from one pass over a store.

A token has k of F features active, so the whole is kept as (token, feature, value) triples, sixty times smaller than
the dense matrix; every statistic of the survey, the quality card and the dashboard is a sum over triples. A large store
is read at evenly spaced chunks up to `limit` tokens. E entries, F features, N tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from methods.sae_steering.dictionary import Dictionary
from methods.sae_steering.store import ActivationStore

LIMIT = 131_072
CHUNK = 4096


@dataclass(frozen=True, eq=False)
class Codes:
    """The positive activations of one dictionary on (part of) one store."""

    layer: int
    size: int
    """F"""
    places_N: np.ndarray
    """places in the store of the tokens that were read"""
    tokens_E: torch.Tensor
    """place in `places_N` of each entry"""
    features_E: torch.Tensor
    values_E: torch.Tensor
    error: float
    """sum of squared differences to the reconstruction"""
    total: float
    """sum of squared differences to the mean activation"""

    def __len__(self) -> int:
        return len(self.places_N)

    @cached_property
    def rate_F(self) -> torch.Tensor:
        """Share of tokens on which each feature fires."""
        return torch.bincount(self.features_E, minlength=self.size) / max(len(self), 1)

    @cached_property
    def least_F(self) -> torch.Tensor:
        """Smallest positive activation; infinite where a feature never fires."""
        return torch.full((self.size,), torch.inf).scatter_reduce(0, self.features_E, self.values_E, "amin")

    @property
    def l0(self) -> float:
        """Mean active features a token."""
        return len(self.values_E) / max(len(self), 1)

    def sums(self, groups_N: np.ndarray, count: int) -> torch.Tensor:
        """Activations [count, F] summed by group of tokens."""
        flat = torch.from_numpy(groups_N.astype(np.int64))[self.tokens_E] * self.size + self.features_E
        return torch.bincount(flat, weights=self.values_E.double(), minlength=count * self.size).view(count, -1).float()

    def of(self, feature: int) -> tuple[np.ndarray, torch.Tensor]:
        """(places in the store, activations) of one feature where it fires."""
        own = (self.features_E == feature).nonzero()[:, 0]
        return self.places_N[self.tokens_E[own].numpy()], self.values_E[own]


def codes(dictionary: Dictionary, store: ActivationStore, limit: int = LIMIT) -> Codes:
    """One pass: encode, reconstruct, keep what is positive."""
    starts = list(range(0, len(store), CHUNK))
    every = -(-len(store) // max(limit, 1))
    chosen = [np.arange(start, min(start + CHUNK, len(store))) for start in starts[:: max(every, 1)]]
    array, parts, error = store.arrays[dictionary.layer], [], 0.0
    mean_D = sum(array[place].sum(0, dtype=np.float64) for place in chosen) / max(sum(map(len, chosen)), 1)
    offset, total = 0, 0.0
    for place in chosen:
        x_N_D = torch.from_numpy(np.ascontiguousarray(array[place]))
        acts_N_F, back_N_D = dictionary.encode_and_reconstruct(x_N_D)
        error += (x_N_D - back_N_D).double().square().sum().item()
        total += (x_N_D.double() - torch.as_tensor(mean_D)).square().sum().item()
        rows, features = acts_N_F.nonzero(as_tuple=True)
        parts.append((rows + offset, features, acts_N_F[rows, features]))
        offset += len(place)
    triples = _joined(parts)
    return Codes(dictionary.layer, dictionary.size, np.concatenate(chosen) if chosen else np.zeros(0, int), *triples,
                 error, total)  # fmt: skip


def _joined(
    parts: Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]],
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    if not parts:
        return torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), torch.zeros(0)
    rows, features, values = zip(*parts, strict=True)
    return torch.cat(rows), torch.cat(features), torch.cat(values)
