"""The result of a comparison as typed records, and its file. What `evaluate` writes and everything after it reads."""

from elicit.results.comparison import (
    Ceiling,
    Column,
    Comparison,
    FamilyTest,
    Line,
    Member,
    Pair,
    Rungs,
    Setup,
    Side,
    Solves,
    Trace,
)
from elicit.results.estimate import Curve, Estimate
from elicit.results.file import SCHEMA, content_of, read_comparison, write_comparison

__all__ = [
    "SCHEMA",
    "Ceiling",
    "Column",
    "Comparison",
    "Curve",
    "Estimate",
    "FamilyTest",
    "Line",
    "Member",
    "Pair",
    "Rungs",
    "Setup",
    "Side",
    "Solves",
    "Trace",
    "content_of",
    "read_comparison",
    "write_comparison",
]
