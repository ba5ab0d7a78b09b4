"""Laws of a C1 that was drawn at B1's prompt: a ceiling of the same base, but not a method's policy without its edit.

Each metric that takes C1's samples for another purpose either needs the base at the method's own prompt, and then
refuses any other, or is of C1's samples alone, and then does not depend on the prompt that they are said to be of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elicit.evaluate.comparison.compare import compare
from elicit.evaluate.entry import Entry
from elicit.evaluate.lenses.view import make_view
from elicit.evaluate.measures.measure import measure
from elicit.evaluate.metrics.sharpening import logprobs, slopes
from elicit.evaluate.metrics.support import Support, support
from elicit.report.pages.scorecard import footnotes
from elicit.report.rows import rows
from elicit.report.verdict import harder_to_beat, verdicts
from elicit.results import Comparison, Line
from tests.evaluate.simulated import SimulatedTask, items, rates, store
from tests.evaluate.test_compare import CONFIG, line

FOUND = items(80)
MENDS = "eval.c1_prompt=bare"


def entry(root: Path, role: str, name: str, mean: float, n: int = 8, regime: str = "compare", **more: Any) -> Entry:
    folders = store(root, f"{name}-{mean}", FOUND, rates(FOUND, mean, seed=3), n, regime, trace=1.0)
    return Entry(role, name, f"{name}-{mean}", *folders, data_class="Z", **more)


def sides(root: Path, regime: str = "compare") -> dict[str, Entry]:
    """The base and its best prompt in one regime, C1 at T=1, and a method with samples at T=1 next to its own."""
    at_one = store(root, "m-0.6", FOUND, rates(FOUND, 0.6, seed=3), 8, "support", trace=1.0)[0]
    return {
        "base": entry(root, "base", "base", 0.05, regime=regime),
        "B1": entry(root, "prompt", "few_shot", 0.3, regime=regime, prompt="few_shot"),
        "C1": entry(root, "ceiling", "C1", 0.2, 32, "support"),
        "m": entry(root, "method", "m", 0.6, regime=regime, at_one=at_one),
    }


def at(entries: dict[str, Entry], prompt: str) -> list[Entry]:
    """The same entries, C1 said to be of another prompt."""
    return list({**entries, "C1": replace(entries["C1"], prompt=prompt)}.values())


def compared(entries: Sequence[Entry], out: Path, b1: str | None = "few_shot") -> Comparison:
    return compare(entries, FOUND, out, SimulatedTask(), replace(CONFIG, b1=b1, draws=200))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Entry], Comparison, Comparison]:
    """The entries, and their comparisons with C1 at the bare prompt and at B1's."""
    root = tmp_path_factory.mktemp("world")
    made = sides(root)
    return made, *(compared(at(made, prompt), root / prompt) for prompt in ("bare", "few_shot"))


def refusal(of: Line, key: str) -> str:
    return str(of.values[key].refused)


def test_the_line_of_c1_names_the_prompt_that_it_was_drawn_at(world: Any) -> None:
    _, bare, best = world
    assert (line(bare, "C1").prompt, line(best, "C1").prompt) == ("bare", "few_shot")
    labels = [next(row.label for row in rows(one) if row.name == "C1") for one in (bare, best)]
    assert labels == ["C1", "C1, asked few_shot"]


def test_a_ceiling_and_the_gaps_to_it_are_of_the_frozen_base_at_whatever_prompt(world: Any) -> None:
    _, bare, best = world
    assert bare.ceilings["C1"].point is not None and bare.ceilings == best.ceilings and bare.c1 == best.c1
    for name in ("few_shot", "m"):
        assert line(bare, name).under("ef") == line(best, name).under("ef") != {}
    sentences = [[(one.answer, one.sentence) for one in verdicts(given)] for given in (bare, best)]
    assert sentences[0][2] == sentences[1][2]


def test_support_compares_a_method_with_the_base_at_its_own_prompt_alone(world: Any) -> None:
    _, bare, best = world
    assert line(bare, "m").values["support/NDR"].point is not None
    for name in ("SRR", "NDR", "NSCR", "excess", "novel"):
        assert MENDS in refusal(line(best, "m"), f"support/{name}") and "few_shot" in refusal(
            line(best, "m"), f"support/{name}"
        )
    assert line(best, "m").number("support/P") is None


def test_a_base_that_was_sampled_at_temperature_1_itself_needs_no_c1_for_its_support(tmp_path: Path) -> None:
    made = sides(tmp_path, "support")
    without = [entry for name, entry in made.items() if name != "C1"]
    own = [line(compared(chosen, tmp_path / str(i)), "m").under("support") for i, chosen in
           enumerate((at(made, "few_shot"), without))]  # fmt: skip
    assert own[0] == own[1] and own[0]["NDR"].point is not None


