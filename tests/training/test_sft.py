"""The fine-tuning loop: the loss it minimises, what it leaves alone, and that it can be killed and resumed.

Bits are compared only of runs with the same batches on one machine; what differs in its batches is compared by norms.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

from elicit.errors import ConfigError, MethodError
from elicit.files import remove_tree
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import parameters_hash, wrap
from elicit.policy.policy import Policy
from elicit.training import checkpoints
from elicit.training.sft.rows import Row, Tokens, encode, micro_batches
from elicit.training.sft.sft import SftConfig, refuse_leaks, train
from elicit.watch import watching
from tests.policy.tiny import hook_count
from tests.sampling.models import tiny_model, tokenizer

ROWS = [
    Row(f"Question: {a} + {b}\nAnswer:", f" The answer is {a + b}." + " Add 4." * (a % 3))
    for a in range(5)
    for b in range(4)
]
SMALL = SftConfig(steps=4, batch=6, micro_rows=3, learning_rate=1e-2, warmup=0.0)


def tiny_policy(name: str = "llama") -> Policy:
    return Policy(wrap(tiny_model(name, dtype=torch.float32), tokenizer()))


def losses_of(policy: Policy, config: SftConfig, folder, rows=ROWS) -> tuple[list[float], object]:
    log: list[dict] = []
    trained = train(policy, rows, config, 3, folder, log=log.append)
    return [row["sft/loss"] for row in log], trained


def test_training_leaves_checkpoint_hooks_and_random_states_as_they_were(tmp_path):
    policy = tiny_policy()
    model = policy.checkpoint.model
    before = parameters_hash(model), hook_count(model), model.forward, model.training, model.config.use_cache
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    environment = dict(os.environ)
    found: list[str] = []
    with watching([tmp_path], found.append):
        trained = train(policy, ROWS, SMALL, 0, tmp_path)
    left = {name for name in set(os.environ) - set(environment) if name.startswith("ACCELERATE_")}
    assert not left, "the next trainer of this process would read its precision there"
    assert trained.edit.differences and trained.steps == 4 and trained.rows == len(ROWS)
    assert before == (parameters_hash(model), hook_count(model), model.forward, model.training, model.config.use_cache)
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in model.parameters())
    assert states == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert not found, "the audit hook of a fit must find nothing unexplained"
    assert not list(tmp_path.iterdir()), "checkpoints for resuming go when the run is over"
    with policy.with_intervention(trained.edit).applied():
        assert parameters_hash(model) != before[0]
    assert parameters_hash(model) == before[0]


def reference_loss(logits: Callable[[list[int]], torch.Tensor], rows: list[Tokens], seed: int = 3) -> torch.Tensor:
    """Mean NLL over the loss tokens of the first step's rows, one row at a time without padding."""
    (first,) = micro_batches([len(row.ids) for row in rows], 6, 1, 6, seed)
    total, count = torch.zeros(()), 0
    for place in first:
        labels = torch.tensor(rows[place].labels[1:])
        total = total + torch.nn.functional.cross_entropy(
            logits(list(rows[place].ids))[:-1], labels, ignore_index=-100, reduction="sum"
        )
        count += int((labels != -100).sum())
    return total / count


def test_a_step_is_adamw_on_the_mean_loss_over_the_loss_tokens(tmp_path):
    policy = tiny_policy()
    logged, trained = losses_of(policy, replace(SMALL, steps=1), tmp_path)
    rows = [encode(policy.checkpoint, row) for row in ROWS]
    model = tiny_model("llama", dtype=torch.float32).requires_grad_(True)
    loss = reference_loss(lambda ids: model(torch.tensor([ids])).logits[0], rows)
    loss.backward()
    assert logged[0] == pytest.approx(loss.item(), abs=2e-4)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0).step()
    for name, parameter in model.named_parameters():
        wanted, got = parameter.detach() - start[name], trained.edit.differences.get(name, torch.zeros(()))
        strong = (parameter.grad.abs() > 1e-5) & torch.ones_like(wanted, dtype=torch.bool)
        assert torch.allclose(wanted[strong], got.expand_as(wanted)[strong], atol=1e-4), name


