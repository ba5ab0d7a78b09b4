"""What is true of each organism, as data: `checkpoints/KIND/truth.yaml`.

    planted: what was planted, in one sentence
    latent: true if the checkpoint holds reasoning that it hardly ever shows at the bare prompt
    right:                     by kind of method: the labels of `elicit/report/verdict.py` that agree with the truth
      weights: [no gain, format]
    because:                   by kind of method: why these labels and no others

"not decidable" agrees with nothing and contradicts nothing: it is counted by itself. A label that claims something
(`CLAIMS`) against the truth is a false claim, any other wrong label a miss. What this module does not know: models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from elicit.errors import ConfigError, near
from elicit.report.rows import unwarned

CHECKPOINTS = Path(__file__).parent / "checkpoints"
METHOD_KINDS = ("weights", "vectors", "branching", "power", "votes")
"""trained weights or vectors | vectors and features that are read from activations | branches over first tokens |
power sampling | votes over samples"""
CLAIMS = ("elicits", "elicits, at a price", "above placebo", "brought in")
UNDECIDED = "not decidable"
Agreement = Literal["agrees", "false claim", "miss", "undecided"]


@dataclass(frozen=True)
class Truth:
    """What a right verdict is, by kind of method."""

    kind: str
    planted: str
    latent: bool
    right: Mapping[str, tuple[str, ...]]
    because: Mapping[str, str]

    def agreement(self, method_kind: str, label: str) -> Agreement:
        """How a verdict's label compares with the truth. Raises ConfigError for an unknown kind of method."""
        if method_kind not in self.right:
            raise ConfigError(f"{method_kind!r} is no kind of method: {near(method_kind, METHOD_KINDS)}")
        label = unwarned(label)
        if label in self.right[method_kind]:
            return "agrees"
        if label == UNDECIDED:
            return "undecided"
        return "false claim" if label in CLAIMS else "miss"


def shipped(folder: Path = CHECKPOINTS) -> tuple[str, ...]:
    """The kinds whose weights are in `folder`, the positive organism first."""
    kinds = sorted(file.parent.name for file in folder.glob("*/model.safetensors"))
    return tuple(sorted(kinds, key=lambda kind: kind != "positive"))


def truth_of(kind: str, folder: Path = CHECKPOINTS) -> Truth:
    """The truth of one organism. Raises ConfigError if its file is missing or lacks a kind of method."""
    file = folder / kind / "truth.yaml"
    if not file.is_file():
        known = sorted(path.parent.name for path in folder.glob("*/truth.yaml"))
        raise ConfigError(f"{file}: no truth is stated for {kind!r}; {near(kind, known)}")
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    right = {name: tuple(labels) for name, labels in content["right"].items()}
    missing = [name for name in METHOD_KINDS if name not in right or name not in content["because"]]
    if missing:
        raise ConfigError(f"{file}: `right` and `because` lack {', '.join(missing)}")
    return Truth(kind, content["planted"], bool(content["latent"]), right, content["because"])
