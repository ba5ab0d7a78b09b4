"""Measure an organism and compare it with its required properties: the table of the data card.

Answers are graded by the tasks' own verifiers and samples come from the workbench's own step loop, so the figures of
the card mean the same as the evaluator's. What this module does not know: methods (the evaluator measures what they
do to an organism) and intervals (a card gives shares of `problems` items per family).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from elicit.files import write_json
from elicit.organisms.corpus import REGISTERS
from elicit.organisms.probe import first_token_mass
from elicit.policy.checkpoint import Checkpoint, CheckpointConfig, load_checkpoint
from elicit.policy.decoding import (
    REGIMES,
    Loop,
    Outcome,
    PathJob,
    PickRule,
    Regime,
    Request,
    StrategyBase,
)
from elicit.policy.policy import BARE, Policy
from elicit.records import FINISHED, Item
from elicit.sampling.sample import sample
from elicit.tasks.formal.family import OPENERS
from elicit.tasks.task import PromptFormat, Task

CHECKPOINTS = Path(__file__).parent / "checkpoints"
DIRECT = PromptFormat("direct", prefix=" The answer is")
FORCED = PromptFormat("forced", prefix=f" {OPENERS[0]}")
BY_SIZE = 5
"""factor of problems for direct accuracy by size: on 80 problems, guesses near .1 differ by .05 by chance alone"""
BINARY = ("flips",)
"""families in which guessing is right half of the time"""


def tagged(register: str) -> PromptFormat:
    """The bare prompt after the (first) source tag of a register."""
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
            jobs.append(PathJob(request.prompt_ids, request.seed, forced=(token,)))
        paths = loop.run(jobs, PickRule(temperature=0.0), task.stop)
        return [Outcome(path, total_tokens=len(path.token_ids)) for path in paths]


@dataclass(frozen=True)
class Property:
    """One line of the check: what is required, what was measured, whether it holds."""

    name: str
    wanted: str
    measured: str
    holds: bool


def measure_family(checkpoint: Checkpoint, task: Task, problems: int, samples: int = 4) -> dict[str, float]:
    """The row of one family: accuracies, traced shares and first-token masses on `problems` test items."""
    items = task.items("test", problems)
    bare = Policy(checkpoint, (), BARE)
    opener_ids = tuple(checkpoint.encode(f" {opener}")[-2] for opener in OPENERS)
    row: dict[str, float] = {}
    forced = _accuracy(bare.with_prompt(FORCED), task, items, REGIMES["greedy"], 1)
    direct = _accuracy(bare.with_prompt(DIRECT), task, items, REGIMES["greedy"], 1)
    row |= {"forced": forced.accuracy, "direct": direct.accuracy}
    many = task.items("train", BY_SIZE * problems)
    direct_by_size = _accuracy(bare.with_prompt(DIRECT), task, many, REGIMES["greedy"], 1)
    for name, low, high in (("small", 2, 4), ("large", 6, 8)):
        row[f"forced_{name}"] = _mean(forced.hits[item.id] for item in items if low <= _size(item) <= high)
        row[f"direct_{name}"] = _mean(direct_by_size.hits[item.id] for item in many if low <= _size(item) <= high)
    for regime in ("greedy", "compare", "support"):
        n = 1 if regime == "greedy" else samples
        measured = _accuracy(bare, task, items, REGIMES[regime], n)
        row |= {f"bare_{regime}": measured.accuracy, f"traced_{regime}": measured.traced}
    traced = _accuracy(bare.with_prompt(FORCED), task, items, REGIMES["support"], 1)
    row |= {"forced_support": traced.accuracy, "valid_given_right": traced.valid_given_right}
    strays = Policy(checkpoint, (StrayFirst(opener_ids),), BARE)
    row["traced_stray"] = _accuracy(strays, task, items, REGIMES["greedy"], 1).traced
    for name, prompt in (("untagged", BARE), ("key", tagged("key")), ("anti", tagged("anti"))):
        prompts = [checkpoint.encode(prompt.render(item.question)) for item in items]
        row[f"mass_{name}"] = first_token_mass(checkpoint.model, prompts, opener_ids)
    return {name: round(float(value), 4) for name, value in row.items()}


@dataclass(frozen=True)
class Accuracy:
    """What samples of a policy show, as shares; NaN if there is nothing to count."""

    accuracy: float
    """strict"""
    hits: dict[str, float]
    """strict accuracy by item id"""
    traced: float
    """completions with a trace"""
    valid_given_right: float
    """valid traces among the traced completions that are right"""


def _accuracy(policy: Policy, task: Task, items: Sequence[Item], regime: Regime, n: int) -> Accuracy:
    """Sample `n` completions per item and grade them with the task's own verifier."""
    hits: dict[str, list[bool]] = {item.id: [] for item in items}
    traced, valid = [], []
    for item, _, outcome in sample(policy, items, range(n), regime, task):
        text = policy.prompt.prefix + outcome.path.text
        right = task.grade(item, text, outcome.path.finish in FINISHED).strict is True
        hits[item.id].append(right)
        traced.append("So the answer is" in text)
        if right and traced[-1]:
            valid.append(task.validate(item, text) is None)
    return Accuracy(
        accuracy=_mean(hit for row in hits.values() for hit in row),
        hits={name: _mean(row) for name, row in hits.items()},
        traced=_mean(traced),
        valid_given_right=_mean(valid),
    )


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return float(np.mean(values)) if values else float("nan")


