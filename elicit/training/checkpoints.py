"""Checkpoints of a fit in progress: trained tensors, optimizer, generators.

    checkpoint-000020/   trained.safetensors  optimizer.pt  scheduler.pt  rng_state.pth  trainer_state.json
                         ledger.jsonl  progress.json              (reinforcement learning only: rl/progress.py)

A checkpoint is written under another name and then renamed, so a folder called checkpoint-* is complete, even after
`kill -9`. It holds no weights of the base. A supervised fit keeps its checkpoints in a folder named by the hash of the
run. What this module does not know: trainers, losses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from elicit.errors import DataError
from elicit.files import remove_tree
from elicit.lazy import no_grad
from elicit.policy.tensors import read_tensors

TENSORS = "trained.safetensors"
KEPT = 2
"""checkpoints kept: the one before the last survives a disk that fills up while the last is written"""


def save(folder: Path, step: int, tensors: Mapping[str, torch.Tensor], rest: Callable[[Path], None]) -> Path:
    """Write the checkpoint of `step` completely or not at all; `rest(unfinished folder)` adds further files."""
    from safetensors.torch import save_file

    checkpoint, unfinished = folder_of(folder, step), folder / f".unfinished-{step:06d}"
    remove_tree(unfinished)
    unfinished.mkdir(parents=True)
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, unfinished / TENSORS)
    rest(unfinished)
    remove_tree(checkpoint)
    unfinished.rename(checkpoint)
    for old in complete(folder)[:-KEPT]:
        remove_tree(old)
    return checkpoint


def folder_of(folder: Path, step: int) -> Path:
    """The folder of a step's checkpoint."""
    return folder / f"checkpoint-{step:06d}"


def complete(folder: Path) -> list[Path]:
    """Complete checkpoints, the earliest first. Folders without trained tensors (other formats) do not count."""
    return sorted(path for path in folder.glob("checkpoint-[0-9]*") if (path / TENSORS).is_file())


@no_grad
def load_tensors(checkpoint: Path, trained: Mapping[str, torch.Tensor]) -> None:
    """Copy the saved tensors into the parameters. Raises DataError if a name or a shape differs."""
    saved = read_tensors(checkpoint / TENSORS)
    if odd := sorted(set(saved) ^ set(trained)):
        raise DataError(f"{checkpoint}: tensor {odd[0]} is not in both file and run; delete it to start again")
    for name, parameter in trained.items():
        if saved[name].shape != parameter.shape:
            raise DataError(f"{checkpoint}: {name} is {tuple(saved[name].shape)}, not {tuple(parameter.shape)}")
        parameter.copy_(saved[name].to(parameter.device))
