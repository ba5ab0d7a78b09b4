"""A step loop over a hand-made model: next-token logits are a function of the tokens written so far."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from elicit.files import seed_of
from elicit.policy.decoding import Path, PathJob, PickRule, Request, StepRule
from elicit.tasks.task import Answer, PromptFormat, StopRules

END = 0


class ToyLoop:
    """`pieces[i]` is the text of token i; token 0 ends. `logits(written)` gives the next row."""

    def __init__(self, pieces: Sequence[str], logits: Callable[[tuple[int, ...]], Sequence[float]]):
        self.pieces, self.logits, self.batches = list(pieces), logits, []
        self.jobs: list[PathJob] = []

    @property
    def vocabulary(self) -> int:
        return len(self.pieces)

    def decode(self, token_ids: Sequence[int]) -> str:
        return "".join(self.pieces[i] for i in token_ids if i != END)

    def offsets(self, token_ids: Sequence[int]) -> list[tuple[int, int]]:
        ends = np.cumsum([0 if i == END else len(self.pieces[i]) for i in token_ids]).tolist()
        return list(zip([0, *ends[:-1]], ends, strict=True))

    @property
    def rows(self) -> int:
        return 128

    def encode(self, text: str) -> tuple[int, ...]:
        """Longest pieces first."""
        ids: list[int] = []
        while text:
            fits = [i for i, piece in enumerate(self.pieces) if piece and text.startswith(piece)]
            assert fits, f"no piece begins {text!r}"
            ids.append(max(fits, key=lambda i: len(self.pieces[i])))
            text = text[len(self.pieces[ids[-1]]) :]
        return tuple(ids)

    def run(
        self, jobs: Sequence[PathJob], rule: PickRule, stop: StopRules, step_rule: StepRule | None = None
    ) -> list[Path]:
        assert step_rule is None, "the toy loop cuts nothing"
        self.batches.append(len(jobs))
        self.jobs += jobs
        return [self._one(job, rule, stop) for job in jobs]

    def _one(self, job: PathJob, rule: PickRule, stop: StopRules) -> Path:
        written: list[int] = []
        logprobs, gaps, confidences = [], [], []
        while len(written) < stop.max_new_tokens and END not in written:
            row = np.asarray(self.logits(tuple(written)), float)
            p = np.exp(row - row.max())
            p /= p.sum()
            order = np.argsort(-p, kind="stable")
            step = len(written)
            if step < len(job.forced):
                token = job.forced[step]
            elif step == len(job.forced) and job.first_rank is not None:
                token = int(order[job.first_rank])
            elif rule.temperature == 0:
                token = int(order[0])
            else:
                q = p ** (1 / rule.temperature)
                u = np.random.Generator(np.random.Philox(seed_of(job.seed, job.stream, step))).random()
                token = int(np.searchsorted(np.cumsum(q / q.sum()), u))
            written.append(token)
            logprobs.append(math.log(p[token]))
            gaps.append(float(p[order[0]] - p[order[1]]))
            confidences.append(-float(np.log(p).mean()))
        finish = "eos" if written[-1] == END else "length"
        zeros = [0.0] * len(written)
        certainties = [value - math.log(len(row)) for value in confidences]
        return Path(written, logprobs, gaps, confidences, zeros, finish, self.decode(written), certainties)


class NumberTask:
    """The answer is the number behind "is "; "1,000", "1000" and "1000.0" are one class."""

    name = "numbers"
    keys: dict[str, PromptFormat] = {}  # noqa: RUF012
    stop = StopRules(strings=(), max_new_tokens=8)

    def extract(self, text: str, finished: bool) -> Answer:
        span = self.answer_span(text)
        stated = None if span is None else text[slice(*span)].strip()
        return Answer(stated if finished else None, stated)

    def answer_class(self, answer: str) -> str:
        return f"{float(answer.replace(',', '')):g}"

    def answer_span(self, text: str) -> tuple[int, int] | None:
        start = text.find("is ") + 3 if "is " in text else 0
        end = start
        while end < len(text) and text[end] in "0123456789,.":
            end += 1
        return (start, end) if end > start else None


@pytest.fixture
def toy_loop():
    return ToyLoop


@pytest.fixture
def number_task():
    return NumberTask()


@pytest.fixture
def request_of():
    return lambda item="a", j=0: Request(item, j, seed_of("toy", item, j), (1,))
