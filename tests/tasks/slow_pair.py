"""A task that hangs on one answer, importable by the grading processes (not a test)."""

import time
from dataclasses import dataclass

from elicit.tasks.natural.jsonl import Jsonl
from elicit.tasks.task import Judgement


@dataclass(frozen=True)
class HangsOnAnswer(Jsonl):
    """Its comparison hangs on `\\tan x` and finds everything else different."""

    def grade_pair(self, pair):
        if "tan" in pair.answer:
            time.sleep(600)
        return Judgement(False, None, pair.answer, None)
