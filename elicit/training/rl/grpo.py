"""Policy gradient with a group baseline, strictly on-policy: a thin subclass of TRL's GRPOTrainer.

    J = 1 / (P G L) sum_i sum_t A_i log p(y_it | x_i, y_i<t)        A_i = r_i - mean of its group's r

P items, G rollouts of each, L the token limit: the dr_grpo loss without length or variance scaling (arXiv
2503.20783) of GRPO (2402.03300), no KL term, one update a batch, so the clipped ratio is exactly 1 and a random
reward has no bias to exploit (2506.10947 found that clipping has one). TRL owns the loop, the advantage, the loss
and the accumulation of micro-batches. What is ours:

* rollouts through the step loop, one uniform-number key a rollout (`rollouts.py`), rewards through the ledger;
* the forward pass of the loss: rows of about one length together and right-padded, hooks told each position;
  rollouts whose advantage is exactly 0 are left out (their gradient is 0), the loss scaled to the whole batch.
  An update in which all are left out changes nothing, where stock Adam would drift on by momentum;
* checkpoints of trained tensors only, guards (`guards.py`) and curves (`curves.py`).

What this module does not know: which parameters are trained (`trainable.py`, `vectors.py`).
Cost: steps x P x G rollouts, and one forward and backward pass over those with an advantage.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import PrinterCallback, ProgressCallback
from trl import GRPOConfig, GRPOTrainer

from elicit.policy.positions import forward_positions
from elicit.records import Finish, Item
from elicit.training.rl import checkpoints, rewards, rollouts
from elicit.training.rl.guards import check_gradients, check_hooks
from elicit.training.rl.rollouts import Engine, Rollout
from elicit.training.rl.settings import GRPOSettings
from elicit.training.rl.trainable import Trainable

if TYPE_CHECKING:
    from elicit.ledger import Ledger
    from elicit.method import Context
    from elicit.policy.policy import Policy

LENGTH_SPREAD = 1.25
"""rows computed together differ in length by at most this factor"""


@dataclass
class Batch:
    """The rollouts of one update with their rewards."""

    rollouts: list[Rollout]
    columns: dict[str, rewards.Values]
    totals_P_G: np.ndarray
    """weighted sums; NaN where no reward applies"""
    seconds: float
    """drawing and judging them"""

    @property
    def flat_P(self) -> np.ndarray:
        """Bool [P]: groups without two different rewards, which have no gradient."""
        return np.array([len(set(row[~np.isnan(row)].tolist())) < 2 for row in self.totals_P_G])

    @property
    def centred_P_G(self) -> np.ndarray:
        """Rewards less their group's mean, exactly 0 in flat groups.

        TRL subtracts the mean once more, in float32: of equal rewards such as .1 that would leave rounding noise, which
        Adam would blow up to a full step.
        """
        counts_P_1 = (~np.isnan(self.totals_P_G)).sum(1, keepdims=True)
        means_P_1 = np.nansum(self.totals_P_G, axis=1, keepdims=True) / np.maximum(counts_P_1, 1)
        return np.where(self.flat_P[:, None] & ~np.isnan(self.totals_P_G), 0.0, self.totals_P_G - means_P_1)

    @property
    def truncated(self) -> float:
        """Share of rollouts that reached the token limit."""
        return float(np.mean([rollout.path.finish == Finish.LENGTH for rollout in self.rollouts]))


@dataclass
class Standing:
    """How a run stands, beyond tensors: saved with every checkpoint."""

    empty_in_a_row: int = 0
    updates: int = 0
    """updates with a gradient"""
    first_reward: float | None = None
    hooks_checked: bool = False


@dataclass
class Run:
    """Everything one fit is made of."""

    settings: GRPOSettings
    trainable: Trainable
    policy: Policy
    ledger: Ledger
    context: Context
    engine: Engine
    items: dict[str, Item]
    seed: int
    limit: int
    """tokens of a rollout"""
    identity: dict[str, Any]
    name: str
    standing: Standing = field(default_factory=Standing)


class PolicyGradientTrainer(GRPOTrainer):
    """TRL's trainer on the parameters of a `Trainable`, fed by our rollouts and rewards."""

    def __init__(self, run: Run, order: Sequence[str]) -> None:
        from datasets import Dataset

        self.run = run
        self.batch: Batch | None = None
        self.gradient_norm = 0.0
        self.sampler_gap = np.zeros(2)
        """sum and count of the per-token KL estimates between sampler and trainer"""
        checkpoint = run.policy.checkpoint
        super().__init__(
            model=checkpoint.model,
            reward_funcs=[_total],
            args=arguments(run),
            train_dataset=Dataset.from_dict({"prompt": list(order)}),
            processing_class=checkpoint.tokenizer,
            rollout_func=self._rollouts,
        )
        for callback in (PrinterCallback, ProgressCallback):
            self.remove_callback(callback)

    def _rollouts(self, prompts: list[str], trainer: Any) -> dict[str, list[Any]]:
        """Draw and judge one batch. `prompts` are item ids, each G times in a row."""
        run, began = self.run, time.monotonic()
        group = run.settings.samples
        items = [run.items[name] for name in prompts[::group]]
        requested = rollouts.requests(run.policy, items, group, run.seed, self.state.global_step)
        with run.trainable.sampling():
            drawn = rollouts.draw(run.engine, requested, run.ledger.task_view.stop, run.limit, self)
        run.ledger.rollouts(len(drawn), sum(len(rollout.path.token_ids) for rollout in drawn))
        judge = rewards.Judge(run.ledger, run.limit)
        known = rewards.known(run.settings.rewards)
        columns = {name: rewards.values(name, reward, judge, drawn) for name, (reward, _) in known.items()}
        totals = rewards.total(columns, {name: weight for name, (_, weight) in known.items()})
        self.batch = Batch(drawn, columns, totals.reshape(-1, group), time.monotonic() - began)
        centred = self.batch.centred_P_G.reshape(-1)
        return {
            "prompt_ids": [list(rollout.prompt_ids) for rollout in drawn],
            "completion_ids": [rollout.path.token_ids for rollout in drawn],
            "logprobs": [rollout.path.logprobs for rollout in drawn],
            "total": [None if np.isnan(value) else value for value in centred.tolist()],
        }

    def create_optimizer(self, *arguments: Any) -> torch.optim.Optimizer:
        """Adam on the trained parameters alone, none of them decayed."""
        if self.optimizer is None:
            parameters = list(self.run.trainable.trained().values())
            self.optimizer = torch.optim.AdamW(parameters, lr=self.args.learning_rate, weight_decay=0.0)
        return self.optimizer

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """TRL's loss over the rollouts that have an advantage, scaled to all of them."""
        keep_B = inputs["advantages"] != 0
        total = keep_B.shape[0]
        count = int(keep_B.sum())
        if count == 0:
            return torch.zeros((), device=keep_B.device, requires_grad=True)
        per_row = {name for name, value in inputs.items() if torch.is_tensor(value) and value.shape[:1] == (total,)}
        kept = {name: value[keep_B] if name in per_row else value for name, value in inputs.items()}
        loss = super()._compute_loss(model, kept) * (count / total)
        mask_b_C = kept["completion_mask"].bool()
        gap = (self._logps - kept["sampling_per_token_logps"])[mask_b_C]
        self.sampler_gap += [(torch.expm1(gap) - gap).sum().item(), gap.numel()]
        return loss

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, *more: Any, **others: Any
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Log-probs and entropies [B, C] of the completions, rows of about one length together, right-padded."""
        prompts = attention_mask[:, :-logits_to_keep].sum(-1).tolist()
        lengths = attention_mask.sum(-1).tolist()
        left = input_ids.shape[1] - logits_to_keep
        out: list[tuple[torch.Tensor, torch.Tensor]] = []
        order: list[int] = []
        for rows in alike(lengths):
            order += rows
            ids = [input_ids[row, left - prompts[row] : left - prompts[row] + lengths[row]] for row in rows]
            out.append(self._forward(model, ids, [prompts[row] for row in rows], logits_to_keep))
        back = torch.tensor(order).argsort().to(input_ids.device)
        logps, entropies = (torch.cat(parts)[back] for parts in zip(*out, strict=True))
        self._logps = logps.detach()
        return logps, entropies, None

    def _forward(
        self, model: Any, ids: list[torch.Tensor], prompts: list[int], keep: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The same [b, keep] for rows of real tokens, by TRL's chunked float32 head."""
        device, lengths = ids[0].device, torch.tensor([len(row) for row in ids])
        starts = torch.tensor(prompts)
        ids_b_T = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
        steps_1_T = torch.arange(ids_b_T.shape[1])[None]
        positions_b_T = torch.where(steps_1_T < lengths[:, None], steps_1_T, -1)
        labels = ids_b_T.masked_fill((positions_b_T < starts[:, None]).to(device), -100)
        with self.accelerator.autocast(), forward_positions(positions_b_T, starts):
            # a mask of ones: no padding stands before a real token, and attention takes its causal fast path
            found = model(input_ids=ids_b_T, attention_mask=torch.ones_like(ids_b_T), labels=labels, fused_lm_head=True)
        steps_1_C = torch.arange(keep)[None]
        real_b_C = (steps_1_C < (lengths - starts)[:, None]).to(device)
        places_b_C = (starts[:, None] - 1 + steps_1_C).clamp(max=ids_b_T.shape[1] - 2).to(device)

        def completion(values: torch.Tensor) -> torch.Tensor:
            return values.gather(1, places_b_C).masked_fill(~real_b_C, 0.0)

        return completion(found.log_probs), completion(found.entropy)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """One micro-batch; after the last one of an update its gradient must be finite."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self.accelerator.sync_gradients:
            self.gradient_norm = check_gradients(self)
        return loss

    def save(self) -> Path:
        """Write a checkpoint of the trained tensors and everything that a bit-exact resumption needs."""
        run = self.run

        def more(folder: Path) -> None:
            self._save_optimizer_and_scheduler(str(folder))
            self._save_rng_state(str(folder))
            self.state.save_to_json(str(folder / "trainer_state.json"))
            checkpoints.write_progress(folder, run.identity, asdict(run.standing), run.ledger)

        return checkpoints.save(run.context.folder, self.state.global_step, run.trainable.trained(), more)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Trained tensors only; the optimizer and the generators are the Trainer's own work."""
        checkpoints.load_tensors(Path(resume_from_checkpoint), self.run.trainable.trained())

    def check_engine(self) -> None:
        """Once, after the first update: the engine must not ignore the vectors."""
        if self.run.trainable.write is not None and not self.run.standing.hooks_checked:
            check_hooks(self)
        self.run.standing.hooks_checked = True

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """TRL's own curves are not kept: `curves.py` writes ours."""
        self._metrics["train"].clear()


