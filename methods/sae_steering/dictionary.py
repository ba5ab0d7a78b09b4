"""A dictionary: one SAE at one layer, in units that can be compared, and the sparse codes that it gives a store.

    x ~ b_dec + sum_f a_f d_f        |d_f| = 1, a_f = (the SAE's activation) * (its decoder row's norm)

SAELens saves Standard, Gated and JumpReLU rows at norm .01 and released ones at any norm, so rows are normalised and
the norm is moved into the activation. An activation is then a length in the residual stream for every SAE.

Codes: k of F features are active at a token, so all activations of a store are kept as (token, feature, value) entries,
sixty times smaller than the dense matrix. Every statistic of the survey, the quality card and the dashboard is a sum
over entries. A large store is read at evenly spaced chunks, up to about `LIMIT` tokens.
Knows nothing of models, training or steering. E entries, N tokens, F features, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from elicit.errors import MethodError
from elicit.files import content_hash
from elicit.lazy import no_grad
from elicit.policy.intervention import tensor_hash
from methods.sae_steering.store import ActivationStore

ENCODE_ROWS = 8192
"""activations that an SAE encodes at a time"""
LIMIT = 131_072
"""tokens of a store that are coded, at most about"""
CODE_ROWS = 4096
"""activations that are coded at a time"""


@dataclass(frozen=True, eq=False)
class Dictionary:
    """An SAELens SAE of the output of block `layer`."""

    layer: int
    sae: Any
    """a sae_lens.SAE (inference form), in eval mode"""
    source: str
    """its origin, for reports"""
    k: float | None = None
    """active features per token that it was trained for; None if its files do not say"""

    @cached_property
    def id(self) -> str:
        """Hash of layer and tensors."""
        return content_hash([self.layer, {name: tensor_hash(value) for name, value in self.sae.state_dict().items()}])

    @property
    def size(self) -> int:
        """F, the number of features."""
        return int(self.sae.W_dec.shape[0])

    @cached_property
    def norms_F(self) -> torch.Tensor:
        """Norms of the decoder rows as loaded, float32."""
        return self.sae.W_dec.detach().float().cpu().norm(dim=-1)

    @cached_property
    def directions_F_D(self) -> torch.Tensor:
        """Decoder rows at norm 1 (a zero row stays zero), float32 on the CPU."""
        return self.sae.W_dec.detach().float().cpu() / self.norms_F.clamp_min(1e-12)[:, None]

    @cached_property
    def _scale_F(self) -> torch.Tensor:
        """From the SAE's activations to lengths: its own TopK rescaling may have done it already."""
        done = getattr(self.sae.cfg, "rescale_acts_by_decoder_norm", False)
        return torch.ones_like(self.norms_F) if done else self.norms_F

    @no_grad
    def encode(self, x_N_D: torch.Tensor) -> torch.Tensor:
        """Activations [N, F] in units of the residual stream, float32 on the CPU."""
        weight = self.sae.W_enc
        chunks = (part.to(weight.device, weight.dtype) for part in x_N_D.split(ENCODE_ROWS))
        return torch.cat([self.sae.encode(chunk).float().cpu() for chunk in chunks]) * self._scale_F

    @no_grad
    def reconstruct(self, x_N_D: torch.Tensor) -> torch.Tensor:
        """decode(encode(x)) [N, D], in x's dtype and on its device."""
        weight = self.sae.W_enc
        chunks = (part.to(weight.device, weight.dtype) for part in x_N_D.split(ENCODE_ROWS))
        return torch.cat([self.sae.decode(self.sae.encode(chunk)) for chunk in chunks]).to(x_N_D.device, x_N_D.dtype)

    @no_grad
    def encode_and_reconstruct(self, x_N_D: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(activations [N, F], reconstruction [N, D]) of one chunk by one encoding, float32 on the CPU."""
        weight = self.sae.W_enc
        raw_N_F = self.sae.encode(x_N_D.to(weight.device, weight.dtype))
        return raw_N_F.float().cpu() * self._scale_F, self.sae.decode(raw_N_F).float().cpu()

    def reader(self, feature: int) -> tuple[torch.Tensor, float, float]:
        """(encoder [D], bias, threshold) of one feature: a_f = z where z = x.encoder + bias exceeds the threshold.

        A TopK SAE has no fixed threshold: replace the returned 0 by a measured one. Raises MethodError for a gated SAE
        or one that normalises each token, which have no such row.
        """
        cfg, sae = self.sae.cfg, self.sae
        kind = cfg.architecture()
        if kind not in ("standard", "topk", "jumprelu") or cfg.normalize_activations in (
            "layer_norm",
            "constant_norm_rescale",
        ):
            raise MethodError(
                f"a {kind} SAE with normalize_activations={cfg.normalize_activations} has no single encoder row: "
                "steer with operator=add and without a feature gate"
            )
        scale = self.norms_F[feature].item()
        row_D = sae.W_enc.detach()[:, feature].float().cpu()
        bias = sae.b_enc.detach()[feature].item()
        if cfg.apply_b_dec_to_input:
            bias -= (sae.b_dec.detach().float().cpu() @ row_D).item()
        threshold = sae.threshold.detach()[feature].item() if kind == "jumprelu" else 0.0
        return row_D * scale, bias * scale, threshold * scale


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
        """Smallest positive activation; infinite for a feature that never fires."""
        return torch.full((self.size,), torch.inf).scatter_reduce(0, self.features_E, self.values_E, "amin")

    @property
    def l0(self) -> float:
        """Mean number of active features per token."""
        return len(self.values_E) / max(len(self), 1)

    def sums(self, groups_N: np.ndarray, count: int) -> torch.Tensor:
        """Activations [count, F] summed by group of tokens."""
        flat = torch.from_numpy(groups_N.astype(np.int64))[self.tokens_E] * self.size + self.features_E
        return torch.bincount(flat, weights=self.values_E.double(), minlength=count * self.size).view(count, -1).float()

    def of(self, feature: int) -> tuple[np.ndarray, torch.Tensor]:
        """(places in the store, activations) of the tokens on which one feature fires."""
        entries = (self.features_E == feature).nonzero()[:, 0]
        return self.places_N[self.tokens_E[entries].numpy()], self.values_E[entries]


def codes(dictionary: Dictionary, store: ActivationStore, limit: int = LIMIT) -> Codes:
    """The codes of about `limit` activations of a store, in one pass: encode, reconstruct, keep what is positive."""
    starts = list(range(0, len(store), CODE_ROWS))
    every = -(-len(store) // max(limit, 1))
    chunks = [np.arange(start, min(start + CODE_ROWS, len(store))) for start in starts[:: max(every, 1)]]
    array, parts, error = store.arrays[dictionary.layer], [], 0.0
    mean_D = sum(array[places].sum(0, dtype=np.float64) for places in chunks) / max(sum(map(len, chunks)), 1)
    offset, total = 0, 0.0
    for places in chunks:
        x_N_D = torch.from_numpy(np.ascontiguousarray(array[places]))
        acts_N_F, back_N_D = dictionary.encode_and_reconstruct(x_N_D)
        error += (x_N_D - back_N_D).double().square().sum().item()
        total += (x_N_D.double() - torch.as_tensor(mean_D)).square().sum().item()
        rows, features = acts_N_F.nonzero(as_tuple=True)
        parts.append((rows + offset, features, acts_N_F[rows, features]))
        offset += len(places)
    nothing = (torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), torch.zeros(0))
    tokens_E, features_E, values_E = (torch.cat(column) for column in zip(nothing, *parts, strict=True))
    read_N = np.concatenate([np.zeros(0, int), *chunks])
    return Codes(dictionary.layer, dictionary.size, read_N, tokens_E, features_E, values_E, error, total)
