"""KL and likelihood as columns of a comparison: those of the stored rows, of the right regime, refused elsewhere."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from elicit.config import EvalPlan
from elicit.console import Console
from elicit.errors import ConfigError
from elicit.evaluate.comparison.compare import CompareConfig, compare
from elicit.evaluate.entry import Entry
from elicit.evaluate.lenses import LENSES
from elicit.evaluate.lenses.view import make_view
from elicit.evaluate.measures.annotations import annotations_of
from elicit.evaluate.measures.measure import measure
from elicit.evaluate.metrics.support import counts, solved
from elicit.evaluate.stages.annotate import annotate
from elicit.evaluate.stages.generate import generate
from elicit.evaluate.stages.grade import grade
from elicit.evaluate.store import SampleFolder
from elicit.experiment.bench import Bench, limited
from elicit.files import read_rows, shards
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.decoding import REGIMES
from elicit.policy.policy import Policy
from methods.decoding.plain import Temperature
from methods.decoding.sampled import SelfConsistency
from tests.sampling.models import tiny_model, tokenizer
from tests.toy import ToyTask

TASK = ToyTask()
ITEMS = TASK.items("test", 12)
BASE = Policy(wrap(tiny_model(), tokenizer()), prompt=TASK.prompts["bare"])
VECTOR = torch.randn(32, generator=torch.Generator().manual_seed(1))
EDITED = BASE.with_intervention(ActivationEdit((Edit(0, VECTOR, "add", 1.0, "last_prompt"),)))
POLICIES = {
    "base": BASE, "edited": EDITED, "cooler": BASE.with_intervention(Temperature(0.5)),
    "voted": BASE.with_intervention(SelfConsistency(n=3, temperature=1.0, top_p=1.0)),
}  # fmt: skip
PLAN = EvalPlan(n=2, annotate=True, annotate_limit=8, annotate_n=3, support_n=4)


def entries(root: Path, plan: EvalPlan = PLAN) -> list[Entry]:
    """All policies sampled in regime compare and annotated as a run would."""
    known = {item.id: item for item in ITEMS}
    bench: Any = SimpleNamespace(
        plan=plan, task=TASK, items=ITEMS, store=root, base=lambda: BASE, console=Console("json"), known=known
    )
    bench.graded = functools.partial(Bench.graded, bench)
    out = []
    for name, policy in POLICIES.items():
        samples = generate(policy, TASK, ITEMS, REGIMES["compare"], 2, root)
        grades = grade(samples, TASK, known, root / "grades" / policy.id, workers=1)
        entry = Entry("base" if name == "base" else "method", name, policy.id, samples, grades)
        out.append(Bench.annotated(bench, entry, policy))
    return out


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Entry], dict[str, Any]]:
    root = tmp_path_factory.mktemp("world")
    made = entries(root)
    return root, made, lines(made, root / "out")


def lines(made: list[Entry], out: Path) -> dict[str, Any]:
    found = compare(made, ITEMS, out, TASK, CompareConfig("g", draws=200))  # type: ignore[arg-type]
    return {line.name: line for line in found.lines}


def by_item(entry: Entry, value: Any) -> float:
    """Mean over items of the mean over samples of a number of each stored row."""
    rows = read_rows(shards(annotations_of(Path(entry.at_one or entry.samples))))
    groups: dict[str, list[float]] = {}
    for row in rows:
        groups.setdefault(row["item"], []).append(value(row))
    return float(np.mean([np.mean(values) for values in groups.values()]))


def test_kl_and_likelihood_are_those_of_the_stored_rows(world: Any) -> None:
    _, made, found = world
    for entry in made[:2]:
        line = found[entry.name]
        assert line.values["kl/sequence"].point == pytest.approx(by_item(entry, lambda row: sum(row["kl"])), abs=1e-5)
        assert line.values["kl/token"].point == pytest.approx(by_item(entry, lambda row: np.mean(row["kl"])), abs=1e-5)
        nll = by_item(entry, lambda row: -np.mean(row["base_logprobs"]))
        assert line.values["likelihood/nll"].point == pytest.approx(nll, abs=1e-5)
        rare = by_item(entry, lambda row: np.mean([rank >= 10 for rank in row["base_ranks"]]))
        assert line.values["likelihood/rank_10"].point == pytest.approx(rare, abs=1e-5)
        assert tuple(line.notes[f"kl/{fact}"] for fact in ("regime", "n_items", "n")) == ("support", 8, 3)
    assert found["base"].values["kl/sequence"].point == 0 < found["edited"].values["kl/sequence"].lo
    assert found["base"].values["likelihood/typicality"].point == pytest.approx(0.5)


def test_the_support_of_a_trained_policy_is_of_its_annotated_samples_at_temperature_1(world: Any) -> None:
    root, made, found = world
    assert "regime support" in found["edited"].values["support/NDR"].refused, "the base was not sampled there"
    samples = generate(BASE, TASK, ITEMS, REGIMES["support"], 6, root)
    grades = grade(samples, TASK, {item.id: item for item in ITEMS}, root / "grades" / BASE.id / samples.name, 1)
    c1 = Entry("ceiling", "C1", BASE.id, samples, grades)
    line = lines([*made, c1], root / "with C1")["edited"]
    assert (line.number("support/K"), line.number("support/n_items"), line.notes["support/regime"]) == (3, 8, "support")
    counted = [line.number(f"support/{name}") for name in ("P", "E", "S", "unknown")]
    some = limited(ITEMS, 8)
    m, base = (measure(folder, SampleFolder(folder).sibling("grades"), some) for folder in (made[1].at_one, samples))
    assert counted == [*counts(solved(m, 0, 3), solved(base, 0, 3)), 0]


def test_a_strategy_needs_no_samples_of_another_regime(world: Any) -> None:
    _, made, found = world
    assert [entry.at_one is None for entry in made] == [False, False, True, True]
    assert found["cooler"].values["kl/sequence"].point > 0 and found["cooler"].notes["kl/n"] == 2
    voted = found["voted"].under("kl")
    assert "no next-token distribution" in voted["sequence"].refused
    assert voted["bound"].point == pytest.approx(np.log(3) - 2 / 3) and 0 <= voted["percentile"].point <= 1


def test_what_was_not_annotated_is_refused_with_what_to_do(tmp_path: Path) -> None:
    bare = entries(tmp_path, replace(PLAN, annotate=False))
    assert all(entry.at_one is None for entry in bare)
    for line in lines(bare, tmp_path / "out").values():
        assert (
            "eval.annotate=true" in line.values["kl/sequence"].refused
            and "run=true" in line.values["likelihood/nll"].refused
        )


def test_samples_of_another_regime_are_no_estimate_of_the_kl(tmp_path: Path) -> None:
    bare = entries(tmp_path, replace(PLAN, annotate=False))
    for entry in bare[:2]:
        annotate(POLICIES[entry.name], BASE, ITEMS, entry.samples)
    line = lines(bare, tmp_path / "out")["edited"]
    assert "T=1" in line.values["kl/sequence"].refused and line.values["kl/sequence_compare"].point > 0
    assert "C1 was not annotated" in line.values["likelihood/typicality"].refused


def test_traces_are_ranked_among_the_base_s_own_at_the_bare_prompt_alone(tmp_path: Path, world: Any) -> None:
    not_annotated = entries(tmp_path, replace(PLAN, annotate=False))
    annotate(EDITED, BASE, ITEMS, not_annotated[1].samples)
    samples = generate(BASE, TASK, ITEMS, REGIMES["support"], 4, tmp_path)
    grades = grade(samples, TASK, {item.id: item for item in ITEMS}, tmp_path / "c1 grades", 1)
    annotate(BASE, BASE, ITEMS, samples)
    typical = {}
    for prompt in ("bare", "few_shot"):
        c1 = Entry("ceiling", "C1", BASE.id, samples, grades, prompt=prompt)
        typical[prompt] = lines([*not_annotated, c1], tmp_path / prompt)["edited"].values["likelihood/typicality"]
        view = make_view([*not_annotated[:2], c1], ITEMS, TASK, draws=50)
        (row,) = (row for row in LENSES["likelihood"].read(view).table if row["column"] == "typicality")
        assert ("few_shot" in str(row["refused"])) == (row["point"] is None) == (prompt == "few_shot")
    assert typical["bare"].point is not None
    assert "few_shot" in typical["few_shot"].refused and "eval.c1_prompt=bare" in typical["few_shot"].refused
    _, made, found = world  # the base's own annotated samples at T=1 come first and are at the bare prompt
    c1 = Entry("ceiling", "C1", BASE.id, samples, grades, prompt="few_shot")
    own = lines([*made, c1], tmp_path / "own")["edited"].values["likelihood/typicality"]
    assert own == found["edited"].values["likelihood/typicality"]


def test_an_entry_with_its_annotated_samples_survives_json(world: Any) -> None:
    for entry in world[1]:
        assert Entry.of(entry.plain()) == entry


def test_asking_for_more_annotates_what_is_new_and_for_less_keeps_what_is_there(tmp_path: Path) -> None:
    samples = generate(POLICIES["voted"], TASK, ITEMS, REGIMES["compare"], 4, tmp_path / "store")
    whole = annotate(POLICIES["voted"], BASE, ITEMS, samples, tmp_path / "whole")
    grown = tmp_path / "grown"
    for items, n in ((ITEMS[:5], 2), (ITEMS[3:9], 1), (ITEMS, None), (ITEMS[:2], 1)):
        annotate(POLICIES["voted"], BASE, items, samples, grown, n=n)
    for kind in ("shard-*", "chains-*", "prompts*"):
        pairs = [sorted(folder.glob(kind)) for folder in (whole, grown)]
        assert [path.name for path in pairs[0]] == [path.name for path in pairs[1]] != []
        for one, other in zip(*pairs, strict=True):
            assert same(read_rows([one]), read_rows([other]))
    assert (whole / "manifest.json").read_text() == (grown / "manifest.json").read_text()


def same(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    """Equal rows in any order; log-probs up to what another batch makes of them."""

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["item"], row.get("j", 0), row.get("chain", 0)

    pairs = zip(sorted(one, key=key), sorted(other, key=key), strict=True)
    return all(a.keys() == b.keys() and all(alike(a[name], b[name]) for name in a) for a, b in pairs)


def alike(one: Any, other: Any) -> bool:
    plain = one is None or isinstance(one, str)
    return one == other if plain else bool(np.allclose(one, other, atol=1e-5))


def test_lenses_take_no_votes_on_a_part_of_the_samples(world: Any) -> None:
    _, made, _ = world
    view = make_view(made, ITEMS, TASK, draws=50)
    assert all(side.annotations is None for side in view.sides)


def test_the_annotated_part_is_the_same_for_all_policies_and_grows() -> None:
    few, more = limited(ITEMS, 4), limited(ITEMS, 9)
    assert {item.id for item in few} < {item.id for item in more} and limited(ITEMS, 99) == list(ITEMS)
    assert [item for item in ITEMS if item in more] == more
    with pytest.raises(ConfigError, match="annotate_n=0"):
        EvalPlan(annotate_n=0)
