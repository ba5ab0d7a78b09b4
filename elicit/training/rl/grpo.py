"""Policy gradient with a group baseline, strictly on-policy: a thin subclass of TRL's GRPOTrainer.

    J = 1 / (P G L) sum_i sum_t A_i log p(y_it | x_i, y_i<t)        A_i = r_i - mean of its group's r

The whole update in 46 lines, without batching or libraries: tests/reference/grpo.py. Who calls whom:

    fit.fit                  attaches the parameters, builds a `Run` (run.py) and calls PolicyGradientTrainer.train
    grpo._rollouts           rollouts.*Engine draws, rewards.* judge: one RolloutBatch per update       (steps 1 to 3)
    grpo._compute_loss       TRL's loss on the rollouts that have an advantage, over our forward pass   (steps 4, 5)
    grpo.training_step       guards.check_gradients, then TRL clips and takes the Adam step             (step 6)
    curves.Curves            after each update: guards.check_signal and check_hooks, curves, dev scores
    grpo.save                checkpoints.save and progress.write; called by curves, and by guards.check_gradients
                             before it raises

P items, G rollouts of each, L the token limit: the dr_grpo loss without length or variance scaling (arXiv
2503.20783) of GRPO (2402.03300), no KL term, one update per batch, so the clipped ratio is exactly 1 and a random
reward has no bias to exploit (2506.10947 found that clipping has one). TRL owns the loop, the advantage, the loss
and the accumulation of micro-batches. What we add:

* rollouts through the step loop, one random key per rollout (`rollouts.py`), rewards through the ledger;
* the forward pass of the loss: a long prompt once for its completions (`shared_prompt.py`), other rows of similar
  length together and right-padded, hooks know each position;
  rollouts whose advantage is exactly 0 are left out (their gradient is 0), the loss scaled to the whole batch.
  An update in which all are left out changes nothing, while stock Adam would drift on by momentum;
* checkpoints of the trained tensors only, guards (`guards.py`) and curves (`curves.py`).

What this module does not know: which parameters are trained (`training/trainable.py`, `vectors.py`).
Cost: steps x P x G rollouts, and one forward and backward pass over those with an advantage.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad
from trl import GRPOConfig, GRPOTrainer

from elicit import ranks
from elicit.errors import ConfigError
from elicit.files import seed_of
from elicit.policy.decoding import PathJob, PickRule
from elicit.policy.positions import forward_positions
from elicit.sampling.loop.forward import ready_mask
from elicit.training.labelled_head import head_of_labelled_tokens
from elicit.training.resumable import Resumable
from elicit.training.rl import progress, rewards
from elicit.training.rl.guards import check_gradients
from elicit.training.rl.own_model import TrainedModel
from elicit.training.rl.rollouts import Rollout
from elicit.training.rl.run import RolloutBatch, Run
from elicit.training.rl.shared_prompt import shared_pass, shared_rows

LENGTH_SPREAD = 1.25
"""rows computed together differ in length by at most this factor"""


class PolicyGradientTrainer(Resumable, GRPOTrainer):
    """TRL's trainer on the parameters of a `Trainable`, with our rollouts and rewards.

    The numbered comments follow one update in the order in which TRL calls the methods.
    """

    def __init__(self, run: Run, order: Sequence[str]) -> None:
        """`order`: item ids of every update in a row."""
        from datasets import Dataset

        self.run, self.trainable = run, run.trainable
        self.batch: RolloutBatch | None = None
        """of the current update"""
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
        head_of_labelled_tokens(checkpoint.model)
        self.silence()

    def _rollouts(self, prompts: list[str], trainer: Any) -> dict[str, list[Any]]:
        """Draw and judge one batch. `prompts` are item ids, each G times in a row."""
        run, began = self.run, time.monotonic()
        group, step = run.settings.samples, self.state.global_step
        items = [run.items[name] for name in prompts[::group]]

        # 1) draw: the key of a rollout is the hash of (fit, update, item, j), so a resumed run draws the same; another
        # copy of an item goes on with j, so that copies are other draws
        drawn_of: Counter[str] = Counter()
        members = []
        for item in items:
            members += [(item, drawn_of[item.id] + j) for j in range(group)]
            drawn_of[item.id] += group
        ids = {item.id: run.policy.prompt_ids(item.question) for item in items}
        jobs = [PathJob(ids[item.id], seed_of("rollout", run.seed, step, item.id, j)) for item, j in members]
        stop = replace(run.ledger.task_view.stop, max_new_tokens=run.limit)
        with run.trainable.sampling():
            part = run.engine.run(ranks.own_part(jobs), PickRule(), stop, self)
            paths = ranks.merged(ranks.gathered(part, "rollouts"))
        drawn = [
            Rollout(item, j, job.seed, job.prompt_ids, path)
            for (item, j), job, path in zip(members, jobs, paths, strict=True)
        ]
        run.ledger.rollouts(len(drawn), sum(len(path.token_ids) for path in paths))

        # 2) judge
        own = TrainedModel(run.policy.checkpoint, run.trainable)
        judge, resolved = rewards.Judge(run.ledger, run.limit, own), rewards.resolve(run.settings.rewards)
        columns = {name: rewards.values(name, reward, judge, drawn) for name, (reward, _) in resolved.items()}
        totals = rewards.total(columns, {name: weight for name, (_, weight) in resolved.items()})
        self.batch = RolloutBatch(drawn, columns, totals.reshape(-1, group), time.monotonic() - began)

        # 3) advantages: TRL subtracts the mean of each group; we do it first, in float64 (see centred_P_G)
        centred = self.batch.centred_P_G.reshape(-1)
        return {
            "prompt_ids": [list(rollout.prompt_ids) for rollout in drawn],
            "completion_ids": [rollout.path.token_ids for rollout in drawn],
            "logprobs": [rollout.path.logprobs for rollout in drawn],
            "total": [None if np.isnan(value) else value for value in centred.tolist()],
        }

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """TRL's loss of a micro-batch of B rollouts."""
        # 4) only rollouts with an advantage: b of B; the mean over b becomes the mean over B
        keep_B = (inputs["advantages"] != 0) & self.ours
        total, count = keep_B.shape[0], int(keep_B.sum())
        if count == 0:
            return torch.zeros((), device=keep_B.device, requires_grad=True)
        per_row = {name for name, value in inputs.items() if torch.is_tensor(value) and value.shape[:1] == (total,)}
        kept = {name: value[keep_B] if name in per_row else value for name, value in inputs.items()}
        loss = super()._compute_loss(model, kept) * (count / total)
        # how far the differentiated policy is from the sampler (0 but for rounding): k3 of Schulman's note
        mask_b_C = kept["completion_mask"].bool()
        gap = (self._logps - kept["sampling_per_token_logps"])[mask_b_C]
        self.sampler_gap += [(torch.expm1(gap) - gap).sum().item(), gap.numel()]
        return loss

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Any, attention_mask: Any, logits_to_keep: int, *more: Any, **others: Any
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        """Log-probs and entropies [B, C] of the completions, 0 after their end."""
        # 5) TRL pads prompts on the left and completions on the right, all to one width; we take the padding off,
        # compute long prompts once for all their completions, and other rows of similar length together
        prompts = attention_mask[:, :-logits_to_keep].sum(-1).tolist()
        lengths = attention_mask.sum(-1).tolist()
        left = input_ids.shape[1] - logits_to_keep
        ids = [row[left - prompt : left - prompt + length]
               for row, prompt, length in zip(input_ids, prompts, lengths, strict=True)]  # fmt: skip
        parts: list[tuple[torch.Tensor, torch.Tensor]] = []
        order: list[int] = []
        for shared in self._shared(ids, prompts):
            start = prompts[shared[0]]
            with self.accelerator.autocast():
                found = shared_pass(model, ids[shared[0]][:start], [ids[row][start:] for row in shared])
            order += shared
            for logps, entropies in found:
                room = (0, logits_to_keep - len(logps))
                parts.append((pad(logps, room)[None], pad(entropies, room)[None]))
        rest = [row for row in range(len(ids)) if row not in order]
        for places in length_buckets([lengths[row] for row in rest]):
            alike = [rest[place] for place in places]
            order += alike
            few = torch.tensor([prompts[row] for row in alike])
            parts.append(self._forward(model, [ids[row] for row in alike], few, logits_to_keep))
        back = torch.tensor(order).argsort().to(input_ids.device)
        logps, entropies = (torch.cat(tensors)[back] for tensors in zip(*parts, strict=True))
        self._logps = logps.detach()
        return logps, entropies, None

    def _shared(self, ids: list[torch.Tensor], prompts: list[int]) -> list[list[int]]:
        """Sets of rows that are computed as one; none if the model takes no mask of its own for such a length."""
        completions = [len(row) - prompt for row, prompt in zip(ids, prompts, strict=True)]
        sets = shared_rows([row[:prompt].tolist() for row, prompt in zip(ids, prompts, strict=True)], completions)
        longest = max(map(len, ids))
        return sets if sets and ready_mask(self.run.policy.checkpoint.model, longest) else []

    def _forward(
        self, model: Any, ids: list[torch.Tensor], prompts_b: torch.Tensor, keep: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probs and entropies [b, keep] of completions by TRL's chunked float32 head.

        `ids`: b rows without padding; `prompts_b`: how many of their tokens belong to the prompt.
        """
        device, lengths_b = ids[0].device, torch.tensor([len(row) for row in ids])
        ids_b_T = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
        steps_1_T = torch.arange(ids_b_T.shape[1])[None]
        positions_b_T = torch.where(steps_1_T < lengths_b[:, None], steps_1_T, -1)
        labels_b_T = ids_b_T.masked_fill((positions_b_T < prompts_b[:, None]).to(device), -100)
        with self.accelerator.autocast(), forward_positions(positions_b_T, prompts_b):
            # a mask of ones: there is no padding before a real token, and attention takes its causal fast path
            out = model(
                input_ids=ids_b_T, attention_mask=torch.ones_like(ids_b_T), labels=labels_b_T, fused_lm_head=True
            )
        # the log-prob of token t is at t - 1; completions are moved to column 0, and 0 is written after their end
        steps_1_C = torch.arange(keep)[None]
        real_b_C = (steps_1_C < (lengths_b - prompts_b)[:, None]).to(device)
        columns_b_C = (prompts_b[:, None] - 1 + steps_1_C).clamp(max=ids_b_T.shape[1] - 2).to(device)
        logps, entropies = (values.gather(1, columns_b_C) for values in (out.log_probs, out.entropy))
        return logps.masked_fill(~real_b_C, 0.0), entropies.masked_fill(~real_b_C, 0.0)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        """One micro-batch."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        # 6) after the last micro-batch of an update its gradient must be finite; then TRL clips it and steps
        if self.accelerator.sync_gradients:
            self.sampler_gap = np.sum(ranks.gathered(self.sampler_gap, "the sampler gap"), axis=0)
            named, update = self.trainable.trained(), self.state.global_step + 1
            self.gradient_norm = check_gradients(named, self.save, self.args.learning_rate, update)
        return loss

    def create_optimizer(self, *arguments: Any) -> torch.optim.Optimizer:
        """Adam on the trained parameters alone, without weight decay."""
        if self.optimizer is None:
            parameters = list(self.trainable.trained().values())
            self.optimizer = torch.optim.AdamW(parameters, lr=self.args.learning_rate, weight_decay=0.0)
        return self.optimizer

    def save(self) -> Path:
        """Write a checkpoint with everything that a bit-exact resumption needs, the ledger's account included."""
        run = self.run
        return self.write_checkpoint(
            run.context.folder,
            lambda folder: progress.write(
                folder, progress.Progress(run.identity, run.standing, run.ledger.spent), run.ledger
            ),
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """TRL's own curves are dropped: `curves.py` writes ours."""
        self._metrics["train"].clear()


def _total(total: list[float | None], **_: Any) -> list[float | None]:
    """The reward function that TRL sees: what `_rollouts` has computed."""
    return total


def length_buckets(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of rows, shortest first, in sets whose lengths differ by at most the factor `LENGTH_SPREAD`.

    >>> list(length_buckets([10, 50, 11]))
    [[0, 2], [1]]
    """
    rows: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if rows and lengths[row] > LENGTH_SPREAD * lengths[rows[0]]:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def arguments(run: Run) -> GRPOConfig:
    """TRL's configuration of a run; what is not named here is off.

    Raises ConfigError if an update has fewer micro-batches than there are processes: some would have nothing to do.
    """
    settings, checkpoint = run.settings, run.policy.checkpoint
    accumulation = settings.batch // settings.micro_batch
    if accumulation < ranks.world():
        raise ConfigError(
            f"micro_batch={settings.micro_batch} gives {accumulation} micro-batches for {ranks.world()} processes; "
            f"lower it to {settings.batch // ranks.world()} or less"
        )
    vllm: dict[str, Any] = {}
    if settings.rollouts == "vllm" and settings.vllm_server:
        vllm = {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": settings.vllm_server}
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
