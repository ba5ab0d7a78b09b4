"""A comparison in wandb: one run of job_type `score` per policy, and one of job_type `compare` with tables and files.

    tracked/compare/          scorecard, items and traces as tables; comparison.json, per_item.parquet, report.html
    tracked/<policy>/         summary: every key of every policy; coverage and votes as curves; items as a table

Summary keys are the same for every policy, so that a runs table of the group has no empty cell:

    acc/strict  ef/B1/C4/point  ctrl/gain  cost/tokens ...   the policy at the prompt of its own line (key `prompt`)
    TASK/PROMPT/acc/strict ...                               the same at each prompt of the comparison

A number that was refused or not measured is "NaN", and the key `.../why` holds the reason ("measured" if there is a
number). The word and not a float nan: wandb drops nan and null from a summary, and writes nan as this word in its own
JSON. Knows the typed comparison; computes no metric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from elicit.files import content_hash, read_rows, write_text
from elicit.results import Column, Comparison, Curve, Estimate, Line, read_comparison
from elicit.track.sink import Run, Tracker

Values = dict[str, Any]
Source = Comparison | Mapping[str, Any] | Path | str
"""a comparison, the content of comparison.json (schema 1 or 2), or its path"""
MISSING = "NaN"
NOT_MEASURED = "not measured"
RUNGS, CEILINGS = ("B0", "B1"), ("C1", "C4")
"""in every summary; C2 and C3 if a comparison has them"""
GROUPS = ("support", "valid", "likelihood", "kl", "split", "edit")
"""logged as points without intervals, with one reason per group"""
COSTS = ("tokens", "aux_tokens", "flops", "fit_seconds", "seconds", "seconds_amortised", "peak_bytes")
NAMED = ("acc", "cov", "maj", "gain", "ef", "ctrl", "matched", "matched_support", *GROUPS, "cost", "p")
"""first parts of the keys that `flat` logs by name"""
ITEM_COLUMNS = ("item", "cluster", "seed", "right", "n", "tokens")
LATER = ("cov_net", "pass_hat", "support/excess")
"""keys that the report shows and wandb does not: the summary keeps the keys of the first version"""


@dataclass(frozen=True)
class Score:
    """One policy's run: its name and its summary."""

    name: str
    folder: str
    """name of its folder: one per policy, so that the same policy continues the same wandb run"""
    line: Line
    values: Values


def track_comparison(source: Source, folder: Path, tracker: Tracker, say: Callable[[str], None]) -> None:
    """Write all runs of the comparison in `folder`. A sink: nothing is read back, and no fault of wandb is raised."""
    comparison = _read(source)
    group = comparison.group
    setup = asdict(comparison.setup) | {"prompts": list(comparison.setup.prompts)}
    config = {"task": comparison.task, "settings": setup, "checkpoint": comparison.checkpoint.get("id")}
    # 1) one run per policy; a score that was logged already adds no wandb row
    items_path = folder / "per_item.parquet"
    items = read_rows([items_path]) if items_path.exists() else []
    for score in score_runs(comparison):
        own, line = folder / "tracked" / score.folder, score.line
        logged = own / "wandb" / "told.txt"
        fingerprint = content_hash({key: str(value) for key, value in score.values.items()})
        if logged.exists() and logged.read_text(encoding="utf-8").strip() == fingerprint:
            continue
        about = config | {"policy": line.id, "role": line.role, "prompt": line.prompt}
        run = tracker.start(own, "score", score.name, group, about, say)
        _log_curves(run, line)
        ids = {line.id, *(member.id for member in line.members)}
        if own_items := [row for row in items if row["policy"] in ids and row["role"] == line.role]:
            run.table("items", ITEM_COLUMNS, [[row.get(column) for column in ITEM_COLUMNS] for row in own_items])
        run.summary(score.values)
        run.finish()
        if (own / "wandb").is_dir():
            write_text(logged, fingerprint + "\n")
    # 2) the run of the comparison itself
    run = tracker.start(folder / "tracked" / "compare", "compare", f"compare-{group}", group, config, say)
    for name, columns, rows in tables(comparison):
        run.table(name, columns, rows)
    for path in ("comparison.json", "per_item.parquet", "report/report.html"):
        if (folder / path).exists():
            run.artifact(f"comparison-{Path(path).stem}", "comparison", folder / path)
    run.finish()


