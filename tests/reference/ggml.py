"""Blocks of ggml, read value by value from the layout that is published in ggml's `ggml-common.h`.

A block is `values` numbers in `size` bytes. Half-precision scales are little-endian. Written as in the C code, one
number at a time, so that nothing of it is shared with the vectorised reading of gguf-py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable


def half(block: bytes, at: int) -> float:
    return struct.unpack_from("<e", block, at)[0]


def q8_0(block: bytes) -> list[float]:
    """d, 32 signed bytes."""
    return [half(block, 0) * value for value in struct.unpack_from("<32b", block, 2)]


def q4_1(block: bytes) -> list[float]:
    """d, m, 16 bytes: low halves are numbers 0 to 15, high halves 16 to 31."""
    d, m, nibbles = half(block, 0), half(block, 2), block[4:20]
    return [d * (byte & 15) + m for byte in nibbles] + [d * (byte >> 4) + m for byte in nibbles]


def q5_0(block: bytes) -> list[float]:
    """d, 32 fifth bits, 16 bytes of halves."""
    d, high, nibbles = half(block, 0), struct.unpack_from("<I", block, 2)[0], block[6:22]
    low = [byte & 15 for byte in nibbles] + [byte >> 4 for byte in nibbles]
    return [d * ((low[i] | (high >> i & 1) << 4) - 16) for i in range(32)]


def q4_k(block: bytes) -> list[float]:
    """d, dmin, 12 bytes with eight 6-bit scales and eight 6-bit minima, 128 bytes of halves."""
    d, dmin, packed, nibbles = half(block, 0), half(block, 2), block[4:16], block[16:144]
    values = []
    for j in range(8):
        if j < 4:
            scale, minimum = packed[j] & 63, packed[j + 4] & 63
        else:
            scale = (packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4
            minimum = (packed[j + 4] >> 4) | (packed[j] >> 6) << 4
        for i in range(32):
            byte = nibbles[32 * (j // 2) + i]
            values.append(d * scale * (byte >> 4 if j % 2 else byte & 15) - dmin * minimum)
    return values


def q6_k(block: bytes) -> list[float]:
    """128 bytes of low halves, 64 bytes of high pairs, 16 signed scales, d."""
    low, high, scales, d = block[:128], block[128:192], struct.unpack_from("<16b", block, 192), half(block, 208)
    values = [0.0] * 256
    for part in range(2):
        for i in range(32):
            quarter = high[32 * part + i]
            bytes_ = low[64 * part + i], low[64 * part + 32 + i]
            numbers = bytes_[0] & 15, bytes_[1] & 15, bytes_[0] >> 4, bytes_[1] >> 4
            for place, number in enumerate(numbers):
                scale = scales[8 * part + 2 * place + i // 16]
                values[128 * part + 32 * place + i] = d * scale * ((number | (quarter >> 2 * place & 3) << 4) - 32)
    return values


BLOCKS: dict[int, tuple[str, int, int, Callable[[bytes], list[float]]]] = {
    3: ("Q4_1", 32, 20, q4_1),
    6: ("Q5_0", 32, 22, q5_0),
    8: ("Q8_0", 32, 34, q8_0),
    12: ("Q4_K", 256, 144, q4_k),
    14: ("Q6_K", 256, 210, q6_k),
}
"""ggml type -> name, values and bytes of a block, its reading"""
