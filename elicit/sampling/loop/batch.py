"""One run of the step loop: the jobs that wait, the rows that live, the paths that are done.

Rows stand in slots 0..rows-1. While jobs wait, an ended row's slot is refilled; when none wait, the last
living rows move into the freed slots and the batch gets narrower. Host arrays hold what was generated;
the device holds logits, steps and uniforms, and is asked once a settlement.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from elicit.errors import CheckpointError
from elicit.policy.decoding import Job, Kept, Path, PickRule, StepRule
from elicit.records import Finish
from elicit.sampling.loop.engine import CachedEngine, Prefilled, Prefix, UncachedEngine
from elicit.sampling.loop.pick import SCALARS, pick, ranked, scalars
from elicit.sampling.loop.text import StopFinder
from elicit.sampling.loop.uniforms import UniformTable
from elicit.tasks.task import StopRules

PREFILL_ROWS = 32
PREFILL_TOKENS = 4096
PREFILL_LOGITS = 2**25
"""limits of one prefill pass: prefixes, tokens with padding, elements of the logits it keeps"""
RESUME_ROWS = 256
RESUME_TOKENS = 8192
"""limits of one pass that goes on from kept keys and values, one token a prefix"""
ROWS = ("job_S", "live", "steps", "tokens_S_T", "scalars_S_4_T", "tokens_S", "logits_S_V", "device_steps_S")
"""arrays of a batch with a row a slot"""


class Batch:
    """All of one `StepLoop.run`. `flags_V`: tokens after which a row has to be looked at."""

    def __init__(
        self,
        engine: CachedEngine | UncachedEngine,
        jobs: Sequence[Job],
        rule: PickRule,
        stop: StopRules,
        finder: StopFinder,
        eos_ids: Iterable[int],
        slots: int,
        check_every: int,
        vocabulary: int,
        progress: Callable[[int, int], None] | None,
        step_rule: StepRule | None = None,
    ) -> None:
        self.step_rule = step_rule
        self.engine, self.jobs, self.rule, self.stop, self.finder = engine, jobs, rule, stop, finder
        self.slots, self.check_every, self.vocabulary, self.progress = slots, check_every, vocabulary, progress
        self.budget = stop.max_new_tokens
        self.eos_V = np.zeros(vocabulary, dtype=bool)
        self.eos_V[[token for token in eos_ids if token < vocabulary]] = True
        self.flags_V = self.eos_V | finder.may_end_V
        self.paths: list[Path | None] = [None] * len(jobs)
        self.prefixes, self.waiting = _queue(jobs, self.budget)
        self.kept = self._kept()
        self.ready: deque[tuple[int, Prefilled, int]] = deque()
        """(job, its prefix's group, place in the group): prefilled, waiting for a slot"""
        self.rows = 0
        self.tokens_S: torch.Tensor
        self.logits_S_V: torch.Tensor

    def run(self) -> list[Path]:
        """Generate everything."""
        if self.jobs:
            self._open()
            self._admit()
        while self.rows:
            self._advance()
            if not self.live.any() and not self._pending:
                break
            self._narrow()
            if self.live.any():
                self.logits_S_V = self.engine.step(self.tokens_S)
            self._admit()
        return [path for path in self.paths if path is not None]

    @property
    def _pending(self) -> bool:
        return bool(self.ready or self.prefixes)

    def _open(self) -> None:
        """The first prefill tells the shapes; then make the slots."""
        self._prefill()
        span = max(len(job.prompt_ids) for job in self.jobs) + self.budget
        wanted = min(self.slots, len(self.jobs))
        first = self.ready[0][1]
        self.rows = self.engine.allocate(first, wanted, span, refill=len(self.jobs) > wanted)
        device, slots, budget = first.logits_N_V.device, self.rows, self.budget
        self.job_S = np.zeros(slots, dtype=np.int64)
        self.live = np.zeros(slots, dtype=bool)
        self.steps = np.zeros(slots, dtype=np.int64)
        self.tokens_S_T = np.zeros((slots, budget), dtype=np.int64)
        self.scalars_S_4_T = np.zeros((slots, len(SCALARS), budget), dtype=np.float64)
        self.logits_S_V = first.logits_N_V.new_zeros((slots, first.logits_N_V.shape[1]))
        self.tokens_S = torch.zeros(slots, dtype=torch.long, device=device)
        self.device_steps_S = torch.zeros(slots, dtype=torch.long, device=device)
        drawn = self.rule.temperature > 0
        self.uniforms = UniformTable(slots, budget, device) if drawn else None
        self.ranks: dict[int, tuple[int, int]] = {}
        """slot -> (step, rank) of a first token that is to be taken by rank"""

    def _prefill(self) -> None:
        """Compute the next prefixes together, within the limits of one pass, and make their jobs ready."""
        if self.prefixes[0] in self.kept:
            self._resume()
            return
        group: list[Prefix] = []
        width = keep = 0
        while self.prefixes and self.prefixes[0] not in self.kept and len(group) < PREFILL_ROWS:
            prompt, forced = self.prefixes[0]
            width, keep = max(width, len(prompt) + len(forced)), max(keep, 1 + len(forced))
            rows = len(group) + 1
            if group and (rows * width > PREFILL_TOKENS or rows * keep * self.vocabulary > PREFILL_LOGITS):
                break
            group.append(self.prefixes.popleft())
        self._make_ready(group, self.engine.prefill(group, self.rule.alpha))

    def _resume(self) -> None:
        """The same for prefixes whose keys and values were kept."""
        group: list[Prefix] = []
        width = sum(map(len, self.prefixes[0]))
        most = min(RESUME_ROWS, max(1, RESUME_TOKENS // width), max(1, PREFILL_LOGITS // self.vocabulary))
        while self.prefixes and self.prefixes[0] in self.kept and len(group) < most:
            group.append(self.prefixes.popleft())
        self._make_ready(group, self.engine.resume(group, [self.kept.pop(prefix) for prefix in group]))

    def _make_ready(self, group: list[Prefix], done: Prefilled) -> None:
        for place, prefix in enumerate(group):
            self.ready.extend((job, done, place) for job in self.waiting.pop(prefix))

    def _kept(self) -> dict[Prefix, Kept]:
        """Of each prefix that some job brings keys and values for."""
        served = {}
        for job in self.jobs:
            if job.kept is not None and job.kept.serves(self.rule.alpha):
                served[tuple(job.prompt_ids), tuple(job.forced[: self.budget])] = job.kept
        return served

    def _admit(self) -> None:
        """Fill free slots with waiting jobs; few free slots are left alone until they are worth a copy."""
        free = np.nonzero(~self.live)[0].tolist()
        if not self._pending or (self.live.any() and len(free) < max(1, self.rows // 32)):
            return
        empty = not self.live.any()
        while free and self._pending:
            if not self.ready:
                self._prefill()
            group = self.ready[0][1]
            slots, sources = [], []
            while free and self.ready and self.ready[0][1] is group:
                job, _, place = self.ready.popleft()
                if self._seat(job, free[0], group.forced[place]):
                    slots.append(free.pop(0))
                    sources.append(place)
            if slots:
                self._place(group, np.array(sources), np.array(slots), empty)
                empty = False
        self.engine.trim(self.live)

    def _seat(self, job: int, slot: int, forced_scalars: np.ndarray) -> bool:
        """Give a job its slot; False where its forced tokens already end it."""
        forced = self.jobs[job].forced[: self.budget]
        self.job_S[slot], self.steps[slot] = job, 0
        if forced:
            self.tokens_S_T[slot, : len(forced)] = forced
            self.scalars_S_4_T[slot, :, : len(forced)] = forced_scalars[:, : len(forced)]
            self.live[slot] = True
            if self._ended(slot, 0, len(forced)):
                return False
            self.steps[slot] = len(forced)
        self.live[slot] = True
        rank = self.jobs[job].first_rank
        if rank is not None:
            self.ranks[slot] = (len(forced), rank)
        return True

    def _place(self, group: Prefilled, sources: np.ndarray, slots: np.ndarray, empty: bool) -> None:
        """Hand prefilled states, logits and uniforms to the slots."""
        self.engine.admit(group, sources, slots, empty)
        to = torch.as_tensor(slots, device=self.logits_S_V.device)
        self.logits_S_V[to] = group.logits_N_V[torch.as_tensor(sources, device=to.device)]
        self.device_steps_S[to] = torch.as_tensor(self.steps[slots], device=to.device)
        self._draw_ahead(slots, 0)

    def _draw_ahead(self, slots: np.ndarray, place: int) -> None:
        """Make the block of uniforms that holds each slot's step, `place` steps on."""
        if self.uniforms is not None and len(slots):
            jobs = [self.jobs[job] for job in self.job_S[slots]]
            steps = (self.steps[slots] + place).tolist()
            self.uniforms.fill(slots.tolist(), [(job.seed, job.stream) for job in jobs], steps)

    def _advance(self) -> None:
        """Pick up to `check_every` tokens a row (the last one is not forwarded yet), then settle."""
        if not self.live.any():
            return
        chunk = int(min(self.check_every, self.budget - self.steps[self.live].max()))
        tokens, values = [], []
        for place in range(chunk):
            if place:
                self.logits_S_V = self.engine.step(self.tokens_S)
            self.tokens_S = self._pick(place)
            tokens.append(self.tokens_S)
            values.append(scalars(self.logits_S_V, self.tokens_S, self.rule.alpha))
            self.device_steps_S += 1
        self._settle(torch.stack(tokens, 1).cpu().numpy(), torch.stack(values, 2).cpu().numpy())

    def _pick(self, place: int) -> torch.Tensor:
        """Int64 [rows]: each row's next token."""
        numbers = None
        if self.uniforms is not None:
            self._draw_ahead(self._crossing(place), place)
            numbers = self.uniforms.read(self.device_steps_S)
        tokens_S = pick(self.logits_S_V, self.rule, numbers)
        due = [(slot, rank) for slot, (step, rank) in self.ranks.items() if self.steps[slot] + place == step]
        if due:
            slots, ranks = (torch.tensor(column, device=tokens_S.device) for column in zip(*due, strict=True))
            tokens_S[slots] = ranked(self.logits_S_V[slots], ranks)
            self.ranks = {slot: rest for slot, rest in self.ranks.items() if slot not in dict(due)}
        return tokens_S

    def _crossing(self, place: int) -> np.ndarray:
        """Living slots whose block of uniforms is used up."""
        assert self.uniforms is not None
        if self.budget <= self.uniforms.width:
            return np.zeros(0, dtype=np.int64)
        slots = self.uniforms.exhausted(self.steps + place)
        return slots[self.live[slots]]

    def _settle(self, tokens_S_K: np.ndarray, values_4_S_K: np.ndarray) -> None:
        """Write a chunk down and end the rows that are done."""
        chunk = tokens_S_K.shape[1]
        if chunk == 1:
            rows = np.arange(self.rows)
            columns = np.minimum(self.steps, self.budget - 1)
            self.tokens_S_T[rows, columns] = tokens_S_K[:, 0]
            self.scalars_S_4_T[rows, :, columns] = values_4_S_K[:, :, 0].T
        else:
            for slot in np.nonzero(self.live)[0].tolist():
                place = slice(self.steps[slot], self.steps[slot] + chunk)
                self.tokens_S_T[slot, place] = tokens_S_K[slot]
                self.scalars_S_4_T[slot, :, place] = values_4_S_K[:, slot]
        cuts_S = self._cuts(chunk)
        flagged = self.flags_V[tokens_S_K].any(1) | (self.steps + chunk >= self.budget) | (cuts_S > 0)
        for slot in np.nonzero(flagged & self.live)[0].tolist():
            first, cut = int(self.steps[slot]), int(cuts_S[slot])
            if not self._ended(slot, first, cut - 1 if cut else first + chunk) and cut:
                self._done(slot, cut, Finish.CUT, None)
        self.steps += chunk
        self.engine.trim(self.live)

    def _cuts(self, chunk: int) -> np.ndarray:
        """Int64 [rows]: the length at which the step rule cuts each row within this chunk; 0: not at all."""
        if self.step_rule is None:
            return np.zeros(self.rows, dtype=np.int64)
        return self.step_rule.cuts(self.job_S, self.steps, chunk, self.scalars_S_4_T)

    def _ended(self, slot: int, first: int, end: int) -> bool:
        """Look for an ending among steps first..end-1 of a row; where there is one, its path is done."""
        ids = self.tokens_S_T[slot, :end].tolist()
        for step in (np.nonzero(self.flags_V[self.tokens_S_T[slot, first:end]])[0] + first).tolist():
            if self.eos_V[ids[step]]:
                return self._done(slot, step + 1, Finish.EOS, None)
            text = self.finder.cut(ids[: step + 1]) if self.finder.may_end_V[ids[step]] else None
            if text is not None:
                return self._done(slot, step + 1, Finish.STOP, text)
        return end >= self.budget and self._done(slot, self.budget, Finish.LENGTH, None)

    def _done(self, slot: int, length: int, finish: str, text: str | None) -> bool:
        """Build the path of a row and free its slot."""
        job, values = int(self.job_S[slot]), self.scalars_S_4_T[slot, :, :length]
        if np.isnan(values).any():
            raise CheckpointError(
                f"job {job}: NaN in the model's log-probs at step {int(np.isnan(values).any(0).argmax())}; "
                "load the model in float32 or bfloat16, and check the edit's strength"
            )
        ids = self.tokens_S_T[slot, :length].tolist()
        text = self.finder.decoder.decode(ids) if text is None else text
        logprobs, gaps, confidences, log_z = values.tolist()
        self.paths[job] = Path(ids, logprobs, gaps, confidences, log_z, finish, text, self._keep(slot, job, ids))
        self.live[slot] = False
        self.ranks.pop(slot, None)
        if self.progress is not None:
            self.progress(1, length)
        return True

    def _keep(self, slot: int, job: int, ids: list[int]) -> Kept | None:
        """Copy out what was computed of a row that ends, where its job asks for it."""
        asked = self.jobs[job]
        if not asked.keep or len(ids) <= len(asked.forced):  # ended by its forced tokens: it has no columns
            return None
        values = self.scalars_S_4_T[slot, :, : len(ids)].copy()
        prompt = tuple(asked.prompt_ids)
        return self.engine.keep(slot, (*prompt, *ids), len(prompt), values, self.rule.alpha)

    def _narrow(self) -> None:
        """With no job left: move the last living rows into freed slots, a chunk of rows at a time."""
        rows = int(self.live.sum())
        if self._pending or rows == 0 or self.rows - rows < max(1, self.rows // 16):
            return
        sources = np.nonzero(self.live[rows:])[0] + rows
        targets = np.nonzero(~self.live[:rows])[0][: len(sources)]
        self.engine.shrink(sources, targets, rows)
        for name in ROWS:
            array = getattr(self, name)
            array[targets] = array[sources]
            setattr(self, name, array[:rows])
        if self.uniforms is not None and len(sources):
            device = self.device_steps_S.device
            self.uniforms.move(torch.as_tensor(sources, device=device), torch.as_tensor(targets, device=device))
        moved = dict(zip(sources.tolist(), targets.tolist(), strict=True))
        self.ranks = {moved.get(slot, slot): rest for slot, rest in self.ranks.items()}
        self.rows = rows


def _queue(jobs: Sequence[Job], budget: int) -> tuple[deque[Prefix], dict[Prefix, list[int]]]:
    """(distinct prefixes, longest first, so that all later ones fit before the column; jobs of each)."""
    waiting: dict[Prefix, list[int]] = {}
    for place, job in enumerate(jobs):
        waiting.setdefault((tuple(job.prompt_ids), tuple(job.forced[:budget])), []).append(place)
    return deque(sorted(waiting, key=lambda prefix: (-sum(map(len, prefix)), prefix))), waiting
