"""Linear layers by oneDNN on processors where torch's own matrix products are slow.

torch multiplies float32 matrices on a CPU by Intel MKL, which uses AVX-512 on Intel processors only. On an AMD
processor that has AVX-512, oneDNN (also part of torch) computes the same product in less than half the time: forward,
and both products of the backward pass. `fast_products(model)` gives the linear layers of a model a class that asks
oneDNN; weights, hooks, hashes and names stay as they are, and `torch_products(model)` takes it back for a while.

The choice depends on the processor alone, never on a measurement: on one machine every run draws the same samples.
Sums are rounded in another order than by MKL, as on another processor. Small products, other precisions, autocast and
other devices run torch's own function. Knows nothing of who calls the model.

M tokens, K inputs, N outputs.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from elicit.errors import CheckpointError, near

CHOICES = ("auto", "torch")
PACKED_ROWS = range(2, 17)
"""rows for which oneDNN's own layout of the weights saves a quarter of a pass or more"""
MOST_PACKED_BYTES = 2**31
"""of the second copy of the weights"""
SMALLEST = 2**19
"""multiply-adds M * K * N from which oneDNN is faster; its call costs some 10 microseconds more"""


class Linear(torch.nn.Linear):
    """torch.nn.Linear whose larger float32 products run in oneDNN. No instance is made: `fast_products` changes the
    class of existing layers, so that every reference to them and every hook on them stays valid."""

    def forward(self, x_M_K: torch.Tensor) -> torch.Tensor:
        weight, bias = self.weight, self.bias
        if (
            x_M_K.dtype != torch.float32
            or weight.dtype != torch.float32
            or x_M_K.device.type != "cpu"
            or weight.device.type != "cpu"
            or x_M_K.numel() * weight.shape[0] < SMALLEST
            or torch.is_autocast_enabled("cpu")
        ):
            return torch.nn.functional.linear(x_M_K, weight, bias)
        if torch.is_grad_enabled() and (x_M_K.requires_grad or weight.requires_grad):
            out = _Product.apply(x_M_K.reshape(-1, x_M_K.shape[-1]), weight, bias)
            return out.reshape(*x_M_K.shape[:-1], weight.shape[0])
        packed: torch.Tensor | None = self.__dict__.get("packed")
        return product(x_M_K, weight if packed is None else packed, bias)


def product(x_M_K: torch.Tensor, weight_N_K: torch.Tensor, bias_N: torch.Tensor | None = None) -> torch.Tensor:
    """x W^T + b by oneDNN, without a gradient; x may have any leading axes, both any strides."""
    return torch.ops.mkldnn._linear_pointwise(x_M_K, weight_N_K, bias_N, "none", [], "")


class _Product(torch.autograd.Function):
    """`product` with its gradient. Second derivatives are refused by autograd."""

    @staticmethod
    def forward(ctx: Any, x_M_K: torch.Tensor, weight_N_K: torch.Tensor, bias_N: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(x_M_K, weight_N_K)
        return product(x_M_K, weight_N_K, bias_N)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_M_N: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x_M_K, weight_N_K = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad
        return (
            product(grad_M_N, weight_N_K.t()) if for_x else None,
            product(grad_M_N.t(), x_M_K.t()) if for_weight else None,
            grad_M_N.sum(0) if for_bias else None,
        )


def faster_here() -> bool:
    """Whether this processor has AVX-512 and MKL does not use it, and this torch has the oneDNN product."""
    return (
        torch.backends.cpu.get_cpu_capability().startswith("AVX512")
        and processor_says("vendor_id") == "AuthenticAMD"
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def fast_products(model: torch.nn.Module, choice: str = "auto") -> bool:
    """Give the plain linear layers of a float32 model on a CPU their faster class, if it is faster on this processor.

    Returns whether it did; never for `choice` torch. Layers of other classes (a GPT-2 `Conv1D`, an adapter, a quantised
    layer) are left alone. Raises CheckpointError for another choice than auto and torch.
    """
    if choice not in CHOICES:
        raise CheckpointError(f"model.products={choice!r}: {near(choice, CHOICES)}")
    first = next(model.parameters(), None)
    if choice == "torch" or first is None or first.device.type != "cpu" or first.dtype != torch.float32:
        return False
    if not faster_here():
        return False
    _change(model, torch.nn.Linear, Linear)
    return True


@contextmanager
def torch_products(model: torch.nn.Module) -> Iterator[None]:
    """Inside, the model multiplies as torch does, as if another program had loaded it."""
    changed = _change(model, Linear, torch.nn.Linear)
    try:
        yield
    finally:
        for layer in changed:
            layer.__class__ = Linear


@contextmanager
def packed_weights(model: torch.nn.Module, rows: int) -> Iterator[None]:
    """Inside, passes of few rows without gradients read the weights in oneDNN's own layout; results are the same.

    The layout is made anew at each entry, so the weights must not change inside. It takes as long as three to five
    passes, and a second copy of the weights; nothing is done for other than `PACKED_ROWS`, for more bytes than
    `MOST_PACKED_BYTES`, or for a model without the faster class.
    """
    layers: list[Linear] = []
    if rows in PACKED_ROWS:
        layers = [layer for layer in model.modules() if type(layer) is Linear and layer.weight.dtype == torch.float32]
    if sum(4 * layer.weight.numel() for layer in layers) > MOST_PACKED_BYTES:
        layers = []
    try:
        for layer in layers:
            if rows * layer.weight.numel() >= SMALLEST:  # smaller products run in torch
                layer.__dict__["packed"] = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), rows)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("packed", None)


def _change(model: torch.nn.Module, old: type, new: type) -> list[torch.nn.Module]:
    layers = [layer for layer in model.modules() if type(layer) is old]
    for layer in layers:
        layer.__class__ = new
    return layers


def processor_says(field: str) -> str:
    """A field of the first processor in Linux's list, such as `vendor_id`; elsewhere what Python knows of it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    values = [line.partition(":")[2].strip() for line in lines if line.startswith(field)]
    return values[0] if values else platform.processor()