def _read(source: Source) -> Comparison:
    return source if isinstance(source, Comparison) else read_comparison(source)


def score_runs(source: Source) -> list[Score]:
    """One score per policy (base rungs and ceilings included), all with the same summary keys."""
    comparison = _read(source)
    lines = comparison.lines
    flats = [flat(line, comparison.columns) for line in lines]
    keys = sorted({key for values in flats for key in values})
    unmeasured = {
        key: NOT_MEASURED if key.rsplit("/", 1)[-1] in ("why", "class", "verdict") else MISSING for key in keys
    }
    filled = [unmeasured | values for values in flats]
    prompts = sorted({line.prompt for line in lines})
    out = []
    for line, own in zip(lines, filled, strict=True):
        values = {"role": line.role, "policy": line.name, "prompt": line.prompt} | own
        for prompt in prompts:
            same_arm = (
                numbers
                for other, numbers in zip(lines, filled, strict=True)
                if _arm(other) == _arm(line) and other.prompt == prompt
            )
            head = f"{comparison.task}/{prompt}/"
            values |= {head + key: value for key, value in next(same_arm, unmeasured).items()}
        identity = content_hash([line.id, line.role, line.name, line.prompt, line.arm], 6)
        name = f"{line.name} ({line.prompt}), {line.seeds} seed{'s' if line.seeds > 1 else ''}"
        out.append(Score(name, f"{line.name.replace('/', '-')}-{identity}", line, values))
    return out


def _arm(line: Line) -> tuple[str | None, ...]:
    """What the lines of one arm at several prompts share; the rungs of the base are one arm."""
    return ("base",) if line.role in ("base", "prompt") else (line.role, line.name, line.arm)


def flat(line: Line, columns: Sequence[Column] = ()) -> Values:
    """The summary keys of one line: the documented names, then every other column under its own key."""
    finish = line.under("finish")
    out: Values = {
        "class": line.data_class or "unaccounted",
        "seeds": line.seeds,
        "n": line.n,
        "n_items": line.n_items,
        "trunc/rate": (line.number("finish/length") or 0.0) if finish else None,
        "noans/rate": line.number("noanswer"),
        "ungraded/rate": line.number("ungraded"),
    }
    out |= _estimate("acc/strict", line.get("acc/strict")) | _estimate("acc/lenient", line.get("acc/lenient"))
    for name in ("cov", "maj"):
        out |= _curve(name, line.curves.get(name))
    for rung in RUNGS:
        out |= _estimate(f"gain/{rung}/point", line.get(f"gain/{rung}"), f"gain/{rung}")
        further = [pair.partition("/")[2] for pair in line.under("ef") if pair.startswith(f"{rung}/")]
        for ceiling in dict.fromkeys([*CEILINGS, *further]):
            out |= _estimate(f"ef/{rung}/{ceiling}/point", line.get(f"ef/{rung}/{ceiling}"), f"ef/{rung}/{ceiling}")
    out |= _estimate("ctrl/gain", line.get("ctrl/gain"), "ctrl")
    specificity = _estimate("ctrl/specificity", line.get("ctrl/specificity"))
    out |= {key: specificity[key] for key in ("ctrl/specificity", "ctrl/specificity/why")}
    for name in ("matched", "matched_support"):
        out |= _estimate(f"{name}/difference", line.get(f"{name}/difference"), name)
        out |= _estimate(f"{name}/best", line.get(f"{name}/best"), f"{name}_best")
    for name in GROUPS:
        out |= _group(name, line)
    out |= {f"cost/{key}": line.number(f"cost/{key}") for key in COSTS}
    out |= {f"ledger/{key}": value for key, value in line.ledger.items()}
    if tests := line.under("p"):
        out |= {"p/detectable": None, "p/exact": line.notes.get("p/exact")}
        out |= {f"p/{key}": value.number for key, value in tests.items()}
    for column in columns:
        if column.key.split("/")[0] not in (*NAMED, *LATER):
            out |= _estimate(column.key, line.get(column.key))
    return {key: MISSING if value is None else value for key, value in out.items()}


def _estimate(key: str, value: Estimate | None, stem: str | None = None) -> Values:
    """Point, lo, hi and why of an estimate, a refusal or nothing."""
    stem = stem or key
    if value is None or value.refused is not None:
        point = lo = hi = None
        why = NOT_MEASURED if value is None else f"refused: {value.refused}"
    else:
        point, lo, hi, why = value.point, value.lo, value.hi, "measured"
    numbers = {key: point, f"{stem}/lo": lo, f"{stem}/hi": hi}
    return {name: MISSING if x is None else x for name, x in numbers.items()} | {f"{stem}/why": why}


