"""Interventions: a saved, reversible change of a model or of its decoding, of one of three kinds.

    kind        class             changes                     undone by
    weights     WeightEdit        parameters                  restoring the very tensors
    activations ActivationEdit    block outputs, by hooks     removing the hooks
    decoding    DecodingStrategy  how tokens are picked       nothing to undo

Every intervention is saved as a folder with `spec.json` (kind, id, fields, ids of the items it used) and, unless it is
a strategy, `tensors.safetensors`. Its id is the hash of its content, and not of field order, folder or time. What this
module does not know: methods, tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import torch

if TYPE_CHECKING:
    from torch import nn


@runtime_checkable
class Intervention(Protocol):
    """The members that all three kinds share."""

    kind: ClassVar[str]
    """weights | activations | decoding"""

    @property
    def id(self) -> str:
        """Hash of the content."""
        ...

    def spec(self) -> dict[str, Any]:
        """JSON-able fields without tensors."""
        ...

    def tensors(self) -> dict[str, torch.Tensor]:
        """Tensors by name; empty for decoding."""
        ...

    def applied(self, model: nn.Module) -> AbstractContextManager[None]:
        """Change `model` while inside; undo bit for bit on leaving, also after an exception."""
        ...


ORDER = {"weights": 0, "activations": 1, "decoding": 2}


def save(intervention: Intervention, folder: Path, items: Sequence[str] = ()) -> None:
    """Write spec.json (with the ids of the items used) and tensors.safetensors, the spec last."""
    from safetensors.torch import save_file

    from elicit.files import replacing, write_json

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().contiguous().cpu() for name, tensor in intervention.tensors().items()}
    if tensors or intervention.kind != "decoding":  # an edit that changes nothing has none: its file is empty
        with replacing(folder / "tensors.safetensors") as temporary:
            save_file(tensors, temporary)
    spec = {"kind": intervention.kind, "id": intervention.id, "items": sorted(items), "fields": intervention.spec()}
    write_json(folder / "spec.json", spec)


def tensor_hash(tensor: torch.Tensor) -> str:
    """Hash of a tensor's shape, dtype and bits; the same on every device and for every memory layout."""
    head = f"{tuple(tensor.shape)} {tensor.dtype}".encode()
    bits = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return blake2b(bits.data, digest_size=16, key=blake2b(head, digest_size=32).digest()).hexdigest()
