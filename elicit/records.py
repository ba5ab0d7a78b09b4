"""The rows that travel between stages. Plain data: no torch, no files, no behaviour.

    Item      one problem with its gold                        (tasks -> ledger, evaluate)
    Sample    one returned completion of one policy            (generate -> grade)
    Chain     one of the paths that led to a completion        (generate -> measure)
    Grade     the judgement of one sample                      (grade -> measure)
    LedgerRow one use of data by a method                      (fit -> compare)

A sample's key is (policy, regime, item, j); its seed hashes the key, so a draw depends on nothing
else: not on the batch, the order, n, `max_new_tokens` or resumption. Every row type carries its
schema version in `SCHEMA`; readers refuse newer files and tests keep yesterday's bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

SCHEMA = 1
BARE = "bare"
"""name of the prompt that adds nothing, which every task has"""


class Finish:
    """How a completion ended. Every ending is one of these."""

    EOS = "eos"
    STOP = "stop"
    """a stop string of the task, such as the next question"""
    LENGTH = "length"
    """the token limit: a truncated answer is wrong and counted apart"""
    CUT = "cut"
    """ended by a strategy (a DeepConf threshold, a rejected suffix)"""


FINISHED = (Finish.EOS, Finish.STOP)
"""endings after which an answer is read strictly: a truncated or cut output has no strict answer"""


@dataclass(frozen=True)
class Item:
    """One problem. `id` is a content hash of task, question, gold and facts: renaming a folder makes no new item."""

    id: str
    task: str
    split: str
    """train | dev | test | test_task | test_length | test_format (the shift axes)"""
    question: str
    gold: str | None
    """None on items that came through the ledger: gold is reached through `ledger.grade`."""
    cluster: str
    """what intervals resample together: a template, or the source problem"""
    facts: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)
    """JSON-able facts for the validator of traces; empty if there is none"""


class SampleKey(NamedTuple):
    policy: str
    regime: str
    item: str
    j: int


@dataclass(frozen=True)
class Sample:
    """One returned completion."""

    policy: str
    regime: str
    item: str
    j: int
    seed: int
    prompt_hash: str
    token_ids: list[int]
    """completion tokens, the ending EOS included if there is one"""
    text: str
    """decoded completion, cut before a stop string, without special tokens"""
    finish: str
    logprobs: list[float]
    """log-prob of each token under the policy's raw softmax at T=1 (edits on, no truncation)"""
    base_logprobs: list[float] | None
    """the same under the bare base; None until annotated"""
    total_tokens: int
    """all tokens generated anywhere for this answer, rejected chains included"""
    aux_forward_tokens: int
    """tokens of auxiliary forwards (verifier, controller, scoring passes)"""
    winner: int
    """index of the chain that became the completion, 0 if there is one chain; -1 if the answer is a vote"""
    confidence: float | None = None
    """top-20 confidence, mean over the tokens: negated mean log-prob of the 20 most probable ones (arXiv 2508.15260);
    None without a token; a folder of an older version has it in the column `certainty`"""
    self_certainty: float | None = None
    """KL(uniform || p) over the full vocabulary, mean over the tokens (arXiv 2502.18581); None without a token, no
    column in a folder of an older version"""

    @property
    def key(self) -> SampleKey:
        return SampleKey(self.policy, self.regime, self.item, self.j)


@dataclass(frozen=True)
class Chain:
    """One path that led to a completion, stored if a strategy draws more than one."""

    policy: str
    regime: str
    item: str
    j: int
    chain: int
    token_ids: list[int]
    text: str
    finish: str
    scalars: dict[str, float]
    """what the strategy measured on the path: delta, mean_logprob, confidence, ..."""
    weight: float
    """the path's weight in the strategy's vote"""


@dataclass(frozen=True)
class Grade:
    """The judgement of one sample. `strict=None` is *ungraded* (a timeout, a crash): never wrong, always reported."""

    policy: str
    regime: str
    item: str
    j: int
    strict: bool | None
    lenient: bool | None
    answer: str | None
    """the strictly extracted answer, None if there is none"""
    answer_class: str | None
    """canonical form: answers of one class are one vote"""
    valid: bool | None
    """trace validity; None if the task has no validator"""
    violation: str | None
    """kind of the first violation"""
    violation_step: int | None
    ungraded: str | None
    """why there is no grade"""
    first: bool | None = None
    """the verdict on the first complete declaration, whatever follows it; None: not known (older files)"""


@dataclass(frozen=True)
class LedgerRow:
    """One use of data by a method."""

    method: str
    stage: str
    """prompt | train | select | infer"""
    source: str
    """a split of the task, a file, or an author"""
    content_hash: str
    licence: str
    problems: int
    label_bits: int
    """one per verifier call or gold answer read"""
    foreign_tokens: int
    """text tokens that the base did not write"""
    own_activations: int
    """positions of own activations read"""
    teacher_calls: int
    items: list[str] = field(default_factory=list)
    """ids of the items used"""
    overlap_exact: list[str] = field(default_factory=list)
    """ids of evaluation items whose whole question is in the foreign text"""
    overlap_run: list[str] = field(default_factory=list)
    """ids of evaluation items that share a run of 13 words with it (those of overlap_exact among them)"""
