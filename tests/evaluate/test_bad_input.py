"""Bad input gives an honest "unknown" or a refusal that names the policy and the place, never a silent zero."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elicit.errors import DataError, StageError
from elicit.evaluate.comparison.compare import CompareConfig, compare
from elicit.evaluate.entry import Entry
from elicit.evaluate.measures.annotations import Annotations
from elicit.evaluate.measures.ragged import Ragged
from elicit.evaluate.metrics.likelihood import likelihood, typicality
from elicit.evaluate.metrics.support import Support, support
from elicit.evaluate.statistics.joint import Joint
from elicit.evaluate.statistics.resamples import Resamples
from elicit.files import read_json, read_rows, shards, write_json, write_rows
from elicit.results import Comparison, Line, content_of
from tests.evaluate.simulated import SimulatedTask, items, rates, store
from tests.evaluate.test_metrics import measures

CONFIG = CompareConfig("bad", draws=400)


def entry(root: Path, role: str, name: str, found: list, rate: Any, n: int = 8, **more: Any) -> Entry:
    """An entry of a simulated policy; `rate` is a mean, or rates by item."""
    made = {key: more.pop(key) for key in ("missing", "ungraded", "settings", "grader", "regime") if key in more}
    rates_N = rate if isinstance(rate, np.ndarray) else rates(found, rate, seed=4)
    return Entry(role, name, name, *store(root, name, found, rates_N, n, **made), data_class="Z", **more)


def compared(root: Path, entries: list[Entry], found: list) -> Comparison:
    out = compare(entries, found, root / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    json.dumps(content_of(out), allow_nan=False)
    return out


def line(out: Comparison, name: str) -> Line:
    return next(line for line in out.lines if line.name == name)


def test_missing_samples_are_counted_as_missing_and_not_as_nothing(tmp_path: Path) -> None:
    found = items(110)
    out = compared(
        tmp_path,
        [entry(tmp_path, "base", "base", found, 0.2), entry(tmp_path, "method", "m", found, 1.0, missing=0.25)],
        found,
    )
    m = line(out, "m")
    assert m.number("missing") == pytest.approx(0.25, abs=0.04)
    assert m.values["acc/strict"].point == pytest.approx(1 - m.values["missing"].point)
    assert any("m: " in text and "missing" in text for text in out.warnings)


def test_an_item_without_a_graded_sample_is_left_out_for_every_policy_with_a_warning(tmp_path: Path) -> None:
    found = items(110)
    base, m = entry(tmp_path, "base", "base", found, 0.2), entry(tmp_path, "method", "m", found, 0.5)
    lost = found[0].id
    for path in shards(m.grades):
        rows = [
            {**row, "strict": None, "lenient": None, "ungraded": "timeout"} if row["item"] == lost else row
            for row in read_rows([path])
        ]
        write_rows(path, rows)
    out = compared(tmp_path, [base, m], found)
    assert {line.n_items for line in out.lines} == {109} and lost not in out.solves.items
    assert any("1 items left out" in text for text in out.warnings)


def test_nothing_graded_at_all_is_a_refusal(tmp_path: Path) -> None:
    found = items(20)
    entries = [entry(tmp_path, "base", "base", found, 0.2), entry(tmp_path, "method", "m", found, 0.5, ungraded=1.0)]
    with pytest.raises(DataError, match="no item has a graded sample"):
        compare(entries, found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]


def test_unequal_n_is_computed_as_far_as_each_goes_and_warned_of(tmp_path: Path) -> None:
    found = items(110)
    entries = [entry(tmp_path, "base", "base", found, 0.2, n=16), entry(tmp_path, "method", "m", found, 0.5, n=4)]
    out = compared(tmp_path, entries, found)
    assert line(out, "base").curves["cov"].k == (1, 2, 4, 8) and line(out, "m").curves["cov"].k == (1, 2)
    assert line(out, "m").values["support/NDR"].refused
    assert any("unequal numbers of samples" in text for text in out.warnings)


def test_one_cluster_has_points_and_no_interval_and_no_detectable_difference(tmp_path: Path) -> None:
    found = items(30, clusters=1)
    entries = [
        entry(tmp_path, "base", "base", found, 0.2, regime="support"),
        entry(tmp_path, "method", "m", found, 0.6, regime="support"),
    ]
    m = line(compared(tmp_path, entries, found), "m")
    for key in ("acc/strict", "gain/B0", "cov_net", "support/NDR"):
        estimate = m.get(key)
        assert estimate is not None and re.search("one cluster|no solved item", str(estimate.refused))
    assert "p/detectable" not in m.values and m.number("p/gain") == 1.0


@pytest.mark.parametrize(("base", "method"), [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0)])
def test_all_right_and_all_wrong_have_a_width_and_no_false_ratio(tmp_path: Path, base: float, method: float) -> None:
    found = items(110)
    entries = [
        entry(tmp_path, "base", "base", found, base, regime="support"),
        entry(tmp_path, "method", "m", found, method, regime="support"),
        entry(tmp_path, "ceiling", "C4", found, method, regime="support"),
    ]
    m = line(compared(tmp_path, entries, found), "m")
    assert m.values["acc/strict"].hi - m.values["acc/strict"].lo > 0.005
    if base == method:
        assert "gap too small" in str(m.values["ef/B0/C4"].refused) and m.number("p/gain") == 1.0
        assert m.number("support/E") == m.number("support/S") == 0 and m.number("support/p") == 1.0
    else:
        assert m.number("ef/B0/C4") == 1.0 and m.number("support/SRR") is None and m.values["gain/B0"].lo > 0.9


def test_a_gap_of_zero_refuses_the_ratio_and_keeps_the_difference(tmp_path: Path) -> None:
    found = items(120)
    base = entry(tmp_path, "base", "base", found, 0.3)
    same = replace(base, role="ceiling", name="C4")
    m = entry(tmp_path, "method", "m", found, 0.5)
    own = line(compared(tmp_path, [base, m, same], found), "m")
    assert "gap too small: 0.000 [" in str(own.values["ef/B0/C4"].refused)
    assert own.number("ef/B0/C4") is None and own.values["gain/B0"].point > 0.1


def test_a_value_that_is_no_number_never_enters_a_mean() -> None:
    joint = Joint(Resamples(np.arange(4), 50))
    joint.add("m", "acc", [np.array([0.5, np.nan, 0.5, 0.5])])
    with pytest.raises(DataError, match="item 1, column 0"):
        joint.solve()


def test_log_probs_that_are_no_numbers_stay_unknown() -> None:
    logprobs = Ragged(np.array([-1.0, -2.0, np.nan, -1.0]), np.array([2, 2]))
    blank = Ragged(np.zeros(4, np.int64), np.array([2, 2]))
    row_N_J = np.array([[0, 1]])
    fields = {name: blank for name in Annotations.__dataclass_fields__}
    notes = Annotations(**{**fields, "row_N_J": row_N_J, "base_logprobs": logprobs, "base_ranks": blank})  # type: ignore[arg-type]
    nll_N_J = likelihood(notes)["nll"]
    assert nll_N_J[0, 0] == pytest.approx(1.5) and np.isnan(nll_N_J[0, 1])
    assert np.isnan(typicality(nll_N_J, np.array([[1.0, np.nan]]))[0, 1])
    assert np.isnan(typicality(nll_N_J, np.array([[np.nan, np.nan]]))[0, 0])


def test_ungraded_samples_leave_n_and_support_does_not_take_them_for_misses() -> None:
    method = measures([[1, 1]] * 4)
    base = measures([[0, 0, -1, -1], [-1] * 4, [1, 0, 0, 0], [0, 0, 0, 0]])
    assert base.total_N.tolist() == [2, 0, 4, 4]
    got = support([method], base)
    assert isinstance(got, Support) and (got.right.counts.P, got.right.counts.E, got.right.unknown) == (1, 1, 2)


def test_other_prompts_and_other_graders_are_refused_naming_both(tmp_path: Path) -> None:
    found = items(20)
    base = entry(tmp_path, "base", "base", found, 0.2)
    asked = entry(tmp_path, "method", "asked otherwise", found, 0.5, settings={"prompt": "p1"})
    with pytest.raises(StageError, match=r"prompt 'bare' differs: 'base' was asked 'p0' .* 'asked otherwise' 'p1'"):
        compare([base, asked], found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    judged = entry(tmp_path, "method", "judged otherwise", found, 0.5, grader="g2")
    with pytest.raises(StageError, match=r"grader differs: 'base' .* and 'judged otherwise' .*elicit score"):
        compare([base, judged], found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]


def test_a_manifest_that_asks_for_more_than_was_sampled_shows_the_rest_as_missing(tmp_path: Path) -> None:
    found = items(110)
    base, m = entry(tmp_path, "base", "base", found, 0.2), entry(tmp_path, "method", "m", found, 0.5, n=4)
    path = m.samples / "manifest.json"
    manifest = read_json(path)
    for asked in manifest["sets"].values():
        asked["n"] = 8
    write_json(path, manifest)
    assert line(compared(tmp_path, [base, m], found), "m").number("missing") == pytest.approx(0.5)
