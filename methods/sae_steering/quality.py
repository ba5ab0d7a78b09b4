"""Is a dictionary good enough to steer with? Its quality card, and the gate.

    fve            1 - sum |x - x_hat|^2 / sum |x - mean|^2      on activations that it may have been trained on
    l0             mean active features per token; compared with k if k is known
    dead           share of features that never fire on the activations read
    ce_recovered   (CE_zero - CE_sae) / (CE_zero - CE_base)      next-token cross-entropy on own text, the block output
                   replaced at every ordinary token by 0 or by its reconstruction

A dictionary without a single live feature is refused; one that misses a limit is still used, because its placebos use
it too, and the row of the comparison carries a warning. Knows nothing of how candidates are scored. B rows, T tokens,
D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from elicit.errors import MethodError
from elicit.lazy import no_grad
from elicit.policy.layers import changing_outputs
from elicit.sampling.likelihood import batches
from elicit.sampling.loop.forward import ForwardCall, Prefix, padded, prefix_logits
from elicit.sampling.loop.pick import precise
from methods.sae_steering.dictionary import Codes, Dictionary

if TYPE_CHECKING:
    from elicit.policy.policy import Policy


@dataclass(frozen=True)
class Gate:
    """The limits of a dictionary that is good enough."""

    fve: float = 0.6
    """least share of variance explained"""
    dead: float = 0.5
    """largest share of dead features"""
    l0: float = 0.15
    """largest |L0 / k - 1|"""
    ce_recovered: float = 0.8
    """least share of cross-entropy recovered"""


@dataclass(frozen=True)
class QualityCard:
    """The measured values of one dictionary."""

    dictionary: str
    layer: int
    source: str
    features: int
    k: float | None
    tokens: int
    """activations read"""
    fve: float
    l0: float
    dead: float
    ce_base: float
    ce_reconstructed: float
    ce_zero: float

    @property
    def ce_recovered(self) -> float | None:
        """None if removing the layer's output costs nothing, so that nothing can be recovered."""
        gap = self.ce_zero - self.ce_base
        return (self.ce_zero - self.ce_reconstructed) / gap if gap > 0 else None

    def faults(self, gate: Gate) -> list[str]:
        """One sentence per limit that it misses; empty: good enough."""
        out = []
        if not self.fve >= gate.fve:
            out.append(f"explains {self.fve:.2f} of the variance, {gate.fve} wanted")
        if not self.dead < gate.dead:
            out.append(f"{self.dead:.0%} of its features are dead, under {gate.dead:.0%} wanted")
        if self.k and not abs(self.l0 / self.k - 1) < gate.l0:
            out.append(f"L0 {self.l0:.1f} for k = {self.k:g}, within {gate.l0:.0%} wanted")
        if self.ce_recovered is None or not self.ce_recovered >= gate.ce_recovered:
            shown = "nothing to recover" if self.ce_recovered is None else f"{self.ce_recovered:.2f} recovered"
            out.append(f"cross-entropy: {shown}, {gate.ce_recovered} wanted")
        return out

    def plain(self, gate: Gate) -> dict[str, Any]:
        """As JSON, with the missed limits."""
        return {**asdict(self), "ce_recovered": self.ce_recovered, "faults": self.faults(gate)}


def quality(dictionary: Dictionary, coded: Codes, policy: Policy, rows: Sequence[tuple[int, ...]]) -> QualityCard:
    """From the codes of a store, and the cross-entropy of `rows`.

    Raises MethodError if no feature fires: steering with such a dictionary is steering with noise.
    """
    live = int((coded.rate_F > 0).sum())
    if not live:
        raise MethodError(
            f"the dictionary of layer {dictionary.layer} ({dictionary.source}) is all dead: none of its "
            f"{dictionary.size} features fires on {len(coded)} own activations. Train longer (method.train.tokens), or "
            "load an SAE of this model and layer"
        )
    ce = {name: cross_entropy(policy, rows, dictionary.layer, change) for name, change in _changes(dictionary).items()}
    return QualityCard(
        dictionary.id, dictionary.layer, dictionary.source, dictionary.size, dictionary.k, len(coded),
        1 - coded.error / coded.total if coded.total else 0.0, coded.l0, 1 - live / dictionary.size,
        ce["base"], ce["sae"], ce["zero"],
    )  # fmt: skip


def _changes(dictionary: Dictionary) -> dict[str, Callable[[torch.Tensor], torch.Tensor] | None]:
    def reconstruct(hidden_B_T_D: torch.Tensor) -> torch.Tensor:
        return dictionary.reconstruct(hidden_B_T_D.flatten(0, 1)).view_as(hidden_B_T_D)

    return {"base": None, "sae": reconstruct, "zero": torch.zeros_like}


@no_grad
def cross_entropy(
    policy: Policy,
    rows: Sequence[tuple[int, ...]],
    layer: int,
    change: Callable[[torch.Tensor], torch.Tensor] | None,
) -> float:
    """Mean next-token cross-entropy of rows, nats, with `change` applied to the layer's output at ordinary tokens."""
    call = ForwardCall(policy.checkpoint.model)
    special = torch.tensor(sorted(set(policy.checkpoint.tokenizer.all_special_ids) | set(policy.checkpoint.eos_ids)))
    prefixes: list[Prefix] = [(row[:1], row[1:]) for row in rows]
    total, count = 0.0, 0
    for batch in batches(prefixes, int(call.config.vocab_size)):
        chosen = [prefixes[place] for place in batch]
        ids_B_T, positions_B_T, _ = padded(call, chosen)
        ordinary_B_T_1 = ((positions_B_T > 0) & ~torch.isin(ids_B_T.cpu(), special))[..., None].to(ids_B_T.device)

        def changed(hidden: torch.Tensor, keep: torch.Tensor = ordinary_B_T_1) -> torch.Tensor | None:
            return None if change is None else torch.where(keep, change(hidden), hidden)

        with policy.applied(), changing_outputs(policy.checkpoint.model, {layer: changed}):
            parts = prefix_logits(call, chosen, use_cache=False)
        for (_, targets), logits_T_V in zip(chosen, parts, strict=True):
            logits = precise(logits_T_V[:-1])
            own = logits.gather(-1, torch.tensor([targets], device=logits.device).T)[:, 0] - logits.logsumexp(-1)
            total -= own.double().sum().item()
            count += len(targets)
    return total / max(count, 1)
