"""A comparison in wandb: one run of job_type `score` a policy, and one of job_type `compare` with tables and files.

    tracked/compare/          scorecard, items and traces as tables; comparison.json, per_item.parquet, report.html
    tracked/<policy>/         summary: every key of every policy; coverage and votes as curves; items as a table

Summary keys are the same for every policy, so that a runs table of the group has no empty cell:

    acc/strict  ef/B1/C4/point  ctrl/gain  cost/tokens ...   the policy as it was asked (`prompt` says how)
    TASK/PROMPT/acc/strict ...                               the same at each prompt of the comparison

A number that was refused or not measured is "NaN", and the key `.../why` beside it holds the reason ("measured" where
there is a number). The word and not a float nan: wandb drops nan and null from a summary, and writes nan as this word
in its own JSON. Knows comparison.json; no metric is computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elicit.files import content_hash, read_rows, write_text
from elicit.track import Run

Line = Mapping[str, Any]
Values = dict[str, Any]
UNIQUE = ("role", "name", "prompt", "arm")
"""what makes a line of a comparison a row of its own"""
MISSING = "NaN"
RUNGS, CEILINGS = ("B0", "B1"), ("C1", "C4")
"""in every summary; C2 and C3 where a comparison has them"""


@dataclass(frozen=True)
class Score:
    """One policy's run: its name and its summary."""

    name: str
    folder: str
    """name of its folder: one a policy, so that the same policy continues the same wandb run"""
    line: Line
    values: Values


def track_comparison(comparison: Line, folder: Path, tracker: Any, say: Callable[[str], None]) -> None:
    """Write all runs of the comparison in `folder`. A sink: nothing is read back, no fault comes out of it."""
    group = str(comparison.get("group"))
    config = {"task": comparison["task"], "settings": comparison["settings"],
              "checkpoint": (comparison.get("checkpoint") or {}).get("id")}  # fmt: skip
    items = _items(folder)
    for score in score_runs(comparison):
        own = folder / "tracked" / score.folder
        if _told_before(own, score):
            continue
        told = config | {"policy": score.line["id"], "role": score.line["role"], "prompt": score.line.get("prompt")}
        run = tracker.start(own, "score", score.name, group, told, say)
        _curves(run, score.line)
        ids, role = _ids(score.line), score.line["role"]
        _item_table(run, [row for row in items if row["policy"] in ids and row["role"] == role])
        run.summary(score.values)
        run.finish()
        _remember(own, score)
    run = tracker.start(folder / "tracked" / "compare", "compare", f"compare-{group}", group, config, say)
    for name, columns, rows in tables(comparison):
        run.table(name, columns, rows)
    for path in ("comparison.json", "per_item.parquet", "report/report.html"):
        if (folder / path).exists():
            run.artifact(f"comparison-{Path(path).stem}", "comparison", folder / path)
    run.finish()


def _told_before(own: Path, score: Score) -> bool:
    """Whether this very score was tracked already: made again from the same rows, a comparison adds no row to wandb."""
    path = own / "wandb" / "told.txt"
    return path.exists() and path.read_text(encoding="utf-8").strip() == _fingerprint(score)


def _remember(own: Path, score: Score) -> None:
    if (own / "wandb").is_dir():
        write_text(own / "wandb" / "told.txt", _fingerprint(score) + "\n")


def _fingerprint(score: Score) -> str:
    return content_hash({key: str(value) for key, value in score.values.items()})


def score_runs(comparison: Line) -> list[Score]:
    """One score a policy (base rungs and ceilings included), all with the same summary keys."""
    lines = list(comparison["policies"])
    flats = [flat(line) for line in lines]
    keys = sorted({key for values in flats for key in values})
    whole = [{key: values.get(key, _unmeasured(key)) for key in keys} for values in flats]
    prompts = sorted({str(line.get("prompt") or "bare") for line in lines})
    out = []
    for line, own in zip(lines, whole, strict=True):
        values = {"role": line["role"], "policy": line["name"], "prompt": line.get("prompt") or "bare"} | own
        for prompt in prompts:
            there = _at(lines, whole, line, prompt)
            head = f"{comparison['task']}/{prompt}/"
            values |= {head + key: value for key, value in (there or {k: _unmeasured(k) for k in keys}).items()}
        identity = content_hash([line["id"], *(line.get(key) for key in UNIQUE)], 6)
        seeds = int(line.get("seeds") or 1)
        name = f"{line['name']} ({line.get('prompt') or 'bare'}), {seeds} seed{'s' if seeds > 1 else ''}"
        out.append(Score(name, f"{str(line['name']).replace('/', '-')}-{identity}", line, values))
    return out


