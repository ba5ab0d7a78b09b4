"""One simulated comparison in which no method elicits anything: does the decision rule claim something?

    nothing         the method is the base, its placebos too
    equal placebo   the method gains, and one placebo gains exactly as much: the hardest null of a controlled gain
    four methods    four of the latter at once: any claim counts, Holm has to hold the family
    three seeds     the equal placebo, both fitted with three seeds whose effects differ

The rule is the report's own: control-adjusted gain with its lower bound above 0 and p below .05 after Holm, EF not
refused and above 0, data of its own (`report.verdict.eliciting`). Everything from grades to lines is what `compare`
computes. Knows no file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.calibration.worlds import World, draw_world, simulated_entry, simulated_items, simulated_measures
from elicit.evaluate.comparison.compare import tabulate_measures
from elicit.evaluate.comparison.lines import lines_of
from elicit.evaluate.entry import Entry
from elicit.evaluate.metrics.table import CompareConfig
from elicit.files import seed_of
from elicit.report.rows import TableRow
from elicit.report.verdict import eliciting

SEEDS = 3


class Part(NamedTuple):
    """One policy of a simulated comparison: its entry and its true rates."""

    entry: Entry
    rates_N: NDArray


class SimulatedTask:
    """The part of a task that a comparison needs: answers are their own classes."""

    name = "simulated"

    def answer_class(self, answer: str) -> str:
        return answer


def one_null(kind: str, index: int, seed: int, items: int, n: int, draws: int) -> dict[str, Any]:
    """{"claimed": [names of methods that the rule calls eliciting]} of simulated comparison `index` of this kind."""
    rng = np.random.default_rng(seed_of("calibration", "null", kind, seed, index))
    world = draw_world(rng, items, n, 1, SEEDS if kind == "three seeds" else 1)
    return {"claimed": claims(KINDS[kind](world, rng), world, rng, draws)}


def claims(parts: list[Part], world: World, rng: np.random.Generator, draws: int) -> list[str]:
    """Names of the methods that the decision rule calls eliciting."""
    items = simulated_items(world, rng)
    measured = [simulated_measures(part.entry.policy, items, part.rates_N, world.n, rng) for part in parts]
    config = CompareConfig("simulated", draws=draws, seed=int(rng.integers(2**31)))
    entries = [part.entry for part in parts]
    table = tabulate_measures(entries, measured, items, SimulatedTask(), config, {})  # type: ignore[arg-type]
    methods = [line for line in lines_of(table) if line.role == "method"]
    return [line.name for line in methods if eliciting(TableRow(line, line.name, "Methods", 0, "method"))]


def _nothing(world: World, rng: np.random.Generator) -> list[Part]:
    rates = world.rates(rng)
    return _with_base(rates, [("m", rates["base"], [rates["base"], rates["base"]])])


def _equal_placebo(world: World, rng: np.random.Generator) -> list[Part]:
    rates = world.rates(rng)
    return _with_base(rates, [("m", rates["method"][0], [rates["method"][0], rates["base"]])])


def _four_methods(world: World, rng: np.random.Generator) -> list[Part]:
    rates = world.rates(rng)
    own = [1 - (1 - rates["base"]) * (1 - share * rng.beta(*world.gain, world.items)) for share in (0.6, 0.8, 0.9, 1.0)]
    return _with_base(rates, [(f"m{i}", rates_N, [rates_N]) for i, rates_N in enumerate(own)])


def _three_seeds(world: World, rng: np.random.Generator) -> list[Part]:
    """Method and placebo: the same distribution of seed effects, each its own draws."""
    rates = world.rates(rng)
    room_N = 1 - rates["base"]
    share_N = rng.beta(*world.gain, world.items)
    assert world.seed_effect is not None
    parts = _with_base(rates, [])
    for role, name, parent in (("method", "m", None), ("placebo", "m/0", "m")):
        for seed, u in enumerate(rng.beta(*world.seed_effect, SEEDS)):
            parts.append(Part(simulated_entry(role, name, parent, seed), 1 - room_N * (1 - share_N * u)))
    return parts


def _with_base(rates: dict[str, NDArray], methods: list[tuple[str, NDArray, list[NDArray]]]) -> list[Part]:
    """Base and ceiling, then every (name, rates, rates of its placebos)."""
    parts = [
        Part(simulated_entry("base", "base"), rates["base"]),
        Part(simulated_entry("ceiling", "C4"), rates["ceiling"]),
    ]
    for name, rates_N, placebos in methods:
        parts.append(Part(simulated_entry("method", name), rates_N))
        parts += [Part(simulated_entry("placebo", f"{name}/{i}", name), twin_N) for i, twin_N in enumerate(placebos)]
    return parts


KINDS: dict[str, Callable[[World, np.random.Generator], list[Part]]] = {
    "nothing": _nothing,
    "equal placebo": _equal_placebo,
    "four methods": _four_methods,
    "three seeds": _three_seeds,
}
