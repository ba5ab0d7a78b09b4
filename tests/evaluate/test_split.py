"""Laws of the split of a gain: its parts add up, are paired, and name the rung that they are measured against."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elicit.errors import ConfigError
from elicit.evaluate.comparison.compare import compare
from elicit.evaluate.metrics.rungs import forced_tokens
from elicit.evaluate.metrics.split import PARTS, Graded, split_gain
from elicit.evaluate.statistics.resamples import Resamples
from elicit.results import Estimate
from tests.evaluate.simulated import SimulatedTask, items
from tests.evaluate.test_compare import CONFIG, entry, line
from tests.reference import metrics as plain

RNG = np.random.default_rng(11)
N = 60
CLUSTERS = [f"c{i % 25}" for i in range(N)]
POLICIES = ("m", "b0", "b1", "b2")


def graded(levels: tuple[float, ...] = (0.8, 0.2, 0.3, 0.4)) -> dict[str, tuple[np.ndarray, ...]]:
    """Accuracy by item under each reading: nobody loses an answer by a looser one."""
    out = {}
    for name, level in zip(POLICIES, levels, strict=True):
        strict = RNG.random(N) * level
        lenient = np.minimum(1, strict + 0.2 * RNG.random(N))
        out[name] = (strict, lenient, np.minimum(1, lenient + 0.2 * RNG.random(N)))
    return out


def of_draws(values: dict[str, tuple[np.ndarray, ...]]) -> tuple[Resamples, dict[str, Graded]]:
    resamples = Resamples(CLUSTERS, draws=400, seed=2)
    point, draws = resamples.means(np.stack([column for columns in values.values() for column in columns], axis=1))
    means = iter([(float(point[k]), draws[:, k]) for k in range(len(point))])
    return resamples, {name: Graded(*(next(means) for _ in columns)) for name, columns in values.items()}


@pytest.mark.parametrize("levels", [(0.8, 0.2, 0.3, 0.4), (0.6, 0.3, 0.2, 0.05), (0.5, 0.35, 0.35, 0.35)])
def test_the_split_is_that_of_loops_over_items_and_draws(levels: tuple[float, ...]) -> None:
    values = graded(levels)
    resamples, means = of_draws(values)
    found = split_gain(resamples, *(means[name] for name in POLICIES)).values
    rows = [{name: tuple(column[i] for column in columns) for name, columns in values.items()} for i in range(N)]
    weights = np.concatenate([w for _, w in resamples.weights()])
    want = plain.split_gain(rows, [int(code) for code in resamples.codes_N], weights.tolist())
    tail = 0.5 * (1 - 0.95)
    for part in ("gain", *PARTS):
        point, draws = want[part]
        assert found[part].point == pytest.approx(point, abs=1e-12)
        low, high = np.quantile(draws, [tail, 1 - tail])  # expanded percentiles lie a little outside
        assert found[part].lo <= low + 1e-12 and found[part].hi >= high - 1e-12
        assert found[part].hi - found[part].lo == pytest.approx(high - low, rel=0.3, abs=0.02)


def test_the_measured_parts_add_up_to_the_gain_whatever_was_measured() -> None:
    resamples, means = of_draws(graded())
    for rungs, against in (((None, None), "B0"), ((means["b1"], None), "B1"), ((means["b1"], means["b2"]), "B2")):
        found = split_gain(resamples, means["m"], means["b0"], *rungs)
        assert found.against == against
        parts = {part: found.values[part] for part in PARTS}
        assert sum(part.number or 0.0 for part in parts.values()) == pytest.approx(found.values["gain"].point)
        refused = {name for name, part in parts.items() if part.refused}
        assert refused == {"B0": {"prompt", "budget"}, "B1": {"budget"}, "B2": set()}[against]
        unread = {name: mean._replace(any=None) for name, mean in means.items()}
        rungs = tuple(rung and rung._replace(any=None) for rung in rungs)
        found = split_gain(resamples, unread["m"], unread["b0"], *rungs)
        assert "first declarations" in str(found.values["termination"].refused)
        assert sum(found.values[p].number or 0.0 for p in PARTS) == pytest.approx(found.values["gain"].point)


def test_a_rung_that_harms_the_base_gives_the_method_nothing() -> None:
    """The shipped example printed a remainder of +94.2 points out of a gain of +89.0: forced tokens harm its base."""
    values = graded((0.8, 0.3, 0.1, 0.02))
    resamples, means = of_draws(values)
    found = split_gain(resamples, *(means[name] for name in POLICIES)).values
    assert found["prompt"].point == found["budget"].point == 0
    loosest = resamples.difference(means["m"].loosest, means["b0"].loosest)
    assert found["remainder"] == loosest


def test_b2_without_b1_is_left_out() -> None:
    resamples, means = of_draws(graded())
    found = split_gain(resamples, means["m"], means["b0"], None, means["b2"])
    assert found.against == "B0" and "eval.prompts" in str(found.values["budget"].refused)


def test_a_method_that_only_learns_to_declare_its_answer_gains_format_and_nothing_else() -> None:
    strict, lenient = np.zeros(N), (RNG.random(N) < 0.6).astype(float)
    resamples, means = of_draws({"m": (lenient, lenient), "b0": (strict, lenient), "b1": (strict, lenient)})
    found = split_gain(resamples, means["m"], means["b0"], means["b1"]).values
    assert found["format"].point == pytest.approx(found["gain"].point) and found["format"].lo > 0
    assert found["remainder"].point == found["prompt"].point == 0


def test_a_method_that_only_learns_to_stop_gains_termination_and_nothing_else() -> None:
    """Rambling after a right answer is wrong strictly and leniently: the first declaration is right on both sides."""
    none, right = np.zeros(N), (RNG.random(N) < 0.6).astype(float)
    resamples, means = of_draws({"m": (right, right, right), "b0": (none, none, right)})
    found = split_gain(resamples, means["m"], means["b0"]).values
    assert found["termination"].point == pytest.approx(found["gain"].point) and found["termination"].lo > 0
    assert found["format"].point == found["remainder"].point == 0


def test_a_placebo_prompt_has_no_share() -> None:
    resamples, means = of_draws(graded())
    found = split_gain(resamples, means["m"], means["b0"], means["b0"], means["b2"]).values
    assert found["prompt"] == Estimate(0.0, 0.0, 0.0)


def world(root: Path, **more: Any) -> tuple[list[Any], list[Any]]:
    found = items(120)
    return [
        entry(root, "base", "base", found, 0.1),
        entry(root, "prompt", "think", found, 0.3, prompt="think"),
        entry(root, "prompt", "B2, 42 tokens", found, 0.45, prompt="think"),
        entry(root, "method", "m", found, 0.5, arm="a", own_prompt="think", **more),
        replace(entry(root, "method", "m_think", found, 0.8, arm="a", prompt="think", **more), name="m"),
        entry(root, "ceiling", "C3", found, 0.9),
    ], found


def test_a_comparison_splits_the_best_asked_method_against_its_own_b2(tmp_path: Path) -> None:
    entries, found = world(tmp_path, b2="B2, 42 tokens")
    out = compare(entries, found, tmp_path / "out", SimulatedTask(), replace(CONFIG, b1="think"))  # type: ignore[arg-type]
    bare, best = (next(p for p in out.lines if (p.name, p.prompt) == ("m", prompt)) for prompt in ("bare", "think"))
    split, notes = bare.under("split"), bare.notes
    assert (notes["split/against"], notes["split/prompt_of_method"]) == ("B2", "think")
    assert notes["split/b2"] == "B2, 42 tokens"
    lenient = {name: line(out, name).values["acc/lenient"].point for name in ("base", "think", "B2, 42 tokens")}
    assert split["prompt"].point == pytest.approx(lenient["think"] - lenient["base"])
    assert split["budget"].point == pytest.approx(lenient["B2, 42 tokens"] - lenient["think"])
    assert split["remainder"].point == pytest.approx(best.values["acc/lenient"].point - lenient["B2, 42 tokens"])
    assert "the base's own prompt" in str(best.values["split/gain"].refused)
    assert "not fitted" in str(line(out, "base").values["split/gain"].refused)
    assert out.rungs.b1 == line(out, "think").id
    assert out.rungs.b2 == (line(out, "B2, 42 tokens").id,)


def test_without_b2_the_remainder_is_against_b1_and_says_so(tmp_path: Path) -> None:
    entries, found = world(tmp_path)
    entries = [e for e in entries if not e.name.startswith("B2")]
    out = compare(entries, found, tmp_path / "out", SimulatedTask(), replace(CONFIG, b1="think"))  # type: ignore[arg-type]
    bare = next(p for p in out.lines if (p.name, p.prompt) == ("m", "bare"))
    assert bare.notes["split/against"] == "B1" and "eval=full" in str(bare.values["split/budget"].refused)


def test_further_ceilings_have_fractions_if_asked_for_and_reasons_if_they_failed(tmp_path: Path) -> None:
    entries, found = world(tmp_path)
    config = replace(CONFIG, b1="think", refused={"C2": "its tokenizer can't"})
    out = compare(entries, found, tmp_path / "out", SimulatedTask(), config)  # type: ignore[arg-type]
    assert set(out.ceilings) == {"C1", "C2", "C3", "C4"}
    assert out.ceilings["C2"].refused == "its tokenizer can't"
    ef = line(out, "m").under("ef")
    base, own, top = (line(out, name).values["acc/strict"].point for name in ("base", "m", "C3"))
    assert ef["B0/C3"].point == pytest.approx((own - base) / (top - base))
    assert "C2: its tokenizer can't" in str(ef["B0/C2"].refused)


def test_only_c2_may_be_of_another_checkpoint(tmp_path: Path) -> None:
    found = items(20)
    base = entry(tmp_path, "base", "base", found, 0.2)
    other = entry(tmp_path, "ceiling", "C2", found, 0.6, settings={"checkpoint": "5eed"})
    out = compare([base, other], found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    assert out.ceilings["C2"].point == line(out, "C2").values["acc/strict"].point
    with pytest.raises(ConfigError, match="C2"):
        replace(other, name="C9")


def test_a_b2_that_spends_too_little_is_warned_of(tmp_path: Path) -> None:
    entries, found = world(tmp_path, b2="B2, 42 tokens", tokens=(60, 3))
    out = compare(entries, found, tmp_path / "out", SimulatedTask(), replace(CONFIG, b1="think"))  # type: ignore[arg-type]
    assert any("rung B2, 42 tokens spends" in warning for warning in out.warnings)


def test_b2_is_never_forced_to_fewer_tokens_than_the_method_spends_but_by_the_limit() -> None:
    lengths = np.linspace(1, 4000, 999).tolist()
    targets = [forced_tokens(tokens, 10_000) for tokens in lengths]
    assert all(tokens <= target <= 1.1 * tokens + 2 for tokens, target in zip(lengths, targets, strict=True))
    assert targets == sorted(targets) and len(set(targets)) < 99
    assert forced_tokens(500, 128) == 128
