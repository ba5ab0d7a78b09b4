"""An engine that schedules like vLLM and computes with a transformers model: the keyed draw runs without vLLM.

Batch rows are added, moved and swapped as in vLLM's persistent batch; prompts are prefilled in chunks, and a draw after
an unfinished chunk is thrown away; a running request may be preempted and computed again. The forward pass is the plain
model on each row, without a cache, so it is also the naive reference.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from elicit.policy.positions import forward_positions
from elicit.sampling.vllm.residuals import Applied, Calls
from elicit.sampling.vllm.rows import KEY, Drawn, KeyedRows


@dataclass
class Waiting:
    """A request; `computed`: tokens of it that are computed."""

    key: str
    ids: list[int]
    extra: dict[str, Any]
    limit: int
    prompt: int
    outputs: list[int] = field(default_factory=list)
    computed: int = 0


class FakeClient:
    """Implements `elicit.sampling.vllm.client.Client`. `wrong`: after this many steps it takes another token."""

    name = "fake-1"

    def __init__(
        self,
        model: Any,
        capacity: int = 5,
        chunk: int = 7,
        positions: int = 256,
        seed: int = 0,
        wrong: int | None = None,
    ) -> None:
        self.model, self.capacity, self.chunk, self.positions = model, capacity, chunk, positions
        self.rng, self.rows, self.runs, self.steps, self.wrong = random.Random(seed), KeyedRows(), 0, 0, wrong
        self.waiting: list[Waiting] = []
        self.batch: list[Waiting] = []
        self.events = {"discarded": 0, "preempted": 0, "swapped": 0}
        self.removed: list[int] = []
        self.pushes = 0

    def begin(self) -> int:
        self.runs += 1
        return self.runs

    def add(self, key: str, prompt_ids: Sequence[int], args: Mapping[str, Any], tokens: int) -> None:
        self.waiting.append(Waiting(key, list(prompt_ids), {KEY: dict(args)}, tokens, len(prompt_ids)))

    def abort(self, keys: Sequence[str]) -> None:
        gone = set(keys)
        self.waiting = [one for one in self.waiting if one.key not in gone]
        for index in [i for i, one in enumerate(self.batch) if one.key in gone]:
            self.removed.append(index)

    def step(self) -> tuple[list[tuple[str, Sequence[int]]], Drawn | None]:
        self.steps += 1
        self._schedule()
        if not self.batch:
            return [], None
        # 1) chunks: a row computes at most `chunk` new tokens
        for one in self.batch:
            one.computed = min(len(one.ids), one.computed + self.chunk)
        logits = torch.stack([self._logits(one) for one in self.batch])
        # 2) the real processor draws for every row, finished chunk or not
        tokens = self.rows.draw(logits).argmax(-1).tolist()
        if self.wrong is not None and self.steps >= self.wrong:
            tokens = [(token + 1) % logits.shape[1] for token in tokens]
        # 3) rows whose prompt is not complete throw their draw away
        news: list[tuple[str, Sequence[int]]] = []
        for index, (one, token) in enumerate(zip(self.batch, tokens, strict=True)):
            if one.computed < len(one.ids):
                self.events["discarded"] += 1
                continue
            one.ids.append(token)
            one.outputs.append(token)
            news.append((one.key, [token]))
            if len(one.outputs) >= one.limit:
                self.removed.append(index)
        return news, self.rows.drawn

    @torch.no_grad()
    def _logits(self, one: Waiting) -> torch.Tensor:
        with forward_positions(torch.arange(one.computed)[None], torch.tensor([one.extra[KEY]["prompt"]])):
            return self.model(torch.tensor([one.ids[: one.computed]])).logits[0, -1]

    @torch.no_grad()
    def push(self, parameters: Sequence[tuple[str, torch.Tensor]]) -> None:
        """Every parameter by its name in a plain transformers model, as vLLM's loader wants them."""
        own = dict(self.model.named_parameters())
        assert {name for name, _ in parameters} == set(own)
        for name, value in parameters:
            own[name].copy_(value)
        self.pushes += 1

    @contextmanager
    def editing(self, edits: Sequence[Applied]) -> Iterator[Calls]:
        """The edits' own hooks on this model: it has its own positions."""
        with ExitStack() as stack:
            for edit in edits:
                stack.enter_context(edit.applied(self.model))
            yield Calls()

    def _schedule(self) -> None:
        """vLLM's order: removed, added (a free row first), then moved until there is no gap; sometimes a swap."""
        removed, added, moved = sorted(set(self.removed), reverse=True), [], []
        rows: list[Waiting | None] = [None if i in removed else one for i, one in enumerate(self.batch)]
        if self.rng.random() < 0.2 and (running := [i for i, one in enumerate(rows) if one and one.outputs]):
            index = self.rng.choice(running)
            victim = rows[index]
            assert victim is not None
            victim.computed, rows[index] = 0, None  # its tokens stay, its keys and values are lost
            self.waiting.append(victim)
            removed = sorted({*removed, index}, reverse=True)
            self.events["preempted"] += 1
        free = [i for i, one in enumerate(rows) if one is None]
        while self.waiting and (free or len(rows) < self.capacity):
            new = self.waiting.pop(0)
            index = free.pop(0) if free else len(rows)
            rows[index : index + 1] = [new]
            removed = [i for i in removed if i != index]
            added.append((index, new.extra, new.outputs))
        while None in rows:
            gap, last = rows.index(None), len(rows) - 1
            if rows[last] is not None and gap < last:
                rows[gap] = rows[last]
                moved.append((last, gap, False))
                removed = [i for i in removed if i != gap]
            rows.pop()
        if len(rows) > 1 and self.rng.random() < 0.3:
            one, other = self.rng.sample(range(len(rows)), 2)
            rows[one], rows[other] = rows[other], rows[one]
            moved.append((one, other, True))
            self.events["swapped"] += 1
        self.rows.update([i for i in removed if i < len(self.batch)], added, moved)
        self.batch, self.removed = [one for one in rows if one is not None], []