def test_a_step_of_pairs_is_adamw_on_the_weights_plus_their_product(tmp_path):
    policy = tiny_policy()
    logged, trained = losses_of(policy, replace(SMALL, steps=1, update="lora", lora_rank=4, lora_alpha=8), tmp_path)
    rows, model = [encode(policy.checkpoint, row) for row in ROWS], policy.checkpoint.model
    # B starts from zero, so the gradient of A is zero and A is as it started
    pairs = {name: (a, torch.zeros_like(b).requires_grad_()) for name, (a, b) in trained.edit.pairs.items()}
    assert len(pairs) == 2 * 7 and not trained.edit.differences and trained.edit.scale == 2.0

    def logits(ids: list[int]) -> torch.Tensor:
        weights = {name: model.get_parameter(name) + 2.0 * b @ a for name, (a, b) in pairs.items()}
        return torch.func.functional_call(model, weights, args=(torch.tensor([ids]),)).logits[0]

    loss = reference_loss(logits, rows)
    loss.backward()
    assert logged[0] == pytest.approx(loss.item(), abs=2e-4)
    torch.nn.utils.clip_grad_norm_([b for _, b in pairs.values()], 1.0)
    torch.optim.AdamW([b for _, b in pairs.values()], lr=1e-2, weight_decay=0.0).step()
    for name, (_, b) in pairs.items():
        strong = b.grad.abs() > 1e-5
        assert torch.allclose(b.detach()[strong], trained.edit.pairs[name][1][strong], atol=1e-4), name


@pytest.mark.parametrize("update", ["full", "lora"])
def test_training_starts_from_the_weights_that_the_policys_edits_give(tmp_path, update):
    policy = tiny_policy()
    _, first = losses_of(policy, replace(SMALL, update=update), tmp_path)
    stacked = policy.with_intervention(first.edit)
    rows, model = [encode(policy.checkpoint, row) for row in ROWS], policy.checkpoint.model
    with stacked.applied(), torch.no_grad():
        edited = reference_loss(lambda ids: model(torch.tensor([ids])).logits[0], rows).item()
    with torch.no_grad():
        plain = reference_loss(lambda ids: model(torch.tensor([ids])).logits[0], rows).item()
    logged, _ = losses_of(stacked, replace(SMALL, steps=1), tmp_path)
    assert logged[0] == pytest.approx(edited, abs=2e-4) != pytest.approx(plain, abs=2e-4)


def test_the_same_seed_gives_the_same_edit_and_another_one_another(tmp_path):
    ids = [train(tiny_policy(), ROWS, SMALL, seed, tmp_path).edit.id for seed in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]


def test_packed_rows_have_the_losses_and_the_result_of_padded_ones(tmp_path):
    padded, one = losses_of(tiny_policy(), SMALL, tmp_path)
    packed, other = losses_of(tiny_policy(), replace(SMALL, packing=True), tmp_path)
    assert packed == pytest.approx(padded, abs=2e-4)
    # as a whole: Adam turns the sign of a gradient that is zero but for rounding into a full step
    names = sorted(one.edit.differences)
    a, b = (torch.cat([edit.differences[name].flatten() for name in names]) for edit in (one.edit, other.edit))
    assert (a - b).norm() < 0.1 * a.norm()


@pytest.mark.skipif(int(transformers.__version__[0]) >= 5, reason="this Mamba keeps packed rows apart by itself")
def test_packing_is_refused_if_the_model_knows_no_positions(tmp_path):
    with pytest.raises(MethodError, match=r"can't take packed rows.*packing=false"):
        train(tiny_policy("mamba"), ROWS, replace(SMALL, packing=True), 0, tmp_path)


