"""Random numbers as a function of a key: uniform(seed, stream, step), by the counter-based generator Philox.

The number of step t of a job depends on (seed, stream, t) alone: neither on the batch, nor on the order, nor on
earlier draws. numpy's Philox-4x64 with the key (seed, stream) and the counter
at t // 4; a uniform is the upper 53 bits of word t, so numpy's own distributions (which may change between
releases) are not used. Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

WORDS = 2**64


def uniforms(seed: int, stream: int, first: int, count: int) -> np.ndarray:
    """Float64 [count] in [0, 1): the numbers of steps first, first + 1, ...

    >>> whole = uniforms(7, 0, 0, 10)
    >>> bool((uniforms(7, 0, 6, 4) == whole[6:]).all())
    True
    """
    bits = np.random.Philox(key=np.array([seed % WORDS, stream % WORDS], dtype=np.uint64), counter=first // 4)
    skipped = first % 4
    words = bits.random_raw(count + skipped)[skipped:]
    return (words >> np.uint64(11)) * 2.0**-53


class UniformTable:
    """The uniform numbers of the rows of a batch, made in blocks of steps, read on the device.

    Row r of the table holds `width` consecutive steps of the job in slot r; step t is in column t % width.
    """

    def __init__(self, slots: int, steps: int, device: torch.device, width: int = 1024) -> None:
        self.width = min(width, max(steps, 1))
        self.table_S_W = torch.zeros((slots, self.width), dtype=torch.float64, device=device)

    def fill(self, slots: Sequence[int], keys: Sequence[tuple[int, int]], steps: Sequence[int]) -> None:
        """Make the block that holds `steps[i]` of the job with `keys[i]` (seed, stream), for slot `slots[i]`."""
        blocks = [
            uniforms(seed, stream, step - step % self.width, self.width)
            for (seed, stream), step in zip(keys, steps, strict=True)
        ]
        index = torch.as_tensor(list(slots), device=self.table_S_W.device)
        self.table_S_W[index] = torch.from_numpy(np.stack(blocks)).to(self.table_S_W.device)

    def exhausted(self, steps_S: np.ndarray) -> np.ndarray:
        """Slots whose next step is the first of a block that is not made yet."""
        return np.nonzero((steps_S % self.width == 0) & (steps_S > 0))[0]

    def read(self, steps_S: torch.Tensor) -> torch.Tensor:
        """Float64 [S]: the uniform of each of the first S slots at its step."""
        rows = self.table_S_W[: steps_S.shape[0]]
        return rows.gather(1, (steps_S % self.width)[:, None])[:, 0]

    def move(self, sources: torch.Tensor, targets: torch.Tensor) -> None:
        """Copy rows `sources` to rows `targets`."""
        self.table_S_W[targets] = self.table_S_W[sources]
