"""The words that work on stored samples: `grade`, `score`, `compare`, `report`. None of them samples; no torch."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from elicit.commands.arguments import split
from elicit.config import Settings
from elicit.config.compose import build_settings, compose
from elicit.console import Console
from elicit.errors import ConfigError, DataError, near
from elicit.experiment.run_folder import RunFolder, all_runs, find_run
from elicit.files import read_json


def grade(arguments: list[str]) -> int:
    """`elicit grade FILE [task=gsm8k]`: strict verdicts of a JSONL of {gold, output, expected}."""
    names, given = split(arguments, ("task", "output", "workers"))
    if len(names) != 1:
        raise ConfigError("elicit grade FILE: name one JSONL file of {gold, output, expected}")
    overrides = [f"{key}={value}" for key, value in given.items() if key.split(".")[0] == "task"]
    if not any(word.startswith("task=") for word in overrides):
        overrides.insert(0, "task=gsm8k")
    task = build_settings(compose(overrides)).task
    from elicit.evaluate.stages.grade import grade_file

    found = grade_file(Path(names[0]), task, int(given.get("workers", 2)))
    console = Console(given.get("output", "text"))
    console.say(", ".join(f"{key} {value}" for key, value in found.items()))
    console.result(dict(found))
    return 0


def score(arguments: list[str]) -> int:
    """`elicit score GROUP|RUN`: grade every policy of the comparison again, then compare and report again."""
    folder, given = _folder(arguments, "score")
    return _again(folder, given, regrade=True)


def compare(arguments: list[str]) -> int:
    """`elicit compare GROUP` again, or `elicit compare RUN RUN ... [group=NAME]` as a new comparison."""
    names, given = split(arguments, ("root", "group", "output", "template"))
    root = Path(given.get("root", "runs"))
    if len(names) == 1:
        folder, given = _folder(arguments, "compare")
        return _again(folder, given, regrade=False)
    if not names:
        raise ConfigError("elicit compare GROUP | RUN RUN ...: name a comparison or run folders")
    runs = [find_run(name, root) for name in names]
    return _compare_runs(runs, root, given)


def report(arguments: list[str]) -> int:
    """`elicit report GROUP [template=NAME|PATH]`, or `elicit report GROUP GROUP ... template=bases [out=FOLDER]`."""
    names, given = split(arguments, ("root", "output", "template", "out"))
    if not names:
        raise ConfigError("elicit report GROUP: name one comparison (or a run of it), or several with template=bases")
    from elicit.report import report as render

    folders = [find_comparison([name], given, "report") for name in names]
    template = given.get("template", "comparison" if len(folders) == 1 else "bases")
    out = Path(given.get("out") or folders[0] / ("report" if template == "comparison" else f"report-{_stem(template)}"))
    page = render([folder / "comparison.json" for folder in folders], out, template)
    console = Console(given.get("output", "text"))
    console.say(f"report: {page}")
    console.result({"report": str(page)})
    return 0


def _stem(template: str) -> str:
    return Path(template).name.split(".")[0]


def _folder(arguments: list[str], word: str) -> tuple[Path, dict[str, str]]:
    """The comparison folder of a group's name, of its path, or of a run."""
    names, given = split(arguments, ("root", "group", "output", "template"))
    return find_comparison(names, given, word), given


def find_comparison(names: list[str], given: dict[str, str], word: str) -> Path:
    """The comparison folder that one name means: a group, a path, or a run of it."""
    if len(names) != 1:
        raise ConfigError(f"elicit {word} GROUP: name one comparison (or a run of it)")
    root = Path(given.get("root", "runs"))
    groups = root / "comparisons"
    for folder in (groups / names[0], Path(names[0])):
        if (folder / "inputs.json").exists() or (folder / "comparison.json").exists():
            return folder
    runs = [run.path.name for run in all_runs(root)]
    known = [path.parent.name for path in groups.glob("*/inputs.json")]
    if names[0] not in runs and not (Path(names[0]) / "manifest.json").exists():
        raise ConfigError(f"{names[0]}: no comparison or run under {root}; {near(names[0], [*known, *runs])}")
    run = find_run(names[0], root)
    return run.path.parent / "comparisons" / run.manifest["group"]


def _again(folder: Path, given: dict[str, str], regrade: bool) -> int:
    from elicit.evaluate.entry import Entry

    saved = read_json(folder / "inputs.json")
    entries = [Entry.of(plain) for plain in saved["entries"]]
    return _finish(folder, entries, saved, settings_of(folder), given, regrade)


