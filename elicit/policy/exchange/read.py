"""Which format a path holds, and the intervention in it.

    form = find(path)                   Form(kind, path, files): by the names of its files, nothing is opened
    form.read(checkpoint, write)        an ActivationEdit or a WeightEdit

    intervention    spec.json, tensors.safetensors (a run's own folder)
    peft            adapter_config.json, adapter_model.safetensors (LoRA)
    merged          config.json, model.safetensors: the difference from the checkpoint
    plain           NAME.safetensors with NAME.yaml (`plain.py`)
    gguf            a control vector of llama.cpp or repeng (`vectors.py`)
    steering-vector NAME.safetensors or NAME.pt, one tensor per layer (`vectors.py`)

Some formats lose something: positions, the split into strength and vector, the last bit of a difference. So an export
may hold the intervention itself (`keep`), in the folder `intervention`. It is read if the other files hold the same
change; if they were changed since, they are read instead. Knows no method.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from elicit.errors import ConfigError
from elicit.policy.activations import ActivationEdit
from elicit.policy.checkpoint import Checkpoint
from elicit.policy.exchange.merged import gives, read_merged, weight_files
from elicit.policy.exchange.plain import read_plain
from elicit.policy.exchange.vectors import read_control_vector, read_steering_vector, steering_widths
from elicit.policy.intervention import Intervention
from elicit.policy.policy import load_intervention
from elicit.policy.weights import WeightEdit

KEPT = "intervention"
YAML, VECTORS = (".yaml", ".yml"), (".safetensors", ".pt", ".pth")
EXPECTED = (
    "a folder with adapter_config.json (LoRA), config.json (a merged model) or spec.json (a run's intervention), or a "
    "file: .gguf (a control vector), .safetensors or .pt (one tensor per layer, or a .yaml of the same name next to it)"
)
Warn = Callable[[str], None]


@dataclass(frozen=True)
class Form:
    """A path, its format and the files that decide what is read."""

    kind: str
    path: Path
    files: tuple[Path, ...]

    @property
    def kept(self) -> Path:
        """Where an export keeps the intervention itself."""
        return (self.path if self.path.is_dir() else self.path.parent) / KEPT

    @property
    def widths(self) -> dict[int, int]:
        """Width of each layer's vector in a file of steering vectors, from its header; empty for other formats."""
        file = self.files[0]
        return steering_widths(file) if self.kind == "steering-vector" and file.suffix == ".safetensors" else {}

    def read(self, checkpoint: Checkpoint | None, write: str | None, warn: Warn = lambda line: None) -> Intervention:
        """The intervention. `write`: positions that vectors are written to; None: as saved, else every token.

        Raises DataError for a broken file, ConfigError for a decoding strategy, CheckpointError if it does not fit.
        """
        intervention = self._exported(checkpoint, warn) or self.foreign(checkpoint, write or "every")
        if intervention.kind == "decoding":
            raise ConfigError(f"{self.path}: a decoding strategy is chosen with method=decoding method/strategy=NAME")
        if write is not None and isinstance(intervention, ActivationEdit):
            intervention = ActivationEdit(tuple(replace(one, write=write) for one in intervention.edits))
        if checkpoint is not None:
            cast("WeightEdit | ActivationEdit", intervention).check(checkpoint.model)
        return intervention

    def foreign(self, checkpoint: Checkpoint | None, write: str) -> Intervention:
        """What the files of the other tool hold, without the intervention that an export may have kept."""
        match self.kind:
            case "intervention":
                return load_intervention(self.path)
            case "peft":
                return WeightEdit.from_peft(self.path)
            case "merged":
                if checkpoint is None:
                    raise ConfigError(f"{self.path}: the difference of a merged model needs its base")
                return read_merged(self.path, checkpoint.model)
            case "plain":
                return read_plain(self.files[0], self.files[1])
            case "gguf":
                return read_control_vector(self.files[0], write)
            case _:
                return read_steering_vector(self.files[0], write)

    def _exported(self, checkpoint: Checkpoint | None, warn: Warn) -> Intervention | None:
        """The intervention that an export has kept, if the other files hold the same change."""
        if self.kind in ("intervention", "plain") or not (self.kept / "spec.json").is_file():
            return None
        kept: Any = load_intervention(self.kept)
        if self.kind == "merged":
            same = isinstance(kept, WeightEdit) and checkpoint is not None and gives(kept, self.path, checkpoint.model)
        else:
            same = same_change(kept, self.foreign(checkpoint, "every"))
        if not same:
            warn(f"{self.path} was changed since it was exported: read as it is now, without {self.kept.name}/")
        return kept if same else None


