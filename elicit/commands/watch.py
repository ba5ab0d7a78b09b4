"""`elicit watch GROUP`: the scorecard of a comparison while its command goes on, with the policies that are measured.

On a terminal the screen is drawn again; elsewhere each refresh is a block of plain lines. The table is computed again
only if a policy has been measured since; the line of states is printed at every refresh. Ends when no process works on
the comparison any more. Reads files only, so it may run on another terminal, or be stopped at any time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console as RichConsole

from elicit.commands.arguments import COMMON, Command, Given
from elicit.commands.runs import state_of
from elicit.console import Console
from elicit.errors import ConfigError, ElicitError, near
from elicit.evaluate.entry import Entry
from elicit.experiment.run_folder import DONE, RunFolder, all_runs
from elicit.experiment.so_far import FILE, compared, entries_so_far, latest_runs, worked_on
from elicit.report import scorecard
from elicit.results import Comparison, content_of, read_comparison

WATCH = Command("watch GROUP: name the comparison of a running command", {**COMMON, "every": "30"})
SHORTEST = 1.0
"""seconds between two refreshes, at least"""


def watch(words: list[str]) -> int:
    """Refresh until the command has ended; then show its result, or how to continue it."""
    given = WATCH.read(words)
    folder, every, console = comparison_folder(given), max(given.number("every"), SHORTEST), given.console()
    shown: list[Entry] | None = None
    result: Comparison | None = None
    while True:
        working = worked_on(folder)  # before the files are read: what was written last is shown, too
        runs = latest_runs(folder)
        entries = entries_so_far(folder, runs)
        try:
            if entries and entries != shown:
                result, shown = compared(folder, runs, entries), entries
            fault = ""
        except ElicitError as caught:  # a folder that is written at this moment; the next refresh reads it again
            fault = f"; the table comes with the next refresh ({caught})"
        if not working:
            return _ended(folder, runs, result, console)
        screen = RichConsole(file=console.stream, width=None if console.stream.isatty() else 150, highlight=False)
        screen.clear()  # does nothing if it is no terminal
        if result is not None:
            scorecard(result, console=screen)
        console.say(f"{time.strftime('%H:%M:%S')} {folder.name}: {states(runs)}{fault}")
        time.sleep(every)


def comparison_folder(given: Given) -> Path:
    """Raises ConfigError with near matches for a group that has neither runs nor a folder."""
    root, group = given.path("root"), given.names[0]
    known = {str(run.manifest.get("group")) for run in all_runs(root)}
    known |= {path.name for path in (root / "comparisons").glob("*") if path.is_dir()}
    if group not in known:
        raise ConfigError(f"{group}: no comparison under {root}; {near(group, sorted(known))}")
    return root / "comparisons" / group


def states(runs: Sequence[RunFolder]) -> str:
    """How many runs are in each state, and which ones are worked on."""
    by_state = [(run, state_of(run).partition(",")[0]) for run in runs]
    counts = Counter(state for _, state in by_state)
    text = f"{counts[DONE]} of {len(runs)} runs done"
    text += "".join(f", {count} {state}" for state, count in counts.items() if state != DONE)
    now = [str(run.manifest["name"]) for run, state in by_state if state == "running"]
    return f"{text}; now {', '.join(now)}" if now else text


def _ended(folder: Path, runs: Sequence[RunFolder], result: Comparison | None, console: Console) -> int:
    """The result of a command that has ended, or what it had when it stopped."""
    whole = not (folder / FILE).exists() and (folder / "comparison.json").exists()
    result = read_comparison(folder / "comparison.json") if whole else result
    if result is not None:
        scorecard(result, console=RichConsole(file=console.stream, width=150, highlight=False))
    console.say(f"{folder.name}: {states(runs)}; no process works on it")
    if not whole:
        console.say(f"it ended before the comparison: elicit runs {folder.name} names what continues it")
    console.result({"comparison": None if result is None else content_of(result), "ended": whole})
    return 0
