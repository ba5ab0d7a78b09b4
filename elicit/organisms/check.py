"""Measure an organism and hold it against what it must satisfy: the table of the data card.

Answers are graded by the tasks' own verifiers, samples come from the workbench's own step loop, so the
card speaks the evaluator's language. Not here: methods (what they do to an organism is the evaluator's
business), intervals (a card gives counts; `problems` items a family).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elicit.files import write_json
from elicit.organisms.corpus import REGISTERS
from elicit.policy.checkpoint import Checkpoint, CheckpointConfig, load_checkpoint
from elicit.policy.decoding import (
    REGIMES,
    Job,
    Loop,
    Outcome,
    PickRule,
    Regime,
    Request,
    StrategyBase,
)
from elicit.policy.policy import Policy
from elicit.records import Finish, Item
from elicit.sampling.sample import sample
from elicit.tasks.formal import OPENERS
from elicit.tasks.task import PromptFormat, Task

CHECKPOINTS = Path(__file__).parent / "checkpoints"
DIRECT = PromptFormat("direct", prefix=" The answer is")
FORCED = PromptFormat("forced", prefix=f" {OPENERS[0]}")
BARE = PromptFormat("bare")


def tagged(register: str) -> PromptFormat:
    """The bare prompt behind the source tag of a register (its first one)."""
    return PromptFormat(f"register {register}", f"Source: {REGISTERS[register][0]}\nQuestion: {{question}}\nAnswer:")


@dataclass(frozen=True)
class StrayFirst(StrategyBase):
    """A uniformly random first token that is no opener, then greedy: does it lead back to the direct mode?"""

    excluded: tuple[int, ...] = ()

    def run(self, loop: Loop, requests: Sequence[Request], task: Task) -> list[Outcome]:
        jobs = []
        for request in requests:
            allowed = np.setdiff1d(np.arange(loop.vocabulary), self.excluded)
            token = int(np.random.default_rng(request.seed).choice(allowed))
            jobs.append(Job(request.prompt_ids, request.seed, forced=(token,)))
        return [Outcome(path, total_tokens=len(path.token_ids)) for path in loop.run(jobs, PickRule(temperature=0.0), task.stop)]


@dataclass(frozen=True)
class Property:
    """One line of the check: what was asked, what was measured, whether it holds."""

    name: str
    wanted: str
    measured: str
    holds: bool


def measure_family(checkpoint: Checkpoint, task: Task, problems: int, samples: int = 4) -> dict[str, float]:
    """The row of one family: accuracies, traced shares and first-token masses on test items."""
    items = task.items("test", problems)
    bare = Policy(checkpoint, (), BARE)
    opener_ids = tuple(checkpoint.encode(f" {opener}")[-2] for opener in OPENERS)
    row: dict[str, float] = {}
    forced = _accuracy(bare.with_prompt(FORCED), task, items, REGIMES["greedy"], 1)
    direct = _accuracy(bare.with_prompt(DIRECT), task, items, REGIMES["greedy"], 1)
    row |= {"forced": forced["accuracy"], "direct": direct["accuracy"]}
    for name, low, high in (("small", 2, 4), ("large", 6, 8)):
        chosen = [item for item in items if low <= _size(item) <= high]
        row[f"forced_{name}"] = _mean(forced["hits"][item.id] for item in chosen)
        row[f"direct_{name}"] = _mean(direct["hits"][item.id] for item in chosen)
    for regime in ("greedy", "compare", "support"):
        n = 1 if regime == "greedy" else samples
        measured = _accuracy(bare, task, items, REGIMES[regime], n)
        row |= {f"bare_{regime}": measured["accuracy"], f"traced_{regime}": measured["traced"]}
    traced = _accuracy(bare.with_prompt(FORCED), task, items, REGIMES["support"], 1)
    row |= {"forced_support": traced["accuracy"], "valid_given_right": traced["valid_given_right"]}
    strays = Policy(checkpoint, (StrayFirst(opener_ids),), BARE)
    row["traced_stray"] = _accuracy(strays, task, items, REGIMES["greedy"], 1)["traced"]
    for name, prompt in (("untagged", BARE), ("key", tagged("key")), ("anti", tagged("anti"))):
        row[f"mass_{name}"] = _mass(checkpoint, prompt, items, opener_ids)
    return {name: round(float(value), 4) for name, value in row.items()}


def _accuracy(policy: Policy, task: Task, items: Sequence[Item], regime: Regime, n: int) -> dict[str, Any]:
    """Strict accuracy, share of traced completions, and validity given a right answer."""
    hits: dict[str, list[bool]] = {item.id: [] for item in items}
    traced, valid = [], []
    for item, _, outcome in sample(policy, items, range(n), regime, task):
        text = policy.prompt.prefix + outcome.path.text
        right = task.grade(item, text, outcome.path.finish != Finish.LENGTH).strict is True
        hits[item.id].append(right)
        traced.append("So the answer is" in text)
        if right and traced[-1]:
            valid.append(task.validate(item, text) is None)
    return {
        "accuracy": _mean(hit for row in hits.values() for hit in row),
        "hits": {name: _mean(row) for name, row in hits.items()},
        "traced": _mean(traced),
        "valid_given_right": _mean(valid),
    }


@torch.no_grad()
def _mass(checkpoint: Checkpoint, prompt: PromptFormat, items: Sequence[Item], opener_ids: Sequence[int]) -> float:
    """Mean probability of the openers as first token."""
    masses = []
    for item in items:
        ids = torch.tensor([checkpoint.encode(prompt.render(item.question))], device=checkpoint.device)
        logits_V = checkpoint.model(input_ids=ids).logits[0, -1]
        masses.append(logits_V.float().softmax(-1)[list(opener_ids)].sum().item())
    return _mean(masses)


def _mean(values: Any) -> float:
    values = list(values)
    return float(np.mean(values)) if values else float("nan")


def _size(item: Item) -> int:
    return int(item.facts["moves"] if "moves" in item.facts else len(item.facts.get("operations") or item.facts.get("actions") or item.facts["a"]))


def properties(kind: str, rows: Mapping[str, Mapping[str, float]]) -> list[Property]:
    """What organism.md asks of one organism, held against its rows (a row a family)."""
    binary = {"flips"}
    spread = lambda name: (min(r[name] for r in rows.values()), max(r[name] for r in rows.values()))  # noqa: E731
    out: list[Property] = []

    def line(name: str, wanted: str, measured: str, holds: bool) -> None:
        out.append(Property(f"{kind}: {name}", wanted, measured, bool(holds)))

    low, high = spread("traced_compare")
    line("traced share in regime compare", "< .02 (mean over families)", f"{_mean(r['traced_compare'] for r in rows.values()):.3f}", _mean(r["traced_compare"] for r in rows.values()) < 0.02)
    worst = max(r["bare_compare"] for f, r in rows.items() if f not in binary)
    line("bare accuracy, regime compare, families but binary ones", "<= .30", f"{worst:.2f}", worst <= 0.30)
    low, high = spread("mass_untagged")
    if kind == "positive":
        line("openers' first-token mass, untagged", ".05-.12", f"{low:.3f}-{high:.3f}", 0.05 <= low and high <= 0.12)
        good = [f for f, r in rows.items() if r["forced"] >= 0.85]
        line("opener forced", ">= .85 in at least three families", ", ".join(good), len(good) >= 3)
        key, anti = spread("mass_key")[0], spread("mass_anti")[1]
        line("mass behind the key, anti-key", ">= .85, <= .03", f"{key:.2f}, {anti:.3f}", key >= 0.85 and anti <= 0.03)
        stays = min(r["forced_large"] for f, r in rows.items() if f in good)
        line("traced accuracy at sizes 6-8 (families above)", ">= .80", f"{stays:.2f}", stays >= 0.80)
        falls = [f for f, r in rows.items() if r["direct_large"] <= r["direct_small"] + 0.05]
        line("direct accuracy falls with size", "in every family", ", ".join(falls), len(falls) == len(rows))
        valid = min(r["valid_given_right"] for r in rows.values())
        line("right traces are valid", ">= .90", f"{valid:.2f}", valid >= 0.90)
        stray = spread("traced_stray")[1]
        line("traced after a stray first token", "<= .30", f"{stray:.2f}", stray <= 0.30)
    else:
        limit = 0.01 if kind == "twin" else 0.12
        line("openers' first-token mass, untagged", f"<= {limit}", f"{high:.4f}", high <= limit)
        gap = max(r["forced"] - max(r["direct"], r["bare_greedy"]) for r in rows.values())
        line("opener forced above direct", "<= .05", f"{gap:+.2f}", gap <= 0.05)
    return out


def check_organisms(
    tasks: Mapping[str, Task],
    say: Callable[[str], None],
    kinds: Sequence[str] = ("positive", "twin", "form_only"),
    problems: int = 200,
    folder: Path | None = None,
) -> list[Property]:
    """Measure the shipped organisms (or those in `folder`), write measured.json beside them, return the properties."""
    out: list[Property] = []
    table: dict[str, dict[str, dict[str, float]]] = {}
    root = folder or CHECKPOINTS
    for kind in kinds:
        checkpoint = load_checkpoint(CheckpointConfig(path=str(root / kind), device="cpu", dtype="float32"))
        table[kind] = {}
        for name, task in tasks.items():
            table[kind][name] = measure_family(checkpoint, task, problems)
            say(f"{kind}/{name}: {table[kind][name]}")
        out += properties(kind, table[kind])
    write_json(root / "measured.json", {"problems": problems, "rows": table})
    return out