def find(path: Path) -> Form:
    """The format of a path. Raises ConfigError that lists what can be read."""
    path = Path(path).expanduser()
    if path.is_file():
        return _file(path)
    if not path.is_dir():
        raise ConfigError(f"path={str(path)!r}: no such file or folder; expected {EXPECTED}")
    if (path / "spec.json").is_file():
        files = (path / "spec.json", path / "tensors.safetensors")
        return Form("intervention", path, tuple(file for file in files if file.is_file()))
    if (path / "adapter_config.json").is_file():
        return Form("peft", path, (path / "adapter_config.json", path / "adapter_model.safetensors", *_kept(path)))
    if (path / "config.json").is_file():
        return Form("merged", path, (*weight_files(path), *_kept(path)))
    candidates = [file for file in sorted(path.iterdir()) if file.suffix in (".gguf", *VECTORS)]
    if len(candidates) != 1:
        what = f"{len(candidates)} files of vectors; name one" if candidates else f"no known file; expected {EXPECTED}"
        raise ConfigError(f"path={str(path)!r}: {what}")
    return _file(candidates[0])


def _file(path: Path) -> Form:
    if path.suffix == ".gguf":
        return Form("gguf", path, (path, *_kept(path.parent)))
    if path.suffix not in (*YAML, *VECTORS):
        raise ConfigError(f"path={str(path)!r}: expected {EXPECTED}")
    stem = path.with_suffix("")
    cards = [card for end in YAML if (card := Path(f"{stem}{end}")).is_file()]
    weights = [file for end in VECTORS if (file := Path(f"{stem}{end}")).is_file()]
    if not weights:
        raise ConfigError(f"path={str(path)!r}: no {stem.name}.safetensors next to it; save its tensors there")
    if cards:
        return Form("plain", path, (cards[0], path if path.suffix in VECTORS else weights[0]))
    return Form("steering-vector", path, (path, *_kept(path.parent)))


def _kept(folder: Path) -> tuple[Path, ...]:
    """Files of the intervention that an export has kept; none if the folder is no export, or if it is half-written."""
    complete = (folder / KEPT / "spec.json").is_file()
    return tuple(file for file in sorted((folder / KEPT).iterdir()) if file.is_file()) if complete else ()


def same_change(one: Intervention, other: Intervention) -> bool:
    """Whether two edits do the same, if positions and the split into strength and vector are left out."""
    if isinstance(one, WeightEdit) and isinstance(other, WeightEdit):
        return _equal(one.tensors(), other.tensors()) and math.isclose(one.scale, other.scale)
    if not isinstance(one, ActivationEdit) or not isinstance(other, ActivationEdit):
        return False
    try:
        return _equal(one.to_steering_vector().layer_activations, other.to_steering_vector().layer_activations)
    except ConfigError:  # a clamp, a schedule or a gate: no file of plain vectors holds this
        return False


def _equal(one: Mapping[Any, torch.Tensor], other: Mapping[Any, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(other[key], value) for key, value in one.items())


def keep(intervention: Path, out: Path) -> list[Path]:
    """Copy a run's intervention folder into an export."""
    shutil.copytree(intervention, out / KEPT, dirs_exist_ok=True)
    return sorted((out / KEPT).iterdir())
