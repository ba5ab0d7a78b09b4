"""One simulated comparison in which no method elicits anything: does the decision rule claim something?

    nothing         the method is the base, its placebos too
    equal placebo   the method gains, and one placebo gains exactly as much: the hardest null of a controlled gain
    four methods    four of the latter at once: any claim counts, Holm has to hold the family
    three seeds     the equal placebo, both fitted with three seeds whose effects differ
    declaration     base and method solve the same, but the method declares nearly every answer and the base few
    termination     base and method solve the same and declare it, but the base rambles on after most answers
    length          base and method solve the same, but the method writes ten times as much
    four forms      four methods that declare more than their placebos, which solve exactly as much more than the base

In the last four nobody gains more than form over the best of base and placebos. The three with one method are as on a
real base: a best prompt B1 is measured, nothing is planted, and C1 is the only ceiling. What no reading can see, an
answer that is neither declared nor followed by an end, is in no world: there the warnings on unanswered and truncated
samples have to speak.

The rule is the report's own label of a row (`report.verdict.verdict_label`): CLAIMS are the words that claim something,
"format" and "prompt as good" do not. Everything from grades to lines is what `compare` computes. Knows no file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elicit.evaluate.calibration.worlds import (
    PLAIN,
    Manners,
    World,
    draw_world,
    simulated_entry,
    simulated_items,
    simulated_measures,
)
from elicit.evaluate.comparison.compare import tabulate_measures
from elicit.evaluate.comparison.lines import lines_of
from elicit.evaluate.entry import Entry
from elicit.evaluate.metrics import JUDGED
from elicit.evaluate.metrics.table import CompareConfig
from elicit.files import seed_of
from elicit.report.rows import TableRow
from elicit.report.verdict import verdict_label

SEEDS = 3
CLAIMS = ("elicits", "elicits, at a price", "above placebo")


class Part(NamedTuple):
    """One policy of a simulated comparison: its entry, its true rates and its manners."""

    entry: Entry
    rates_N: NDArray
    manners: Manners = PLAIN


class SimulatedTask:
    """The part of a task that a comparison needs: answers are their own classes."""

    name = "simulated"

    def answer_class(self, answer: str) -> str:
        return answer


def one_null(kind: str, index: int, seed: int, items: int, n: int, draws: int) -> dict[str, Any]:
    """{"claimed": [names of methods whose label claims something]} of simulated comparison `index` of this kind."""
    rng = np.random.default_rng(seed_of("calibration", "null", kind, seed, index))
    world = draw_world(rng, items, n, 1, SEEDS if kind == "three seeds" else 1)
    return {"claimed": claims(KINDS[kind](world, rng), world, rng, draws)}


def claims(parts: list[Part], world: World, rng: np.random.Generator, draws: int) -> list[str]:
    """Names of the methods whose label claims something."""
    labels = labels_of(parts, world, rng, draws)
    return [name for name, label in labels.items() if label in CLAIMS]


def labels_of(parts: list[Part], world: World, rng: np.random.Generator, draws: int) -> dict[str, str]:
    """The label of every method of a simulated comparison. C1 has eight times as many samples, at temperature 1.

    Of the metrics only those that a claim rests on are computed; a price at equal tokens turns no label into a claim.
    """
    items = simulated_items(world, rng)
    measured = []
    for part in parts:
        n, regime = (8 * world.n, "support") if part.entry.name == "C1" else (world.n, "compare")
        measured.append(simulated_measures(part.entry.policy, items, part.rates_N, n, rng, part.manners, regime))
    b1 = next((part.entry.prompt for part in parts if part.entry.role == "prompt"), None)
    config = CompareConfig("simulated", b1=b1, draws=draws, seed=int(rng.integers(2**31)))
    entries = [part.entry for part in parts]
    table = tabulate_measures(entries, measured, items, SimulatedTask(), config, {}, JUDGED)  # type: ignore[arg-type]
    methods = [line for line in lines_of(table, JUDGED) if line.role == "method"]
    return {line.name: verdict_label(TableRow(line, line.name, "Methods", 0, "method")) for line in methods}


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


def _declaration(world: World, rng: np.random.Generator) -> list[Part]:
    few = rng.uniform(0.02, 0.6)
    placebo = min(1.0, few + rng.uniform(0, 0.05))
    return _one_form(world, rng, Manners(few), Manners(rng.uniform(0.8, 1)), Manners(placebo))


def _termination(world: World, rng: np.random.Generator) -> list[Part]:
    few = rng.uniform(0.05, 0.6)
    placebo = min(1.0, few + rng.uniform(0, 0.05))
    return _one_form(world, rng, Manners(1, few), Manners(1, rng.uniform(0.8, 1)), Manners(1, placebo))


def _length(world: World, rng: np.random.Generator) -> list[Part]:
    declares = rng.uniform(0.3, 1)
    return _one_form(world, rng, Manners(declares), Manners(declares, tokens=100.0), Manners(declares))


def _one_form(world: World, rng: np.random.Generator, base: Manners, method: Manners, placebo: Manners) -> list[Part]:
    """All policies solve the same items; B1 declares a little more than the bare prompt."""
    rates_N = world.rates(rng)["base"]
    asked = base._replace(declares=min(1.0, base.declares + rng.uniform(0, 0.2)))
    prompt = replace(simulated_entry("prompt", "think"), prompt="think")
    return [
        Part(simulated_entry("base", "base"), rates_N, base),
        Part(prompt, rates_N, asked),
        Part(simulated_entry("ceiling", "C1"), rates_N, base),
        Part(simulated_entry("method", "m"), rates_N, method),
        Part(simulated_entry("placebo", "m/0", "m"), rates_N, placebo),
        Part(simulated_entry("placebo", "m/1", "m"), rates_N, base),
    ]


def _four_forms(world: World, rng: np.random.Generator) -> list[Part]:
    return [
        part._replace(manners=Manners(rng.uniform(0.8, 1) if part.entry.role in ("method", "ceiling") else 0.4))
        for part in _four_methods(world, rng)
    ]


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
    "declaration": _declaration,
    "termination": _termination,
    "length": _length,
    "four forms": _four_forms,
}
