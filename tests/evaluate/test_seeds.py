"""Laws of several training seeds: intervals and p respect them, and every number of a line is of all of them.

The rates in the docstrings of `Joint` and `p_values` come from `worlds` here with 2000 worlds per number of seeds.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from elicit.evaluate.comparison.compare import compare
from elicit.evaluate.entry import Entry
from elicit.evaluate.measures.measure import Measures, measure
from elicit.evaluate.metrics.support import Support, support
from elicit.evaluate.statistics.joint import Joint, without_noise
from elicit.evaluate.statistics.resamples import Resamples
from elicit.evaluate.statistics.significance import sign_flip, tail_share
from elicit.results import Comparison
from tests.evaluate import simulated
from tests.evaluate.simulated import SimulatedTask, items, rates, store
from tests.evaluate.test_compare import CONFIG, entry, line
from tests.evaluate.test_metrics import measures

ITEMS, SAMPLES, SPREAD = 150, 16, 0.05


def worlds(seeds: int, count: int) -> dict[str, float]:
    """Shares of worlds with a true gain of 0 in which the interval excludes 0, and in which either p is below .05."""
    rng, hits = np.random.default_rng(seeds), {"interval": 0, "flip": 0, "p": 0}
    for world in range(count):
        rates_N = 0.1 + 0.8 * rng.beta(1.2, 2.2, ITEMS)
        base_N = rng.binomial(SAMPLES, rates_N) / SAMPLES
        own = [
            rng.binomial(SAMPLES, np.clip(rates_N + shift, 0, 1)) / SAMPLES for shift in rng.normal(0, SPREAD, seeds)
        ]
        joint = Joint(Resamples(np.arange(ITEMS), 500, world))
        joint.add("base", "acc", [base_N])
        joint.add("m", "acc", own)
        joint.solve()
        gain = joint.resamples.difference(joint.mean("m"), joint.mean("base"))
        flip = sign_flip(np.mean(own, axis=0) - base_N, np.arange(ITEMS))
        over_seeds = tail_share(joint.mean("m")[1] - joint.mean("base")[1])
        assert gain.lo is not None and gain.hi is not None
        hits["interval"] += not gain.lo <= 0 <= gain.hi
        hits["flip"] += flip < 0.05
        hits["p"] += max(flip, over_seeds) < 0.05
    return {name: count_ / count for name, count_ in hits.items()}


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_a_true_gain_of_0_is_seldom_excluded_if_seeds_differ(seeds: int) -> None:
    found = worlds(seeds, 300)
    assert found["flip"] > 0.25, "sign flips over items do not see the seeds"
    assert found["interval"] <= 0.08 and found["p"] <= 0.08  # .04 and three standard errors


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.1])
def test_the_spread_between_seeds_is_freed_of_the_noise_of_samples(spread: float) -> None:
    """Over 400 worlds the freed variance is that of the seeds' true effects; the raw one has the noise on top."""
    rng, seeds, items, samples = np.random.default_rng(0), 5, 80, 4
    rates_N = rng.uniform(0.3, 0.7, items)
    noise = float((rates_N * (1 - rates_N)).mean()) / samples / items
    raw, freed = [], []
    for _ in range(400):
        own = rng.binomial(samples, rates_N + rng.uniform(-spread, spread, seeds)[:, None]) / samples
        raw.append(own.mean(1).var(ddof=1))
        freed.append(raw[-1] * without_noise(own) ** 2)
    true = spread**2 / 3
    assert np.mean(raw) == pytest.approx(true + noise, rel=0.15)
    assert true <= np.mean(freed) < np.mean(raw)
    assert np.mean(freed) - true < 0.6 * noise  # above 0 because a variance is not counted as negative


def test_the_weights_of_a_draw_are_the_same_for_all_columns_so_that_differences_keep_their_own_spread() -> None:
    columns = {"a": (0.2, 0.6, 0.7), "b": (0.7, 0.6, 0.2)}
    joint = Joint(Resamples(np.arange(50), 4000))
    for name, means in columns.items():
        joint.add("m", name, [np.full(50, 10 + mean) for mean in means])
    joint.add("m", "a - b", [np.full(50, a - b) for a, b in zip(*columns.values(), strict=True)])
    joint.solve()
    assert np.allclose(joint.mean("m", "a")[1] - joint.mean("m", "b")[1], joint.mean("m", "a - b")[1])