def _compare_runs(runs: list[RunFolder], root: Path, given: dict[str, str]) -> int:
    """A new comparison of chosen runs, with the base, prompts and ceilings of the first one's group."""
    from elicit.evaluate.entry import Entry

    unfinished = [run.path.name for run in runs if "entries" not in run.manifest]
    if unfinished:
        raise DataError(f"{', '.join(unfinished)}: not measured yet; elicit resume {unfinished[0]}")
    saved = read_json(runs[0].path.parent / "comparisons" / runs[0].manifest["group"] / "inputs.json")
    rungs = [Entry.of(plain) for plain in saved["entries"] if plain["role"] in ("base", "prompt", "ceiling")]
    entries = [*rungs, *(Entry.of(plain) for run in runs for plain in run.manifest["entries"])]
    group = given.get("group") or "+".join(dict.fromkeys(run.manifest["name"].replace("/", "-") for run in runs))
    saved["config"]["group"] = group
    saved["commands"] = [f"elicit compare {' '.join(run.path.name for run in runs)} group={group}"]
    saved["items"] = shared_items(runs, saved["items"])
    return _finish(root / "comparisons" / group, entries, saved, build_settings(runs[0].config()), given, regrade=False)


def shared_items(runs: list[RunFolder], items: list[str]) -> list[str]:
    """The items that all runs were measured on. An item that one run never saw would count as wrong for it.

    Raises DataError, naming both, where two runs have none in common.
    """
    shared = items
    for run in runs:
        own = set(run.manifest["items"])
        left = [item for item in shared if item in own]
        if not left:
            raise DataError(
                f"{runs[0].path} (task {_task(runs[0])}) and {run.path} (task {_task(run)}) were measured on different "
                "items: there is nothing to pair"
            )
        shared = left
    return shared


def _task(run: RunFolder) -> str:
    return build_settings(run.config()).task.name


def _finish(
    folder: Path, entries: list[Any], saved: dict[str, Any], chosen: Settings, given: dict[str, str], regrade: bool
) -> int:
    """Grade (again) what is there, compare, report, track."""
    from elicit.evaluate.comparison.compare import CompareConfig
    from elicit.evaluate.comparison.compare import compare as compute
    from elicit.experiment.run import show
    from elicit.report.pages.scorecard import pair_lines
    from elicit.results import content_of
    from elicit.track.scores import track_comparison

    console = Console(given.get("output", "text"))
    items = _items(chosen, saved["items"])
    if regrade:
        _grade_again(entries, items, chosen, console)
    config = CompareConfig(**saved["config"])
    ordered = [items[name] for name in saved["items"]]
    result = compute(
        entries, ordered, folder, chosen.task, config, saved["checkpoint"], saved["commands"], saved["provenance"]
    )
    page = show(result, folder, console, given.get("template", chosen.template), {})
    for line in pair_lines(result):
        console.say(line)
    track_comparison(result, folder, chosen.tracker, console.say)
    console.result({"comparison": content_of(result), "report": str(page)})
    return 0


def _items(chosen: Settings, wanted: list[str]) -> dict[str, Any]:
    """Test and dev items by id; all of `wanted` are among them."""
    items = {item.id: item for item in (*chosen.task.items("test"), *chosen.task.items("dev"))}
    if missing := sorted(set(wanted) - set(items)):
        raise DataError(f"{len(missing)} items of the comparison are no longer in {chosen.task.name}: {missing[0]}")
    return items


def _grade_again(entries: list[Any], items: dict[str, Any], chosen: Settings, console: Console) -> None:
    from elicit.evaluate.stages.grade import grade as grade_samples

    for entry in entries:
        shutil.rmtree(entry.grades, ignore_errors=True)
        console.say(f"grading {entry.name} ({entry.prompt})")
        grade_samples(entry.samples, chosen.task, items, entry.grades, chosen.eval.workers)


def settings_of(folder: Path) -> Settings:
    """The settings of any run of the comparison: they share task and evaluation."""
    root = folder.resolve().parent.parent
    entries = read_json(folder / "inputs.json")["entries"]
    named = [Path(entry["run"]) for entry in entries if entry.get("run")]
    for path in (*named, *(root / path.name for path in named)):
        if (path / "config.yaml").exists():
            return build_settings(RunFolder(path).config())
    for run in all_runs(root):
        if run.manifest.get("group") == folder.name:
            return build_settings(run.config())
    raise DataError(f"{folder}: no run folder of this comparison under {root}; keep runs and comparisons together")
