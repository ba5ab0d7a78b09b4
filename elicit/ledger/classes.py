"""What follows from the rows of a ledger: the data class of a claim, totals, and the rows of a prompt format.

Knows neither tasks nor budgets (`ledger.py`), and not how rows grow (`account.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from elicit.files import content_hash, read_jsonl, record
from elicit.records import LedgerRow
from elicit.tasks.task import PromptFormat

DECLARED = "declared: "
"""begins the source of a row whose data only a statement describes"""


def data_class(rows: Sequence[LedgerRow]) -> str:
    """The data class that follows from rows: the first that applies of unaccounted, declared, L, T, R, V, Z."""
    if any(row.source.startswith("unaccounted") for row in rows):
        return "unaccounted"
    if any(row.source.startswith(DECLARED) for row in rows):
        return "declared"
    if any(row.stage == "infer" and (row.teacher_calls or row.label_bits) for row in rows):
        return "L"
    if any(row.foreign_tokens for row in rows):
        return "T"
    if any(row.stage == "train" and row.label_bits for row in rows):
        return "R"
    if any(row.own_activations or row.source == "own samples" for row in rows):
        return "V"
    return "Z"


def summary(rows: Sequence[LedgerRow]) -> dict[str, int]:
    """Totals of a ledger as the scorecard shows them."""
    return {
        "label_bits": sum(row.label_bits for row in rows if row.stage != "select"),
        "select_bits": sum(row.label_bits for row in rows if row.stage == "select"),
        "foreign_tokens": sum(row.foreign_tokens for row in rows),
        "own_activations": sum(row.own_activations for row in rows),
        "overlap_exact": len({item for row in rows for item in row.overlap_exact}),
        "overlap_run": len({item for row in rows for item in row.overlap_run}),
    }


def prompt_rows(method: str, prompt: PromptFormat) -> list[LedgerRow]:
    """The rows that a prompt format costs by itself: few-shot exemplars are text by people."""
    if not prompt.exemplars:
        return []
    texts = [part for exemplar in prompt.exemplars for part in exemplar]
    tokens = sum(len(text.split()) for text in texts)
    return [LedgerRow(method, "prompt", f"exemplars of {prompt.name}", content_hash(texts), "-", 0, 0, tokens, 0, 0)]


def beyond_prompt(rows: Sequence[LedgerRow], shared: PromptFormat) -> list[LedgerRow]:
    """The rows without the exemplars of the prompt that base and methods share: a method does not add these.

    Only rows of stage "prompt" with the very text of an exemplar. A method that trains on the same text adds it.
    """
    given = {content_hash(part) for exemplar in shared.exemplars for part in exemplar}
    return [row for row in rows if row.stage != "prompt" or row.content_hash not in given]


def load_rows(path: Path) -> list[LedgerRow]:
    """The rows of a ledger.jsonl."""
    return [record(LedgerRow, row, f"{path}, line {number}") for number, row in read_jsonl(path)]
