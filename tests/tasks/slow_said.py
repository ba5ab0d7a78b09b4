"""A task that hangs on one answer, importable by the grading processes (not a test)."""

import time
from dataclasses import dataclass

from elicit.tasks.natural.jsonl import Jsonl
from elicit.tasks.task import Judgement


@dataclass(frozen=True)
class HangsOnAnswer(Jsonl):
    """Its grading of what is said hangs on `\\tan x` and finds everything else wrong."""

    def grade_said(self, said):
        if "tan" in said.box:
            time.sleep(600)
        return Judgement(False, False, said.box, None)
