"""The law of metrics: a file and one line of the registry, and the comparison holds its column, value and curve."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from elicit.evaluate import metrics
from elicit.evaluate.comparison.compare import compare
from elicit.evaluate.measures.measure import Measures, measure
from elicit.evaluate.metrics.metric import Lines, Metric, curve
from elicit.evaluate.metrics.table import Table
from elicit.results import Column, Comparison, read_comparison
from tests.evaluate.simulated import SimulatedTask, items
from tests.evaluate.test_compare import CONFIG, entry

# ---- the toy: what the first of k samples is worth, and how often the first is right ----


def first_right(m: Measures, k: int) -> NDArray:
    """Share of an item's first k samples that are right."""
    return (m.strict_N_J[:, :k] == 1).mean(1)


def _add(table: Table) -> None:
    for arm in table.arms:
        for k in arm.ks:
            table.joint.add(arm.key, f"toy@{k}", [first_right(m, k) for m in arm.measures])


def _report(table: Table, lines: Lines) -> None:
    resamples = table.joint.resamples
    for arm, line in lines:
        line.curves["toy"] = curve(
            table, arm, "toy", lambda mean, values_N, seeds: resamples.proportion(*mean, seeds=seeds)
        )
        line.values["toy/first"] = resamples.proportion(*table.joint.mean(arm.key, "toy@1"))
        line.notes["toy/order"] = "as sampled"


TOY = Metric(
    "toy",
    (
        Column("toy/first", "First", "percent", "the first sample is right", "scorecard"),
        Column("toy", "toy@k", "percent", "of the first k, right", "figures"),
    ),
    _add,
    _report,
)


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Comparison]:
    """The same entries without and with the toy in the registry, as they are read back from their files."""
    root, found = tmp_path_factory.mktemp("toy"), items(60)
    entries = [entry(root, "base", "base", found, 0.2), entry(root, "method", "m", found, 0.6)]
    out = {}
    for name, registry in (("without", metrics.METRICS), ("with", (*metrics.METRICS, TOY))):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(metrics, "METRICS", registry)
            compare(entries, found, root / name, SimulatedTask(), CONFIG)  # type: ignore[arg-type]
        out[name] = read_comparison(root / name / "comparison.json")
    for number, one in enumerate(entries):
        m = measure(one.samples, one.grades, found)
        values = out["with"].lines[number].values["toy/first"]
        assert values.point == pytest.approx(np.mean([row[0] == 1 for row in m.strict_N_J]))
    return out


def test_a_metric_is_one_file_and_one_line_of_the_registry(compared: dict[str, Comparison]) -> None:
    found = compared["with"]
    assert [c.title for c in found.table("scorecard")][-1] == "First"
    assert [c.title for c in found.table("figures")][-1] == "toy@k"
    for line in found.lines:
        first = line.get("toy/first")
        assert first is not None and first.bounds is not None and line.notes["toy/order"] == "as sampled"
        assert line.curves["toy"].k == (1, 2, 4) and line.get("toy") == line.curves["toy"].last


def test_a_further_metric_changes_no_number_of_the_others(compared: dict[str, Comparison]) -> None:
    for before, after in zip(compared["without"].lines, compared["with"].lines, strict=True):
        for key, value in before.values.items():
            numbers = [(value.point, value.lo, value.hi), (after.values[key].point, after.values[key].lo,
                                                            after.values[key].hi)]  # fmt: skip
            assert numbers[0] == pytest.approx(numbers[1], abs=1e-12), key
        for key, band in before.curves.items():
            assert band.lo == pytest.approx(after.curves[key].lo, abs=1e-12), key
            assert band.hi == pytest.approx(after.curves[key].hi, abs=1e-12), key
