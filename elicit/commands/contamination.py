"""`elicit contamination model=... task=...`: has this base seen the evaluation items?"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from elicit.config.compose import build_settings, compose
from elicit.console import Console
from elicit.errors import ConfigError
from elicit.files import write_json

_OWN = {"twins": int, "share": float}


def contamination(arguments: list[str]) -> int:
    """Probe a checkpoint on the test items of a task; writes <root>/contamination/<checkpoint>-<task>.json."""
    from elicit.evaluate.contamination import Probe, probe
    from elicit.policy.checkpoint import load_checkpoint
    from elicit.sampling import recall

    if stray := [word for word in arguments if "=" not in word]:
        raise ConfigError(f"elicit contamination {stray[0]}: settings only, such as model=organism task=chain")
    pairs = [word.split("=", 1) for word in arguments]
    chosen = build_settings(compose([f"{key}={value}" for key, value in pairs if key not in _OWN]))
    config = Probe(**{key: _number(key, value) for key, value in pairs if key in _OWN}, seed=chosen.seed)
    console, checkpoint = Console(chosen.output), load_checkpoint(chosen.model)
    items = chosen.task.items("test", chosen.eval.limit)
    found = probe(items, partial(recall.recall, checkpoint), partial(recall.nll, checkpoint), config)
    whole = {"schema": 1, "checkpoint": checkpoint.info(), "task": chosen.task.name, "settings": vars(config), **found}
    path = Path(chosen.root) / "contamination" / f"{checkpoint.id}-{chosen.task.name}.json"
    write_json(path, whole)
    for line in [*lines(found), f"written: {path}"]:
        console.say(line)
    console.result({"contamination": {key: value for key, value in whole.items() if key != "items"}})
    return 0


def lines(found: dict[str, Any]) -> list[str]:
    """The probe as text."""
    out = []
    for name in ("continuation", "renamed", "renumbered"):
        part = found[name]
        if "refused" in part:
            out.append(f"{name}: {part['refused']}")
        elif name == "continuation":
            bounds = f"[{part['lo']:.1%}, {part['hi']:.1%}]"
            out.append(f"continued word by word: {part['point']:.1%} {bounds} of {part['of']} questions")
        else:
            first = part["first"]
            out.append(
                f"likelier than all {name} twins: {first['point']:.1%} of {first['of']} (chance {first['chance']:.0%}, "
                f"p {part['p']:.3g}); twins cost {part['drop'].get('point', 0):+.3f} nats a token"
            )
    return [*out, "suspect: " + "; ".join(found["suspect"]) if found["suspect"] else "nothing suspect"]


def _number(key: str, value: str) -> Any:
    try:
        return _OWN[key](value)
    except ValueError:
        raise ConfigError(f"{key}={value}: a number, such as twins=4 or share=0.6") from None
