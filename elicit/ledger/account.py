"""The rows of a ledger while they grow: counts are added up; items are sorted and hashed only when rows are read.

    (stage, source, licence, content) -> Uses -> records.LedgerRow

Booking one more use costs O(new items), not O(all items). What this module does not know: tasks, budgets, who may use
what (`ledger.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from elicit.files import content_hash
from elicit.records import LedgerRow

COUNTS = ("label_bits", "foreign_tokens", "own_activations", "teacher_calls")
Key = tuple[str, str, str, str]
"""stage, source, licence, and the hash of the content ("" if the items are the content)"""


@dataclass
class Uses:
    """The sums of one row so far; fields as in `records.LedgerRow`."""

    label_bits: int = 0
    foreign_tokens: int = 0
    own_activations: int = 0
    teacher_calls: int = 0
    items: set[str] = field(default_factory=set)
    overlap_exact: set[str] = field(default_factory=set)
    overlap_run: set[str] = field(default_factory=set)

    def see(self, items: Iterable[str], overlap_exact: Iterable[str], overlap_run: Iterable[str]) -> None:
        """Add ids to the sets."""
        self.items.update(items)
        self.overlap_exact.update(overlap_exact)
        self.overlap_run.update(overlap_run)

    def row(self, method: str, key: Key) -> LedgerRow:
        """The row as it is written."""
        stage, source, licence, content = key
        items = sorted(self.items)
        counts = {name: getattr(self, name) for name in COUNTS}
        return LedgerRow(
            method,
            stage,
            source,
            content or content_hash(items),
            licence,
            len(items),
            **counts,
            items=items,
            overlap_exact=sorted(self.overlap_exact),
            overlap_run=sorted(self.overlap_run),
        )


class Account:
    """Rows by what was used, in the order of first use."""

    def __init__(self, method: str) -> None:
        self.method = method
        self._uses: dict[Key, Uses] = {}

    def book(
        self,
        key: Key,
        *,
        label_bits: int,
        foreign_tokens: int,
        own_activations: int,
        teacher_calls: int,
        items: Iterable[str],
        overlap_exact: Iterable[str],
        overlap_run: Iterable[str],
    ) -> None:
        """Add to the row of `key`: uses of one kind are one row."""
        uses = self._uses.setdefault(key, Uses())
        uses.label_bits += label_bits
        uses.foreign_tokens += foreign_tokens
        uses.own_activations += own_activations
        uses.teacher_calls += teacher_calls
        uses.see(items, overlap_exact, overlap_run)

    def restore(self, row: LedgerRow) -> None:
        """Take over a saved row of the same fit; if its uses were booked again before, the larger count is kept."""
        content = "" if row.content_hash == content_hash(sorted(row.items)) else row.content_hash
        uses = self._uses.setdefault((row.stage, row.source, row.licence, content), Uses())
        for name in COUNTS:
            setattr(uses, name, max(getattr(uses, name), getattr(row, name)))
        uses.see(row.items, row.overlap_exact, row.overlap_run)

    @property
    def rows(self) -> list[LedgerRow]:
        return [uses.row(self.method, key) for key, uses in self._uses.items()]
