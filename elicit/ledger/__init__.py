"""The door to data: what a method may read, what it used, and the data class that follows."""

from elicit.ledger.classes import beyond_prompt, data_class, load_rows, prompt_rows, summary
from elicit.ledger.ledger import OPEN_SPLITS, Budget, Ledger, Spent, refuse_used
from elicit.tasks.view import TaskView

__all__ = [
    "OPEN_SPLITS",
    "Budget",
    "Ledger",
    "Spent",
    "TaskView",
    "beyond_prompt",
    "data_class",
    "load_rows",
    "prompt_rows",
    "refuse_used",
    "summary",
]
