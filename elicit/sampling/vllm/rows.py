"""The rows of a vLLM batch: each token is drawn with the job's own uniform number, its scalars recorded.

    vLLM's logits [S, V] --KeyedRows.draw--> the drawn token's logit is infinite, so vLLM's greedy sampler takes it

The step of a row is the number of tokens that its request has written, read from vLLM's own list. So a draw that vLLM
throws away (a prompt that is prefilled in chunks draws after every chunk) or computes again (a preempted request) gets
the same number again. Tokens and scalars are those of `loop/pick.py`, the step loop's own functions. Plain torch and
numpy: the same code runs in tests without vLLM. Letters: S rows of the logits, R rows drawn, V vocabulary, C scalars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch

from elicit.policy.decoding import PathJob, PickRule
from elicit.sampling.loop.pick import choose, precise, ranked, scalars
from elicit.sampling.loop.uniforms import WORDS, uniforms

KEY = "elicit"
"""entry of a request's `extra_args` that holds its `row_args`"""
BLOCK = 1024
"""uniform numbers that are made at once"""


def row_args(key: str, job: PathJob, rule: PickRule, written: int) -> dict[str, Any]:
    """What the processor needs to know of a job: plain numbers. `written`: forced tokens that the prompt holds."""
    return {
        "key": key,
        "seed": job.seed % WORDS,
        "stream": job.stream % WORDS,
        "rule": asdict(rule),
        "forced": [] if written else list(job.forced),
        "free": len(job.forced),
        "rank": job.first_rank,
        "prompt": len(job.prompt_ids),
        "written": written,
    }


@dataclass
class Row:
    """One request of the batch."""

    key: str
    seed: int
    stream: int
    rule: PickRule
    forced: Sequence[int]
    """tokens that are written whatever the logits say"""
    free: int
    """the first step that is not forced"""
    rank: int | None
    prompt: int
    """tokens of the job's prompt; what follows is completion, for vLLM too if it is part of the request's prompt"""
    written: int
    """completion tokens that the request's prompt holds"""
    outputs: Sequence[int]
    """vLLM's list of the tokens that the request has written: it grows"""
    block: np.ndarray = field(default_factory=lambda: np.zeros(0))
    first: int = -1

    @property
    def step(self) -> int:
        """The completion token that is drawn next."""
        return self.written + len(self.outputs)

    def number(self, step: int) -> float:
        """The job's uniform number of a step, made in blocks."""
        first = step - step % BLOCK
        if first != self.first:
            self.first, self.block = first, uniforms(self.seed, self.stream, first, BLOCK)
        return float(self.block[step - first])


@dataclass
class Drawn:
    """The tokens of one pass, including those that vLLM throws away."""

    keys: list[str]
    steps_R: np.ndarray
    tokens_R: np.ndarray
    values_C_R: np.ndarray
    """in the order of `pick.SCALARS`"""


class KeyedRows:
    """Which request is in which row of the logits, and the draw of a token for each."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.drawn: Drawn | None = None
        """of the last pass"""

    def update(
        self,
        removed: Sequence[int],
        added: Sequence[tuple[int, Mapping[str, Any] | None, Sequence[int]]],
        moved: Sequence[tuple[int, int, bool]],
    ) -> None:
        """Follow a change of the batch, in vLLM's order: removed, added (index, extra args, output list), moved.

        `moved`: (from, to, whether the two swap). An added request without `row_args` is left to vLLM.
        """
        for index in removed:
            self.rows.pop(index, None)
        for index, extra, outputs in added:
            args = dict((extra or {}).get(KEY) or {})
            self.rows.pop(index, None)
            if args:
                self.rows[index] = Row(**{**args, "rule": PickRule(**args["rule"]), "outputs": outputs})
        for source, target, swap in moved:
            one, other = self.rows.pop(source, None), self.rows.pop(target, None)
            if one is not None:
                self.rows[target] = one
            if swap and other is not None:
                self.rows[source] = other

    def prompts(self, count: int) -> np.ndarray:
        """Int64 [count]: tokens of the job's prompt of each row; 0 for a row that is not ours."""
        return np.array([self.rows[index].prompt if index in self.rows else 0 for index in range(count)], np.int64)

    def draw(self, logits_S_V: torch.Tensor) -> torch.Tensor:
        """The logits, in place, with the drawn token of each of our rows made infinite; fills `drawn`."""
        groups: dict[PickRule, list[int]] = {}
        for index in sorted(self.rows):
            if index < logits_S_V.shape[0]:
                groups.setdefault(self.rows[index].rule, []).append(index)
        keys: list[str] = []
        parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for rule, indices in groups.items():
            rows = [self.rows[index] for index in indices]
            chosen = torch.tensor(indices, device=logits_S_V.device)
            tokens_R, values_C_R = _drawn(precise(logits_S_V[chosen]), rule, rows)
            logits_S_V[chosen, tokens_R] = torch.inf
            keys += [row.key for row in rows]
            steps_R = np.array([row.step for row in rows], np.int64)
            parts.append((steps_R, tokens_R.cpu().numpy(), values_C_R.cpu().double().numpy()))
        self.drawn = None
        if parts:
            steps, tokens, values = zip(*parts, strict=True)
            self.drawn = Drawn(keys, np.concatenate(steps), np.concatenate(tokens), np.concatenate(values, 1))
        return logits_S_V


def _drawn(logits_R_V: torch.Tensor, rule: PickRule, rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor]:
    """(int64 [R], [C, R]): tokens of rows with one rule, and their scalars."""
    device, numbers_R = logits_R_V.device, None
    steps = [row.step for row in rows]
    # 1) by the rule and the row's uniform number
    if rule.temperature > 0:
        numbers = [row.number(step) for row, step in zip(rows, steps, strict=True)]
        numbers_R = torch.tensor(numbers, dtype=torch.float64, device=device)
    tokens_R, values_C_R = choose(logits_R_V, rule, numbers_R)
    # 2) forced tokens, and the first free token of a job with a rank, whatever the rule says
    forced = {place: row.forced[step] for place, (row, step) in enumerate(zip(rows, steps, strict=True))
              if step < len(row.forced)}  # fmt: skip
    due = [place for place, row in enumerate(rows) if row.rank is not None and steps[place] == row.free]
    if due:
        ranks = torch.tensor([rows[place].rank for place in due], device=device)
        tokens_R[due] = ranked(logits_R_V[due], ranks)
    if forced:
        tokens_R[list(forced)] = torch.tensor(list(forced.values()), device=device)
    # 3) scalars of the tokens that the rule did not draw
    if others := sorted({*due, *forced}):
        values_C_R[:, others] = scalars(logits_R_V[others], tokens_R[others], rule.alpha)
    return tokens_R, values_C_R
