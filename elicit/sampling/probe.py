"""A probe: a prefix to continue, described without a model.

    prompt of the item | the first `kept` characters of sample j, by its own tokens | `text` |  -> n continuations

The plan of a lens is a list of probes; `continue_from` runs them. Plain data: no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from elicit.errors import ConfigError


@dataclass(frozen=True)
class Probe:
    """One prefix to continue."""

    item: str
    j: int
    """the sample whose trace is kept"""
    key: str
    """names the probe within its lens and sample"""
    kept: int
    """characters of the sample's completion that are forced, by its own tokens"""
    text: str = ""
    """forced after them"""
    n: int = 1
    """continuations; greedy ones are equal, so one is enough"""
    room: int = 16
    """most tokens of a continuation"""
    greedy: bool = True
    """False: T = 1, no truncation"""

    def __post_init__(self) -> None:
        if self.n < 1 or self.room < 1 or self.kept < 0:
            raise ConfigError(f"probe {self.key!r}: n={self.n}, room={self.room}, kept={self.kept}: 1, 1, 0 at least")
        if self.greedy and self.n > 1:
            raise ConfigError(f"probe {self.key!r}: n={self.n} greedy ones are all the same: n=1, or greedy=False")