def _curve(name: str, curve: Curve | None) -> Values:
    """cov@k with its bounds for every k; one reason per curve."""
    if curve is None or curve.refused is not None or not curve.k:
        refused = curve.refused if curve is not None else None
        return {f"{name}/why": NOT_MEASURED if refused is None else f"refused: {refused}"}
    out: Values = {f"{name}/why": "measured"}
    for k, point, lo, hi in zip(curve.k, curve.point, curve.lo, curve.hi, strict=True):
        out |= {f"{name}@{k}": point, f"{name}@{k}/lo": lo, f"{name}@{k}/hi": hi}
    return out


def _group(name: str, line: Line) -> Values:
    """The points of a group of numbers and the counts in its notes; the reason if the group as a whole was refused."""
    values = line.under(name)
    notes = {key.removeprefix(f"{name}/"): note for key, note in line.notes.items() if key.startswith(f"{name}/")}
    reasons = {value.refused for value in values.values()}
    if not values and not notes:
        return {f"{name}/why": NOT_MEASURED}
    if not notes and len(reasons) == 1 and None not in reasons:
        return {f"{name}/why": f"refused: {reasons.pop()}"}
    points = {key: value.point for key, value in values.items() if "/" not in key and f"{name}/{key}" not in LATER}
    counts = {key: note for key, note in notes.items() if isinstance(note, int | float) and not isinstance(note, bool)}
    numbers = {f"{name}/{key}": x for key, x in (points | counts).items() if x is not None}
    return {f"{name}/why": "measured"} | numbers


def _log_curves(run: Run, line: Line) -> None:
    """Coverage and votes over k, with the tokens that k answers cost: one curve per policy, overlaid in the group."""
    tokens, bits = line.number("cost/tokens"), line.ledger.get("label_bits")
    rows: dict[int, Values] = {}
    for name in ("cov", "maj"):
        curve = line.curves.get(name)
        if curve is not None and curve.refused is None:
            for k, point, lo, hi in zip(curve.k, curve.point, curve.lo, curve.hi, strict=True):
                rows.setdefault(k, {}).update({name: point, f"{name}_lo": lo, f"{name}_hi": hi})
    for k, row in sorted(rows.items()):
        values = {"tokens": k * tokens if tokens else None, "label_bits": bits, **row}
        run.log({"step": k, "k": k} | {key: value for key, value in values.items() if value is not None})


def tables(source: Source) -> list[tuple[str, list[str], list[list[Any]]]]:
    """(name, columns, rows) of the compare run: the scorecard, who solves what, traces side by side."""
    comparison = _read(source)
    scores = score_runs(comparison)
    shown = [
        *("policy", "role", "prompt", "class", "acc/strict", "acc/strict/lo", "acc/strict/hi"),
        *("ef/B1/C4/point", "ef/B1/C4/lo", "ef/B1/C4/hi", "ef/B1/C4/why"),
        *("ctrl/gain", "ctrl/lo", "ctrl/hi", "ctrl/why", "n", "n_items", "seeds"),
    ]
    # the column of a table holds one type: a missing number is None there
    cells = [[None if score.values[key] == MISSING else score.values[key] for key in shown] for score in scores]
    out: list[tuple[str, list[str], list[list[Any]]]] = [("scorecard", shown, cells)]
    by_policy = comparison.solves.by_policy
    solved = {
        score.name: by_policy[score.line.id]
        for score in scores
        if score.line.role != "ceiling" and by_policy.get(score.line.id)
    }
    if solved:
        rows = [[item, *(shares[i] for shares in solved.values())] for i, item in enumerate(comparison.solves.items)]
        out.append(("solves", ["item", *solved], rows))
    if comparison.traces:
        names: dict[str | None, str] = {line.id: line.name for line in comparison.lines}
        rows = []
        for trace in comparison.traces:
            policy = names.get(trace.method.policy, trace.method.policy)
            about = [trace.item, trace.kind, trace.question, trace.gold]
            rows.append([*about, trace.base.text, policy, trace.method.text])
        out.append(("traces", ["item", "kind", "question", "gold", "base", "policy", "method"], rows))
    return out
