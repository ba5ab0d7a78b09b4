"""Reading the residual stream: block outputs at absolute positions, several layers in one pass.

Rows of token ids are run teacher-forced and right-padded (a causal model never looks right), and the pass is left
after the deepest layer that is read. The policy's own edits are on. Only the readings are kept, in float32 on the CPU.
N rows, L layers, D width, B batch, T tokens. Knows nothing of the content of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import torch

from elicit.errors import ConfigError, MethodError
from elicit.policy.layers import at_depth, blocks, changing_outputs
from elicit.policy.positions import forward_positions

if TYPE_CHECKING:
    from elicit.policy.policy import Policy

BATCH = 64


class _DeepEnough(Exception):
    """Leaves a forward pass whose rest is not needed."""


def layer_numbers(policy: Policy, wanted: Sequence[int | float]) -> list[int]:
    """Sorted 0-based layers from layer numbers and fractions of the depth; none wanted means all.

    Raises ConfigError for a layer that the model does not have.
    """
    model = policy.checkpoint.model
    count = len(blocks(model))
    wanted = wanted or tuple(range(count))
    numbers = [at_depth(model, layer) if isinstance(layer, float) else layer for layer in wanted]
    beyond = [number for number in numbers if not 0 <= number < count]
    if beyond:
        raise ConfigError(f"layers={list(wanted)}: {beyond[0]} is none of 0 to {count - 1}; fractions need a point")
    return sorted(set(numbers))


def read_residuals(
    policy: Policy,
    rows: Sequence[tuple[int, ...]],
    spans: Sequence[tuple[int, int]],
    prompt_lengths: Sequence[int],
    layers: Sequence[int],
    batch: int = BATCH,
) -> torch.Tensor:
    """Mean block output over the positions [start, end) of each row: float32 [N, L, D].

    rows: token ids (prompt and completion). spans: absolute positions, 0 = first prompt token. prompt_lengths: tokens
    of each prompt, which the policy's edits need. layers: 0-based. Raises MethodError on NaN or infinity.
    """
    cut = [row[:end] for row, (_, end) in zip(rows, spans, strict=True)]
    readings: dict[int, torch.Tensor] = {}
    for i, outputs_L_T_D in block_outputs(policy, cut, prompt_lengths, layers, batch):
        left, right = spans[i]
        readings[i] = outputs_L_T_D[:, left:right].mean(1)
    return torch.stack([readings[i] for i in range(len(rows))])


def block_outputs(
    policy: Policy,
    rows: Sequence[tuple[int, ...]],
    prompt_lengths: Sequence[int],
    layers: Sequence[int],
    batch: int = BATCH,
) -> Iterator[tuple[int, torch.Tensor]]:
    """(index of a row, its block outputs float32 [L, T, D]) of every row, shortest rows first.

    Raises MethodError if the model yields NaN or infinity.
    """
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        # the edits are on only while the model runs: between two results the caller may use the unedited model
        with policy.applied(), torch.no_grad():
            outputs = _outputs(policy, [rows[i] for i in chosen], [prompt_lengths[i] for i in chosen], layers)
        # one layer is by far the most common case and needs no copy
        several = len(layers) > 1
        outputs_L_B_T_D = torch.stack([outputs[layer] for layer in layers]) if several else outputs[layers[0]][None]
        if not bool(torch.isfinite(outputs_L_B_T_D.sum())):
            raise MethodError(
                f"NaN or infinite activations in the batch of row {chosen[0]} at layers {list(layers)}: load the "
                "checkpoint in float32 or bfloat16 (model.dtype), or check its weights with `elicit doctor`"
            )
        for row, i in enumerate(chosen):
            yield i, outputs_L_B_T_D[:, row, : len(rows[i])]


def _outputs(
    policy: Policy, rows: Sequence[tuple[int, ...]], prompt_lengths: Sequence[int], layers: Sequence[int]
) -> dict[int, torch.Tensor]:
    """Outputs [B, T, D] of each layer, float32 on the CPU."""
    model, device = policy.checkpoint.model, policy.checkpoint.device
    width = max(map(len, rows))
    ids_B_T = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    lengths_B_1 = torch.tensor([[len(row)] for row in rows])
    steps_1_T = torch.arange(width)[None]
    positions_B_T = torch.where(steps_1_T < lengths_B_1, steps_1_T, -1)
    read: dict[int, torch.Tensor] = {}

    def reader(layer: int) -> Callable[[torch.Tensor], None]:
        def keep(hidden_B_T_D: torch.Tensor) -> None:
            read[layer] = hidden_B_T_D.float().cpu()
            if len(read) == len(set(layers)):
                raise _DeepEnough

        return keep

    reading = changing_outputs(model, {layer: reader(layer) for layer in layers})
    with reading, forward_positions(positions_B_T, torch.tensor(prompt_lengths)), suppress(_DeepEnough):
        model(input_ids=ids_B_T.to(device), use_cache=False)
    return read