def _total(total: list[float | None], **_: Any) -> list[float | None]:
    """The reward function that TRL sees: what `_rollouts` has computed, centred."""
    return total


def alike(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of rows, shortest first, in sets whose lengths differ by at most `LENGTH_SPREAD`.

    >>> list(alike([10, 50, 11]))
    [[0, 2], [1]]
    """
    rows: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if rows and lengths[place] > LENGTH_SPREAD * lengths[rows[0]]:
            yield rows
            rows = []
        rows.append(place)
    if rows:
        yield rows


def arguments(run: Run) -> GRPOConfig:
    """TRL's configuration of a run; what is not named here is off."""
    settings, checkpoint = run.settings, run.policy.checkpoint
    accumulation = settings.batch // settings.micro_batch
    vllm: dict[str, Any] = {}
    if settings.rollouts == "vllm":
        where = {"vllm_mode": "server", "vllm_server_base_url": settings.vllm_server}
        vllm = {"use_vllm": True, **(where if settings.vllm_server else {"vllm_mode": "colocate"})}
    half = checkpoint.dtype in (torch.bfloat16, torch.float16) and run.trainable.write is None
    config = GRPOConfig(
        output_dir=str(run.context.folder), max_steps=settings.steps, seed=run.seed % 2**31,
        per_device_train_batch_size=settings.micro_batch, gradient_accumulation_steps=accumulation,
        steps_per_generation=accumulation, num_generations=settings.samples, num_iterations=1,
        max_completion_length=run.limit, temperature=1.0, top_p=1.0, top_k=0, repetition_penalty=1.0,
        loss_type="dr_grpo", scale_rewards="none", beta=0.0, router_aux_loss_coef=0.0,
        learning_rate=settings.learning_rate, lr_scheduler_type="constant", weight_decay=0.0,
        max_grad_norm=settings.max_grad_norm, gradient_checkpointing=settings.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False}, bf16=half, fp16=False, shuffle_dataset=False,
        mask_truncated_completions=False, disable_dropout=True, remove_unused_columns=False,
        use_cpu=checkpoint.device.type == "cpu", dataloader_pin_memory=False, report_to="none", disable_tqdm=True,
        logging_strategy="no", save_strategy="no", eval_strategy="no", log_level="error", **vllm,
    )  # fmt: skip
    if config.n_gpu > 1:
        config._n_gpu = 1  # one device, the checkpoint's: no DataParallel
    return config
