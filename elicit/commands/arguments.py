"""Reading the words after a command: names, and settings `key=value` with their defaults.

    LENS = Command("lens GROUP [NAME ...]", {"root": "runs", "output": "text", "run": "false"}, names=MANY)
    given = LENS.read(["demo", "validity", "run=true"])
    given.names, given.flag("run"), given.path("root")        ->  ("demo", "validity"), True, Path("runs")

A command declares its settings once; the faults (an unknown setting with near matches, a missing name, a value that is
no number) read the same for all commands. Settings that belong to a configuration (`model=`, `eval.limit=`) are handed
on as overrides, unread. Knows no command.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from elicit.console import Console
from elicit.errors import ConfigError, near

MANY = 1_000_000
YES, NO = ("true", "1", "yes"), ("false", "0", "no", "")
ALL = "*"
"""as `overrides`: every setting that the command does not declare is an override"""
COMMON: Mapping[str, str] = {"root": "runs", "output": "text"}
"""settings of nearly every command"""


@dataclass(frozen=True)
class Given:
    """The words that a command was given."""

    names: tuple[str, ...]
    settings: Mapping[str, str]
    """declared settings, defaults included"""
    overrides: tuple[str, ...] = ()
    """`key=value` of the configuration, in their order"""
    explicit: frozenset[str] = frozenset()
    """declared settings that were given and not left at their default"""

    def __getitem__(self, key: str) -> str:
        return self.settings[key]

    def path(self, key: str) -> Path:
        return Path(self.settings[key])

    def flag(self, key: str) -> bool:
        """Raises ConfigError for anything that is neither yes nor no."""
        word = self.settings[key].lower()
        if word not in (*YES, *NO):
            raise ConfigError(f"{key}={self.settings[key]}: true or false expected, such as {key}=true")
        return word in YES

    def integer(self, key: str) -> int:
        """Raises ConfigError that shows how to write a number."""
        return int(self._number(key, int, f"{key}=4"))

    def number(self, key: str) -> float:
        """Raises ConfigError that shows how to write a number."""
        return self._number(key, float, f"{key}=0.6")

    def integers(self, key: str) -> tuple[int, ...]:
        """Of `1,2,3` or `[1,2,3]`. Raises ConfigError that shows how to write a list."""
        try:
            return tuple(int(part) for part in self.settings[key].strip("[]()").split(",") if part)
        except ValueError:
            raise ConfigError(f"{key}={self.settings[key]}: whole numbers, such as {key}=1,2,3") from None

    def console(self) -> Console:
        """Of the setting `output`."""
        return Console(self.settings["output"])

    def _number(self, key: str, kind: type[int] | type[float], example: str) -> float:
        try:
            value = kind(self.settings[key])
        except (ValueError, OverflowError):
            value = math.nan
        if not math.isfinite(value):
            what = "whole numbers" if kind is int else "a finite number"
            raise ConfigError(f"{key}={self.settings[key]}: {what}, such as {example}")
        return value


@dataclass(frozen=True)
class Command:
    """What one command accepts."""

    usage: str
    """the command as it is typed, and after a colon what to give: the message if the names do not fit"""
    settings: Mapping[str, str] = field(default_factory=dict)
    """key -> default"""
    names: int = 1
    """names that the command takes at most; with `needs_name`, at least one"""
    needs_name: bool = True
    overrides: tuple[str, ...] = ()
    """groups and settings of the configuration that are handed on; (ALL,): all that are not declared above"""

    def read(self, words: Sequence[str]) -> Given:
        """Raises ConfigError for names that do not fit, and for every unknown setting with its near matches."""
        pairs = [(word, *word.split("=", 1)) for word in words if "=" in word]
        names = tuple(word for word in words if "=" not in word)
        own = {key: value for _, key, value in pairs if key in self.settings}
        handed_on = [(word, key) for word, key, _ in pairs if key not in self.settings]
        known = [*self.settings, *self.overrides]
        unknown = [] if ALL in known else [key for _, key in handed_on if key.split(".")[0] not in self.overrides]
        if unknown:
            raise ConfigError("; ".join(f"{key}: no such setting here; {near(key, known)}" for key in unknown))
        command, _, advice = self.usage.partition(": ")
        if self.names == 0 and names:
            raise ConfigError(f"elicit {command} {names[0]}: {advice}")
        if len(names) > self.names or (self.needs_name and self.names and not names):
            given = f"{len(names)} names ({' '.join(names)})" if names else "no name"
            raise ConfigError(f"elicit {command.split()[0]}: {given}; expected: elicit {self.usage}")
        if "root" in own and not own["root"].strip():
            raise ConfigError(f"root={own['root']!r}: empty; give the folder of the runs, such as root=runs")
        return Given(names, {**self.settings, **own}, tuple(word for word, _ in handed_on), frozenset(own))
