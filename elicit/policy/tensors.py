"""Reading tensors from files: safetensors, and `.pt` files without their code. Torch is imported on first use.

A pickle is a program. `.pt` files are read with torch's restricted reader only, and its advice to switch the
restriction off is replaced. A file with a number that is none (NaN, infinite) is refused: one such weight makes
every logit NaN, and an evaluation without any warning wrong. Knows nothing about what the tensors mean.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elicit.errors import DataError

if TYPE_CHECKING:
    import torch


def read_tensors(path: Path | str) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors or `.pt` file by name, on the CPU. Raises DataError with the fault and a remedy."""
    tensors = _unpickled(Path(path)) if Path(path).suffix in (".pt", ".pth", ".bin") else _safetensors(Path(path))
    check_finite(tensors.items(), str(path))
    return tensors


def check_finite(tensors: Iterable[tuple[str, torch.Tensor]], place: str) -> None:
    """Raises DataError that names the first tensor with a NaN or an infinite number."""
    for name, tensor in tensors:
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise DataError(f"{place}: {name} has NaN or infinite numbers; save or fetch the file again")


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as fault:
        raise DataError(f"{path}: not a readable safetensors file ({fault}); half-written? make it again") from None


def _unpickled(path: Path) -> dict[str, torch.Tensor]:
    import pickle

    import torch

    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise DataError(
            f"{path}: it holds more than tensors, perhaps code, and is not read. Save its tensors with "
            "safetensors.torch.save_file, in a process that you don't mind losing if you do not trust the file"
        ) from None
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, AttributeError, ImportError, TypeError) as fault:
        # torch's reader of pickles raises whatever the bytes lead it to
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise DataError(f"{path}: not a readable .pt file ({reason}); half-written? write or fetch it again") from None
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise DataError(f"{path}: expected a dict of tensors, got {type(content).__name__}; save a state dict")
    return content
