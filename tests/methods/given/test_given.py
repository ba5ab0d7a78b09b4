"""Laws of the method `given`: an export comes back as the same policy, its data are declared or unaccounted, and its
controls keep the norm and nothing else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from elicit.cli import main
from elicit.errors import ConfigError
from elicit.experiment.fit import fit_fingerprint
from elicit.experiment.plan import plan
from elicit.experiment.run_folder import RunFolder
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import load_checkpoint
from elicit.policy.exchange.plain import write_plain
from elicit.policy.intervention import save
from elicit.policy.policy import Policy
from elicit.policy.weights import WeightEdit
from elicit.tasks.formal.task import FormalTask
from methods.decoding.plain import Greedy
from methods.given.method import Given
from tests.test_export import CONFIG, run_with

TASK = FormalTask(n_train=10, n_dev=4, n_test=4, max_size=3, long_sizes=(4, 5))


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy(load_checkpoint(CONFIG))


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def lora(policy: Policy, rank: int = 3, scale: float = 2 / 3) -> WeightEdit:
    parameters = dict(policy.checkpoint.model.named_parameters())
    shapes = {n: p.shape for n, p in parameters.items() if n.endswith(("v_proj.weight", "up_proj.weight"))}
    a = {n: drawn(rank, shape[1], seed=i) for i, (n, shape) in enumerate(shapes.items())}
    b = {n: drawn(shape[0], rank, seed=9 + i) for i, (n, shape) in enumerate(shapes.items())}
    return WeightEdit(pairs={n: (a[n], b[n]) for n in shapes}, scale=scale)


def full(policy: Policy) -> WeightEdit:
    parameters = policy.checkpoint.model.named_parameters()
    return WeightEdit({n: 0.03 * drawn(*p.shape) for n, p in parameters if "layers.1" in n})


def vectors(*edits: Edit) -> ActivationEdit:
    two = Edit(1, drawn(128), "add", 0.3, "onward"), Edit(2, drawn(128, seed=1), "add", 7, "every")
    return ActivationEdit(edits or two)


def measured(method: Given, policy: Policy, ledger: Ledger | None = None, warnings: list[str] | None = None):
    warn = ([] if warnings is None else warnings).append
    context = Context(np.random.default_rng(0), Path("unused"), lambda p, n: 0.5, warn=warn)
    return method.fit(policy, ledger or Ledger(TASK, "test"), context)


def clamped(policy: Policy) -> ActivationEdit:
    return vectors(Edit(0, drawn(128), "ablate"), Edit(3, drawn(128), "add", 1e-3, first=4))


CASES = [
    ("peft", lora, "RUN/export/peft"),
    ("merged", lora, "RUN/export/merged"),
    ("merged", full, "RUN/export/merged"),
    ("steering-vector", lambda policy: vectors(), "RUN/export/steering-vector"),
    ("gguf", lambda policy: vectors(), "RUN/export/gguf/control_vector.gguf"),
    ("plain", clamped, "RUN/export/plain"),
    ("none", lambda policy: vectors(), "RUN/intervention"),
]


@pytest.mark.parametrize(("wanted", "make", "path"), CASES, ids=[f"{case[0]}-{i}" for i, case in enumerate(CASES)])
def test_importing_what_was_exported_gives_the_same_policy(policy, tmp_path: Path, wanted: str, make, path) -> None:
    edit = make(policy)
    run = run_with(tmp_path, edit, policy.checkpoint.id)
    assert wanted == "none" or main(["export", str(run.path), f"format={wanted}"]) == 0
    warnings: list[str] = []
    back = measured(Given(path=Path(path.replace("RUN", str(run.path)))), policy, warnings=warnings)
    assert policy.with_intervention(back).id == policy.with_intervention(edit).id
    assert len(warnings) == 1 and "not stated" in warnings[0]


def test_an_export_that_was_changed_since_is_read_as_it_is_now(policy, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    run = run_with(tmp_path, vectors(), policy.checkpoint.id)
    assert main(["export", str(run.path), "format=steering-vector", f"out={tmp_path / 'out'}"]) == 0
    file = tmp_path / "out" / "steering_vector.safetensors"
    save_file({layer: -vector for layer, vector in load_file(file).items()}, file)
    warnings: list[str] = []
    back = measured(Given(path=file), policy, warnings=warnings)
    assert torch.equal(back.edits[0].vector, -0.3 * drawn(128)) and back.edits[0].write == "every"
    assert any("changed since it was exported" in line for line in warnings)


def test_what_it_was_made_from_is_declared_or_unaccounted(policy, tmp_path: Path) -> None:
    write_plain(vectors(), tmp_path)
    ledger = Ledger(TASK, "test")
    measured(Given(path=tmp_path, statement="100 train labels"), policy, ledger)
    (row,) = ledger.rows
    assert ledger.data_class == "declared" and row.source == "declared: 100 train labels" and not ledger.used
    silent = Ledger(TASK, "test")
    measured(Given(path=tmp_path), policy, silent)
    assert silent.data_class == "unaccounted" and not silent.accounted


def test_a_random_change_keeps_norm_rank_and_place(policy) -> None:
    from methods.given.controls import changed

    rng = np.random.default_rng(1)
    before = vectors()
    after = changed(before, 1.0, "random_same_norm", rng)
    for old, new in zip(before.edits, after.edits, strict=True):
        assert new.vector.norm() == pytest.approx(float(old.vector.norm()), rel=1e-5)
        assert abs(torch.cosine_similarity(old.vector, new.vector, 0)) < 0.5
        assert replace(new, vector=old.vector).fields() == old.fields()
    for edit in (lora(policy), full(policy)):
        random = changed(edit, 1.0, "random_same_norm", rng)
        for name in (*edit.differences, *edit.pairs):
            old, new = (one.change(policy.checkpoint.model, name) for one in (edit, random))
            assert old.shape == new.shape and not torch.allclose(old, new, atol=1e-3)
            if old.ndim == 2:
                assert torch.allclose(torch.linalg.svdvals(old), torch.linalg.svdvals(new), atol=1e-3)
            assert new.norm() == pytest.approx(float(old.norm()), rel=1e-5)


def test_scale_and_sign_multiply_the_change(policy, tmp_path: Path) -> None:
    edit = lora(policy)
    edit.save_peft(tmp_path)
    name = next(iter(edit.pairs))
    plain = edit.change(policy.checkpoint.model, name)
    method = Given(path=tmp_path, scale=0.5)
    assert torch.allclose(measured(method, policy).change(policy.checkpoint.model, name), 0.5 * plain)
    flipped = measured(method.rivals()["sign_flipped"], policy)
    assert torch.allclose(flipped.change(policy.checkpoint.model, name), -0.5 * plain)


def test_a_strategy_or_nothing_is_no_given_intervention(policy, tmp_path: Path) -> None:
    save(Greedy(), tmp_path / "greedy")
    with pytest.raises(ConfigError, match="method=decoding method/strategy="):
        measured(Given(path=tmp_path / "greedy"), policy)
    with pytest.raises(ConfigError, match=r"method\.path=PATH"):
        measured(Given(), policy)


def test_a_changed_file_is_another_fit(policy, tmp_path: Path) -> None:
    write_plain(vectors(), tmp_path / "given")
    words = ["method=given", f"method.path={tmp_path / 'given'}", "model=organism", "task=chain", "tracker=none"]
    (comparison,) = plan([words])
    before = fit_fingerprint(comparison.jobs[0], policy)
    write_plain(vectors(Edit(1, drawn(128), "add", 0.4)), tmp_path / "given")
    after = fit_fingerprint(comparison.jobs[0], policy)
    assert before["files"] != after["files"] and {**before, "files": ""} == {**after, "files": ""}


def test_a_run_of_it_is_a_row_whose_data_class_is_declared(policy, tmp_path: Path) -> None:
    lora(policy, scale=0.01).save_peft(tmp_path / "adapter")
    words = ["method=given", f"method.path={tmp_path / 'adapter'}", "method.statement=none", "placebos=all"]
    base = ["model=organism", "task=chain", "model.device=cpu", "tracker=none", f"root={tmp_path / 'runs'}"]
    quick = ["eval.limit=2", "eval.n=1", "eval.prompts=[]", "eval.ceilings=[]", "eval.bootstrap_draws=50"]
    assert main([*words, *base, *quick, "eval.workers=1"]) == 0
    manifests = [RunFolder(path.parent).manifest for path in (tmp_path / "runs").glob("*/manifest.json")]
    assert {m["name"]: m["data_class"] for m in manifests} == {
        "given": "declared",
        "given/random_same_norm": "declared",
    }
    assert any("none" in line for m in manifests for line in m["fit_warnings"])
