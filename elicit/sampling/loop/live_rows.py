"""One run of the step loop: rows that live in slots, jobs that wait for one, paths that are done.

    prefill --> pick a token per row --> settle endings --> join --> forward --> refill free slots --+
                     ^                                                                                |
                     +--------------------------------------------------------------------------------+

While jobs wait, the slot of an ended row is refilled. A job that goes on in the place of a finished one, from its keys
and values, joins before the forward pass, which computes its last known token with the others' new ones. When no job
waits any more, the last living rows move into the freed slots and the batch becomes narrower. The host learns of the
tokens once per settlement: after each step on a CPU, after `check_every` steps on an accelerator. Letters: S slots,
T steps of a row, K steps of one settlement, V vocabulary, C scalars of a step. Does not know how the model is called
(engine.py) nor which jobs share a prefix (queue.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from elicit.errors import CheckpointError, ConfigError
from elicit.policy.decoding import Kept, Path, PathJob, PickRule, StepRule, Then
from elicit.records import Finish
from elicit.sampling.loop.forward import Prefix
from elicit.sampling.loop.pick import SCALARS, choose, ranked, scalars
from elicit.sampling.loop.queue import Queue
from elicit.sampling.loop.slots import Slots
from elicit.tasks.task import StopRules

if TYPE_CHECKING:
    from elicit.sampling.loop.step_loop import StepLoop

Ending = tuple[int, str, str | None]
"""(tokens, Finish, text); text None: decode all tokens"""


class LiveRows:
    """The jobs of one `StepLoop.run` while they are generated."""

    def __init__(
        self,
        loop: StepLoop,
        jobs: Sequence[PathJob],
        rule: PickRule,
        stop: StopRules,
        step_rule: StepRule | None = None,
        then: Then | None = None,
    ) -> None:
        self.loop, self.engine = loop, loop.engine
        self.jobs, self.rule, self.stop, self.budget = list(jobs), rule, stop, stop.max_new_tokens
        """jobs: the present one of each place"""
        self.step_rule, self.then = step_rule, then
        self.finder = loop.finder(stop.strings)
        self.eos_V = np.zeros(loop.vocabulary, dtype=bool)
        self.eos_V[[token for token in loop.eos_ids if token < loop.vocabulary]] = True
        self.may_end_V = self.eos_V | self.finder.may_end_V
        """tokens after which a row is tested for an ending; all others cost one table look-up"""
        self.longest = max((len(job.prompt_ids) for job in jobs), default=0)
        self.queue = Queue(loop, jobs, rule, self.budget)
        self.joining: deque[int] = deque()
        """places whose job waits for a slot to go on in"""
        self.paths: list[Path | None] = [None] * len(jobs)
        self.reported_J = np.zeros(len(jobs), dtype=np.int64)
        """tokens of each job that `progress` has counted"""
        self.slots: Slots

    def run(self) -> list[Path]:
        """Generate all jobs; the paths are in the order of the jobs. Raises CheckpointError on NaN log-probs."""
        if not self.jobs:
            return []
        # 1) Prefill the first prefixes: their keys, values and logits give the shapes of all arrays.
        first = self.queue.prefilled()
        wanted = min(self.loop.slots, len(self.jobs))
        rows = self.engine.allocate(
            first, wanted, self.longest + self.budget, refill=len(self.jobs) > wanted, chains=self.then is not None
        )
        slots = self.slots = Slots(rows, self.budget, first.logits_N_V, drawn=self.rule.temperature > 0)
        del first  # the queue lets go of it once its keys and values are copied: nothing else may hold that memory
        self._refill()
        while slots.live_S.any():
            # 2) Pick a token per row. Between two settlements no step waits for the device; a row that has ended
            #    meanwhile writes on, and what it wrote past its end is dropped.
            steps = int(min(self.loop.check_every, self.budget - slots.steps_S[slots.live_S].max()))
            tokens, values = [], []
            for ahead in range(steps):
                if ahead:
                    slots.logits_S_V = self.engine.step(slots.next_S)
                slots.next_S, values_C_S = self._choose(ahead)
                tokens.append(slots.next_S)
                values.append(values_C_S)
                slots.device_steps_S += 1
            # 3) Settle: copy tokens and scalars to the host, turn ended rows into paths, drop their slots if no job
            #    waits for one.
            self._settle(torch.stack(tokens, 1).cpu().numpy(), torch.stack(values, 2).cpu().numpy())
            if not self.queue and not self.joining:
                self._narrow()
            # 4) Chains go on. One forward pass writes the last token of all rows and gives their next logits.
            self._join()
            if slots.live_S.any():
                slots.logits_S_V = self.engine.step(slots.next_S)
            # 5) Refill free slots. A new row brings the logits of its prefix, so it joins after the pass.
            self._refill()
        return [path for path in self.paths if path is not None]

    def _choose(self, ahead: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(int64 [S]: the next token of each row, [C, S]: its scalars), `ahead` steps after the last settlement."""
        slots, numbers_S = self.slots, None
        if slots.uniforms is not None:
            if self.budget > slots.uniforms.width:  # the table holds a block of steps: some rows enter their next one
                entering = slots.uniforms.exhausted(slots.steps_S + ahead)
                self._fill_uniforms(entering[slots.live_S[entering]], ahead)
            numbers_S = slots.uniforms.read(slots.device_steps_S)
        tokens_S, values_C_S = choose(slots.logits_S_V, self.rule, numbers_S)
        # the first free token of a job with `first_rank` goes by its rank, whatever the rule says
        due = [(slot, rank) for slot, (step, rank) in slots.ranks.items() if slots.steps_S[slot] + ahead == step]
        if due:
            rows, ranks = (torch.tensor(column, device=tokens_S.device) for column in zip(*due, strict=True))
            logits_R_V = slots.logits_S_V[rows]
            tokens_S[rows] = ranked(logits_R_V, ranks)
            values_C_S[:, rows] = scalars(logits_R_V, tokens_S[rows], self.rule.alpha)
            for slot, _ in due:
                del slots.ranks[slot]
        return tokens_S, values_C_S

    def _settle(self, tokens_S_K: np.ndarray, values_C_S_K: np.ndarray) -> None:
        """Write the picked tokens down and end the rows that are done: by EOS, stop string, limit or step rule."""
        slots, steps = self.slots, tokens_S_K.shape[1]
        slots.write(tokens_S_K, values_C_S_K)
        cuts_S = np.zeros(slots.rows, dtype=np.int64)
        if self.step_rule is not None:
            cuts_S = self.step_rule.cuts(slots.job_S, slots.steps_S, steps, slots.scalars_S_C_T)
        tested_S = self.may_end_V[tokens_S_K].any(1) | (slots.steps_S + steps >= self.budget) | (cuts_S > 0)
        for slot in np.nonzero(tested_S & slots.live_S)[0].tolist():
            first, cut = int(slots.steps_S[slot]), int(cuts_S[slot])
            ending = self._ending(slot, first, cut - 1 if cut else first + steps)
            if ending is None and cut:
                ending = cut, Finish.CUT, None
            if ending is not None:
                self._finish(slot, *ending)
        slots.steps_S += steps
        if self.loop.progress is not None and slots.live_S.any():
            going_J = slots.job_S[slots.live_S]
            self.reported_J[going_J] += steps
            self.loop.progress(0, steps * len(going_J))
        self.engine.trim(slots.live_S)

    def _ending(self, slot: int, first: int, end: int) -> Ending | None:
        """The first ending among steps first..end-1 of a row."""
        tokens_T = self.slots.tokens_S_T[slot, :end]
        ids = tokens_T.tolist()
        for step in (np.nonzero(self.may_end_V[tokens_T[first:]])[0] + first).tolist():
            if self.eos_V[ids[step]]:
                return step + 1, Finish.EOS, None
            text = self.finder.cut(ids[: step + 1]) if self.finder.may_end_V[ids[step]] else None
            if text is not None:
                return step + 1, Finish.STOP, text
        return (self.budget, Finish.LENGTH, None) if end >= self.budget else None

    def _finish(self, slot: int, length: int, finish: str, text: str | None) -> None:
        """Turn the first `length` tokens of a row into its job's path and free the slot."""
        slots, job = self.slots, int(self.slots.job_S[slot])
        ids, values_C_T = slots.tokens_S_T[slot, :length].tolist(), slots.scalars_S_C_T[slot, :, :length]
        if np.isnan(values_C_T).any():
            raise CheckpointError(
                f"job {job}: NaN in the model's log-probs at step {int(np.isnan(values_C_T).any(0).argmax())}; "
                "load the model in float32 or bfloat16, and check the edit's strength"
            )
        text = self.finder.decoder.decode(ids) if text is None else text
        numbers = dict(zip(SCALARS, values_C_T.tolist(), strict=True))
        path = self.paths[job] = Path(ids, finish=finish, text=text, kept=self._keep(slot, ids), **numbers)
        slots.free(slot)
        following = None if self.then is None else self.then(job, path)
        if self.loop.progress is not None:
            self.loop.progress(int(following is None), length - int(self.reported_J[job]))
        if following is not None:
            self._go_on(job, following)

    def _go_on(self, place: int, job: PathJob) -> None:
        """Put a job in the place of a finished one. Raises ConfigError if it can't be run."""
        self.loop.check([job], self.stop)
        if len(job.prompt_ids) > self.longest:
            raise ConfigError(
                f"job {place} goes on with a prompt of {len(job.prompt_ids)} tokens, the longest of the run has "
                f"{self.longest}: run it on its own"
            )
        self.jobs[place], self.reported_J[place] = job, len(job.forced[: self.budget])
        kept = job.kept is not None and job.kept.serves(self.rule.alpha)
        if kept and len(job.prompt_ids) + len(job.forced) > 1:
            self.joining.append(place)
        else:
            self.queue.add(place, job)

    def _keep(self, slot: int, ids: list[int]) -> Kept | None:
        """A copy of the keys and values of an ending row, if its job asks for one."""
        job = self.jobs[self.slots.job_S[slot]]
        if not job.keep or len(ids) <= len(job.forced):  # ended by its forced tokens: it never had columns of its own
            return None
        prompt, values_C_T = tuple(job.prompt_ids), self.slots.scalars_S_C_T[slot, :, : len(ids)].copy()
        return self.engine.keep(slot, (*prompt, *ids), len(prompt), values_C_T, self.rule.alpha)

    def _refill(self) -> None:
        """Give free slots to waiting jobs. A few free slots wait for more of them: each refill is a copy per layer."""
        slots, queue = self.slots, self.queue
        free = np.nonzero(~slots.live_S)[0].tolist()
        empty = len(free) == slots.rows
        if not queue or (not empty and len(free) < max(1, slots.rows // 32)):
            return
        while free and queue:
            prefilled = queue.prefilled()
            taken: list[int] = []
            sources: list[int] = []
            while free and queue.ready:
                job, source, _ = queue.ready.popleft()
                if self._seat(free[0], job, prefilled.forced[source]):
                    taken.append(free.pop(0))
                    sources.append(source)
            if taken:
                self.engine.admit(prefilled, np.array(sources), np.array(taken), empty)
                slots.admit(np.array(taken), prefilled.logits_N_V, np.array(sources))
                self._fill_uniforms(np.array(taken), 0)
                empty = False
        self.engine.trim(slots.live_S)

    def _seat(self, slot: int, place: int, values_C_T: np.ndarray) -> bool:
        """Begin the job of a place in a slot. False if its forced tokens end it: then the slot stays free."""
        slots, job = self.slots, self.jobs[place]
        forced = job.forced[: self.budget]
        slots.seat(slot, place, forced, values_C_T)
        ending = self._ending(slot, 0, len(forced)) if forced else None
        if ending is not None:
            self._finish(slot, *ending)
        elif job.first_rank is not None:
            slots.ranks[slot] = (len(forced), job.first_rank)
        return ending is None

    def _join(self) -> None:
        """Give free slots to the jobs that go on from kept keys and values. A few wait for more: joining is a copy."""
        slots, joining = self.slots, self.joining
        free = np.nonzero(~slots.live_S)[0].tolist()
        empty = len(free) == slots.rows
        if not joining or not free or (not empty and min(len(joining), len(free)) < slots.rows // 8):
            return
        taken: list[int] = []
        kept: list[Kept] = []
        prefixes: list[Prefix] = []
        while free and joining:
            place = joining.popleft()
            job = self.jobs[place]
            assert job.kept is not None
            if self._seat(free[0], place, job.kept.scalars_C_T):
                taken.append(free.pop(0))
                kept.append(job.kept)
                prefixes.append((tuple(job.prompt_ids), tuple(job.forced[: self.budget])))
        if taken:
            self.engine.join(kept, prefixes, np.array(taken))
            slots.join(np.array(taken), [(*prompt, *forced)[-1] for prompt, forced in prefixes])
            self._fill_uniforms(np.array(taken), 0)
        self.engine.trim(slots.live_S)

    def _fill_uniforms(self, taken: np.ndarray, ahead: int) -> None:
        """Make the block of random numbers that holds the next step of each slot in `taken`."""
        slots = self.slots
        if slots.uniforms is not None and len(taken):
            keys = [(self.jobs[job].seed, self.jobs[job].stream) for job in slots.job_S[taken]]
            slots.uniforms.fill(taken.tolist(), keys, (slots.steps_S[taken] + ahead).tolist())

    def _narrow(self) -> None:
        """Move the last living rows into freed slots and go on with fewer rows; not for a few: moving is a copy."""
        slots, rows = self.slots, int(self.slots.live_S.sum())
        if rows == 0 or slots.rows - rows < max(1, slots.rows // 16):
            return
        sources = np.nonzero(slots.live_S[rows:])[0] + rows
        targets = np.nonzero(~slots.live_S[:rows])[0][: len(sources)]
        self.engine.shrink(sources, targets, rows)
        slots.shrink(sources, targets, rows)
