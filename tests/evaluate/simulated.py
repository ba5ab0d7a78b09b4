"""Simulated policies: sample and grade shards with known solve rates, without a model.

`store` writes the folders of one policy as `generate` and `grade` would; `world` writes a whole comparison.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from elicit.evaluate.entry import Entry
from elicit.files import content_hash, write_json, write_rows
from elicit.records import Finish, Grade, Item, Sample

SETTINGS = {
    "engine": "step-loop", "dtype": "float32", "attention": "sdpa", "task": "chain", "prompt": "p0",
    "stop": ["\n\nQuestion:"], "max_new_tokens": 128, "checkpoint": "c0ffee",
}  # fmt: skip


class SimulatedTask:
    """Answers are one digit, or words of their own for harder guessing."""

    name = "chain"

    def answer_class(self, answer: str) -> str:
        return answer


def items(count: int = 200, clusters: int | None = None, wide: bool = True, seed: int = 0) -> list[Item]:
    """Items with three-digit golds (`wide`) or one-digit ones; `clusters` groups them."""
    rng = np.random.default_rng(seed)
    golds = rng.integers(0, 1000 if wide else 10, count)
    return [
        Item(content_hash(["item", seed, i]), "chain", "test", f"Question number {i}?", str(golds[i]),
             f"cluster{i if clusters is None else i % clusters}")
        for i in range(count)
    ]  # fmt: skip


def rates(items_: list[Item], mean: float, spread: float = 0.2, seed: int = 0) -> np.ndarray:
    """Solve rates by item with a given mean, from a beta distribution."""
    if mean in (0.0, 1.0) or spread == 0:
        return np.full(len(items_), mean)
    total = mean * (1 - mean) / min(spread, 0.9 * np.sqrt(mean * (1 - mean))) ** 2 - 1
    return np.random.default_rng(seed).beta(mean * total, (1 - mean) * total, len(items_))


def store(
    root: Path,
    policy: str,
    items_: list[Item],
    rates_N: np.ndarray,
    n: int = 16,
    regime: str = "compare",
    tokens: tuple[int, int] = (6, 3),
    trace: float = 0.0,
    seed: int = 0,
    ungraded: float = 0.0,
    missing: float = 0.0,
    truncated: float = 0.0,
    settings: dict[str, Any] | None = None,
    grader: str = "g1",
) -> tuple[Path, Path]:
    """Write samples and grades of one policy. `trace`: chance that a right sample has a valid trace."""  # fmt: skip
    rng = np.random.default_rng([seed, int(content_hash(policy), 16) % 2**32])
    samples, grades = root / "samples" / policy / regime, root / "grades" / policy / regime
    for start in range(0, len(items_), 16):
        rows: list[Sample] = []
        marks: list[Grade] = []
        for item, rate in zip(items_[start : start + 16], rates_N[start : start + 16], strict=True):
            for j in range(n):
                if rng.random() < missing:
                    continue
                sample, grade = _draw(rng, policy, regime, item, j, rate, tokens, trace, ungraded, truncated)
                rows.append(sample)
                marks.append(grade)
        key = content_hash([item.id for item in items_[start : start + 16]])
        if rows:
            write_rows(samples / f"shard-{key}.parquet", rows)
            write_rows(grades / f"shard-{key}.parquet", marks)
        write_json(samples / f"timings-{key}.json", {
            "begun": time.time(), "seconds": 0.01 * len(rows), "samples": len(rows),
            "tokens": sum(row.total_tokens for row in rows), "items": [item.id for item in items_[start : start + 16]],
        })  # fmt: skip
    asked = {"items": [item.id for item in items_], "n": n}
    write_json(samples / "manifest.json", {
        "schema": 1, "policy": policy, "regime": regime, "settings": {**SETTINGS, "regime": regime, **(settings or {})},
        "sets": {content_hash(asked["items"]): asked},
    })  # fmt: skip
    write_json(grades / "fingerprint.json", {"grader": grader, "task": "chain"})
    write_json(grades / "manifest.json", {"schema": 1})
    return samples, grades


def _draw(rng, policy, regime, item, j, rate, tokens, trace, ungraded, truncated) -> tuple[Sample, Grade]:
    right = bool(rng.random() < rate)
    cut = bool(rng.random() < truncated)
    valid = bool(right and rng.random() < trace)
    unknown = bool(rng.random() < ungraded)
    answer = (
        item.gold
        if right
        else str((int(item.gold or 0) + int(rng.integers(1, 1000 if len(item.gold or "") > 1 else 10))) % 1000)
    )
    length = int(tokens[0] + rng.integers(0, tokens[1] + 1)) + (30 if valid else 0)
    steps = " 3 + 4 = 7. 7 * 7 = 9." if valid else ""
    text = f"{' Working.' + steps if valid else ''} So the answer is {answer}."
    sample = Sample(
        policy, regime, item.id, j, 7 * j, "prompt", list(range(length)), text, Finish.LENGTH if cut else Finish.EOS,
        [-0.1] * length, None, length, 0, 0, 1.5 + j % 2, 2.0 + valid + j % 3,
    )  # fmt: skip
    strict = None if unknown else right and not cut
    grade = Grade(
        policy, regime, item.id, j, strict, None if unknown else right, None if unknown or cut else answer,
        None if unknown or cut else answer, None if unknown else valid, None if valid else "no_trace",
        None if valid else 0,
        "timeout" if unknown else None,
    )  # fmt: skip
    return sample, grade


LEDGER = {"label_bits": 0, "select_bits": 0, "foreign_tokens": 0, "own_activations": 0}
METHODS = (
    # name, accuracy, trace share, class, label bits, placebo accuracies
    ("rlvr", 0.93, 0.97, "R", 7680, {"bernoulli": 0.14}),
    ("rl_steering", 0.88, 0.95, "R", 7680, {"random_direction": 0.21}),
    ("critique_ft", 0.74, 0.93, "R", 600, {"shuffled": 0.16}),
    ("decoding", 0.97, 0.99, "Z", 0, {"random_pick": 0.55}),
    ("sae_steering", 0.71, 0.92, "R", 320, {"live_feature": 0.28, "random_direction": 0.13}),
)


def world(root: Path, count: int = 200, n: int = 16, seed: int = 0) -> tuple[list[Entry], list[Item]]:
    """Base, two prompts, five methods with placebos, one rival, C1 and C4."""
    found = items(count, seed=seed)
    entries: list[Entry] = []

    def add(role: str, name: str, mean: float, trace: float, regime: str = "compare", n_: int = n, **more: Any) -> None:
        policy = content_hash([role, name, more.get("prompt"), seed])
        folders = store(root, policy, found, rates(found, mean, seed=len(entries)), n_, regime, trace=trace, seed=seed)
        more.setdefault("ledger", LEDGER)
        more.setdefault("data_class", "Z")
        entries.append(Entry(role, name, policy, *folders, **more))

    add("base", "base", 0.12, 0.05)
    add("prompt", "step_by_step", 0.17, 0.10, prompt="step_by_step")
    add("prompt", "few_shot", 0.15, 0.02, prompt="few_shot", data_class="T")
    for name, mean, trace, data_class, bits, placebos in METHODS:
        ledger = {**LEDGER, "label_bits": bits, "select_bits": 200}
        run = f"runs/20261121-060000-{name}-chain-abc123"
        more: dict[str, Any] = {
            "method": name,
            "arm": content_hash(name),
            "seed": 1,
            "data_class": data_class,
            "ledger": ledger,
        }
        one = 1 if name == "decoding" else n
        edit = {"relative_norm": 0.4} if "steering" in name else None
        add("method", name, mean, trace, n_=one, fit_seconds=42.0, run=run, edit=edit, **more)
        for twin, placebo in placebos.items():
            add(
                "placebo",
                f"{name}/{twin}",
                placebo,
                0.1,
                n_=one,
                parent=name,
                fit_seconds=40.0,
                run=f"{run}-{twin}",
                **more,
            )
    add("rival", "rlvr/format_only", 0.35, 0.3, method="rlvr", parent="rlvr", seed=1, arm="rival", run="runs/rival")
    add("ceiling", "C1", 0.2, 0.8, "support", 128)
    add("ceiling", "C4", 0.995, 0.99)
    return entries, found


CHECKPOINT = {
    "id": "c0ffee", "name": "organism", "base_model": True, "n_parameters": 851_968, "layers": 4, "width": 128,
    "vocab": 461, "dtype": "float32", "device": "cpu", "attention": "sdpa", "revision": None,
}  # fmt: skip
