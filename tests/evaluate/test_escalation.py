"""Laws of the escalation: it asks about E items only, stops at a hit, ends at the last level, and bounds the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from elicit.errors import ConfigError
from elicit.evaluate.comparison.compare import CompareConfig, compare
from elicit.evaluate.comparison.escalation import Total, attach, look, save
from elicit.evaluate.entry import Entry
from elicit.evaluate.measures.measure import measure
from elicit.evaluate.metrics.support import upper_bound
from elicit.results import Estimate, Line
from tests.evaluate.simulated import SimulatedTask, items, rates, store

ITEMS = items(40)


class Base:
    """A base that solves item i with chance rates_N[i]; keeps the calls."""

    def __init__(self, root: Path, rates_N: np.ndarray) -> None:
        self.root, self.rates = root, dict(zip((item.id for item in ITEMS), rates_N, strict=True))
        self.calls: list[tuple[int, set[str]]] = []

    def __call__(self, asked: list, n: int) -> tuple[Path, Path]:
        self.calls.append((n, {item.id for item in asked}))
        own = np.array([self.rates[item.id] for item in asked])
        return store(self.root / str(n), "base", asked, own, n, "support")


def worlds(root: Path, base_N: np.ndarray, method: float = 1.0):
    method_m = measure(*store(root, "m", ITEMS, np.full(40, method), 4), ITEMS)
    return {"m": method_m}, measure(*store(root, "b", ITEMS, base_N, 8), ITEMS)


def test_only_novel_items_are_asked_about_and_a_hit_ends_the_asking(tmp_path: Path) -> None:
    base_N = np.repeat([1.0, 0.0], 20)
    base_N[20:30] = 0.05
    methods, base = worlds(tmp_path, np.repeat([1.0, 0.0], 20))
    asked = Base(tmp_path, base_N)
    found = look(methods, base, ITEMS, asked, (64, 128))
    assert [n for n, _ in asked.calls] == [64, 128]
    assert asked.calls[0][1] == {item.id for item in ITEMS[20:]}
    never = {item.id for item in ITEMS[30:]}
    assert never <= asked.calls[1][1] and len(asked.calls[1][1]) < 16
    total = found.methods["m"]
    assert total.E == total.asked == 20 and total.solved_by_base + total.unsolved == 20
    assert total.unsolved >= 10 and total.upper_bound == pytest.approx(upper_bound(128))
    assert all(found.items[name].n == 128 for name in never)


def test_if_nothing_is_novel_nothing_is_asked(tmp_path: Path) -> None:
    methods, base = worlds(tmp_path, np.full(40, 1.0))
    asked = Base(tmp_path, np.full(40, 1.0))
    found = look(methods, base, ITEMS, asked)
    assert asked.calls == [] and found.methods["m"] == Total(0, 0, 0, 0, None)


@pytest.mark.parametrize("levels", [(), (64, 64), (128, 64), (0, 4)])
def test_levels_rise(tmp_path: Path, levels: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="that rise"):
        look(
            {},
            measure(*store(tmp_path, "b", ITEMS, np.full(40, 1.0), 2), ITEMS),
            ITEMS,
            Base(tmp_path, np.ones(40)),
            levels,
        )


def test_a_comparison_holds_the_totals_of_an_escalation_in_its_folder(tmp_path: Path) -> None:
    def entry(role: str, name: str, mean: float, n: int) -> Entry:
        return Entry(role, name, name, *store(tmp_path, name, ITEMS, rates(ITEMS, mean), n, "support"), data_class="V")

    entries = [entry("base", "b", 0.05, 8), entry("method", "m", 0.9, 8)]
    measured = {e.policy: measure(e.samples, e.grades, ITEMS) for e in entries}
    save(look({"m": measured["m"]}, measured["b"], ITEMS, Base(tmp_path, np.zeros(40)), (16,)), tmp_path / "out")
    out = compare(entries, ITEMS, tmp_path / "out", SimulatedTask(), CompareConfig("g", draws=200))  # type: ignore[arg-type]
    found = next(line for line in out.lines if line.name == "m").under("support/escalation")
    assert found["unsolved"].point == found["E"].point > 20
    assert found["upper_bound"].point == pytest.approx(upper_bound(16))
    # a refused support lacks the method's samples at T=1; what the base solves if asked more often is known
    refused, other = Line("m", "m", "method"), Line("other", "other", "method")
    refused.values["support/NDR"] = Estimate(refused="too few")
    attach([refused, other], tmp_path / "out")
    assert refused.under("support/escalation") == found and refused.values["support/NDR"].refused and not other.values