def test_the_size_of_a_micro_batch_is_no_part_of_the_result(tmp_path):
    one, _ = losses_of(tiny_policy(), SMALL, tmp_path)
    other, _ = losses_of(tiny_policy(), replace(SMALL, micro_rows=6), tmp_path)
    assert other == pytest.approx(one, abs=2e-4)


@pytest.mark.parametrize("update", ["full", "lora"])
def test_killed_and_resumed_is_uninterrupted(tmp_path, update):
    config = replace(SMALL, steps=6, save_every=2, update=update)
    whole = train(tiny_policy(), ROWS, config, 3, tmp_path / "whole").edit

    class Killed(Exception):
        pass

    def kill(edit) -> None:
        raise Killed

    with pytest.raises(Killed):
        train(tiny_policy(), ROWS, config, 3, tmp_path / "cut", at={5: kill})
    (begun,) = (tmp_path / "cut").iterdir()
    assert [path.name for path in checkpoints.complete(begun)] == ["checkpoint-000002", "checkpoint-000004"]
    (begun / "checkpoint-6").mkdir()  # of another format
    (begun / ".unfinished-000006").mkdir()
    steps: list[dict] = []
    resumed = train(tiny_policy(), ROWS, config, 3, tmp_path / "cut", log=steps.append).edit
    assert [row["sft/step"] for row in steps] == [5, 6]
    assert resumed.id == whole.id


def test_another_run_never_resumes_from_a_checkpoint(tmp_path):
    config = replace(SMALL, save_every=2)
    policy = tiny_policy()
    with pytest.raises(ZeroDivisionError):
        train(policy, ROWS, config, 3, tmp_path, at={3: lambda edit: 1 / 0})
    steps: list[dict] = []
    train(policy, ROWS, config, 4, tmp_path, log=steps.append)
    assert [row["sft/step"] for row in steps] == [1, 2, 3, 4]


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_remedy(tmp_path):
    policy = tiny_policy()
    policy.checkpoint.model.get_input_embeddings().weight.data[5:] = float("nan")
    with pytest.raises(MethodError, match="loss of step 1 is nan: lower learning_rate"):
        train(policy, ROWS, SMALL, 0, tmp_path)


def test_other_edits_and_settings_out_of_range_are_refused(tmp_path):
    policy = tiny_policy().with_intervention(ActivationEdit((Edit(0, torch.ones(32), "add", 1.0, "last_prompt"),)))
    with pytest.raises(MethodError, match="activations: fit without them"):
        train(policy, ROWS, SMALL, 0, tmp_path)
    with pytest.raises(ConfigError, match="batch=0: 1 or more; learning_rate=-1"):
        SftConfig(batch=0, learning_rate=-1.0)


def test_progress_lines_show_steps_loss_and_the_time_left(tmp_path):
    lines: list[str] = []
    train(tiny_policy(), ROWS, replace(SMALL, steps=10), 0, tmp_path, say=lines.append)
    assert "10 steps of 6 rows" in lines[0] and "trained parameters, about" in lines[1]
    assert [line.split(",")[0] for line in lines[2:]] == [f"sft: step {s} of 10" for s in (2, 4, 6, 8, 10)]
    assert all(line.endswith("s left") for line in lines[2:])


def test_removing_a_folder_removes_the_tree_and_a_missing_one_is_no_error(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("x")
    remove_tree(tmp_path / "a")
    remove_tree(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_packing_is_refused_if_packed_rows_attend_to_each_other():
    class Leaky:
        model = torch.nn.Linear(1, 1)

        def _prepare_inputs(self, batch):
            return batch

        def compute_loss(self, model, batch):
            return torch.tensor(1.0 if "attention_mask" in batch else 1.1)

        def forget(self):
            pass

    rows = [encode(tiny_policy().checkpoint, row) for row in ROWS[:2]]
    with pytest.raises(MethodError, match=r"sees across rows; loss 1\.0000 padded, 1\.1000 packed"):
        refuse_leaks(Leaky(), rows, 0)
