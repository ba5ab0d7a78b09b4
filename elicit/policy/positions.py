"""The absolute position of each token of the running forward pass: set by the caller of the model, read by hooks.

A block sees only the chunk that is being computed: with a cache that is one token, and left padding
shifts every row. A position counted inside the chunk is the classic bug of steering tools: the edit is
silently off for every generated token. So the caller of the model states the positions:

    with forward_positions(positions_B_T, prompt_lengths_B):     # 0 = first prompt token, -1 = padding
        model(...)

The context belongs to the thread (a contextvar). Code that computes blocks again in the backward pass, on
another thread (gradient checkpointing on a GPU), does not see it. Knows nothing of models or edits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from elicit.errors import ConfigError, near

WRITES = ("last_prompt", "onward", "every", "prompt", "completion")
"""last prompt token only | from it on | every token | prompt tokens | completion tokens"""


def check_write(write: str) -> None:
    """Raises ConfigError if `write` names no set of positions."""
    if write not in WRITES:
        raise ConfigError(f"write={write!r} is no set of positions: {near(write, WRITES)}")


def mask(write: str, positions_B_T: torch.Tensor, prompt_lengths_B: torch.Tensor) -> torch.Tensor:
    """Bool [B, T]: the tokens that `write` stands for; never padding (-1).

    >>> mask("onward", torch.tensor([[-1, 0, 1], [0, 1, 2]]), torch.tensor([2, 2])).int().tolist()
    [[0, 0, 1], [0, 1, 1]]
    """
    check_write(write)
    lengths_B_1 = prompt_lengths_B.to(positions_B_T.device)[:, None]
    real = positions_B_T >= 0
    if write == "last_prompt":
        return real & (positions_B_T == lengths_B_1 - 1)
    if write == "onward":
        return real & (positions_B_T >= lengths_B_1 - 1)
    if write == "prompt":
        return real & (positions_B_T < lengths_B_1)
    if write == "completion":
        return real & (positions_B_T >= lengths_B_1)
    return real


class ForwardPositions:
    """The positions of one forward pass. Masks are made once for all layers."""

    def __init__(self, positions_B_T: torch.Tensor, prompt_lengths_B: torch.Tensor) -> None:
        if positions_B_T.ndim != 2 or prompt_lengths_B.shape != positions_B_T.shape[:1]:
            raise ValueError(
                f"positions {tuple(positions_B_T.shape)} and prompt lengths {tuple(prompt_lengths_B.shape)}: "
                "expected [B, T] and [B]"
            )
        self.positions_B_T = positions_B_T
        self.prompt_lengths_B = prompt_lengths_B
        self._extents: dict[str, str] = {}
        self._masks: dict[tuple[str, torch.device], torch.Tensor] = {}
        self._schedules: dict[tuple[int | None, float | None, torch.device], torch.Tensor] = {}

    def extent(self, write: str) -> str:
        """`none`, `all` or `some` of the tokens of this pass are meant; computed once per pass and set."""
        if write not in self._extents:
            chosen = mask(write, self.positions_B_T, self.prompt_lengths_B)
            count = int(chosen.sum())
            self._extents[write] = "none" if count == 0 else "all" if count == chosen.numel() else "some"
        return self._extents[write]

    def mask(self, write: str, device: torch.device) -> torch.Tensor:
        """Bool [B, T, 1] on `device`."""
        key = (write, device)
        if key not in self._masks:
            chosen_B_T = mask(write, self.positions_B_T, self.prompt_lengths_B)
            self._masks[key] = chosen_B_T.to(device, non_blocking=True)[..., None]
        return self._masks[key]

    def schedule(self, first: int | None, half_life: float | None, device: torch.device) -> torch.Tensor:
        """Float32 [B, T, 1] by the tokens t since the last prompt token: 2^(-t / half_life), and 0 from `first` on."""
        key = (first, half_life, device)
        if key not in self._schedules:
            lengths_B_1 = self.prompt_lengths_B.to(self.positions_B_T.device)[:, None]
            ages_B_T = (self.positions_B_T - lengths_B_1 + 1).clamp_min(0)
            factor_B_T = torch.ones_like(ages_B_T, dtype=torch.float32)
            if half_life is not None:
                factor_B_T = torch.exp2(-ages_B_T / half_life)
            if first is not None:
                factor_B_T = torch.where(ages_B_T < first, factor_B_T, 0.0)
            self._schedules[key] = factor_B_T.to(device)[..., None]
        return self._schedules[key]


_current: ContextVar[ForwardPositions | None] = ContextVar("elicit_forward_positions", default=None)


@contextmanager
def forward_positions(positions_B_T: torch.Tensor, prompt_lengths_B: torch.Tensor) -> Iterator[ForwardPositions]:
    """State the positions of the forward passes inside, for their hooks.

    positions_B_T: int [B, T], the absolute position of each token in its own row, -1 on padding; a tensor on the CPU
    costs no device synchronisation. prompt_lengths_B: int [B], tokens of each row's prompt.
    Raises ValueError if the shapes disagree.
    """
    token = _current.set(ForwardPositions(positions_B_T, prompt_lengths_B))
    try:
        yield _current.get()  # type: ignore[misc]
    finally:
        _current.reset(token)


def current() -> ForwardPositions | None:
    """The positions of the running forward pass; None outside `forward_positions`."""
    return _current.get()


def positions_of(attention_mask_B_T: torch.Tensor) -> torch.Tensor:
    """Int [B, T]: positions from a mask of real tokens (1) and padding (0), whichever side is padded.

    >>> positions_of(torch.tensor([[0, 1, 1], [1, 1, 1]])).tolist()
    [[-1, 0, 1], [0, 1, 2]]
    """
    real_B_T = attention_mask_B_T.long()
    return torch.where(real_B_T > 0, real_B_T.cumsum(-1) - 1, -1)
