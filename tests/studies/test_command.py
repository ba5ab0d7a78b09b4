"""Studies as a command: plans, endpoints read from files, pages, and what makes a result stale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from elicit.commands import study as command
from elicit.commands.experiment import run as run_overrides
from elicit.config.compose import Composer, choices
from elicit.errors import ConfigError, StageError
from elicit.evaluate.comparison import prereg
from elicit.evaluate.lenses import Reading
from elicit.experiment.run import frozen_plan
from elicit.files import read_yaml
from elicit.report.pages.study import bound_text, write_pages
from elicit.results import Comparison, Estimate, Line
from elicit.results.comparison import Pair, Rungs, Setup
from elicit.studies import AppliedCondition, Condition, Endpoint, Measured, Scale, Study, StudyResult

COMPOSER = Composer()
WIDE = Estimate(0.4, 0.3, 0.5)
STUDY = Study(
    claim="Traces | matter <script>",
    source="arXiv 0000.00000",
    checked="not found",
    asked="Who is asked.",
    not_shown="Nothing about large models.",
    would_change="a larger base.",
    endpoints={
        "gain": Endpoint("gain", "line gain/B0", ("star",)),
        "read": Endpoint("reads its trace", "lens causality error", ("star",), "percent"),
        "more": Endpoint("a less b", "pair b - a"),
    },
    rule=(Condition("gain", above=0.1),),
    quick=Scale("one minute"),
    full=Scale("one hour on a GPU, not run"),
)
RESULT = StudyResult(
    study="mine", scale="quick", verdict="holds", fingerprint="f",
    values={"gain": [Measured("star, 2 seeds", WIDE)], "read": [Measured("star, seed 1", Estimate(refused="no trace"))],
            "more": [Measured("b - a", WIDE)]},
    tested=[AppliedCondition("gain", 0.1, None, "met")], group="study-mine-quick", base="organism", task="chain",
    n_items=10, n=4, seeds=[1, 2], created=1e9, seconds=3.0,
)  # fmt: skip


def given(*words: str, root: Path = Path("nowhere")) -> command.Given:
    return command.STUDY.read([*words, f"root={root}"])


def test_a_folder_of_presets_is_a_part_of_their_names_unless_it_is_a_group_of_its_own() -> None:
    assert {f"study/{name}" for name in command.studies()} <= set(choices("experiment"))
    assert not any("/" in name for name in choices("method")) and "cot_decoding" in choices("method/strategy")


def policies(jobs: Iterable[Sequence[str]]) -> list[str]:
    """Names of the policies of lists of overrides; one that is stacked on another has both names."""
    settings = [dict(word.split("=", 1) for word in job) for job in jobs]
    names = [each.get("method.name", each["method"]) for each in settings]
    return ["+".join(filter(None, (each.get("on"), name))) for each, name in zip(settings, names, strict=True)]


REAL = [name for name in command.studies() if "real" in command.wording_of(name).scales]


# the full scale of two is planned as well: one states its own jobs, the other does not
@pytest.mark.parametrize(("name", "scale"), [
    *((name, "quick") for name in command.studies()), *((name, "real") for name in REAL),
    ("budget", "full"), ("confidence", "full"),
])  # fmt: skip
def test_every_study_plans_one_comparison_that_has_its_policies_and_lenses(name: str, scale: str) -> None:
    comparison = command.plan_of(name, given(f"scale={scale}"), COMPOSER)
    study = command.study_of(comparison)
    command.check_names(study, comparison)
    assert {job.settings.seed for job in comparison.jobs} == set(study.scale(scale).seeds)
    assert comparison.group == f"study-{name}-{scale}"
    own = comparison.settings.experiment
    assert own is not None and own.study == study == command.wording_of(name)
    assert {job.name for job in comparison.jobs if job.role == "method"} == set(policies(own.jobs))
    assert (comparison.settings.model.path == "organism") is (scale == "quick")


@pytest.mark.parametrize("name", command.studies())
def test_all_scales_have_the_same_policies(name: str) -> None:
    content = read_yaml(choices("experiment")[f"study/{name}"])["experiment"]
    for scale in command.wording_of(name).scales:
        assert policies(content["study"][scale].get("jobs", content["jobs"])) == policies(content["jobs"])


def test_a_result_is_stale_if_its_rule_or_its_jobs_changed_and_not_if_its_words_did() -> None:
    comparison = command.plan_of("draft", given(), COMPOSER)
    study = command.study_of(comparison)
    mark = command.fingerprint(study, comparison)
    assert command.fingerprint(replace(study, claim="in other words"), comparison) == mark
    assert command.fingerprint(study, command.plan_of("draft", given(root=Path("elsewhere")), COMPOSER)) == mark
    stricter = replace(study, rule=(replace(study.rule[0], above=-0.01),))
    larger = command.plan_of("draft", given("eval.limit=7"), COMPOSER)
    assert mark not in (command.fingerprint(stricter, comparison), command.fingerprint(study, larger))


def test_the_rule_is_frozen_before_the_first_sample_and_another_one_is_refused(tmp_path: Path) -> None:
    comparison = command.plan_of("draft", given(), COMPOSER)
    study = command.study_of(comparison)

    def plan_with(changed: Study) -> dict[str, Any]:
        experiment = replace(cast(Any, comparison.settings.experiment), study=changed)
        settings = replace(comparison.settings, experiment=experiment)
        bench = SimpleNamespace(
            comparison=replace(comparison, settings=settings), checkpoint=SimpleNamespace(id="c"), items=[]
        )
        return frozen_plan(cast(Any, bench))

    prereg.freeze(plan_with(study), tmp_path, 1.0)
    prereg.freeze(plan_with(replace(study, claim="in other words")), tmp_path, 2.0)
    with pytest.raises(StageError, match="differs in study;"):
        prereg.freeze(plan_with(replace(study, rule=(replace(study.rule[0], above=-0.2),))), tmp_path, 3.0)


def test_a_study_with_a_result_is_not_run_again(tmp_path: Path) -> None:
    comparison = command.plan_of("draft", given(root=tmp_path), COMPOSER)
    mark = command.fingerprint(command.study_of(comparison), comparison)
    done = replace(RESULT, study="draft", fingerprint=mark)
    done.write(tmp_path / "studies" / "quick" / "draft.json")
    assert command.run("draft", given(root=tmp_path), COMPOSER, given().console()) == done
    assert [path.name for path in tmp_path.iterdir()] == ["studies"]


def test_names_that_there_are_not_are_refused_with_near_matches() -> None:
    with pytest.raises(ConfigError, match=r"did you mean .*trace_cause"):
        run_overrides(["experiment=study/trace_caus"], False, [])
    with pytest.raises(ConfigError, match=r"scale=quik: .*quick"):
        run_overrides(["experiment=study/draft", "scale=quik"], False, [])
    with pytest.raises(ConfigError, match=r"study/draft scale=real: studies of that scale: .*confidence"):
        run_overrides(["experiment=study/draft", "scale=real"], False, [])
    for word in ("seed=x", "seed=3", "group=mine"):
        with pytest.raises(ConfigError, match=rf"^{word}: a study has its own seeds and group"):
            command.plan_of("draft", given(word), COMPOSER)
    with pytest.raises(ConfigError, match="leave -m away"):
        run_overrides(["experiment=study/draft"], True, [])
    comparison = command.plan_of("draft", given(), COMPOSER)
    with pytest.raises(ConfigError, match=r"gain: rlvr: .*lens structur"):
        endpoint = Endpoint("gain", "line gain/B0", ("rlvr",))
        command.check_names(replace(STUDY, endpoints={"gain": endpoint}, lenses=("structur",)), comparison)


def comparison_of(*lines: Line, pairs: tuple[Pair, ...] = ()) -> Comparison:
    return Comparison("g", "chain", list(lines), (), Setup(4, 10, 10, "compare"), Rungs("b"), pairs=pairs)


def test_endpoints_are_read_by_line_by_pair_and_by_seed_of_a_lens_and_a_missing_one_is_a_refusal() -> None:
    line = Line("p", "star", "method", seeds=2, values={"gain/B0": WIDE})
    other = Line("q", "star", "method", at_own_prompt=True, values={"gain/B0": Estimate(0, 0, 0)})
    pair = Pair("p", "q", ("a", "b"), ("bare", "bare"), Estimate(0.1, -0.2, 0.3))
    reading = Reading(
        "causality", "", "", {"base": {"error": WIDE}, "star, seed 1": {"error": WIDE}, "star, seed 2": {}}
    )
    compared, readings = comparison_of(other, line, pairs=(pair,)), {"causality": reading}
    gain, read, more = (list(command.measured(one, compared, readings)) for one in STUDY.endpoints.values())
    assert gain == [Measured("star, 2 seeds", WIDE)]
    assert [row.policy for row in read] == ["star, seed 1", "star, seed 2"] and read[0].value == WIDE
    assert "no column 'error'" in str(read[1].value.refused)
    assert more == [Measured("b - a", Estimate(-0.1, -0.3, 0.2))]
    assert command.pair_of(compared, "a", "b") == pair.difference
    (lost,) = command.measured(STUDY.endpoints["gain"], comparison_of(), {})
    assert "no gain/B0 of star" in str(lost.value.refused)


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    RESULT.write(tmp_path / "mine.json")
    assert StudyResult.read(tmp_path / "mine.json") == RESULT


def test_pages_print_verdict_rule_values_and_refusals_and_keep_the_notes(tmp_path: Path) -> None:
    for _ in range(2):
        index = write_pages({"mine": STUDY, "other": STUDY}, {"mine": RESULT}, "quick", tmp_path).read_text("utf-8")
        page = (tmp_path / "mine.md").read_text("utf-8")
        if "My own words." not in page:
            notes = tmp_path / "notes.md"
            notes.write_text(
                notes.read_text("utf-8").replace("notes: mine -->\n", "notes: mine -->\nMy own words.\n"), "utf-8"
            )
    assert page.startswith("\n# mine: holds") or page.startswith("# mine: holds")
    assert "gain above +10.0 points" in page and "+40.0 [+30.0, +50.0]" in page and "no trace" in page
    assert "My own words." in page and "<script>" not in page + index
    assert (tmp_path / "mine.png").read_bytes().startswith(b"\x89PNG") and not (tmp_path / "other.md").exists()
    assert "[mine](mine.md)" in index and "not run" in index and "**holds**" in index


def test_a_page_has_the_words_of_its_scale_and_the_rule_of_the_study(tmp_path: Path) -> None:
    real = Scale("two minutes", asked="Gemma is asked.", would_change="a base of 3 B.")
    write_pages({"mine": replace(STUDY, real=real)}, {"mine": replace(RESULT, scale="real")}, "real", tmp_path)
    page = (tmp_path / "mine.md").read_text("utf-8")
    assert "Gemma is asked." in page and "Who is asked." not in page and "a base of 3 B." in page
    assert STUDY.not_shown in page and "gain above +10.0 points" in page and "two minutes" in page
    with pytest.raises(ConfigError, match=r"scale=real: .*quick"):
        STUDY.at("real")


def test_a_page_by_an_older_rule_says_so(tmp_path: Path) -> None:
    newer = replace(STUDY, rule=(Condition("gain", above=0.2),))
    index = write_pages({"mine": newer}, {"mine": RESULT}, "quick", tmp_path).read_text("utf-8")
    page = (tmp_path / "mine.md").read_text("utf-8")
    assert "(by an older rule)" in index and "run the study again" in page and "above +10.0 points" in page
    assert "older rule" not in write_pages({"mine": STUDY}, {"mine": RESULT}, "quick", tmp_path).read_text("utf-8")


def test_a_bound_is_printed_in_the_unit_of_its_endpoint() -> None:
    assert bound_text(Condition("x", below=0.3), "ratio") == "below 0.30"
    assert bound_text(Condition("x", above=0.5, below=0.75), "percent") == "between 50.0 % and 75.0 %"


def test_an_index_links_the_results_of_other_scales_that_lie_below_it(tmp_path: Path) -> None:
    real = Scale(cost="little", seeds=(1,))
    study = replace(STUDY, real=real)
    write_pages({"mine": study}, {"mine": replace(RESULT, scale="real")}, "real", tmp_path / "real")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "README.md").touch()
    index = write_pages({"mine": study}, {"mine": RESULT}, "quick", tmp_path).read_text("utf-8")
    assert "(real/README.md)" in index and "elsewhere" not in index
