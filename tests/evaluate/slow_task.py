"""Tasks that misbehave on command, importable by the grading processes (not a test)."""

import os
import time
from dataclasses import dataclass

from elicit.tasks.natural.jsonl import Jsonl


@dataclass(frozen=True)
class SlowTask(Jsonl):
    """Hangs, crashes or raises where the completion says so; has no quick grader."""

    grade_quick = None

    def grade(self, item, text, finished):
        if "hang" in text:
            time.sleep(600)
        if "crash" in text:
            os._exit(3)
        if "raise" in text:
            raise RuntimeError("told to")
        return super().grade(item, text, finished)


@dataclass(frozen=True)
class SlowLenient(Jsonl):
    """Decides quickly what it can and hangs on the rest."""

    def grade_pair(self, pair):
        time.sleep(600)
