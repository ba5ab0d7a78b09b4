"""The header of a GGUF file: metadata, and where each tensor is. Read in one pass, without a dependency.

The layout is that of github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian:

    magic "GGUF", version, number of tensors, number of keys
    key, type, value                                        strings are a length and UTF-8; arrays a type and a length
    tensor: name, dimensions (fastest first), type, offset  from the end of the header, rounded up to the alignment

A vocabulary of 262,144 pieces takes a third of a second; `gguf.GGUFReader`, which makes several NumPy arrays of every
string, takes sixteen. Knows nothing of models and tokenizers.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit.errors import CheckpointError

if TYPE_CHECKING:
    import numpy as np

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""GGUF value type -> struct code"""
STRING, ARRAY = 8, 9
VERSIONS = (2, 3)


@dataclass(frozen=True)
class Tensor:
    """Where the values of one tensor are."""

    name: str
    shape: tuple[int, ...]
    """slowest dimension first, as in PyTorch: a matrix is [out, in]"""
    type: int
    """of ggml: 0 float32, 1 float16, 12 Q4_K, ..."""
    offset: int
    """in bytes, from the beginning of the file"""


@dataclass(frozen=True)
class GgufFile:
    """The header of one file."""

    path: Path
    metadata: Mapping[str, Any]
    """as written: scalars, strings and lists"""
    tensors: Mapping[str, Tensor]

    def values(self, tensor: Tensor) -> np.ndarray:
        """The dequantised values, float32 in `tensor.shape`.

        Raises CheckpointError if gguf-py can't dequantise the type, ImportError without gguf-py.
        """
        import numpy as np
        from gguf import GGMLQuantizationType
        from gguf.quants import dequantize, quant_shape_to_byte_shape

        try:
            kind = GGMLQuantizationType(tensor.type)
            stored = quant_shape_to_byte_shape(tensor.shape, kind)
            blocks = np.memmap(self.path, np.uint8, "r", tensor.offset, stored)
            return dequantize(blocks, kind).reshape(tensor.shape)
        except (ValueError, NotImplementedError) as fault:
            raise CheckpointError(
                f"{self.path}: tensor {tensor.name} has type {tensor.type} of ggml, which gguf-py does not dequantise "
                f"({fault}); use a file in another quantisation, or the safetensors weights"
            ) from fault


def read_header(path: Path) -> GgufFile:
    """Raises CheckpointError if the file is no GGUF file of a known version, cut short, or nested without end."""
    try:
        with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
            metadata, tensors = _Cursor(data).header()
            _check_length(path, tensors, len(data))
    # an empty file can't be mapped (ValueError); an alignment may be 0 or a text, an array may hold arrays without end
    except (ValueError, struct.error, OSError, ArithmeticError, TypeError, RecursionError, MemoryError) as fault:
        raise CheckpointError(
            f"{path}: not a GGUF file that can be read ({fault}); cut short? download it again, or choose the "
            "safetensors weights"
        ) from fault
    return GgufFile(path, metadata, {tensor.name: tensor for tensor in tensors})


def _check_length(path: Path, tensors: list[Tensor], size: int) -> None:
    """A file cut short inside the tensors has a complete header."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    for tensor in tensors:
        values, stored = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.type)]
        end = tensor.offset + prod(tensor.shape) // values * stored
        if end > size:
            raise ValueError(f"{size:,} bytes, but tensor {tensor.name} ends at byte {end:,}")


class _Cursor:
    """Reads one value after the other."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 0

    def header(self) -> tuple[dict[str, Any], list[Tensor]]:
        if self.data[:4] != b"GGUF":
            raise ValueError(f"it begins with {self.data[:4]!r}, not with b'GGUF'")
        self.at = 4
        if (version := self.scalar("I")) not in VERSIONS:
            raise ValueError(f"version {version}; known: {VERSIONS}")
        tensor_count, key_count = self.scalar("Q"), self.scalar("Q")
        metadata = {self.string(): self.value(self.scalar("I")) for _ in range(key_count)}
        rows = [self.tensor() for _ in range(tensor_count)]
        alignment = int(metadata.get("general.alignment", 32))
        begin = -(-self.at // alignment) * alignment
        return metadata, [Tensor(name, shape, kind, begin + offset) for name, shape, kind, offset in rows]

    def tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self.string()
        shape = [self.scalar("Q") for _ in range(self.scalar("I"))]
        return name, tuple(reversed(shape)), self.scalar("I"), self.scalar("Q")

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.string()
        if kind in SCALARS:
            return self.scalar(SCALARS[kind])
        if kind != ARRAY:
            raise ValueError(f"value type {kind} at byte {self.at}")
        kind, length = self.scalar("I"), self.scalar("Q")
        if kind not in SCALARS:
            return [self.value(kind) for _ in range(length)]
        layout = f"<{length}{SCALARS[kind]}"
        values = struct.unpack_from(layout, self.data, self.at)
        self.at += struct.calcsize(layout)
        return list(values)

    def scalar(self, code: str) -> Any:
        (value,) = struct.unpack_from(f"<{code}", self.data, self.at)
        self.at += struct.calcsize(f"<{code}")
        return value

    def string(self) -> str:
        length = self.scalar("Q")
        begin, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise ValueError(f"a string of {length:,} bytes at byte {begin}")
        return self.data[begin : self.at].decode("utf-8")
