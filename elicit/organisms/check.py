"""Measure organisms and compare them with their required properties: the table of the data card.

What this module does not know: what is measured (`measure*.py`) and what is required (`properties.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from elicit.files import read_json, write_json
from elicit.organisms.measure import BY_SIZE, measure_modes
from elicit.organisms.measure_decoy import measure_decoy
from elicit.organisms.measure_forms import measure_forms
from elicit.organisms.properties import Property, properties
from elicit.organisms.truth import CHECKPOINTS, shipped
from elicit.policy.checkpoint import Checkpoint, CheckpointConfig, load_checkpoint
from elicit.policy.policy import BARE, Policy
from elicit.tasks.task import Task


def measure_family(kind: str, checkpoint: Checkpoint, task: Task, problems: int, samples: int = 4) -> dict[str, float]:
    """The row of one family on `problems` test items, with `samples` completions of each outside of greedy decoding."""
    bare, items = Policy(checkpoint, (), BARE), task.items("test", problems)
    row = measure_modes(bare, task, items, task.items("train", BY_SIZE * problems), samples)
    if kind == "format_twin":
        row |= measure_forms(bare, task, items, samples)
    if kind == "decoy":
        row |= measure_decoy(bare, task, items, samples)
    return {name: round(float(value), 4) for name, value in row.items()}


def check_organisms(
    tasks: Mapping[str, Task],
    say: Callable[[str], None],
    kinds: Sequence[str] = (),
    problems: int = 200,
    folder: Path | None = None,
) -> list[Property]:
    """Measure organisms in `folder` (of the kinds named, or all), update measured.json there, return their properties.

    `folder`: None for the shipped ones. Rows of kinds that are not measured now stay as they are.
    """
    root, out = folder or CHECKPOINTS, []
    file = root / "measured.json"
    table = read_json(file) if file.exists() else {"problems": {}, "rows": {}}
    for kind in kinds or shipped(root):
        checkpoint = load_checkpoint(CheckpointConfig(path=str(root / kind), device="cpu", dtype="float32"))
        rows = {}
        for name, task in tasks.items():
            rows[name] = measure_family(kind, checkpoint, task, problems)
            say(f"{kind}/{name}: {rows[name]}")
        known = {
            n: {key: None if math.isnan(value) else value for key, value in row.items()} for n, row in rows.items()
        }
        table["rows"][kind], table["problems"][kind] = known, problems  # JSON has no NaN
        write_json(file, table)
        out += properties(kind, rows)
    return out
