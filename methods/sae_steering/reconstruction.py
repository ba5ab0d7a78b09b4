"""Reconstruction without edit: a block's output replaced by its dictionary's reconstruction.

    h_l <- b + sum_f a_f(h_l) d_f        at the write positions, never at a row's first token

The effect of the dictionary alone, with no feature touched: a gain here comes from the reconstruction, not from a
feature. Holds the whole dictionary as plain tensors, so that evaluation needs no sae-lens. The encoder is restated here
for the architectures with one encoder row per feature; a test compares it with SAELens' own. F features, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from elicit.errors import CheckpointError, MethodError
from elicit.files import content_hash
from elicit.lazy import no_grad
from elicit.names import published_name
from elicit.policy import layers, positions
from elicit.policy.intervention import tensor_hash
from methods.sae_steering.dictionary import Dictionary

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """The output of one block as its dictionary reconstructs it. Implements `Intervention`."""

    kind: ClassVar[str] = "activations"

    layer: int
    write: str
    k: int | None
    """features kept per token (TopK); None: all that are active"""
    encoder_D_F: torch.Tensor
    bias_F: torch.Tensor
    threshold_F: torch.Tensor
    """a feature is active above it, and above 0"""
    decoder_F_D: torch.Tensor
    bias_D: torch.Tensor

    def __post_init__(self) -> None:
        positions.check_write(self.write)

    @classmethod
    def of(cls, dictionary: Dictionary, write: str) -> Reconstruction:
        """The reconstruction by a loaded dictionary. Raises MethodError for one whose encoder is more than a row."""
        cfg, sae = dictionary.sae.cfg, dictionary.sae
        kind = cfg.architecture()
        if kind not in ("standard", "topk", "jumprelu") or cfg.normalize_activations != "none":
            raise MethodError(
                f"a {kind} SAE with normalize_activations={cfg.normalize_activations} is not restated here: leave out "
                "the rival `reconstruction` (rivals=one), or use a standard, TopK or JumpReLU dictionary"
            )
        tensors = {name: value.detach().float().cpu() for name, value in sae.state_dict().items()}
        encoder_D_F, decoder_F_D = tensors["W_enc"], tensors["W_dec"]
        bias_F = tensors["b_enc"] - (tensors["b_dec"] @ encoder_D_F if cfg.apply_b_dec_to_input else 0.0)
        threshold_F = tensors["threshold"] if kind == "jumprelu" else torch.zeros_like(bias_F)
        if getattr(cfg, "rescale_acts_by_decoder_norm", False):
            norms_F = decoder_F_D.norm(dim=-1)
            encoder_D_F, bias_F = encoder_D_F * norms_F, bias_F * norms_F
            decoder_F_D = decoder_F_D / norms_F.clamp_min(1e-12)[:, None]
        k = int(cfg.k) if kind == "topk" else None
        return cls(dictionary.layer, write, k, encoder_D_F, bias_F, threshold_F, decoder_F_D, tensors["b_dec"])

    @no_grad
    def reconstruct(self, x_N_D: torch.Tensor) -> torch.Tensor:
        """b + sum_f a_f(x) d_f [N, D], in x's dtype."""
        own = {name: value.to(x_N_D.device) for name, value in self.tensors().items()}
        z_N_F = x_N_D.float() @ own["encoder"] + own["bias"]
        acts_N_F = torch.where(z_N_F > own["threshold"], z_N_F, 0.0).relu()
        if self.k is not None:
            values_N_K, winners_N_K = acts_N_F.topk(min(self.k, acts_N_F.shape[-1]), dim=-1)
            acts_N_F = torch.zeros_like(acts_N_F).scatter_(-1, winners_N_K, values_N_K)
        return (acts_N_F @ own["decoder"] + own["centre"]).to(x_N_D.dtype)

    @cached_property
    def id(self) -> str:
        """Hash of the content."""
        tensors = {name: tensor_hash(tensor) for name, tensor in self.tensors().items()}
        return content_hash({"kind": self.kind, "spec": self.spec(), "tensors": tensors})

    def spec(self) -> dict[str, Any]:
        """Layer, positions, k, and the class that reads them back."""
        return {"class": published_name(type(self)), "layer": self.layer, "write": self.write, "k": self.k}

    def tensors(self) -> dict[str, torch.Tensor]:
        """encoder [D, F], bias [F], threshold [F], decoder [F, D], centre [D]."""
        return {"encoder": self.encoder_D_F, "bias": self.bias_F, "threshold": self.threshold_F,
                "decoder": self.decoder_F_D, "centre": self.bias_D}  # fmt: skip

    @classmethod
    def from_spec(cls, fields: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Reconstruction:
        """The inverse of `spec` and `tensors`."""
        named = ("encoder", "bias", "threshold", "decoder", "centre")
        return cls(fields["layer"], fields["write"], fields["k"], *(tensors[name] for name in named))

    def check(self, model: nn.Module) -> None:
        """Raises CheckpointError if width or layer disagree with the model's."""
        wide, count = layers.width(model), len(layers.blocks(model))
        if self.bias_D.numel() != wide or self.layer >= count:
            raise CheckpointError(
                f"the dictionary of layer {self.layer} is {self.bias_D.numel()} wide, {type(model).__name__} has "
                f"{count} layers of width {wide}; use the checkpoint that it was fitted on"
            )

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Inside, the block's output is reconstructed at the write positions; the hook goes on leaving."""
        self.check(model)
        with layers.changing_outputs(model, {self.layer: self._changed}):
            yield

    def _changed(self, hidden_B_T_D: torch.Tensor) -> torch.Tensor | None:
        where = positions.current()
        if where is None:
            raise RuntimeError(
                "a reconstruction ran in a forward pass without positions: put it inside "
                "elicit.policy.positions.forward_positions, or sample through elicit.sampling"
            )
        if where.extent(self.write) == "none":
            return None
        device = hidden_B_T_D.device
        chosen_B_T = where.mask(self.write, device)[..., 0] & (where.positions_B_T > 0).to(device)
        changed_B_T_D = hidden_B_T_D.clone()
        changed_B_T_D[chosen_B_T] = self.reconstruct(hidden_B_T_D[chosen_B_T])
        return changed_B_T_D
