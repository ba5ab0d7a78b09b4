"""measure: sample and grade shards -> arrays by item and sample index.

    strict_N_J    1 right, 0 wrong, -1 ungraded, -2 no sample
    n             samples wanted of each item: a missing one stays in n and counts as not right
                  an ungraded one leaves n (it is unknown, not wrong) and is reported

Three readings of a sample, each of which accepts whatever the one before it accepts (`Measures.read`):

    strict     the last declaration of a finished completion
    lenient    strict, or what is read from the end of the completion, declared or not
    any        lenient, or the first complete declaration, however the completion goes on

so that strict <= lenient <= any holds for every sample, whatever the graders say. What a policy gains from strict to
lenient is declaring its answer, what it gains from lenient to any is stopping after it.

Everything later is numpy on these arrays: a new metric never grades again. No torch, no text but emptiness.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from elicit.errors import DataError, StageError
from elicit.evaluate.store import SampleFolder
from elicit.files import shards, verified
from elicit.records import SCHEMA, Item

UNGRADED, MISSING = -1, -2
Reading = Literal["strict", "lenient", "any"]
READINGS: tuple[Reading, ...] = ("strict", "lenient", "any")
"""in the order in which each accepts what the one before accepts"""


@dataclass(frozen=True)
class Measures:
    """What one policy did on N items, J samples each."""

    policy: str
    regime: str
    items: tuple[str, ...]
    clusters_N: NDArray
    strict_N_J: NDArray
    """1 right, 0 wrong, -1 ungraded, -2 no sample"""
    lenient_N_J: NDArray
    classes_N_J: NDArray
    """answer class as a number of `class_names`, -1 where there is no answer"""
    class_names: tuple[str, ...]
    valid_N_J: NDArray
    """1 valid trace, 0 not, -1 no validator, ungraded or no sample"""
    finish_N_J: NDArray
    """name of the ending, "" where there is no sample"""
    empty_N_J: NDArray
    """True where the completion is blank"""
    tokens_N_J: NDArray
    """all tokens generated for the answer; nan where there is no sample"""
    aux_N_J: NDArray
    certainty_N_J: NDArray | None = None
    """self-certainty of the completion; nan without a sample or a token, None if the folder has no such column"""
    first_N_J: NDArray | None = None
    """first complete declaration: 1 right, 0 wrong, -1 not known, -2 no sample; None: the folder has no such grade"""

    @property
    def n(self) -> int:
        return self.strict_N_J.shape[1]

    @property
    def right_N(self) -> NDArray:
        """c_i: strictly right samples."""
        return (self.strict_N_J == 1).sum(1)

    @property
    def total_N(self) -> NDArray:
        """n_i: samples that count, missing ones included, ungraded ones not."""
        return (self.strict_N_J != UNGRADED).sum(1)

    @property
    def has_validator(self) -> bool:
        return bool((self.valid_N_J >= 0).any())

    def read(self, reading: Reading) -> NDArray:
        """Grades by item and sample under one reading: 1 right, 0 wrong, -1 unknown, -2 no sample.

        Unknown if any of the grades that the reading takes in is unknown. Raises DataError for the reading `any` of
        grades without a first declaration.
        """
        taken = [self.strict_N_J, self.lenient_N_J][: 1 + (reading != "strict")]
        if reading == "any":
            if self.first_N_J is None:
                raise DataError(f"{self.policy}: no grade of the first declaration; grade again (elicit score)")
            taken.append(self.first_N_J)
        right_N_J = np.any([grades_N_J == 1 for grades_N_J in taken], axis=0).astype(np.int8)
        for blank in (UNGRADED, MISSING):
            right_N_J[np.any([grades_N_J == blank for grades_N_J in taken], axis=0)] = blank
        return right_N_J

    def at(self, index_N: Sequence[int]) -> Measures:
        """These items only, in this order."""
        index = np.asarray(index_N, int)
        arrays = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if "_N" in f.name}
        part = {name: values[index] for name, values in arrays.items() if values is not None}
        return dataclasses.replace(self, items=tuple(self.items[i] for i in index), **part)


def measure(samples: Path, grades: Path, items: Sequence[Item], n: int | None = None) -> Measures:
    """Arrays of one policy from its sample and grade folders.

    n: samples wanted of each item; None: as many as the folder's manifest says were asked for.
    Raises StageError where the items were not sampled or not graded, DataError on contradictory rows.
    """
    order = {item.id: i for i, item in enumerate(items)}
    if len(order) != len(items) or not items:
        raise DataError(f"{len(items)} items, {len(order)} of them different: give each item once, at least one")
    sampled = _table(
        samples,
        order,
        ["policy", "regime", "item", "j", "finish", "text", "total_tokens", "aux_forward_tokens"],
        optional=["self_certainty"],
    )
    graded = _table(grades, order, ["item", "j", "strict", "lenient", "answer_class", "valid"], optional=["first"])
    if sampled is None:
        raise StageError(f"{samples}: no sample of these {len(items)} items; generate them first (elicit resume)")
    owners = sampled[["policy", "regime"]].drop_duplicates().values.tolist()
    if len(owners) != 1:
        raise DataError(f"{samples}: samples of several policies or regimes {owners[:3]}; one folder holds one")
    n = n or SampleFolder(samples).samples_of(set(order)) or int(sampled["j"].max()) + 1
    sampled = sampled[sampled["j"] < n]
    if graded is None:
        raise StageError(f"{grades}: no grades of these items; grade first (elicit score)")
    rows = sampled.merge(graded[graded["j"] < n], on=["item", "j"], how="outer", indicator=True)
    for side, text in (("left_only", "samples without a grade"), ("right_only", "grades without a sample")):
        if count := int((rows["_merge"] == side).sum()):
            raise StageError(f"{grades}: {count} {text} in {samples}; grade again (elicit score)")
    return _arrays(rows, items, order, n, *owners[0])


def _arrays(rows: Any, items: Sequence[Item], order: dict[str, int], n: int, policy: str, regime: str) -> Measures:
    at = (rows["item"].map(order).to_numpy(), rows["j"].to_numpy(int))
    shape = (len(items), n)

    def spread(values: Any, blank: Any, kind: Any) -> NDArray:
        out = np.full(shape, blank, dtype=kind)
        out[at] = np.asarray(values)
        return out

    names = sorted({name for name in rows["answer_class"] if isinstance(name, str)})
    codes = {name: i for i, name in enumerate(names)}
    certainty = rows["self_certainty"].astype(float)
    return Measures(
        policy=policy,
        regime=regime,
        items=tuple(order),
        clusters_N=np.array([item.cluster for item in items]),
        strict_N_J=spread(_ternary(rows["strict"]), MISSING, np.int8),
        lenient_N_J=spread(_ternary(rows["lenient"]), MISSING, np.int8),
        classes_N_J=spread(rows["answer_class"].map(codes).fillna(-1), -1, np.int32),
        class_names=tuple(names),
        valid_N_J=spread(_ternary(rows["valid"]), -1, np.int8),
        finish_N_J=spread(rows["finish"].astype(str), "", "<U12"),
        empty_N_J=spread(rows["text"].astype(str).str.strip() == "", False, bool),
        tokens_N_J=spread(rows["total_tokens"], np.nan, float),
        aux_N_J=spread(rows["aux_forward_tokens"], np.nan, float),
        certainty_N_J=spread(certainty, np.nan, float) if certainty.notna().any() else None,
        first_N_J=spread(_ternary(rows["first"]), MISSING, np.int8) if rows["first"].notna().any() else None,
    )


def _ternary(values: Any) -> NDArray:
    """True, False, unknown -> 1, 0, -1."""
    return values.map({True: 1, False: 0}).astype(float).fillna(UNGRADED).to_numpy(int)


def _table(folder: Path, order: dict[str, int], columns: list[str], optional: Sequence[str] = ()) -> Any:
    """The rows of these items as a data frame, None where there are none. Keys are unique; `optional` may be null."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    tables = []
    for path in shards(folder):
        try:
            file = pq.ParquetFile(verified(path))
            table = file.read(columns=[*columns, *(name for name in optional if name in file.schema_arrow.names)])
        except (OSError, ValueError) as fault:
            raise DataError(f"{path}: not a readable Parquet file ({fault}); delete it and resume") from None
        if lacking := [name for name in columns if name not in table.column_names]:
            raise DataError(
                f"{path}: no column {', '.join(lacking)}; schema {SCHEMA} is read here, made by another version?"
            )
        tables.append(table)
    if not tables:
        return None
    joined = pa.concat_tables(tables, promote_options="default")
    joined = joined.filter(pc.is_in(joined["item"], pa.array(list(order))))
    frame = joined.to_pandas().reindex(columns=[*columns, *optional])
    if not len(frame):
        return None
    if doubled := int(frame.duplicated(["item", "j"]).sum()):
        raise DataError(f"{folder}: {doubled} rows share their (item, j); delete the folder and redo the stage")
    return frame
