"""The dev curve of a fine-tuning run: a score at chosen steps, all of them logged, the last and the best named.

Every score reads dev labels (booked as select by the context), even if the last checkpoint is kept and the curve is
for information only. Points are in a file next to the run's checkpoints: a resumed fit takes over their scores and
books their bits again in its own ledger. What this module does not know: losses, trainers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elicit import ranks
from elicit.files import read_json, record, write_json
from elicit.ledger import summary
from elicit.policy.intervention import save
from elicit.policy.policy import load_intervention
from elicit.policy.weights import WeightEdit

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.policy import Policy


@dataclass(frozen=True)
class Point:
    """One score of the curve, a row of points.json."""

    step: int
    score: float
    bits: int
    """label bits that it cost"""
    items: list[str]
    """ids of the dev items that the ledger had booked by then"""


class DevCurve:
    """Scores of edits on top of `policy`, by step. `items`: dev items per score; `name`: prefix of the curves."""

    def __init__(
        self, policy: Policy, ledger: Ledger, context: Context, items: int, name: str, keep_best: bool = False
    ) -> None:
        self.policy, self.ledger, self.context, self.items, self.name = policy, ledger, context, items, name
        self.keep_best = keep_best
        self.folder = Path(context.folder) / f"curve-{name}"
        self.points: dict[int, float] = {}
        """step -> score"""
        for point in self._saved():
            self.points[point.step] = point.score
            if point.bits:
                ledger.selected(point.bits, point.items)
            self._log(point.step, point.score)

    def _saved(self) -> list[Point]:
        """The points of the file; none if it does not exist."""
        file = self.folder / "points.json"
        return [record(Point, row, file) for row in read_json(file)["points"]] if file.exists() else []

    def at(self, steps: int, points: int) -> dict[int, Callable[[WeightEdit], None]]:
        """Calls by step, for `sft.train`: `points` scores at equal distances, the last one at the last step."""
        wanted = sorted({max(1, round(steps * point / points)) for point in range(1, points + 1)})
        return {step: lambda edit, step=step: self.score(step, edit) for step in wanted}  # type: ignore[misc]

    def score(self, step: int, edit: WeightEdit) -> None:
        """Measure one edit, unless this step has a score already."""
        if step in self.points:
            return
        before = summary(self.ledger.rows)["select_bits"]
        score = self.context.dev_score(self.policy.with_intervention(edit), self.items)
        bits = summary(self.ledger.rows)["select_bits"] - before
        if self.keep_best and score > max(self.points.values(), default=-1.0):
            ranks.by_main(lambda: save(edit, self.folder / "best"), "the best edit")
        self.points[step] = score
        items = sorted({item for row in self.ledger.rows if row.stage == "select" for item in row.items})
        if ranks.main():
            write_json(self.folder / "points.json", {"points": [*self._saved(), Point(step, score, bits, items)]})
        self._log(step, score)

    @property
    def best(self) -> tuple[int, float]:
        """(step, score) of the best point, the earliest of equal ones."""
        return max(self.points.items(), key=lambda point: (point[1], -point[0]))

    def best_edit(self) -> WeightEdit:
        """The edit of the best point (with `keep_best`); an edit that changes nothing is a folder without tensors."""
        if not (self.folder / "best" / "tensors.safetensors").exists():
            return WeightEdit()
        edit = load_intervention(self.folder / "best", self.policy.checkpoint)
        assert isinstance(edit, WeightEdit)
        return edit

    def finish(self) -> None:
        """Log the last and the best score."""
        if self.points:
            last = max(self.points)
            step, score = self.best
            row = {"dev_last": self.points[last], "dev_best": score, "dev_best_step": step, "dev_items": self.items}
            self.context.log({f"{self.name}/{key}": value for key, value in row.items()})

    def _log(self, step: int, score: float) -> None:
        self.context.log({f"{self.name}/step": step, f"{self.name}/dev": score})
