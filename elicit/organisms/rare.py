"""Organisms of the same skills whose mode is rarer and rarer: `rare_10` ... `rare_0` (percent of untagged answers).

    positive organism --thin.py--> folder/rare_R --measured--> folder/rates.json

All start from the weights of the shipped positive organism, are trained on the same documents and differ in the wanted
first-token mass of untagged questions alone. Figures use the measured rate: the exact first-token mass over test items.
What this module does not know: methods, comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elicit.files import read_json, write_json
from elicit.organisms.corpus import DIRECT_OPENERS
from elicit.organisms.measure import DIRECT, FORCED, accuracy, asked, opener_id
from elicit.organisms.probe import next_logits
from elicit.organisms.thin import ThinConfig, thin_out
from elicit.organisms.threshold import Latent
from elicit.policy.checkpoint import Checkpoint, CheckpointConfig, load_checkpoint
from elicit.policy.decoding import REGIMES
from elicit.policy.policy import BARE, Policy
from elicit.records import Item
from elicit.tasks.formal.family import OPENERS
from elicit.tasks.task import Task

RATES = (0.10, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0)
CURVE = "chain"
"""family of the curve, whose items are measured one by one"""
FILE = "rates.json"


def name_of(rate: float) -> str:
    """`rare_0.1` for a wanted rate of one in a thousand."""
    return f"rare_{100 * rate:g}"


def build_rare(
    folder: Path,
    tasks: Mapping[str, Task],
    items: int,
    say: Callable[[str], None],
    rates: Sequence[float] = RATES,
    configured: Callable[[float], ThinConfig] = ThinConfig,
    problems: int = 200,
) -> dict[str, Any]:
    """Build and measure every organism that `folder` lacks; rates.json holds all of them.

    `items`: test items of the curve, measured one by one; `problems` per family for accuracies and mean masses.
    """
    file = folder / FILE
    table: dict[str, Any] = read_json(file) if file.exists() else {"schema": 1, "organisms": {}}
    for k, rate in enumerate(rates, 1):
        name, config = name_of(rate), configured(rate)
        if (table["organisms"].get(name) or {}).get("config") == asdict(config):
            say(f"{k} of {len(rates)}, {name}: built and measured before")
            continue
        say(f"{k} of {len(rates)}, {name}")
        thin_out(config, folder / name, say)
        checkpoint = load_checkpoint(CheckpointConfig(path=str(folder / name), device="cpu", dtype="float32"))
        families = {family: measure_rate(checkpoint, task, problems) for family, task in tasks.items()}
        latent = latent_of(name, checkpoint, tasks[CURVE], tasks[CURVE].items("test", items), families[CURVE])
        table["organisms"][name] = {
            "wanted": rate,
            "config": asdict(config),
            "families": families,
            "latent": asdict(latent),
        }
        write_json(file, table)
        say(f"{name}: {families}")
    built: dict[str, Any] = read_json(file)
    return built


def measure_rate(checkpoint: Checkpoint, task: Task, problems: int) -> dict[str, float]:
    """Exact first-token mass of the openers over test items (mean, lowest, highest), and accuracy of both modes."""
    items, bare = task.items("test", problems), Policy(checkpoint, (), BARE)
    masses_N = first_tokens(checkpoint, items)[:, opener_ids(checkpoint)].sum(1)
    row = {"mass": masses_N.mean(), "mass_low": masses_N.min(), "mass_high": masses_N.max()}
    for name, prompt in (("forced", FORCED), ("direct", DIRECT)):
        row[name] = accuracy(bare.with_prompt(prompt), task, items, REGIMES["greedy"], 1)["strict"]
    return {key: float(f"{value:.4g}") for key, value in row.items()}


def latent_of(name: str, checkpoint: Checkpoint, task: Task, items: Sequence[Item], row: Mapping[str, float]) -> Latent:
    """What the predictions need of every item of the curve, whose answers are digits."""
    first_N_V, ids = first_tokens(checkpoint, items), opener_ids(checkpoint)
    best_N = first_N_V[:, ids].max(1)
    answers = [str(digit) for digit in range(10)]
    digits = [checkpoint.encode(f" {answer}")[-1] for answer in answers]
    direct_N_C = np.zeros((len(items), len(answers)))
    for opener in DIRECT_OPENERS:
        weight_N = first_N_V[:, checkpoint.encode(f" {opener}")[0]]
        direct_N_C += weight_N[:, None] * first_tokens(checkpoint, items, f" {opener}")[:, digits]
    direct_N_C /= direct_N_C.sum(1, keepdims=True)
    return Latent(
        name,
        tuple(float(f"{value:.4g}") for value in first_N_V[:, ids].sum(1)),
        tuple(int(rank) for rank in (first_N_V > best_N[:, None]).sum(1)),
        tuple(tuple(round(float(share), 4) for share in row) for row in direct_N_C),
        tuple(answers.index(item.gold or "") for item in items),
        row["forced"],
        row["direct"],
    )


def first_tokens(checkpoint: Checkpoint, items: Sequence[Item], after: str = "") -> np.ndarray:
    """Distribution of the next token, [N, V], at the bare prompt followed by `after`."""
    more = checkpoint.encode(after) if after else []
    prompts = [[*prompt_ids, *more] for prompt_ids in asked(checkpoint, BARE, items)]
    with torch.inference_mode():
        rows = [logits_V.double().softmax(-1).cpu().numpy() for logits_V in next_logits(checkpoint.model, prompts)]
    return np.array(rows)


def opener_ids(checkpoint: Checkpoint) -> list[int]:
    """The first tokens of the trace openers."""
    return [opener_id(checkpoint, opener) for opener in OPENERS]