def _at(lines: Sequence[Line], whole: Sequence[Values], line: Line, prompt: str) -> Values | None:
    """The values of the same arm at a prompt; the rungs of the base are one arm."""
    arm = "base" if line["role"] in ("base", "prompt") else (line["role"], line["name"], line.get("arm"))
    for other, values in zip(lines, whole, strict=True):
        theirs = "base" if other["role"] in ("base", "prompt") else (other["role"], other["name"], other.get("arm"))
        if theirs == arm and str(other.get("prompt") or "bare") == prompt:
            return values
    return None


def _unmeasured(key: str) -> Any:
    return "not measured" if key.rsplit("/", 1)[-1] in ("why", "class", "verdict") else MISSING


def flat(line: Line) -> Values:
    """The summary keys of one line of a comparison."""
    finish = line.get("finish") or {}
    out: Values = {"class": line.get("data_class") or "unaccounted", "seeds": line.get("seeds") or 1,
                   "n": line.get("n"), "n_items": line.get("n_items"),
                   "trunc/rate": finish.get("length", 0.0) if finish else None,
                   "noans/rate": line.get("noanswer"), "ungraded/rate": line.get("ungraded")}  # fmt: skip
    out |= _estimate("acc/strict", line.get("acc")) | _estimate("acc/lenient", line.get("lenient"))
    for name in ("cov", "maj"):
        out |= _curve(name, line.get(name))
    for rung in RUNGS:
        out |= _estimate(f"gain/{rung}/point", (line.get("gain") or {}).get(rung), f"gain/{rung}")
        for pair in dict.fromkeys([*(f"{rung}/{c}" for c in CEILINGS), *_pairs(line, rung)]):
            out |= _estimate(f"ef/{pair}/point", (line.get("ef") or {}).get(pair), f"ef/{pair}")
    control = line.get("ctrl")
    parts = control if isinstance(control, Mapping) and "refused" not in control else {}
    out |= _estimate("ctrl/gain", parts.get("gain", control), "ctrl")
    specificity = _estimate("ctrl/specificity", parts.get("specificity", control), "ctrl/specificity")
    out |= {key: specificity[key] for key in ("ctrl/specificity", "ctrl/specificity/why")}
    for key in ("matched", "matched_support"):
        out |= _estimate(f"{key}/difference", _of(line.get(key), "difference"), key)
        out |= _estimate(f"{key}/best", _of(_of(line.get(key), "best"), "difference"), f"{key}_best")
    for name in ("support", "valid", "likelihood", "kl", "split", "edit"):
        out |= _numbers(name, line.get(name))
    out |= {f"cost/{key}": value for key, value in _costs(line.get("cost") or {}).items()}
    out |= {f"ledger/{key}": value for key, value in (line.get("ledger") or {}).items()}
    out |= {f"p/{key}": value for key, value in (line.get("p") or {}).items()}
    return {key: MISSING if value is None else value for key, value in out.items()}


def _pairs(line: Line, rung: str) -> list[str]:
    """The fractions of a line against one rung, further ceilings (C2, C3) among them."""
    return [pair for pair in line.get("ef") or {} if pair.startswith(f"{rung}/")]


def _of(value: Any, key: str) -> Any:
    return value if isinstance(value, Mapping) and "refused" in value else (value or {}).get(key)


def _estimate(key: str, value: Any, stem: str | None = None) -> Values:
    """point, lo, hi and why of an estimate, a refusal or nothing."""
    stem = stem or key
    why = "not measured" if value is None else "measured"
    numbers = value if isinstance(value, Mapping) else {}
    if "refused" in numbers:
        why = f"refused: {numbers['refused']}"
    found = {part: numbers.get(part, MISSING) for part in ("point", "lo", "hi")} if why == "measured" else {}
    return {key: found.get("point", MISSING), f"{stem}/lo": found.get("lo", MISSING),
            f"{stem}/hi": found.get("hi", MISSING), f"{stem}/why": why}  # fmt: skip


