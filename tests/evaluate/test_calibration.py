"""Laws of the calibration: known truths are known, nothing is claimed of nothing, an interruption changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from elicit.commands.calibrate import calibrate
from elicit.errors import ConfigError, DataError, StageError
from elicit.evaluate.calibration import fits, nulls
from elicit.evaluate.calibration.coverage import one_policy
from elicit.evaluate.calibration.simulated import SimulatedCalibration, calibrate_simulated, lines, size_of
from elicit.evaluate.calibration.worlds import Beta, draw_world, simulated_items, simulated_measures
from elicit.evaluate.comparison.compare import CompareConfig, compare
from elicit.evaluate.metrics import METRICS
from elicit.evaluate.metrics.accuracy import accuracy
from elicit.evaluate.metrics.coverage import coverage
from elicit.evaluate.statistics import shipped
from elicit.files import read_json, read_jsonl, write_json
from elicit.results import Estimate
from tests.evaluate.simulated import SimulatedTask, items, rates, store

SMALL = SimulatedCalibration(policies=6, nulls=2, items=(30,), n=(4,), null_items=30, null_n=4, draws=200)


def test_the_closed_forms_are_what_simulation_gives() -> None:
    rng = np.random.default_rng(0)
    world = draw_world(rng, 60_000, 8, 1)
    drawn = world.rates(rng)
    assert drawn["base"].mean() == pytest.approx(world.base.mean, abs=0.006)
    assert drawn["method"].mean() == pytest.approx(world.accuracy, abs=0.006)
    assert drawn["ceiling"].mean() == pytest.approx(world.ceiling, abs=0.006)
    assert (1 - (1 - drawn["method"][0]) ** 4).mean() == pytest.approx(world.pass_at(4), abs=0.006)
    assert world.kl_N(rng).mean() == pytest.approx(world.kl, rel=0.02)
    right_N = rng.binomial(8, drawn["method"][0])
    assert coverage(right_N, np.full(60_000, 8), 4).mean() == pytest.approx(world.pass_at(4), abs=0.008)
    assert Beta.of(0.3, 2).misses(1) == pytest.approx(0.7)


@pytest.mark.parametrize("kind", nulls.KINDS)
def test_a_label_rests_on_no_metric_that_a_null_leaves_out(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def labels() -> dict[str, str]:
        rng = np.random.default_rng(7)
        world = draw_world(rng, 60, 8, 1, nulls.SEEDS)
        return nulls.labels_of(nulls.KINDS[kind](world, rng), world, rng, 200)

    few = labels()
    monkeypatch.setattr(nulls, "JUDGED", METRICS)
    assert few == labels() and few


def test_seed_effects_have_the_stated_mean_and_fractions_the_stated_truth() -> None:
    rng = np.random.default_rng(1)
    world = draw_world(rng, 500, 8, 1, seeds=400)
    assert world.rates(rng)["method"].mean() == pytest.approx(world.accuracy, abs=0.02)
    assert 0 < world.fraction < 1
    assert world.fraction == pytest.approx((world.accuracy - world.base.mean) / (world.ceiling - world.base.mean))


def test_clusters_share_their_rates_and_measures_their_policies_rates() -> None:
    rng = np.random.default_rng(2)
    world = draw_world(rng, 90, 400, 3)
    rates_N = world.rates(rng)["base"]
    assert np.array_equal(rates_N[::3], rates_N[1::3]) and len(set(world.codes_N)) == 30
    found = simulated_items(world, rng)
    m = simulated_measures("p", found, rates_N, 400, rng)
    assert accuracy(m) == pytest.approx(rates_N, abs=0.12)
    for i, item in enumerate(found):
        assert ((m.classes_N_J[i] == int(item.gold or 0)) == (m.strict_N_J[i] == 1)).all()


def test_a_simulated_policy_is_a_function_of_its_index() -> None:
    first, again, other = (one_policy(i, 0, 40, 4, 1, 200) for i in (3, 3, 4))
    assert first == again and first != other
    assert set(first["covered"]) >= {"acc", "pass@k", "gain", "EF", "KL"}


@pytest.mark.parametrize("kind", nulls.KINDS)
def test_a_null_is_not_claimed_but_for_the_nominal_rate(kind: str) -> None:
    assert sum(bool(nulls.one_null(kind, i, 0, 40, 4, 200)["claimed"]) for i in range(8)) <= 2


def test_the_rule_claims_a_method_that_does_elicit() -> None:
    rng = np.random.default_rng(3)
    world = replace(draw_world(rng, 120, 8, 1), gain=Beta.of(0.6, 4), base=Beta.of(0.2, 2))
    drawn = world.rates(rng)
    parts = nulls._with_base(drawn, [("m", drawn["method"][0], [drawn["base"]])])
    assert nulls.claims(parts, world, rng, 400) == ["m"]


def test_an_interrupted_calibration_goes_on_and_gives_the_very_same(tmp_path: Path) -> None:
    whole = calibrate_simulated(SMALL, tmp_path / "a", tmp_path / "a.json")
    rows = tmp_path / "a" / "rows.jsonl"
    kept = rows.read_text().splitlines()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "rows.jsonl").write_text("\n".join(kept[:5]) + "\n" + kept[5][:20])
    again = calibrate_simulated(SMALL, tmp_path / "b", tmp_path / "b.json")
    assert again == whole
    found = [row for _, row in read_jsonl(tmp_path / "b" / "rows.jsonl")]
    assert len(found) == len(kept) == 6 + 2 * len(nulls.KINDS)
    assert any("coverage" in line for line in lines(whole)) and any("claims" in line for line in lines(whole))


def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    calibrate_simulated(SMALL, tmp_path / "a", tmp_path / "a.json")
    with pytest.raises(StageError, match="another settings"):
        calibrate_simulated(replace(SMALL, seed=1), tmp_path / "a", tmp_path / "a.json")
    with pytest.raises(ConfigError, match="policies=0"):
        replace(SMALL, policies=0)


def test_sizes_are_taken_in_turn() -> None:
    config = SimulatedCalibration()
    seen = {size_of(config, i) for i in range(12)}
    assert len(seen) == 12


def test_what_ships_says_whether_it_is_of_this_code(tmp_path: Path) -> None:
    calibrate_simulated(SMALL, tmp_path / "rows", tmp_path / "simulated.json")
    found = shipped.load(tmp_path)
    assert found["simulated"]["current"] is True and found["organisms"] is None
    changed = read_json(tmp_path / "simulated.json")
    changed["fingerprint"]["code"] = "older"
    write_json(tmp_path / "simulated.json", changed)
    assert shipped.load(tmp_path)["simulated"]["current"] is False
    write_json(tmp_path / "simulated.json", {**changed, "schema": 99})
    with pytest.raises(DataError, match="schema 99"):
        shipped.load(tmp_path)


def test_the_word_runs_the_simulations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["items=30", "n=4", "null_items=30", "null_n=4", "draws=200", f"root={tmp_path}", "output=json"]
    assert calibrate(["simulated=true", "policies=3", "nulls=1", *words]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["calibration"]["settings"]["policies"] == 3
    assert read_json(tmp_path / "calibration" / "simulated.json")["coverage"]["acc"]["of"] == 3
    with pytest.raises(ConfigError, match="no such setting"):
        calibrate(["simulated=true", "policy=3"])
    with pytest.raises(ConfigError, match="whole numbers"):
        calibrate(["simulated=true", "policies=many"])


def comparison(root: Path, effect: float, placebo: bool = True) -> Path:
    """A stored comparison of one method with three seeds; `effect` is what it adds to a base of .2."""
    from tests.evaluate.test_compare import entry

    found = items(100)
    entries = [entry(root, "base", "base", found, 0.2), entry(root, "ceiling", "C4", found, 0.9)]
    for seed in (1, 2, 3):
        folders = store(root, f"m-{seed}", found, rates(found, 0.2 + effect, seed=3), 8, seed=seed)
        from elicit.evaluate.entry import Entry

        entries.append(Entry("method", "m", f"m-{seed}", *folders, arm="m", seed=seed, data_class="V"))
        if placebo:
            folders = store(root, f"p-{seed}", found, rates(found, 0.2, seed=3), 8, seed=seed)
            entries.append(
                Entry("placebo", "m/p", f"p-{seed}", *folders, arm="p", seed=seed, parent="m", data_class="V")
            )
    compare(entries, found, root / "out", SimulatedTask(), CompareConfig("g", draws=500))  # type: ignore[arg-type]
    return root / "out"


def test_every_fit_is_judged_against_the_placebo_of_its_own_seed(tmp_path: Path) -> None:
    each = fits.each_fit(comparison(tmp_path, 0.5), items(100), SimulatedTask())  # type: ignore[arg-type]
    assert [(fit.method, fit.seed) for fit in each] == [("m", 1), ("m", 2), ("m", 3)]
    total = fits.summarise(each)["m"]
    assert total.fits == total.judged == 3 and total.elicits is not None and total.elicits.point == 1.0
    assert total.elicits.lo < 0.6 and total.fraction == pytest.approx(0.5 / 0.7, abs=0.1)


@pytest.mark.parametrize(
    ("label", "claims"),
    [
        ("elicits", 1.0),
        ("elicits, at a price", 1.0),
        ("above placebo", 1.0),
        ("format", 0.0),
        ("prompt as good", 0.0),
        ("elicits (see warnings)", 1.0),
        ("no gain (see warnings)", 0.0),
    ],
)
def test_a_fit_elicits_if_the_label_of_its_row_claims_something_whatever_its_strict_gain(label, claims) -> None:
    clear = Estimate(0.9, 0.8, 1.0)
    total = fits.summarise([fits.Fit("m", 1, clear, clear, clear, clear, label)] * 3)["m"]
    assert total.judged == 3 and total.elicits is not None and total.elicits.point == claims


def test_the_word_gathers_the_fits_of_every_organism(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = {"one": comparison(tmp_path / "one", 0.5), "two": comparison(tmp_path / "two", 0.0)}
    asked: list[list[list[str]]] = []

    class Task(SimulatedTask):
        def items(self, split, limit):
            return items(limit)

    def planned(command_line):
        asked.append(command_line)
        model = next(word for word in command_line[0] if word.startswith("model=")).removeprefix("model=")
        chosen = SimpleNamespace(root=str(tmp_path), output="text", task=Task(), eval=SimpleNamespace(limit=100))
        return [SimpleNamespace(folder=folders[model], settings=chosen)]

    monkeypatch.setattr("elicit.experiment.plan.plan", planned)
    monkeypatch.setattr("elicit.experiment.run.execute", lambda comparisons, console, argv: 0)
    assert calibrate(["models=one,two", "seeds=1,2", "eval.n=4"]) == 0
    assert [[word for word in job if "seed" in word] for job in asked[0]] == [["seed=1"], ["seed=2"]]
    assert "experiment=calibration" in asked[0][0] and "eval.n=4" in asked[0][0]
    found = read_json(tmp_path / "calibration" / "organisms.json")
    assert found["totals"]["one"]["m"]["elicits"]["point"] == 1.0
    assert found["totals"]["two"]["m"]["elicits"]["point"] == 0.0
    assert "elicits 100%" in capsys.readouterr().out
    assert shipped.load(tmp_path / "calibration")["organisms"]["totals"]["two"]["all"]["fits"] == 3


def test_nothing_elicited_is_no_false_elicitation_and_no_placebo_is_no_judgement(tmp_path: Path) -> None:
    each = fits.each_fit(comparison(tmp_path / "null", 0.0), items(100), SimulatedTask())  # type: ignore[arg-type]
    nobody = fits.summarise(each)["all"].elicits
    assert nobody is not None and nobody.point == 0.0
    bare = fits.each_fit(comparison(tmp_path / "bare", 0.5, placebo=False), items(100), SimulatedTask())  # type: ignore[arg-type]
    total = fits.summarise(bare)["m"]
    assert total.judged == 0 and total.elicits is None
    assert any("elicits -" in line for line in fits.lines({"organism": {"m": total}}))
    with pytest.raises(DataError, match="no longer in"):
        fits.each_fit(tmp_path / "null" / "out", items(50), SimulatedTask())  # type: ignore[arg-type]
