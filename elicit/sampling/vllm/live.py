"""One run of jobs on a vLLM engine: requests in, paths out.

    add all requests --> step (vLLM schedules, computes, draws by rows.py) --> read tokens and scalars --> end rows --+
                          ^                                                                                           |
                          +-------------------------------------------------------------------------------------------+

Endings are ours: EOS, stop strings, the limit and the step rule are tested after every token as in the step loop, and
an ended request is aborted. Forced tokens are written by the processor one by one, so their scalars are recorded like
all others; those of a job that continues a kept path are part of the request's prompt, and their scalars come from the
kept path. J jobs, C scalars, T steps. Knows nothing of vLLM itself (client.py) nor of edits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from elicit.errors import CheckpointError, StageError
from elicit.policy.decoding import Kept, Path, PathJob, PickRule, StepRule, Then
from elicit.records import Finish
from elicit.sampling.loop.pick import SCALARS
from elicit.sampling.loop.text import StopFinder
from elicit.sampling.vllm.client import Client
from elicit.sampling.vllm.rows import Drawn, row_args
from elicit.tasks.task import StopRules

Ending = tuple[str, str | None]
"""(Finish, text); text None: decode all tokens"""


class LiveRequests:
    """The jobs of one `VllmLoop.run` while they are generated."""

    def __init__(
        self,
        client: Client,
        finder: StopFinder,
        eos_ids: frozenset[int],
        jobs: Sequence[PathJob],
        rule: PickRule,
        stop: StopRules,
        step_rule: StepRule | None = None,
        then: Then | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.client, self.finder, self.eos_ids = client, finder, eos_ids
        self.jobs, self.rule, self.step_rule, self.progress = list(jobs), rule, step_rule, progress
        self.then, self.turns = then, [0] * len(jobs)
        """turns: how many jobs had each place before the present one"""
        self.number = client.begin()
        self.budget = stop.max_new_tokens
        self.tokens: list[list[int]] = [[] for _ in jobs]
        self.scalars_J_C_T = np.zeros((len(jobs), len(SCALARS), self.budget))
        self.paths: list[Path | None] = [None] * len(jobs)
        self.places: dict[str, int] = {}
        """place of the job of each live request"""

    def run(self) -> list[Path]:
        """Generate all jobs; the paths are in the order of the jobs. Raises CheckpointError on NaN log-probs."""
        try:
            # 1) add the requests, equal prefixes next to each other: vLLM computes a cached one once
            for place in sorted(range(len(self.jobs)), key=lambda place: self.jobs[place].prompt_ids):
                self._add(place)
            while self.places:
                # 2) one step of the engine, and what it wrote
                news, drawn = self.client.step()
                grown = self._write(news, drawn)
                # 3) the step rule sees free tokens only, as in the step loop
                cuts = self._cuts([place for place in grown if len(self.tokens[place]) > len(self.jobs[place].forced)])
                # 4) end rows; a cut comes first, since what follows it was never written
                keys = [(self._key(place), place) for place in grown]  # a chain goes on under another key
                self.client.abort([key for key, place in keys if self._ended(place, cuts.get(place, 0))])
        except BaseException:
            self.client.abort(list(self.places))
            raise
        return [path for path in self.paths if path is not None]

    def _key(self, place: int) -> str:
        return f"{self.number}-{place}-{self.turns[place]}"

    def _add(self, place: int) -> None:
        """Add a job's request; a job that its kept tokens end already needs none."""
        job, written = self.jobs[place], 0
        kept = job.kept
        if kept is not None and kept.alpha == self.rule.alpha:
            written = min(len(job.forced), self.budget)
            self.scalars_J_C_T[place, :, :written] = kept.scalars_C_T[:, :written]
            for token in job.forced[:written]:
                self.tokens[place].append(token)
                if self._ended(place, 0):
                    return
        key = self._key(place)
        prompt = (*job.prompt_ids, *job.forced[:written])
        self.places[key] = place
        self.client.add(key, prompt, row_args(key, job, self.rule, written), self.budget - written)

    def _write(self, news: Sequence[tuple[str, Sequence[int]]], drawn: Drawn | None) -> list[int]:
        """Write new tokens and their scalars down; returns the places of the jobs that have grown.

        Raises StageError if vLLM took another token than the one that was drawn: its result would not be ours.
        """
        column = {key: place for place, key in enumerate(drawn.keys)} if drawn else {}
        grown = []
        for key, tokens in news:
            place = self.places.get(key)
            if place is None or not tokens:
                continue
            at = column.get(key)
            step = len(self.tokens[place])
            if drawn is None or at is None or len(tokens) != 1 or (drawn.steps_R[at], drawn.tokens_R[at]) != (
                step, tokens[0],
            ):  # fmt: skip
                was = None if drawn is None or at is None else (int(drawn.steps_R[at]), int(drawn.tokens_R[at]))
                raise StageError(
                    f"job {place}, step {step}: vLLM wrote {list(tokens)}, drawn was {was} (step, token); this version "
                    f"({self.client.name}) does not take the drawn token: use engine=loop"
                )
            self.tokens[place].append(int(tokens[0]))
            self.scalars_J_C_T[place, :, step] = drawn.values_C_R[:, at]
            grown.append(place)
        return grown

    def _cuts(self, places: Sequence[int]) -> dict[int, int]:
        """Length that each of these rows is cut at; 0: it continues."""
        if self.step_rule is None or not places:
            return {}
        begun = np.array([len(self.tokens[place]) - 1 for place in places])
        cuts = self.step_rule.cuts(np.array(places), begun, 1, self.scalars_J_C_T[list(places)])
        return dict(zip(places, cuts.tolist(), strict=True))

    def _ended(self, place: int, cut: int) -> bool:
        """Whether the row ends with its last token; then its path is written."""
        ids = self.tokens[place]
        token = ids[-1]
        ending: Ending | None = None
        if cut:
            ending = Finish.CUT, None
        elif token in self.eos_ids:
            ending = Finish.EOS, None
        elif self.finder.may_end_V[token] and (text := self.finder.cut(ids)) is not None:
            ending = Finish.STOP, text
        elif len(ids) >= self.budget:
            ending = Finish.LENGTH, None
        if ending is not None:
            self._finish(place, ending)
        return ending is not None

    def _finish(self, place: int, ending: Ending) -> None:
        """Turn the tokens of a row into its job's path."""
        ids, job, (finish, text) = self.tokens[place], self.jobs[place], ending
        values_C_T = self.scalars_J_C_T[place, :, : len(ids)]
        if np.isnan(values_C_T).any():
            raise CheckpointError(
                f"job {place}: NaN in the model's log-probs at step {int(np.isnan(values_C_T).any(0).argmax())}; "
                "load the model in float32 or bfloat16, and check the edit's strength"
            )
        kept = None
        if job.keep and len(ids) > len(job.forced):
            # vLLM keeps the keys and values itself (prefix caching): the scalars are all that has to be carried along
            kept = Kept((*job.prompt_ids, *ids), len(job.prompt_ids), None, values_C_T.copy(), self.rule.alpha)
        numbers = dict(zip(SCALARS, values_C_T.tolist(), strict=True))
        text = self.finder.decoder.decode(ids) if text is None else text
        path = self.paths[place] = Path(list(ids), finish=finish, text=text, kept=kept, **numbers)
        self.places.pop(self._key(place), None)
        following = None if self.then is None else self.then(place, path)
        if self.progress is not None:
            drawn_before = len(job.forced) if self.turns[place] else 0  # in the same place
            self.progress(int(following is None), len(ids) - drawn_before)
        if following is not None:
            self.jobs[place], self.tokens[place] = following, []
            self.turns[place] += 1
            self.scalars_J_C_T[place] = 0.0
            self._add(place)
