"""Laws of interruption: a resumed run ends in the same bits, with the same account, as one that was never stopped.

Bits may be compared because both runs do the same: equal kernels, batches and thread counts, on one machine.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from elicit.files import read_json, write_json
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.intervention import save
from elicit.policy.policy import load_intervention
from elicit.training import checkpoints
from elicit.training.rl.progress import Identity, Progress, Standing, restore, write
from tests.training.harness import Fitted, fitted
from tests.training.test_grpo import METHODS, TASK, tiny_policy

ROOT = Path(__file__).parents[2]
LONG = {"steps": 5, "save_every": 2, "dev_every": 2, "dev_items": 2, "rewards": {"correct": 1.0, "random": 1.0}}


class Stopped(Exception):
    """Simulates the end of the process."""


def interrupted(method: Any, folder: Path, at: int) -> None:
    """Run until the curves of update `at` are written, then stop."""
    import numpy as np

    def log(row: dict[str, Any]) -> None:
        if row.get("rl/step") == at:
            raise Stopped

    folder.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(TASK, method.name)

    def dev_score(policy: Any, limit: int | None) -> float:
        items = TASK.items("dev", limit)
        ledger.selected(len(items), [item.id for item in items])
        return 0.0

    with pytest.raises(Stopped):
        method.fit(tiny_policy(), ledger, Context(np.random.default_rng(0), folder, dev_score, log))


@pytest.mark.parametrize("name", ["full", "lora", "vectors"])
def test_a_run_that_was_stopped_resumes_to_the_same_bits(name: str, tmp_path) -> None:
    method = replace(METHODS[name], **LONG)
    whole = fitted(method, tiny_policy(), tmp_path / "whole", TASK)
    interrupted(method, tmp_path / "parts", at=4)
    resumed = fitted(method, tiny_policy(), tmp_path / "parts", TASK)
    assert resumed.curve("rl/step") == [3, 4, 5], "update 4 was not saved, so it is done again"
    assert resumed.edit.id == whole.edit.id
    assert account(resumed) == account(whole)
    for key in ("rl/reward", "rl/entropy", "rl/grad_norm", "rl/dev"):
        assert resumed.curve(key) == whole.curve(key)[-len(resumed.curve(key)) :]


def account(done: Fitted) -> dict[str, Any]:
    """What was spent, and the label bits and items of every stage."""
    bits = {(row.stage, row.source): (row.label_bits, row.problems) for row in done.ledger.rows if row.label_bits}
    return {"spent": vars(done.ledger.spent), "bits": bits}


def test_a_run_that_was_killed_resumes_to_the_same_bits(tmp_path) -> None:
    command = [sys.executable, "-m", "tests.training.checkpoints_probe", str(tmp_path / "parts")]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}  # sums depend on it
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [folder.name for folder in checkpoints.complete(tmp_path / "parts")] == ["checkpoint-000002"]
    method = replace(METHODS["vectors"], **LONG)
    resumed = fitted(method, tiny_policy(), tmp_path / "parts", TASK)
    assert resumed.edit.id == fitted(method, tiny_policy(), tmp_path / "whole", TASK).edit.id


def test_a_checkpoint_holds_the_trained_tensors_and_not_the_base(tmp_path) -> None:
    fitted(replace(METHODS["vectors"], steps=3, save_every=1), tiny_policy(), tmp_path, TASK)
    assert [folder.name for folder in checkpoints.complete(tmp_path)] == ["checkpoint-000001", "checkpoint-000002"]
    tensors = tmp_path / "checkpoint-000002" / checkpoints.TENSORS
    assert tensors.stat().st_size < 2 * 16 * 4 + 400, "two vectors of width 16 and a header"


def test_a_half_written_checkpoint_is_never_seen(tmp_path) -> None:
    class Full(Exception):
        pass

    def rest(folder: Path) -> None:
        raise Full

    with pytest.raises(Full):
        checkpoints.save(tmp_path, 3, {}, rest)
    assert checkpoints.complete(tmp_path) == []


def test_checkpoints_of_other_settings_are_set_aside(tmp_path) -> None:
    method = replace(METHODS["vectors"], **LONG)
    interrupted(method, tmp_path, at=4)
    other = fitted(replace(method, learning_rate=0.2), tiny_policy(), tmp_path, TASK)
    assert other.curve("rl/step")[0] == 0 and any("moved to" in line for line in other.lines)
    assert (tmp_path / "aside-0" / "checkpoint-000002").is_dir()


@pytest.mark.parametrize("name", ["full", "lora", "vectors"])
def test_the_result_survives_its_folder(name: str, tmp_path) -> None:
    policy = tiny_policy()
    edit = fitted(METHODS[name], policy, tmp_path / "fit", TASK).edit
    save(edit, tmp_path / "edit")
    assert load_intervention(tmp_path / "edit", policy.checkpoint).id == edit.id


@pytest.mark.parametrize("name", ["full", "lora", "vectors"])
def test_progress_is_written_and_read_as_in_earlier_versions(name: str, tmp_path) -> None:
    method = METHODS[name]
    earlier = {"settings": json.loads(json.dumps(asdict(method))), "policy": "p", "seed": 3, "name": name}
    identity, ledger = Identity(method, "p", 3, name), Ledger(TASK, method.name)
    ledger.rollouts(8, 40)
    write(tmp_path, Progress(identity, Standing(updates=2, first_reward=0.25), ledger.spent), ledger)
    state = {"empty_in_a_row": 0, "updates": 2, "first_reward": 0.25, "hooks_checked": False}
    later = {"first_entropy": None, "best_dev": 0.0, "collapse": None}
    spent = {"labels": 0, "rollouts": 8, "tokens": 40, "foreign_tokens": 0}
    written = {"identity": earlier, "state": state | later, "spent": spent}
    assert read_json(tmp_path / "progress.json") == written
    write_json(tmp_path / "progress.json", written | {"state": state})  # of a version that knew no collapse step
    again = Ledger(TASK, method.name)
    assert restore(tmp_path, again) == Standing(updates=2, first_reward=0.25)
    assert again.spent == ledger.spent and again.rows == ledger.rows
    assert identity.same(earlier) and not replace(identity, seed=4).same(earlier)
    assert not replace(identity, settings=replace(method, learning_rate=0.5)).same(earlier)
