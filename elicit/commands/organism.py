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

    from elicit.build import Builder
    from elicit.organisms.train import OrganismConfig, train_organism

    fields = [field.name for field in dataclasses.fields(OrganismConfig)]
    _, given = split(arguments, (*fields, "folder", "device"))
    folder, device = given.pop("folder", None), given.pop("device", "cpu")
    if folder is None:
        raise ConfigError("elicit organism build folder=PATH: say where the checkpoint goes")
    builder = Builder()
    config: Any = builder.instance(OrganismConfig, {key: yaml.safe_load(value) for key, value in given.items()}, "organism")
    builder.raise_faults()
    print(f"organism: {train_organism(config, Path(folder), device)}")
    return 0


def check(arguments: list[str]) -> int:
    """`elicit organism check`: exit code 1 where a shipped organism misses a property."""
    names, given = split(arguments, ("problems",))
    if names:
        raise ConfigError(f"elicit organism check {names[0]}: it takes no names")
    from elicit.organism_check import check_organisms

    options = {"problems": int(given["problems"])} if "problems" in given else {}
    found = check_organisms(print, **options)
    return 0 if found is None or all(getattr(row, "holds", True) for row in found) else 1
