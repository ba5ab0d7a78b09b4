"""`elicit workspace [project= entity= group= save=true]`: a wandb workspace for comparing, as JSON or saved."""

from __future__ import annotations

import json

from elicit.commands.arguments import split
from elicit.errors import ConfigError
from elicit.track.workspace import build, specification


def workspace(arguments: list[str]) -> int:
    """Print the specification; with save=true hand it to wandb-workspaces, which needs a key and a server."""
    names, given = split(arguments, ("project", "entity", "group", "save"))
    if names:
        raise ConfigError(f"elicit workspace {names[0]}: it takes settings only, such as project=elicit")
    spec = specification(given.get("project", "elicit"), given.get("entity"), given.get("group"))
    if given.get("save", "false").lower() not in ("true", "1", "yes"):
        print(json.dumps(spec, indent=1))
        return 0
    if not spec["entity"]:
        raise ConfigError("elicit workspace save=true: say whose, entity=NAME")
    print(f"workspace: {build(spec).save().url}")
    return 0
