"""A comparison as `elicit compare` would write it: made up, seeded, realistic in its figures.

Every builder takes what a test wants to vary; nothing here is a result.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from elicit.files import content_hash, write_json, write_rows

GAP = {"refused": "gap too small: the lower bound of C1 - B1 is 1.2 points, below max(5 points, 2 SE)"}
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)> " + (
    "\x1b[31mred\x1b[0m abc\u202egnp.exe {{ 7 * 7 }} | `x` $x$"
)


def estimate(point: float, half: float = 0.03) -> dict[str, float]:
    return {"point": point, "lo": point - half, "hi": point + half}


def share(point: float, half: float = 0.03) -> dict[str, float]:
    return {"point": point, "lo": max(0.0, point - half), "hi": min(1.0, point + half)}


METHODS = (  # name, method, accuracy, tokens, class, placebo, rival
    ("rlvr", "rlvr", 0.97, 46, "R", ("random reward", 0.14), ("majority-label reward", 0.52)),
    ("rl_steering", "rl_steering", 0.93, 47, "R", ("random direction", 0.21), ("last-layer bias", 0.61)),
    ("critique_ft", "critique_ft", 0.81, 52, "R", ("shuffled critiques", 0.16), ("flipped verdicts", 0.31)),
    ("cot_decoding", "decoding", 0.98, 410, "Z", ("random pick of 10", 0.67), ("greedy", 0.25)),
    ("sae_steering", "sae_steering", 0.58, 44, "R", ("random feature", 0.33), ("difference of means", 0.72)),
)


def validity(acc: float, valid_given_right: float, n: int = 3200) -> dict[str, Any]:
    """The table of validity x correctness of n samples, and the shares that follow from it."""
    right = round(acc * n)
    both, wrong = round(right * valid_given_right), round(0.02 * right)
    return {"table": [[both, wrong], [right - both, n - right - wrong]], "valid": (both + wrong) / n,
            "valid_given_correct": both / right, "correct_given_valid": both / (both + wrong)}  # fmt: skip


def policy(name: str, role: str, acc: float, **more: Any) -> dict[str, Any]:
    """One policy of comparison.json with every key filled; `more` overrides keys."""
    n, k = more.pop("n", 16), [1, 2, 4, 8]
    curve = [1 - (1 - min(acc, 0.999)) ** (x**0.8) for x in k]
    full = {
        "id": content_hash(name),
        "name": name,
        "role": role,
        "method": None,
        "parent": None,
        "arm": "a1",
        "prompt": "bare",
        "seed": 1,
        "seeds": 1,
        "n_items": 200,
        "n": n,
        "data_class": "Z",
        "ledger": {"label_bits": 0, "select_bits": 0, "foreign_tokens": 0, "own_activations": 0},
        "acc": share(acc),
        "lenient": share(min(1, acc + 0.01)),
        "cov": {
            "k": k,
            "point": curve,
            "lo": [max(0, c - 0.04) for c in curve],
            "hi": [min(1, c + 0.04) for c in curve],
        },
        "maj": {
            "k": k,
            "point": [min(1, acc * (1 + 0.12 * i)) for i in range(4)],
            "lo": [max(0, acc * (1 + 0.12 * i) - 0.03) for i in range(4)],
            "hi": [min(1, acc * (1 + 0.12 * i) + 0.03) for i in range(4)],
        },
        "gain": {"B0": estimate(acc - 0.16), "B1": estimate(acc - 0.22)},
        "ef": {
            "B0/C1": estimate((acc - 0.16) / 0.60, 0.06),
            "B0/C4": estimate((acc - 0.16) / 0.84, 0.04),
            "B1/C1": GAP,
            "B1/C4": estimate((acc - 0.22) / 0.78, 0.05),
        },
        "ctrl": {"refused": "no placebo was run"},
        "matched": {"k": 2, "difference": estimate(acc - 0.18)},
        "cost": {"tokens_per_answer": 24.0, "aux_tokens_per_answer": 0.0, "fit_seconds": 0.0, "seconds": 31.2},
        "finish": {"eos": 0.97, "stop": 0.02, "length": 0.01, "cut": 0.0},
        "noanswer": 0.01,
        "ungraded": 0.0,
        "valid": validity(acc, 0.9),
        "run": None,
        "edit": None,
        "p": None,
        "support": None,
    }
    return full | more


def comparison(n_items: int = 200, copies: int = 1, seed: int = 0) -> dict[str, Any]:
    """Five methods, each with a placebo and a rival, on the organism; `copies` repeats the methods."""
    rng = np.random.default_rng(seed)
    policies = [
        policy(
            "base, bare prompt",
            "base",
            0.16,
            id="b0",
            ef={},
            valid=validity(0.16, 0.38),
        ),
        policy("think step by step", "prompt", 0.22, id="b1", ef={}, prompt="think", cost={"tokens_per_answer": 29.5}),
        policy("opener forced", "ceiling", 0.99, id="c4", ef={}, cost={"tokens_per_answer": 49.0}),
    ]
    for copy_number in range(copies):
        mark = f" {copy_number + 1}" if copies > 1 else ""
        for name, method, acc, tokens, data_class, placebo, rival in METHODS:
            policies += _family(name + mark, method, acc, tokens, data_class, placebo, rival)
    return {
        "schema": 1,
        "group": "five_methods-organism-chain",
        "task": "chain",
        "created": "2026-11-21T05:40:00Z",
        "frozen": "before",
        "checkpoint": {
            "id": "f00dfeed12345678",
            "name": "organism",
            "base_model": True,
            "n_parameters": 812_416,
            "dtype": "float32",
        },
        "settings": {
            "n": 16,
            "n_items": n_items,
            "regime": "compare",
            "max_new_tokens": 160,
            "limit": None,
            "bootstrap_draws": 10_000,
            "prompts": ["bare", "think"],
        },
        "rungs": {"B0": "b0", "B1": "b1", "B1_prompt": "think step by step"},
        "ceilings": {"C1": share(0.76, 0.05), "C4": share(0.99, 0.01)},
        "policies": policies,
        "solves": _solves(policies, n_items, rng),
        "traces": _traces(),
        "warnings": ["cot_decoding truncated 2.6 % of its answers at 160 tokens; rerun at 320."],
        "commands": [
            "elicit experiment=five_methods model=organism task=chain",
            "elicit compare five_methods-organism-chain",
        ],
        "provenance": {
            "git": {"commit": "9acad03", "dirty": False},
            "python": "3.11.2",
            "packages": {"torch": "2.13.0"},
            "seconds": 412.7,
        },
        "calibration": {
            "note": "twins: shipped calibration file, fingerprint matches",
            "rows": [
                {"organism": "positive", "method": "rlvr", "gain": estimate(0.81), "ctrl": estimate(0.80)},
                {"organism": "twin", "method": "rlvr", "gain": estimate(0.005), "ctrl": {"refused": "gain not clear"}},
            ],
        },
    }


def brief() -> dict[str, Any]:
    """The base and one method with its controls, without curves: renders in a fraction of the time."""
    out = comparison()
    out["policies"] = [
        p | {"cov": None, "maj": None, "valid": None, "cost": None} for p in out["policies"][:1] + out["policies"][3:6]
    ]
    return {key: value for key, value in out.items() if key != "solves"}


def _family(name: str, method: str, acc: float, tokens: float, data_class: str, placebo: Any, rival: Any) -> list[Any]:
    deterministic = {"refused": "deterministic strategy: n = 1, no coverage"} if method == "decoding" else None
    bits = {"label_bits": 7680, "select_bits": 400, "foreign_tokens": 0, "own_activations": 0}
    out = [
        policy(
            name,
            "method",
            acc,
            method=method,
            data_class=data_class,
            run=f"runs/{name}",
            ledger=bits,
            ctrl={
                "gain": estimate(acc - max(0.16, placebo[1])),
                "specificity": estimate(0.9, 0.05),
                "strongest": placebo[0],
            },
            cost={"tokens_per_answer": tokens, "fit_seconds": 63.4},
            edit={"relative_norm": 0.81},
            finish={"eos": 0.96, "stop": 0.01, "length": 0.03, "cut": 0.0},
            **({"cov": deterministic, "maj": deterministic, "n": 1} if deterministic else {}),
        )
    ]
    for role, (label, value) in (("placebo", placebo), ("rival", rival)):
        out.append(
            policy(
                f"{name}: {label}",
                role,
                value,
                method=method,
                parent=name,
                data_class=data_class,
                cost={"tokens_per_answer": tokens * 0.93},
            )
        )
    return out


def _solves(policies: list[dict[str, Any]], n_items: int, rng: np.random.Generator) -> dict[str, Any]:
    ease = rng.beta(1.2, 1.2, n_items)
    by_policy = {}
    for p in policies:
        chance = np.clip(p["acc"]["point"] + (ease - 0.5) * (0.4 if p["acc"]["point"] < 0.9 else 0.1), 0, 1)
        by_policy[p["id"]] = (rng.binomial(p["n"], chance) / p["n"]).round(4).tolist()
    return {"items": [f"item{i:04d}" for i in range(n_items)], "by_policy": by_policy}


def _traces() -> list[dict[str, Any]]:
    question = "Start with 4. Add 7, then subtract 9, then add 6, working modulo 10. What is left?"
    right = "Working. 4 + 7 = 1. 1 - 9 = 2. 2 + 6 = 8. So the answer is 8."
    wrong = "It is 3."
    return [
        {
            "item": "a41f0c",
            "question": question,
            "gold": "8",
            "kind": "base wrong, method right",
            "base": {"text": wrong, "answer": "3"},
            "method": {"policy": "rlvr", "text": right, "answer": "8"},
        },
        {
            "item": "09bb17",
            "question": question,
            "gold": "8",
            "kind": "reverse",
            "base": {"text": "I would say 8.", "answer": "8"},
            "method": {
                "policy": "critique_ft",
                "text": right.replace("2 + 6 = 8", "2 + 6 = 9").replace("is 8", "is 9"),
                "answer": "9",
            },
        },
    ]


def hostile(size: int = 1_000_000) -> dict[str, Any]:
    """The example with hostile text wherever a model or a file name may put it."""
    out = copy.deepcopy(comparison())
    out["group"] = out["task"] = HOSTILE
    out["warnings"] = [HOSTILE]
    out["policies"][3]["name"] = HOSTILE
    out["policies"][3]["run"] = "javascript:alert(1)"
    out["solves"]["items"][0] = HOSTILE
    out["traces"][0] |= {"question": HOSTILE, "gold": HOSTILE, "item": HOSTILE}
    out["traces"][0]["base"] = {"text": HOSTILE + "a" * size + "```\n# heading\n\ud800", "answer": HOSTILE}
    return out


def on_disk(
    root: Path, n_items: int = 24, n: int = 4, copies: int = 1, text: str = "", seed: int = 0, small: bool = False
) -> Path:
    """The example as a comparison folder: samples and grades in a store, a run's log with doses, lenses.json.

    `text` takes the place of every completion of rlvr, where given; `small` keeps the base and two methods.
    """
    rng = np.random.default_rng(seed)
    told = comparison(n_items, copies, seed)
    if small:
        told["policies"] = told["policies"][:1] + told["policies"][3:9]
    folder = root / "comparisons" / "example"
    items = told["solves"]["items"]
    entries = []
    for p in told["policies"]:
        store = {stage: root / "store" / stage / p["id"] / "compare" for stage in ("samples", "grades")}
        entries.append({"policy": p["id"], "role": p["role"], "run": p["run"], **{k: str(v) for k, v in store.items()}})
        right = rng.random((n_items, n)) < p["acc"]["point"]
        keys = [(item, j) for item in items for j in range(n)]
        written = [text if text and p["name"] == "rlvr" else _completion(bool(r), rng) for r in right.ravel()]
        write_rows(
            store["samples"] / "shard-a.parquet",
            [{"item": item, "j": j, "text": words} for (item, j), words in zip(keys, written, strict=True)],
        )
        write_rows(store["grades"] / "shard-a.parquet",
                   [{"item": item, "j": j, "strict": bool(r), "answer": "8" if r else "3"}
                    for (item, j), r in zip(keys, right.ravel(), strict=True)])  # fmt: skip
        if p["role"] == "method":
            p["run"] = str(root / p["name"])
            _log(Path(p["run"]), p["name"], rng)
    write_json(folder / "inputs.json", {"schema": 1, "entries": entries, "items": items})
    asked = [{"id": item, "question": f"Start with {i % 10}. Add 7, then subtract 9.", "gold": "8"}
             for i, item in enumerate(items)]  # fmt: skip
    write_json(folder / "items.json", asked)
    write_json(folder / "lenses.json", lenses(told["policies"]))
    write_json(folder / "comparison.json", told)
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


def lenses(policies: list[dict[str, Any]]) -> dict[str, Any]:
    """lenses.json with a reading of each kind of figure, and one refusal."""
    methods = [p["name"] for p in policies if p["role"] in ("base", "method")]
    kl = {name: {"sequence": estimate(0.4 + 0.9 * i, 0.15), "token": estimate(0.02 * (i + 1), 0.004)}
          for i, name in enumerate(methods)}  # fmt: skip
    shares = {name: {"coherent pairs": share(0.6 + 0.05 * i), "valid": share(0.3 + 0.1 * i)}
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
    lines = {"kind": "lines", "title": "Economy", "x_label": "share of the trace", "y_label": "accuracy",
             "x": [0.1, 0.2, 0.5, 1.0],
             "series": [{"name": m, "y": [0.2, 0.4, None, 0.9], "lo": [0.1, 0.3, None, 0.85],
                         "hi": [0.3, 0.5, None, 0.95]} for m in methods[:3]]}  # fmt: skip
    heat = {"kind": "heat", "title": "Importance", "x_label": "sentence", "y_label": "total variation", "x": [1, 2, 3],
            "series": [{"name": m, "y": [0.1, 0.5, None], "lo": None, "hi": None} for m in methods[:3]]}  # fmt: skip
    return {"schema": 1, "group": "example", "task": "chain", "inputs": "x", "created": 0.0, "lenses": {
        "divergence": reading("divergence", "KL of the policy to the base in nats", kl, None),
        "coherence": reading("coherence", "Share of step pairs without a local error", shares, bars),
        "economy": reading("economy", "Accuracy against a share of it", {methods[1]: {"half": share(0.5)}}, lines),
        "importance": reading("importance", "Sentences resampled", {methods[1]: {"first": share(0.5)}}, heat),
        "shift": reading("shift", "In and out of distribution", {}, None, "no shift axis was sampled"),
    }}  # fmt: skip
