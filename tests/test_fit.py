"""Laws of a fit: what makes an earlier one stale, and under which token limit it samples."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from elicit.config import Settings
from elicit.config.compose import build_settings, choices, compose
from elicit.console import Console
from elicit.errors import MethodError
from elicit.experiment import fit
from elicit.experiment.forecast.forecast import describe
from elicit.experiment.forecast.memory import limit_of
from elicit.experiment.plan import Job, plan
from elicit.experiment.run_folder import RunFolder
from elicit.ledger import Ledger
from elicit.method import Context
from elicit.policy.policy import Policy
from elicit.tasks.task import PromptFormat
from elicit.track import NoTracker
from methods.decoding.method import Decoding
from methods.decoding.plain import Greedy
from tests.toy import ToyTask

POLICY = cast(Policy, SimpleNamespace(id="policy", checkpoint=SimpleNamespace(engine=None)))


def job(*overrides: str) -> Job:
    settings: Settings = build_settings(compose(["tracker=none", *overrides]))
    return Job("m", "method", settings, ())


def questions(path: Path, **answers: str) -> None:
    """A task file: question -> answer, half of it train."""
    rows = [{"question": q, "answer": a, "split": "dev" if q == "dev" else "train"} for q, a in answers.items()]
    path.write_text(
        "".join(json.dumps(row) + "\n" for row in [*rows, {"question": "t", "answer": "1", "split": "test"}])
    )


@pytest.mark.parametrize("changed", [{"a": "2"}, {"dev": "2"}, {"another": "1"}])
def test_a_changed_gold_or_question_behind_the_same_path_makes_a_fit_stale(tmp_path: Path, changed: dict) -> None:
    file = tmp_path / "mine.jsonl"
    words = ("method=contrastive", "task=jsonl", f"task.path={file}")
    questions(file, a="1", b="1", dev="1")
    before = fit.fit_fingerprint(job(*words), POLICY)
    assert fit.fit_fingerprint(job(*words), POLICY) == before
    questions(file, **{"a": "1", "b": "1", "dev": "1", **changed})
    after = fit.fit_fingerprint(job(*words), POLICY)
    assert {name for name in before if before[name] != after[name]} == {"items"}


def test_a_changed_file_that_the_method_names_makes_a_fit_stale(tmp_path: Path) -> None:
    file = tmp_path / "critiques.jsonl"
    words = ("method=critique_ft", "method/critic=file", f"method.critic.path={file}")
    file.write_text("a")
    before = fit.fit_fingerprint(job(*words), POLICY)
    file.write_text("b")
    after = fit.fit_fingerprint(job(*words), POLICY)
    assert {name for name in before if before[name] != after[name]} == {"files"}


def test_a_fit_samples_under_the_limit_of_the_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int | None] = []

    def sample(*arguments: Any, max_new_tokens: int | None = None) -> list[Any]:
        limits.append(max_new_tokens)
        outcome = SimpleNamespace(path=SimpleNamespace(text=" The answer is 3.", finish="eos"))
        return [(item, 0, outcome) for item in arguments[1]]

    monkeypatch.setattr("elicit.sampling.sample.sample", sample)
    ledger = Ledger(ToyTask(), "toy", max_new_tokens=5)
    fit.dev_score(ToyTask(), ledger)(POLICY, 4)
    assert limits == [5] and ledger.task_view.stop.max_new_tokens == 5
    assert Ledger(ToyTask(), "toy").task_view.stop.max_new_tokens == ToyTask().stop.max_new_tokens


def bare_policy(folder: Path) -> Any:
    """What a fit reads of a policy before its method does."""
    return SimpleNamespace(
        id="policy",
        prompt=PromptFormat("bare"),
        checkpoint=SimpleNamespace(config=SimpleNamespace(path=str(folder)), facts={}, engine=None),
    )


def test_a_warning_of_a_fit_stays_with_its_run_and_with_every_run_that_takes_the_fit_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def weak(self: Decoding, policy: Policy, ledger: Ledger, context: Context) -> Greedy:
        for _ in range(2):
            context.warn("dictionary of layer 3 not good enough")
        return Greedy()

    monkeypatch.setattr(Decoding, "fit", weak)
    policy = bare_policy(tmp_path)
    one, console = job("method=decoding", f"root={tmp_path}"), Console("text", stream := io.StringIO())
    for _ in range(2):
        run = RunFolder.create(tmp_path, "m", "chain", one.settings.node, {})
        fit.fit_job(one, run, policy, console, NoTracker().start(run.path, "fit", "m", "g", {}, console.say))
        assert run.manifest["fit_warnings"] == ["dictionary of layer 3 not good enough"]
    assert "fit_from" in run.manifest and "warning: dictionary" in stream.getvalue()


def test_a_resumed_fit_tracks_the_rows_of_its_first_process_again_under_their_steps(tmp_path: Path) -> None:
    """An offline file of wandb belongs to one process, and its last rows are lost with a killed one."""
    one = job("method=decoding", "method/strategy=greedy", f"root={tmp_path}")
    run = RunFolder.create(tmp_path, "m", "t", {}, {})
    for loss in (0.5, float("nan")):
        run.log({"loss": loss})
    with (run.path / "log.jsonl").open("a") as file:
        file.write('{"lo')
    sent: list[Any] = []

    def fails(self: Decoding, policy: Policy, ledger: Ledger, context: Context) -> Greedy:
        context.log({"loss": 0.125})
        raise MethodError("stop")

    tracked = cast("Any", SimpleNamespace(log=sent.append))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(MethodError):
        patch.setattr(Decoding, "fit", fails)
        fit.fit_job(one, RunFolder(run.path), bare_policy(tmp_path), Console("text"), tracked)
    assert [(row["step"], str(row["loss"])) for row in sent] == [(1, "0.5"), (2, "nan"), (3, "0.125")]
    assert "time" not in sent[0]


@pytest.mark.parametrize("preset", [n for n in choices("experiment") if n != "real_smoke" and "/" not in n])
def test_every_job_of_a_preset_samples_under_one_limit(preset: str) -> None:
    for comparison in plan([[f"experiment={preset}", "tracker=none"]]):
        own = {limit_of(one.settings, one.settings.method) for one in comparison.jobs}
        assert own == {limit_of(comparison.settings)}


def test_the_plan_prints_the_token_limits_if_a_method_states_another(tmp_path: Path) -> None:
    words = ["method=rlvr", "tracker=none", f"root={tmp_path}"]
    (same,), (other,) = plan([words]), plan([[*words, "method.max_new_tokens=77"]])
    assert "token limits" not in describe(same)
    assert "token limits differ: evaluation and dev scores 160; rlvr fits with 77" in describe(other)


def test_a_fit_may_read_its_own_checkpoint_again_also_from_a_cache(tmp_path: Path) -> None:
    def allowed(path: str, **facts: str) -> list[Path]:
        checkpoint = SimpleNamespace(config=SimpleNamespace(path=path), facts=facts)
        return fit._checkpoint_files(cast(Policy, SimpleNamespace(checkpoint=checkpoint)))

    file = tmp_path / "model.gguf"
    file.touch()
    assert allowed(str(file), weights_read_from="/cache/gguf/abc") == [file, Path("/cache/gguf/abc")]
    assert allowed(str(tmp_path)) == [tmp_path]
    (cache,) = allowed("Some/Model")
    assert cache.name == "models--Some--Model" and cache.parent != Path()