def test_a_share_over_few_seeds_stays_a_share_and_is_as_wide_as_its_seeds_on_few_items_too() -> None:
    for count in (40, 200):
        joint = Joint(Resamples(np.arange(count), 1000))
        joint.add("m", "acc", [np.full(count, mean) for mean in (0.5, 0.9, 0.95)])
        joint.solve()
        found = joint.resamples.proportion(*joint.mean("m"), seeds=3)
        assert found.lo is not None and found.lo < 0.3 and found.hi == 1.0


def several(root: Path, seeds: int, n: int = 8) -> Comparison:
    """A base and a method whose seeds differ in accuracy, length, time and traces."""
    found = items(60)
    base = entry(root, "base", "base", found, 0.2, n=n, regime="support")
    made = []
    for seed in range(seeds):
        tokens = (5 + 20 * seed, 0)
        own = entry(root, "method", "m", found, 0.3 + 0.2 * seed, n=n, arm="a", seed=seed, seed_=seed, tokens=tokens,
                    trace=0.2 + 0.3 * seed, fit_seconds=10.0 * (1 + seed), regime="support")  # fmt: skip
        made.append(own)
    return compare(
        [base, *made], found, root / "out", SimulatedTask(), CONFIG, simulated.CHECKPOINT  # type: ignore[arg-type]
    )  # fmt: skip


def members(root: Path, seeds: int) -> list[Measures]:
    found, folder = items(60), "support"
    return [
        measure(root / "samples" / f"m-{s}" / folder, root / "grades" / f"m-{s}" / folder, found) for s in range(seeds)
    ]


def test_two_seeds_give_no_p_and_three_give_one_that_sees_them(tmp_path: Path) -> None:
    two = line(several(tmp_path / "two", 2), "m")
    assert "two training seeds" in str(two.values["p/gain"].refused) and two.number("p/gain_holm") is None
    three = line(several(tmp_path / "three", 3), "m")
    p = three.number("p/gain")
    assert p is not None and p > 0.01 and three.notes["p/exact"] is False
    gain_N = np.mean([(m.strict_N_J == 1).mean(1) for m in members(tmp_path / "three", 3)], axis=0)
    assert sign_flip(gain_N - 0.2, np.arange(60)) < 0.001, "over items alone it would be sure"
    assert (three.number("p/detectable") or 0) > 0.2


def test_tokens_seconds_flops_validity_and_support_are_of_all_seeds(tmp_path: Path) -> None:
    own, seeds = line(several(tmp_path, 3), "m"), members(tmp_path, 3)
    tokens = np.mean([np.nanmean(m.tokens_N_J) for m in seeds])
    assert own.number("cost/tokens") == pytest.approx(tokens)
    assert tokens > 1.5 * np.nanmean(seeds[0].tokens_N_J)
    assert own.number("cost/flops") == pytest.approx(2 * simulated.CHECKPOINT["n_parameters"] * tokens)
    assert own.number("cost/fit_seconds") == 20.0 and own.number("cost/seconds") == pytest.approx(0.01)
    right = sum(int(((m.strict_N_J == 1) & (m.valid_N_J == 1)).sum()) for m in seeds)
    assert own.number("valid/n/valid_right") == right
    base = measure(tmp_path / "samples/base-0/support", tmp_path / "grades/base-0/support", items(60))
    alone = [support([m], base) for m in seeds]
    for name in ("P", "E", "S"):
        assert own.number(f"support/{name}") == sum(
            getattr(one.right.counts, name) for one in alone if isinstance(one, Support)
        )


def test_a_seed_without_a_known_cost_makes_the_mean_unknown(tmp_path: Path) -> None:
    found = items(30)
    seeds = [
        entry(tmp_path, "method", "m", found, 0.5, arm="a", seed=s, seed_=s, fit_seconds=time)
        for s, time in enumerate((3.0, None))
    ]
    out = compare(
        [entry(tmp_path, "base", "base", found, 0.2), *seeds], found, tmp_path / "out", SimulatedTask(), CONFIG  # type: ignore[arg-type]
    )  # fmt: skip
    assert line(out, "m").number("cost/fit_seconds") is None


