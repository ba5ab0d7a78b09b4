"""From a tiny model's samples to annotations, probe rows, a view and lenses.json."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from elicit.commands import lens as command
from elicit.commands.lens_run import Runner
from elicit.console import Console
from elicit.errors import ConfigError, DataError, StageError
from elicit.evaluate.entry import Entry
from elicit.evaluate.lenses import LENSES
from elicit.evaluate.lenses.view import make_view
from elicit.evaluate.measures.annotations import read_annotations
from elicit.evaluate.metrics.table import CompareConfig
from elicit.evaluate.stages import annotate as stage
from elicit.evaluate.stages.annotate import annotate
from elicit.evaluate.stages.generate import generate
from elicit.evaluate.stages.grade import grade
from elicit.evaluate.stages.passes import run_sentences, run_texts, token_spans
from elicit.evaluate.stages.probes import probes_of, read_probes, run_probes, stored_probes
from elicit.files import read_json, read_rows, shards, write_json, write_rows
from elicit.policy.activations import ActivationEdit, Edit
from elicit.policy.checkpoint import wrap
from elicit.policy.decoding import REGIMES
from elicit.policy.intervention import save
from elicit.policy.policy import Policy
from elicit.sampling.probe import Probe
from tests.sampling.models import tiny_model, tokenizer
from tests.toy import ToyTask

ROOT = Path(__file__).parents[3]
TASK = ToyTask()
ITEMS = TASK.items("test", 20)
BASE = Policy(wrap(tiny_model(), tokenizer()), prompt=TASK.prompts["bare"])


def edited() -> Policy:
    import torch

    vector = torch.randn(32, generator=torch.Generator().manual_seed(1))
    return BASE.with_intervention(ActivationEdit((Edit(0, vector, "add", 1.0, "last_prompt"),)))


def sampled(policy: Policy, root: Path, n: int = 2, regime: str = "compare") -> tuple[Path, Path]:
    samples = generate(policy, TASK, ITEMS, REGIMES[regime], n, root)
    grades = root / "grades" / policy.id / regime
    return samples, grade(samples, TASK, {item.id: item for item in ITEMS}, grades, workers=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store")
    for policy in (BASE, edited()):
        sampled(policy, root)
    return root


def folder(store: Path, policy: Policy) -> Path:
    return store / "samples" / policy.id / "compare-toy"


def test_annotations_agree_with_what_was_sampled(store: Path) -> None:
    """A base's own log-probs, kept while sampling, are its base log-probs: one KL is 0, the other is not."""
    for policy in (BASE, edited()):
        out = annotate(policy, BASE, ITEMS, folder(store, policy))
        notes = read_annotations(out, [item.id for item in ITEMS], 2)
        rows = {(row["item"], row["j"]): row for row in read_rows(shards(folder(store, policy)))}
        means = notes.spread(notes.base_logprobs.mean())
        same = [np.isclose(means[i, j], np.mean(rows[item.id, j]["logprobs"]), atol=1e-4)
                for i, item in enumerate(ITEMS) for j in range(2)]  # fmt: skip
        assert notes.kl is not None and np.isfinite(notes.prompt_nll_N).all()
        assert all(same) and notes.kl.values.max() == 0 if policy is BASE else notes.kl.values.max() > 0.01


def test_a_killed_pass_goes_on_and_a_finished_one_is_not_made_again(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = folder(store, edited())
    whole = annotate(edited(), BASE, ITEMS, samples, tmp_path / "whole")
    assert len(shards(samples)) == 2
    out, done = tmp_path / "killed", stage._shard
    calls: list[str] = []

    def dying(policy: Policy, base: Policy, known: dict, shard: Path, target: Path, n: int | None) -> None:
        calls.append(shard.name)
        if len(calls) == 2:
            raise MemoryError
        done(policy, base, known, shard, target, n)

    monkeypatch.setattr(stage, "_shard", dying)
    with pytest.raises(MemoryError):
        annotate(edited(), BASE, ITEMS, samples, out)
    monkeypatch.setattr(stage, "_shard", done)
    with pytest.raises(StageError, match="not annotated"):
        read_annotations(out, [item.id for item in ITEMS], 2)
    first = shards(out)[0]
    before = first.stat().st_mtime_ns
    annotate(edited(), BASE, ITEMS, samples, out)
    assert first.stat().st_mtime_ns == before
    assert [read_rows([path]) for path in shards(out)] == [read_rows([path]) for path in shards(whole)]


def test_nan_in_a_stored_row_is_named_and_never_averaged(store: Path, tmp_path: Path) -> None:
    out = annotate(BASE, BASE, ITEMS, folder(store, BASE), tmp_path)
    path = shards(out)[0]
    rows = read_rows([path])
    rows[0]["base_logprobs"][0] = float("nan")
    write_rows(path, rows)
    with pytest.raises(DataError, match="1 base_logprobs are NaN"):
        read_annotations(out, [item.id for item in ITEMS], 2)


def test_another_policys_samples_and_an_edited_base_are_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="not of"):
        annotate(edited(), BASE, ITEMS, folder(store, BASE), tmp_path)
    with pytest.raises(StageError, match="bare checkpoint"):
        annotate(BASE, edited(), ITEMS, folder(store, BASE), tmp_path)
    with pytest.raises(StageError, match="no sample shards"):
        annotate(BASE, BASE, ITEMS, tmp_path / "nothing", tmp_path)


