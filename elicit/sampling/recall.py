"""How well a checkpoint remembers a text: its greedy continuation, and the likelihood of the text.

The part of the contamination probe that needs a model (`evaluate.contamination`). Texts follow the words that the bare
prompt puts before a question. What this module does not know: items, twins, statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from elicit.policy.decoding import PathJob, PickRule
from elicit.sampling.likelihood import score
from elicit.sampling.loop.step_loop import StepLoop
from elicit.tasks.task import StopRules

if TYPE_CHECKING:
    from elicit.policy.checkpoint import Checkpoint

HEAD = "Question:"
_SPARE = 4
"""more tokens than the rest has: the checkpoint may split its words differently"""


def recall(checkpoint: Checkpoint, parts: Sequence[tuple[str, str]], head: str = HEAD) -> list[str]:
    """The greedy continuation of each beginning; `parts`: (beginning, rest), the longest rest decides the length."""
    loop = StepLoop(checkpoint)
    jobs = [PathJob(tuple(checkpoint.encode(f"{head} {beginning}")), 0) for beginning, _ in parts]
    longest = max((len(checkpoint.encode(rest)) for _, rest in parts), default=0) + _SPARE
    return [path.text for path in loop.run(jobs, PickRule(temperature=0.0), StopRules((), longest))]


def completions(checkpoint: Checkpoint, stop: StopRules, beginnings: Sequence[str], head: str = HEAD) -> list[str]:
    """What the checkpoint writes greedily after each beginning of a question, up to the stop rules of the task."""
    jobs = [PathJob(tuple(checkpoint.encode(f"{head} {beginning}")), 0) for beginning in beginnings]
    return [path.text for path in StepLoop(checkpoint).run(jobs, PickRule(temperature=0.0), stop)]


def nll(checkpoint: Checkpoint, texts: Sequence[str], head: str = HEAD) -> list[float]:
    """Mean NLL per token, in nats, of each text after `head`."""
    before = checkpoint.encode(head)
    pairs = []
    for text in texts:
        whole = checkpoint.encode(f"{head} {text}")
        shared = next((k for k, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b), len(before))
        shared = max(1, min(shared, len(whole) - 1))
        pairs.append((whole[:shared], whole[shared:]))
    return [-float(scored.logprobs.mean()) for scored in score(checkpoint.model, pairs)]
