"""Critiques that were made elsewhere: JSONL rows of our own form, or of the published CFT data sets.

    {"question": ..., "response": ..., "critique": ..., "verdict": "right" | "wrong", "author": ..., "licence": ...}
    {"instruction": ..., "input": "Question:\\n...\\nSolution:\\n...", "output": "... Conclusion: wrong [END]"}

The second is what TIGER-AI-Lab's CritiqueFineTuning writes for WebInstruct (arXiv 2501.17703); its verdict is read from
the critique, author and licence come from the settings. Also the file critic. A teacher is never called from here: a
script that reads {question, response} and writes rows of the first form is all that is needed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from elicit.errors import ConfigError, DataError, MethodError
from elicit.files import content_hash
from elicit.reading import parse_json
from elicit.tasks.review import read_verdict
from methods.critique_ft.records import Critic, Example, balanced

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.policy import Policy
    from methods.critique_ft.records import Response

Broken = Literal["refuse", "skip"]
VERDICTS = {"right": True, "correct": True, "wrong": False, "incorrect": False}
PUBLISHED = ("instruction", "input", "output")
_INPUT = re.compile(r"\s*Question:\s*(?P<question>.*?)\s*\n\s*Solution:\s*(?P<response>.*?)\s*", re.DOTALL)


@dataclass(frozen=True)
class CritiqueRow:
    """One critique of a file."""

    question: str
    response: str
    critique: str
    right: bool
    author: str
    licence: str


@dataclass(frozen=True)
class FileCritic(Critic):
    """Critiques out of a file; it brings its own responses."""

    path: Path = Path()
    """JSONL, see the head of this module"""
    limit: int | None = None
    """rows to read; null: all (a balanced choice of `rows` is trained on)"""
    author: str | None = None
    """who wrote the critiques, for rows without an author"""
    licence: str | None = None
    """for rows without a licence"""
    broken: Broken = "refuse"
    """what happens to a row that can't be used: `refuse` it with its line, or `skip` and count it"""

    @property
    def brings_responses(self) -> bool:
        """Yes: its rows have them."""
        return True

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit={self.limit}: null, or at least 1")

    def examples(
        self, policy: Policy, ledger: Ledger, context: Context, responses: Sequence[Response], rows: int
    ) -> list[Example]:
        """Raises DataError with the line of a broken row, MethodError if no critique states a verdict."""
        skipped: list[str] = []

        def read(number: int, line: str) -> CritiqueRow | None:
            try:
                return self.read(number, line)
            except DataError as fault:
                skip_or_raise(fault, self.broken, skipped)
                return None

        rows_read = ledger.foreign_rows(self.path, read, self.limit)
        authors = Counter(row.author for row in rows_read)
        context.log({"critique_ft/file_rows": len(rows_read), "critique_ft/skipped": len(skipped)})
        for line in skipped[:3]:
            context.say(f"critique_ft: skipped {line}")
        if not any(read_verdict(row.critique) is not None for row in rows_read):
            raise MethodError(
                f"{self.path}: none of {len(rows_read)} critiques states a verdict ({len(skipped)} rows were skipped): "
                'let each state "The proposed answer is right." (or wrong), or end in "Conclusion: right"'
            )
        context.say(
            f"critique_ft: {len(rows_read)} critiques by {', '.join(f'{a} ({n})' for a, n in authors.most_common(3))}"
        )
        chosen = balanced([row.right for row in rows_read], rows, context.rng)
        return [example_of(rows_read[place]) for place in chosen]

    def read(self, number: int, line: str) -> CritiqueRow:
        """One row. Raises DataError with the line and the reason."""
        row = object_of(self.path, number, line)
        if all(name in row for name in PUBLISHED) and "critique" not in row:
            row = from_published(self.path, number, row)
        row = {"author": self.author, "licence": self.licence} | {k: v for k, v in row.items() if v is not None}
        question, response, critique, author, licence = texts_of(
            self.path, number, row, ("question", "response", "critique", "author", "licence")
        )
        return CritiqueRow(question, response, critique, verdict_of(self.path, number, row), author, licence)


def example_of(row: CritiqueRow) -> Example:
    """The example that a row makes."""
    key = content_hash(" ".join(row.question.split()))
    return Example(key, row.question, row.response, f" {row.critique.strip()}", row.right)


def verdict_of(path: Path, number: int, row: dict[str, Any]) -> bool:
    """The verdict of a row: stated, or read from the critique; both must agree."""
    written, stated = read_verdict(row["critique"]), row.get("verdict")
    if isinstance(stated, str) and stated.strip().lower() in VERDICTS:
        stated = VERDICTS[stated.strip().lower()]
    if stated is None and written is None:
        raise DataError(f"{path}, line {number}: no verdict, neither as a field nor in the critique")
    if stated is not None and not isinstance(stated, bool):
        raise DataError(f"{path}, line {number}: verdict={stated!r}: one of {', '.join(VERDICTS)}, true or false")
    if stated is not None and written is not None and stated is not written:
        raise DataError(f"{path}, line {number}: verdict={row['verdict']!r}, but the critique states the opposite")
    return bool(written if stated is None else stated)


def from_published(path: Path, number: int, row: dict[str, Any]) -> dict[str, Any]:
    """A row of the published CFT data sets in our own form."""
    read = _INPUT.fullmatch(row["input"]) if isinstance(row["input"], str) else None
    if read is None or not isinstance(row["output"], str):
        raise DataError(f"{path}, line {number}: input is not 'Question: ... Solution: ...', or output is no text")
    critique = row["output"].strip().removeprefix("Critique:").removesuffix("[END]").strip()
    origin = {name: row.get(name) for name in ("author", "licence")}
    return {"question": read["question"], "response": read["response"], "critique": critique, **origin}


def object_of(path: Path, number: int, line: str) -> dict[str, Any]:
    """The JSON object of a line. Raises DataError with line and reason."""
    row: dict[str, Any] = parse_json(line, f"{path}, line {number}")
    return row


def texts_of(path: Path, number: int, row: dict[str, Any], names: Sequence[str]) -> list[str]:
    """Fields that must be texts with something in them. Raises DataError that names the first that is not."""
    for name in names:
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise DataError(f"{path}, line {number}: {name}={row.get(name)!r}: expected a text that is not empty")
    return [row[name] for name in names]


def fields_of(path: Path, number: int, line: str, names: Sequence[str]) -> list[str]:
    """The texts of a line's fields. Raises DataError with line and reason."""
    return texts_of(path, number, object_of(path, number, line), names)


def skip_or_raise(fault: DataError, broken: Broken, skipped: list[str]) -> None:
    """Count a broken row if rows may be skipped; otherwise raise the fault again, with the remedy."""
    if broken != "skip":
        raise DataError(f"{fault}; fix the row, or set broken=skip") from None
    skipped.append(str(fault))