def test_probe_rows_are_resumed_by_shard_and_follow_the_plan(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elicit.evaluate.stages.probes.SHARD", 4)
    samples, policy = folder(store, edited()), edited()
    probes = [Probe(item.id, 0, "k", 0, " The answer is", room=4) for item in ITEMS[:10]]
    run_probes(policy, ITEMS, samples, "toy", probes[:8], TASK)
    before = {path: path.stat().st_mtime_ns for path in shards(probes_of(samples, "toy"))}
    out = run_probes(policy, ITEMS, samples, "toy", probes, TASK)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items()) and len(shards(out)) == 3
    rows = read_probes(samples, "toy")
    assert rows is not None and [row["item"] for row in rows] == [item.id for item in ITEMS[:10]]
    run_probes(policy, ITEMS, samples, "toy", probes[:4], TASK)  # rows of the larger plan are passed over
    assert len(read_probes(samples, "toy") or ()) == 4 and read_probes(samples, "other") is None


def test_texts_and_sentences_are_stored_next_to_the_probes(store: Path) -> None:
    samples, policy = folder(store, edited()), edited()
    run_texts(policy, samples, [("plain", "Question: Add 4."), ("plain", "The answer is 42.")])
    row = read_rows(shards(samples), ["item", "j", "text"])[0]
    run_sentences(policy, ITEMS, samples, [(row["item"], row["j"], (2, 4))])
    found = stored_probes(samples)
    lengths = [len(tokenizer()(text).input_ids) for text in ("Question: Add 4.", "The answer is 42.")]
    assert [one["tokens"] for one in found["texts"]] == [length - 1 for length in lengths]
    assert [one["sentence"] for one in found["sentences"]] == [0, 1]
    assert token_spans([(0, 0), (0, 3), (3, 4)], [3, 4]) == [(0, 2), (2, 3)]


def entries(store: Path) -> list[Entry]:
    return [Entry(role, role, policy.id, folder(store, policy), store / "grades" / policy.id / "compare")
            for role, policy in (("base", BASE), ("method", edited()))]  # fmt: skip


def test_a_view_holds_the_texts_and_tokens_of_the_samples(store: Path) -> None:
    view = make_view(entries(store), ITEMS, TASK, draws=50)
    rows = {(row["item"], row["j"]): row for row in read_rows(shards(folder(store, edited())))}
    for i, item in enumerate(ITEMS):
        assert view.sides[1].texts_N_J[i, 1] == rows[item.id, 1]["text"]
        assert view.sides[1].written_N_J[i, 1] == len(rows[item.id, 1]["token_ids"])


def test_the_command_writes_and_keeps_readings(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    group = tmp_path / "comparisons" / "g"
    write_json(group / "inputs.json", {
        "entries": [entry.plain() for entry in entries(store)], "items": [item.id for item in ITEMS],
        "config": asdict(CompareConfig("g", draws=50)),
    })  # fmt: skip
    monkeypatch.setattr(command.SavedComparison, "settings", SimpleNamespace(task=TASK))
    assert command.lens(["g", "structure", f"root={tmp_path}"]) == 0
    assert command.lens(["g", "validity", "commitment", f"root={tmp_path}"]) == 0
    kept = read_json(group / command.FILE)
    assert list(kept["lenses"]) == ["validity", "commitment", "structure"]
    assert "can't check traces" in kept["lenses"]["validity"]["refused"]
    assert set(kept["lenses"]["structure"]["columns"]) == {"base", "method"}
    json.dumps(kept, allow_nan=False)


@pytest.fixture
def runner(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    """The passes of a comparison whose method's intervention lies in its run folder."""
    save(edited().interventions[0], tmp_path / "run" / "intervention")
    write_json(tmp_path / "run" / "manifest.json", {"name": "method"})
    base, method = entries(store)
    settings = SimpleNamespace(task=TASK, eval=SimpleNamespace(workers=1), model=None)
    made = Runner(settings, [base, replace(method, run=str(tmp_path / "run"))], ITEMS, Console(stream=StringIO()), None)  # type: ignore[arg-type]
    made._checkpoint = BASE.checkpoint
    return made


def test_running_lenses_makes_what_they_need_and_nothing_twice(runner: Runner, store: Path) -> None:
    names = ["likelihood", "economy", "side_effects"]
    runner.run(names)
    made = {
        path: path.stat().st_mtime_ns for kind in ("annotations", "probes") for path in (store / kind).rglob("shard-*")
    }
    runner.run(names)
    assert made and all(path.stat().st_mtime_ns == time for path, time in made.items())
    view = make_view(runner.entries, ITEMS, TASK, 50, probes=lambda entry: stored_probes(entry.samples))
    readings = {name: LENSES[name].read(view) for name in names}
    assert not any(reading.refused for reading in readings.values())
    assert readings["side_effects"].columns["method"]["text loss, questions - base"].lo != 0
    assert readings["likelihood"].columns["method"]["nll"].point > 0


def test_a_policy_that_is_not_what_was_sampled_is_left_out_and_a_changed_base_stops(runner: Runner) -> None:
    base, method = runner.entries
    runner.entries = [base, replace(method, policy="another")]
    runner.run(["likelihood"])
    assert "another was sampled" in runner.console.stream.getvalue()  # type: ignore[attr-defined]
    runner.entries = [replace(base, policy="another"), method]
    with pytest.raises(StageError, match="another was sampled"):
        runner.run(["likelihood"])


def test_the_command_names_the_near_lens_and_the_lenses_there_are() -> None:
    with pytest.raises(ConfigError, match="did you mean validity"):
        command.lens(["g", "validty"])
    with pytest.raises(ConfigError, match="causality"):
        command.lens([])


def test_lenses_need_no_torch() -> None:
    modules = ["elicit.evaluate.lenses", "elicit.evaluate.stages.annotate", "elicit.evaluate.measures.annotations",
               "elicit.evaluate.stages.probes", "elicit.evaluate.stages.passes", "elicit.commands.lens"]  # fmt: skip
    code = "\n".join(["import sys", "sys.modules['torch'] = None", *(f"import {name}" for name in modules)])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
