"""Views made by hand: texts with known grades, on real formal tasks, without files or models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from elicit.evaluate.lenses.view import Side, View
from elicit.evaluate.measures.annotations import Annotations
from elicit.evaluate.measures.measure import MISSING, Measures
from elicit.evaluate.measures.ragged import Ragged
from elicit.records import Item
from elicit.tasks.formal.task import FormalTask

CHAIN = FormalTask(family="chain", n_train=10, n_dev=10, n_test=60)


def right_text(item: Item, task: Any = CHAIN) -> str:
    """The gold completion."""
    return task.gold_completion(item)


def side(
    name: str,
    items: Sequence[Item],
    texts: Sequence[Sequence[str | None]],
    task: Any = CHAIN,
    role: str = "method",
    regime: str = "compare",
    **more: Any,
) -> Side:
    """One policy: texts by item and sample, graded by the task; None is a missing sample."""
    shape = (len(items), max(len(row) for row in texts))
    strict, valid, classes = np.full(shape, MISSING, np.int8), np.full(shape, -1, np.int8), np.full(shape, -1)
    written, finish, kept = np.full(shape, np.nan), np.full(shape, "", "<U12"), np.full(shape, "", object)
    names: dict[str, int] = {}
    for i, (item, row) in enumerate(zip(items, texts, strict=True)):
        for j, text in enumerate(row):
            if text is None:
                continue
            judged = task.grade(item, text, True)
            strict[i, j] = -1 if judged.strict is None else int(judged.strict)
            valid[i, j] = int(task.validate(item, text) is None) if task.has_validator else -1
            if judged.answer_class is not None:
                classes[i, j] = names.setdefault(judged.answer_class, len(names))
            written[i, j], finish[i, j], kept[i, j] = len(text.split()), "eos", text
    measures = Measures(
        name, regime, tuple(item.id for item in items), np.array([item.cluster for item in items]), strict,
        strict.copy(),
        classes, tuple(names), valid, finish, kept == "", written, np.zeros(shape),
    )  # fmt: skip
    return Side(name, role, measures, kept, written, **more)


def view(sides: Sequence[Side], items: Sequence[Item], task: Any = CHAIN, draws: int = 500, **more: Any) -> View:
    return View(list(sides), list(items), task, draws, **more)


def annotations(of: Side, values: Sequence[Sequence[Sequence[float]]], **more: Any) -> Annotations:
    """Token values by item and sample, the same for confidences, negated log-probs and KL unless given."""
    flat = [np.asarray(tokens, float) for row in values for tokens in row]
    row_N_J = np.arange(len(flat)).reshape(len(values), -1)
    parts = {
        "base_logprobs": Ragged.of([-tokens for tokens in flat]),
        "base_ranks": Ragged.of([np.zeros(len(tokens)) for tokens in flat]),
        "confidences": Ragged.of(flat),
        "kl": Ragged.of(flat),
    }
    rest = {"selecting": False, "independent": False, "prompt_nll_N": np.full(len(values), np.nan), "chains": {}}
    return Annotations(of.policy, "base", row_N_J=row_N_J, **{**parts, **rest, **more})
