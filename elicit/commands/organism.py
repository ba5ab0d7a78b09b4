"""`elicit organism build|check|threshold`."""

from __future__ import annotations

import dataclasses
from typing import Any

from elicit.commands.arguments import Command
from elicit.console import Console
from elicit.errors import ConfigError, near

CHECK = Command("organism check: it takes no names", {"problems": "200", "folder": "", "kinds": ""}, names=0)


def organism(words: list[str]) -> int:
    """Train a model organism, measure the shipped ones against what they must satisfy, or draw the threshold curve."""
    word, rest = (words[0] if words else ""), words[1:]
    if word == "build":
        return build(rest)
    if word == "check":
        return check(rest)
    if word == "threshold":
        from elicit.commands.threshold import threshold

        return threshold(rest)
    raise ConfigError(f"elicit organism {word}: {near(word, ('build', 'check', 'threshold'))}")


def build(words: list[str]) -> int:
    """`elicit organism build folder=... [kind= rate= steps= seed= ...]`; the same command again continues."""
    import yaml

    from elicit.config.build import Builder
    from elicit.organisms.train import OrganismConfig, train_organism

    fields = {field.name: "" for field in dataclasses.fields(OrganismConfig)}
    usage = "organism build: settings only, such as kind=twin folder=PATH"
    given = Command(usage, {**fields, "folder": "", "device": "cpu"}, names=0).read(words)
    if not given["folder"]:
        raise ConfigError("elicit organism build folder=PATH: name the folder that the checkpoint is written to")
    builder, node = Builder(), {key: yaml.safe_load(given[key]) for key in fields if key in given.explicit}
    config: Any = builder.instance(OrganismConfig, node, "organism")
    builder.raise_faults()
    Console().say(f"organism: {train_organism(config, given.path('folder'), given['device'])}")
    return 0


def check(words: list[str]) -> int:
    """`elicit organism check [kinds=decoy,twin problems=N folder=PATH]`: exit code 1 if an organism misses a property.

    Writes measured.json and the data card (README.md) next to the checkpoints.
    """
    given = CHECK.read(words)
    import torch

    from elicit.files import read_json, read_text, write_text
    from elicit.organisms.card import render_card
    from elicit.organisms.check import check_organisms
    from elicit.organisms.truth import CHECKPOINTS
    from elicit.tasks.formal.task import FAMILIES, FormalTask

    torch.set_num_threads(1)
    folder, say = given.path("folder") if given["folder"] else CHECKPOINTS, Console().say
    tasks = {family: FormalTask(family=family) for family in FAMILIES}
    kinds = [kind for kind in given["kinds"].split(",") if kind]
    rows = check_organisms(tasks, say, kinds, given.integer("problems"), folder)
    tried = folder / "tried.md"
    card = render_card(read_json(folder / "measured.json"), read_text(tried) if tried.exists() else "", folder)
    write_text(folder / "README.md", card)
    for row in rows:
        say(f"{'holds ' if row.holds else 'MISSED'}  {row.name}: {row.measured} (wanted {row.wanted})")
    return 0 if all(row.holds for row in rows) else 1
