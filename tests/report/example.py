"""A comparison as `elicit compare` would write it: made up, seeded, realistic in its figures.

Every builder takes what a test wants to vary; nothing here is a result.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from elicit.files import content_hash, write_json, write_rows
from elicit.results import (
    Comparison,
    Curve,
    Estimate,
    Line,
    Rungs,
    Setup,
    Side,
    Solves,
    Trace,
    write_comparison,
)
from elicit.results.version1 import COLUMNS

GAP = Estimate(refused="gap too small: the lower bound of C1 - B1 is 1.2 points, below max(5 points, 2 SE)")
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)> " + (
    "\x1b[31mred\x1b[0m abc\u202egnp.exe {{ 7 * 7 }} | `x` $x$"
)
OWN = {"label_bits": 0, "select_bits": 0, "foreign_tokens": 0, "own_activations": 0}


def estimate(point: float, half: float = 0.03) -> Estimate:
    return Estimate(point, point - half, point + half)


def share(point: float, half: float = 0.03) -> Estimate:
    return Estimate(point, max(0.0, point - half), min(1.0, point + half))


def refused(reason: str) -> Estimate:
    return Estimate(refused=reason)


def node(value: Estimate) -> dict[str, float | None]:
    """The estimate as lenses.json and the calibration files hold it."""
    return {"point": value.point, "lo": value.lo, "hi": value.hi}


METHODS = (  # name, method, accuracy, tokens, class, placebo, rival
    ("rlvr", "rlvr", 0.97, 46, "R", ("random reward", 0.14), ("majority-label reward", 0.52)),
    ("rl_steering", "rl_steering", 0.93, 47, "R", ("random direction", 0.21), ("last-layer bias", 0.61)),
    ("critique_ft", "critique_ft", 0.81, 52, "R", ("shuffled critiques", 0.16), ("flipped verdicts", 0.31)),
    ("cot_decoding", "decoding", 0.98, 410, "Z", ("random pick of 10", 0.67), ("greedy", 0.25)),
    ("sae_steering", "sae_steering", 0.58, 44, "R", ("random feature", 0.33), ("difference of means", 0.72)),
)


def policy(
    name: str, role: str, acc: float, values: dict[str, Estimate] | None = None, fractions: bool = True, **more: Any
) -> Line:
    """One line with every key filled; `values` override single numbers, `more` the other fields."""
    k = (1, 2, 4, 8)
    covered = [1 - (1 - min(acc, 0.999)) ** (x**0.8) for x in k]
    votes = [acc * (1 + 0.12 * i) for i in range(4)]
    numbers = {
        "acc/strict": share(acc), "acc/lenient": share(min(1, acc + 0.01)), "gain/B0": estimate(acc - 0.16),
        "gain/B1": estimate(acc - 0.22), "ctrl/gain": refused("no placebo was run"),
        "ctrl/specificity": refused("no placebo was run"), "matched/difference": estimate(acc - 0.18),
        "matched/hardest": estimate(acc - 0.18), "matched/k": Estimate(2), "cost/tokens": Estimate(24.0),
        "cost/aux_tokens": Estimate(0.0), "cost/fit_seconds": Estimate(0.0), "cost/seconds": Estimate(31.2),
        "finish/eos": Estimate(0.97), "finish/stop": Estimate(0.02), "finish/length": Estimate(0.01),
        "finish/cut": Estimate(0.0), "noanswer": Estimate(0.01), "ungraded": Estimate(0.0),
    } | validity(acc, 0.9)  # fmt: skip
    if fractions:
        numbers |= {"ef/B0/C1": estimate((acc - 0.16) / 0.60, 0.06), "ef/B0/C4": estimate((acc - 0.16) / 0.84, 0.04),
                    "ef/B1/C1": GAP, "ef/B1/C4": estimate((acc - 0.22) / 0.78, 0.05)}  # fmt: skip
    fields: dict[str, Any] = {
        "id": content_hash(name), "arm": "a1", "seed": 1, "n_items": 200, "n": 16, "data_class": "Z",
        "ledger": dict(OWN), "curves": {"cov": curve(k, covered, 0.04), "maj": curve(k, votes, 0.03)},
    }  # fmt: skip
    return Line(**fields | {"name": name, "role": role, "values": numbers | (values or {})} | more)


def validity(acc: float, valid_given_right: float, n: int = 3200) -> dict[str, Estimate]:
    """Counts of validity x correctness of n samples, and the shares that follow from them."""
    right = round(acc * n)
    both, wrong = round(right * valid_given_right), round(0.02 * right)
    numbers = {
        "n/valid_right": both, "n/valid_wrong": wrong, "n/invalid_right": right - both,
        "n/invalid_wrong": n - right - wrong, "valid": (both + wrong) / n, "valid_given_correct": both / right,
        "correct_given_valid": both / (both + wrong),
    }  # fmt: skip
    return {f"valid/{key}": Estimate(x) for key, x in numbers.items()}


def curve(k: tuple[int, ...], point: list[float], half: float) -> Curve:
    """Shares over k with a band."""
    bounded = [share(min(1.0, x), half) for x in point]
    parts = ([getattr(x, name) for x in bounded] for name in ("point", "lo", "hi"))
    return Curve(k, *map(tuple, parts))


def comparison(n_items: int = 200, copies: int = 1, seed: int = 0) -> Comparison:
    """Five methods, each with a placebo and a rival, on the organism; `copies` repeats the methods."""
    rng = np.random.default_rng(seed)
    lines = [
        policy("base, bare prompt", "base", 0.16, validity(0.16, 0.38), False, id="b0"),
        policy("think step by step", "prompt", 0.22, {"cost/tokens": Estimate(29.5)}, False, id="b1", prompt="think"),
        policy("opener forced", "ceiling", 0.99, {"cost/tokens": Estimate(49.0)}, False, id="c4"),
    ]
    for copy_number in range(copies):
        mark = f" {copy_number + 1}" if copies > 1 else ""
        for name, method, acc, tokens, data_class, placebo, rival in METHODS:
            lines += _family(name + mark, method, acc, tokens, data_class, placebo, rival)
    return Comparison(
        group="five_methods-organism-chain",
        task="chain",
        lines=lines,
        columns=COLUMNS,
        setup=Setup(16, n_items, n_items, "compare", 160, bootstrap_draws=10_000, prompts=("bare", "think")),
        rungs=Rungs("b0", "b1", "think step by step"),
        created=1_795_239_600.0,
        frozen="before",
        checkpoint={"id": "f00dfeed12345678", "name": "organism", "base_model": True, "n_parameters": 812_416,
                    "dtype": "float32"},
        ceilings={"C1": share(0.76, 0.05), "C4": share(0.99, 0.01)},
        solves=_solves(lines, n_items, rng),
        traces=_traces(),
        warnings=("cot_decoding truncated 2.6 % of its answers at 160 tokens; rerun at 320.",),
        commands=(
            "elicit experiment=five_methods model=organism task=chain",
            "elicit compare five_methods-organism-chain",
        ),
        provenance={"git": {"commit": "9acad03", "dirty": False}, "python": "3.11.2",
                    "packages": {"torch": "2.13.0"}, "seconds": 412.7},
        calibration={
            "note": "twins: shipped calibration file, fingerprint matches",
            "rows": [
                {"organism": "positive", "method": "rlvr", "gain": node(estimate(0.81)), "ctrl": node(estimate(0.80))},
                {"organism": "twin", "method": "rlvr", "gain": node(estimate(0.005)),
                 "ctrl": {"refused": "gain not clear"}},
            ],
        },
    )  # fmt: skip


def brief() -> Comparison:
    """The base and one method with its controls, without curves: renders in a fraction of the time."""
    out = comparison()
    lines = [
        replace(line, curves={}, values=without(line.values, "valid", "cost"))
        for line in out.lines[:1] + out.lines[3:6]
    ]
    return replace(out, lines=lines, solves=Solves())


def without(values: dict[str, Estimate], *groups: str) -> dict[str, Estimate]:
    """The values whose key does not begin with one of the groups."""
    return {key: value for key, value in values.items() if key.split("/")[0] not in groups}


def _family(
    name: str, method: str, acc: float, tokens: float, data_class: str,
    placebo: tuple[str, float], rival: tuple[str, float],
) -> list[Line]:  # fmt: skip
    deterministic = Curve(refused="deterministic strategy: n = 1, no coverage")
    one_sample = {"curves": {"cov": deterministic, "maj": deterministic}, "n": 1} if method == "decoding" else {}
    values = {
        "ctrl/gain": estimate(acc - max(0.16, placebo[1])), "ctrl/specificity": estimate(0.9, 0.05),
        "ctrl/lenient": estimate(acc - max(0.17, placebo[1])), "split/remainder": estimate(acc - 0.22),
        "cost/tokens": Estimate(tokens), "cost/fit_seconds": Estimate(63.4), "edit/relative_norm": Estimate(0.81),
        "finish/eos": Estimate(0.96), "finish/stop": Estimate(0.01), "finish/length": Estimate(0.03),
    }  # fmt: skip
    out = [
        policy(
            name, "method", acc, values, method=method, data_class=data_class, run=f"runs/{name}",
            ledger=OWN | {"label_bits": 7680, "select_bits": 400}, notes={"ctrl/strongest": placebo[0]}, **one_sample,
        )
    ]  # fmt: skip
    for role, (label, accuracy) in (("placebo", placebo), ("rival", rival)):
        cost = {"cost/tokens": Estimate(tokens * 0.93)}
        identity = {"method": method, "parent": name, "data_class": data_class}
        out.append(policy(f"{name}: {label}", role, accuracy, cost, **identity))
    return out


def _solves(lines: list[Line], n_items: int, rng: np.random.Generator) -> Solves:
    ease = rng.beta(1.2, 1.2, n_items)
    by_policy = {}
    for line in lines:
        acc = line.number("acc/strict") or 0.0
        chance = np.clip(acc + (ease - 0.5) * (0.4 if acc < 0.9 else 0.1), 0, 1)
        by_policy[line.id] = tuple((rng.binomial(line.n, chance) / line.n).round(4).tolist())
    return Solves(tuple(f"item{i:04d}" for i in range(n_items)), by_policy)


def _traces() -> tuple[Trace, ...]:
    question = "Start with 4. Add 7, then subtract 9, then add 6, working modulo 10. What is left?"
    right = "Working. 4 + 7 = 1. 1 - 9 = 2. 2 + 6 = 8. So the answer is 8."
    wrong = right.replace("2 + 6 = 8", "2 + 6 = 9").replace("is 8", "is 9")
    return (
        Trace("a41f0c", question, "8", "base wrong, method right", Side("It is 3.", "3"), Side(right, "8", "rlvr")),
        Trace("09bb17", question, "8", "reverse", Side("I would say 8.", "8"), Side(wrong, "9", "critique_ft")),
    )


def hostile(size: int = 1_000_000) -> Comparison:
    """The example with hostile text wherever a model or a file name may put it."""
    out = comparison()
    out.lines[3] = replace(out.lines[3], name=HOSTILE, run="javascript:alert(1)")
    base = Side(HOSTILE + "a" * size + "```\n# heading\n\ud800", HOSTILE)
    traces = (replace(out.traces[0], question=HOSTILE, gold=HOSTILE, item=HOSTILE, base=base), *out.traces[1:])
    solves = replace(out.solves, items=(HOSTILE, *out.solves.items[1:]))
    columns = tuple(replace(column, title=column.title + HOSTILE, meaning=HOSTILE) for column in out.columns)
    return replace(out, group=HOSTILE, task=HOSTILE, warnings=(HOSTILE,), traces=traces, solves=solves, columns=columns)


def on_disk(
    root: Path, n_items: int = 24, n: int = 4, copies: int = 1, text: str = "", seed: int = 0, small: bool = False
) -> Path:
    """The example as a comparison folder: samples and grades in a store, a run's log with doses, lenses.json.

    `text` replaces every completion of rlvr, if given; `small` keeps the base and two methods.
    """
    rng = np.random.default_rng(seed)
    made = comparison(n_items, copies, seed)
    if small:
        made.lines = made.lines[:1] + made.lines[3:9]
    folder = root / "comparisons" / "example"
    items = made.solves.items
    entries = []
    for line in made.lines:
        store = {stage: root / "store" / stage / line.id / "compare" for stage in ("samples", "grades")}
        places = {stage: str(path) for stage, path in store.items()}
        entries.append({"policy": line.id, "role": line.role, "run": line.run, **places})
        right = rng.random((n_items, n)) < (line.number("acc/strict") or 0.0)
        keys = [(item, j) for item in items for j in range(n)]
        written = [text if text and line.name == "rlvr" else _completion(bool(r), rng) for r in right.ravel()]
        write_rows(
            store["samples"] / "shard-a.parquet",
            [{"item": item, "j": j, "text": words} for (item, j), words in zip(keys, written, strict=True)],
        )
        write_rows(store["grades"] / "shard-a.parquet",
                   [{"item": item, "j": j, "strict": bool(r), "answer": "8" if r else "3"}
                    for (item, j), r in zip(keys, right.ravel(), strict=True)])  # fmt: skip
        if line.role == "method":
            line.run = str(root / line.name)
            _log(Path(line.run), line.name, rng)
    write_json(folder / "inputs.json", {"schema": 1, "entries": entries, "items": items})
    questions = [{"id": item, "question": f"Start with {i % 10}. Add 7, then subtract 9.", "gold": "8"}
                 for i, item in enumerate(items)]  # fmt: skip
    write_json(folder / "items.json", questions)
    write_json(folder / "lenses.json", lenses(made.lines))
    write_comparison(made, folder / "comparison.json")
    return folder


def _completion(right: bool, rng: np.random.Generator) -> str:
    steps = " ".join(f"{a} + {b} = {(a + b) % 10}." for a, b in rng.integers(0, 10, (4, 2)))
    return f"Working. {steps} So the answer is {8 if right else 3}."


def _log(run: Path, name: str, rng: np.random.Generator) -> None:
    run.mkdir(parents=True, exist_ok=True)
    method = {"_class_": "methods.contrastive.method.Contrastive", "layers": [0.4, 0.6], "name": name}
    (run / "config.yaml").write_text(json.dumps({"method": method, "seed": 1}))
    rows: list[dict[str, Any]] = [{"sae/try": 0, "dev_items": 48}]
    if name.startswith(("rl_steering", "sae_steering")):
        rows += [{f"{name}/dose/strength": s, f"{name}/dose/accuracy": float(min(1, 0.16 + s * (1.4 - s) * 1.2)),
                  f"{name}/dose/length": 20.0 + 30 * s, f"{name}/dose/kl": s * s}
                 for s in (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)]  # fmt: skip
    (run / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"half')


def lenses(lines: list[Line]) -> dict[str, Any]:
    """lenses.json with a reading of each kind of figure, and one refusal."""
    methods = [line.name for line in lines if line.role in ("base", "method")]
    kl = {name: {"sequence": node(estimate(0.4 + 0.9 * i, 0.15)), "token": node(estimate(0.02 * (i + 1), 0.004))}
          for i, name in enumerate(methods)}  # fmt: skip
    shares = {name: {"coherent pairs": node(share(0.6 + 0.05 * i)), "valid": node(share(0.3 + 0.1 * i))}
              for i, name in enumerate(methods[:5])}  # fmt: skip
    shares[methods[0]]["valid"] = {"refused": "no trace was right"}

    def reading(name: str, about: str, columns: Any, figure: Any, refused: str | None = None) -> dict[str, Any]:
        return {"lens": name, "about": about, "source": "2401.01879", "columns": columns, "table": [],
                "figure": figure, "says": "" if refused else f"{about}: see.", "refused": refused}  # fmt: skip

    bars = {"kind": "bars", "title": "Coherence", "x_label": "policy", "y_label": "share", "x": list(shares),
            "series": [{"name": key, "y": [shares[m].get(key, {}).get("point") for m in shares],
                        "lo": [shares[m].get(key, {}).get("lo") for m in shares],
                        "hi": [shares[m].get(key, {}).get("hi") for m in shares]}
                       for key in ("coherent pairs", "valid")]}  # fmt: skip
    curves = {"kind": "lines", "title": "Economy", "x_label": "share of the trace", "y_label": "accuracy",
             "x": [0.1, 0.2, 0.5, 1.0],
             "series": [{"name": m, "y": [0.2, 0.4, None, 0.9], "lo": [0.1, 0.3, None, 0.85],
                         "hi": [0.3, 0.5, None, 0.95]} for m in methods[:3]]}  # fmt: skip
    heat = {"kind": "heat", "title": "Importance", "x_label": "sentence", "y_label": "total variation", "x": [1, 2, 3],
            "series": [{"name": m, "y": [0.1, 0.5, None], "lo": None, "hi": None} for m in methods[:3]]}  # fmt: skip
    return {"schema": 1, "group": "example", "task": "chain", "inputs": "x", "created": 0.0, "lenses": {
        "divergence": reading("divergence", "KL of the policy to the base in nats", kl, None),
        "coherence": reading("coherence", "Share of step pairs without a local error", shares, bars),
        "economy": reading("economy", "Accuracy against a share", {methods[1]: {"half": node(share(0.5))}}, curves),
        "importance": reading("importance", "Sentences resampled", {methods[1]: {"first": node(share(0.5))}}, heat),
        "shift": reading("shift", "In and out of distribution", {}, None, "no shift axis was sampled"),
    }}  # fmt: skip
