"""What one process and two have to do alike: `python -m tests.distributed.program FOLDER`.

FOLDER/KIND.safetensors, KIND.json    a fit of a tiny model: its edit; curves, ledger, what each process computed
FOLDER/runs/                          `elicit` with a decoding strategy of several chains on the shipped twin
FOLDER/faults.json                    what each process raised when only rank 1, or rank 0 alone, has failed
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from elicit import ranks
from elicit.cli import main as elicit
from elicit.errors import ElicitError, MethodError
from elicit.ledger import Ledger
from elicit.method import Context, MethodBase
from elicit.policy.policy import Policy
from elicit.policy.weights import WeightEdit
from elicit.training.rl.grpo import PolicyGradientTrainer
from elicit.training.sft.rows import Row
from elicit.training.sft.sft import SftConfig, train
from elicit.training.sft.trainer import PlannedTrainer
from methods.rl_steering.method import RLSteering
from methods.rlvr.method import RLVR
from tests.test_run import SMALL as ELICIT
from tests.training.harness import fitted
from tests.training.test_grpo import SMALL, TASK, tiny_policy

RL: dict[str, Any] = {**SMALL, "micro_batch": 1, "steps": 3, "save_every": 2}
SFT = SftConfig(steps=4, batch=8, micro_rows=2, learning_rate=1e-3, save_every=2)
RUN = [*ELICIT, "method=decoding", "method/strategy=self_consistency", "method.strategy.n=3", "eval.n=20"]


class Answers(MethodBase):
    """Supervised fine-tuning on the gold answers."""

    name = "answers"
    sft = SFT

    def fit(self, policy: Policy, ledger: Ledger, context: Context) -> WeightEdit:
        rows = [Row(policy.prompt.render(item.question), f" {item.gold}") for item in TASK.items("train")]
        return train(policy, rows, SFT, 5, context.folder, context.say, context.log).edit


FITS: dict[str, Any] = {
    "rlvr": RLVR(parameters="full", learning_rate=1e-3, **RL),
    "lora": RLVR(parameters="lora", learning_rate=1e-2, **RL),
    "vectors": RLSteering(learning_rate=1e-2, **RL),
    "sft": Answers(),
}


def fit(kind: str, folder: Path) -> None:
    """One fit; rank 0 writes its result."""
    computed: list[bool] = []
    steps = {trainer: trainer.training_step for trainer in (PolicyGradientTrainer, PlannedTrainer)}

    def counted(self: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        computed.append(self.ours)
        return steps[type(self)](self, *args, **kwargs)

    for trainer in steps:
        trainer.training_step = counted  # type: ignore[method-assign]
    try:
        torch.manual_seed(0)
        out = fitted(FITS[kind], tiny_policy(), folder / kind, TASK)
    finally:
        for trainer, step in steps.items():
            trainer.training_step = step  # type: ignore[method-assign]
    shares = ranks.gathered([sum(computed), len(computed)], "shares")
    if ranks.main():
        tensors = {name: tensor.contiguous() for name, tensor in out.edit.tensors().items()}
        save_file(tensors, folder / f"{kind}.safetensors")
        plain = {"rows": out.rows, "spent": vars(out.ledger.spent), "shares": shares}
        (folder / f"{kind}.json").write_text(json.dumps(plain, default=float))


def faults(folder: Path) -> None:
    """A fault that rank 0 meets alone, then one after which the processes are at different steps."""

    def fails() -> None:
        raise MethodError("no gradient")

    words = []
    try:
        ranks.by_main(fails, "a fit")
    except ElicitError as fault:
        words.append(f"{type(fault).__name__}: {fault}")
    try:
        ranks.agree(MethodError("alone") if ranks.rank() == 1 else None)
        words.append("went on")
    except ElicitError as fault:
        words.append(f"{type(fault).__name__}: {fault}")
    everyone = ranks.gathered(words, "words")
    if ranks.main():
        (folder / "faults.json").write_text(json.dumps(everyone))


def main(folder: Path) -> None:
    """Everything, by however many processes there are."""
    with ranks.joined():
        for kind in FITS:
            fit(kind, folder)
        out = io.StringIO()
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = elicit([*RUN, "group=two"])
        assert code == 0, out.getvalue()
        faults(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
