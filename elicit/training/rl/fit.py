"""One policy-gradient fit from beginning to end: memory, attaching, training, resuming, taking off.

    items -> memory -> [policy applied, parameters attached: train] -> intervention

Nothing that was done to the model outlives the call. What this module does not know: the loss (`grpo.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from elicit.errors import ConfigError, MethodError
from elicit.policy.policy import refuse_strategy
from elicit.training import memory
from elicit.training.restore import own_environment, own_randomness, quiet, restored
from elicit.training.rl import checkpoints
from elicit.training.rl.guards import check_settings
from elicit.training.rl.rewards import known
from elicit.training.rl.rollouts import engine_of
from elicit.training.rl.settings import GRPOSettings
from elicit.training.rl.trainable import Trainable

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy
    from elicit.records import Item
    from elicit.training.rl.grpo import Run

LARGE, TINY_MODELS_RATE = 50_000_000, 1e-4
"""from so many trained weights on, so large a learning rate is remarked on"""


def fit(
    settings: GRPOSettings,
    name: str,
    policy: Policy,
    ledger: Ledger,
    context: Context,
    trainable: Callable[[list[Item], int], Trainable],
) -> Intervention:
    """Train what `trainable(items, seed)` makes on train items and return its edit.

    Works on a bare or a stacked policy. Raises MethodError or ConfigError, each naming the setting to change.
    """
    from elicit.training.rl.grpo import Run

    refuse_strategy(policy)
    known(settings.rewards)
    seed = int(context.rng.integers(2**31))
    items = ledger.items("train", "train", limit=settings.train_items or settings.prompts * settings.steps)
    if len(items) < settings.prompts:
        raise ConfigError(f"prompts={settings.prompts}: the train split has {len(items)} items; lower prompts")
    parts = trainable(items, seed)
    check_settings(settings, policy, parts.write)
    model, tokenizer = policy.checkpoint.model, policy.checkpoint.tokenizer
    with ExitStack() as stack:
        for context_manager in (quiet(), own_randomness(), own_environment(), restored(model, tokenizer)):
            stack.enter_context(context_manager)
        limit = settings.max_new_tokens or ledger.task_view.stop.max_new_tokens
        _say_memory(settings, name, policy, context, parts, limit, items)
        engine = engine_of(settings, policy)
        stack.enter_context(policy.applied())
        stack.enter_context(parts.attached(model))
        identity = {"settings": _plain(settings), "policy": policy.id, "seed": seed, "name": name}
        by_id = {item.id: item for item in items}
        run = Run(settings, parts, policy, ledger, context, engine, by_id, seed, limit, identity, name)
        _train(run, [item.id for item in ordered(items, settings, seed)])
        return parts.edit()


def _train(run: Run, order: Sequence[str]) -> None:
    """Train from the last checkpoint of this very run, or from the beginning."""
    from elicit.training.rl.curves import Curves
    from elicit.training.rl.grpo import PolicyGradientTrainer, Standing

    trainer = PolicyGradientTrainer(run, order)
    trainer.add_callback(Curves(trainer))
    last = checkpoints.latest(run.context.folder, run.identity, run.context.say)
    if last is not None:
        run.standing = Standing(**checkpoints.book_again(last, run.ledger))
        run.context.say(f"{run.name}: resumed from {last.name}")
    try:
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    except torch.OutOfMemoryError as fault:
        raise MethodError(_out_of_memory(run)) from fault


def ordered(items: Sequence[Item], settings: GRPOSettings, seed: int) -> list[Item]:
    """The items of every update in a row: permutation after permutation, each its own seed."""
    out: list[Item] = []
    epoch = 0
    while len(out) < settings.prompts * settings.steps:
        fresh = np.random.default_rng([seed, epoch]).permutation(len(items))
        whole = len(items) - len(items) % settings.prompts  # no item twice in one update
        out += [items[i] for i in fresh[:whole]]
        epoch += 1
    return out[: settings.prompts * settings.steps]


def _say_memory(
    settings: GRPOSettings, name: str, policy: Policy, context: Context, parts: Trainable, limit: int, items: list[Item]
) -> None:
    checkpoint = policy.checkpoint
    trained = parts.size(checkpoint.model)
    longest = limit + max(len(policy.prompt_ids(item.question)) for item in items[:64])
    estimate = memory.estimate(
        checkpoint.model, trained, settings.micro_batch, longest, settings.batch,
        settings.gradient_checkpointing, checkpoint.dtype,
    )  # fmt: skip
    context.say(f"{name}: {trained:,} trained parameters, about {estimate}")
    if parts.write is None and trained > LARGE and settings.learning_rate > TINY_MODELS_RATE:
        context.say(
            f"{name}: learning_rate={settings.learning_rate:g} is that of tiny models; {trained:,} trained weights of "
            "a real base take 1e-6 (lora: 1e-5): see the presets rlvr_1b and rlvr_7b"
        )
    advice = "use parameters=lora, or method=rl_steering"
    memory.check(estimate, memory.available(checkpoint.device), f"{name} of {checkpoint.name}", advice)


def _out_of_memory(run: Run) -> str:
    settings = run.settings
    more = "" if settings.gradient_checkpointing or run.trainable.write else ", set gradient_checkpointing=true"
    return (
        f"out of memory: lower micro_batch (now {settings.micro_batch}){more}, then max_new_tokens (now {run.limit}); "
        "rollouts shrink with prompts and samples; parameters=lora or method=rl_steering need no optimizer for the base"
    )


def _plain(settings: GRPOSettings) -> dict[str, Any]:
    """The settings as JSON gives them back."""
    import json

    return json.loads(json.dumps(asdict(settings)))
