"""The words that work on stored samples: `grade`, `score`, `compare`, `report`. None of them samples; no torch."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from elicit.commands.arguments import split
from elicit.config import Settings, compose, settings
from elicit.console import Console
from elicit.errors import ConfigError, DataError, near
from elicit.files import read_json
from elicit.runs import RunFolder, all_runs, find_run


def grade(arguments: list[str]) -> int:
    """`elicit grade FILE [task=gsm8k]`: strict verdicts of a JSONL of {gold, output, expected}."""
    names, given = split(arguments, ("task", "output", "workers"))
    if len(names) != 1:
        raise ConfigError("elicit grade FILE: name one JSONL file of {gold, output, expected}")
    overrides = [f"{key}={value}" for key, value in given.items() if key.split(".")[0] == "task"]
    if not any(word.startswith("task=") for word in overrides):
        overrides.insert(0, "task=gsm8k")
    task = settings(compose(overrides)).task
    from elicit.evaluate.grade import grade_file

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
    """`elicit report GROUP [template=NAME|PATH]`."""
    folder, given = _folder(arguments, "report")
    from elicit.report import report as render

    page = render(folder / "comparison.json", folder / "report", given.get("template", "comparison"))
    console = Console(given.get("output", "text"))
    console.say(f"report: {page}")
    console.result({"report": str(page)})
    return 0


def _folder(arguments: list[str], word: str) -> tuple[Path, dict[str, str]]:
    """The comparison folder of a group's name, of its path, or of a run."""
    names, given = split(arguments, ("root", "group", "output", "template"))
    if len(names) != 1:
        raise ConfigError(f"elicit {word} GROUP: name one comparison (or a run of it)")
    root = Path(given.get("root", "runs"))
    groups = root / "comparisons"
    for folder in (groups / names[0], Path(names[0])):
        if (folder / "inputs.json").exists() or (folder / "comparison.json").exists():
            return folder, given
    runs = [run.path.name for run in all_runs(root)]
    known = [path.parent.name for path in groups.glob("*/inputs.json")]
    if names[0] not in runs and not (Path(names[0]) / "manifest.json").exists():
        raise ConfigError(f"{names[0]}: no comparison or run under {root}; {near(names[0], [*known, *runs])}")
    run = find_run(names[0], root)
    return run.path.parent / "comparisons" / run.manifest["group"], given


def _again(folder: Path, given: dict[str, str], regrade: bool) -> int:
    from elicit.evaluate.entry import Entry

    saved = read_json(folder / "inputs.json")
    entries = [Entry.of(plain) for plain in saved["entries"]]
    chosen = _settings_of_group(folder)
    return _finish(folder, entries, saved, chosen, given, regrade)


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
    return _finish(root / "comparisons" / group, entries, saved, settings(runs[0].config()), given, regrade=False)


def _finish(
    folder: Path, entries: list[Any], saved: dict[str, Any], chosen: Settings, given: dict[str, str], regrade: bool
) -> int:
    """Grade (again) what is there, compare, report."""
    from elicit.evaluate.compare import CompareConfig
    from elicit.evaluate.compare import compare as compute
    from elicit.evaluate.grade import grade as grade_samples
    from elicit.run import show

    console = Console(given.get("output", "text"))
    wanted = set(saved["items"])
    items = {item.id: item for item in (*chosen.task.items("test"), *chosen.task.items("dev"))}
    missing = wanted - set(items)
    if missing:
        raise DataError(
            f"{len(missing)} items of the comparison are no longer in {chosen.task.name}: {sorted(missing)[0]}"
        )
    if regrade:
        for entry in entries:
            shutil.rmtree(entry.grades, ignore_errors=True)
            console.say(f"grading {entry.name} ({entry.prompt})")
            grade_samples(entry.samples, chosen.task, items, entry.grades, chosen.eval.workers)
    config = CompareConfig(**saved["config"])
    ordered = [items[name] for name in saved["items"]]
    result = compute(
        entries, ordered, folder, chosen.task, config, saved["checkpoint"], saved["commands"], saved["provenance"]
    )
    page = show(result, folder, console, given.get("template", chosen.template), {})
    console.result({"comparison": result, "report": str(page)})
    return 0


def _settings_of_group(folder: Path) -> Settings:
    """The settings of any run of the comparison: they share task and evaluation."""
    root = folder.resolve().parent.parent
    for run in all_runs(root):
        if run.manifest.get("group") == folder.name:
            return settings(run.config())
    raise DataError(f"{folder}: no run folder of this comparison under {root}; keep runs and comparisons together")
