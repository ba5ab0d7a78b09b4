"""`elicit experiment=study/NAME scale=quick|full|real`: run a study, decide its claim by its rule, print its page.

    preset -> jobs of one comparison -> passes of its lenses -> endpoints -> rule -> <root>/studies/SCALE/NAME.json
    all results of the scale -> pages and index (out=FOLDER; else next to the results)

`experiment=study/all` runs every study in alphabetical order, `experiment=study/draft,shift` these two. Everything is
resumable: fits, samples, grades and probes are found as in any run, and a study whose jobs, endpoints and rule are the
same as in its result is not run again, unless people have rated its packet meanwhile. A study that fails is reported at
the end, and the others continue.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from elicit.commands.arguments import ALL, COMMON, Command, Given
from elicit.commands.lens import view_of
from elicit.commands.saved import SavedComparison
from elicit.config.build import build
from elicit.config.compose import Composer, choices
from elicit.console import Console
from elicit.errors import ConfigError, ElicitError, MethodError, near
from elicit.evaluate.lenses import LENSES, Reading
from elicit.evaluate.lenses.view import View
from elicit.evaluate.statistics.ratios import Bootstrap
from elicit.evaluate.statistics.resamples import DRAWS, Resamples
from elicit.experiment.plan import ComparisonPlan, plan
from elicit.files import content_hash, read_yaml
from elicit.results import Comparison, Estimate, read_comparison
from elicit.studies import AppliedCondition, Endpoint, Measured, Study, StudyResult, decide
from elicit.studies.frozen import frozen
from elicit.studies.packet import KEY, PAGE, Trace, differences, ratings, write_packet
from elicit.studies.study import PAIRED, PREFIX, SCALES

VERSION = 1
"""increased by every change of this module that changes an endpoint"""
RATED_ITEMS, LEAST_RATED = 30, 10
"""items in a rating packet, and with ratings of both policies before they are an interval"""
STUDY = Command(
    "experiment=study/NAME: settings only, such as scale=quick out=docs/studies",
    {**COMMON, "experiment": "", "scale": "quick", "out": "", "dry_run": "false"},
    names=0,
    overrides=(ALL,),
)


def studies() -> list[str]:
    """Names of all studies, those of plug-ins included."""
    return sorted(name.removeprefix(PREFIX) for name in choices("experiment") if name.startswith(PREFIX))


def study(words: list[str]) -> int:
    """Run the study or studies that `experiment=study/...` names; returns the exit code."""
    from elicit.experiment.run import OK, PARTLY_FAILED
    from elicit.report.pages.study import write_pages

    given = STUDY.read(words)
    name, console = given["experiment"].removeprefix(PREFIX), given.console()
    if given["scale"] not in SCALES:
        raise ConfigError(f"scale={given['scale']}: {near(given['scale'], SCALES)}")
    wording = {one: stated for one in studies() if given["scale"] in (stated := wording_of(one)).scales}
    names, composer = list(wording) if name == "all" else name.split(","), Composer()
    for one in names:
        if one not in (known := [*studies(), "all"]):
            raise ConfigError(f"experiment={PREFIX}{one}: {near(one, known)}")
        if one not in wording:
            raise ConfigError(f"experiment={PREFIX}{one} scale={given['scale']}: studies of that scale: {[*wording]}")
    faults: dict[str, ElicitError] = {}
    done: list[StudyResult] = []
    for k, one in enumerate(names, 1):
        console.say(f"\nstudy {k} of {len(names)}: {one}")
        try:
            if (result := run(one, given, composer, console)) is not None:
                done.append(result)
        except ElicitError as fault:
            if len(names) == 1:
                raise
            faults[one] = fault
            console.say(f"{one}: {type(fault).__name__}: {fault}")
    if given.flag("dry_run"):
        return OK
    # the pages of every result of this scale, also of those that earlier calls made
    folder = results_folder(given)
    results = {one: StudyResult.read(path) for one in wording if (path := folder / f"{one}.json").exists()}
    out = Path(given["out"] or folder)
    console.say(f"\npages: {write_pages(wording, results, given['scale'], out)}")
    for one, reason in faults.items():
        console.say(f"failed: {one} ({reason})")
    console.result({"studies": [asdict(result) for result in done], "failed": sorted(faults), "pages": str(out)})
    return PARTLY_FAILED if faults else OK


def run(name: str, given: Given, composer: Composer, console: Console) -> StudyResult | None:
    """One study, from its preset to its result file; None if `dry_run=true` only printed its plan."""
    from elicit.experiment.forecast.forecast import describe
    from elicit.experiment.run import execute

    # 1) plan, and look whether it was done before
    comparison = plan_of(name, given, composer)
    of_study = study_of(comparison)
    check_names(of_study, comparison)
    console.say(describe(comparison))
    if given.flag("dry_run"):
        return None
    packet = given.path("root") / "studies" / given["scale"] / f"{name}-packet"
    mark, path = fingerprint(of_study, comparison, packet), results_folder(given) / f"{name}.json"
    if path.exists() and (before := StudyResult.read(path)).fingerprint == mark:
        console.say(f"{name}: done before with these settings and this rule, {before.verdict} ({path})")
        return before
    # 2) the comparison, and what its lenses need from the models
    started = time.monotonic()
    if execute([comparison], console, ["experiment", f"{PREFIX}{name}"]):
        raise MethodError(f"a job of {comparison.group} failed; see error.json in its run folder, then run it again")
    saved = SavedComparison.find(comparison.group, given.path("root"))
    readings = look(saved, of_study.read_by, console)
    # 3) the endpoints, and the rule
    compared = read_comparison(saved.folder / "comparison.json")
    if pairs := [one.key.split(" - ") for one in of_study.endpoints.values() if one.source == "rated"]:
        write_packet(to_rate(view_of(saved, []), pairs), packet)
        console.say(f"rating packet: {packet / PAGE}; run the study again when ratings.csv is filled in")
    values = {key: list(measured(one, compared, readings, packet)) for key, one in of_study.endpoints.items()}
    intervals = {key: [row.value for row in rows] for key, rows in values.items()}
    tested = [
        AppliedCondition(one.endpoint, one.above, one.below, one.state(intervals[one.endpoint]), needed)
        for needed, conditions in ((True, of_study.preconditions), (False, of_study.rule))
        for one in conditions
    ]
    result = StudyResult(
        study=name,
        scale=given["scale"],
        verdict=decide(*([one.state for one in tested if one.precondition is needed] for needed in (True, False))),
        fingerprint=mark,
        values=values,
        tested=tested,
        group=comparison.group,
        base=str(compared.checkpoint.get("name") or comparison.settings.model.path),
        task=compared.task,
        n_items=compared.setup.n_items,
        n=compared.setup.n,
        seeds=sorted({job.settings.seed for job in comparison.jobs}),
        created=time.time(),
        seconds=round(time.monotonic() - started, 1),
    )
    result.write(path)
    console.say(f"{name}: {result.verdict} ({path})")
    return result


def results_folder(given: Given) -> Path:
    return given.path("root") / "studies" / given["scale"]


def plan_of(name: str, given: Given, composer: Composer) -> ComparisonPlan:
    """The comparison of a study at a scale, with every training seed. Raises ConfigError if it is more than one."""
    if fixed := [word for word in given.overrides if word.partition("=")[0].lstrip("+") in ("seed", "group")]:
        raise ConfigError(
            f"{fixed[0]}: a study has its own seeds and group; write quick.seeds into its preset, or a copy"
        )
    preset = f"experiment={PREFIX}{name}"
    node = composer.node([preset]).get("experiment") or {}
    scale = (node.get("study") or {}).get(given["scale"]) or {}
    # JSON is how hydra's grammar quotes a list of overrides
    jobs = [f"experiment.jobs={json.dumps(scale['jobs'])}"] if scale.get("jobs") else []
    words = [preset, *jobs, *scale.get("overrides", ()), *given.overrides, f"root={given['root']}"]
    words.append(f"group=study-{name}-{given['scale']}")
    comparisons = plan([[*words, f"seed={seed}"] for seed in scale.get("seeds", (1, 2))], composer)
    if len(comparisons) != 1:
        raise ConfigError(
            f"study {name}: its jobs make {len(comparisons)} comparisons, since they differ in model, task or eval; "
            "a study is one comparison, so make a study of each"
        )
    return comparisons[0]


def wording_of(name: str) -> Study:
    """The study as its preset states it, without a plan. Raises ConfigError if it states none."""
    content = read_yaml(choices("experiment")[f"{PREFIX}{name}"])
    return _stated(build((content.get("experiment") or {}).get("study"), f"study {name}"), f"study {name}")


def study_of(comparison: ComparisonPlan) -> Study:
    """The study of a planned preset. Raises ConfigError if the preset has none."""
    experiment = comparison.settings.experiment
    return _stated(experiment.study if experiment is not None else None, comparison.group)


def _stated(study: object, place: str) -> Study:
    if not isinstance(study, Study):
        raise ConfigError(f"{place}: its preset has no `study:` of class elicit.studies.study.Study")
    return study


def check_names(of_study: Study, comparison: ComparisonPlan) -> None:
    """Raises ConfigError, before anything runs, for an endpoint of a policy or a lens that there is not."""
    policies, faults = ["base", *dict.fromkeys(job.name for job in comparison.jobs)], []
    for endpoint in of_study.endpoints.values():
        named = endpoint.key.split(" - ") if endpoint.source in PAIRED else endpoint.policies
        faults += [f"{endpoint.title}: {name}: {near(name, policies)}" for name in named if name not in policies]
    faults += [f"lens {name}: {near(name, LENSES)}" for name in of_study.read_by if name not in LENSES]
    if faults:
        raise ConfigError(f"study of {comparison.group}: " + "; ".join(faults))


def fingerprint(of_study: Study, comparison: ComparisonPlan, packet: Path | None = None) -> str:
    """Hash of what a result depends on. The wording of a study, and where it is written, are no part of it.

    `packet`: its ratings are, if there are any.
    """
    elsewhere = ("experiment", "root", "group", "output", "tracker", "dry_run", "parallel", "template")
    jobs = [{k: v for k, v in job.settings.node.items() if k not in elsewhere} for job in comparison.jobs]
    fixed = frozen(of_study)
    rules = [fixed["preconditions"], fixed["rule"]]
    parts = [VERSION, jobs, fixed["endpoints"], rules, of_study.read_by]
    if packet is not None and (packet / KEY).exists() and (given := ratings(packet)):
        parts.append(sorted(given.items()))
    return content_hash(parts)


def look(saved: SavedComparison, names: Sequence[str], console: Console) -> dict[str, Reading]:
    """Readings of these lenses, with their passes over the models; they are kept next to the comparison."""
    from elicit.commands.lens import keep, read
    from elicit.commands.lens_run import Runner

    if not names:
        return {}
    Runner(saved.settings, saved.entries, saved.items, console, None).run(names)
    readings = read(view_of(saved, names), names, console)
    keep(saved, readings)
    return {reading.lens: reading for reading in readings}


def to_rate(view: View, pairs: Sequence[Sequence[str]]) -> list[Trace]:
    """The first sample of some items for each policy of the pairs, of its first training seed."""
    out = []
    for policy in dict.fromkeys(policy for pair in pairs for policy in pair):
        sides = [side for side in view.sides if side.name == policy or side.name.startswith(f"{policy}, seed ")]
        for item, texts in zip(view.items[:RATED_ITEMS], sides[0].texts_N_J if sides else (), strict=False):
            if texts[0].strip():
                out.append(Trace(policy, item.id, item.question, texts[0]))
    return out


def rated(packet: Path | None, a: str, b: str) -> Estimate:
    """Mean rating of a less that of b over the items with ratings of both."""
    by_item = differences(packet, a, b) if packet is not None and (packet / KEY).exists() else {}
    if len(by_item) < LEAST_RATED:
        return Estimate(
            refused=f"{len(by_item)} items are rated for both, {LEAST_RATED} are needed: ask people to rate"
        )
    return Bootstrap(Resamples(list(by_item), DRAWS, 0)).mean(np.array(list(by_item.values())), "no rating")


def measured(
    endpoint: Endpoint, compared: Comparison, readings: Mapping[str, Reading], packet: Path | None = None
) -> Iterator[Measured]:
    """The values of an endpoint; a policy without one is a refusal, never left out."""
    if endpoint.source == "pair":
        yield Measured(endpoint.key, pair_of(compared, *endpoint.key.split(" - ")))
    if endpoint.source == "rated":
        yield Measured(endpoint.key, rated(packet, *endpoint.key.split(" - ")))
    for policy in endpoint.policies:
        if endpoint.source == "line":
            line = next((one for one in compared.lines if one.name == policy and not one.at_own_prompt), None)
            value = line.get(endpoint.key) if line is not None else None
            name = f"{policy}, {line.seeds} seeds" if line is not None and line.seeds > 1 else policy
            yield Measured(name, value or Estimate(refused=f"no {endpoint.key} of {policy} in the comparison"))
        if endpoint.source == "lens":
            yield from _in_reading(endpoint, policy, readings[str(endpoint.lens)])


def _in_reading(endpoint: Endpoint, policy: str, reading: Reading) -> Iterator[Measured]:
    """A column of a lens: each training seed of a policy is a side of its own."""
    sides = [name for name in reading.columns if name == policy or name.startswith(f"{policy}, seed ")]
    if not sides:
        yield Measured(policy, Estimate(refused=reading.refused or f"{reading.lens} has no line of {policy}"))
    for side in sides:
        none = Estimate(refused=f"{reading.lens} has no column {endpoint.key!r}")
        yield Measured(side, reading.columns[side].get(endpoint.key, none))


def pair_of(compared: Comparison, a: str, b: str) -> Estimate:
    """Accuracy of a minus that of b; a comparison holds every two methods once, in the order of its jobs."""
    for pair in compared.pairs:
        value = pair.difference
        if pair.names == (a, b):
            return value
        if pair.names == (b, a):
            point, lo, hi = (None if x is None else -x for x in (value.point, value.hi, value.lo))
            return replace(value, point=point, lo=lo, hi=hi)
    return Estimate(refused=f"the comparison has no pair {a}, {b}: pairs are of methods at the same kind of prompt")
