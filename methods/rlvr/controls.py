"""Controls of RLVR: the same training with another reward (`elicit/training/rl/rewards.py`).

* random_reward (placebo): a coin. It has no information about the items; published lifts shrink against it (arXiv
  2506.10947).
* format_reward, wrong_reward, majority_reward (rivals): spurious rewards with information about form, about wrong
  answers, or about the base's own majority.
* certainty_reward, entropy_reward, log_likelihood_reward, self_verification_reward (rivals, class V): the model judges
  itself, without a label (arXiv 2505.19590, 2603.08660).

Values only; a control is `replace(method, rewards=...)`. Same rollouts, updates and dev scores as the method.
"""

from __future__ import annotations

from collections.abc import Mapping

from elicit.training.rl.settings import UNLABELLED

PLACEBOS: dict[str, Mapping[str, float]] = {"random_reward": {"random": 1.0}}
RIVALS: dict[str, Mapping[str, float]] = {
    f"{name}_reward": {name: 1.0} for name in ("format", "wrong", "majority", *UNLABELLED)
}
"""name of the control -> its rewards"""
