"""Laws of the soak test: its commands can be planned, every fit meets every disturbance, a trial continues."""

from __future__ import annotations

import random
import urllib.error
import urllib.request
from math import gcd
from pathlib import Path

import pytest

from benchmarks import soak
from elicit.experiment.plan import plan
from elicit.files import write_json, write_text


def test_the_commands_can_be_planned_with_one_placebo_each() -> None:
    for fit in soak.FITS:
        (comparison,) = plan([soak.command_of(fit)])
        assert comparison.group == "soak" and [job.role for job in comparison.jobs] == ["method", "placebo"]


def test_every_fit_meets_every_disturbance() -> None:
    assert set(soak.KINDS) == set(soak.DISTURBANCES) and gcd(len(soak.KINDS), len(soak.FITS)) == 1


def test_the_whole_test_kills_two_hundred_times() -> None:
    assert sum(soak.KINDS[number % len(soak.KINDS)] == "kill" for number in range(490)) == 203


def test_trials_and_faults_are_counted_by_kind_and_by_fit() -> None:
    rows = [("kill", "rlvr", []), ("kill", "contrastive", ["hang"]), ("ro", "rlvr", [])]
    done = [
        {"trial": i, "kind": kind, "fit": fit, "seconds": 1.5, "faults": f} for i, (kind, fit, f) in enumerate(rows)
    ]
    result = soak.summed(done, 3)
    assert (result["seed"], result["trials"], result["faulty"], result["seconds"]) == (3, 3, 1, 4)
    assert result["kinds"] == {"kill": {"trials": 2, "faulty": 1}, "ro": {"trials": 1, "faulty": 0}}
    assert result["fits"]["rlvr"] == {"trials": 2, "faulty": 0} and result["faults"] == [done[1]]


def test_a_server_that_never_answers_takes_the_request() -> None:
    with soak.useless_server(answers=False) as url, pytest.raises(TimeoutError):
        urllib.request.urlopen(url, timeout=0.5)
    with soak.useless_server(answers=True) as url, pytest.raises(urllib.error.HTTPError, match="500"):
        urllib.request.urlopen(url, timeout=20)


def test_a_trial_is_resumed_once_all_of_its_runs_are_planned(tmp_path: Path) -> None:
    trial = soak.Trial(0, "kill", "rlvr", tmp_path, 10.0, random.Random(0), [])
    assert 0.5 <= trial.moment() <= 10 and soak.next_command(trial) == soak.command_of("rlvr")
    for name in ("a", "b"):
        write_json(trial.root / name / "manifest.json", {"of": 2})
        assert soak.next_command(trial)[0].startswith("method=")  # without its configuration it is no run yet
    for name in ("a", "b"):
        write_json(trial.root / name / "manifest.json", {"of": 2})
        write_text(trial.root / name / "config.yaml", "")
    assert soak.next_command(trial) == ["resume", str(trial.root / "a"), "root=runs"]
    (trial.root / "b" / "config.yaml").unlink()
    assert soak.next_command(trial) == soak.command_of("rlvr") and not trial.root.exists()
