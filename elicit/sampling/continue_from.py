"""Continuing traces from inside: forced prefixes through the step loop, with the policy's edits on.

A prefix is forced token by token (`PathJob.forced`), so an edit of the last prompt token still acts there. Kept text
is given by the sample's own tokens up to the last one that ends inside it; only the rest is encoded again. Decoding
strategies are left out: they choose among complete answers and can't start in the middle. Probes of similar length run
together. What this module does not know: what the continuations are for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from elicit.errors import DataError
from elicit.files import seed_of
from elicit.policy.decoding import Path, PathJob, PickRule
from elicit.records import Item
from elicit.sampling.loop.step_loop import StepLoop
from elicit.sampling.probe import Probe

if TYPE_CHECKING:
    from elicit.policy.policy import Policy
    from elicit.tasks.task import Reader

BUCKET = 32
"""prefixes whose lengths differ by less run in one batch; the longest decides the token limit"""


@dataclass(frozen=True)
class Continuation:
    """What a policy wrote after the prefix of a probe."""

    probe: Probe
    draw: int
    forced_text: str
    forced_tokens: int
    text: str
    """the continuation alone"""
    tokens: int
    finish: str


def continue_from(
    policy: Policy,
    items: Mapping[str, Item],
    traces: Mapping[tuple[str, int], Sequence[int]],
    probes: Sequence[Probe],
    task: Reader,
    seed: str = "",
    slots: int | None = None,
) -> list[Continuation]:
    """Continuations in the order of the probes, draw by draw.

    `traces`: token ids of (item, sample). `seed` separates lenses: a draw hashes policy, seed, item, sample, key and
    number. Raises DataError if the item or the trace of a probe is missing.
    """
    loop = StepLoop(policy.checkpoint, slots=slots)
    jobs: list[tuple[Probe, int, PathJob]] = []
    for probe in probes:
        if probe.item not in items or (probe.kept and (probe.item, probe.j) not in traces):
            raise DataError(f"probe {probe.key!r}: no item or trace {probe.item}, {probe.j}; was it sampled?")
        prompt = policy.prompt_ids(items[probe.item].question)
        forced = forced_ids(policy, loop, traces.get((probe.item, probe.j), ()), probe)
        for draw in range(probe.n):
            key = seed_of(policy.id, "probe", seed, probe.item, probe.j, probe.key, draw)
            jobs.append((probe, draw, PathJob(prompt, key, forced=forced)))
    done: dict[int, Path] = {}
    with policy.applied():
        for batch in _length_buckets(jobs):
            probe = jobs[batch[0]][0]
            limit = max(len(jobs[index][2].forced) for index in batch) + probe.room
            rule = PickRule(temperature=0.0 if probe.greedy else 1.0)
            paths = loop.run([jobs[index][2] for index in batch], rule, replace(task.stop, max_new_tokens=limit))
            done.update(zip(batch, paths, strict=True))
    return [_continuation(loop, *job, done[index]) for index, job in enumerate(jobs)]


def forced_ids(policy: Policy, loop: StepLoop, trace: Sequence[int], probe: Probe) -> tuple[int, ...]:
    """Tokens of the prefix: those of the trace that end within `kept` characters, then the rest encoded again."""
    ids = list(trace)
    text, count, reached = loop.decode(ids), 0, 0
    if probe.kept:
        for (_, end), token in zip(loop.offsets(ids), ids, strict=True):
            if end > probe.kept or token in policy.checkpoint.eos_ids:
                break
            count, reached = count + 1, end
    rest = text[reached : probe.kept] + probe.text
    encoded = policy.checkpoint.tokenizer(rest, add_special_tokens=False)["input_ids"] if rest else []
    return (*ids[:count], *encoded)


def _length_buckets(jobs: Sequence[tuple[Probe, int, PathJob]]) -> list[list[int]]:
    """Indices of jobs that run together: same rule and room, prefixes of similar length."""
    groups: dict[tuple[bool, int, int], list[int]] = {}
    for index, (probe, _, job) in enumerate(jobs):
        groups.setdefault((probe.greedy, probe.room, len(job.forced) // BUCKET), []).append(index)
    return list(groups.values())


def _continuation(loop: StepLoop, probe: Probe, draw: int, job: PathJob, path: Path) -> Continuation:
    """A path without its forced part, cut to the probe's room (a run has the limit of its longest prefix)."""
    forced = len(job.forced)
    head = loop.decode(job.forced)
    ids = path.token_ids[: forced + probe.room]
    text = path.text if len(ids) == len(path.token_ids) else loop.decode(ids)
    finish = path.finish if len(ids) == len(path.token_ids) else "length"
    return Continuation(probe, draw, head, forced, text[len(head) :], max(0, len(ids) - forced), finish)
