"""Before vLLM draws for a policy, it has to agree with the step loop on a few greedy tokens.

    4 short prompts x 8 greedy tokens, by both engines, with the policy's edits on

A token may differ only where the step loop's own two best tokens are nearly tied (then the paths are compared no
further), and the log-probs of the tokens have to agree within float noise. So an edit that is silently not applied, or
only to some tokens (a known fault of steering on serving engines), is found before the first sample: it would leave the
log-probs of the unedited model. Knows nothing of vLLM.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from elicit.errors import StageError
from elicit.policy.decoding import Loop, Path, PathJob, PickRule
from elicit.tasks.task import StopRules

TEXTS = ("Question: 2 + 3\nAnswer:", "The capital of France is", "1 2 3 4", "def add(a, b):\n    return")
TOKENS = 8
TIES = {torch.float64: 1e-3, torch.float32: 1e-3}
"""p(top 1) - p(top 2) below which two engines may disagree; other dtypes: 0.05"""
NOISE = {torch.float64: 2e-3, torch.float32: 2e-3}
"""largest difference of a log-prob; other dtypes: 0.25"""


def greedy(loop: Loop, prompts: Sequence[tuple[int, ...]]) -> list[Path]:
    """The greedy paths that both engines have to agree on."""
    return loop.run([PathJob(ids, 0) for ids in prompts], PickRule(temperature=0.0), StopRules((), TOKENS))


def disagreement(ours: Sequence[Path], theirs: Sequence[Path], dtype: torch.dtype) -> str | None:
    """What differs between the step loop's paths and the other engine's, in words; None if they agree."""
    tie, noise = TIES.get(dtype, 0.05), NOISE.get(dtype, 0.25)
    for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        for step in range(max(len(one.token_ids), len(other.token_ids))):
            ids = [path.token_ids[step] if step < len(path.token_ids) else None for path in (one, other)]
            if ids[0] != ids[1]:
                if step < len(one.gaps) and one.gaps[step] < tie:
                    break
                return f"prompt {place + 1}, token {step + 1}: the step loop takes {ids[0]}, it takes {ids[1]}"
            apart = abs(one.logprobs[step] - other.logprobs[step])
            if not apart <= noise:
                return (
                    f"prompt {place + 1}, token {step + 1}: log-prob {other.logprobs[step]:.4f}, the step loop's is "
                    f"{one.logprobs[step]:.4f} (at most {noise} apart)"
                )
    return None


def moved(before: Sequence[Path], after: Sequence[Path]) -> bool:
    """Whether an edit changed any token or log-prob of the greedy paths."""
    return any(a.token_ids != b.token_ids or a.logprobs != b.logprobs for a, b in zip(before, after, strict=True))


def check(
    name: str,
    loop: Sequence[Path],
    other: Sequence[Path],
    dtype: torch.dtype,
    unedited: tuple[Sequence[Path], Sequence[Path]] | None = None,
) -> None:
    """Raises StageError if an engine's greedy paths are not the step loop's; it says if an edit had no effect.

    `unedited`: both engines' paths of the model without edits; None if this is that model.
    """
    if unedited is not None and moved(unedited[0], loop) and not moved(unedited[1], other):
        raise StageError(
            f"{name} does not apply the policy's edits: its greedy tokens and log-probs are those of the unedited "
            "model; use engine=loop"
        )
    if reason := disagreement(loop, other, dtype):
        raise StageError(f"{name} disagrees with the step loop: {reason}; use engine=loop")
