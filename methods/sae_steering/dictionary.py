"""A dictionary: one SAE at one layer, in units that can be compared.

    x ~ b_dec + sum_f a_f d_f        |d_f| = 1, a_f = (the SAE's activation) * (its decoder row's norm)

SAELens saves Standard, Gated and JumpReLU rows at norm .01 and released ones at any norm, so rows are normalised
and the norm goes into the activation: then an activation is a length in the residual stream, whatever the SAE.
Knows nothing of models, training or steering. N tokens, F features, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from elicit.errors import MethodError
from elicit.files import content_hash
from elicit.policy.intervention import tensor_hash

CHUNK = 8192


@dataclass(frozen=True, eq=False)
class Dictionary:
    """An SAELens SAE of the output of block `layer`."""

    layer: int
    sae: Any
    """a sae_lens.SAE (inference form), in eval mode"""
    source: str
    """where it came from, for reports"""
    k: float | None = None
    """active features a token that it was trained for; None where it does not say"""

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

    @torch.no_grad()
    def encode(self, x_N_D: torch.Tensor) -> torch.Tensor:
        """Activations [N, F] in units of the residual stream, float32 on the CPU."""
        weight = self.sae.W_enc
        parts = [self.sae.encode(part.to(weight.device, weight.dtype)).float().cpu() for part in x_N_D.split(CHUNK)]
        return torch.cat(parts) * self._scale_F

    @torch.no_grad()
    def reconstruct(self, x_N_D: torch.Tensor) -> torch.Tensor:
        """decode(encode(x)) [N, D], in x's dtype and on its device."""
        weight = self.sae.W_enc
        parts = [self.sae.decode(self.sae.encode(part.to(weight.device, weight.dtype))) for part in x_N_D.split(CHUNK)]
        return torch.cat(parts).to(x_N_D.device, x_N_D.dtype)

    @torch.no_grad()
    def encode_and_reconstruct(self, x_N_D: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(activations [N, F], reconstruction [N, D]) of one chunk by one encoding, float32 on the CPU."""
        weight = self.sae.W_enc
        raw_N_F = self.sae.encode(x_N_D.to(weight.device, weight.dtype))
        return raw_N_F.float().cpu() * self._scale_F, self.sae.decode(raw_N_F).float().cpu()

    def reader(self, feature: int) -> tuple[torch.Tensor, float, float]:
        """(encoder [D], bias, threshold) of one feature: a_f = z where z = x.encoder + bias exceeds the threshold.

        For a TopK SAE the threshold of the competition is not a number: give one that was measured instead of the 0
        returned. Raises MethodError for a gated SAE or one that normalises each token, which have no such row.
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
