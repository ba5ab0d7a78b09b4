"""The collapse step of a policy-gradient run: the first update after which nothing is left to learn from.

    accuracy gone    a dev score below 1 % of the best one so far
    entropy gone     entropy per token below 1 % of that of the first update

Every reward by which a model judges itself rises and then falls (arXiv 2603.08660), and the step at which it falls is
said to predict what training with labels would gain. Their definition reads accuracy on the training rollouts, which
takes a label per rollout; here it is that of the dev scores that the curves have anyway (`dev_every`), so a reward
without labels stays one. With `dev_every=0` only entropy is read. A run that has solved its task loses its entropy too,
so both numbers are reported. What this module does not know: rewards, the trainer.
"""

from __future__ import annotations

from elicit.training.rl.progress import Standing

SHARE = 0.01


def collapse(standing: Standing, update: int, entropy: float, dev: float | None) -> str | None:
    """Why the policy counts as collapsed since this update, or None; the first time only (`standing.collapse`).

    `entropy`: of the update's rollouts, per token; `dev`: the dev score after it, None if there was none.
    """
    if standing.first_entropy is None:
        standing.first_entropy = entropy
    if dev is not None:
        standing.best_dev = max(standing.best_dev, dev)
    if standing.collapse is not None:
        return None
    reasons = []
    if dev is not None and dev < SHARE * standing.best_dev:
        reasons.append(f"dev {dev:.3f} after a best of {standing.best_dev:.3f}")
    if standing.first_entropy > 0 and entropy < SHARE * standing.first_entropy:
        reasons.append(f"entropy {entropy:.4f} after {standing.first_entropy:.4f} in the first update")
    if not reasons:
        return None
    standing.collapse = update
    return ", ".join(reasons)
