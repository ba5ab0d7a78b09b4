"""`elicit export GROUP format=lm-eval`: a comparison in the files of another tool. Samples nothing; no torch."""

from __future__ import annotations

from pathlib import Path

from elicit.commands.arguments import split
from elicit.commands.measured import find_comparison, settings_of
from elicit.console import Console
from elicit.errors import ConfigError, DataError, near
from elicit.files import read_json

FORMATS = ("lm-eval",)


def export(arguments: list[str]) -> int:
    """Write the comparison's policies as result files of lm-eval, below GROUP/export/lm-eval or `out=FOLDER`."""
    names, given = split(arguments, ("format", "out", "root", "output"))
    chosen = given.get("format", "lm-eval")
    if chosen not in FORMATS:
        raise ConfigError(f"format={chosen}: {near(chosen, FORMATS)}")
    folder = find_comparison(names, given, "export")
    from elicit.evaluate.comparison.lm_eval import export as write
    from elicit.evaluate.entry import Entry
    from elicit.results import read_comparison

    saved, comparison = read_json(folder / "inputs.json"), read_comparison(folder / "comparison.json")
    task = settings_of(folder).task
    known = {item.id: item for item in task.items("test")}
    if missing := [name for name in comparison.solves.items if name not in known]:
        raise DataError(f"{folder}: {len(missing)} of its items are no longer in {task.name}: {missing[0]}, ...")
    items = [known[name] for name in comparison.solves.items]
    entries = [Entry.of(plain) for plain in saved["entries"]]
    out = Path(given.get("out") or folder / "export" / chosen)
    written = write(comparison, entries, items, task, out)
    console = Console(given.get("output", "text"))
    console.say(f"{len(written)} policies in the files of {chosen}: {out}")
    console.result({"format": chosen, "files": [str(path) for path in written]})
    return 0
