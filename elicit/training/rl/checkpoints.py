"""Checkpoints of a policy-gradient run: trained tensors, optimizer, generators, and the ledger's rows.

    checkpoint-000020/   trained.safetensors  optimizer.pt  scheduler.pt  rng_state.pth  trainer_state.json
                         ledger.jsonl  progress.json

Written beside its place and renamed into it, so a folder of that name is whole, also after `kill -9`. The base
is no part of it. A checkpoint of other settings, another policy or another seed is set aside, never resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from elicit.errors import DataError
from elicit.files import read_json, remove_tree, write_json

if TYPE_CHECKING:
    from elicit.ledger import Ledger

TENSORS = "trained.safetensors"
PROGRESS = "progress.json"
LEDGER = "ledger.jsonl"
KEPT = 2


def name_of(step: int) -> str:
    """The folder's name after so many updates."""
    return f"checkpoint-{step:06d}"


def save(folder: Path, step: int, tensors: Mapping[str, torch.Tensor], more: Callable[[Path], None]) -> Path:
    """Write the checkpoint of `step` whole or not at all; `more` writes the rest into the folder given. Keeps two."""
    from safetensors.torch import save_file

    place, unfinished = folder / name_of(step), folder / f".unfinished-{step:06d}"
    remove_tree(unfinished)
    unfinished.mkdir(parents=True)
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, unfinished / TENSORS)
    more(unfinished)
    remove_tree(place)
    unfinished.rename(place)
    for old in found(folder)[:-KEPT]:
        remove_tree(old)
    return place


def found(folder: Path) -> list[Path]:
    """Whole checkpoints, the earliest first."""
    return sorted(folder.glob("checkpoint-[0-9]*"))


def latest(folder: Path, identity: Mapping[str, Any], say: Callable[[str], None]) -> Path | None:
    """The last checkpoint of this very run; those of another are moved aside, and it is said."""
    whole = found(folder)
    if not whole:
        return None
    if read_json(whole[-1] / PROGRESS)["identity"] == dict(identity):
        return whole[-1]
    aside = folder / f"aside-{len(list(folder.glob('aside-*')))}"
    aside.mkdir()
    for checkpoint in whole:
        checkpoint.rename(aside / checkpoint.name)
    say(f"checkpoints of other settings moved to {aside}: training starts anew")
    return None


@torch.no_grad()
def load_tensors(checkpoint: Path, trained: Mapping[str, torch.Tensor]) -> None:
    """Copy the saved tensors into the parameters. Raises DataError where a name or shape is not theirs."""
    from safetensors.torch import load_file

    saved = load_file(checkpoint / TENSORS)
    if odd := sorted(set(saved) ^ set(trained)):
        raise DataError(f"{checkpoint}: tensor {odd[0]} is in the file or in the run only; start anew")
    for name, parameter in trained.items():
        if saved[name].shape != parameter.shape:
            raise DataError(f"{checkpoint}: {name} is {tuple(saved[name].shape)}, not {tuple(parameter.shape)}")
        parameter.copy_(saved[name].to(parameter.device))


def write_progress(folder: Path, identity: Mapping[str, Any], state: Mapping[str, Any], ledger: Ledger) -> None:
    """What the optimizer does not know: which run it is, how it stands, what has been spent."""
    ledger.save(folder / LEDGER)
    write_json(folder / PROGRESS, {"identity": dict(identity), "state": dict(state), "spent": asdict(ledger.spent)})


def book_again(checkpoint: Path, ledger: Ledger) -> dict[str, Any]:
    """Put the account of the interrupted run back as it was saved, every row of it; returns the run's state."""
    from elicit.ledger import Spent, load_rows

    progress = read_json(checkpoint / PROGRESS)
    ledger.resume(load_rows(checkpoint / LEDGER), Spent(**progress["spent"]))
    return progress["state"]
