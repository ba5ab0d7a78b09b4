"""Laws of `on=RUN`: the policy is the base with all interventions, the account is that of all ledgers, order matters.

Whole runs on the shipped organism, a few items each: a given vector, and greedy decoding on it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from elicit.console import Console
from elicit.errors import ConfigError
from elicit.evaluate.entry import Entry
from elicit.experiment.job import job_of
from elicit.experiment.plan import plan
from elicit.experiment.run import execute
from elicit.experiment.run_folder import RunFolder, all_runs
from elicit.experiment.stack import layers, rows_of, stacked
from elicit.files import write_json
from elicit.ledger import data_class
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.exchange.plain import write_plain
from elicit.policy.policy import Policy, load_intervention
from elicit.results import read_comparison
from methods.decoding.plain import Greedy
from tests.test_export import CONFIG

EDIT = ActivationEdit((Edit(1, torch.randn(128, generator=torch.Generator().manual_seed(0)), "add", 0.3),))
GREEDY = ["method=decoding", "method/strategy=greedy", "method.name=greedy"]


def words(root: Path) -> list[str]:
    base = ["model=organism", "task=chain", "model.device=cpu", "model.dtype=float32", "tracker=none"]
    quick = ["eval.limit=3", "eval.n=2", "eval.prompts=[bare]", "eval.ceilings=[]", "eval.bootstrap_draws=50"]
    return [*base, *quick, "eval.workers=1", f"root={root}"]


def given(folder: Path) -> list[str]:
    return ["method=given", f"method.path={folder}", "method.statement=drawn at random"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, RunFolder]]:
    """The root of one command with the vector, greedy decoding, and greedy decoding on the vector, without and with
    the name of a run folder."""
    root, folder = tmp_path_factory.mktemp("stack"), tmp_path_factory.mktemp("vector")
    write_plain(EDIT, folder)
    common = words(root)
    lines = [[*given(folder), *common], [*GREEDY, *common], [*GREEDY, "on=given", *common]]
    assert execute(plan(lines), Console("json"), ["test"]) == 0
    return root, {run.manifest["name"]: run for run in all_runs(root)}


def test_a_stacked_policy_is_the_base_with_all_interventions(done) -> None:
    from elicit.policy.checkpoint import load_checkpoint

    runs = done[1]
    checkpoint = load_checkpoint(CONFIG)
    bare = Policy(checkpoint, prompt=runs["given"].settings().task.prompts["bare"])
    wanted = bare.with_intervention(EDIT).with_intervention(Greedy())
    run = runs["given+greedy"]
    assert run.manifest["policy_id"] == wanted.id
    assert runs["greedy"].manifest["policy_id"] == bare.with_intervention(Greedy()).id
    again = stacked(bare, run).with_intervention(load_intervention(run.intervention, checkpoint))
    assert again.id == wanted.id and not layers(runs["given"])


def test_its_account_is_that_of_all_ledgers(done) -> None:
    runs = done[1]
    entry = Entry.of(runs["given+greedy"].manifest["entries"][0])
    assert entry.on == ("given",) and entry.data_class == "declared"
    assert data_class(rows_of(runs["given+greedy"])) == "declared" and runs["greedy"].manifest["data_class"] == "Z"
    assert Entry.of(runs["greedy"].manifest["entries"][0]).data_class == "Z"


def test_the_comparison_has_the_interaction_of_the_pair(done) -> None:
    (file,) = done[0].glob("comparisons/*/comparison.json")
    lines = {line.name: line for line in read_comparison(file).lines}
    share = {name: lines[name].values["acc/strict"].point for name in ("base", "given", "greedy", "given+greedy")}
    wanted = share["given+greedy"] - share["given"] - share["greedy"] + share["base"]
    assert lines["given+greedy"].values["stack/interaction"].point == pytest.approx(wanted)


def test_a_run_of_another_command_is_stacked_on_by_its_folder(done) -> None:
    root, runs = done
    below = runs["given"].path
    (comparison,) = plan([[*GREEDY, f"on={below}", *words(root), "group=other"]])
    (job,) = comparison.jobs
    assert job.name == "given-chain+greedy"
    assert execute([comparison], Console("json"), ["test"]) == 0
    (run,) = [run for run in all_runs(root) if run.manifest["group"] == "other"]
    assert run.manifest["policy_id"] == runs["given+greedy"].manifest["policy_id"]
    assert run.manifest["on_names"] == ["given"] and job_of(run).arm == job.arm


def test_a_stack_of_stacks_holds_all_of_them_in_order(done) -> None:
    root, runs = done
    (comparison,) = plan([[*given(runs["given"].intervention), f"on={runs['given'].path}", *words(root), "group=two"]])
    assert execute([comparison], Console("json"), ["test"]) == 0
    (twice,) = [run for run in all_runs(root) if run.manifest["group"] == "two"]
    (comparison,) = plan([[*GREEDY, f"on={twice.path}", *words(root), "group=three"]])
    assert execute([comparison], Console("json"), ["test"]) == 0
    (run,) = [run for run in all_runs(root) if run.manifest["group"] == "three"]
    assert [layer.name for layer in layers(run)] == ["given", twice.manifest["name"]]
    assert [load_intervention(layer.intervention).id for layer in layers(run)] == [EDIT.id, EDIT.id]


def test_a_stack_changes_name_and_arm_and_nothing_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x", "y"):
        write_json(tmp_path / name / "manifest.json", {"name": name})
    plain, on = (plan([[*GREEDY, *more, *words(tmp_path)]])[0].jobs[0] for more in ([], ["on=[x,y]"]))
    assert (plain.name, on.name) == ("greedy", "x+y+greedy") and plain.arm != on.arm
    assert "on" not in plain.settings.node and plain.settings.stack == () and on.settings.stack == ("x", "y")


def test_what_it_is_stacked_on_comes_first_and_exists(done, tmp_path: Path) -> None:
    root, _ = done
    write_json(tmp_path / "adapter_config.json", {})
    with pytest.raises(ConfigError, match="put the job of given before it"):
        plan([[*GREEDY, "on=given", *words(tmp_path)], [*given(tmp_path), *words(tmp_path)]])
    with pytest.raises(ConfigError, match="without a method"):
        plan([["on=given", *words(tmp_path)]])
    with pytest.raises(ConfigError, match="gven: no run folder here or under"):
        plan([[*GREEDY, "on=gven", *words(root), "group=typo"]])


def test_a_changed_account_of_a_layer_is_refused(done) -> None:
    from elicit.errors import DataError

    (layer,) = layers(done[1]["given+greedy"])
    kept = (layer.folder / "ledger.jsonl").read_text()
    try:
        (layer.folder / "ledger.jsonl").write_text("")
        with pytest.raises(DataError, match="was changed since the run"):
            _ = layer.rows
    finally:
        (layer.folder / "ledger.jsonl").write_text(kept)


def test_the_grid_preset_has_every_decoder_on_every_adapter_and_each_part_alone() -> None:
    (comparison,) = plan([["experiment=grid", "tracker=none"]])
    names = [job.name for job in comparison.jobs if job.role == "method"]
    adapters = ("rlvr", "rl_steering", "sae_steering", "critique_ft")
    tops = ("self_consistency", "cot_decoding", "power_smc")
    assert len(names) == len(set(names)) == 19
    assert set(names) == {*adapters, *tops, *(f"{below}+{top}" for below in adapters for top in tops)}