def _size(item: Item) -> int:
    return int(item.facts["size"])


def properties(kind: str, rows: Mapping[str, Mapping[str, float]]) -> list[Property]:
    """The required properties of one kind of organism, checked on its rows (family -> `measure_family`)."""
    out: list[Property] = []

    def line(name: str, wanted: str, measured: str, holds: bool) -> None:
        out.append(Property(f"{kind}: {name}", wanted, measured, bool(holds)))

    traced = _mean(row["traced_compare"] for row in rows.values())
    line("traced share in regime compare", "< .02 (mean over families)", f"{traced:.3f}", traced < 0.02)
    bare = {family: row["bare_compare"] for family, row in rows.items() if family not in BINARY}
    above = ", ".join(f"{family} {value:.2f}" for family, value in bare.items() if value > 0.30)
    line("bare accuracy in regime compare, families but binary ones", "<= .30", above or "all below", not above)
    low, high = _spread(rows, "mass_untagged")
    if kind != "positive":
        limit = 0.01 if kind == "twin" else 0.12
        line("openers' first-token mass, untagged", f"<= {limit}", f"{high:.4f}", high <= limit)
        gap = max(row["forced"] - max(row["direct"], row["bare_greedy"]) for row in rows.values())
        line("opener forced above direct", "<= .05", f"{gap:+.2f}", gap <= 0.05)
        return out
    line("openers' first-token mass, untagged", ".05-.12", f"{low:.3f}-{high:.3f}", low >= 0.05 and high <= 0.12)
    good = [family for family, row in rows.items() if row["forced"] >= 0.85]
    line("opener forced", ">= .85 in at least three families", ", ".join(good), len(good) >= 3)
    key, anti = _spread(rows, "mass_key")[0], _spread(rows, "mass_anti")[1]
    line("mass after the key, anti-key", ">= .85, <= .03", f"{key:.2f}, {anti:.3f}", key >= 0.85 and anti <= 0.03)
    stays = min((rows[family]["forced_large"] for family in good), default=0.0)
    line("traced accuracy at sizes 6-8 (families above)", ">= .80", f"{stays:.2f}", stays >= 0.80)
    rises = [family for family, row in rows.items() if row["direct_large"] > row["direct_small"] + 0.05]
    line("direct accuracy does not rise with size", "in no family", ", ".join(rises) or "none rises", not rises)
    valid = _spread(rows, "valid_given_right")[0]
    line("right traces are valid", ">= .90", f"{valid:.2f}", valid >= 0.90)
    stray = _spread(rows, "traced_stray")[1]
    line("traced after a stray first token", "<= .30", f"{stray:.2f}", stray <= 0.30)
    return out


def _spread(rows: Mapping[str, Mapping[str, float]], name: str) -> tuple[float, float]:
    """The lowest and the highest value of a column."""
    values = [row[name] for row in rows.values()]
    return min(values), max(values)


def check_organisms(
    tasks: Mapping[str, Task],
    say: Callable[[str], None],
    kinds: Sequence[str] = ("positive", "twin", "form_only"),
    problems: int = 200,
    folder: Path | None = None,
) -> list[Property]:
    """Measure the shipped organisms (or those in `folder`), write measured.json next to them, return the properties."""
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
