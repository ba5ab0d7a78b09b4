"""`elicit traces GROUP [item=ID] [sample=J]`: base and methods on one item, with the grader's verdict and its reason.

Without an item: the items, those first on which the policies differ most. Reads stored samples and grades; no torch.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elicit.commands.arguments import COMMON, Command
from elicit.commands.saved import SavedComparison
from elicit.console import Console
from elicit.errors import ConfigError, near
from elicit.evaluate.entry import Entry
from elicit.files import read_table, shards
from elicit.records import FINISHED, Finish, Item
from elicit.results import Comparison, read_comparison
from elicit.tasks.task import Task

TRACES = Command(
    "traces GROUP [item=ID]: name one comparison",
    {**COMMON, "item": "", "sample": "0", "policy": "", "limit": "20", "width": "100"},
)
ROLES = ("base", "prompt", "method", "placebo", "rival")
ENDINGS = {Finish.LENGTH: "the token limit", Finish.CUT: "the strategy"}
SAMPLE = ("item", "j", "text", "finish")
GRADE = ("item", "j", "strict", "lenient", "answer", "violation", "violation_step", "ungraded")


def traces(words: list[str]) -> int:
    """Print one item, or the list of items."""
    given = TRACES.read(words)
    saved, console = SavedComparison.find(given.names[0], given.path("root")), given.console()
    if not given["item"]:
        return _items(read_comparison(saved.folder / "comparison.json"), saved, given.integer("limit"), console)
    item = chosen_item(saved.items, given["item"])
    entries = chosen_entries(saved.entries, given["policy"])
    shown = [(entry, *rows_of(entry, item.id, given.integer("sample"))) for entry in entries]
    task, width = saved.settings.task, given.integer("width")
    console.say(f"item {item.id}, gold {item.gold}, asked as")
    console.say(textwrap.indent(task.prompts[entries[0].prompt].render(item.question), "  | "))
    for entry, sample, grade, right, total in shown:
        console.say(f"\n{entry.name} ({entry.role}, prompt {entry.prompt}): {right} of {total} right")
        if sample is None:
            console.say(f"  no sample {given['sample']} of this item; it has {total}")
            continue
        console.say(textwrap.indent(_wrapped(marked(sample["text"], task), width - 4), "  | "))
        console.say(f"  {verdict(sample, grade, item)}")
    console.result({"item": item.id, "question": item.question, "gold": item.gold, "traces": [
        {"policy": entry.name, "role": entry.role, "prompt": entry.prompt, "right": right, "total": total,
         "sample": sample, "grade": grade, "verdict": verdict(sample, grade, item) if sample else None}
        for entry, sample, grade, right, total in shown
    ]})  # fmt: skip
    return 0


def chosen_item(items: Sequence[Item], name: str) -> Item:
    """By its id or the beginning of it. Raises ConfigError with near matches, or if several begin so."""
    matches = [item for item in items if item.id.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ConfigError(f"item={name}: {len(matches)} items begin so; give more of {matches[0].id}")
    raise ConfigError(f"item={name}: {near(name, [item.id for item in items])}; elicit traces GROUP lists them")


def chosen_entries(entries: Sequence[Entry], names: str) -> list[Entry]:
    """One entry per name and prompt, the first seed's; `names` (a,b): the base and these. Raises ConfigError."""
    first: dict[tuple[str, str], Entry] = {}
    for entry in entries:
        if entry.role in ROLES:
            first.setdefault((entry.name, entry.prompt), entry)
    wanted = [name for name in names.split(",") if name]
    known = list(dict.fromkeys(name for name, _ in first))
    if unknown := [name for name in wanted if name not in known]:
        raise ConfigError(f"policy={unknown[0]}: {near(unknown[0], known)}")
    return [
        entry
        for entry in first.values()
        if entry.role == "base" or (entry.name in wanted if wanted else entry.role == "method")
    ]


def rows_of(entry: Entry, item: str, j: int) -> tuple[dict[str, Any] | None, dict[str, Any] | None, int, int]:
    """(sample j of an item, its grade, right samples of the item, all its samples)."""
    samples = _rows(entry.samples, item, SAMPLE)
    grades = {row["j"]: row for row in _rows(entry.grades, item, GRADE)}
    wanted = next((row for row in samples if row["j"] == j), None)
    limit = entry.n or len(samples)
    of_entry = [row for number, row in grades.items() if number < limit]
    return wanted, grades.get(j), sum(row["strict"] is True for row in of_entry), min(limit, len(samples))


def _rows(folder: Path, item: str, columns: Sequence[str]) -> list[dict[str, Any]]:
    tables = [read_table(path, columns=list(columns), filters=[("item", "=", item)]) for path in shards(folder)]
    return [row for table in tables for row in table.to_pylist()]


def marked(text: str, task: Task) -> str:
    """The completion with its stated answer between >> and <<."""
    span = task.answer_span(text)
    return text if span is None else f"{text[: span[0]]}>>{text[span[0] : span[1]]}<<{text[span[1] :]}"


def verdict(sample: dict[str, Any], grade: dict[str, Any] | None, item: Item) -> str:
    """Right, wrong or ungraded, and why."""
    if grade is None:
        return "not graded yet: elicit score GROUP"
    if grade["ungraded"]:
        return f"ungraded: {grade['ungraded']}"
    if grade["strict"]:
        text = f"right: it declares {grade['answer']!r}"
    elif sample["finish"] not in FINISHED:
        text = f"wrong: ended by {ENDINGS.get(sample['finish'], sample['finish'])}, so nothing is declared"
    elif grade["answer"] is None:
        text = "wrong: no declared answer"
    else:
        text = f"wrong: it declares {grade['answer']!r}, gold is {item.gold!r}"
    if grade["lenient"] and not grade["strict"]:
        text += "; right if its last number or word is read (lenient)"
    if grade["violation"]:
        step = f" at step {grade['violation_step']}" if grade["violation_step"] is not None else ""
        text += f"; first violation of the trace: {grade['violation']}{step}"
    return text


def _wrapped(text: str, width: int) -> str:
    lines = text.splitlines() or [""]
    return "\n".join(part for line in lines for part in textwrap.wrap(line, max(20, width)) or [""])


def _items(comparison: Comparison, saved: SavedComparison, limit: int, console: Console) -> int:
    """The items with the share of right samples of the base and of each method, largest differences first."""
    lines = {line.id: line for line in comparison.lines if line.role in ("base", "method") and not line.at_own_prompt}
    rates = {policy: rate for policy, rate in comparison.solves.by_policy.items() if policy in lines}
    names = comparison.solves.items

    def difference(i: int) -> float:
        shares = [rate[i] for rate in rates.values()]
        return max(shares) - min(shares)

    order = sorted(range(len(names)), key=lambda i: (-difference(i), names[i]))
    questions = {item.id: item.question for item in saved.items}
    console.say(f"percent of right samples: {', '.join(lines[policy].name for policy in rates)}")
    listed = []
    for i in order[:limit]:
        shares = " ".join(f"{100 * rate[i]:3.0f}" for rate in rates.values())
        console.say(f"{names[i]}  {shares}  {textwrap.shorten(questions.get(names[i], ''), 48)}")
        listed.append({"item": names[i], "right": {lines[policy].name: rate[i] for policy, rate in rates.items()}})
    place = "" if saved.root == Path("runs") else f" root={saved.root}"
    console.say(f"one item: elicit traces {saved.folder.name} item={names[order[0]]}{place}")
    console.result({"items": listed})
    return 0
