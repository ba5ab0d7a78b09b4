"""Jobs that wait for a slot, by prefix (prompt and forced tokens): equal prefixes are computed once.

Prefixes are computed in groups, the longest first: then every later one fits before the write column of the cache. A
prefix whose keys and values a job brings along (`PathJob.kept`) is cropped from those instead of computed again. Knows
nothing of slots, endings or random numbers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from elicit.policy.decoding import Kept, PathJob, PickRule
from elicit.sampling.loop.engine import Prefilled
from elicit.sampling.loop.forward import Prefix

if TYPE_CHECKING:
    from elicit.sampling.loop.step_loop import StepLoop

PREFILL_ROWS = 32
PREFILL_TOKENS = 4096
PREFILL_LOGITS = 2**25
"""limits of one prefill pass: prefixes, tokens with padding, elements of the logits that it keeps"""
RESUME_ROWS = 256
RESUME_TOKENS = 8192
"""limits of one pass over kept keys and values, one token per prefix"""


class Queue:
    """The waiting jobs of one run; false once there are none."""

    def __init__(self, loop: StepLoop, jobs: Sequence[PathJob], rule: PickRule, budget: int) -> None:
        self.engine, self.vocabulary, self.alpha = loop.engine, loop.vocabulary, rule.alpha
        self.waiting: dict[Prefix, list[int]] = {}
        """places of the jobs of each prefix that is not computed yet"""
        self.kept: dict[Prefix, Kept] = {}
        """keys and values that some job of the prefix brings along"""
        self.budget, self.prefixes = budget, deque[Prefix]()
        for place, job in enumerate(jobs):
            self.add(place, job)
        self.prefixes = deque(sorted(self.waiting, key=lambda prefix: (-_tokens(prefix), prefix)))
        self.ready: deque[tuple[int, int, Prefilled]] = deque()
        """(job, row of its prefix, the group of prefixes computed with it): waiting for a slot. All of one group"""

    def add(self, place: int, job: PathJob) -> None:
        """One more waiting job, the last in turn."""
        prefix = tuple(job.prompt_ids), tuple(job.forced[: self.budget])
        if prefix not in self.waiting:
            self.prefixes.append(prefix)
        self.waiting.setdefault(prefix, []).append(place)
        if job.kept is not None and job.kept.serves(self.alpha):
            self.kept[prefix] = job.kept

    def __bool__(self) -> bool:
        return bool(self.ready or self.prefixes)

    def prefilled(self) -> Prefilled:
        """The group of prefixes that the `ready` jobs belong to; if no job is ready, the next group is computed."""
        if not self.ready:
            if self.prefixes[0] in self.kept:
                group = self._next_kept()
                done = self.engine.resume(group, [self.kept.pop(prefix) for prefix in group])
            else:
                group = self._next()
                done = self.engine.prefill(group, self.alpha)
            self.ready.extend((job, row, done) for row, prefix in enumerate(group) for job in self.waiting.pop(prefix))
        return self.ready[0][2]

    def _next(self) -> list[Prefix]:
        """The next prefixes that fit into one prefill pass."""
        group: list[Prefix] = []
        width = keep = 0
        while self.prefixes and self.prefixes[0] not in self.kept and len(group) < PREFILL_ROWS:
            width, keep = max(width, _tokens(self.prefixes[0])), max(keep, 1 + len(self.prefixes[0][1]))
            rows = len(group) + 1
            if group and (rows * width > PREFILL_TOKENS or rows * keep * self.vocabulary > PREFILL_LOGITS):
                break
            group.append(self.prefixes.popleft())
        return group

    def _next_kept(self) -> list[Prefix]:
        """The next prefixes with kept keys and values, within the limits of one pass."""
        group: list[Prefix] = []
        width = _tokens(self.prefixes[0])
        most = min(RESUME_ROWS, max(1, RESUME_TOKENS // width), max(1, PREFILL_LOGITS // self.vocabulary))
        while self.prefixes and self.prefixes[0] in self.kept and len(group) < most:
            group.append(self.prefixes.popleft())
        return group


def _tokens(prefix: Prefix) -> int:
    return sum(map(len, prefix))
