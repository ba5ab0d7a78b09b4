"""`elicit workspace [project= entity= group= save=true]`: a wandb workspace for comparing, as JSON or saved."""

from __future__ import annotations

import json

from elicit.commands.arguments import Command
from elicit.errors import ConfigError
from elicit.track.workspace import build, specification

WORKSPACE = Command(
    "workspace: it takes settings only, such as project=elicit",
    {"project": "elicit", "entity": "", "group": "", "save": "false"},
    names=0,
)


def workspace(words: list[str]) -> int:
    """Print the specification; with save=true pass it to wandb-workspaces, which needs a key and a server."""
    given = WORKSPACE.read(words)
    spec = specification(given["project"], given["entity"] or None, given["group"] or None)
    if not given.flag("save"):
        print(json.dumps(spec, indent=1))
        return 0
    if not spec["entity"]:
        raise ConfigError("elicit workspace save=true: name its owner, entity=NAME")
    print(f"workspace: {build(spec).save().url}")
    return 0
