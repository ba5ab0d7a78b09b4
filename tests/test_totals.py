"""Laws of the plan before work: samples, device hours and memory, and what is not known."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from safetensors.numpy import save_file

from elicit.errors import ConfigError
from elicit.experiment.forecast.forecast import describe, evaluation_paths, path_parts, prompt_choice
from elicit.experiment.forecast.memory import LIBRARIES, peak
from elicit.experiment.forecast.shape import SHAPES, parameters, unloaded
from elicit.experiment.forecast.speed import fit_seconds, measured
from elicit.experiment.plan import ComparisonPlan, plan
from elicit.files import fingerprint
from elicit.method import PASSES, MethodBase, Work
from elicit.policy.checkpoint import CheckpointConfig

DOC = Path(__file__).parents[1] / "docs" / "real_bases.md"
COMMAND = ["experiment=demo", "eval.limit=100", "model.device=cpu", "model.dtype=float32"]


@pytest.fixture(scope="module")
def demo() -> ComparisonPlan:
    return plan([COMMAND])[0]


def changed(comparison: ComparisonPlan, **fields) -> ComparisonPlan:
    """The comparison with other evaluation settings, for all jobs."""

    def of(settings):
        return replace(settings, **fields)

    jobs = tuple(replace(job, settings=of(job.settings)) for job in comparison.jobs)
    return replace(comparison, jobs=jobs, settings=of(comparison.settings))


def with_eval(comparison: ComparisonPlan, **fields) -> ComparisonPlan:
    return changed(comparison, eval=replace(comparison.settings.eval, **fields))


def with_model(comparison: ComparisonPlan, path: str) -> ComparisonPlan:
    return changed(comparison, model=CheckpointConfig(path=path, device="cpu", dtype="float32"))


def test_paths_are_linear_in_items_but_for_the_choice_of_prompts(demo: ComparisonPlan) -> None:
    one, two, three = (evaluation_paths(with_eval(demo, limit=limit)) for limit in (100, 200, 300))
    assert two - one == pytest.approx(three - two)
    none = with_eval(demo, prompts=(), own_prompts=False)
    assert prompt_choice(none.settings) == 0
    assert evaluation_paths(with_eval(none, limit=200)) == pytest.approx(2 * evaluation_paths(none))


def test_a_single_job_is_counted_by_hand() -> None:
    alone = plan([["method=contrastive", "eval.limit=10", "eval.n=4", "eval.support_n=8", "eval.prompts=[]",
                   "placebos=none"]])[0]  # fmt: skip
    base_prompt_and_ceiling, c1, method = 10 * 4 * 3, 10 * 8, 10 * 4
    assert evaluation_paths(alone) == base_prompt_and_ceiling + c1 + method


def test_the_plan_shows_the_paths_by_use_and_they_add_up(demo: ComparisonPlan) -> None:
    parts = path_parts(demo)
    shown = re.search(r"about ([\d,]+) generated paths \(([^)]*)\)", describe(demo))
    assert shown is not None and int(shown[1].replace(",", "")) == round(sum(parts.values()))
    printed = dict(re.findall(r"([a-z ]+?) ([\d,]+)(?:, |$)", shown[2]))
    assert printed == {name: f"{paths:,.0f}" for name, paths in parts.items() if paths} and "rivals" not in printed
    assert parts["ceilings"] == 100 * (16 + 128) and parts["base"] == 100 * 2 * 32


def test_seeds_are_runs_of_one_method() -> None:
    seeds = plan([["method=contrastive", f"seed={seed}"] for seed in (1, 2, 3)])[0]
    assert "1 method (3 runs)" in describe(seeds) and "1 method " in describe(plan([["method=contrastive"]])[0])


def test_work_adds_up_and_a_trained_row_counts_as_its_passes() -> None:
    assert Work(1, 2) + Work(3, 4) == Work(4, 6) and Work(1, 2).passes == 1 + 2 * PASSES
    assert MethodBase().work(10, 30.0) is None, "a method that states nothing is unknown, not free"


def test_a_plan_names_the_methods_whose_work_is_not_known(demo: ComparisonPlan, tmp_path: Path) -> None:
    class Stated(MethodBase):
        def fit(self, *_: object) -> None:
            raise AssertionError("a plan fits nothing")

        def work(self, items: int, tokens: float) -> Work | None:
            return Work(items, tokens) if tokens > 20 else None  # the organism's completions take 15

    one = replace(demo.jobs[0], settings=replace(demo.jobs[0].settings, method=Stated()))  # type: ignore[arg-type]
    alone = replace(demo, jobs=(one,), settings=replace(demo.settings, root=str(tmp_path)))
    assert f"not known for {one.name}" in describe(alone)


def store(root: Path, path: str, identity: str, task: str, seconds: float, tokens: int, samples: int) -> None:
    """A run of that checkpoint and one shard of its samples."""
    run = root / f"run-{identity}"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("{}")
    manifest = {"checkpoint": {"path": path, "id": identity}, "arm": "a", "fit_seconds": 12.0}
    (run / "manifest.json").write_text(json.dumps(manifest))
    folder = root / "store" / "samples" / identity / f"compare-{task}"
    folder.mkdir(parents=True)
    (folder / "fingerprint.json").write_text(json.dumps(fingerprint(checkpoint=identity, task=task)))
    (folder / "timings-x.json").write_text(json.dumps({"seconds": seconds, "tokens": tokens, "samples": samples}))


def test_speed_is_that_of_this_model_and_length_that_of_this_task(tmp_path: Path) -> None:
    store(tmp_path, "organism", "one", "chain", 10.0, 2_000, 100)
    store(tmp_path, "other/model", "two", "chain", 10.0, 50, 5)
    found = measured(tmp_path, "organism", "chain")
    assert found is not None and (found.tokens_per_second, found.tokens_per_path) == (200, 20)
    elsewhere = measured(tmp_path, "organism", "add")
    assert elsewhere is not None and (elsewhere.tokens_per_second, elsewhere.tokens_per_path) == (200, None)
    assert measured(tmp_path, "third/model", "chain") is None
    assert fit_seconds(tmp_path, "organism") == {"a": 12.0} and fit_seconds(tmp_path, "third/model") == {}


@pytest.mark.parametrize("counted", [True, False])
def test_paths_are_counted_by_the_timings_and_in_older_folders_by_the_chains(tmp_path: Path, counted: bool) -> None:
    store(tmp_path, "organism", "one", "chain", 10.0, 2_000, 100)
    [file] = tmp_path.glob("store/samples/*/*/timings-x.json")
    if counted:
        file.write_text(json.dumps(json.loads(file.read_text()) | {"paths": 400}))
    else:
        parquet.write_table(pyarrow.table({"chain": range(400)}), file.with_name("chains-x.parquet"))
    found = measured(tmp_path, "organism", "chain")
    assert found is not None and found.tokens_per_path == 5


def test_what_was_measured_under_this_root_makes_the_hours(demo: ComparisonPlan, tmp_path: Path) -> None:
    store(tmp_path, "organism", "one", "chain", 100.0, 100_000, 10_000)
    text = describe(changed(demo, root=str(tmp_path), parallel=1))
    hours = float(re.search(r"([\d.]+) to measure", text)[1])  # type: ignore[index]
    assert hours == pytest.approx(evaluation_paths(demo) * 10 / 1_000 / 3600, rel=0.06)
    assert "1,000 tokens per second (measured in this root)" in text


def test_lengths_that_were_not_measured_are_counted_at_the_limit_and_called_an_upper_bound(
    demo: ComparisonPlan, tmp_path: Path
) -> None:
    store(tmp_path, "a/base", "one", "another task", 100.0, 10_000, 1_000)
    plain = with_eval(with_model(demo, "a/base"), max_new_tokens=32)
    text = describe(changed(plain, root=str(tmp_path), parallel=1))
    first, time = text.splitlines()[:2]
    hours = float(re.search(r"([\d.e+]+) to measure", time)[1])  # type: ignore[index]
    assert hours == pytest.approx(evaluation_paths(plain) * 32 / 100 / 3600, rel=0.06)
    assert "upper bound" in time and "32 tokens" in time and "roughly" not in first
    store(tmp_path, "a/base", "two", "chain", 100.0, 10_000, 1_000)
    measured_length = describe(changed(plain, root=str(tmp_path), parallel=1))
    assert "upper bound" not in measured_length and "roughly" in measured_length.splitlines()[0]


def test_processes_share_the_minutes_and_not_the_device_hours(demo: ComparisonPlan, tmp_path: Path) -> None:
    store(tmp_path, "organism", "one", "chain", 1000.0, 100_000, 10_000)
    one, two = (describe(changed(demo, root=str(tmp_path), parallel=number)) for number in (1, 2))
    minutes = [int(re.search(r"roughly (\d+) min", text)[1]) for text in (one, two)]  # type: ignore[index]
    assert minutes[0] == pytest.approx(2 * minutes[1], abs=1)
    assert re.search(r"about \S+ device hours", one)[0] == re.search(r"about \S+ device hours", two)[0]  # type: ignore[index]


def test_what_is_not_known_is_called_unknown(demo: ComparisonPlan, tmp_path: Path) -> None:
    text = describe(changed(with_model(demo, "nobody/no-such-base"), root=str(tmp_path)))
    _, time, memory = text.splitlines()
    assert "not known before the first samples" in time and not re.search(r"\d min|device hours", time)
    assert "not known before the checkpoint is at hand" in memory and " GB" not in memory


def test_a_bigger_model_needs_more(demo: ComparisonPlan) -> None:
    jobs = [(job.name, job.settings) for job in demo.jobs]
    ordered = sorted((unloaded(CheckpointConfig(path=path)) for path in ("organism", *SHAPES)), key=parameters)
    fixed = [peak(model, jobs).memory.fixed for model in ordered]
    assert fixed == sorted(fixed) and fixed[-1] >= 16 * parameters(ordered[-1]), "the demo trains all weights"
    family = ("organism", "Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-1.5B", "Qwen/Qwen2.5-Math-7B")
    totals = [peak(unloaded(CheckpointConfig(path=path)), jobs).total for path in family]
    assert totals == sorted(set(totals)) and totals[0] > LIBRARIES


def test_sampling_alone_needs_the_weights_once_and_less_than_training(demo: ComparisonPlan) -> None:
    model = unloaded(CheckpointConfig(path="Qwen/Qwen2.5-1.5B"))
    jobs = [(job.name, job.settings) for job in demo.jobs]
    decoding = [pair for pair in jobs if pair[0].startswith("cot_decoding")]
    alone = peak(model, decoding)
    assert alone.what == "sampling" and alone.memory.weights == 4 * parameters(model)
    assert alone.total < peak(model, jobs).total


def test_the_plan_of_a_large_vocabulary_holds_its_tokenizer_and_that_of_an_sae_its_activations(
    demo: ComparisonPlan,
) -> None:
    jobs = {job.name: job.settings for job in demo.jobs}
    small, large = (unloaded(CheckpointConfig(path=path)) for path in ("organism", "Qwen/Qwen2.5-1.5B"))
    sae = jobs["sae_steering"]
    kept = sae.method.memory_mb * 2**20  # type: ignore[union-attr]
    need = peak(small, [("sae_steering", sae)])
    assert need.what == "sae_steering" and need.memory.total >= 2 * kept and need.tokenizer < 2_000_000
    assert 0.2e9 < peak(large, [("sae_steering", sae)]).tokenizer < 0.3e9


def test_the_organism_is_read_from_its_own_config() -> None:
    model = unloaded(CheckpointConfig(path="organism"))
    assert parameters(model) == 829_440 and next(model.parameters()).is_meta


def test_the_table_of_the_docs_is_that_of_the_shapes() -> None:
    rows = dict(re.findall(r"^\| `([\w./-]+)` \| ([\d,]+) \|", DOC.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(rows) == set(SHAPES)
    for path, count in rows.items():
        assert parameters(unloaded(CheckpointConfig(path=path))) == int(count.replace(",", "")), path


@pytest.mark.parametrize("method", ["contrastive", "sae_steering", "rl_steering"])
def test_a_layer_that_the_checkpoint_lacks_is_refused_before_anything_is_loaded(method: str) -> None:
    with pytest.raises(ConfigError, match=r"method.layers=\[1, 99\]: organism has layers 0 to \d, not 99"):
        plan([[f"method={method}", "method.layers=[1,99]"]])
    assert plan([[f"method={method}", "method.layers=[0.5,1]"]])


@pytest.mark.parametrize(("layer", "width", "fits"), [(1, 128, True), (1, 64, False), (9, 128, False)])
def test_a_vector_that_the_checkpoint_does_not_fit_is_refused_before_anything_is_loaded(
    tmp_path: Path, layer: int, width: int, fits: bool
) -> None:
    save_file({f"layer_{layer}": np.ones((1, width), dtype=np.float32)}, tmp_path / "vector.safetensors")
    words = ["method=given", f"method.path={tmp_path}/vector.safetensors"]
    if fits:
        assert plan([words])
    else:
        with pytest.raises(ConfigError, match=f"a vector of width {width} at layer {layer}; organism has layers 0 to "):
            plan([words])
