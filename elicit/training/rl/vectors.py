"""Trainable vectors on block outputs: x + R_l u_l at the write positions, the base frozen.

    v_l = R_l u_l       R_l: RMS of the coordinates of block l's output on train prompts, without position 0

What is trained is u, float32, from zero; so a learning rate is in units of the residual RMS and means the same
on every model: after n aligned Adam steps of size lr, |v_l| is n * lr of the residual's norm. The arithmetic is
that of `ActivationEdit`, so the trained model and the edit agree bit for bit. After arXiv 2505.18706 (one
additive vector per layer) and 2509.06608 (which layers carry what it learns).

What this module does not know: rewards, losses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import nn

from elicit.errors import MethodError
from elicit.policy import layers, positions
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.policy import Policy
from elicit.policy.residuals import block_outputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ATTRIBUTE = "elicit_vectors"
"""attribute of the model that holds the vectors while attached, so that gradient clipping includes them"""


class Vectors(nn.Module):
    """One vector per layer. `numbers`: 0-based layers; `rms_L`: coordinate RMS of each layer's output."""

    def __init__(self, numbers: Sequence[int], width: int, rms_L: Sequence[float], write: str) -> None:
        super().__init__()
        positions.check_write(write)
        self.numbers, self.write = tuple(numbers), write
        self.rms = dict(zip(self.numbers, map(float, rms_L), strict=True))
        self.relative = nn.ParameterDict({str(layer): nn.Parameter(torch.zeros(width)) for layer in self.numbers})
        self.on = True
        """False inside `base`"""

    def size(self, model: PreTrainedModel) -> int:
        """Layers times width."""
        return sum(parameter.numel() for parameter in self.relative.values())

    @contextmanager
    def attached(self, model: PreTrainedModel) -> Iterator[None]:
        self.to(next(model.parameters()).device)
        model.add_module(ATTRIBUTE, self)
        try:
            with self.applied(model):
                yield
        finally:
            delattr(model, ATTRIBUTE)

    def applied(self, model: nn.Module) -> AbstractContextManager[None]:
        """Inside, the blocks of `model` add the vectors in their present state; it may be another engine's model."""
        changes: dict[int, Callable[[torch.Tensor], torch.Tensor | None]]
        changes = {layer: partial(self._added, layer) for layer in self.numbers}
        return layers.changing_outputs(model, changes)

    def _added(self, layer: int, hidden_B_T_D: torch.Tensor) -> torch.Tensor | None:
        """The output of a block with its vector added at the write positions; None if it is not changed."""
        if not self.on:
            return None
        current = positions.current()
        if current is None and self.write != "every":
            raise RuntimeError(f"write={self.write!r} in a forward pass without known positions")
        extent = "all" if current is None else current.extent(self.write)
        if extent == "none":
            return None
        wide = hidden_B_T_D.to(torch.promote_types(hidden_B_T_D.dtype, torch.float32))
        changed = (wide + self.vector(layer).to(wide.dtype)).to(hidden_B_T_D.dtype)
        if extent == "all" or current is None:
            return changed
        return torch.where(current.mask(self.write, hidden_B_T_D.device), changed, hidden_B_T_D)

    def vector(self, layer: int) -> torch.Tensor:
        """v_l [D], in the units of the residual stream."""
        return self.rms[layer] * self.relative[str(layer)]

    def trained(self) -> dict[str, nn.Parameter]:
        return {f"layer.{layer}": self.relative[str(layer)] for layer in self.numbers}

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """The same hooks act while sampling."""
        yield

    @contextmanager
    def base(self) -> Iterator[None]:
        before, self.on = self.on, False
        try:
            yield
        finally:
            self.on = before

    def edit(self) -> ActivationEdit:
        """The vectors in their present state."""
        rows = [(layer, self.vector(layer).detach()) for layer in self.numbers]
        return ActivationEdit(tuple(Edit(layer, vector_D, "add", 1.0, self.write) for layer, vector_D in rows))

    @torch.no_grad()
    def figures(self) -> dict[str, float]:
        """vectors/relative_norm/LAYER: |v_l| over the RMS norm of the layer's residual stream."""
        norms = {layer: self.relative[str(layer)] for layer in self.numbers}
        return {f"vectors/relative_norm/{n}": u.norm().item() / u.numel() ** 0.5 for n, u in norms.items()}


def residual_rms(policy: Policy, prompts: Sequence[tuple[int, ...]], numbers: Sequence[int]) -> list[float]:
    """RMS of a coordinate of each layer's output over the tokens of `prompts`, without position 0 (an outlier).

    Raises MethodError if a layer's output is zero or not finite, or if no prompt has two tokens.
    """
    squares_L, count = torch.zeros(len(numbers), dtype=torch.float64), 0
    for _, outputs_L_T_D in block_outputs(policy, prompts, [len(prompt) for prompt in prompts], numbers):
        squares_L += outputs_L_T_D[:, 1:].double().square().sum((1, 2))
        count += outputs_L_T_D[0, 1:].numel()
    if not count or not bool((squares_L > 0).all()):
        raise MethodError(f"the residual RMS over {len(prompts)} prompts is zero: no unit for a learning rate")
    return (squares_L / count).sqrt().tolist()
