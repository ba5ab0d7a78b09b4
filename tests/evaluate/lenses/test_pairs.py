"""The passes over a policy and its base: effects are differences of hidden states, and what ran is not run again."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from elicit.commands.lens_run import Runner
from elicit.console import Console
from elicit.errors import MethodError
from elicit.evaluate.entry import Entry
from elicit.evaluate.lenses import LENSES
from elicit.evaluate.lenses.view import make_view
from elicit.evaluate.stages.generate import generate
from elicit.evaluate.stages.grade import grade
from elicit.evaluate.stages.pairs import run_directions, run_transplant
from elicit.evaluate.stages.probes import read_probes, stored_probes
from elicit.files import read_rows, shards, write_json
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.decoding import REGIMES
from elicit.policy.intervention import save
from elicit.policy.policy import Policy
from elicit.tasks.task import PromptFormat
from methods.decoding.plain import Greedy
from tests.sampling.models import tiny_model, tokenizer
from tests.toy import ToyTask

TASK = ToyTask()
ITEMS = TASK.items("test", 6)
BASE = Policy(wrap(tiny_model(), tokenizer()), prompt=TASK.prompts["bare"])
VECTOR = torch.randn(32, generator=torch.Generator().manual_seed(1))
METHOD = BASE.with_intervention(ActivationEdit((Edit(0, VECTOR, "add", 2.0, "last_prompt"),)))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    for policy in (BASE, METHOD):
        samples = generate(policy, TASK, ITEMS, REGIMES["compare"], 2, root)
        grade(samples, TASK, {item.id: item for item in ITEMS}, root / "grades" / policy.id / "compare", workers=1)
    return root


def effects(samples: Path) -> dict[tuple[str, int, str], torch.Tensor]:
    """(item, layer, position) -> effect [D], as stored."""
    rows = read_probes(samples, "directions") or ()
    return {(row["item"], row["layer"], row["at"]): torch.frombuffer(bytearray(row["effect"]), dtype=torch.float32)
            for row in rows}  # fmt: skip


def folder(store: Path, policy: Policy) -> Path:
    return store / "samples" / policy.id / "compare-toy"


def test_the_effect_of_an_added_vector_at_its_own_layer_is_that_vector_and_later_tokens_have_none(store: Path) -> None:
    run_directions(METHOD, BASE, ITEMS, folder(store, METHOD), folder(store, BASE))
    found = effects(folder(store, METHOD))
    assert {layer for _, layer, _ in found} == {0, 1}, "the model has two layers"
    for item in ITEMS:
        assert torch.allclose(found[item.id, 0, "prompt"], 2 * VECTOR, atol=1e-4)
        assert found[item.id, 0, "completion"].abs().max() < 1e-5
        assert found[item.id, 1, "completion"].abs().max() > 1e-4, "attention carries it on"


def test_the_effect_of_a_prompt_is_the_difference_of_hidden_states_on_the_same_completion_of_the_base(
    store: Path,
) -> None:
    kind = BASE.with_prompt(PromptFormat("kind", "Sum: {question} ="))
    target = store / "samples" / kind.id / "compare-toy"
    run_directions(kind, BASE, ITEMS, target, folder(store, BASE))
    found = effects(target)
    norms = {row["item"]: row["norm"] for row in read_probes(target, "directions") or ()
             if (row["layer"], row["at"]) == (0, "prompt")}  # fmt: skip
    written = {row["item"]: row["token_ids"] for row in read_rows(shards(folder(store, BASE))) if row["j"] == 0}
    for item in ITEMS:
        states = {}
        for name, policy in (("kind", kind), ("base", BASE)):
            prompt = policy.prompt_ids(item.question)
            with torch.no_grad():
                ids = torch.tensor([[*prompt, *written[item.id]]])
                hidden = BASE.checkpoint.model(ids, output_hidden_states=True).hidden_states
            # entry 1 of the hidden states is the output of block 0
            states[name] = hidden[1][0, len(prompt) - 1], hidden[1][0, len(prompt) :].mean(0)
        for place, at in enumerate(("prompt", "completion")):
            wanted = (states["kind"][place] - states["base"][place]).float()
            assert torch.allclose(found[item.id, 0, at], wanted, atol=1e-4)
        assert norms[item.id] == pytest.approx(float(states["base"][0].norm()), rel=1e-4)


def test_transplanted_texts_begin_with_the_stored_samples_and_carry_the_grade_of_the_task(store: Path) -> None:
    run_transplant(METHOD, BASE, ITEMS, folder(store, METHOD), folder(store, BASE), TASK, 2, 2, workers=1)
    rows = read_probes(folder(store, METHOD), "transplant") or []
    assert len(rows) == 2 * 2 * 3 * len(ITEMS) * 2, "hosts x positions x rounds x samples"
    by_id = {item.id: item for item in ITEMS}
    for host, policy in (("base", BASE), ("method", METHOD)):
        own = {(row["item"], row["j"]): row["text"] for row in read_rows(shards(folder(store, policy)))}
        mine = [row for row in rows if row["host"] == host]
        assert {(row["item"], row["j"]): row["text"] for row in mine if row["k"] == 0} == own
        for row in mine:
            finished = row["finish"] in ("eos", "stop")
            assert row["strict"] == int(TASK.grade(by_id[row["item"]], row["text"], finished).strict)


def test_a_policy_with_a_decoding_strategy_can_not_be_transplanted_and_leaves_no_folder(store: Path) -> None:
    vote = BASE.with_intervention(Greedy())
    with pytest.raises(MethodError, match="Greedy"):
        run_transplant(vote, BASE, ITEMS, folder(store, METHOD), folder(store, BASE), TASK, 1, 1, workers=1)


def test_running_both_lenses_measures_every_policy_once(store: Path, tmp_path: Path) -> None:
    save(METHOD.interventions[0], tmp_path / "run" / "intervention")
    write_json(tmp_path / "run" / "manifest.json", {"name": "method"})
    base, method = (Entry(role, role, policy.id, folder(store, policy), store / "grades" / policy.id / "compare")
                    for role, policy in (("base", BASE), ("method", METHOD)))  # fmt: skip
    settings = SimpleNamespace(task=TASK, eval=SimpleNamespace(workers=1), model=None)
    entries = [base, replace(method, run=str(tmp_path / "run"))]
    runner = Runner(settings, entries, ITEMS, Console(stream=StringIO()), None)  # type: ignore[arg-type]
    runner._checkpoint = BASE.checkpoint
    names = ["directions", "transplant"]
    runner.run(names)
    made = {path: path.stat().st_mtime_ns for name in names for path in (store / "probes").rglob(f"{name}/shard-*")}
    runner.run(names)
    assert made and all(path.stat().st_mtime_ns == time for path, time in made.items())
    view = make_view(entries, ITEMS, TASK, 50, probes=lambda entry: stored_probes(entry.samples))
    readings = {name: LENSES[name].read(view) for name in names}
    assert not any(reading.refused for reading in readings.values())
    assert set(readings["directions"].columns) == {"method", "two random directions"}
    assert readings["directions"].columns["method"]["layer"].point == 0
    assert set(readings["transplant"].columns) == {"method"}
