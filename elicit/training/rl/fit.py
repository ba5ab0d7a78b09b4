"""One policy-gradient fit from beginning to end: memory, attach, train, resume, detach.

    items -> memory -> [policy applied, parameters attached: train] -> intervention

No change of the model outlives the call. What this module does not know: the loss (`grpo.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from elicit.errors import ConfigError
from elicit.policy.policy import refuse_strategy
from elicit.training import memory
from elicit.training.restore import decoder_found, own_environment, own_randomness, quiet, restored
from elicit.training.rl import progress, rewards
from elicit.training.rl.guards import check_settings
from elicit.training.rl.progress import Identity
from elicit.training.rl.rollouts import engine_of
from elicit.training.rl.run import Run
from elicit.training.rl.settings import GRPOSettings
from elicit.training.trainable import Trainable

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.intervention import Intervention
    from elicit.policy.policy import Policy
    from elicit.records import Item

LARGE, TINY_MODELS_RATE = 50_000_000, 1e-4
"""with at least this many trained weights, a larger learning rate than this one is remarked on"""


def fit(
    settings: GRPOSettings,
    name: str,
    policy: Policy,
    ledger: Ledger,
    context: Context,
    trainable: Callable[[list[Item], int], Trainable],
    choose: Callable[[], list[Item]] | None = None,
) -> Intervention:
    """Train the parameters of `trainable(train items, seed)` and return their edit.

    `choose`: the items to train on, in place of a draw from the train split; if they are fewer than `prompts`, an
    update has copies of them. Works on a bare or a stacked policy. Raises MethodError or ConfigError, each naming the
    setting to change.
    """
    from elicit.training.rl.curves import Curves
    from elicit.training.rl.grpo import PolicyGradientTrainer

    # 1) what can be refused before anything is computed; the engine is built before TRL patches the model
    refuse_strategy(policy)
    rewards.resolve(settings.rewards)
    seed = int(context.rng.integers(2**31))
    if choose is not None:
        items = choose()
    else:
        items = ledger.items("train", "train", limit=settings.train_items or settings.prompts * settings.steps)
        if len(items) < settings.prompts:
            raise ConfigError(f"prompts={settings.prompts}: the train split has {len(items)} items; lower prompts")
    parameters = trainable(items, seed)
    check_settings(settings, policy, parameters.write)
    engine = engine_of(settings, policy, parameters)
    limit = settings.max_new_tokens or ledger.task_view.stop.max_new_tokens
    identity = Identity(settings, policy.id, seed, name)
    by_id = {item.id: item for item in items}
    run = Run(settings, parameters, policy, ledger, context, engine, by_id, seed, limit, identity, name)
    model, tokenizer = policy.checkpoint.model, policy.checkpoint.tokenizer
    with (
        closing(engine), quiet(), own_randomness(), own_environment(), restored(model, tokenizer), decoder_found(model)
    ):  # fmt: skip
        # 2) memory
        announce_memory(run)
        # 3) attach
        with policy.applied(), parameters.attached(model):
            trainer = PolicyGradientTrainer(run, [item.id for item in item_order(items, settings, seed)])
            trainer.add_callback(Curves(trainer))
            # 4) train, from this run's last checkpoint if there is one
            last = progress.latest(context.folder, identity, context.say)
            if last is not None:
                run.standing = progress.restore(last, ledger)
                context.say(f"{name}: resumed from {last.name}")
            fewer = "" if settings.gradient_checkpointing or parameters.write else ", set gradient_checkpointing=true"
            with memory.explained(
                f"lower micro_batch (now {settings.micro_batch}){fewer}, then max_new_tokens (now {limit}); rollouts "
                "take less with fewer prompts and samples; parameters=lora or method=rl_steering need no optimizer for "
                "the base"
            ):
                trainer.train(resume_from_checkpoint=None if last is None else str(last))

            # 5) read off the edit; leaving detaches the parameters and restores the model
            return parameters.edit()


def announce_memory(run: Run) -> None:
    """Print what will be trained and what it takes. Raises MethodError if the device is too small for it."""
    settings, checkpoint, say = run.settings, run.policy.checkpoint, run.context.say
    trained = run.trainable.size(checkpoint.model)
    prompts = [run.policy.prompt_ids(item.question) for item in list(run.items.values())[:64]]
    longest = run.limit + max(map(len, prompts))
    needed = memory.estimate_rl(
        checkpoint.model,
        settings,
        trained,
        run.trainable.write is not None,
        longest,
        checkpoint.device,
        checkpoint.dtype,
        run.limit,
    )
    if run.trainable.write is None and trained > LARGE and settings.learning_rate > TINY_MODELS_RATE:
        say(
            f"{run.name}: learning_rate={settings.learning_rate:g} is that of tiny models; {trained:,} trained weights "
            "of a real base take 1e-6 (lora: 1e-5): see the presets rlvr_1b and rlvr_7b"
        )
    advice = "use parameters=lora, or method=rl_steering"
    memory.announce(needed, trained, checkpoint, run.name, advice, say)


def item_order(items: Sequence[Item], settings: GRPOSettings, seed: int) -> list[Item]:
    """The items of all updates in a row, `prompts` per update: one seeded permutation per epoch.

    Fewer items than `prompts` are repeated in their order: copies, as equal in number as can be.
    """
    if len(items) < settings.prompts:
        return [items[place % len(items)] for place in range(settings.prompts)] * settings.steps
    out: list[Item] = []
    used = len(items) - len(items) % settings.prompts  # of an epoch; so no item occurs twice in one update
    epoch = 0
    while len(out) < settings.prompts * settings.steps:
        permutation = np.random.default_rng([seed, epoch]).permutation(len(items))
        out += [items[i] for i in permutation[:used]]
        epoch += 1
    return out[: settings.prompts * settings.steps]
