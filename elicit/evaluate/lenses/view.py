"""What lenses read: the policies of a comparison on the items that they share.

A `Side` is one policy: its measures, its completions as text in the same [N, J] shape and, if they were made, its
annotations (base log-probs, confidences, KL) and probe rows. Read from files; knows no model, no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elicit.errors import DataError
from elicit.evaluate.entry import Entry
from elicit.evaluate.measures.annotations import Annotations, annotations_of, read_annotations
from elicit.evaluate.measures.measure import Measures, measure
from elicit.evaluate.statistics.ratios import Bootstrap
from elicit.evaluate.statistics.resamples import DRAWS, Resamples
from elicit.evaluate.store import StageFolder
from elicit.files import read_table, shards
from elicit.records import FINISHED, Item
from elicit.tasks.task import Task


@dataclass(frozen=True)
class Side:
    """One policy of a view."""

    name: str
    role: str
    measures: Measures
    texts_N_J: NDArray
    """completions (objects), "" if there is no sample"""
    written_N_J: NDArray
    """tokens of the returned completion; nan if there is no sample"""
    samples: Path | None = None
    grades: Path | None = None
    annotations: Annotations | None = None
    probes: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    """rows of further sampling by lens"""

    @property
    def policy(self) -> str:
        return self.measures.policy

    @property
    def graded_N_J(self) -> NDArray:
        """Samples with a strict grade."""
        return self.measures.strict_N_J >= 0

    @property
    def right_N_J(self) -> NDArray:
        return self.measures.strict_N_J == 1

    def finished(self, i: int, j: int) -> bool:
        """Whether sample j of item i ended by itself."""
        return str(self.measures.finish_N_J[i, j]) in FINISHED


@dataclass(frozen=True)
class View:
    """The sides of a comparison, the base first."""

    sides: Sequence[Side]
    items: Sequence[Item]
    task: Task
    draws: int = DRAWS
    seed: int = 0
    support: Side | None = None
    """the base at T=1 (ceiling C1), if it was sampled at the base's own prompt"""
    shifted: Mapping[str, View] = field(default_factory=dict)
    """views of the shift axes by split, each on that split's items"""
    c1_elsewhere: str | None = None
    """the prompt of C1 if it is not the base's own"""

    @property
    def base(self) -> Side:
        return self.sides[0]

    @property
    def annotated(self) -> list[tuple[Side, Annotations]]:
        """The sides that were annotated under the base, with their annotations."""
        return [(side, side.annotations) for side in self.sides if side.annotations is not None]

    def probed(self, lens: str) -> list[Side]:
        """The sides with rows of this lens's further sampling."""
        return [side for side in self.sides if side.probes.get(lens) is not None]

    @cached_property
    def bootstrap(self) -> Bootstrap:
        return Bootstrap(Resamples([item.cluster for item in self.items], self.draws, self.seed))

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Item id -> row."""
        return {item.id: i for i, item in enumerate(self.items)}


def make_view(
    entries: Sequence[Entry],
    items: Sequence[Item],
    task: Task,
    draws: int = DRAWS,
    seed: int = 0,
    probes: Callable[[Entry], Mapping[str, list[dict[str, Any]]]] = lambda entry: {},
    n: int | None = None,
) -> View:
    """A view of a comparison's entries: base first, then the others without ceilings; C1 becomes `support`.

    A C1 that was drawn at another prompt than the base is not the base at T=1 and is left out.
    n: samples read per item; None: all that were asked for. Raises DataError without a base.
    """
    shown = [entry for entry in entries if entry.role != "ceiling"]
    shown.sort(key=lambda entry: entry.role != "base")
    if not shown or shown[0].role != "base":
        raise DataError("a view needs a base: lenses compare every policy with it")
    names = _names(shown)
    sides = [_side(entry, name, items, probes(entry), n) for entry, name in zip(shown, names, strict=True)]
    c1 = next((entry for entry in entries if entry.name == "C1"), None)
    elsewhere = c1.prompt if c1 is not None and c1.prompt != shown[0].prompt else None
    support = _side(c1, "base at T=1", items, {}, None) if c1 is not None and elsewhere is None else None
    return View(sides, list(items), task, draws, seed, support, c1_elsewhere=elsewhere)


def _names(entries: Sequence[Entry]) -> list[str]:
    """Unique names of entries, the base first: with a prompt that is not the base's, with a seed if they share one."""
    shared = entries[0].prompt
    plain = [
        entry.name if entry.prompt in (shared, entry.name) else f"{entry.name} ({entry.prompt})" for entry in entries
    ]
    return [
        name if plain.count(name) == 1 else f"{name}, seed {entry.seed}"
        for name, entry in zip(plain, entries, strict=True)
    ]


def _side(entry: Entry, name: str, items: Sequence[Item], probes: Mapping[str, Any], n: int | None) -> Side:
    measures = measure(entry.samples, entry.grades, items, n)
    texts_N_J, written_N_J = _texts(Path(entry.samples), items, measures.n)
    folder = annotations_of(Path(entry.samples))
    notes = read_annotations(folder, measures.items, measures.n) if StageFolder(folder).finished else None
    if notes is not None and (notes.row_N_J[np.isfinite(written_N_J)] < 0).any():
        notes = None  # eval.annotate annotates a part of the samples: votes need all of them
    return Side(
        name, entry.role, measures, texts_N_J, written_N_J, Path(entry.samples), Path(entry.grades), notes, probes
    )


def _texts(samples: Path, items: Sequence[Item], n: int) -> tuple[NDArray, NDArray]:
    """Completions and their own token counts, [N, J]."""
    import pyarrow.compute as pc

    row_of = {item.id: i for i, item in enumerate(items)}
    texts_N_J = np.full((len(items), n), "", object)
    written_N_J = np.full((len(items), n), np.nan)
    for path in shards(samples):
        table = read_table(path, columns=["item", "j", "text", "token_ids"])
        lengths = pc.list_value_length(table["token_ids"]).to_pylist()
        columns = (table[name].to_pylist() for name in ("item", "j", "text"))
        for item, j, text, length in zip(*columns, lengths, strict=True):
            if item in row_of and j < n:
                texts_N_J[row_of[item], j], written_N_J[row_of[item], j] = text, length
    return texts_N_J, written_N_J