def test_support_of_several_seeds_has_the_seeds_as_its_top_level() -> None:
    rng = np.random.default_rng(0)
    base = measures((rng.random((120, 16)) < 0.05).astype(int).tolist())
    seeds = [measures((rng.random((120, 8)) < rate).astype(int).tolist()) for rate in (0.02, 0.2, 0.6)]
    resamples = Resamples(np.arange(120), 1000)
    widths = []
    for own in (seeds, seeds[1:2]):
        found = support(own, base, resamples)
        assert isinstance(found, Support)
        novel = found.right.intervals["novel"]
        widths.append((novel.hi or 0) - (novel.lo or 0))
    assert widths[0] > 2 * widths[1]
    two = support(seeds[:2], base, resamples)
    assert isinstance(two, Support) and two.right.p is not None and "two training seeds" in str(two.right.p.refused)


# ---- support: both sides at temperature 1 ----


def test_support_needs_samples_at_temperature_1_of_both_sides(tmp_path: Path) -> None:
    found = items(60)
    base, m = entry(tmp_path, "base", "base", found, 0.2), entry(tmp_path, "method", "m", found, 0.5)
    c1 = entry(tmp_path, "ceiling", "C1", found, 0.2, n=16, regime="support")
    task = SimulatedTask()
    out = compare([base, m, c1], found, tmp_path / "a", task, CONFIG)  # type: ignore[arg-type]
    assert (
        "regime compare" in str(line(out, "m").values["support/NDR"].refused)
        and "support/K" not in line(out, "m").values
    )
    # samples of the method at T=1 of some items, as annotation makes them: first without grades, then with them
    some = found[10:40]
    samples, grades = store(tmp_path / "store", "m-0", some, rates(some, 0.9, seed=5), 4, "support-chain")
    hidden = grades.rename(grades.with_name("later"))
    own = replace(m, at_one=samples)
    out = compare([base, own, c1], found, tmp_path / "b", task, CONFIG)  # type: ignore[arg-type]
    assert "not graded" in str(line(out, "m").values["support/NDR"].refused)
    hidden.rename(grades)
    only = line(compare([base, own], found, tmp_path / "c", task, CONFIG), "m")  # type: ignore[arg-type]
    assert "no samples of the base" in str(only.values["support/NDR"].refused)
    got = line(compare([base, own, c1], found, tmp_path / "d", task, CONFIG), "m")  # type: ignore[arg-type]
    assert (got.number("support/K"), got.number("support/n_items"), got.notes["support/regime"]) == (4, 30, "support")
    method = measure(samples, grades, some)
    plain = support([method], measure(c1.samples, c1.grades, found).at(range(10, 40)))
    assert isinstance(plain, Support)
    assert [got.number(f"support/{name}") for name in "PES"] == list(plain.right.counts)
    p, e, _ = plain.right.counts
    assert got.values["support/NDR"].point == pytest.approx(e / (p + e)) and got.values["support/NDR"].lo is not None


def test_a_method_that_solves_all_that_the_base_missed_is_clearly_novel() -> None:
    """The fault: 94 of 94 missed items solved, 55 by the base again, and an excess of +3 points that is "not clear"."""
    solved = np.ones((200, 8), int)
    rng = np.random.default_rng(2)
    base = (rng.random((200, 16)) < np.where(np.arange(200) < 100, 0.9, 0.1)[:, None]).astype(int)
    found = support([measures(solved.tolist())], measures(base.tolist()), Resamples(np.arange(200), 1000))
    assert isinstance(found, Support)
    missed = int((base[:, :8].sum(1) == 0).sum())
    again = int(((base[:, :8].sum(1) == 0) & (base[:, 8:].sum(1) > 0)).sum())
    assert missed == found.right.counts.E
    novel = found.right.intervals["novel"]
    assert novel.point == pytest.approx((missed - again) / missed) and novel.lo is not None and novel.lo > 0.1


def test_an_entry_of_seeds_is_read_back(tmp_path: Path) -> None:
    one = entry(tmp_path, "method", "m", items(4), 0.5, at_one=tmp_path / "x")
    assert Entry.of(one.plain()) == one
