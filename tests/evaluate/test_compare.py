"""Laws of the comparison: nothing gained by nothing, mixes refused, everything recomputable offline."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elicit.errors import ConfigError, DataError, LedgerError, StageError
from elicit.evaluate.comparison.compare import CompareConfig, compare
from elicit.evaluate.entry import Entry
from elicit.evaluate.measures.measure import measure
from elicit.evaluate.metrics.accuracy import accuracy
from elicit.evaluate.metrics.ceilings import ceiling_c1
from elicit.evaluate.metrics.majority import majority
from elicit.evaluate.metrics.matched import best_of_k, matched_k
from elicit.evaluate.metrics.rungs import choose_b1
from elicit.evaluate.statistics.resamples import Resamples
from elicit.files import read_json
from elicit.results import Comparison, Estimate, Line, content_of, read_comparison, version1
from tests.evaluate import simulated
from tests.evaluate.simulated import SimulatedTask, items, rates, store

CONFIG = CompareConfig("group", draws=1000)


def entry(root: Path, role: str, name: str, found: list, mean: float, n: int = 8, **more: Any) -> Entry:
    made = {
        key: more.pop(key)
        for key in ("regime", "trace", "settings", "grader", "seed_", "ungraded", "truncated", "tokens")
        if key in more
    }
    made["seed"] = made.pop("seed_", 0)
    folders = store(root, f"{name}-{made['seed']}", found, rates(found, mean, seed=3), n, **made)
    more.setdefault("data_class", "Z")
    return Entry(role, name, f"{name}-{made['seed']}", *folders, **more)


def line(out: Comparison, name: str) -> Line:
    return next(line for line in out.lines if line.name == name)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Entry], list, Path, Comparison]:
    root = tmp_path_factory.mktemp("world")
    entries, found = simulated.world(root, 110, 8)
    config = replace(CONFIG, b1="step_by_step")
    return entries, found, root, compare(entries, found, root / "out", SimulatedTask(), config, simulated.CHECKPOINT)  # type: ignore[arg-type]


def test_base_against_itself_gains_nothing(tmp_path: Path) -> None:
    found = items(120)
    base = entry(tmp_path, "base", "base", found, 0.4)
    same = replace(base, role="method", name="nothing")
    again = entry(tmp_path, "method", "again", found, 0.4)
    ceiling = entry(tmp_path, "ceiling", "C4", found, 0.42)
    out = compare([base, same, again, ceiling], found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    assert line(out, "nothing").values["gain/B0"] == Estimate(0.0, 0.0, 0.0)
    assert "gap too small" in str(line(out, "again").values["ef/B0/C4"].refused)
    assert any("EF B0/C4 refused" in warning for warning in out.warnings)


def test_a_warning_of_a_fit_is_a_note_of_its_row_and_a_warning_of_the_comparison(tmp_path: Path) -> None:
    found = items(120)
    base = entry(tmp_path, "base", "base", found, 0.1)
    weak = [
        entry(tmp_path, "method", "m", found, 0.9, seed=s, seed_=s, arm="m", fit_warnings=said)
        for s, said in enumerate([("layer 3 is not good enough",), (), ("layer 3 is not good enough", "layer 2")])
    ]
    stored = [Entry.of(one.plain()) for one in (base, *weak)]
    assert stored[1:] == weak
    out = compare(stored, found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    assert line(out, "m").notes["fit/warnings"] == "layer 3 is not good enough; layer 2"
    assert "m: its fit warns: layer 3 is not good enough; layer 2" in out.warnings
    assert "fit/warnings" not in line(out, "base").notes


def test_a_placebo_that_is_a_lottery_widens_the_control_adjusted_gain(tmp_path: Path) -> None:
    found = items(120)
    base, method = entry(tmp_path, "base", "base", found, 0.1), entry(tmp_path, "method", "m", found, 0.9)
    means = (0.1, 0.85, 0.1, 0.1, 0.85)
    draws = [
        entry(tmp_path, "placebo", "m/coin", found, mean, n=2, parent="m", arm="coin", seed=s, seed_=s)
        for s, mean in enumerate(means)
    ]
    out = compare([base, method, *draws], found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    placebo, adjusted = line(out, "m/coin"), line(out, "m").values["ctrl/gain"]
    assert placebo.seeds == 5 and placebo.n == 2
    own = [float(accuracy(measure(each.samples, each.grades, found)).mean()) for each in draws]
    assert [member.acc for member in placebo.members] == pytest.approx(own)
    assert placebo.values["acc/strict"].point == pytest.approx(np.mean(own))
    assert adjusted.point == pytest.approx(line(out, "m").values["acc/strict"].point - np.mean(own))
    assert adjusted.hi - adjusted.lo > 0.3  # over items alone it would be about .1
    one = compare([base, method, draws[1]], found, tmp_path / "one", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    alone = line(one, "m").values["ctrl/gain"]
    assert alone.hi - alone.lo < 0.15 and 0.0 < (line(out, "m").number("p/ctrl") or 0.0) < 1.0


def test_the_base_sampled_again_gains_nothing_but_for_the_nominal_rate(tmp_path: Path) -> None:
    found, covered = items(40), 0
    for trial in range(25):
        folders = [store(tmp_path, f"{side}{trial}", found, rates(found, 0.4, seed=trial), 4) for side in "ab"]
        resamples = Resamples([item.cluster for item in found], 800, trial)
        point, draws = resamples.means(np.stack([accuracy(measure(*pair, found)) for pair in folders], 1))
        gain = resamples.difference((point[0], draws[:, 0]), (point[1], draws[:, 1]))
        covered += gain.lo <= 0 <= gain.hi
    assert covered >= 21


def test_the_numbers_are_those_of_the_rows(world: Any) -> None:
    entries, found, _, out = world
    for given in entries[:4]:
        m = measure(given.samples, given.grades, found)
        assert line(out, given.name).values["acc/strict"].point == pytest.approx((m.strict_N_J == 1).mean())
    base, method = line(out, "base").values["acc/strict"].point, line(out, "rlvr").values["acc/strict"].point
    ceiling = out.ceilings["C4"].point
    assert line(out, "rlvr").values["ef/B0/C4"].point == pytest.approx((method - base) / (ceiling - base))
    placebo = max(
        line(out, name).values["acc/strict"].point
        for name in ("sae_steering/live_feature", "sae_steering/random_direction")
    )
    sae = line(out, "sae_steering")
    assert sae.values["ctrl/gain"].point == pytest.approx(sae.values["acc/strict"].point - max(base, placebo))
    assert out.rungs.b1 == line(out, "step_by_step").id


def test_the_file_holds_the_comparison_and_describes_every_number_that_a_table_shows(world: Any) -> None:
    _, _, root, out = world
    assert read_comparison(root / "out" / "comparison.json") == out
    json.dumps(content_of(out), allow_nan=False)
    method = line(out, "rlvr")
    shown = [column for name in ("scorecard", "split", "figures") for column in out.table(name)]
    own = [column for column in shown if "method" in column.roles]
    assert {c.key for c in own if method.get(c.key) is None} == {"cost/peak_bytes"}, "no simulated shard records it"
    assert line(out, "decoding").curves["cov"].refused and line(out, "rlvr").curves["cov"].k == (1, 2, 4)
    assert set(out.ceilings) == {"C1", "C4"} and out.frozen == "after"
    assert {trace.kind for trace in out.traces} == {"base wrong, method right", "reverse"}


def test_the_columns_of_the_first_version_are_reported_in_order(world: Any) -> None:
    """Meanings may have been made more precise since."""
    first = {column.key for column in version1.COLUMNS}
    kept = [replace(column, meaning="") for column in world[3].columns if column.key in first]
    assert kept == [replace(column, meaning="") for column in version1.COLUMNS]


def test_equal_tokens_are_compared_in_every_regime_that_the_base_was_sampled_in(world: Any) -> None:
    entries, found, _, out = world
    by_role = {e.role: e for e in entries if e.role == "base" or e.name == "C1"}
    for name in ("critique_ft", "decoding/random_pick", "rlvr/format_only"):
        own = line(out, name)
        source = next(e for e in entries if e.name == name)
        tokens = float(np.nanmean(measure(source.samples, source.grades, found).tokens_N_J))
        for key, role, regime in (("matched", "base", "compare"), ("matched_support", "ceiling", "support")):
            base = measure(by_role[role].samples, by_role[role].grades, found)
            match = matched_k(tokens, base)
            vote_N = majority(base, match.k).accuracy_N
            assert (own.number(f"{key}/k"), own.notes[f"{key}/regime"]) == (match.k, regime)
            assert own.number(f"{key}/base") == pytest.approx(vote_N.mean())
            over_vote, over_surest = (own.values[f"{key}/{rival}"] for rival in ("difference", "best"))
            assert over_vote.point == pytest.approx(own.values["acc/strict"].point - vote_N.mean())
            surest = best_of_k(base, match.k).mean()
            assert own.number(f"{key}/best_base") == pytest.approx(surest)
            assert over_surest.point == pytest.approx(own.values["acc/strict"].point - surest)
            assert own.values[f"{key}/hardest"] == min((over_vote, over_surest), key=lambda rival: rival.lo)
    assert not line(out, "base").under("matched_support")


def test_without_support_samples_there_is_one_column_at_equal_tokens(tmp_path: Path) -> None:
    found = items(110)
    entries = [entry(tmp_path, "base", "base", found, 0.4), entry(tmp_path, "method", "m", found, 0.6)]
    out = compare(entries, found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    assert line(out, "m").under("matched") and not line(out, "m").under("matched_support")


def test_computed_again_offline_it_is_the_same(world: Any) -> None:
    entries, found, root, out = world
    inputs = read_json(root / "out" / "inputs.json")
    config = CompareConfig(**inputs["config"])
    again = [Entry.of(plain) for plain in inputs["entries"]]
    second = compare(again, found, root / "again", SimulatedTask(), config, inputs["checkpoint"])  # type: ignore[arg-type]
    assert replace(second, created=out.created) == out
    assert again == entries


def test_compare_needs_no_torch() -> None:
    modules = "elicit.evaluate.comparison.compare, elicit.evaluate.comparison.prereg"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("change", [{"dtype": "bfloat16"}, {"max_new_tokens": 256}])
def test_mixes_are_refused_naming_both_sides(tmp_path: Path, change: dict[str, Any]) -> None:
    found = items(20)
    entries = [entry(tmp_path, "base", "base", found, 0.2), entry(tmp_path, "method", "m", found, 0.6, settings=change)]
    with pytest.raises(StageError, match=rf"{next(iter(change))} differs: 'base' has .* 'm' has"):
        compare(entries, found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]


def test_two_engines_are_compared_with_a_warning_that_names_both(tmp_path: Path) -> None:
    found = items(110)
    base = entry(tmp_path, "base", "base", found, 0.2)
    other = entry(tmp_path, "method", "m", found, 0.6, settings={"engine": "vllm-0.32.0"})
    same = entry(tmp_path, "method", "k", found, 0.6)
    mixed = compare([base, other], found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    alike = compare([base, same], found, tmp_path / "alike", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    assert any("drawn by different engines" in text and "vllm-0.32.0: m" in text for text in mixed.warnings)
    assert not any("engines" in text for text in alike.warnings)


def test_another_grader_or_regime_is_refused(tmp_path: Path) -> None:
    found = items(20)
    base = entry(tmp_path, "base", "base", found, 0.2)
    for name, more in (("regraded", {"grader": "g2"}), ("hot", {"regime": "support"})):
        with pytest.raises(StageError, match=f"'base' .*'{name}'"):
            compare(
                [base, entry(tmp_path, "method", name, found, 0.5, **more)],
                found,
                tmp_path / "o",
                SimulatedTask(),
                CONFIG,
            )  # type: ignore[arg-type]


def test_used_items_cannot_be_evaluated_on(tmp_path: Path) -> None:
    found = items(20)
    entries = [
        entry(tmp_path, "base", "base", found, 0.2),
        entry(tmp_path, "method", "m", found, 0.5, used_items=(found[3].id,)),
    ]
    with pytest.raises(LedgerError, match="'m' used 1"):
        compare(entries, found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]


def test_there_is_exactly_one_base_and_names_are_checked(tmp_path: Path) -> None:
    found = items(20)
    base = entry(tmp_path, "base", "base", found, 0.2)
    with pytest.raises(ConfigError, match="0 entries with role=base"):
        compare([replace(base, role="rival")], found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="given twice"):
        compare(
            [base, replace(base, role="method"), replace(base, role="method")], found, tmp_path, SimulatedTask(), CONFIG
        )  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="did you mean method"):
        replace(base, role="metod")
    with pytest.raises(DataError, match="b1='think'"):
        compare([base], found, tmp_path / "out", SimulatedTask(), replace(CONFIG, b1="think"))  # type: ignore[arg-type]


def test_one_cluster_gives_points_and_no_intervals(tmp_path: Path) -> None:
    found = items(20, clusters=1)
    entries = [entry(tmp_path, "base", "base", found, 0.2), entry(tmp_path, "method", "m", found, 0.6)]
    entries.append(entry(tmp_path, "ceiling", "C4", found, 0.9))
    out = compare(entries, found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    for key in ("acc/strict", "gain/B0", "ef/B0/C4"):
        assert "one cluster" in str(line(out, "m").values[key].refused)
    json.dumps(content_of(out), allow_nan=False)


def test_seeds_are_one_row_their_mean_and_the_top_level(tmp_path: Path) -> None:
    found = items(120)
    base = entry(tmp_path, "base", "base", found, 0.1)
    seeds = [
        entry(tmp_path, "method", "m", found, mean, arm="a", seed=s, seed_=s)
        for s, mean in enumerate((0.3, 0.6, 0.9), 1)
    ]
    out = compare([base, *seeds], found, tmp_path / "out", SimulatedTask(), CONFIG)  # type: ignore[arg-type]
    row = line(out, "m")
    assert row.seeds == 3 and len(row.members) == 3
    assert row.values["acc/strict"].point == pytest.approx(
        np.mean([(measure(e.samples, e.grades, found).strict_N_J == 1).mean() for e in seeds])
    )
    assert row.values["acc/strict"].hi - row.values["acc/strict"].lo > 0.3
    assert "1 seed: interval over items only" not in out.warnings


def test_a_best_prompt_row_gives_the_figures_against_b1(tmp_path: Path) -> None:
    found = items(120)
    entries = [
        entry(tmp_path, "base", "base", found, 0.1),
        entry(tmp_path, "prompt", "think", found, 0.3, prompt="think"),
        entry(tmp_path, "method", "m", found, 0.5, arm="a", own_prompt="think"),
        replace(entry(tmp_path, "method", "m_think", found, 0.8, arm="a", prompt="think"), name="m"),
        entry(tmp_path, "placebo", "m/p", found, 0.2, parent="m"),
    ]
    out = compare(entries, found, tmp_path / "out", SimulatedTask(), replace(CONFIG, b1="think"))  # type: ignore[arg-type]
    bare, best = (next(p for p in out.lines if (p.name, p.prompt) == ("m", prompt)) for prompt in ("bare", "think"))
    assert bare.values["gain/B1"].point == pytest.approx(
        best.values["acc/strict"].point - line(out, "think").values["acc/strict"].point
    )
    assert bare.own_prompt == "think" and "B0's prompt" in str(best.values["gain/B0"].refused)
    assert bare.values["ctrl/gain"].point == pytest.approx(
        bare.values["acc/strict"].point - line(out, "m/p").values["acc/strict"].point
    )
    assert all("the base's own prompt" in str(best.values[key].refused) for key in ("ctrl/gain", "matched/hardest"))


def test_readers_are_warned(tmp_path: Path) -> None:
    found = items(30)
    entries = [
        entry(tmp_path, "base", "base", found, 0.2, truncated=0.2),
        entry(tmp_path, "method", "m", found, 0.6, ungraded=0.1, data_class=None),
    ]
    out = compare(entries, found, tmp_path / "out", SimulatedTask(), CONFIG, {"base_model": False})  # type: ignore[arg-type]
    text = "\n".join(out.warnings)
    for expected in (
        "truncated",
        "twice the limit",
        "ungraded",
        "not a base model",
        "1 seed",
        "no placebo",
        "unaccounted",
        "Jeffreys",
    ):
        assert expected in text


def test_seeds_with_different_best_prompts_are_one_row_of_all_seeds(tmp_path: Path) -> None:
    found = items(120)
    best = ("think", "bare", "brief")
    entries = [
        entry(tmp_path, "base", "base", found, 0.2),
        entry(tmp_path, "prompt", "think", found, 0.3, prompt="think"),
    ]
    for seed, own in enumerate(best):
        bare = entry(tmp_path, "method", "m", found, 0.5, arm="a", seed=seed, seed_=seed, own_prompt=own)
        entries.append(bare)
        if own != "bare":
            there = entry(tmp_path, "method", f"m {own}", found, 0.7, arm="a", seed=seed, seed_=seed, prompt=own)
            entries.append(replace(there, name="m", own_prompt=own))
    out = compare(entries, found, tmp_path / "out", SimulatedTask(), replace(CONFIG, b1="think"))  # type: ignore[arg-type]
    bare_row, own_row = (p for p in out.lines if p.name == "m")
    assert (bare_row.seeds, bare_row.prompt, bare_row.at_own_prompt) == (3, "bare", False)
    assert (own_row.seeds, own_row.prompt, own_row.at_own_prompt) == (3, "think or brief or bare", True)
    chosen = [e for e in entries if e.name == "m" and e.prompt == e.own_prompt]
    mean = np.mean([accuracy(measure(e.samples, e.grades, found)).mean() for e in chosen])
    assert len(chosen) == 3 and own_row.values["acc/strict"].point == pytest.approx(mean)
    assert bare_row.values["gain/B1"].point == pytest.approx(mean - line(out, "think").values["acc/strict"].point)


def test_b1_is_the_best_prompt_on_dev_and_ties_go_to_the_first(tmp_path: Path) -> None:
    found = items(60)
    dev = {
        name: measure(*store(tmp_path, name, found, rates(found, p), 4), found)
        for name, p in (("bare", 0.1), ("a", 0.5))
    }
    assert choose_b1(dev) == "a" and choose_b1({"a": dev["a"], "same": dev["a"]}) == "a"
    other = measure(*store(tmp_path, "o", found[:10], rates(found[:10], 0.5), 4), found[:10])
    with pytest.raises(ConfigError, match="different dev items"):
        choose_b1({"bare": dev["bare"], "other": other})


def test_guessing_takes_the_selection_ceiling_away(tmp_path: Path) -> None:
    task = SimulatedTask()
    wide, narrow = items(120), items(120, wide=False)
    real = measure(*_untraced(tmp_path, "wide", wide, 0.3), wide)
    guesses = measure(*_untraced(tmp_path, "narrow", narrow, 0.1), narrow)
    clean = ceiling_c1(real, wide, task.answer_class)
    assert clean.refused is None and clean.values_N is not None
    assert clean.guessing is not None and clean.guessing < 0.05
    refused = ceiling_c1(guesses, narrow, task.answer_class)
    assert (
        refused.values_N is None
        and refused.guessing is not None
        and refused.guessing > 0.2
        and "guessing" in str(refused.refused)
    )


def test_valid_traces_give_a_ceiling_even_if_guessing_takes_the_other_away(tmp_path: Path) -> None:
    narrow = items(120, wide=False)
    m = measure(*store(tmp_path, "p", narrow, rates(narrow, 0.3), 32, "support", trace=0.5), narrow)
    got = ceiling_c1(m, narrow, SimulatedTask().answer_class)
    assert got.kind == "valid-trace coverage, of lenient grades" and got.refused is None and got.values_N is not None
    assert got.values_N.mean() <= (m.strict_N_J == 1).any(1).mean()


def _untraced(root: Path, name: str, found: list, mean: float) -> tuple[Path, Path]:
    """A task without a validator: no grade says anything about the trace."""
    from elicit.files import read_rows, shards, write_rows

    samples, grades = store(root, name, found, rates(found, mean), 32, "support")
    for path in shards(grades):
        write_rows(path, [{**row, "valid": None} for row in read_rows([path])])
    return samples, grades