def test_the_support_of_a_method_at_c1_s_prompt_is_over_the_samples_drawn_there(tmp_path: Path) -> None:
    made = sides(tmp_path, "support")
    prompted = replace(entry(tmp_path, "method", "m", 0.7, 16, "support"), prompt="few_shot")
    del made["B1"]
    out = compared([*at(made, "few_shot"), prompted], tmp_path / "out", None)
    shown = next(one for one in out.lines if one.at_own_prompt)
    sides_ = [measure(one.samples, one.grades, FOUND) for one in (prompted, made["C1"])]
    alone = support([sides_[0]], sides_[1])
    assert isinstance(alone, Support)
    assert [shown.number(f"support/{name}") for name in ("P", "E", "S")] == list(alone.right.counts)
    elsewhere = compared([*at(made, "bare"), prompted], tmp_path / "bare", None)
    assert "at its prompt, few_shot" in refusal(
        next(one for one in elsewhere.lines if one.at_own_prompt), "support/NDR"
    )


def test_the_base_s_votes_at_equal_tokens_are_at_the_prompt_of_the_method(world: Any) -> None:
    _, bare, best = world
    for key in ("hardest", "difference", "best"):
        assert line(bare, "m").values[f"matched_support/{key}"].point is not None
        assert MENDS in refusal(line(best, "m"), f"matched_support/{key}")
    assert line(best, "m").under("matched") == line(bare, "m").under("matched")
    assert harder_to_beat(line(best, "m")) == line(best, "m").values["matched/hardest"]


def test_the_covariance_is_of_the_policy_that_drew_the_samples_and_the_base_takes_over_only_its_own(world: Any) -> None:
    made, bare, best = world
    m = measure(made["C1"].samples, made["C1"].grades, FOUND)
    expected = np.nanmean(slopes(m, logprobs(made["C1"].samples, m.items, m.n))[0])
    for one in (bare, best):
        assert line(one, "C1").values["sharpening/covariance"].point == pytest.approx(expected)
    assert refusal(line(bare, "base"), "sharpening/covariance") == "see the line of C1"
    assert MENDS in refusal(line(best, "base"), "sharpening/covariance")


def test_coverage_at_large_k_is_of_a_policy_s_own_samples_alone(world: Any) -> None:
    _, bare, best = world
    for name in ("base", "few_shot", "C1", "m"):
        assert line(bare, name).curves["cov_beta"] == line(best, name).curves["cov_beta"]
    assert line(best, "C1").curves["cov_beta"].k


def test_a_view_has_no_base_at_temperature_1_if_c1_was_drawn_at_another_prompt(world: Any) -> None:
    made = world[0]
    bare, best = (make_view(at(made, prompt), FOUND, SimulatedTask(), 50) for prompt in ("bare", "few_shot"))  # type: ignore[arg-type]
    assert bare.support is not None and bare.c1_elsewhere is None
    assert best.support is None and best.c1_elsewhere == "few_shot"


def test_policies_at_the_base_s_own_prompt_have_their_plain_names_in_lenses(world: Any) -> None:
    few_shot = [replace(one, prompt="few_shot") if one.name in ("base", "m") else one for one in world[0].values()]
    names = [side.name for side in make_view(few_shot, FOUND, SimulatedTask(), 50).sides]  # type: ignore[arg-type]
    assert names[0] == "base" and "m" in names and "m (few_shot)" not in names
    elsewhere = [replace(one, prompt="few_shot") if one.name == "m" else one for one in world[0].values()]
    sides = make_view(elsewhere, FOUND, SimulatedTask(), 50).sides  # type: ignore[arg-type]
    assert "m (few_shot)" in [side.name for side in sides]


def ceiling_of(root: Path, c1: float, prompt: str, b1: str | None = "few_shot") -> Comparison:
    """C1 at that solve rate, which is its coverage: every item is solved always or never."""
    all_or_none_N = (np.arange(len(FOUND)) < c1 * len(FOUND)).astype(float)
    folders = store(root, f"c1-{c1}", FOUND, all_or_none_N, 32, "support", trace=1.0)
    drawn = Entry("ceiling", "C1", f"c1-{c1}", *folders, data_class="Z", prompt=prompt)
    rungs = [entry(root, "base", "base", 0.05), entry(root, "prompt", "few_shot", 0.3, prompt="few_shot")]
    return compared([*rungs, drawn], root / f"{prompt}-{c1}-{b1}", b1)


def no_ceiling(of: Comparison) -> list[str]:
    return [text for text in of.warnings if text.startswith("C1 is no ceiling")]


def test_a_c1_below_b1_by_the_same_reading_is_called_no_ceiling(tmp_path: Path) -> None:
    (text,) = no_ceiling(below := ceiling_of(tmp_path, 0.1, "bare"))
    reading = below.c1.reading if below.c1 else ""
    solved = line(below, "few_shot").values[f"acc/{reading}"].point
    assert f"{solved:.1%} by the same reading" in text and "eval.c1_prompt=best" in text
    assert f"{below.ceilings['C1'].point:.1%}, drawn at the prompt bare" in text
    assert f"{text}." in footnotes(below, rows(below), [])
    (same,) = no_ceiling(ceiling_of(tmp_path, 0.1, "few_shot"))
    assert "eval.c1_prompt" not in same and "eval.support_n" in same


def test_a_c1_above_b1_draws_no_warning_and_without_b1_the_bare_base_is_the_rung(tmp_path: Path) -> None:
    assert no_ceiling(ceiling_of(tmp_path, 0.9, "bare")) == []
    assert no_ceiling(ceiling_of(tmp_path, 0.1, "bare", None)) == []
    assert "at the prompt bare, " in no_ceiling(ceiling_of(tmp_path, 0.01, "bare", None))[0]
