"""BIG-Bench Hard (arXiv 2210.09261): one subtask per task, 250 problems, carved into splits by hash.

    not ( True ) and ( True ) is   ->   False                                                      (boolean_expressions)
    Complete the rest of the sequence, making sure that the parentheses are closed properly. Input: [ [   ->   ] ]

Answers are options, words (yes/no, true/false, valid/invalid), numbers or text, by subtask. Data: `path`, else
$ELICIT_DATA/bbh or ../shared/data/bbh, else the hub.
"""

from __future__ import annotations

from dataclasses import dataclass

from elicit.errors import DataError, near
from elicit.files import read_json
from elicit.records import Item
from elicit.tasks.natural.hub import hub_rows
from elicit.tasks.natural.task import NaturalTask, carve
from elicit.tasks.splits import data_file
from elicit.tasks.task import make_item

_KINDS = {
    "boolean_expressions": "word",
    "causal_judgement": "word",
    "formal_fallacies": "word",
    "navigate": "word",
    "sports_understanding": "word",
    "web_of_lies": "word",
    "multistep_arithmetic_two": "number",
    "object_counting": "number",
    "dyck_languages": "text",
    "word_sorting": "text",
}
"""every other subtask asks for an option"""


@dataclass(frozen=True)
class Bbh(NaturalTask):
    """One subtask of BIG-Bench Hard."""

    subtask: str = "object_counting"
    path: str | None = None
    """a subtask's JSON file; null looks below $ELICIT_DATA and ../shared/data, then on the hub"""
    hub: str = "lukaemon/bbh"
    revision: str | None = None
    dev_share: float = 0.2
    test_share: float = 0.4

    @property
    def name(self) -> str:
        return f"bbh/{self.subtask}"

    @property
    def kind(self) -> str:
        return _KINDS.get(self.subtask, "option")

    def load(self) -> dict[str, list[Item]]:
        local = data_file(self.path, "bbh", f"{self.subtask}.json")
        rows = read_json(local) if local else {"examples": hub_rows(self.hub, self.subtask, "test", self.revision)}
        source = str(local or self.hub)
        if not isinstance(rows, dict) or not isinstance(rows.get("examples"), list):
            fields = near("examples", rows) if isinstance(rows, dict) else "it is a list"
            raise DataError(f"{source}: expected an object with a list `examples`; {fields}")
        items = []
        for number, row in enumerate(rows["examples"], 1):
            if not isinstance(row, dict) or not {"input", "target"} <= set(row):
                raise DataError(f"{source}, example {number}: expected `input` and `target`")
            question = str(row["input"]).strip().removeprefix("Question: ")
            items.append(make_item(self.name, "train", question, str(row["target"]).strip()))
        rest = 1.0 - self.dev_share - self.test_share
        return carve(items, {"train": rest, "dev": self.dev_share, "test": self.test_share})
