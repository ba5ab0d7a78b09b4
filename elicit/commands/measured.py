"""The commands that work on stored samples: `grade`, `score`, `compare`, `report`. None of them samples; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from elicit.commands.arguments import COMMON, MANY, Command, Given
from elicit.commands.saved import SavedComparison, gradable, items_of, shared_items, with_placebos
from elicit.config import Settings
from elicit.config.compose import Composer
from elicit.console import Console
from elicit.errors import DataError
from elicit.evaluate.entry import Entry, distinct
from elicit.experiment.run_folder import RunFolder, find_run
from elicit.files import clear_stage

if TYPE_CHECKING:
    from elicit.evaluate.comparison.inputs import Inputs

GRADE = Command(
    "grade FILE: name one JSONL file of {gold, output, expected}",
    {"output": "text", "workers": "2"},
    overrides=("task",),
)
SCORE = Command("score GROUP: name one comparison (or a run of it)", {**COMMON, "group": "", "template": ""})
COMPARE = Command(
    "compare GROUP | RUN RUN ...: name a comparison or run folders",
    {**COMMON, "group": "", "template": ""},
    names=MANY,
)
REPORT = Command(
    "report GROUP: name one comparison (or a run of it), or several with template=bases or tasks",
    {**COMMON, "template": "", "out": ""},
    names=MANY,
)


def grade(words: list[str]) -> int:
    """`elicit grade FILE [task=gsm8k]`: strict verdicts of a JSONL of {gold, output, expected}."""
    from elicit.evaluate.stages.grade import grade_file

    given = GRADE.read(words)
    chosen = any(word.startswith("task=") for word in given.overrides)
    task = Composer().settings([*([] if chosen else ["task=gsm8k"]), *given.overrides]).task
    console = given.console()
    counts = grade_file(Path(given.names[0]), task, given.integer("workers"), say=console.say)
    console.say(", ".join(f"{key} {value}" for key, value in counts.items()))
    console.result(dict(counts))
    return 0


def score(words: list[str]) -> int:
    """`elicit score GROUP|RUN`: grade every policy of the comparison again, then compare and report again."""
    given = SCORE.read(words)
    saved = SavedComparison.find(given.names[0], given.path("root"))
    items, settings, console = gradable(saved.settings), saved.settings, given.console()
    from elicit.evaluate.stages.grade import grade as grade_samples
    from elicit.evaluate.store import SampleFolder

    items_of(settings, saved.inputs.items)  # refuses a changed task before any grade is removed
    folders: dict[Path, Path] = {}  # the base at T=1 is its ceiling C1, too
    for entry in saved.entries:
        folders.setdefault(Path(entry.samples), entry.grades)
        if entry.at_one is not None:
            folders.setdefault(entry.at_one, SampleFolder(entry.at_one).sibling("grades"))
    with console.progress("grading") as progress:
        for done, (samples, grades) in enumerate(folders.items(), 1):
            clear_stage(grades)
            grade_samples(samples, settings.task, items, grades, settings.eval.workers)
            progress(done, len(folders))
    return finish(saved.folder, saved.entries, saved.inputs, settings, given, console)


def compare(words: list[str]) -> int:
    """`elicit compare GROUP` again, or `elicit compare RUN RUN ... [group=NAME]` as a new comparison."""
    given = COMPARE.read(words)
    root = given.path("root")
    if len(given.names) > 1:
        return _compare_runs([find_run(name, root) for name in given.names], given)
    saved = SavedComparison.find(given.names[0], root)
    return finish(saved.folder, saved.entries, saved.inputs, saved.settings, given, given.console())


def report(words: list[str]) -> int:
    """`elicit report GROUP [template=NAME|PATH]`, or of several groups with template=bases or tasks `[out=FOLDER]`."""
    from elicit.report import report as render

    given = REPORT.read(words)
    folders = [SavedComparison.find(name, given.path("root")).folder for name in given.names]
    template = given["template"] or ("comparison" if len(folders) == 1 else "bases")
    name = "report" if template == "comparison" else f"report-{Path(template).name.split('.')[0]}"
    out = Path(given["out"] or folders[0] / name)
    page = render([folder / "comparison.json" for folder in folders], out, template)
    console = given.console()
    console.say(f"report: {page}")
    console.result({"report": str(page)})
    return 0


def _compare_runs(runs: list[RunFolder], given: Given) -> int:
    """A new comparison of these runs and their placebos, with the base, prompts and ceilings of the first's group."""
    unfinished = [run.path.name for run in runs if "entries" not in run.manifest]
    if unfinished:
        raise DataError(f"{', '.join(unfinished)}: not measured yet; elicit resume {unfinished[0]}")
    first, named = SavedComparison.of_run(runs[0]), runs
    runs = with_placebos(runs)
    rungs = [entry for entry in first.entries if entry.role in ("base", "prompt", "ceiling")]
    measured = [Entry.of(plain, run.path.resolve().parent) for run in runs for plain in run.manifest["entries"]]
    entries = [*rungs, *distinct(measured)]
    group: str = given["group"] or "+".join(dict.fromkeys(run.manifest["name"].replace("/", "-") for run in named))
    inputs = replace(
        first.inputs,
        config=replace(first.inputs.config, group=group),
        commands=[f"elicit compare {' '.join(run.path.name for run in named)} group={group}"],
        items=shared_items(runs, first.inputs.items),
    )
    folder = given.path("root") / "comparisons" / group
    return finish(folder, entries, inputs, runs[0].settings(), given, given.console())


def finish(
    folder: Path,
    entries: Sequence[Entry],
    inputs: Inputs,
    settings: Settings,
    given: Given,
    console: Console,
) -> int:
    """Compare what is graded, report it and track it."""
    from elicit.evaluate.comparison.compare import compare as compute
    from elicit.experiment.run import show
    from elicit.report.pages.scorecard import pair_lines
    from elicit.results import content_of
    from elicit.track.scores import track_comparison

    items, facts = items_of(settings, inputs.items), (inputs.checkpoint, inputs.commands, inputs.provenance)
    result = compute(entries, items, folder, settings.task, inputs.config, *facts)
    page = show(result, folder, console, given["template"] or settings.template, {})
    for line in pair_lines(result):
        console.say(line)
    track_comparison(result, folder, settings.tracker, console.say)
    console.result({"comparison": content_of(result), "report": str(page)})
    return 0