def _curve(name: str, value: Any) -> Values:
    """cov@k with its bounds for every k; the reason once a curve."""
    curve = value if isinstance(value, Mapping) else {}
    if "refused" in curve or not curve.get("k"):
        return {f"{name}/why": f"refused: {curve['refused']}" if "refused" in curve else "not measured"}
    out: Values = {f"{name}/why": "measured"}
    for place, k in enumerate(curve["k"]):
        out |= {f"{name}@{k}": curve["point"][place], f"{name}@{k}/lo": curve["lo"][place],
                f"{name}@{k}/hi": curve["hi"][place]}  # fmt: skip
    return out


def _numbers(name: str, value: Any) -> Values:
    """The numbers of a small dict (nested estimates give their point), and the reason where there are none."""
    found = value if isinstance(value, Mapping) else {}
    if "refused" in found or not found:
        return {f"{name}/why": f"refused: {found['refused']}" if "refused" in found else "not measured"}
    out: Values = {f"{name}/why": "measured"}
    for key, inner in found.items():
        if isinstance(inner, Mapping):
            inner = inner.get("point")
        if isinstance(inner, int | float) and not isinstance(inner, bool):
            out[f"{name}/{key}"] = inner
    return out


def _costs(cost: Line) -> Values:
    names = {"tokens_per_answer": "tokens", "aux_tokens_per_answer": "aux_tokens", "flops_per_answer": "flops"}
    return {names.get(key, key): value for key, value in cost.items() if not isinstance(value, Mapping)}


def _curves(run: Run, line: Line) -> None:
    """Coverage and votes over k, with the tokens that k answers cost: a curve a policy, overlaid in the group."""
    tokens = (line.get("cost") or {}).get("tokens_per_answer")
    rows: dict[int, Values] = {}
    for name in ("cov", "maj"):
        curve = line.get(name) or {}
        for place, k in enumerate(curve.get("k") or [] if "refused" not in curve else []):
            rows.setdefault(k, {})[name] = curve["point"][place]
            rows[k] |= {f"{name}_{side}": curve[side][place] for side in ("lo", "hi")}
    bits = (line.get("ledger") or {}).get("label_bits")
    for k, row in sorted(rows.items()):
        known = {"tokens": k * tokens if tokens else None, "label_bits": bits, **row}
        run.log({"step": k, "k": k} | {key: value for key, value in known.items() if value is not None})


def _ids(line: Line) -> set[str]:
    """The policies behind a line: one a seed."""
    return {line["id"], *(member["id"] for member in line.get("members") or ())}


def _items(folder: Path) -> list[Values]:
    path = folder / "per_item.parquet"
    return read_rows([path]) if path.exists() else []


def _item_table(run: Run, rows: Sequence[Line]) -> None:
    columns = ["item", "cluster", "seed", "right", "n", "tokens"]
    if rows:
        run.table("items", columns, [[row.get(column) for column in columns] for row in rows])


def _cell(value: Any) -> Any:
    """A table's column holds one type: no number is None there."""
    return None if value == MISSING else value


def tables(comparison: Line) -> list[tuple[str, list[str], list[list[Any]]]]:
    """(name, columns, rows) of the compare run: the scorecard, who solves what, traces side by side."""
    scores = score_runs(comparison)
    shown = ["policy", "role", "prompt", "class", "acc/strict", "acc/strict/lo", "acc/strict/hi", "ef/B1/C4/point",
             "ef/B1/C4/lo", "ef/B1/C4/hi", "ef/B1/C4/why", "ctrl/gain", "ctrl/lo", "ctrl/hi", "ctrl/why", "n",
             "n_items", "seeds"]  # fmt: skip
    out = [("scorecard", shown, [[_cell(score.values[key]) for key in shown] for score in scores])]
    solves = comparison.get("solves") or {}
    by_policy = solves.get("by_policy") or {}
    known = {score.name: by_policy[score.line["id"]] for score in scores
             if score.line["role"] != "ceiling" and by_policy.get(score.line["id"])}  # fmt: skip
    if known:
        rows = [[item, *(values[i] for values in known.values())] for i, item in enumerate(solves["items"])]
        out.append(("solves", ["item", *known], rows))
    if comparison.get("traces"):
        names = {score.line["id"]: score.line["name"] for score in scores}
        out.append(("traces", ["item", "kind", "question", "gold", "base", "policy", "method"], [
            [t["item"], t["kind"], t["question"], t["gold"], (t.get("base") or {}).get("text"),
             names.get(t["method"].get("policy"), t["method"].get("policy")), t["method"].get("text")]
            for t in comparison["traces"]]))  # fmt: skip
    return out
