"""The check for accelerators runs on a machine without one, and can fail."""

import argparse
import json

import pytest

from benchmarks import gpu_check


@pytest.fixture
def args(monkeypatch, tmp_path):
    """Options of `--device cpu --small`, results below tmp_path, two stages that need no model."""
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    monkeypatch.setattr(gpu_check, "HOUSE", tmp_path)

    def broken():
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(gpu_check, "stages", lambda _: [("broken", broken), ("good", lambda: {"rows": 1})])
    return argparse.Namespace(device="cpu", seconds=60)


def test_a_stage_that_raises_fails_the_check_and_the_next_one_runs(args, tmp_path):
    done = gpu_check.run(args, "test", {"device": "cpu"})
    assert [stage.result for stage in done] == ["fail", "pass"]
    written = json.loads((tmp_path / "benchmarks" / "results" / "gpu-test.json").read_text())
    assert written["stages"][0]["reason"] == "RuntimeError: no kernel image"


def test_a_stage_after_the_time_limit_is_skipped_and_is_no_pass(args):
    args.seconds = -1
    assert {stage.result for stage in gpu_check.run(args, "test", {})} == {"skipped"}


@pytest.mark.parametrize(
    ("cuda", "peak", "result"), [(True, 10.0, "pass"), (True, 13.0, "fail"), (False, 13.0, "pass")]
)
def test_a_peak_far_above_its_estimate_fails_on_an_accelerator(cuda, peak, result):
    stage = gpu_check.Stage("rl", facts={"peak_gb": peak, "estimate_gb": 10.0})
    assert gpu_check.judged(stage, cuda).result == result


def test_the_step_loop_and_an_update_run_on_a_tiny_shape():
    options = argparse.Namespace(device="cpu", small=True, gguf=None, prompts=0, samples=0, limit=0, micro_batch=0)
    made = dict(gpu_check.stages(options))
    assert made["sample tiny"]()["tokens"] == 16 * 16
    assert made["rl tiny rl_steering"]()["seconds_per_update"] > 0
