"""Rival of CoT-decoding: k first tokens drawn uniformly from the vocabulary, greedy after, the same vote.

It answers whether the *ranking* of first tokens does anything beyond leaving the default one (on
the prototype organism ten random first tokens alone trace two thirds of the time). It is
informative, not a placebo: the vote still looks at the answers' certainty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from elicit.policy.decoding import Loop, PathJob, Request, chain_seed
from methods.decoding.cot_decoding import CotDecoding
from methods.decoding.votes import own_rng


@dataclass(frozen=True)
class RandomFirstTokens(CotDecoding):
    """`CotDecoding` with random first tokens: all different, drawn by base and item, so the pick shares them."""

    deterministic: ClassVar[bool] = False

    def jobs(self, loop: Loop, request: Request) -> list[PathJob]:
        self.check_k(loop)
        first = own_rng(chain_seed(request, request.j), "first tokens").choice(loop.vocabulary, self.k, replace=False)
        return [
            PathJob(request.prompt_ids, request.seed, stream=stream, forced=(int(token),))
            for stream, token in enumerate(first)
        ]
