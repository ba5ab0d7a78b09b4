"""`elicit organism build|check`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from elicit.commands.arguments import split
from elicit.errors import ConfigError, near


def organism(arguments: list[str]) -> int:
    """Train a model organism, or measure the shipped ones against what they must satisfy."""
    word, rest = (arguments[0] if arguments else ""), arguments[1:]
    if word == "build":
        return build(rest)
    if word == "check":
        return check(rest)
    raise ConfigError(f"elicit organism {word}: {near(word, ('build', 'check'))}")


def build(arguments: list[str]) -> int:
    """`elicit organism build folder=... [kind= rate= steps= seed= ...]`; the same command again goes on."""
    import yaml

    from elicit.config.build import Builder
    from elicit.organisms.train import OrganismConfig, train_organism

    fields = [field.name for field in dataclasses.fields(OrganismConfig)]
    _, given = split(arguments, (*fields, "folder", "device"))
    folder, device = given.pop("folder", None), given.pop("device", "cpu")
    if folder is None:
        raise ConfigError("elicit organism build folder=PATH: say where the checkpoint goes")
    builder = Builder()
    config: Any = builder.instance(
        OrganismConfig, {key: yaml.safe_load(value) for key, value in given.items()}, "organism"
    )
    builder.raise_faults()
    print(f"organism: {train_organism(config, Path(folder), device)}")
    return 0


def check(arguments: list[str]) -> int:
    """`elicit organism check [problems=N folder=PATH]`: exit code 1 where an organism misses a property.

    Writes measured.json and the data card (README.md) beside the checkpoints.
    """
    names, given = split(arguments, ("problems", "folder"))
    if names:
        raise ConfigError(f"elicit organism check {names[0]}: it takes no names")
    import torch

    from elicit.files import read_json, write_text
    from elicit.organisms.card import render_card
    from elicit.organisms.check import CHECKPOINTS, check_organisms
    from elicit.tasks.formal.task import FAMILIES, FormalTask

    torch.set_num_threads(1)
    folder = Path(given["folder"]) if "folder" in given else CHECKPOINTS
    tasks = {family: FormalTask(family=family) for family in FAMILIES}
    found = check_organisms(tasks, print, problems=int(given.get("problems", 200)), folder=folder)
    tried = folder / "tried.md"
    card = render_card(read_json(folder / "measured.json"), tried.read_text() if tried.exists() else "")
    write_text(folder / "README.md", card)
    for row in found:
        print(f"{'holds ' if row.holds else 'MISSED'}  {row.name}: {row.measured} (wanted {row.wanted})")
    return 0 if all(row.holds for row in found) else 1
