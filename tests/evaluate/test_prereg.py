"""Laws of preregistration."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from elicit.errors import StageError
from elicit.evaluate.comparison.prereg import FILE, freeze, status
from elicit.files import ordered_time, read_json, write_json

PLAN = {"methods": ["rlvr"], "prompts": ["bare"], "n": 16}


def test_frozen_before_means_older_than_the_first_sample(tmp_path: Path) -> None:
    assert status(tmp_path, time.time()) == "after"
    digest = freeze(PLAN, tmp_path, time.time())
    assert status(tmp_path, time.time() + 1) == "before"
    assert status(tmp_path, time.time() - 10) == "after"
    assert status(tmp_path, None) == "after"
    assert read_json(tmp_path / FILE)["hash"] == digest


def test_the_same_plan_again_keeps_its_time_and_another_is_refused(tmp_path: Path) -> None:
    freeze(PLAN, tmp_path, 1.0)
    before = (tmp_path / FILE).read_bytes()
    freeze(dict(reversed(PLAN.items())), tmp_path, 2.0)
    assert (tmp_path / FILE).read_bytes() == before
    with pytest.raises(StageError, match="differs in n;"):
        freeze({**PLAN, "n": 64}, tmp_path, 3.0)


def test_an_altered_plan_is_found(tmp_path: Path) -> None:
    freeze(PLAN, tmp_path, 1.0)
    frozen = read_json(tmp_path / FILE)
    write_json(tmp_path / FILE, {**frozen, "plan": {**PLAN, "n": 4}})
    with pytest.raises(StageError, match="altered"):
        status(tmp_path, time.time())


def test_a_clock_that_is_set_back_does_not_turn_before_into_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze(PLAN, tmp_path, ordered_time(tmp_path))
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
    first, second = ordered_time(tmp_path), ordered_time(tmp_path)
    assert status(tmp_path, first) == "before" and first < second


def test_a_clock_that_was_ahead_while_sampling_does_not_turn_after_into_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 9e9)
        sample = ordered_time(tmp_path)
    freeze(PLAN, tmp_path, ordered_time(tmp_path))
    assert status(tmp_path, sample) == "after"
