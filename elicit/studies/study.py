"""What a study is: a published claim, the endpoints that test it, the rule, and its scales.

It is the `study:` part of a preset (configs/experiment/study/NAME.yaml, next to the jobs of its comparison), so a study
is added without code. Knows neither how endpoints are measured nor how a page is printed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from elicit.errors import ConfigError, near
from elicit.results.comparison import Unit
from elicit.studies.rule import Condition

PREFIX = "study/"
"""of the names of presets that hold a study"""
SOURCES = ("line", "pair", "lens", "rated")
PAIRED = ("pair", "rated")
SCALES = ("quick", "full", "real")
"""`real`: a small pretrained base on this machine, for the claims that it can say something about"""


@dataclass(frozen=True)
class Endpoint:
    """One number that the study measures, for each of some policies."""

    title: str
    """what it is, in plain English"""
    read: str
    """line KEY: a value of the comparison, e.g. `line acc/strict`, seeds together. pair A - B: accuracy of method A
    minus that of B, paired. lens NAME COLUMN: a column of a lens, each training seed by itself. rated A - B: ratings of
    traces of A (1 to 7) less those of B, refused until people have filled in the rating packet (packet.py)"""
    policies: tuple[str, ...] = ()
    """names in the comparison; not for pairs and ratings"""
    unit: Unit = "points"

    def __post_init__(self) -> None:
        source, rest = self.source, self.read.partition(" ")[2]
        needed = dict.fromkeys(PAIRED, " - " in rest and not self.policies)
        needed["lens"] = bool(self.policies) and " " in rest.strip()
        if source not in SOURCES or not rest.strip() or not needed.get(source, bool(self.policies)):
            raise ConfigError(
                f"endpoint {self.title!r}: read={self.read!r} with policies={list(self.policies)}; write `line KEY` or "
                "`lens NAME COLUMN` with policies, or `pair A - B` or `rated A - B` without"
            )

    @property
    def source(self) -> str:
        """line | pair | lens | rated"""
        return self.read.partition(" ")[0]

    @property
    def lens(self) -> str | None:
        """The lens that it is a column of."""
        return self.read.split(" ")[1] if self.source == "lens" else None

    @property
    def key(self) -> str:
        """The key of a line, the column of a lens, or the names of a pair."""
        return self.read.split(" ", 2 if self.source == "lens" else 1)[-1]


@dataclass(frozen=True)
class Scale:
    """How large a run is."""

    cost: str
    """of the run, and whether it was measured"""
    seeds: tuple[int, ...] = (1, 2)
    """training seeds; one is enough for a study that trains nothing"""
    overrides: tuple[str, ...] = ()
    """settings that are added to every job"""
    jobs: tuple[tuple[str, ...], ...] = ()
    """instead of the preset's own jobs; none: those"""
    asked: str = ""
    """design at this scale, if it is another one than the study's; `not_shown` and `would_change` likewise"""
    not_shown: str = ""
    would_change: str = ""


@dataclass(frozen=True)
class Study:
    """A published claim and how it is tested again."""

    claim: str
    """one sentence"""
    source: str
    """where it was published, with the arXiv id"""
    checked: str
    """how far the published figures were checked: table read, second-hand, not found, ..."""
    asked: str
    """the design as a paragraph: who is compared with whom, on what, and why this tests the claim"""
    not_shown: str
    """what the study does not show"""
    would_change: str
    """what would decide it or change the verdict"""
    endpoints: dict[str, Endpoint]
    rule: tuple[Condition, ...]
    quick: Scale
    full: Scale
    real: Scale | None = None
    published: dict[str, str] = field(default_factory=dict)
    """published figures, as text by what they are"""
    preconditions: tuple[Condition, ...] = ()
    """what has to be met before the claim can be tested at all"""
    lenses: tuple[str, ...] = ()
    """lenses to run besides those of the endpoints"""

    def __post_init__(self) -> None:
        faults = [
            f"rule or preconditions: endpoint={one.endpoint!r} is no endpoint; {near(one.endpoint, self.endpoints)}"
            for one in (*self.preconditions, *self.rule)
            if one.endpoint not in self.endpoints
        ]
        if not self.rule:
            faults.append("rule: it is empty; give one condition at least, a study without a rule has no verdict")
        if not self.endpoints:
            faults.append("endpoints: it is empty; give what the rule decides on")
        texts = ("claim", "source", "checked", "asked", "not_shown", "would_change")
        faults += [f"{name}: it is empty; write a sentence" for name in texts if not getattr(self, name).strip()]
        faults += [
            f"{name}.seeds: it is empty; give one seed at least" for name in self.scales if not self.scale(name).seeds
        ]
        if faults:
            raise ConfigError("study: " + "; ".join(faults))

    @property
    def scales(self) -> list[str]:
        """Names of the scales that it has."""
        return [name for name in SCALES if getattr(self, name) is not None]

    def scale(self, name: str) -> Scale:
        """Raises ConfigError, with near matches, for a scale that it does not have."""
        if name not in self.scales:
            raise ConfigError(f"scale={name}: {near(name, self.scales)}")
        scale: Scale = getattr(self, name)
        return scale

    def at(self, name: str) -> Study:
        """The study in the words of a scale. Raises ConfigError for a scale that it does not have."""
        scale = self.scale(name)
        own = {key: getattr(scale, key) for key in ("asked", "not_shown", "would_change") if getattr(scale, key)}
        return replace(self, **own)

    @property
    def read_by(self) -> list[str]:
        """Names of all lenses to run, each once."""
        of_endpoints = [endpoint.lens for endpoint in self.endpoints.values() if endpoint.lens is not None]
        return list(dict.fromkeys([*self.lenses, *of_endpoints]))
