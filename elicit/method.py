"""The method protocol: how an intervention is found, and what finding it costs.

A method owns neither model loading, prompts, stop rules, grading, files, logging, seeds nor the command line;
everything that it may touch comes in through the three arguments of `fit`. It imports from `elicit.policy`,
`elicit.sampling`, `elicit.training` and below, never from `elicit.evaluate`, `elicit.track`, hydra or wandb, and never
from another method.

    @dataclass(frozen=True)
    class MyMethod(MethodBase):
        '''One sentence; the head of the module has paper, formula and cost.'''

        items: int = 64
        '''train items to sample'''
        name: str = "my_method"

        def fit(self, policy, ledger, context): ...

`Method` is what callers rely on, `MethodBase` has a default for every member but `name` and `fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from elicit.console import Progress, unseen

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.policy.decoding import DecodingStrategy
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy
    from elicit.training.sft.sft import SftConfig

PASSES = 3
"""passes per trained row, counted at the speed of sampling: one forward pass, and two for the backward pass. A GPU
trains a token faster than it samples one, so there this is an upper bound"""

Parameters = Literal["full", "lora", "vectors"]
"""what gradients are computed for: all weights, LoRA pairs, or one vector per layer"""


@dataclass(frozen=True)
class Work:
    """What one fit generates and trains, or several fits: they add up. Without searches over dev and dictionaries."""

    paths: float = 0
    """completions sampled"""
    rows: float = 0
    """rows that gradients are computed for, counted each time"""

    def __add__(self, other: Work) -> Work:
        return Work(self.paths + other.paths, self.rows + other.rows)

    @property
    def passes(self) -> float:
        """Passes over a completion, sampled or trained."""
        return self.paths + PASSES * self.rows


@dataclass(frozen=True)
class Context:
    """What a fit gets besides the policy and the ledger."""

    rng: np.random.Generator
    folder: Path
    """for resuming, and for the method's own artifacts"""
    dev_score: Callable[[Policy, int | None], float]
    """strict accuracy of a policy on (a seeded subset of) dev in regime `compare`; its bits are booked as select"""
    log: Callable[[dict[str, Any]], None] = field(default=lambda row: None)
    """takes one flat dict of curves or tables; it never fails a fit"""
    say: Callable[[str], None] = field(default=lambda line: None)
    """takes one line for the terminal"""
    progress: Progress = unseen
    """takes the steps that are done and all steps of the longest part of a fit, for the time left"""
    warn: Callable[[str], None] = field(default=lambda line: None)
    """takes one line about a weakness of this fit: shown on the terminal, and kept with the row of the comparison"""
    seed: int = 0
    """the run's seed, for draws that a method shares with its placebos; `rng` belongs to this fit alone"""


class Method(Protocol):
    """A dataclass whose fields are the method's schema; the defaults are the truth, YAML states differences."""

    @property
    def name(self) -> str:
        """What its line in a comparison is called."""
        ...

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> Intervention:
        """Find the intervention. Raises MethodError if there is nothing to learn from, naming the setting to change."""
        ...

    def placebos(self) -> dict[str, Method]:
        """Methods without information about the items, with the same compute, knobs and tries."""
        ...

    def rivals(self) -> dict[str, Method]:
        """Informative alternatives: lines of their own, never subtracted."""
        ...

    def work(self, items: int, tokens: float) -> Work | None:
        """What a fit generates and trains; None if that is not known.

        `items`: items of the comparison; `tokens`: expected tokens per completion. They are for a method whose work
        depends on them; the methods of this repository state theirs from their own settings.
        """
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that a fit reads besides those that its settings name: if their content changes, it is fitted again."""
        ...

    @property
    def widths(self) -> Mapping[int, int]:
        """Widths of the vectors read from files, by 0-based layer: the plan compares them to the model."""
        ...

    @property
    def strategy(self) -> DecodingStrategy | None:
        """The decoding strategy that is evaluated; None: the evaluator's regime."""
        ...

    @property
    def max_new_tokens(self) -> int | None:
        """The method's own limit of new tokens per completion; None: the limit of the evaluation or the task."""
        ...

    @property
    def parameters(self) -> Parameters | None:
        """What a policy gradient trains; None: the method computes none."""
        ...

    @property
    def sft(self) -> SftConfig | None:
        """How rows are fine-tuned on; None: the method does no fine-tuning."""
        ...


class MethodBase:
    """Defaults of the protocol: no controls, unknown work, no files, strategy or training. No dataclass: no fields."""

    strategy: DecodingStrategy | None = None
    max_new_tokens: int | None = None
    sft: SftConfig | None = None

    @property
    def parameters(self) -> Parameters | None:
        """Nothing is trained by policy gradient. A property: a class that states it need not be a field."""
        return None

    @property
    def files(self) -> tuple[Path, ...]:
        """None. A property: a class that states them need not have a field."""
        return ()

    @property
    def widths(self) -> Mapping[int, int]:
        """None. A property: see `files`."""
        return {}

    def placebos(self) -> dict[str, Method]:
        """None."""
        return {}

    def rivals(self) -> dict[str, Method]:
        """None."""
        return {}

    def work(self, items: int, tokens: float) -> Work | None:
        """Unknown."""
        return None
